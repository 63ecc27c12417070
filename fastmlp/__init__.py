"""Multilayer perceptrons from Python, at the speed small networks should have.

>>> from fastmlp import MLP
>>> from fastmlp.datasets import load
>>> data = load("digits")
>>> model = MLP([64, 128, 10], activation="relu", seed=0)
>>> history = model.fit(data.x, data.y, epochs=10, batch_size=32, schedule="one_cycle", lr=5e-3)
>>> model.evaluate(data.x_test, data.y_test)["accuracy"] > 0.95
True
>>> model.save("digits.safetensors")
>>> labels = MLP.load("digits.safetensors").predict(data.x_test)

Networks:

- `fastmlp.MLP`: the library's own class, for arrays.
- `fastmlp.MLPClassifier`, `fastmlp.MLPRegressor`: in place of scikit-learn's classes of these names.
- `fastmlp.TabularClassifier`, `fastmlp.TabularRegressor`: for data frames; the command ``fastmlp`` is for files.

What they are given, mostly by name:

- `fastmlp.losses`: nine losses, and losses of one's own.
- `fastmlp.activations`, `fastmlp.initializers`: functions of the layers, and their first weights.
- `fastmlp.optimizers`: SGD, RMSprop, Adam and AdamW, and rules of one's own.
- `fastmlp.schedules`: how the learning rate changes.
- `fastmlp.trainer.Callback`: what may be called after each epoch.
- `fastmlp.datasets`: MNIST, small sets that need no files, tables and arrays.
- `fastmlp.recipes`: networks and their training for tables.

What they give:

- `fastmlp.History`: the losses and scores of the epochs.
- `fastmlp.metrics`: accuracy, confusion, R².
- `fastmlp.errors`: what can be raised. Each message says what to do.

`fastmlp.available_backends` tells where a network can be trained. The training step is written once, in `fastmlp.step`:
NumPy interprets it, Numba compiles it, CUDA captures it.
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

__version__ = "0.2.0"

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
