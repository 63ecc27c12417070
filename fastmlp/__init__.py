"""fastmlp: multilayer perceptrons on interchangeable backends.

One training step, written once (`fastmlp.step`): NumPy interprets it, Numba compiles it, CUDA captures it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

# `fastmlp.kernels` lies within this folder in an installed package, beside it in a checkout. There a link leads to it,
# which type checkers and editors follow, too; but Git on Windows may make none.
if not Path(__path__[0], "kernels").is_dir():
    __path__.append(str(Path(__path__[0]).parent))

from fastmlp.backends import available_backends, get_backend
from fastmlp.engine import Gradients
from fastmlp.errors import (
    BackendUnavailableError,
    DivergenceError,
    FastmlpError,
    InputError,
    ModelFileError,
    OutOfDeviceMemoryError,
)
from fastmlp.forks import no_fork
from fastmlp.gradient_check import numerical_gradient
from fastmlp.history import History
from fastmlp.mlp import MLP
from fastmlp.optimizers import SGD, Adam, AdamW, RMSprop

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier, MLPRegressor
    from fastmlp.tables.estimators import TabularClassifier, TabularRegressor

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "BackendUnavailableError",
    "DivergenceError",
    "FastmlpError",
    "Gradients",
    "History",
    "InputError",
    "MLPClassifier",
    "MLPRegressor",
    "ModelFileError",
    "OutOfDeviceMemoryError",
    "RMSprop",
    "TabularClassifier",
    "TabularRegressor",
    "available_backends",
    "get_backend",
    "numerical_gradient",
]


def __getattr__(name: str) -> Any:
    if name in ("MLPClassifier", "MLPRegressor"):
        with no_fork():
            from fastmlp import estimators  # imports scikit-learn, so only when it is wanted

        return getattr(estimators, name)
    if name in ("TabularClassifier", "TabularRegressor"):
        with no_fork():
            from fastmlp.tables import estimators as tabular

        return getattr(tabular, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
