"""MLPClassifier."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from fastmlp.estimators.base import BaseMLP, with_defaults
from fastmlp.estimators.class_targets import ClassTargets
from fastmlp.estimators.documentation import documented
from fastmlp.estimators.hooks import estimator_class, refuse_overridden
from fastmlp.estimators.interchange import like_input
from fastmlp.estimators.parameters import CONSTRAINTS
from fastmlp.estimators.prediction import predicted, require_weights
from fastmlp.estimators.samples import readable
from fastmlp.interchange import as_numpy
from fastmlp.losses import OF_SCIKIT_LEARN, Loss

__all__ = ["MLPClassifier"]

# scikit-learn's log losses: the gradient is that of the logits, the value that of clipped probabilities.
_SOFTMAX = OF_SCIKIT_LEARN["clipped_softmax_cross_entropy"]._replace(name="log_loss")
_LOGISTIC = OF_SCIKIT_LEARN["clipped_binary_cross_entropy"]._replace(name="log_loss")


@documented
@with_defaults
@estimator_class
class MLPClassifier(ClassTargets, ClassifierMixin, BaseMLP):
    """Multilayer perceptron classifier: scikit-learn's, number for number, and faster.

    It minimises the log loss. Two classes have one logistic output, more have a softmax, several labels per sample a
    logistic output each. The same random_state gives the weights, curves and predictions that
    `sklearn.neural_network.MLPClassifier` gives.

    Parameters
    ----------
    {architecture}
    {parameters}
    class_weight : dict, list of dict or 'balanced', default=None
        Weight of each class; 'balanced' is N / (C count), counted in y also for validation data. Multiplied with the
        sample weights. A list has a dict for each column of an indicator matrix, whose weights are multiplied.
    {regularisation}

    Attributes
    ----------
    classes_ : array (C,)
        Class labels, in the order of the columns of `predict_proba`.
    {attributes}

    Examples
    --------
    >>> from fastmlp import MLPClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier((30,), random_state=1, tol=1e-2).fit(X / 16, y)
    >>> model.predict(X[:3] / 16)
    array([0, 1, 2])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **CONSTRAINTS,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        backend=None,
        dtype="auto",
        precision="float32",
        n_threads=None,
        class_weight=None,
        dropout=0.0,
        l1=0.0,
        max_norm=None,
        early_stopping_metric="score",
        coefs_init=None,
        intercepts_init=None,
        callbacks=None,
    ):
        self._fastmlp_store_parameters(locals())
        self.loss = "log_loss"  # no parameter, but scikit-learn keeps it in the instance, too

    def _fastmlp_loss(self) -> Loss:
        return _SOFTMAX if self.out_activation_ == "softmax" else _LOGISTIC

    @like_input
    def predict(self, X: Any) -> np.ndarray:
        """Class labels (N,), or an indicator matrix (N, C) of labels, for X (N, I)."""
        require_weights(self)
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> np.ndarray:
        return predicted(self, X, self._fastmlp_decode, check_input=check_input)

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return super()._score_with_function(X, y, sample_weight, accuracy_score)

    @like_input
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, C) of the classes, in the order of `classes_`."""
        require_weights(self)
        return predicted(self, X, lambda p: np.concatenate([1 - p, p], axis=1) if p.shape[1] == 1 else p)

    @like_input
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms (N, C) of `predict_proba`."""
        p = self.predict_proba(as_numpy(X))
        return np.log(p, out=p)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of `predict` on X (N, I) and y (N,) or (N, C)."""
        X, y, sample_weight = as_numpy(X), readable(y, "y"), as_numpy(sample_weight)
        if sample_weight is None and type(y) is np.ndarray and y.ndim == 1 and y.dtype == np.int64:
            predicted = self.predict(X)
            if isinstance(predicted, np.ndarray) and predicted.dtype == np.int64 and predicted.shape == y.shape:
                return float(np.mean(predicted == y))  # without `accuracy_score`'s checks, which take longer
            return float(accuracy_score(y, predicted))
        return super().score(X, y, sample_weight)

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """One epoch over X and y that goes on where the call before ended.

        Parameters
        ----------
        X : array or sparse matrix (N, I)
            The samples, any number of them.
        y : array (N,) or (N, C)
            Class labels, or an indicator matrix of labels.
        sample_weight : array (N,), optional
            How much each sample counts in the loss.
        classes : array (C,)
            All classes there will ever be; wanted by the first call only.

        Returns
        -------
        self
            The fitted estimator.
        """
        refuse_overridden(self)
        y, classes = readable(y, "y"), as_numpy(classes)
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
