"""Writes what a fit leaves in an estimator, besides its weights (`fitted_weights`) and its optimizer (`optimizer`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastmlp.estimators.estimator import Estimator
from fastmlp.network import Layout

__all__ = ["Recorder"]


class Recorder:
    """Writes the fitted attributes of one estimator, and prints what happens if it is verbose.

    It decides nothing: what an epoch was worth is told to it (see `fastmlp.estimators.convergence`).
    """

    estimator: Any  # unlike an `Estimator` it can be written to

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator
        self.leads = True  # of several ranks the first prints

    def begin_call(self, n_outputs: int, random: np.random.RandomState) -> None:
        """Record the number of outputs, and the generator that this call draws from."""
        estimator = self.estimator
        estimator.n_outputs_, estimator._random_state = n_outputs, random

    def begin_features(self, number: int) -> None:
        """Record how many features X has, which are without names."""
        self.estimator.n_features_in_ = number

    def begin_network(self, sizes: Sequence[int]) -> None:
        """Record a network of the given layer sizes (I, …, O) of which nothing is trained yet."""
        estimator = self.estimator
        estimator.n_iter_, estimator.t_ = 0, 0
        estimator.n_outputs_, estimator.n_layers_ = sizes[-1], len(sizes)
        estimator.out_activation_ = estimator._fastmlp_output_activation()

    def begin_curves(self, validates: bool, fresh: bool = False) -> None:
        """Curves for the stochastic solvers to go on with: without an entry if `fresh`, or if there are none yet.

        Those of validation are None as long as there is none.
        """
        estimator, attributes = self.estimator, vars(self.estimator)
        known = {} if fresh else attributes
        estimator.t_, estimator.n_iter_ = attributes.get("t_", 0), attributes.get("n_iter_", 0)  # if built by hand
        estimator.loss_curve_ = known.get("loss_curve_", [])
        estimator._no_improvement_count = known.get("_no_improvement_count", 0)
        best = known.get("best_loss_")
        estimator.best_loss_ = None if estimator.early_stopping else np.inf if best is None else best
        beginnings = {"validation_scores_": [], "validation_loss_curve_": [], "best_validation_score_": -np.inf}
        for name, beginning in beginnings.items():
            setattr(estimator, name, beginning if validates and known.get(name) is None else known.get(name))
        if fresh:
            attributes.pop("best_epoch_", None)

    def begin_epochs(self) -> None:
        """No epoch of this call is done yet."""
        self.estimator.n_iter_ = 0

    def epoch(self, number: int, row: Mapping[str, Any], n_samples: int, improved: bool, best_score: bool) -> None:
        """Record an epoch (1-based) over n_samples, and its row of the history.

        improved: whether it counts as an improvement; best_score: whether its validation score is the best so far.
        """
        estimator, loss = self.estimator, row["loss"]
        estimator.n_iter_, estimator.loss_, estimator.t_ = number, loss, estimator.t_ + n_samples
        estimator.loss_curve_.append(loss)
        self.say("Iteration {}, loss = {:.8f}", number, loss)
        if estimator.best_loss_ is not None:
            estimator.best_loss_ = min(estimator.best_loss_, loss)
        if "val_score" in row:
            estimator.validation_loss_curve_.append(row["val_loss"])
            estimator.validation_scores_.append(row["val_score"])
            self.say("Validation score: {:f}", row["val_score"])
        if best_score:
            estimator.best_validation_score_ = row["val_score"]
            estimator.best_epoch_ = len(estimator.validation_scores_)
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1

    def count_anew(self) -> None:
        """Begin to count the epochs without improvement anew."""
        self.estimator._no_improvement_count = 0

    def say(self, text: str, *values: Any) -> None:
        """Print the text with the values in it, if the estimator is verbose."""
        if self.leads and self.estimator.verbose:
            print(text.format(*values))

    def begin_lbfgs(self, layout: Layout) -> None:
        """Record where scikit-learn's `_unpack` finds weights and biases in one vector without padding."""
        estimator, pairs, end = self.estimator, list(pairwise(layout.sizes)), 0
        estimator._coef_indptr, estimator._intercept_indptr = [], []
        for i, o in pairs:
            estimator._coef_indptr.append((end, end := end + i * o, (i, o)))
        for _, o in pairs:
            estimator._intercept_indptr.append((end, end := end + o))
        estimator.n_iter_ = 0

    def iterations(self, number: int, loss: float) -> None:
        """Record how many iterations of L-BFGS are done, and their last loss."""
        self.estimator.n_iter_, self.estimator.loss_ = number, loss
