"""MLPClassifier."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_class_weight, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d

from fastmlp.estimators.base import BaseMLP, with_defaults
from fastmlp.estimators.documentation import documented
from fastmlp.estimators.hooks import estimator_class, refuse_overridden
from fastmlp.estimators.interchange import in_kind
from fastmlp.estimators.parameters import CONSTRAINTS
from fastmlp.estimators.prediction import predicted
from fastmlp.estimators.targets import Targets, one_hot, readable
from fastmlp.interchange import as_numpy
from fastmlp.kernels import codes
from fastmlp.losses import Loss

__all__ = ["MLPClassifier"]

# scikit-learn's log losses: the gradient is that of the logits, the value that of clipped probabilities.
_SOFTMAX = Loss("log_loss", codes.CLIPPED_SOFTMAX_CROSS_ENTROPY, "softmax", "-Σ y log p", True)
_LOGISTIC = Loss("log_loss", codes.CLIPPED_BINARY_CROSS_ENTROPY, "sigmoid", "-Σ (y log p + (1-y) log(1-p))", True)


@documented
@with_defaults
@estimator_class
class MLPClassifier(ClassifierMixin, BaseMLP):
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

    def _fastmlp_learn_targets(self, y: np.ndarray, incremental: bool) -> None:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        elif self.warm_start or not _are_among(y, self.classes_):
            classes = unique_labels(y)
            if self.warm_start:
                if set(classes) != set(self.classes_):
                    raise ValueError(
                        "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                        f"Previously got {self.classes_}, `y` has {classes}"
                    )
            elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
                )
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported by partial_fit, which does not see all samples. Use "
                "compute_class_weight('balanced', classes=classes, y=y) and give the weights as a dict."
            )

    def _fastmlp_output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _fastmlp_check_validation_targets(self, y: np.ndarray) -> None:
        kind, trained_on = type_of_target(y), self._label_binarizer.y_type_
        if kind == "multiclass-multioutput" or ("multilabel" in kind) != ("multilabel" in trained_on):
            raise ValueError(f"y_val is {kind}, but y is {trained_on}. Give y_val the form of y.")
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(f"y_val has classes {unknown} that are not among those of y, {self.classes_}.")

    def _fastmlp_encode(self, y: np.ndarray, trained_on: Targets | None = None) -> Targets:
        if y.ndim == 2 and y.shape[1] == 1:
            y = y.ravel()
        binarizer: Any = self._label_binarizer
        plain = _is_plain(binarizer, self.classes_) and binarizer.y_type_ in ("binary", "multiclass")
        if y.ndim == 2 or not plain:  # an indicator of labels, which may be 1 and 2
            values = binarizer.transform(y).astype(bool)
            targets = Targets(None, values, values.shape[1])
        else:
            labels = np.searchsorted(binarizer.classes_, y)
            many = binarizer.y_type_ == "multiclass"
            targets = Targets(labels, None, len(self.classes_)) if many else Targets(None, labels[:, None] == 1, 1)
        return self._fastmlp_weighted(targets, y, trained_on)

    def _fastmlp_encoded_by_user(self, y: np.ndarray) -> tuple[np.ndarray, Targets]:
        values = y.reshape(len(y), -1)
        # a binarizer of the user's may do no more than a fit asks for
        known = hasattr(self._label_binarizer, "inverse_transform")
        labels = self._fastmlp_decoded(values) if known else values
        return labels, self._fastmlp_weighted(Targets(None, values, values.shape[1]), labels, None)

    def _fastmlp_decoded(self, outputs: np.ndarray) -> Any:
        """Labels (N,), or an indicator matrix, from outputs (N, O)."""
        return self._label_binarizer.inverse_transform(outputs.ravel() if outputs.shape[1] == 1 else outputs)

    def _fastmlp_suited(self, targets: Targets) -> Targets:
        if self.loss != "log_loss":
            raise ValueError(f"loss={self.loss!r} was set on a classifier, which minimises 'log_loss'.")
        if self.out_activation_ == "softmax":
            values = targets.values
            if values is not None and np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
                return targets._replace(labels=values.argmax(axis=1), values=None)
            return targets
        if self.out_activation_ != "logistic":
            raise ValueError(
                f"out_activation_={self.out_activation_!r} can predict, but the log loss is trained with 'softmax' or "
                "'logistic'."
            )
        return targets if targets.labels is None else targets._replace(labels=None, values=one_hot(targets))

    def _fastmlp_weighted(self, targets: Targets, y: np.ndarray, trained_on: Targets | None) -> Targets:
        """The targets with the weights of their classes, y being the labels."""
        if self.class_weight is None:
            return targets
        weight = self._fastmlp_weights_of_classes(
            y, targets.array, targets.array if trained_on is None else trained_on.array
        )
        if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.any()):
            raise ValueError(f"class_weight={self.class_weight!r} must be finite, none negative, not all zero.")
        return targets._replace(class_weight=weight)

    def _fastmlp_weights_of_classes(self, y: Any, encoded: np.ndarray, trained_on: np.ndarray) -> np.ndarray:
        """The weight of each sample's class (N,); the y trained on, encoded as y is, says how frequent classes are."""
        if self.class_weight == "balanced":
            n = len(trained_on)
            return compute_sample_weight("balanced", np.concatenate([trained_on, encoded]), indices=np.arange(n))[n:]
        if not isinstance(self.class_weight, dict) or self._label_binarizer.y_type_.startswith("multilabel"):
            return compute_sample_weight(self.class_weight, y)
        # of all classes, not of those in y: scikit-learn refuses a dict that lacks a class of y and has one beside them
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        return weights[np.searchsorted(self.classes_, y)]

    def _fastmlp_loss(self) -> Loss:
        return _SOFTMAX if self.out_activation_ == "softmax" else _LOGISTIC

    def _fastmlp_score_predicted(self, truth, predicted, weights) -> float:
        if not _is_plain(self._label_binarizer, self.classes_):
            encoded = truth if truth.ndim == 2 else one_hot(Targets(truth, None, predicted.shape[1]))
            return float(
                accuracy_score(self._fastmlp_decoded(encoded), self._fastmlp_decoded(predicted), sample_weight=weights)
            )
        if self.out_activation_ == "softmax":
            truth = truth if truth.ndim == 1 else truth.argmax(axis=1)
            return float(accuracy_score(truth, predicted.argmax(axis=1), sample_weight=weights))
        positive = (predicted > 0.5) & (len(self.classes_) > 1)  # a single class is predicted whatever the output is
        return float(accuracy_score(truth > 0.5, positive, sample_weight=weights))

    @in_kind
    def predict(self, X: Any) -> np.ndarray:
        """Class labels (N,), or an indicator matrix (N, C) of labels, for X (N, I)."""
        check_is_fitted(self, "coefs_")
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> np.ndarray:
        return predicted(self, X, self._fastmlp_decoded, check_input=check_input)

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return super()._score_with_function(X, y, sample_weight, accuracy_score)

    @in_kind
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, C) of the classes, in the order of `classes_`."""
        check_is_fitted(self, "coefs_")
        return predicted(self, X, lambda p: np.hstack([1 - p, p]) if p.shape[1] == 1 else p)

    @in_kind
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms (N, C) of `predict_proba`."""
        p = self.predict_proba(as_numpy(X))
        return np.log(p, out=p)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of `predict` on X (N, I) and y (N,) or (N, C)."""
        return super().score(as_numpy(X), readable(y, "y"), as_numpy(sample_weight))

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


def _are_among(y: np.ndarray, classes: np.ndarray) -> bool:
    """Whether y are whole numbers that are all classes; False if it takes more to find out."""
    if y.ndim != 1 or y.dtype.kind not in "biu" or classes.dtype.kind not in "biu":
        return False
    return bool((classes.take(np.searchsorted(classes, y), mode="clip") == y).all())


def _is_plain(binarizer: Any, classes: np.ndarray) -> bool:
    """Whether it does what finding labels among the classes does: users put others there."""
    zeros_and_ones = type(binarizer) is LabelBinarizer and (binarizer.neg_label, binarizer.pos_label) == (0, 1)
    return zeros_and_ones and (binarizer.classes_ is classes or np.array_equal(binarizer.classes_, classes))
