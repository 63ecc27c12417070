"""Decorators for functions that compiled code calls: `jitable`, `inlined` and `intrinsic`.

Short functions of arrays are `inlined`. A call passes arrays on the stack, word by word, and a function that passes
them on copies them by whole vectors; a load that spans several stores waits for all of them (a store-forwarding stall),
which takes longer than a small operation.

None of them gets Numba's wrapper for calls from C, whose compilation took a tenth of the time of the first fit.
"""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, cast

from numba import extending

__all__ = ["JIT_OPTIONS", "inlined", "intrinsic", "jitable"]

P = ParamSpec("P")

JIT_OPTIONS: Any = {"no_cfunc_wrapper": True}  # for `numba.extending.overload`, too; Any: its type is private to Numba
jitable = extending.register_jitable(**JIT_OPTIONS)
inlined = extending.register_jitable(forceinline=True, **JIT_OPTIONS)


def intrinsic(define: Callable[Concatenate[Any, P], Any]) -> Callable[P, Any]:
    """Numba's decorator, typed as what callers see: a function of the parameters after the typing context.

    By Numba's own type hints a call takes the context, too, and never returns: type checkers would skip what follows.
    """
    return cast(Callable[P, Any], extending.intrinsic(define))
