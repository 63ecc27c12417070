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
from fastmlp.estimators.convergence import NOT_FINITE, Convergence
from fastmlp.estimators.fitted_weights import shows_buffer
from fastmlp.estimators.hooks import HOOKS, overridden
from fastmlp.estimators.kept import generator_of, kept_of
from fastmlp.estimators.optimizer import OptimizerState, keep_state, refresh_numbers
from fastmlp.estimators.planning import Run, batch_size
from fastmlp.estimators.targets import are_checked, bring_in
from fastmlp.forks import drawing
from fastmlp.losses import Loss
from fastmlp.optimizers import Optimizer
from fastmlp.trainer import divergence

__all__ = ["make_epoch", "remember"]

# parameters of these types are the same as long as they are the same objects
_UNCHANGING = (type(None), bool, int, float, str, np.number, tuple, Optimizer, Loss, np.random.RandomState)
_MOST = 1024  # samples: with more of them the setting-up does not matter
_HOOKS = attrgetter(*HOOKS)


@dataclass
class _Online:
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


def remember(e: Any, run: Run) -> None:
    """Keep what a partial fit has set up, if the next one can be made without looking again."""
    kept, plan = kept_of(e), run.plan
    session = run.engine.sessions.get("train")
    kept.online = None
    values = (getattr(e, name) for name in e._fastmlp_defaults if name != "hidden_layer_sizes")
    changing = e.callbacks or not all(isinstance(value, _UNCHANGING) for value in values)
    changing = changing or overridden(e, "_validate_input")  # which looks at the samples
    if plan is None or changing or plan.keep or plan.convergence.schedule or len(plan.order) > _MOST:
        return
    looked = kept.face is not vars(e).get("_optimizer")
    if looked or session is None or kept.shown is not run.buffer:
        return
    plan.convergence.estimator = None  # which must not be kept alive
    run.engine.forget_samples()
    shuffle = run.engine.backend.shuffler(vars(e)["_random_state"], len(plan.order))
    read = attrgetter(*e._fastmlp_defaults)
    kept.online = _Online(
        read=read,
        settings=_settings(e, read),
        engine=run.engine,
        session=session,
        state=kept.state,
        convergence=plan.convergence,
        random=vars(e)["_random_state"],
        bits=vars(e)["_random_state"]._bit_generator,
        shuffle=shuffle if e.shuffle and len(plan.order) > 1 else None,
        default_backend=os.environ.get("FASTMLP_BACKEND"),
        samples=plan.order,
        order=plan.order[None].copy(),
    )


def _settings(e: Any, read: Callable[[Any], tuple]) -> tuple:
    return (*read(e), e.out_activation_, *_HOOKS(type(e)))


def make_epoch(e: Any, X: Any, y: Any) -> bool:
    """Train one epoch with what the last call has kept; False, and nothing done, if something has changed."""
    known: _Online | None = kept_of(e).online
    if known is None or not _is_valid(known, e, X, y):
        return False
    session = known.engine.sessions.pop("train", None)  # so that no other thread has it
    if session is not known.session:
        if session is not None:
            known.engine.sessions["train"] = session
        return False
    try:
        return _train(known, e, X, y)
    finally:
        known.convergence.estimator = None
        known.engine.forget_samples()
        known.engine.sessions["train"] = session


def _is_valid(known: _Online, e: Any, X: Any, y: Any) -> bool:
    kept, attributes = kept_of(e), vars(e)
    return (
        "coefs_" in attributes
        and kept.state is known.state
        and kept.face is not None
        and kept.face is attributes.get("_optimizer")
        and all(map(is_, _settings(e, known.read), known.settings))
        and attributes.keys().isdisjoint(HOOKS)
        and are_checked(e, X, y)
        and len(X) == len(known.samples)
        and (e.backend is not None or os.environ.get("FASTMLP_BACKEND") == known.default_backend)
        and kept.shown.params is known.engine.params
        and shows_buffer(e)
        and generator_of(e) is known.random
        and known.random._bit_generator is known.bits  # type: ignore[attr-defined]
    )


def _train(known: _Online, e: Any, X: Any, y: Any) -> bool:
    engine, (net, operations, state), rule = known.engine, known.session[1], known.state.rule
    backend, convergence = engine.backend, known.convergence
    e._fastmlp_learn_targets(y, True)
    targets = e._fastmlp_suited(e._fastmlp_encode(y))
    if targets.n_outputs != engine.layout.sizes[-1]:
        return False
    samples = bring_in(X, y, None, targets, engine.params.dtype)
    convergence.estimator, e._random_state, e.n_iter_ = e, known.random, 0
    before, loss, batch = engine.params.copy(), np.nan, batch_size(e, len(X))
    lr = convergence.rates(rule.lr, 0, 1, -(-len(X) // batch), ())
    try:
        if known.shuffle is not None:
            with drawing(known.random):
                known.shuffle(known.order, known.samples)
        rates = rule.rates(state.step, lr)[None]
        backend.write(net.params, engine.params)
        arguments = net, engine.placed(samples.data), state.update, known.order, batch, rates, 0, state.step
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
        known.state.epochs += e.n_iter_
        moments = backend.to_host(state.update.moments)
        if moments is known.state.moments:
            refresh_numbers(kept_of(e).face, known.state)
        else:
            known.state.moments = moments
            keep_state(e, known.state, engine.layout, same=True)
    return True
