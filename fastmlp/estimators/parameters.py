"""The parameters of the estimators: what may be given, with scikit-learn's messages, and what it means here."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from operator import index
from typing import Any

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from fastmlp.activations import ACTIVATIONS, Activation
from fastmlp.backends import BACKENDS, PRECISIONS, get_backend
from fastmlp.engine import Engine
from fastmlp.estimators.buffer import Buffer
from fastmlp.estimators.estimator import Estimator
from fastmlp.losses import LOSSES, OF_SCIKIT_LEARN, Loss, get_loss, huber, quantile
from fastmlp.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastmlp.schedules import SCHEDULES, Schedule, get_schedule

__all__ = [
    "ALIASES",
    "CONSTRAINTS",
    "REGRESSION_LOSSES",
    "batch_size",
    "hidden_activations",
    "hidden_sizes",
    "keep_probabilities",
    "make_engine",
    "make_optimizer",
    "own_schedule",
    "regression_loss",
]

# scikit-learn's name of what everybody else calls the sigmoid
ALIASES = {"logistic": "sigmoid"}

REGRESSION_LOSSES = {"squared_error", *(name for name, loss in LOSSES.items() if not loss.classifies)}

CONSTRAINTS: dict[str, list] = {
    # scikit-learn's
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions({*ACTIVATIONS, *ALIASES}), "array-like"],
    "solver": [StrOptions({"lbfgs", "sgd", "adam", "adamw", "rmsprop"}), Optimizer],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", *SCHEDULES}), HasMethods("rates")],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    # ours
    "backend": [StrOptions({*BACKENDS, "auto"}), None],
    "dtype": [StrOptions({"auto", "float32", "float64"})],
    "precision": [StrOptions({*PRECISIONS})],
    "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "l1": [Interval(Real, 0, None, closed="left")],
    "max_norm": [Interval(Real, 0, None, closed="neither"), None],
    "early_stopping_metric": [str, callable],
    "coefs_init": [list, tuple, None],
    "intercepts_init": [list, tuple, None],
    "callbacks": [list, tuple, None],
}


def hidden_sizes(estimator: Estimator) -> list[int]:
    """Widths of the hidden layers."""
    given = estimator.hidden_layer_sizes
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    if np.any(np.array(sizes) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [index(size) for size in sizes]


def hidden_activations(estimator: Estimator, layers: int) -> list[str | Activation]:
    """An activation, by its name in `fastmlp.activations` or one of the user's own, for each of the hidden layers."""
    given = estimator.activation
    names = [given] * layers if isinstance(given, (str, Activation)) else list(given)
    known: list[Any] = [ALIASES.get(name, name) if isinstance(name, str) else name for name in names]
    if len(known) != layers or not all(isinstance(one, Activation) or one in (*ACTIVATIONS,) for one in known):
        raise ValueError(
            f"activation={given!r} must be one name, or a list with one name for each of the {layers} hidden layers, "
            f"among {', '.join(sorted({*ACTIVATIONS, *ALIASES}))}; or made by fastmlp.activations.custom_activation."
        )
    return known


def keep_probabilities(estimator: Estimator, layers: int) -> tuple[float, ...] | None:
    """Probability that an output survives dropout, per layer with the output layer; None without dropout."""
    given = estimator.dropout
    rates: list[Any] = [given] * layers if np.isscalar(given) else list(given)
    if len(rates) != layers or not all(isinstance(p, Real) and 0 <= float(p) < 1 for p in rates):
        raise ValueError(
            f"dropout={given!r} must be a number in [0, 1), or a list with one for each of the {layers} hidden layers."
        )
    return (*(1.0 - float(p) for p in rates), 1.0) if any(rates) else None


def batch_size(estimator: Estimator, n: int) -> int:
    """Rows of a batch where there are n samples."""
    if isinstance(estimator.batch_size, str):  # "auto"
        return min(200, n)
    if estimator.batch_size > n:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=2
        )
    return min(int(estimator.batch_size), n)


def make_engine(estimator: Estimator, buffer: Buffer) -> Engine:
    """An engine on the fitted weights in that buffer."""
    estimator, layers = estimator, len(buffer.layout.sizes) - 1
    return Engine(
        layout=buffer.layout,
        activations=[*hidden_activations(estimator, len(estimator.coefs_) - 1)[: layers - 1], None],
        loss=estimator._fastmlp_loss(),
        params=buffer.params,
        backend=get_backend(estimator.backend, estimator.precision),
        n_threads=estimator.n_threads,
        l1=float(estimator.l1),
        l2=float(estimator.alpha),
        penalty_shared=True,
        sessions=buffer.sessions,
    )


def make_optimizer(estimator: Estimator) -> Optimizer:
    """The optimizer that the solver stands for."""
    estimator, lr = estimator, float(estimator.learning_rate_init)
    if isinstance(estimator.solver, Optimizer):
        return estimator.solver
    if estimator.solver == "sgd":
        return SGD(lr, momentum=estimator.momentum, nesterov=bool(estimator.nesterovs_momentum))
    if estimator.solver == "rmsprop":
        return RMSprop(lr, epsilon=estimator.epsilon)
    kind = Adam if estimator.solver == "adam" else AdamW
    return kind(lr, estimator.beta_1, estimator.beta_2, estimator.epsilon, epsilon_hat=True)


def own_schedule(estimator: Estimator) -> Schedule | None:
    """A schedule of ours, or None for scikit-learn's three."""
    given = estimator.learning_rate
    if not isinstance(given, str):
        return get_schedule(given)
    return None if given in ("constant", "invscaling", "adaptive") else SCHEDULES[given]()


# scikit-learn's: ½ (ŷ-y)², its value a mean over the outputs, but its gradient a sum
_SQUARED_ERROR = OF_SCIKIT_LEARN["half_mean_squared_error"]._replace(name="squared_error")


def regression_loss(given: str | Loss, quantiles: Any, delta: float) -> Loss:
    """The loss of a regressor, from its parameters `loss`, `quantile` and `huber_delta`."""
    if given == "squared_error":
        return _SQUARED_ERROR
    if given == "huber":
        return huber(delta)
    return quantile(quantiles) if given == "quantile" else get_loss(given)
