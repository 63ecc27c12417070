"""The names that options accept, as Literal types for editors and type checkers.

At run time, names are checked against the tables of the modules that implement the options.
"""

from typing import Literal

__all__ = ["BackendName", "DtypeName", "InitializerName", "OptimizerName", "Precision", "Reduction", "ScheduleName"]

BackendName = Literal["numpy", "numba", "cuda", "auto"]
DtypeName = Literal["float32", "float64"]
InitializerName = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "zeros"
]
OptimizerName = Literal["sgd", "rmsprop", "adam", "adamw"]
Precision = Literal["float32", "tf32", "bf16"]
Reduction = Literal["mean", "sum"]
ScheduleName = Literal[
    "constant", "step", "exponential", "inverse_scaling", "cosine", "one_cycle", "warm_up", "reduce_on_plateau"
]
