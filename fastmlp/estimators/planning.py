"""Everything that is checked and set up before a fit: parameters, samples, weights, and the plan of its steps.

What raises here leaves the estimator as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier

from fastmlp.backends import get_backend
from fastmlp.checkpoint import Checkpoint
from fastmlp.engine import Engine
from fastmlp.estimators.buffer import Buffer
from fastmlp.estimators.cache import Cache, cache_of, generator_of
from fastmlp.estimators.convergence import Convergence
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import buffer_of, scratch_buffer
from fastmlp.estimators.hooks import refuse_overridden
from fastmlp.estimators.initial import weights_to_train
from fastmlp.estimators.optimizer import OptimizerState, optimizer_state
from fastmlp.estimators.parameters import (
    batch_size,
    hidden_sizes,
    keep_probabilities,
    make_engine,
    make_optimizer,
    own_schedule,
)
from fastmlp.estimators.recorder import Recorder
from fastmlp.estimators.samples import Samples as SamplesInMemory
from fastmlp.estimators.samples import prepare_samples, read_samples
from fastmlp.estimators.streams import stand_in
from fastmlp.estimators.validation import Validation, check_metric, hold_out, read_validation
from fastmlp.optimizers import Optimizer
from fastmlp.ranks.all_reduce import AllReduce
from fastmlp.ranks.start import share_generator
from fastmlp.streams.samples import Samples
from fastmlp.weights import check_any

__all__ = ["Plan", "Run", "prepare"]


class Snapshot(NamedTuple):
    """An estimator before a fit."""

    attributes: dict[str, Any]
    cache: Cache
    generator: Any  # state of its random_state, if that is a generator

    @classmethod
    def of(cls, estimator: Estimator) -> Snapshot:
        """The estimator as it is now."""
        random = estimator.random_state
        state = random.get_state() if isinstance(random, np.random.RandomState) else None
        return cls(dict(vars(estimator)), copy(cache_of(estimator)), state)

    @contextmanager
    def restored_on_error(self, estimator: Estimator) -> Iterator[None]:
        """Within, an error leaves the estimator as it was: parameters, data or checkpoint cannot be used."""
        try:
            yield
        except BaseException:
            vars(estimator).clear()
            vars(estimator).update(self.attributes)
            vars(cache_of(estimator)).update(vars(self.cache))
            if self.generator is not None:
                estimator.random_state.set_state(self.generator)
            raise


class Plan(NamedTuple):
    """The steps of a solver that makes steps."""

    order: np.ndarray  # (n,) int64: the samples to train on
    batch_size: int
    rule: Optimizer
    keep: tuple[float, ...] | None  # see `keep_probabilities`
    max_norm: float
    convergence: Convergence
    validation: Validation | None
    before: OptimizerState | None  # None: from the beginning
    checkpoint: Checkpoint | None
    snapshot: Snapshot
    stream: Samples | None  # what to train on, in place of the samples


class Run(NamedTuple):
    """A fit about to begin."""

    recorder: Recorder
    samples: SamplesInMemory  # of a stream those that stand for all
    buffer: Buffer  # of the weights
    engine: Engine
    plan: Plan | None  # None: L-BFGS


def prepare(
    estimator: Estimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation: tuple[Any, Any, Any],
    checkpoint: Checkpoint | None,
    incremental: bool,
    all_reduce: AllReduce | None = None,
) -> Run:
    """Check everything that is given, and set up the run; see `fastmlp.estimators.fitting.fit`.

    incremental: for a partial fit, which goes on where the call before ended.
    """
    snapshot, recorder = Snapshot.of(estimator), Recorder(estimator)
    fresh = not hasattr(estimator, "coefs_") or not (estimator.warm_start or incremental)
    with snapshot.restored_on_error(estimator):
        _check_parameters(estimator, validation[0] is not None, checkpoint)
        stream = X if isinstance(X, Samples) else None
        if stream is not None:
            X, y = stand_in(estimator, stream, y, sample_weight, validation[0] is not None, incremental)
        given = read_samples(estimator, X, y, sample_weight, incremental, reset=fresh)
        recorder.begin_call(given.targets.n_outputs, generator_of(estimator))
        if all_reduce is not None and all_reduce.group is not None:
            recorder.leads = all_reduce.group.rank == 0
            share_generator(vars(estimator)["_random_state"], all_reduce.group)
        dtype = weights_to_train(estimator, given, fresh)
        samples = prepare_samples(estimator, given, dtype)
        held_out = read_validation(estimator, validation, samples, dtype)
        if estimator.solver == "lbfgs":
            buffer = scratch_buffer(estimator, dtype)
            engine = replace(make_engine(estimator, buffer), all_reduce=all_reduce)
            return Run(recorder, samples, buffer, engine, None)
        buffer = buffer_of(estimator, dtype, training=True)
        engine = replace(make_engine(estimator, buffer), all_reduce=all_reduce)
        before = optimizer_state(estimator, buffer.layout, dtype) if incremental else None
        order, measured = np.arange(samples.data.n_samples), None
        if held_out is not None:
            measured = Validation(estimator, buffer, engine, held_out, np.arange(held_out.data.n_samples))
        elif estimator.early_stopping:
            order, rows = hold_out(estimator, samples, vars(estimator)["_random_state"])
            measured = Validation(estimator, buffer, engine, samples, rows)
        if samples.data.weights.size:
            check_any(samples.data.weights[order], "sample_weight of the samples left to train on")
        if checkpoint is not None:
            _identify(checkpoint, estimator, held_out)
        n_samples = len(order) if stream is None else stream.n_samples
        rule = before.rule if before else make_optimizer(estimator)
        plan = Plan(
            order=order,
            batch_size=batch_size(estimator, n_samples),
            rule=rule,
            keep=keep_probabilities(estimator, len(buffer.layout.sizes) - 2),
            max_norm=np.inf if estimator.max_norm is None else float(estimator.max_norm),
            convergence=_convergence(recorder, rule, before, n_samples),
            validation=measured,
            before=before,
            checkpoint=checkpoint,
            snapshot=snapshot,
            stream=stream,
        )
        recorder.begin_curves(measured is not None)
        return Run(recorder, samples, buffer, engine, plan)


def _check_parameters(estimator: Estimator, validates: bool, checkpoint: Checkpoint | None) -> None:
    """Refuse what can be seen to be wrong before any samples are looked at; validates: with X_val."""
    refuse_overridden(estimator)
    used = {"dropout": np.any(estimator.dropout), "max_norm": estimator.max_norm is not None, "X_val": validates}
    used["checkpoint"] = checkpoint is not None
    for name in (name for name in used if used[name] and estimator.solver == "lbfgs"):
        raise ValueError(
            f"{name} means nothing to solver='lbfgs', which makes no steps on batches. Choose another solver."
        )
    if checkpoint is not None and estimator.early_stopping and not validates and estimator.random_state is None:
        raise ValueError(
            "With random_state=None every fit holds out other samples, so that no fit could go on from the checkpoint. "
            "Give random_state an integer, or validation data of your own (X_val, y_val)."
        )
    hidden_sizes(estimator)
    get_backend(estimator.backend, estimator.precision)  # which may not be there
    check_metric(estimator)
    if not all(map(callable, estimator.callbacks or ())):
        raise ValueError(f"callbacks={estimator.callbacks!r} must be a list of functions.")


def _identify(checkpoint: Checkpoint, estimator: Estimator, held_out: SamplesInMemory | None) -> None:
    """Add to a checkpoint what must be the same in a fit that goes on from it."""
    random_state = estimator.random_state
    checkpoint.settings |= {"classes": list(map(str, estimator.classes_))} if is_classifier(estimator) else {}
    # else members of an ensemble, which differ in their seeds alone, would all become the one in the file
    checkpoint.settings |= {"random_state": int(random_state) if isinstance(random_state, Integral) else None}
    checkpoint.data |= {"validation ": held_out.data} if held_out else {}


def _convergence(recorder: Recorder, rule: Optimizer, before: OptimizerState | None, n_samples: int) -> Convergence:
    estimator: Estimator = recorder.estimator
    return Convergence(
        recorder=recorder,
        learning_rate=before.learning_rate if before else rule.lr,
        n_samples=n_samples,
        follows=before.follows if before else estimator.learning_rate if estimator.solver == "sgd" else "constant",
        first_rate=rule.lr,
        power_t=before.power_t if before else estimator.power_t,
        schedule=own_schedule(estimator),
        epochs_before=before.epochs if before else 0,
    )
