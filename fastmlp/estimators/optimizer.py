"""The state that `partial_fit` goes on with, and scikit-learn's optimizers, by which users see and set it.

The state is flat arrays, as the engine has them. The estimator's `_optimizer` is scikit-learn's object, whose arrays
are views of them; once somebody has read it they are copies, and the next `partial_fit` reads the object back, with
whatever has been set in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, BaseOptimizer, SGDOptimizer

from fastmlp.estimators.cache import cache_of
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import arithmetic, fitted_arrays, layout_of
from fastmlp.network import Layout, aligned_zeros
from fastmlp.optimizers import SGD, Adam, Optimizer

__all__ = [
    "OptimizerState",
    "Unread",
    "from_plain",
    "mark_unread",
    "optimizer_state",
    "read_optimizer",
    "refresh_numbers",
    "store_state",
    "to_plain",
    "unread_of",
]


# of scikit-learn's optimizers; a user may put others into an object
_METHODS = {"update_params", "iteration_ends", "trigger_stopping", "_get_updates"}


@dataclass
class OptimizerState:
    """Where an optimizer is."""

    rule: Optimizer  # as it was: scikit-learn's keeps its constants, too, whatever the parameters are by now
    step: int
    epochs: int
    learning_rate: float
    follows: str  # see `Convergence`
    power_t: float
    moments: np.ndarray  # (M, P), see `fastmlp.network.Update`


class Unread(NamedTuple):
    """scikit-learn's optimizer of an estimator while nobody has read it: its arrays are those that are trained."""

    optimizer: Any
    state: OptimizerState
    layout: Layout  # of the arrays of that state


class RuleOptimizer(BaseOptimizer):
    """An optimizer that scikit-learn does not have, in the words of those that it has.

    Attributes
    ----------
    rule : fastmlp.optimizers.Optimizer
        With its constants; the learning rate is `learning_rate_init`.
    t : int
        Updates done.
    moments : list of lists of arrays
        What the rule remembers of `coefs_`, then `intercepts_`; a list for each of its moments.
    """

    def __init__(self, rule: Optimizer) -> None:
        super().__init__(rule.lr)
        self.rule, self.t = rule, 0
        self.moments: list[list[np.ndarray]] = []


def read_optimizer(estimator: Estimator) -> Any:
    """The optimizer for users, who may hold its arrays: they are copies from now on; None if there is none."""
    optimizer, cache = vars(estimator).get("_optimizer"), cache_of(estimator)
    if unread := unread_of(estimator):
        cache.optimizer = None
        _refresh(optimizer, unread.state, unread.layout, copies=True)
    return optimizer


def unread_of(estimator: Estimator) -> Unread | None:
    """The optimizer with its state, unless somebody has read it, or has put another one there."""
    unread: Unread | None = cache_of(estimator).optimizer
    return unread if unread is not None and unread.optimizer is vars(estimator).get("_optimizer") else None


def mark_unread(estimator: Estimator) -> None:
    """Let the optimizer of a model that was copied or loaded be as after a fit: nobody has read it.

    Else every partial fit from now on would read it and bring it to the new state.
    """
    optimizer = vars(estimator).get("_optimizer")
    if optimizer is not None:
        with suppress(ValueError):  # it cannot be read, or the weights do not fit together: `partial_fit` will say so
            layout = layout_of(estimator)
            state = _state_of(optimizer, layout, arithmetic(*fitted_arrays(estimator)), _epochs_done(estimator))
            cache_of(estimator).optimizer = Unread(optimizer, state, layout)
            _refresh(optimizer, state, layout, copies=False)


def optimizer_state(estimator: Estimator, layout: Layout, dtype: np.dtype) -> OptimizerState | None:
    """What the fit before has left, or a user has put there."""
    optimizer = vars(estimator).get("_optimizer")
    if optimizer is None:
        return None
    unread = unread_of(estimator)
    if unread is None:
        return _state_of(optimizer, layout, dtype, _epochs_done(estimator))
    if unread.state.moments.shape[1] != layout.n_params:
        raise ValueError(
            "_optimizer is that of a network with other layers. Delete it to begin with a new one: del "
            "estimator._optimizer."
        )
    return unread.state


def store_state(estimator: Estimator, state: OptimizerState, layout: Layout, same: bool) -> None:
    """Let the estimator have that state: in the optimizer that is there if it goes on with the same, else in a new one.

    Unless somebody has read it, its arrays are those that are trained.
    """
    attributes, cache, unread = vars(estimator), cache_of(estimator), unread_of(estimator)
    if attributes.get("_optimizer") is None or not same:
        attributes["_optimizer"] = _new_optimizer(state)
    elif unread is None:
        _refresh(attributes["_optimizer"], state, layout, copies=True)
        return
    cache.optimizer = Unread(attributes["_optimizer"], state, layout)
    _refresh(attributes["_optimizer"], state, layout, copies=False)


def _epochs_done(estimator: Estimator) -> int:
    return len(vars(estimator).get("loss_curve_", ()))


def _new_optimizer(state: OptimizerState) -> Any:
    """An optimizer of scikit-learn's, or of its kind."""
    rule: Any = state.rule
    if type(rule) is SGD:
        return SGDOptimizer([], rule.lr, state.follows, rule.momentum, rule.nesterov, state.power_t)
    if type(rule) is Adam and rule.epsilon_hat:
        return AdamOptimizer([], rule.lr, rule.beta1, rule.beta2, rule.epsilon)
    return RuleOptimizer(rule)


def _refresh(optimizer: Any, state: OptimizerState, layout: Layout, copies: bool) -> None:
    """Bring the optimizer to the state. As copies its arrays are new ones, as scikit-learn makes with every update."""
    moments = [_apart(flat, layout, copies) for flat in state.moments]
    if isinstance(optimizer, SGDOptimizer):
        none = np.zeros(layout.n_params, state.moments.dtype)  # without momentum nobody reads velocities
        optimizer.velocities = moments[0] if moments else _apart(none, layout, False)
        optimizer.unread = None if moments else optimizer.velocities
    elif isinstance(optimizer, AdamOptimizer):
        optimizer.ms, optimizer.vs = moments
    else:
        optimizer.moments = moments
    refresh_numbers(optimizer, state)


def refresh_numbers(optimizer: Any, state: OptimizerState) -> None:
    """Bring all but the arrays of the optimizer to the state."""
    rule: Any = state.rule
    optimizer.epochs = state.epochs  # for schedules, which scikit-learn does not have
    if isinstance(optimizer, SGDOptimizer):
        optimizer.learning_rate = state.learning_rate
        return
    optimizer.t = state.step
    if isinstance(optimizer, AdamOptimizer) and state.step:
        optimizer.learning_rate = rule.lr * np.sqrt(1 - rule.beta2**state.step) / (1 - rule.beta1**state.step)


def _state_of(optimizer: Any, layout: Layout, dtype: np.dtype, epochs: int) -> OptimizerState:
    """The state of an optimizer that `store_state` or scikit-learn has made; epochs: those done, if it does not know.

    Raises
    ------
    ValueError
        It is none of these, or makes other steps, or its arrays are not of the shapes of `coefs_` and `intercepts_`.
    """
    epochs = getattr(optimizer, "epochs", epochs)
    if type(optimizer) not in (AdamOptimizer, SGDOptimizer, RuleOptimizer) or _METHODS & vars(optimizer).keys():
        raise ValueError(
            f"_optimizer={optimizer!r} makes steps of its own, and the steps here are compiled. Give one of fastmlp's "
            "optimizers as solver, or delete _optimizer to begin with a new one."
        )
    if isinstance(optimizer, AdamOptimizer):
        betas = optimizer.beta_1, optimizer.beta_2
        adam = Adam(optimizer.learning_rate_init, *betas, optimizer.epsilon, epsilon_hat=True)
        moments = _flat([optimizer.ms, optimizer.vs], layout, dtype)
        return OptimizerState(adam, int(optimizer.t), epochs, adam.lr, "constant", 0.5, moments)
    if isinstance(optimizer, SGDOptimizer):
        sgd = SGD(optimizer.learning_rate_init, momentum=optimizer.momentum, nesterov=bool(optimizer.nesterov))
        if sgd.momentum and _is_unread(optimizer):
            raise ValueError(
                f"momentum={sgd.momentum:g} was set in _optimizer, whose steps had none before, so there are no "
                "velocities to go on with. Assign a list of arrays to _optimizer.velocities, or delete _optimizer."
            )
        moments = _flat([optimizer.velocities] if sgd.momentum else [], layout, dtype)
        rate, follows = float(optimizer.learning_rate), optimizer.lr_schedule
        return OptimizerState(sgd, 0, epochs, rate, follows, optimizer.power_t, moments)
    rule = replace(optimizer.rule, lr=optimizer.learning_rate_init)
    moments = _flat(optimizer.moments, layout, dtype)
    return OptimizerState(rule, int(optimizer.t), epochs, rule.lr, "constant", 0.5, moments)


def to_plain(optimizer: Any) -> Any:
    """scikit-learn's optimizers as a dict for pickles: formats that ask which types to trust know no other."""
    if type(optimizer) not in (AdamOptimizer, SGDOptimizer):
        return optimizer
    plain = vars(optimizer) | {"kind": type(optimizer).__name__, "unread": _is_unread(optimizer)}
    plain.pop("params", None)  # they would be written twice
    return plain


def from_plain(plain: Any) -> Any:
    """The optimizer that `to_plain` was given."""
    if not isinstance(plain, dict):
        return plain
    kind = AdamOptimizer if plain["kind"] == "AdamOptimizer" else SGDOptimizer
    optimizer = kind.__new__(kind)
    vars(optimizer).update({name: value for name, value in plain.items() if name != "kind"})
    optimizer.unread = optimizer.velocities if plain["unread"] else None
    return optimizer


def _is_unread(optimizer: Any) -> bool:
    """Whether its velocities are zeros that stand for those of steps without momentum."""
    return getattr(optimizer, "unread", None) is not None and optimizer.unread is optimizer.velocities


def _apart(flat: np.ndarray, layout: Layout, copies: bool) -> list[np.ndarray]:
    """The parts of a flat array (P,), weights before biases."""
    parts = [*layout.weights(flat), *layout.biases(flat)]
    return [part.copy() for part in parts] if copies else parts


def _flat(moments: Sequence[Any], layout: Layout, dtype: np.dtype) -> np.ndarray:
    """Moments (M, P) from a list of arrays for each."""
    whole = aligned_zeros(len(moments) * layout.n_params, dtype).reshape(len(moments), layout.n_params)
    for flat, arrays in zip(whole, moments, strict=True):
        views = [*layout.weights(flat), *layout.biases(flat)]
        shapes, wanted = [np.shape(array) for array in arrays], [view.shape for view in views]
        if [np.prod(shape) for shape in shapes] != [view.size for view in views]:
            raise ValueError(
                f"_optimizer has moments of the shapes {shapes}, but coefs_ and intercepts_ have the shapes {wanted}. "
                "Delete _optimizer to begin with a new one."
            )
        for view, array in zip(views, arrays, strict=True):
            view[...] = np.reshape(array, view.shape)
    return whole
