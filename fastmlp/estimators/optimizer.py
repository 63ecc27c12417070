"""The state that `partial_fit` goes on with, and scikit-learn's optimizers as its face.

The state is flat arrays, as the engine has them. The estimator's `_optimizer` is scikit-learn's object, whose arrays
are views of them; once somebody has looked at it they are copies, and the next `partial_fit` reads the object back,
with whatever has been set in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, BaseOptimizer, SGDOptimizer

from fastmlp.estimators.fitted_weights import arithmetic, fitted_arrays, layout_of
from fastmlp.estimators.kept import kept_of
from fastmlp.network import Layout, aligned_zeros
from fastmlp.optimizers import SGD, Adam, Optimizer

__all__ = [
    "OptimizerState",
    "from_plain",
    "keep_state",
    "look",
    "optimizer_state",
    "refresh_numbers",
    "to_plain",
    "unlooked",
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


def look(e: Any) -> Any:
    """The optimizer of the estimator for users, who may hold its arrays: they are copies from now on; None: none."""
    face, kept = vars(e).get("_optimizer"), kept_of(e)
    if face is not None and face is kept.face:
        kept.face = None
        _refresh(face, kept.state, kept.layout, copies=True)
    return face


def unlooked(e: Any) -> None:
    """Let the optimizer of a model that was copied or loaded be as after a fit: nobody has looked at it.

    Else every partial fit from now on would read it and bring it to the new state.
    """
    face, kept = vars(e).get("_optimizer"), kept_of(e)
    if face is not None:
        with suppress(ValueError):  # it cannot be read, or the weights do not fit together: `partial_fit` will say so
            layout = layout_of(e)
            kept.state, kept.layout = optimizer_state(e, layout, arithmetic(*fitted_arrays(e))), layout
            kept.face = face
            _refresh(face, kept.state, layout, copies=False)


def optimizer_state(e: Any, layout: Layout, dtype: np.dtype) -> OptimizerState | None:
    """What the fit before has left, or a user has put there."""
    face, kept = vars(e).get("_optimizer"), kept_of(e)
    if face is None:
        return None
    if face is not kept.face:
        return _from_face(face, layout, dtype, len(vars(e).get("loss_curve_", ())))
    if kept.state.moments.shape[1] != layout.n_params:
        raise ValueError(
            "_optimizer is that of a network with other layers. Delete it to begin with a new one: del "
            "estimator._optimizer."
        )
    return kept.state


def keep_state(e: Any, state: OptimizerState, layout: Layout, same: bool) -> None:
    """Let the estimator have that state: in the optimizer that is there if it goes on with the same, else in a new one.

    Unless somebody has looked, its arrays are those that are trained.
    """
    face, kept = vars(e).get("_optimizer"), kept_of(e)
    if face is None or not same:
        face = vars(e)["_optimizer"] = kept.face = _new_face(state)
    kept.state, kept.layout = state, layout
    _refresh(face, state, layout, copies=face is not kept.face)


def _new_face(state: OptimizerState) -> Any:
    """An optimizer of scikit-learn's, or of its kind."""
    rule: Any = state.rule
    if type(rule) is SGD:
        return SGDOptimizer([], rule.lr, state.follows, rule.momentum, rule.nesterov, state.power_t)
    if type(rule) is Adam and rule.epsilon_hat:
        return AdamOptimizer([], rule.lr, rule.beta1, rule.beta2, rule.epsilon)
    return RuleOptimizer(rule)


def _refresh(face: Any, state: OptimizerState, layout: Layout, copies: bool) -> None:
    """Bring the face to the state. As copies its arrays are new ones, as scikit-learn makes with every update."""
    moments = [_apart(flat, layout, copies) for flat in state.moments]
    if isinstance(face, SGDOptimizer):
        none = np.zeros(layout.n_params, state.moments.dtype)  # without momentum nobody reads velocities
        face.velocities = moments[0] if moments else _apart(none, layout, False)
        face.unread = None if moments else face.velocities
    elif isinstance(face, AdamOptimizer):
        face.ms, face.vs = moments
    else:
        face.moments = moments
    refresh_numbers(face, state)


def refresh_numbers(face: Any, state: OptimizerState) -> None:
    """Bring all but the arrays of the face to the state."""
    rule: Any = state.rule
    face.epochs = state.epochs  # for schedules, which scikit-learn does not have
    if isinstance(face, SGDOptimizer):
        face.learning_rate = state.learning_rate
        return
    face.t = state.step
    if isinstance(face, AdamOptimizer) and state.step:
        face.learning_rate = rule.lr * np.sqrt(1 - rule.beta2**state.step) / (1 - rule.beta1**state.step)


def _from_face(face: Any, layout: Layout, dtype: np.dtype, epochs: int) -> OptimizerState:
    """The state of an optimizer that `keep_state` or scikit-learn has made; epochs: those done, if it does not know.

    Raises
    ------
    ValueError
        It is none of these, or makes other steps, or its arrays are not of the shapes of `coefs_` and `intercepts_`.
    """
    epochs = getattr(face, "epochs", epochs)
    if type(face) not in (AdamOptimizer, SGDOptimizer, RuleOptimizer) or _METHODS & vars(face).keys():
        raise ValueError(
            f"_optimizer={face!r} makes steps of its own, and the steps here are compiled. Give one of fastmlp's "
            "optimizers as solver, or delete _optimizer to begin with a new one."
        )
    if isinstance(face, AdamOptimizer):
        adam = Adam(face.learning_rate_init, face.beta_1, face.beta_2, face.epsilon, epsilon_hat=True)
        moments = _flat([face.ms, face.vs], layout, dtype)
        return OptimizerState(adam, int(face.t), epochs, adam.lr, "constant", 0.5, moments)
    if isinstance(face, SGDOptimizer):
        sgd = SGD(face.learning_rate_init, momentum=face.momentum, nesterov=bool(face.nesterov))
        if sgd.momentum and _is_unread(face):
            raise ValueError(
                f"momentum={sgd.momentum:g} was set in _optimizer, whose steps had none before, so there are no "
                "velocities to go on with. Assign a list of arrays to _optimizer.velocities, or delete _optimizer."
            )
        moments = _flat([face.velocities] if sgd.momentum else [], layout, dtype)
        return OptimizerState(sgd, 0, epochs, float(face.learning_rate), face.lr_schedule, face.power_t, moments)
    rule = replace(face.rule, lr=face.learning_rate_init)
    moments = _flat(face.moments, layout, dtype)
    return OptimizerState(rule, int(face.t), epochs, rule.lr, "constant", 0.5, moments)


def to_plain(face: Any) -> Any:
    """scikit-learn's optimizers as a dict for pickles: formats that ask which types to trust know no other."""
    if type(face) not in (AdamOptimizer, SGDOptimizer):
        return face
    plain = vars(face) | {"kind": type(face).__name__, "unread": _is_unread(face)}
    plain.pop("params", None)  # they would be written twice
    return plain


def from_plain(plain: Any) -> Any:
    """The optimizer that `to_plain` was given."""
    if not isinstance(plain, dict):
        return plain
    kind = AdamOptimizer if plain["kind"] == "AdamOptimizer" else SGDOptimizer
    face = kind.__new__(kind)
    vars(face).update({name: value for name, value in plain.items() if name != "kind"})
    face.unread = face.velocities if plain["unread"] else None
    return face


def _is_unread(face: Any) -> bool:
    """Whether its velocities are zeros that stand for those of steps without momentum."""
    return getattr(face, "unread", None) is not None and face.unread is face.velocities


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
