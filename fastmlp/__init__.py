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

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# `fastmlp.kernels` is in this folder in an installed package, next to it in a checkout. There a link points to it, also
# for type checkers and editors; but Git on Windows may not create links.
if not Path(__path__[0], "kernels").is_dir():
    __path__.append(str(Path(__path__[0]).parent))

from fastmlp.forks import no_fork

if TYPE_CHECKING:
    from fastmlp.backends import available_backends, get_backend
    from fastmlp.engine import Gradients
    from fastmlp.errors import (
        BackendUnavailableError,
        DivergenceError,
        FastmlpError,
        InputError,
        ModelFileError,
        OutOfDeviceMemoryError,
        RankError,
    )
    from fastmlp.estimators import MLPClassifier, MLPRegressor
    from fastmlp.gradient_check import numerical_gradient
    from fastmlp.history import History
    from fastmlp.many import fit_many
    from fastmlp.mlp import MLP
    from fastmlp.optimizers import SGD, Adam, AdamW, RMSprop
    from fastmlp.streams.opening import open_samples
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
    "RankError",
    "TabularClassifier",
    "TabularRegressor",
    "available_backends",
    "fit_many",
    "get_backend",
    "numerical_gradient",
    "open_samples",
]


_NAMES = {
    "backends": ["available_backends", "get_backend"],
    "engine": ["Gradients"],
    "errors": [name for name in __all__ if name.endswith("Error")],
    "estimators": ["MLPClassifier", "MLPRegressor"],
    "gradient_check": ["numerical_gradient"],
    "history": ["History"],
    "many": ["fit_many"],
    "mlp": ["MLP"],
    "optimizers": ["SGD", "Adam", "AdamW", "RMSprop"],
    "streams.opening": ["open_samples"],
    "tables.estimators": ["TabularClassifier", "TabularRegressor"],
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """What is first used here, imported now: one of `__all__`, or a module of the package."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = f"{__name__}.{_HOMES.get(name, name)}"
    try:
        with no_fork():
            found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = getattr(found, name) if name in _HOMES else found
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
