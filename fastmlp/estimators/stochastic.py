"""The epochs of a fit with a solver that makes steps: a run of `fastmlp.trainer.Training` and what it leaves."""

from __future__ import annotations

import warnings
from numbers import Integral

from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from fastmlp.engine import Engine, Session
from fastmlp.errors import DivergenceError
from fastmlp.estimators.callbacks import FitTask
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import NOT_FINITE, leave_best, read_back
from fastmlp.estimators.optimizer import OptimizerState, store_state
from fastmlp.estimators.planning import Plan, Run
from fastmlp.estimators.streams import converter
from fastmlp.history import History
from fastmlp.streams.feed import Feed
from fastmlp.trainer import Epoch, Training, call_all

__all__ = ["run_epochs"]


def run_epochs(estimator: Estimator, run: Run, plan: Plan, task: FitTask | None) -> None:
    """Train: all epochs of a fit, or one of partial_fit, which has no task."""
    buffer, engine, convergence = run.buffer, run.engine, plan.convergence
    random = vars(estimator)["_random_state"]

    def build() -> Session:
        return engine.session(plan.batch_size, plan.rule, plan.keep, plan.max_norm)

    key = plan.batch_size, plan.rule, plan.max_norm, plan.keep, engine.all_reduce
    with engine.cached_session("train", key, build) as session:

        def after_epoch(epoch: Epoch) -> bool:
            buffer.write()
            stop = call_all(estimator.callbacks or (), epoch)
            read_back(estimator, buffer)
            last = stop or epoch.history.stopped != "epochs" or epoch.number == estimator.max_iter
            return (task is not None and task.epoch(last)) or stop

        with plan.snapshot.restored_on_error(estimator):  # the checkpoint may be of another run
            shuffle, feed = random if estimator.shuffle else None, None
            epochs = 1 if task is None else estimator.max_iter
            if plan.stream is not None:
                convert = converter(estimator, engine.params.dtype)
                feed = Feed(plan.stream, plan.batch_size, engine, convert, shuffle, epochs)
            training = Training(
                engine=engine,
                session=session,
                data=run.samples.data if feed is None else None,
                samples=plan.order if feed is None else feed.taken,
                rule=plan.rule,
                schedule=convergence,
                epochs=epochs,
                batch_size=plan.batch_size,
                shuffle=shuffle,
                shuffle_is_private=isinstance(estimator.random_state, Integral),
                dropout=random if plan.keep else None,
                stopping=convergence,
                measure=None if plan.validation is None else plan.validation.measure,
                callbacks=[after_epoch] if estimator.callbacks or (task and task.watched) else [],
                model=estimator,
                history=History(),
                overflow=True,
                checkpoint=plan.checkpoint,
                feed=feed,
            )
        _go_on(engine, session, plan.before)
        run.recorder.begin_epochs()
        try:
            _train(estimator, training, incremental=task is None)
            if estimator.early_stopping:
                leave_best(estimator, buffer, None if convergence.best is None else training.last_finite)
        finally:  # a callback may raise: then, too, the moments are those of this run
            buffer.write()
            update = session.state.update
            state = OptimizerState(
                plan.rule,
                session.state.step,
                convergence.epochs_before + estimator.n_iter_,
                convergence.learning_rate,
                convergence.follows,
                convergence.power_t,
                engine.backend.to_host(update.moments),
            )
            store_state(estimator, state, buffer.layout, same=task is None)


def _go_on(engine: Engine, session: Session, before: OptimizerState | None) -> None:
    """Bring the optimizer to where the call before left it, or to its beginning."""
    state = session.state
    state.step = before.step if before else 0
    engine.backend.write(state.update.moments, before.moments if before else 0.0)


def _train(estimator: Estimator, training: Training, incremental: bool) -> None:
    """Run the training, and say in scikit-learn's words how it ended."""
    try:
        history = training.run()
    except DivergenceError as error:
        best = training.stopping.best
        # labels have a score even if they come from NaN: scikit-learn's classifier ends with such weights, and raises
        if not estimator.early_stopping or (is_classifier(estimator) and best is None):
            raise ValueError(f"{NOT_FINITE} {error}") from error
        # scikit-learn goes on with NaN, whose scores never win, and comes back to the best weights in the end
        if best is not None:
            training.publish()[...] = best
        warnings.warn(str(error), ConvergenceWarning, stacklevel=2)
        return
    if history.stopped == "interrupt":
        warnings.warn("Training interrupted by user.", stacklevel=2)
    elif history.stopped == "epochs" and not incremental:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization hasn't "
            "converged yet.",
            ConvergenceWarning,
            stacklevel=2,
        )
