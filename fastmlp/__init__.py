"""Multilayer perceptrons for Python, fast for small networks as well.

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
- `fastmlp.MLPClassifier`, `fastmlp.MLPRegressor`: drop-in replacements of scikit-learn's classes of these names.
- `fastmlp.TabularClassifier`, `fastmlp.TabularRegressor`: for data frames; the command ``fastmlp`` is for files.
- `fastmlp.open_samples`: samples in files larger than memory, to train on.
- `fastmlp.fit_many`: trains many of them at once, one on each core.

Their options, mostly given by name:

- `fastmlp.losses`: nine losses, and custom losses.
- `fastmlp.activations`, `fastmlp.initializers`: activations of the layers, and distributions of initial weights.
- `fastmlp.optimizers`: SGD, RMSprop, Adam and AdamW, and custom rules.
- `fastmlp.schedules`: schedules of the learning rate.
- `fastmlp.trainer.Callback`: functions called after each epoch; `fastmlp.trackers`: those for TensorBoard and others.
- `fastmlp.datasets`: MNIST, small sets that need no file, tables and arrays.
- `fastmlp.recipes`: default networks and training options for tables.

Their results:

- `fastmlp.History`: losses and scores of the epochs.
- `fastmlp.metrics`: accuracy, confusion matrix, R².
- `fastmlp.errors`: the exceptions. Each message says what to do.

`fastmlp.available_backends` lists the available backends. The training step is written once, in `fastmlp.step`:
NumPy interprets it, Numba compiles it, CUDA captures it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

# `fastmlp.kernels` is in this folder in an installed package, next to it in a checkout. There a link points to it, also
# for type checkers and editors; but Git on Windows may not create links.
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
from fastmlp.many import fit_many
from fastmlp.mlp import MLP
from fastmlp.optimizers import SGD, Adam, AdamW, RMSprop
from fastmlp.streams.opening import open_samples

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
    "fit_many",
    "get_backend",
    "numerical_gradient",
    "open_samples",
]


def __getattr__(name: str) -> Any:
    if name in ("MLPClassifier", "MLPRegressor"):
        with no_fork():
            from fastmlp import estimators  # imports scikit-learn, so only on demand

        return getattr(estimators, name)
    if name in ("TabularClassifier", "TabularRegressor"):
        with no_fork():
            from fastmlp.tables import estimators as tabular

        return getattr(tabular, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
