"""Private methods of scikit-learn's estimators that subclasses override: those that are called here, and the others.

Called: `_validate_input`, `_initialize`, `_init_coef`, `_fit`, `_check_solver`, and to predict `_predict` and
`_forward_pass_fast`. What replaces a part of the training step is refused: the step is compiled and never calls it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from fastmlp.estimators.estimator import Estimator

__all__ = ["HOOKS", "estimator_class", "overridden", "refuse_overridden"]

T = TypeVar("T", bound=type)

_STEP = (
    "give a loss of your own as MLPRegressor(loss=custom_loss(value, gradient)), penalties as alpha and l1, or write "
    "the training loop yourself with fastmlp.MLP and its `gradients`"
)
_LOOP = "give functions as `callbacks`, which see every epoch and may stop training or change weights"
_SCORE = "give a scorer or a function of (estimator, X, y) as `early_stopping_metric`"
_LBFGS = f"choose another solver, or {_STEP}"

# The public way to what each is overridden for. scikit-learn calls those of _ALWAYS in every fit, the others in some.
_ALWAYS = {
    "_forward_pass": "choose the activation of each layer by `activation`, or read layers with `hidden_activations(X)`",
    "_backprop": _STEP,
    "_compute_loss_grad": _STEP,
}
_WITH_STEPS = {"_fit_stochastic": _LOOP, "_update_no_improvement_count": f"{_SCORE}, or {_LOOP}"}
_WITH_LBFGS = {"_fit_lbfgs": _LBFGS, "_loss_grad_lbfgs": _LBFGS, "_unpack": _LBFGS}
_WITH_EARLY_STOPPING = {"_score": _SCORE, "_predict": _SCORE, "_forward_pass_fast": _SCORE}
_CALLED = ("_validate_input", "_initialize", "_init_coef", "_fit", "_check_solver")
HOOKS = (*_ALWAYS, *_WITH_STEPS, *_WITH_LBFGS, *_WITH_EARLY_STOPPING, *_CALLED)

_OURS: dict[str, list[Any]] = {}  # by name: what the classes of this package have there


def estimator_class(cls: T) -> T:
    """Decorate a class whose own methods do not count as overridden."""
    for name in HOOKS:
        _OURS.setdefault(name, []).append(getattr(cls, name))
    return cls


def overridden(estimator: Estimator, name: str) -> bool:
    """Whether a subclass, the user's patch of a class, or of this one object, has put its own method there."""
    return getattr(type(estimator), name) not in _OURS[name] or name in vars(estimator)


def refuse_overridden(estimator: Estimator) -> None:
    """TypeError if a subclass overrides a method that is never called here, or has a parameter's name for its own."""
    own = next(cls for cls in type(estimator).__mro__ if cls.__module__.startswith("fastmlp."))
    for cls in type(estimator).__mro__[: type(estimator).__mro__.index(own)]:
        for name in vars(cls).keys() & estimator._fastmlp_defaults.keys():
            if not hasattr(vars(cls)[name], "__set__"):  # a property may take what the constructor gives
                raise TypeError(
                    f"{cls.__name__} has a class attribute {name!r}, which is a parameter of fastmlp's {own.__name__} "
                    "and would be hidden by it. Give it another name, or pass the parameter to the constructor."
                )
    with_steps = _WITH_STEPS | (_WITH_EARLY_STOPPING if estimator.early_stopping else {})
    hooks = _ALWAYS | (_WITH_LBFGS if estimator.solver == "lbfgs" else with_steps)
    for name, instead in hooks.items():
        if overridden(estimator, name):
            raise TypeError(
                f"{type(estimator).__name__} overrides {name}, which fastmlp never calls: its training step is "
                f"compiled as a whole. Instead {instead}; or train with scikit-learn's class."
            )
