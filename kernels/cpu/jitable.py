"""How functions are marked that compiled code calls: `jitable`, or `inlined` to be emitted where they are called.

A call passes arrays on the stack, word by word, and a function that hands them on copies them by vectors: a load that
spans several stores waits until they are done, which takes longer than a small operation.

For neither does Numba compile a second function by which C could call it, a tenth of the time of the first fit.
"""

from numba.extending import register_jitable

__all__ = ["JIT_OPTIONS", "inlined", "jitable"]

JIT_OPTIONS = {"no_cfunc_wrapper": True}  # for `numba.extending.overload`, too
jitable = register_jitable(**JIT_OPTIONS)
inlined = register_jitable(forceinline=True, **JIT_OPTIONS)
