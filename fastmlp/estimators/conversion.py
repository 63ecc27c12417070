"""From our estimators to scikit-learn's and back, with all that a fit has left: the optimizer's state too."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from fastmlp.activations import name_of
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import own_weights
from fastmlp.estimators.parameters import hidden_activations, hidden_sizes

__all__ = ["from_sklearn", "to_sklearn"]

# ours by its name in scikit-learn
_ACTIVATIONS = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
_LOSSES = {"identity": "squared_error", "exp": "poisson"}  # by link: enough to predict with
_IRRELEVANT = {"backend", "n_threads", "quantile", "huber_delta"}  # they change nothing, or go with a loss of ours
_CHOICES = {"solver": ("lbfgs", "sgd", "adam"), "learning_rate": ("constant", "invscaling", "adaptive")}
_PRIVATE = (
    "_label_binarizer",
    "_random_state",
    "_no_improvement_count",
    "_coef_indptr",
    "_intercept_indptr",
    "_best_coefs",
    "_best_intercepts",
)


def to_sklearn(estimator: Estimator, predict_only: bool) -> Any:
    """See `BaseMLP.to_sklearn`."""
    kind = _kind(type(estimator))
    given, known = {name: getattr(estimator, name) for name in estimator._fastmlp_defaults}, kind._get_param_names()
    params = {name: given[name] for name in known}
    refused = {}
    activations = set(map(name_of, hidden_activations(estimator, len(_hidden(estimator)))))
    if len(activations) == 1 and activations <= _ACTIVATIONS.keys():
        params["activation"] = _ACTIVATIONS[activations.pop()]
    elif not activations:
        params["activation"] = "identity"  # of no layer, but scikit-learn looks it up
    else:
        refused["activation"] = given["activation"]
    training = {
        name: given[name] for name in given.keys() - set(known) - _IRRELEVANT - {"loss"} if _has_effect(estimator, name)
    }
    training |= {name: given[name] for name, choices in _CHOICES.items() if given[name] not in choices}
    loss = given.get("loss", "squared_error")
    if loss not in (_LOSSES.values() if "loss" in known else ("squared_error",)):
        link = estimator._fastmlp_loss().link
        (training if link == "identity" or (link in _LOSSES and "loss" in known) else refused)["loss"] = loss
        params["loss"] = _LOSSES.get(link)
    if not predict_only:
        refused |= training
    if refused:
        what = ", ".join(f"{name}={value!r}" for name, value in sorted(refused.items()))
        hint = "" if predict_only else " A model that shall only predict: to_sklearn(predict_only=True)."
        raise ValueError(f"scikit-learn's {kind.__name__} has no {what}.{hint if refused == training else ''}")
    params |= {name: kind().get_params()[name] for name in training.keys() & _CHOICES.keys()}
    params, fitted = copy.deepcopy((params, _fitted(estimator)))
    theirs = kind(**{name: params[name] for name in known})
    if hasattr(estimator, "coefs_"):
        fitted.pop("best_epoch_", None)  # it follows from the scores
        if not np.isfinite(np.array(fitted.get("validation_loss_curve_") or [], float)).any():
            fitted.pop("validation_loss_curve_", None)
        vars(theirs).update(fitted)
        vars(theirs).setdefault("_best_coefs", theirs.coefs_)  # without early stopping nobody reads these
        vars(theirs).setdefault("_best_intercepts", theirs.intercepts_)
        optimizer = copy.deepcopy(vars(estimator).get("_optimizer"))
        if isinstance(optimizer, (AdamOptimizer, SGDOptimizer)):
            for name in ("epochs", "params", "unread"):
                vars(optimizer).pop(name, None)
            theirs._optimizer = optimizer
    _carry_requests(estimator, theirs)
    return theirs


def from_sklearn(cls: Any, theirs: Any, ours: Mapping[str, Any]) -> Any:
    """See `BaseMLP.from_sklearn`."""
    kind = _kind(cls)
    if not isinstance(theirs, kind):
        raise TypeError(f"from_sklearn takes a {kind.__module__.split('.')[0]} {kind.__name__}, got {theirs!r}.")
    known = getattr(
        theirs, "_fastmlp_defaults", kind._get_param_names()
    )  # a subclass may have others in its constructor
    params, fitted = copy.deepcopy(({name: getattr(theirs, name) for name in known}, _fitted(theirs)))
    params |= ours
    estimator = cls(**{name: params.pop(name) for name in cls._get_param_names() if name in params})
    for name, value in params.items():  # those that the constructor of a subclass does not take
        setattr(estimator, name, value)
    if hasattr(theirs, "coefs_"):
        vars(estimator).update(fitted)
        own_weights(estimator)
        if not theirs.early_stopping:  # then they are the initial weights, which nobody reads
            vars(estimator).pop("_best_coefs", None)
            vars(estimator).pop("_best_intercepts", None)
        if hasattr(estimator, "validation_scores_"):
            scores = estimator.validation_scores_
            losses = None if scores is None else [float("nan")] * len(scores)
            vars(estimator).setdefault("validation_loss_curve_", losses)
            if scores and estimator.best_validation_score_ in scores:
                estimator.best_epoch_ = scores.index(estimator.best_validation_score_) + 1
        if hasattr(theirs, "_optimizer"):
            estimator._optimizer = copy.deepcopy(vars(theirs)["_optimizer"])
    _carry_requests(theirs, estimator)
    return estimator


def _kind(cls: type) -> Any:
    """scikit-learn's class for one of ours.

    Bound when this module is imported: programs replace the classes in scikit-learn's own modules by ours.
    """
    return MLPClassifier if issubclass(cls, ClassifierMixin) else MLPRegressor


def _hidden(estimator: Estimator) -> list[int]:
    return [w.shape[1] for w in estimator.coefs_[:-1]] if hasattr(estimator, "coefs_") else hidden_sizes(estimator)


def _has_effect(estimator: Estimator, name: str) -> bool:
    """Whether a parameter that only we have does something."""
    value, default = getattr(estimator, name), estimator._fastmlp_defaults[name]
    if default is None:
        return value is not None and (not hasattr(value, "__len__") or len(value) > 0)
    return bool(np.any(value)) if default == 0 else value != default


def _fitted(estimator: Estimator) -> dict[str, Any]:
    public = {name: value for name, value in vars(estimator).items() if name.endswith("_") and not name.startswith("_")}
    return public | {name: vars(estimator)[name] for name in _PRIVATE if name in vars(estimator)}


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
