"""Everything that is checked and set up before a fit: arrays, targets, weights, and the plan of its steps.

What raises here leaves the estimator as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier

from fastmlp.backends import get_backend
from fastmlp.checkpoint import Checkpoint
from fastmlp.engine import Engine
from fastmlp.estimators.convergence import Convergence
from fastmlp.estimators.fitted_weights import (
    Buffer,
    buffer_of,
    layout_of,
    prepare_training,
    scratch_buffer,
)
from fastmlp.estimators.hooks import overridden, refuse_overridden
from fastmlp.estimators.kept import Kept, generator_of, kept_of
from fastmlp.estimators.optimizer import OptimizerState, optimizer_state
from fastmlp.estimators.parameters import hidden_sizes, keep_probabilities, make_engine, make_optimizer, own_schedule
from fastmlp.estimators.scoring import check_metric, hold_out, validation_measure
from fastmlp.estimators.targets import Samples, Targets, bring_in, check_arrays, one_hot, take_in
from fastmlp.optimizers import Optimizer
from fastmlp.weights import check_any

__all__ = ["Before", "Plan", "Run", "as_before", "batch_size", "prepare"]


class Before(NamedTuple):
    """An estimator before a fit."""

    attributes: dict[str, Any]
    kept: Kept
    generator: Any  # state of its random_state, if that is a generator


class Plan(NamedTuple):
    """The steps of a solver that makes steps."""

    order: np.ndarray  # (n,) int64: the samples to train on
    batch_size: int
    rule: Optimizer
    keep: tuple[float, ...] | None
    max_norm: float
    convergence: Convergence
    measure: Callable[[], dict[str, float]] | None
    before: OptimizerState | None  # None: from the beginning
    checkpoint: Checkpoint | None
    untouched: Before


class Run(NamedTuple):
    """A fit about to begin."""

    samples: Samples
    buffer: Buffer  # of the weights
    engine: Engine
    plan: Plan | None  # None: L-BFGS


def _refuse_unused(e: Any, validation: tuple[Any, Any, Any], checkpoint: Checkpoint | None) -> None:
    used = {"dropout": np.any(e.dropout), "max_norm": e.max_norm is not None, "X_val": validation[0] is not None}
    used["checkpoint"] = checkpoint is not None
    for name in (name for name in used if used[name] and e.solver == "lbfgs"):
        raise ValueError(
            f"{name} means nothing to solver='lbfgs', which makes no steps on batches. Choose another solver."
        )
    if checkpoint is not None and e.early_stopping and validation[0] is None and e.random_state is None:
        raise ValueError(
            "With random_state=None every fit holds out other samples, so that no fit could go on from the checkpoint. "
            "Give random_state an integer, or validation data of your own (X_val, y_val)."
        )


@contextmanager
def as_before(e: Any, before: Before) -> Iterator[None]:
    """If the block raises, the estimator is as it was then: parameters, data or checkpoint cannot be used."""
    try:
        yield
    except BaseException:
        vars(e).clear()
        vars(e).update(before.attributes)
        vars(kept_of(e)).update(vars(before.kept))
        if before.generator is not None:
            e.random_state.set_state(before.generator)
        raise


def prepare(
    e: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation: tuple[Any, Any, Any],
    checkpoint: Checkpoint | None,
    incremental: bool,
) -> Run:
    """Check everything, and set up weights: those of the call before, or new ones."""
    random = e.random_state.get_state() if isinstance(e.random_state, np.random.RandomState) else None
    untouched = Before(dict(vars(e)), copy(kept_of(e)), random)
    fresh = not hasattr(e, "coefs_") or not (e.warm_start or incremental)
    with as_before(e, untouched):
        refuse_overridden(e)
        _refuse_unused(e, validation, checkpoint)
        hidden = hidden_sizes(e)
        get_backend(e.backend, e.precision)  # which may not be there
        check_metric(e)
        if not all(map(callable, e.callbacks or ())):
            raise ValueError(f"callbacks={e.callbacks!r} must be a list of functions.")
        X, y, sample_weight, targets = take_in(e, X, y, sample_weight, incremental, reset=fresh)
        e.n_outputs_, e._random_state = targets.n_outputs, generator_of(e)
        if fresh:
            _begin_anew(e, [X.shape[1], *hidden, targets.n_outputs], targets, X.dtype)
        _check_shapes(e, X.shape[1], targets.n_outputs)
        targets, dtype = e._fastmlp_suited(targets), prepare_training(e)
        if e.solver == "lbfgs":
            dtype = np.dtype(np.float64)  # whatever X is: line searches need the digits
        if e.precision != "float32" and dtype != np.float32:
            raise ValueError(
                f"precision={e.precision!r} is for training in float32; solver={e.solver!r} with dtype={e.dtype!r} and "
                f"X of {X.dtype} trains in {dtype}. Give dtype='float32' and a solver other than 'lbfgs'."
            )
        samples = bring_in(X, y, sample_weight, targets, dtype)
        given_validation = _given_validation(e, validation, samples, dtype)
        if e.solver == "lbfgs":
            buffer = scratch_buffer(e, dtype)
            return Run(samples, buffer, make_engine(e, buffer), None)
        buffer = buffer_of(e, dtype, training=True)
        engine = make_engine(e, buffer)
        plan = _plan(e, buffer, engine, samples, given_validation, incremental, checkpoint, untouched)
        return Run(samples, buffer, engine, plan)


def _begin_anew(e: Any, sizes: list[int], targets: Targets, given: np.dtype) -> None:
    """New weights for layers of the given sizes, by the class's own `_initialize` if it has one."""
    known = overridden(e, "_initialize")  # else nobody looks at more than the number of outputs
    y = (targets.values if targets.labels is None else one_hot(targets)) if known else np.empty((0, sizes[-1]))
    e._initialize(y, sizes, given if e.dtype == "auto" else np.dtype(e.dtype))


def _check_shapes(e: Any, features: int, outputs: int) -> None:
    first, *_, last = layout_of(e).sizes
    if outputs != last:
        raise ValueError(f"y has {outputs} outputs, but {type(e).__name__} was fitted to {last}.")
    if features != first:
        raise ValueError(f"X has {features} features, but coefs_[0] takes {first}.")


def _given_validation(e: Any, given: tuple[Any, Any, Any], samples: Samples, dtype: np.dtype) -> Samples | None:
    """Validation data of the user's own, if there are any."""
    if given[0] is None:
        if any(array is not None for array in given):
            name = "sample_weight_val" if given[1] is None else "y_val"
            raise ValueError(f"{name} is given without X_val. Give both, or neither.")
        return None
    if given[1] is None:
        raise ValueError("X_val is given without y_val. Give both, or neither.")
    if overridden(e, "_validate_input"):
        raise ValueError(
            f"{type(e).__name__} overrides _validate_input, which knows nothing of X_val and might give it other "
            "features than X. Leave X_val out, or prepare X and X_val before fit."
        )
    arrays = check_arrays(e, *given, reset=False)
    if e.early_stopping and arrays[0].shape[0] < 2:
        raise ValueError("The validation set is too small: X_val must have at least 2 samples.")
    e._fastmlp_check_validation_targets(arrays[1])
    targets, wanted = e._fastmlp_suited(e._fastmlp_encode(arrays[1], samples.targets)), samples.targets.n_outputs
    if targets.n_outputs != wanted:
        raise ValueError(f"y_val has {targets.n_outputs} columns, but y has {wanted}.")
    return bring_in(*arrays, targets, dtype)


def _plan(
    e: Any,
    buffer: Buffer,
    engine: Engine,
    samples: Samples,
    given_validation: Samples | None,
    incremental: bool,
    checkpoint: Checkpoint | None,
    untouched: Before,
) -> Plan:
    everything = np.arange(samples.data.n_samples)
    order, held = (everything, None) if given_validation else hold_out(e, samples, vars(e)["_random_state"])
    if samples.data.weights.size:
        check_any(samples.data.weights[order], "sample_weight of the samples left to train on")
    before = optimizer_state(e, buffer.layout, buffer.params.dtype) if incremental else None
    rule = before.rule if before else make_optimizer(e)
    if checkpoint is not None:
        checkpoint.settings |= {"classes": list(map(str, e.classes_))} if is_classifier(e) else {}
        # else members of an ensemble, which differ in their seeds alone, would all become the one in the file
        checkpoint.settings |= {"random_state": int(e.random_state) if isinstance(e.random_state, Integral) else None}
        checkpoint.data |= {"validation ": given_validation.data} if given_validation else {}
    return Plan(
        order=order,
        batch_size=batch_size(e, len(order)),
        rule=rule,
        keep=keep_probabilities(e, len(buffer.layout.sizes) - 2),
        max_norm=np.inf if e.max_norm is None else float(e.max_norm),
        convergence=_convergence(e, rule, before, len(order)),
        measure=validation_measure(e, buffer, engine, given_validation or samples, held),
        before=before,
        checkpoint=checkpoint,
        untouched=untouched,
    )


def batch_size(e: Any, n: int) -> int:
    """Rows of a batch where there are n samples."""
    if e.batch_size == "auto":
        return min(200, n)
    if e.batch_size > n:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=2
        )
    return min(int(e.batch_size), n)


def _convergence(e: Any, rule: Optimizer, before: OptimizerState | None, n: int) -> Convergence:
    return Convergence(
        estimator=e,
        learning_rate=before.learning_rate if before else rule.lr,
        n_samples=n,
        follows=before.follows if before else e.learning_rate if e.solver == "sgd" else "constant",
        first_rate=rule.lr,
        power_t=before.power_t if before else e.power_t,
        schedule=own_schedule(e),
        epochs_before=before.epochs if before else 0,
    )
