"""The state of a training run in a checkpoint: saving it, restoring it, and the settings that must be equal."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastmlp.checkpoint import State
from fastmlp.errors import InputError, ModelFileError
from fastmlp.network import SHARDS
from fastmlp.tensor_files import digest_of

if TYPE_CHECKING:
    from fastmlp.trainer import Training

__all__ = ["Part", "described", "generator_of", "restore", "saved_state", "settings_of", "state_of"]

_COLUMN = "history."  # prefix of the columns of the history
_log = logging.getLogger("fastmlp")


class Part(NamedTuple):
    """The finished part of the current epoch."""

    steps: int = 0
    loss: float = 0.0  # the sum so far
    seconds: float = 0.0
    waited: float = 0.0  # of these seconds, for samples


def state_of(training: Training, stopped: str) -> State:
    """Return the state of a run; `stopped` is the reason why it has ended, "" if it has not."""
    backend, (net, _, state) = training.engine.backend, training.session
    history, orders = training.history, training.orders
    arrays = {
        "params": backend.to_host(net.params),
        "moments": backend.to_host(state.update.moments),
        "order": orders.taken,
        **{_COLUMN + name: np.array(history[name], np.float64) for name in history.columns},
    }
    if training.stopping.best is not None:
        arrays["best"] = training.stopping.best
    if training.part.steps or training.callbacks:  # otherwise they equal params
        arrays["last_finite"] = training.last_finite
    generator = orders.generator()
    if generator is None and training.dropout is not None:
        generator = training.dropout.get_state(legacy=False)
    facts = {
        "epochs": len(history),
        "stopped": stopped,
        "columns": history.columns,
        "step": state.step,
        "updates": history.updates,
        "part": training.part,
        "dropout_seed": training.dropout_seed,
        "generator": _plain(generator),
        "backend": backend.name,
    }
    return State(arrays, facts)


def saved_state(training: Training) -> State | None:
    """Read and check the state to resume from; None if there is none.

    Raises
    ------
    InputError, ModelFileError
        The state is of another run, or damaged, or has more epochs than this run.
    """
    assert training.checkpoint is not None
    saved, path = training.checkpoint.read(), training.checkpoint.path
    if saved is None:
        return None
    try:
        _check(training, saved)
        done, part, backend = saved.facts["epochs"], Part(*saved.facts["part"]), saved.facts["backend"]
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"The checkpoint {path} is none that this fastmlp has written: {error!r}. Train from the beginning with "
            "another checkpoint."
        ) from error
    if done + (part.steps > 0) > training.epochs:
        more = " and a part" if part.steps else ""
        raise InputError(
            f"The checkpoint {path} has {done} epochs{more}, more than the {training.epochs} asked for. Ask for as "
            "many or more."
        )
    if backend != training.engine.backend.name:
        text = "The checkpoint was written with backend=%r and goes on with %r, which rounds differently."
        _log.warning(text, backend, training.engine.backend.name)
    return saved


def _check(training: Training, saved: State) -> None:
    """Raise one of several exceptions unless `restore` can use the state."""
    (net, _, state), (arrays, facts) = training.session, saved
    for name, like in (("params", net.params), ("moments", state.update.moments)):
        assert (arrays[name].shape, arrays[name].dtype) == (like.shape, np.dtype(like.dtype)), name
    for name in {"best", "last_finite"} & arrays.keys():
        assert arrays[name].shape == net.params.shape, name
    if training.feed is None:
        assert np.array_equal(np.sort(arrays["order"]), np.sort(training.samples)), "order"
    else:
        assert (arrays["order"].shape, arrays["order"].dtype) == ((2,), np.int64), "order"
    assert all(len(arrays[_COLUMN + name]) == facts["epochs"] for name in facts["columns"]), "history"
    assert bool(facts["columns"]) == bool(facts["epochs"]), "history"
    assert all(type(facts[name]) is int for name in ("epochs", "step", "updates", "dropout_seed")), "counters"
    if generator_of(training) is not None:
        np.random.RandomState(getattr(np.random, facts["generator"]["bit_generator"])()).set_state(
            _arrays(facts["generator"])
        )


def restore(training: Training, saved: State) -> bool:
    """Restore a saved state in a run that has not begun; return whether the saved run had ended."""
    backend, (net, _, state), (arrays, facts) = training.engine.backend, training.session, saved
    training.engine.params[...] = arrays["params"]
    for array, values in ((net.params, "params"), (state.update.moments, "moments")):
        backend.write(array, arrays[values])
    training.last_finite[...] = arrays.get("last_finite", arrays["params"])
    training.samples, training.dropout_seed = arrays["order"], facts["dropout_seed"]
    if training.feed is not None:
        training.feed.restore(arrays["order"])
    random = generator_of(training)
    if random is np.random.mtrand._rand:  # NumPy's global generator, which other code uses: this run takes a new one
        random = training.shuffle = np.random.RandomState() if training.shuffle else None
    if random is not None:
        random.set_state(_arrays(facts["generator"]))
    state.step, training.history.updates = facts["step"], facts["updates"]
    training.part = Part(*facts["part"])
    # The state of a criterion follows from the rows of the history, except for the best weights.
    columns = {name: arrays[_COLUMN + name].tolist() for name in facts["columns"]}
    reason = training.record(0, columns, np.empty(0))
    training.stopping.best = arrays.get("best")
    if facts["stopped"] == "callback":
        reason = "callback"
    training.history.stopped = reason or "epochs"
    return reason is not None or facts["epochs"] == training.epochs


def settings_of(training: Training) -> dict[str, Any]:
    """Return the settings that must be equal in a resumed run, besides the data, by names for messages."""
    engine, net, update = training.engine, training.session.net, training.session.state.update
    loss, random = engine.loss, generator_of(training)
    schedule = {} if training.schedule is training.stopping else {"schedule": described(training.schedule)}
    # without the rule of the update, which depends on the backend as well as on the optimizer, and without shards: a
    # run may go on with another number of ranks
    numbers = {
        name: value
        for name, value in update._asdict().items()
        if isinstance(value, (bool, int, float)) and name not in ("rule", *SHARDS)
    }
    return {
        "sizes": engine.layout.sizes,
        "activations": [one if one is None or isinstance(one, str) else described(one) for one in engine.activations],
        "loss": loss and [loss.name, *loss.parameter, *(described(part) for part in loss if callable(part))],
        "dtype": str(engine.params.dtype),
        "precision": engine.backend.precision,
        "keep probabilities": net.keep.tolist(),
        "optimizer": described(training.rule),
        "batch size": training.batch_size,
        "shuffle": training.shuffle is not None,
        **({"block": training.block} if training.block else {}),
        "generator": random and random.get_state(legacy=False)["bit_generator"],
        **numbers,
        **schedule,
        **{name: _number(value) for name, value in training.stopping.settings().items()},
        **(training.feed.settings() if training.feed else {"samples": digest_of({"samples": training.samples})[:32]}),
    }


def described(thing: Any) -> str:
    """Describe a setting by a text that is equal in every process: a function by its code, an object by its fields."""
    return _described(thing, 4)


def _described(thing: Any, depth: int) -> str:
    if thing is None or isinstance(thing, (bool, int, float, str, np.generic)):
        return str(_number(thing))
    if isinstance(thing, np.ndarray):
        return f"{thing.dtype}{list(thing.shape)} {sha256(np.ascontiguousarray(thing).tobytes()).hexdigest()[:16]}"
    if depth == 0:
        return type(thing).__qualname__

    def listed(values: Iterable[Any]) -> str:
        return ", ".join(_described(value, depth - 1) for value in values)

    def named(values: Iterable[tuple[Any, Any]]) -> str:
        return ", ".join(f"{name}={_described(value, depth - 1)}" for name, value in values)

    code = getattr(thing, "__code__", None)
    if code is not None:
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        content = code.co_code.hex(), code.co_names, listed([*code.co_consts, *(thing.__defaults__ or ()), *cells])
        return f"{thing.__name__} {sha256(repr(content).encode()).hexdigest()[:16]}"
    if isinstance(thing, (list, tuple)):
        return f"[{listed(thing)}]"
    if isinstance(thing, dict):
        return f"{{{named(thing.items())}}}"
    if isinstance(thing, type):
        return thing.__qualname__
    if is_dataclass(thing):
        return f"{type(thing).__name__}({named((entry.name, getattr(thing, entry.name)) for entry in fields(thing))})"
    return f"{type(thing).__name__}({named(getattr(thing, '__dict__', {}).items())})"


def generator_of(training: Training) -> np.random.RandomState | None:
    """The generator of the run."""
    return training.shuffle if training.shuffle is not None else training.dropout


def _number(value: Any) -> Any:
    """Convert a NumPy scalar to a Python number."""
    return value.item() if isinstance(value, np.generic) else value


def _plain(state: Any) -> Any:
    """Convert the state of a generator to JSON values."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return {"array": state.tolist(), "dtype": str(state.dtype)} if isinstance(state, np.ndarray) else state


def _arrays(state: Any) -> Any:
    """Convert back from `_plain`."""
    if not isinstance(state, dict):
        return state
    if state.keys() == {"array", "dtype"}:
        return np.array(state["array"], state["dtype"])
    return {name: _arrays(value) for name, value in state.items()}
