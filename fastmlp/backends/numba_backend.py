"""The Numba backend: the text of `fastmlp.step` compiled with its epoch loop, run by a team of threads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import pairwise
from operator import is_
from typing import Any, NamedTuple

import numba
import numba.extending
import numpy as np

from fastmlp import step
from fastmlp.backends.base import Backend
from fastmlp.backends.call_table import CallTable, Compiled, Needed, compiled_of
from fastmlp.backends.compile_cache import cached, compiling
from fastmlp.backends.shuffler import make_shuffler
from fastmlp.backends.teams import POOL, Task
from fastmlp.backends.threads import WORK_PER_ROW, available_threads, is_worth_sharing, worth_threads
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.kernels import codes, cpu
from fastmlp.network import Data, Network, Update, aligned_zeros

__all__ = ["NumbaBackend"]

# No "nnan" and "ninf": a diverged loss must be seen. Division by zero gives infinity, as in NumPy.
OPTIONS = {"fastmath": {"contract", "reassoc", "nsz", "arcp"}, "error_model": "numpy", "nogil": True}
# The step allocates nothing and keeps no arrays, so it needs no runtime of Numba, which would count references.
_STEP_OPTIONS = OPTIONS | {"_nrt": False, "no_cfunc_wrapper": True}

TABLE = CallTable(OPTIONS)


def _train_epochs(ops, net, data, update, orders, batch_size, rates, seed, first_step, losses):
    """`fastmlp.step.train_epoch` for each row of orders (E, n), with denormal numbers as zero.

    losses (E,) receives what each returns: this thread's share.
    """
    before = cpu.flush_denormals()
    for e in range(len(orders)):
        first = first_step + e * rates.shape[1]
        losses[e] = step.train_epoch(ops, net, data, update, orders[e], batch_size, rates[e], seed, first)
    cpu.restore_denormals(before)
    return 0.0


def _compile_entries() -> dict:
    for _, function in inspect.getmembers(step, inspect.isfunction):
        if function.__module__ == step.__name__:
            numba.extending.register_jitable(forceinline=True, **_STEP_OPTIONS)(function)
    entries = {"gradient": step.gradient, "predict": step.predict, "train_epoch": _train_epochs}
    return {name: cached(function, _STEP_OPTIONS) for name, function in entries.items()}


_ENTRIES = _compile_entries()
_PARAMETERS = {name: list(inspect.signature(getattr(step, name)).parameters)[1:] for name in _ENTRIES}


class _Run(NamedTuple):
    """An entry point of the step, compiled for certain types of arguments."""

    table: np.ndarray  # (operations,) int64: addresses of those that it calls
    # Numba's wrapper for these types. Its dispatcher would look up the types of some fifty arguments at each call,
    # which takes as long as a small step. So the types must follow from the key in `_compiled_run`.
    function: Callable[..., float]


class _NetworkTeams:
    """Teams for one network, of every size that has run."""

    def __init__(self, net: Network, rows: int, n_threads: int | None, formulas: Formulas) -> None:
        products = net.fan_in * net.fan_out
        self.n_threads, self.formulas, self.compiled = n_threads, formulas, compiled_of(formulas)
        self._rows, self._products = min(rows, net.chunk), int(products.sum())
        self._real = net.params.dtype
        # of a thread: for a transposed weight matrix, or a few converted samples
        self._scratch = int(max(products[1:].max(initial=0), cpu.ROWS * max(net.fan_in[0], net.chunk)))
        special = _special(net)
        if special == "large":
            self._scratch = cpu.LARGE_SCRATCH_BYTES // self._real.itemsize
        elif special == "tiny":
            self._scratch = max(self._scratch, cpu.tiny_scratch(_widths(net), net.chunk))
        self._shared_work = self._products + WORK_PER_ROW
        if special == "sample":
            self._shared_work = sum(i * o for i, o in pairwise(_widths(net)) if cpu.is_shared(i, o))
        self._shared = special != "tiny" and is_worth_sharing(self._rows, self._products, int(net.fan_out.sum()))
        self._last: tuple[list, tuple, _Run | None] = [], (), None  # the last run's kind, and what runs it
        self._teams: dict[tuple[int, int], list[cpu.Team]] = {}

    def run(self, entry: str, call: dict[str, Any]) -> _Run:
        """See `_compiled_run`, which is called only if this run is of another kind than the last."""
        records = [call["net"], call.get("update")]
        facts = entry, call.get("depth"), len(call["order"]) > 0, *_facts(call["data"])
        last_records, last_facts, run = self._last
        if run is None or facts != last_facts or not all(map(is_, records, last_records)):
            run = _compiled_run(entry, call, self.formulas, self.compiled)
            self._last = records, facts, run
        return run

    def worth(self, samples: int, update: Update | None = None) -> int:
        """Threads that pay in a run over so many samples."""
        moved = _update_work(update) * update.into.size if update else 0
        work = self._shared_work * self._rows
        return worth_threads(self._rows, work, moved, samples / self._rows) if self._shared else 1

    def team(self, size: int, table: np.ndarray) -> list[cpu.Team]:
        """A team of this size, its barriers reset."""
        key = size, id(table)
        if key not in self._teams:
            members = cpu.make_teams(size, aligned_zeros(size * self._scratch, self._real), 0)
            self._teams[key] = [member._replace(table=table) for member in members]
        team = self._teams[key]
        team[0].sync[:] = 0
        return team


def _update_work(update: Update) -> int:
    """Multiply-adds of a product that take as long as the rule's update of a weight."""
    return 0 if update.rule == codes.DIRECT else 3 if len(update.moments) < 2 else 10


_VIEWS = {view.__name__ for view in cpu.VIEWS}  # emitted in place


class _Recorder:
    """Operations that only record their names: a run of the step on them shows which ones it needs."""

    def __init__(self) -> None:
        self.needed: list[Needed] = []

    def __getattr__(self, name: str) -> Any:
        def operation(*arguments):
            if name not in _VIEWS:
                self.needed.append((name, arguments[0] if name in cpu.FORMULA_OPERATIONS else 0))
            return 1.0

        return operation


class NumbaBackend(Backend):
    """Compiled for the host's CPU; nothing returns to Python between the steps of an epoch.

    Parameters, losses and outputs are the same, bit for bit, with any number of threads. So without an explicit
    n_threads every run takes as many as are free at the moment.
    """

    name = "numba"
    samples_at_once = 1 << 17

    @classmethod
    def problem(cls) -> str | None:
        return None

    def describe(self) -> str:
        threads, bits = available_threads(), 8 * cpu.VECTOR_BYTES
        return f"Numba {numba.__version__}, {bits}-bit vectors, up to {threads} thread{'s' * (threads > 1)}"

    def zeros(self, n: int, dtype: np.dtype | type) -> np.ndarray:
        return aligned_zeros(n, dtype)

    def asarray(self, host: np.ndarray) -> np.ndarray:
        return host

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def shuffler(self, random: np.random.RandomState, n_samples: int) -> Callable[[np.ndarray, np.ndarray], None]:
        return make_shuffler(random, n_samples) or super().shuffler(random, n_samples)

    def operations(
        self, net: Network, rows: int, n_threads: int | None, formulas: Formulas = BUILT_IN
    ) -> _NetworkTeams:
        return _NetworkTeams(net, rows, n_threads, formulas)

    def prepare(self, operations, *arguments):
        self._compiled_training(operations, *arguments)

    def run(self, entry, operations, *arguments):
        return self.repeatable(entry, operations, *arguments)()

    def repeatable(self, entry, operations, *arguments):
        # A thread that failed before its first barrier would leave the others waiting there for ever. So everything is
        # compiled before any starts.
        call = _call(entry, arguments)
        table, function = operations.run(entry, call)
        rows = len(call["order"])
        if operations.worth(rows) == 1 and operations.n_threads in (None, 1):
            # a short run, which the pool's bookkeeping would make longer
            return partial(function, *operations.team(1, table), *arguments)

        def tasks(size: int) -> list[Task]:
            return [partial(function, member, *arguments) for member in operations.team(size, table)]

        return partial(POOL.run, operations.n_threads, operations.worth(rows), tasks)

    def train(self, operations, *arguments):
        update, orders = arguments[2:4]
        table, function = self._compiled_training(operations, *arguments)
        shares: list[np.ndarray] = []  # of the losses, by thread

        def tasks(size: int) -> list[Task]:
            shares[:] = np.zeros((size, len(orders)))
            team = operations.team(size, table)
            return [partial(function, member, *arguments, share) for member, share in zip(team, shares, strict=True)]

        POOL.run(operations.n_threads, operations.worth(orders.size, update), tasks)
        return sum(shares)

    @staticmethod
    def _compiled_training(operations, net, data, update, orders, batch_size, rates, seed, first_step):
        one_epoch = net, data, update, orders[0], batch_size, rates[0], seed, first_step
        return operations.run("train_epoch", _call("train_epoch", one_epoch))

    @staticmethod
    def compilations() -> int:
        """How many functions this process has compiled rather than found in the disk cache."""
        of_formulas = compiled_of(BUILT_IN).dispatchers
        dispatchers = [*TABLE.dispatchers.values(), *TABLE.special.values(), *of_formulas.values(), *_ENTRIES.values()]
        return sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in dispatchers)


def _widths(net: Network) -> list[int]:
    return [int(net.fan_in[0]), *net.fan_out.tolist()]


def _special(net: Network) -> str:
    """Which set of specialised kernels the network uses; "" for none."""
    widths = _widths(net)
    if net.chunk == 1:
        return "sample"
    if cpu.is_large(pairwise(widths), net.params.itemsize):
        return "large"
    return "tiny" if cpu.is_tiny(widths, net.chunk) and (net.keep == 1.0).all() else ""


def _compiled_run(entry: str, call: dict[str, Any], formulas: Formulas, compiled: Compiled) -> _Run:
    """The compiled run for such a call. Compiles or loads what this process has not used before."""
    net, x = call["net"], call["data"].x
    special = _special(net)
    if special == "tiny" and (entry == "gradient" or call["data"].sparse):
        special = ""  # the caller would see outputs stored by columns; and there are no tiny sparse operations
    kind = (
        *(special, entry, net.params.dtype),
        *_facts(call["data"]),
        # and the numbers by which the step and its operations choose what to call
        *(net.activation.tobytes(), net.loss, net.keep.tobytes(), len(call["order"]) > 0, call.get("depth")),
        _looks_ahead(net),
        *(value for value in call.get("update", ()) if not isinstance(value, np.ndarray)),
    )
    if kind not in compiled.runs:
        with compiling():
            recorder, team = _Recorder(), cpu.make_teams(1, np.zeros(0, net.params.dtype), 0)[0]
            getattr(step, entry)(recorder, **_shortened(call, 1))  # one sample passes the same branches as all of them
            needed = {*recorder.needed, *_inner_operations({name for name, _ in recorder.needed}, call)}
            table = TABLE.addresses(sorted(needed), team, x, special, formulas, compiled)
            idle = team._replace(table=table), *_idle(entry, call)
            _ENTRIES[entry](*idle)  # Numba compiles or loads it
            compiled.runs[kind] = _Run(table, _ENTRIES[entry].get_overload(tuple(map(numba.typeof, idle))))
    return compiled.runs[kind]


def _facts(data: Data) -> tuple:
    """What types and operations depend on in the samples, which are large and not kept themselves."""
    return data.x.dtype, data.x.flags.num, data.sparse, data.labels.size > 0


def _inner_operations(names: Collection[str], call: dict[str, Any]) -> Iterator[Needed]:
    """Operations that these operations call."""
    net, data = call["net"], call["data"]
    for code in set(net.activation.tolist()) - {codes.IDENTITY, codes.RELU}:
        yield "activate_block", code
        if ("backward_data" in names or "activation_backward" in names) and code != codes.THRESHOLD:
            yield "differentiate_block", code
    if "loss_gradient" in names and not cpu.is_labelled_softmax(net.loss, data.labels.size):
        yield "loss_of_rows", net.loss
    direct = "accumulate_rows" in names and call["update"].rule == codes.DIRECT
    if direct and _looks_ahead(net):
        yield "update_and_form_sums", 0


def _looks_ahead(net: Network) -> bool:
    """Whether the pass that updates the first layer by one sample may form the sums of the next one as well."""
    return net.chunk == 1 and bool(cpu.is_shared(net.fan_in[0], net.fan_out[0]))


def _call(entry: str, arguments: tuple) -> dict[str, Any]:
    """The arguments of ``fastmlp.step.<entry>`` by name, without ops."""
    return dict(zip(_PARAMETERS[entry], arguments, strict=True))


def _shortened(call: dict[str, Any], length: int) -> dict[str, Any]:
    return call | {name: call[name][:length] for name in ("order", "rates") if name in call}


def _idle(entry: str, call: dict[str, Any]) -> list[Any]:
    """Arguments of the compiled entry, without any samples."""
    call = _shortened(call, 0)
    if entry == "train_epoch":
        call |= {"order": call["order"][None], "rates": call["rates"][None], "losses": np.zeros(1)}
    return list(call.values())
