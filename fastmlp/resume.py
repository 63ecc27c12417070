"""What a checkpoint holds of a run of training: taken from the run, given back to it, and what must be the same."""

from __future__ import annotations

import logging
from dataclasses import is_dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.checkpoint import State
from fastmlp.errors import InputError
from fastmlp.network import Data
from fastmlp.tensor_files import digest_of

if TYPE_CHECKING:
    from fastmlp.trainer import Training

__all__ = ["described", "digests_of", "restore", "saved_state", "settings_of", "state_of"]

_PLAIN = (bool, int, float, str, type(None))
_COLUMN = "history."  # before the name of a column of the history
_log = logging.getLogger("fastmlp")


def state_of(training: Training, stopped: str) -> State:
    """All that changes in a run; stopped is why it is over, "" as long as it is not."""
    backend, (net, _, state) = training.engine.backend, training.session
    history, orders = training.history, training.orders
    arrays = {
        "params": backend.to_host(net.params),
        "m": backend.to_host(state.update.m),
        "v": backend.to_host(state.update.v),
        "order": orders.taken,
        **{_COLUMN + name: np.array(history[name], np.float64) for name in history.columns},
    }
    if training.stopping.best is not None:
        arrays["best"] = training.stopping.best
    if training.part.steps:  # else those are params
        arrays["last_finite"] = training.last_finite
    facts = {
        "epochs": len(history),
        "stopped": stopped,
        "columns": history.columns,
        "step": state.step,
        "updates": history.updates,
        "part": training.part,
        "dropout_seed": training.dropout_seed,
        "generator": _plain(orders.generator()),
        "backend": backend.name,
    }
    return State(arrays, facts)


def saved_state(training: Training) -> State | None:
    """The state to go on from, checked; None if there is none.

    Raises
    ------
    InputError, ModelFileError
        It is the state of another run, or damaged, or has more epochs than the run is to have.
    """
    assert training.checkpoint is not None
    saved = training.checkpoint.read()
    if saved is None:
        return None
    done, backend = saved.facts["epochs"], training.engine.backend.name
    if done > training.epochs:
        raise InputError(
            f"The checkpoint {training.checkpoint.path} has {done} epochs, more than the {training.epochs} asked for. "
            "Ask for as many or more."
        )
    if saved.facts["backend"] != backend:
        text = "The checkpoint was written with backend=%r and goes on with %r, which rounds differently."
        _log.warning(text, saved.facts["backend"], backend)
    return saved


def restore(training: Training, saved: State) -> bool:
    """Bring a run that has not begun to a saved state; whether that run is over, with nothing left to do."""
    backend, (net, _, state), (arrays, facts) = training.engine.backend, training.session, saved
    training.engine.params[...] = arrays["params"]
    for array, values in ((net.params, "params"), (state.update.m, "m"), (state.update.v, "v")):
        backend.write(array, arrays[values])
    training.last_finite[...] = arrays.get("last_finite", arrays["params"])
    training.samples, training.dropout_seed = arrays["order"], facts["dropout_seed"]
    if training.shuffle is not None:
        training.shuffle.set_state(_arrays(facts["generator"]))
    state.step, training.history.updates = facts["step"], facts["updates"]
    training.part = type(training.part)(*facts["part"])
    # What a criterion knows follows from the rows, except the best weights.
    columns = {name: arrays[_COLUMN + name].tolist() for name in facts["columns"]}
    reason = training.record(0, columns, np.empty(0))
    training.stopping.best = arrays.get("best")
    if reason is None and facts["stopped"] == "callback":
        reason = "callback"
    training.history.stopped = reason or "epochs"
    return reason is not None or facts["epochs"] == training.epochs


def settings_of(training: Training) -> dict[str, Any]:
    """What must be the same in a run that goes on, besides the data, by names for messages."""
    engine, net, update = training.engine, training.session.net, training.session.state.update
    numbers = ("mean", "l1", "l2", "penalty_shared", "max_norm")
    schedule = {} if training.schedule is training.stopping else {"schedule": described(training.schedule)}
    return {
        "sizes": engine.layout.sizes,
        "activations": engine.activations,
        "loss": engine.loss and (engine.loss.name, engine.loss.parameter),
        "functions of the loss": [described(part) for part in (engine.loss or ()) if callable(part)],
        "dtype": str(engine.params.dtype),
        "precision": engine.backend.precision,
        "keep probabilities": net.keep.tolist(),
        "optimizer": repr(training.rule),
        "batch size": training.batch_size,
        "shuffle": training.shuffle is not None,
        **{name: getattr(update, name) for name in numbers},
        **schedule,
        **training.stopping.settings(),
        "samples": digest_of({"samples": training.samples}, {}),
    }


def digests_of(data: Data, prefix: str = "") -> dict[str, str]:
    """Digests of features, targets and weights, by names for messages. Reads all of them."""
    parts = {
        "features": ("x", "values", "columns", "starts"),
        "targets": ("labels", "targets"),
        "sample weights": ("weights",),
    }
    return {
        prefix + what: digest_of({name: getattr(data, name) for name in names}, {}) for what, names in parts.items()
    }


def described(thing: Any) -> str:
    """A setting as text that is the same in every process; of a function its code, of an object what is plain in it."""
    if isinstance(thing, str) or is_dataclass(thing):
        return str(thing)
    code = getattr(thing, "__code__", None)
    if code is not None:
        values = *code.co_consts, *(thing.__defaults__ or ()), *(cell.cell_contents for cell in thing.__closure__ or ())
        plain = [value for value in values if isinstance(value, _PLAIN)]
        return f"{thing.__qualname__} {sha256(repr((code.co_code, code.co_names, plain)).encode()).hexdigest()[:16]}"
    fields = [
        f"{name}={value!r}" for name, value in getattr(thing, "__dict__", {}).items() if isinstance(value, _PLAIN)
    ]
    return f"{type(thing).__qualname__}({', '.join(fields)})"


def _plain(state: Any) -> Any:
    """A generator's state as JSON can hold it."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return {"array": state.tolist(), "dtype": str(state.dtype)} if isinstance(state, np.ndarray) else state


def _arrays(state: Any) -> Any:
    """The way back of `_plain`."""
    if not isinstance(state, dict):
        return state
    if state.keys() == {"array", "dtype"}:
        return np.array(state["array"], state["dtype"])
    return {name: _arrays(value) for name, value in state.items()}
