"""Fitting an estimator: scikit-learn's order of events around a run of `fastmlp.trainer.Training` or of L-BFGS."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.optimize import _check_optimize_result

from fastmlp.backends import get_backend
from fastmlp.checkpoint import Checkpoint
from fastmlp.engine import Engine, Session
from fastmlp.errors import DivergenceError
from fastmlp.estimators.callbacks import FitTask
from fastmlp.estimators.convergence import Convergence
from fastmlp.estimators.initial import begin_curves, initialize
from fastmlp.estimators.lbfgs import minimise
from fastmlp.estimators.parameters import hidden_sizes, keep_probabilities, make_optimizer, own_schedule
from fastmlp.estimators.scoring import check_metric, hold_out, validation_measure
from fastmlp.estimators.targets import Samples, bring_in, check_arrays
from fastmlp.history import History
from fastmlp.optimizers import Optimizer
from fastmlp.trainer import Epoch, Training, tell
from fastmlp.weights import check_any

__all__ = ["fit", "partial_fit"]

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


@dataclass
class OptimizerState:
    """What `partial_fit` goes on with."""

    rule: Optimizer  # as it was: scikit-learn's keeps its constants, too, whatever the parameters are by now
    step: int
    epochs: int
    learning_rate: float
    follows: str  # see `Convergence`
    power_t: float
    moments: tuple[np.ndarray, np.ndarray]  # m and v (P,), see `fastmlp.network.Update`


class _Before(NamedTuple):
    """An estimator before a fit."""

    attributes: dict[str, Any]
    generator: Any  # state of its random_state, if that is a generator


class Plan(NamedTuple):
    """A run of a solver that makes steps, all of it checked."""

    order: np.ndarray  # (n,) int64: the samples to train on
    batch_size: int
    rule: Optimizer
    keep: tuple[float, ...] | None
    max_norm: float
    convergence: Convergence
    measure: Callable[[], dict[str, float]] | None
    before: OptimizerState | None  # None: from the beginning
    checkpoint: Checkpoint | None
    untouched: _Before


def fit(
    e: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation: tuple[Any, Any, Any],
    checkpoint: Checkpoint | None,
) -> Any:
    """All of `fit`; validation is (X, y, sample_weight), each may be None. Returns the estimator."""
    _check_solver(e, validation, checkpoint)
    fresh = not (e.warm_start and hasattr(e, "coefs_"))
    samples, engine, plan = _begin(e, X, y, sample_weight, fresh, False, validation, checkpoint)
    if plan is not None:
        begin_curves(e, e.early_stopping or validation[0] is not None, fresh)
    task = FitTask(e, e.max_iter, X, y, sample_weight)
    if plan is None:
        _lbfgs(e, engine, samples, task)
    else:
        _stochastic(e, engine, samples, plan, task)
    task.end()
    return _finite(e)


def partial_fit(e: Any, X: Any, y: Any, sample_weight: Any) -> Any:
    """One epoch that goes on where the call before ended. Returns the estimator."""
    if e.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True")
    fresh = not hasattr(e, "coefs_")
    samples, engine, plan = _begin(e, X, y, sample_weight, fresh, True, (None, None, None), None)
    assert plan is not None  # the estimators have no partial_fit with L-BFGS
    begin_curves(e, False, fresh)
    _stochastic(e, engine, samples, plan, None)
    return _finite(e)


def _check_solver(e: Any, validation: tuple[Any, Any, Any], checkpoint: Checkpoint | None) -> None:
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
def _as_before(e: Any, before: _Before) -> Iterator[None]:
    """If the block raises, the estimator is as it was then: parameters, data or checkpoint cannot be used."""
    try:
        yield
    except BaseException:
        vars(e).clear()
        vars(e).update(before.attributes)
        if before.generator is not None:
            e.random_state.set_state(before.generator)
        raise


def _begin(
    e: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    fresh: bool,
    incremental: bool,
    validation: tuple[Any, Any, Any],
    checkpoint: Checkpoint | None,
) -> tuple[Samples, Engine, Plan | None]:
    """Check everything, and set up weights: those of the call before, or new ones if `fresh`. No plan for L-BFGS."""
    random = e.random_state.get_state() if isinstance(e.random_state, np.random.RandomState) else None
    untouched = _Before(dict(vars(e)), random)
    with _as_before(e, untouched):
        hidden = hidden_sizes(e)
        get_backend(e.backend, e.precision)
        check_metric(e)
        if not all(map(callable, e.callbacks or ())):
            raise ValueError(f"callbacks={e.callbacks!r} must be a list of functions.")
        X, y, sample_weight = check_arrays(e, X, y, sample_weight, reset=fresh)
        e._learn_targets(y, incremental)
        targets = e._encode(y)
        if not fresh and targets.n_outputs != e.n_outputs_:
            raise ValueError(f"y has {targets.n_outputs} outputs, but {type(e).__name__} was fitted to {e.n_outputs_}.")
        e._random_state = random = check_random_state(e.random_state)
        # L-BFGS computes in float64 whatever X is: line searches need the digits
        wanted = X.dtype if e.dtype == "auto" else np.dtype(e.dtype)
        dtype = np.dtype(np.float64) if e.solver == "lbfgs" else wanted if fresh else e.coefs_[0].dtype
        if e.precision != "float32" and dtype != np.float32:
            raise ValueError(
                f"precision={e.precision!r} is for training in float32; solver={e.solver!r} with dtype={e.dtype!r} and "
                f"X of {X.dtype} trains in {dtype}. Give dtype='float32' and a solver other than 'lbfgs'."
            )
        samples = bring_in(X, y, sample_weight, targets, dtype)
        given_validation = _given_validation(e, validation, samples, dtype)
        e.n_outputs_ = targets.n_outputs
        if fresh:
            initialize(e, [X.shape[1], *hidden, targets.n_outputs], wanted, random)
        engine = e._engine(dtype, show=True)
        if e.solver == "lbfgs":
            return samples, engine, None
        plan = _plan(e, engine, samples, given_validation, incremental, checkpoint, untouched)
        return samples, engine, plan


def _given_validation(e: Any, given: tuple[Any, Any, Any], samples: Samples, dtype: np.dtype) -> Samples | None:
    """Validation data of the user's own, if there are any."""
    if given[0] is None:
        if any(array is not None for array in given):
            name = "sample_weight_val" if given[1] is None else "y_val"
            raise ValueError(f"{name} is given without X_val. Give both, or neither.")
        return None
    if given[1] is None:
        raise ValueError("X_val is given without y_val. Give both, or neither.")
    arrays = check_arrays(e, *given, reset=False)
    if e.early_stopping and arrays[0].shape[0] < 2:
        raise ValueError("The validation set is too small: X_val must have at least 2 samples.")
    e._check_validation_targets(arrays[1])
    targets, wanted = e._encode(arrays[1], samples.targets), samples.targets.n_outputs
    if targets.n_outputs != wanted:
        raise ValueError(f"y_val has {targets.n_outputs} columns, but y has {wanted}.")
    return bring_in(*arrays, targets, dtype)


def _plan(
    e: Any,
    engine: Engine,
    samples: Samples,
    given_validation: Samples | None,
    incremental: bool,
    checkpoint: Checkpoint | None,
    untouched: _Before,
) -> Plan:
    everything = np.arange(samples.data.n_samples)
    order, held = (everything, None) if given_validation else hold_out(e, samples, e._random_state)
    if samples.data.weights.size:
        check_any(samples.data.weights[order], "sample_weight of the samples left to train on")
    before: OptimizerState | None = getattr(e, "_optimizer", None) if incremental else None
    rule = before.rule if before else make_optimizer(e)
    if checkpoint is not None:
        checkpoint.settings |= {"classes": list(map(str, e.classes_))} if is_classifier(e) else {}
        # else members of an ensemble, which differ in their seeds alone, would all become the one in the file
        checkpoint.settings |= {"random_state": int(e.random_state) if isinstance(e.random_state, Integral) else None}
        checkpoint.data |= {"validation ": given_validation.data} if given_validation else {}
    return Plan(
        order=order,
        batch_size=_batch_size(e, len(order)),
        rule=rule,
        keep=keep_probabilities(e, e.n_layers_ - 2),
        max_norm=np.inf if e.max_norm is None else float(e.max_norm),
        convergence=_convergence(e, rule, before, len(order)),
        measure=validation_measure(e, engine, given_validation or samples, held),
        before=before,
        checkpoint=checkpoint,
        untouched=untouched,
    )


def _finite(e: Any) -> Any:
    if not all(np.isfinite(w).all() for w in (*e.coefs_, *e.intercepts_)):
        raise ValueError(_NOT_FINITE)
    return e


def _lbfgs(e: Any, engine: Engine, samples: Samples, task: FitTask) -> None:
    e.n_iter_, history, begin = 0, History(), time.perf_counter()

    def after_iteration(loss: float) -> None:
        nonlocal begin
        e.n_iter_, e.loss_ = e.n_iter_ + 1, loss
        if e.verbose:
            print(f"Iteration {e.n_iter_}, loss = {loss:.8f}")
        begin, seconds = time.perf_counter(), time.perf_counter() - begin
        rate = samples.data.n_samples / seconds
        history.append(loss=loss, learning_rate=float("nan"), seconds=seconds, samples_per_second=rate)
        stop = tell(e.callbacks or (), Epoch(e.n_iter_, e, history))
        if task.epoch(last=stop or e.n_iter_ == e.max_iter) or stop:
            raise StopIteration

    watched = e.callbacks or e.verbose or task.watched
    result = minimise(engine, samples.data, e.max_iter, e.max_fun, e.tol, after_iteration if watched else None)
    e.n_iter_, e.loss_ = min(result.nit, e.max_iter), result.fun
    if result.status != 99:  # 99: a callback asked to stop
        _check_optimize_result("lbfgs", result, e.max_iter)  # the warning, in the words of this scikit-learn


def _stochastic(
    e: Any,
    engine: Engine,
    samples: Samples,
    plan: Plan,
    task: FitTask | None,  # None: one epoch of partial_fit
) -> None:
    order, batch_size, rule, keep, max_norm, convergence, measure, before, checkpoint, untouched = plan
    random = e._random_state

    def build() -> Session:
        return engine.session(batch_size, rule, keep, max_norm)

    with engine.kept("train", (batch_size, rule, max_norm, keep), build) as session:
        _resume(engine, session, before)

        def after_epoch(epoch: Epoch) -> bool:
            stop = tell(e.callbacks or (), epoch)
            last = stop or epoch.history.stopped != "epochs" or epoch.number == e.max_iter
            return (task is not None and task.epoch(last)) or stop

        with _as_before(e, untouched):  # the checkpoint may be of another run
            training = Training(
                engine=engine,
                session=session,
                data=samples.data,
                samples=order,
                rule=rule,
                schedule=convergence,
                epochs=1 if task is None else e.max_iter,
                batch_size=batch_size,
                shuffle=random if e.shuffle else None,
                shuffle_is_private=isinstance(e.random_state, Integral),
                dropout=random if keep else None,
                stopping=convergence,
                measure=measure,
                callbacks=[after_epoch] if e.callbacks or (task and task.watched) else [],
                model=e,
                history=History(),
                overflow=True,
                checkpoint=checkpoint,
            )
        e.n_iter_ = 0
        try:
            _run(e, training, incremental=task is None)
        finally:  # a callback may raise: then, too, the moments are those of this run
            update = session.state.update
            e._optimizer = OptimizerState(
                rule,
                session.state.step,
                convergence.epochs_before + e.n_iter_,
                convergence.learning_rate,
                convergence.follows,
                convergence.power_t,
                (engine.backend.to_host(update.m), engine.backend.to_host(update.v)),
            )


def _batch_size(e: Any, n: int) -> int:
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


def _resume(engine: Engine, session: Session, before: OptimizerState | None) -> None:
    """Bring the optimizer to where the call before left it, or to its beginning."""
    state = session.state
    state.step = before.step if before else 0
    moments: tuple[Any, Any] = before.moments if before else (0.0, 0.0)
    for array, old in zip((state.update.m, state.update.v), moments, strict=True):
        engine.backend.write(array, old)


def _run(e: Any, training: Training, incremental: bool) -> None:
    try:
        history = training.run()
    except DivergenceError as error:
        untrained = is_classifier(e) and training.stopping.best is None  # whose labels by NaN scikit-learn scores
        if not e.early_stopping or untrained:
            raise ValueError(f"{_NOT_FINITE} {error}") from error
        # scikit-learn goes on with NaN, whose scores never win, and comes back to the best weights in the end
        if training.stopping.best is not None:
            training.publish()[...] = training.stopping.best
        warnings.warn(str(error), ConvergenceWarning, stacklevel=2)
        return
    if history.stopped == "interrupt":
        warnings.warn("Training interrupted by user.", stacklevel=2)
    elif history.stopped == "epochs" and not incremental:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({e.max_iter}) reached and the optimization hasn't converged "
            "yet.",
            ConvergenceWarning,
            stacklevel=2,
        )
