"""Functions that are emitted where they are called.

A call passes arrays on the stack, word by word, and a function that hands them on copies them by vectors: a load that
spans several stores waits until they are done, which takes longer than a small operation.
"""

from numba.extending import register_jitable

__all__ = ["inlined"]

inlined = register_jitable(forceinline=True)
