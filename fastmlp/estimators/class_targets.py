"""Class labels as targets of the network, and its outputs as labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d

from fastmlp.estimators.targets import Targets, one_hot

__all__ = ["ClassTargets"]


class ClassTargets:
    """Mixin of a classifier: the methods about targets that `fastmlp.estimators.estimator.Estimator` names."""

    classes_: np.ndarray
    class_weight: Any
    loss: Any
    out_activation_: str
    warm_start: bool
    _label_binarizer: Any  # scikit-learn's, unless a user has put another one there

    def _fastmlp_learn_targets(self, y: np.ndarray, incremental: bool) -> None:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = _fitted_binarizer(y)
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
        return self._fastmlp_weight_classes(targets, y, trained_on)

    def _fastmlp_encode_validated(self, y: np.ndarray) -> tuple[np.ndarray, Targets]:
        values = y.reshape(len(y), -1)
        # a binarizer of the user's may do no more than a fit asks for
        known = hasattr(self._label_binarizer, "inverse_transform")
        labels = self._fastmlp_decode(values) if known else values
        return labels, self._fastmlp_weight_classes(Targets(None, values, values.shape[1]), labels, None)

    def _fastmlp_decode(self, outputs: np.ndarray) -> Any:
        """Labels (N,), or an indicator matrix, from outputs (N, O)."""
        binarizer = self._label_binarizer
        known = type(binarizer) is LabelBinarizer and _is_plain(binarizer, binarizer.classes_)
        if known and not binarizer.sparse_input_ and len(binarizer.classes_) > 1:
            # what its inverse_transform does, in a fraction of the time for a few rows
            if binarizer.y_type_ == "multiclass":
                return binarizer.classes_.take(outputs.argmax(axis=1), mode="clip")
            if binarizer.y_type_ == "binary" and outputs.shape[1] == 1:
                return binarizer.classes_.take((outputs.ravel() > 0.5).astype(np.intp), mode="clip")
        return self._label_binarizer.inverse_transform(outputs.ravel() if outputs.shape[1] == 1 else outputs)

    def _fastmlp_match_output(self, targets: Targets) -> Targets:
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

    def _fastmlp_weight_classes(self, targets: Targets, y: np.ndarray, trained_on: Targets | None) -> Targets:
        """The targets with the weights of their classes, y being the labels."""
        if self.class_weight is None:
            return targets
        weight = self._fastmlp_class_weights(
            y, targets.array, targets.array if trained_on is None else trained_on.array
        )
        if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.any()):
            raise ValueError(f"class_weight={self.class_weight!r} must be finite, none negative, not all zero.")
        return targets._replace(class_weight=weight)

    def _fastmlp_class_weights(self, y: Any, encoded: np.ndarray, trained_on: np.ndarray) -> np.ndarray:
        """The weight of each sample's class (N,); the y trained on, encoded as y is, says how frequent classes are."""
        if self.class_weight == "balanced":
            n = len(trained_on)
            return compute_sample_weight("balanced", np.concatenate([trained_on, encoded]), indices=np.arange(n))[n:]
        if not isinstance(self.class_weight, dict) or self._label_binarizer.y_type_.startswith("multilabel"):
            return compute_sample_weight(self.class_weight, y)
        # of all classes, not of those in y: scikit-learn refuses a dict that lacks a class of y and has one beside them
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        return weights[np.searchsorted(self.classes_, y)]

    def _fastmlp_score_predicted(self, truth, predicted, weights) -> float:
        if not _is_plain(self._label_binarizer, self.classes_):
            encoded = truth if truth.ndim == 2 else one_hot(Targets(truth, None, predicted.shape[1]))
            return float(
                accuracy_score(self._fastmlp_decode(encoded), self._fastmlp_decode(predicted), sample_weight=weights)
            )
        if self.out_activation_ == "softmax":
            truth = truth if truth.ndim == 1 else truth.argmax(axis=1)
            return float(accuracy_score(truth, predicted.argmax(axis=1), sample_weight=weights))
        positive = (predicted > 0.5) & (len(self.classes_) > 1)  # a single class is predicted whatever the output is
        return float(accuracy_score(truth > 0.5, positive, sample_weight=weights))


def _fitted_binarizer(y: np.ndarray) -> LabelBinarizer:
    """``LabelBinarizer().fit(y)``, whose checks take as long as some epochs of a small network."""
    binarizer = LabelBinarizer()
    if y.ndim == 1 and y.dtype == np.int64 and 2 * len(classes := np.unique(y)) <= len(y):  # else it may warn
        binarizer.classes_, binarizer.sparse_input_ = classes, False
        binarizer.y_type_ = "multiclass" if len(classes) > 2 else "binary"
        return binarizer
    return binarizer.fit(y)


def _are_among(y: np.ndarray, classes: np.ndarray) -> bool:
    """Whether y are whole numbers that are all classes; False if it takes more to find out."""
    if y.ndim != 1 or y.dtype.kind not in "biu" or classes.dtype.kind not in "biu":
        return False
    return bool((classes.take(np.searchsorted(classes, y), mode="clip") == y).all())


def _is_plain(binarizer: Any, classes: np.ndarray) -> bool:
    """Whether it does what finding labels among the classes does: users put others there."""
    zeros_and_ones = type(binarizer) is LabelBinarizer and (binarizer.neg_label, binarizer.pos_label) == (0, 1)
    return zeros_and_ones and (binarizer.classes_ is classes or np.array_equal(binarizer.classes_, classes))
