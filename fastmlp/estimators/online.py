"""One partial fit after another, as in a loop over a stream of few samples.

To check and set up a partial fit takes ten times as long as a step on one row. So a call keeps what it has set up, and
the next one makes its epoch with that if nothing but the samples has changed. The numbers are the same.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter, is_
from typing import Any

import numpy as np

from fastmlp.engine import Engine, Session
from fastmlp.estimators.cache import cache_of, generator_of
from fastmlp.estimators.convergence import Convergence
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import NOT_FINITE, shows_buffer
from fastmlp.estimators.hooks import HOOKS, overridden
from fastmlp.estimators.optimizer import OptimizerState, refresh_numbers, store_state, unread_of
from fastmlp.estimators.parameters import batch_size
from fastmlp.estimators.planning import Plan, Run
from fastmlp.estimators.samples import Given, are_checked, prepare_samples
from fastmlp.forks import drawing
from fastmlp.losses import Loss
from fastmlp.optimizers import Optimizer
from fastmlp.trainer import divergence

__all__ = ["Prepared", "make_epoch", "remember"]

# parameters of these types are the same as long as they are the same objects
_UNCHANGING = (type(None), bool, int, float, str, np.number, tuple, Optimizer, Loss, np.random.RandomState)
_MOST = 1024  # samples: with more of them the setting-up does not matter
_HOOKS = attrgetter(*HOOKS)


@dataclass
class Prepared:
    """What a partial fit has set up."""

    read: Callable[[Any], tuple]  # the parameters of an estimator
    settings: tuple  # what it gave, and more that the setting-up depends on
    engine: Engine
    session: tuple[Any, Session]  # as the engine keeps it
    state: OptimizerState
    convergence: Convergence
    random: np.random.RandomState
    bits: Any  # its bit generator, which may be replaced
    shuffle: Callable[[np.ndarray, np.ndarray], None] | None
    default_backend: str | None  # of the environment
    samples: np.ndarray  # (N,) int64
    order: np.ndarray  # (1, N) int64


def make_epoch(estimator: Estimator, X: Any, y: Any) -> bool:
    """Train one epoch with what the last call has kept; False, and nothing done, if something has changed."""
    known: Prepared | None = cache_of(estimator).partial_fit
    if known is None or not _is_valid(known, estimator, X, y):
        return False
    session = known.engine.sessions.pop("train", None)  # so that no other thread has it
    if session is not known.session:
        if session is not None:
            known.engine.sessions["train"] = session
        return False
    try:
        return _train(known, estimator, X, y)
    finally:
        known.convergence.recorder.estimator = None
        known.engine.forget_samples()
        known.engine.sessions["train"] = session


def _is_valid(known: Prepared, estimator: Estimator, X: Any, y: Any) -> bool:
    """Whether nothing but the samples has changed since, and these need no more checks."""
    attributes, cache = vars(estimator), cache_of(estimator)
    unread, buffer = cache.optimizer, cache.buffer
    return (
        "coefs_" in attributes
        and unread is not None
        and unread.state is known.state
        and unread.optimizer is attributes.get("_optimizer")
        and all(map(is_, _settings(estimator, known.read), known.settings))
        and attributes.keys().isdisjoint(HOOKS)
        and are_checked(estimator, X, y)
        and len(X) == len(known.samples)
        and (estimator.backend is not None or os.environ.get("FASTMLP_BACKEND") == known.default_backend)
        and buffer is not None
        and buffer.params is known.engine.params
        and shows_buffer(estimator)
        and generator_of(estimator) is known.random
        and known.random._bit_generator is known.bits  # type: ignore[attr-defined]
    )


def _settings(estimator: Estimator, read: Callable[[Any], tuple]) -> tuple:
    return (*read(estimator), estimator.out_activation_, *_HOOKS(type(estimator)))


def _train(known: Prepared, estimator: Estimator, X: Any, y: Any) -> bool:
    """Train one epoch; False, and nothing done, if y has another number of outputs."""
    engine, (net, operations, state), rule = known.engine, known.session[1], known.state.rule
    backend, convergence = engine.backend, known.convergence
    estimator._fastmlp_learn_targets(y, True)
    given = Given(X, y, None, estimator._fastmlp_encode(y))
    if given.targets.n_outputs != engine.layout.sizes[-1]:
        return False
    data = prepare_samples(estimator, given, engine.params.dtype).data
    convergence.recorder.estimator = estimator
    convergence.recorder.begin_call(given.targets.n_outputs, known.random)
    convergence.recorder.begin_epochs()
    before, loss, batch = engine.params.copy(), np.nan, batch_size(estimator, len(X))
    lr = convergence.rates(rule.lr, 0, 1, -(-len(X) // batch), ())
    try:
        if known.shuffle is not None:
            with drawing(known.random):
                known.shuffle(known.order, known.samples)
        rates = rule.rates(state.step, lr)[None]
        backend.write(net.params, engine.params)
        arguments = net, engine.on_device(data), state.update, known.order, batch, rates, 0, state.step
        loss = float(backend.train(operations, *arguments)[0]) / len(X)
        state.step += len(lr)
        params = backend.to_host(net.params)
        if not np.isfinite(params).all():
            engine.params[...] = before
            raise ValueError(f"{NOT_FINITE} {divergence(1, loss, lr[-1])}")
        if params is not engine.params:
            engine.params[...] = params
        convergence.observe(1, {"loss": loss}, params)
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=2)
    finally:
        known.state.step, known.state.learning_rate = state.step, convergence.learning_rate
        known.state.epochs += estimator.n_iter_
        moments = backend.to_host(state.update.moments)
        if moments is known.state.moments:
            refresh_numbers(vars(estimator)["_optimizer"], known.state)
        else:
            known.state.moments = moments
            store_state(estimator, known.state, engine.layout, same=True)
    return True


def remember(estimator: Estimator, run: Run, plan: Plan) -> None:
    """Keep what a partial fit has set up, if the next one can be made without looking again."""
    cache, engine, random = cache_of(estimator), run.engine, vars(estimator)["_random_state"]
    cache.partial_fit = None
    values = (getattr(estimator, name) for name in estimator._fastmlp_defaults if name != "hidden_layer_sizes")
    changing = estimator.callbacks or not all(isinstance(value, _UNCHANGING) for value in values)
    changing = changing or overridden(estimator, "_validate_input")  # which looks at the samples
    if changing or plan.keep or plan.convergence.schedule or len(plan.order) > _MOST:
        return
    session, unread = engine.sessions.get("train"), unread_of(estimator)
    if unread is None or session is None or cache.buffer is not run.buffer:
        return
    plan.convergence.recorder.estimator = None  # which must not be kept alive
    engine.forget_samples()
    shuffle = engine.backend.shuffler(random, len(plan.order))
    read = attrgetter(*estimator._fastmlp_defaults)
    cache.partial_fit = Prepared(
        read=read,
        settings=_settings(estimator, read),
        engine=engine,
        session=session,
        state=unread.state,
        convergence=plan.convergence,
        random=random,
        bits=random._bit_generator,
        shuffle=shuffle if estimator.shuffle and len(plan.order) > 1 else None,
        default_backend=os.environ.get("FASTMLP_BACKEND"),
        samples=plan.order,
        order=plan.order[None].copy(),
    )
