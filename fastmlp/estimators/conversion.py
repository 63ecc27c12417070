"""From our estimators to scikit-learn's and back, with all that a fit has left: the optimizer's state too."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from fastmlp.estimators.fitting import OptimizerState
from fastmlp.estimators.parameters import hidden_activations, hidden_sizes
from fastmlp.network import Layout, aligned_zeros
from fastmlp.optimizers import SGD, Adam

__all__ = ["from_sklearn", "layout_of", "to_sklearn"]

# ours by its name in scikit-learn
_ACTIVATIONS = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
_LOSSES = {"identity": "squared_error", "exp": "poisson"}  # by link: enough to predict with
_HOW = {"backend", "n_threads", "quantile", "huber_delta"}  # they change nothing, or go with a loss of ours
_CHOICES = {"solver": ("lbfgs", "sgd", "adam"), "learning_rate": ("constant", "invscaling", "adaptive")}
_PRIVATE = ("_label_binarizer", "_random_state", "_no_improvement_count", "_coef_indptr", "_intercept_indptr")


def to_sklearn(e: Any, predict_only: bool) -> Any:
    """See `BaseMLP.to_sklearn`."""
    kind = _kind(e)
    given, known = e.get_params(deep=False), kind._get_param_names()
    params = {name: given[name] for name in known}
    refused = {}
    activations = set(hidden_activations(e, len(_hidden(e))))
    if len(activations) == 1 and activations <= _ACTIVATIONS.keys():
        params["activation"] = _ACTIVATIONS[activations.pop()]
    elif not activations:
        params["activation"] = "identity"  # of no layer, but scikit-learn looks it up
    else:
        refused["activation"] = given["activation"]
    training = {name: given[name] for name in given.keys() - set(known) - _HOW - {"loss"} if _set(e, name)}
    training |= {name: given[name] for name, choices in _CHOICES.items() if given[name] not in choices}
    loss = given.get("loss", "squared_error")
    if loss not in (_LOSSES.values() if "loss" in known else ("squared_error",)):
        link = e._loss().link
        (training if link == "identity" or (link in _LOSSES and "loss" in known) else refused)["loss"] = loss
        params["loss"] = _LOSSES.get(link)
    if not predict_only:
        refused |= training
    if refused:
        what = ", ".join(f"{name}={value!r}" for name, value in sorted(refused.items()))
        hint = "" if predict_only else " A model that shall only predict: to_sklearn(predict_only=True)."
        raise ValueError(f"scikit-learn's {kind.__name__} has no {what}.{hint if refused == training else ''}")
    params |= {name: kind().get_params()[name] for name in training.keys() & _CHOICES.keys()}
    params, fitted = copy.deepcopy((params, _fitted(e)))
    theirs = kind(**{name: params[name] for name in known})
    if hasattr(e, "coefs_"):
        fitted.pop("best_epoch_", None)  # it follows from the scores
        if not np.isfinite(np.array(fitted.get("validation_loss_curve_") or [], float)).any():
            fitted.pop("validation_loss_curve_", None)
        vars(theirs).update(fitted)
        # with early stopping these are the same lists in scikit-learn, without it nobody reads them
        theirs._best_coefs, theirs._best_intercepts = theirs.coefs_, theirs.intercepts_
        _give_optimizer(e, theirs)
    _carry_requests(e, theirs)
    return theirs


def from_sklearn(cls: type, theirs: Any, ours: Mapping[str, Any]) -> Any:
    """See `BaseMLP.from_sklearn`."""
    kind = _kind(cls())
    if not isinstance(theirs, kind):
        raise TypeError(f"from_sklearn takes a {kind.__module__.split('.')[0]} {kind.__name__}, got {theirs!r}.")
    params, fitted = copy.deepcopy((theirs.get_params(deep=False), _fitted(theirs)))
    e = cls(**(params | dict(ours)))
    if hasattr(theirs, "coefs_"):
        vars(e).update(fitted)
        e._own_weights()
        if hasattr(e, "validation_scores_"):
            scores = e.validation_scores_
            losses = None if scores is None else [float("nan")] * len(scores)
            vars(e).setdefault("validation_loss_curve_", losses)
            if scores and e.best_validation_score_ in scores:
                e.best_epoch_ = scores.index(e.best_validation_score_) + 1
        if hasattr(theirs, "_optimizer"):
            its = theirs._optimizer
            e._optimizer = copy.deepcopy(its) if isinstance(its, OptimizerState) else _take_optimizer(theirs)
    _carry_requests(theirs, e)
    return e


def _kind(e: Any) -> Any:
    """scikit-learn's class for an estimator.

    Bound when this module is imported: programs replace the classes in scikit-learn's own modules by ours.
    """
    return MLPClassifier if is_classifier(e) else MLPRegressor


def _hidden(e: Any) -> list[int]:
    return [w.shape[1] for w in e.coefs_[:-1]] if hasattr(e, "coefs_") else hidden_sizes(e)


def _set(e: Any, name: str) -> bool:
    """Whether a parameter that only we have does something."""
    value, default = getattr(e, name), inspect.signature(type(e)).parameters[name].default
    if default is None:
        return value is not None and (not hasattr(value, "__len__") or len(value) > 0)
    return bool(np.any(value)) if default == 0 else value != default


def _fitted(e: Any) -> dict[str, Any]:
    public = {name: value for name, value in vars(e).items() if name.endswith("_") and not name.startswith("_")}
    return public | {name: vars(e)[name] for name in _PRIVATE if name in vars(e)}


def layout_of(e: Any) -> Layout:
    """Where the weights of a fitted estimator, ours or scikit-learn's, would lie in one buffer."""
    return Layout.of([len(e.coefs_[0]), *(w.shape[1] for w in e.coefs_)])


def _give_optimizer(e: Any, theirs: Any) -> None:
    """scikit-learn's optimizer in the state of ours."""
    state: OptimizerState | None = getattr(e, "_optimizer", None)
    if state is None or type(state.rule) not in (SGD, Adam):
        return
    layout, params = layout_of(e), [*theirs.coefs_, *theirs.intercepts_]
    rule: Any = state.rule
    moments = [
        [array.copy() for array in (*layout.weights(flat), *layout.biases(flat))] if flat.size else None
        for flat in state.moments
    ]
    optimizer: Any
    if isinstance(rule, SGD):
        optimizer = SGDOptimizer(params, rule.lr, state.follows, rule.momentum, rule.nesterov, state.power_t)
        optimizer.learning_rate = state.learning_rate
        optimizer.velocities = moments[0] or optimizer.velocities  # none without momentum
    else:
        optimizer = AdamOptimizer(params, rule.lr, rule.beta1, rule.beta2, rule.epsilon)
        optimizer.t, (optimizer.ms, optimizer.vs) = state.step, moments
        corrections = np.sqrt(1 - rule.beta2**state.step) / (1 - rule.beta1**state.step)
        optimizer.learning_rate = rule.lr * corrections
    theirs._optimizer = optimizer


def _take_optimizer(theirs: Any) -> OptimizerState:
    """Our state of scikit-learn's optimizer."""
    its, layout, dtype = theirs._optimizer, layout_of(theirs), theirs.coefs_[0].dtype

    def flat(arrays: list[np.ndarray]) -> np.ndarray:
        whole = aligned_zeros(layout.n_params, dtype)
        for view, array in zip((*layout.weights(whole), *layout.biases(whole)), arrays, strict=True):
            view[...] = array
        return whole

    epochs = len(theirs.loss_curve_)
    if isinstance(its, AdamOptimizer):
        rule = Adam(its.learning_rate_init, its.beta_1, its.beta_2, its.epsilon, epsilon_hat=True)
        return OptimizerState(
            rule, its.t, epochs, its.learning_rate_init, "constant", 0.5, (flat(its.ms), flat(its.vs))
        )
    none = np.zeros(0, dtype)
    velocities = flat(its.velocities) if its.momentum else none
    sgd = SGD(its.learning_rate_init, momentum=its.momentum, nesterov=bool(its.nesterov))
    return OptimizerState(sgd, 0, epochs, its.learning_rate, its.lr_schedule, its.power_t, (velocities, none))


def _carry_requests(old: Any, new: Any) -> None:
    """What `set_fit_request` and the like have set, as far as the other side has such metadata."""
    if "_metadata_request" not in vars(old):
        return
    requests = new._get_metadata_request()
    for method in ("fit", "partial_fit", "score"):
        known = getattr(requests, method)
        for name, alias in getattr(old._metadata_request, method).requests.items():
            if name in known.requests:
                known.add_request(param=name, alias=alias)
    new._metadata_request = requests
