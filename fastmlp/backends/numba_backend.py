"""The Numba backend: the text of `fastmlp.step` compiled with its epoch loop, run by a team of threads.

What is compiled already runs without Numba: see `fastmlp.backends.compiled`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from operator import is_
from typing import Any

import numpy as np

import fastmlp.step as step
from fastmlp.backends.base import Backend, Reduction
from fastmlp.backends.compiled.arguments import Block, words_of
from fastmlp.backends.compiled.cache import kernel_folders, stored_sizes
from fastmlp.backends.compiled.functions import Library, Needed, Run, compiling, library_of
from fastmlp.backends.compiled.host_functions import HostFunction
from fastmlp.backends.compiled.jobs import SHUFFLE, entry_job
from fastmlp.backends.compiled.shuffler import make_shuffler
from fastmlp.backends.teams import POOL, Task
from fastmlp.backends.threads import WORK_PER_ROW, available_threads, is_worth_sharing, worth_threads
from fastmlp.forks import no_fork
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.kernels import codes
from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES
from fastmlp.kernels.cpu.regimes import Regime, is_shared, regime_of, scratch_elements
from fastmlp.kernels.cpu.table import FORMULA_TABLES
from fastmlp.kernels.cpu.team.members import ON_HOST, Team, make_teams
from fastmlp.network import Data, Network, Update, aligned_zeros

__all__ = ["NumbaBackend"]

BRIEF = 200_000  # multiply-adds: what a thread does while another takes the interpreter's lock, 5 to 10 µs

_PARAMETERS = {
    name: list(inspect.signature(getattr(step, name)).parameters)[1:] for name in ("gradient", "predict", "train_epoch")
}


class _NetworkTeams:
    """Teams for one network, of every size that has run."""

    def __init__(
        self,
        net: Network,
        rows: int,
        n_threads: int | None,
        formulas: Formulas,
        all_reduce: Reduction | None,
        precision: str,
    ) -> None:
        self.n_threads, self.formulas, self.compiled = n_threads, formulas, library_of(formulas)
        self._all_reduce = None if all_reduce is None else HostFunction(all_reduce, net.params.size, net.params.dtype)
        self._rows, self._products = min(rows, net.chunk), int((net.fan_in * net.fan_out).sum())
        self._real, widths, regime = net.params.dtype, _widths(net), _regime(net, precision)
        self._scratch, self._regime = scratch_elements(regime, widths, net.chunk, self._real.itemsize), regime
        self._shared_work = self._products + WORK_PER_ROW
        if regime == "sample":
            self._shared_work = sum(i * o for i, o in pairwise(widths) if is_shared(i, o))
        self._shared = regime != "tiny" and is_worth_sharing(self._rows, self._products, int(net.fan_out.sum()))
        self._last: tuple[list, tuple, Run | None] = [], (), None  # the last run's kind, and what runs it
        self._teams: dict[tuple[int, int], tuple[list[Team], list[int]]] = {}
        self._blocks: dict[type, tuple[tuple, Block]] = {}  # of the last network and the last update

    def run(self, entry: str, call: dict[str, Any]) -> Run:
        """See `_compiled_run`, which is called only if this run is of another kind than the last."""
        records = [call["net"], call.get("update")]
        facts = entry, call.get("depth"), len(call["order"]) > 0, *_facts(call["data"])
        last_records, last_facts, run = self._last
        if run is None or facts != last_facts or not all(map(is_, records, last_records)):
            run = _compiled_run(entry, call, self._regime, self.formulas, self.compiled)
            self._last = records, facts, run
        return run

    def worth(self, samples: int, update: Update | None = None) -> int:
        """Threads that pay in a run over so many samples."""
        moved = _update_work(update) * update.into.size if update else 0
        work = self._shared_work * self._rows
        return worth_threads(self._rows, work, moved, samples / self._rows) if self._shared else 1

    def is_brief(self, samples: int) -> bool:
        """Whether a run over so many samples takes a few microseconds."""
        return samples * self._products < BRIEF

    def team(self, size: int, table: np.ndarray) -> list[int]:
        """The addresses of a team's members, its barriers reset."""
        key = size, id(table)
        if key not in self._teams:
            members = make_teams(size, aligned_zeros(size * self._scratch, self._real), table)
            self._teams[key] = members, [member.record.ctypes.data for member in members]
        members, addresses = self._teams[key]
        members[0].sync[:] = 0
        if self._all_reduce is not None:
            members[0].sync[ON_HOST] = self._all_reduce.address
        return addresses

    def raise_failure(self) -> None:
        """Raise what `all_reduce` raised in the last run."""
        if self._all_reduce is not None:
            self._all_reduce.raise_failure()

    def words(self, arguments: tuple) -> tuple[list[int], list[Block]]:
        """Arguments of an entry point after `ops`, as words; and what to keep until it has run, besides themselves."""
        words, blocks = list[int](), list[Block]()
        for value in arguments:
            if isinstance(value, tuple):
                blocks.append(self._block(value))
                words.append(blocks[-1].address)
            else:
                words += words_of(value)
        return words, blocks

    def _block(self, record: tuple) -> Block:
        """A record's words. Those of samples are made anew each time: kept, they would keep large arrays alive."""
        known, block = self._blocks.get(type(record), (None, None))
        if known is not record or block is None:
            block = Block.of(record)
            if not isinstance(record, Data):
                self._blocks[type(record)] = record, block
        return block


def _update_work(update: Update) -> int:
    """Multiply-adds of a product that take as long as the rule's update of a weight."""
    return 0 if update.rule == codes.DIRECT else 3 if len(update.moments) < 2 else 10


_VIEWS = "matrix", "vector"  # emitted in place


class _Recorder:
    """Operations that only record their names: a run of the step on them shows which ones it needs."""

    def __init__(self) -> None:
        self.needed: list[Needed] = []

    def __getattr__(self, name: str) -> Any:
        def operation(*arguments):
            if name not in _VIEWS:
                self.needed.append((name, arguments[0] if name in FORMULA_TABLES else 0))
            return 1.0

        return operation


class NumbaBackend(Backend):
    """Compiled for the host's CPU; nothing returns to Python between the steps of an epoch.

    precision is that of the factors of float32 matrix products, "float32" or "bf16" (see `kernels.cpu.bf16`).
    Parameters, losses and outputs are the same, bit for bit, with any number of threads. So without an explicit
    n_threads every run takes as many as are free at the moment.
    """

    name = "numba"
    precisions = ("float32", "bf16")
    checks_samples = True
    samples_at_once = 1 << 17

    @classmethod
    def problem(cls) -> str | None:
        _import_numba_if_needed()
        return None

    def describe(self) -> str:
        threads, bits = available_threads(), 8 * VECTOR_BYTES
        products = "" if self.precision == "float32" else f", products in {self.precision}"
        return f"Numba {version('numba')}, {bits}-bit vectors, up to {threads} thread{'s' * (threads > 1)}{products}"

    def zeros(self, n: int, dtype: np.dtype | type) -> np.ndarray:
        return aligned_zeros(n, dtype)

    def asarray(self, host: np.ndarray) -> np.ndarray:
        return host

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def shuffler(self, random: np.random.RandomState, n_samples: int) -> Callable[[np.ndarray, np.ndarray], None]:
        return make_shuffler(random, n_samples) or super().shuffler(random, n_samples)

    def operations(
        self,
        net: Network,
        rows: int,
        n_threads: int | None,
        formulas: Formulas = BUILT_IN,
        all_reduce: Reduction | None = None,
    ) -> _NetworkTeams:
        return _NetworkTeams(net, rows, n_threads, formulas, all_reduce, self.precision)

    def prepare(self, operations, *arguments):
        self._compiled_training(operations, *arguments)

    def run(self, entry, operations, *arguments):
        result = self.repeatable(entry, operations, *arguments)()
        operations.raise_failure()
        return result

    def repeatable(self, entry, operations, *arguments):
        # A thread that failed before its first barrier would leave the others waiting there for ever. So everything is
        # compiled before any starts.
        call = _call(entry, arguments)
        table, function, with_lock = operations.run(entry, call)
        rows, (words, blocks) = len(call["order"]), operations.words(arguments)
        kept = operations, arguments, blocks

        def tasks(size: int, function=function) -> list[Task]:
            return [partial(function, Block([member, *words], kept)) for member in operations.team(size, table)]

        if operations.worth(rows) == 1 and operations.n_threads in (None, 1):
            # a short run, which the pool's bookkeeping would make longer
            return tasks(1, with_lock if operations.is_brief(rows) else function)[0]
        return partial(POOL.run, operations.n_threads, operations.worth(rows), tasks)

    def train(self, operations, *arguments):
        update, orders = arguments[2:4]
        table, function, _ = self._compiled_training(operations, *arguments)
        words, blocks = operations.words(arguments)
        kept, shares = (operations, arguments, blocks), list[np.ndarray]()  # of the losses, by thread

        def tasks(size: int) -> list[Task]:
            shares[:] = np.zeros((size, len(orders)))
            team = zip(operations.team(size, table), map(words_of, shares), strict=True)
            return [partial(function, Block([member, *words, *share], kept)) for member, share in team]

        POOL.run(operations.n_threads, operations.worth(orders.size, update), tasks)
        operations.raise_failure()
        return sum(shares)

    @staticmethod
    def _compiled_training(operations, net, data, update, orders, batch_size, rates, seed, first_step):
        one_epoch = net, data, update, orders[0], batch_size, rates[0], seed, first_step
        return operations.run("train_epoch", _call("train_epoch", one_epoch))

    @staticmethod
    def compilations() -> int:
        """How many functions this process has compiled rather than found in the disk cache."""
        return library_of(BUILT_IN).compilations


@cache
def _import_numba_if_needed() -> None:
    """Raise an ImportError, which the caller explains, where Numba is missing, or broken and nothing is compiled yet.

    What is compiled runs without it, and its import takes longer than a small fit.
    """
    with no_fork():
        if find_spec("numba") is None or not any(map(stored_sizes, kernel_folders())):
            import numba  # noqa: F401


def _widths(net: Network) -> list[int]:
    return [int(net.fan_in[0]), *net.fan_out.tolist()]


def _regime(net: Network, precision: str) -> Regime:
    return regime_of(_widths(net), net.chunk, net.params.itemsize, bool((net.keep < 1.0).any()), precision)


def _compiled_run(entry: str, call: dict[str, Any], regime: Regime, formulas: Formulas, library: Library) -> Run:
    """The compiled run for such a call. Compiles or loads what this process has not used before."""
    net, data = call["net"], call["data"]
    if regime == "tiny" and (entry == "gradient" or data.sparse):
        regime = ""  # the caller would see outputs stored by columns; and there are no tiny sparse operations
    kind = (
        *(regime, entry, net.params.dtype),
        *_facts(data),
        # and the numbers by which the step and its operations choose what to call
        *(net.activation.tobytes(), net.loss, net.keep.tobytes(), len(call["order"]) > 0, call.get("depth")),
        _looks_ahead(net),
        *(value for value in call.get("update", ()) if not isinstance(value, np.ndarray)),
    )
    if kind not in library.runs:
        with compiling():
            needed = _needed(entry, call)
            dtypes = net.params.dtype, data.x.dtype
            besides = []
            if entry == "train_epoch":  # compile along with it what such programs will need next
                besides += [entry_job("predict", *dtypes), SHUFFLE]
                needed |= _needed("predict", call | {"depth": len(net.fan_out), "out": net.a})
                needed |= {("activate_block", code) for code in _links(net, formulas)}
            library.runs[kind] = library.run(entry_job(entry, *dtypes), sorted(needed), regime, formulas, besides)
    return library.runs[kind]


def _needed(entry: str, call: dict[str, Any]) -> set[Needed]:
    """The operations that such a run calls."""
    recorder = _Recorder()
    short = _shortened(call)
    getattr(step, entry)(
        recorder, **{name: short[name] for name in _PARAMETERS[entry]}
    )  # one sample passes the same branches as all of them
    return {*recorder.needed, *_inner_operations({name for name, _ in recorder.needed}, call)}


def _links(net: Network, formulas: Formulas) -> Iterator[int]:
    """The activation that turns the last layer's values into predictions, where there is one."""
    link = formulas.loss(net.loss).link
    if link in ("softmax", "sigmoid"):
        yield formulas.code_of(link)


def _facts(data: Data) -> tuple:
    """What types and operations depend on in the samples, which are large and not kept themselves."""
    return data.x.dtype, data.sparse, data.labels.size > 0


def _inner_operations(names: Collection[str], call: dict[str, Any]) -> Iterator[Needed]:
    """Operations that these operations call."""
    net, data = call["net"], call["data"]
    for code in set(net.activation.tolist()) - {codes.IDENTITY, codes.RELU}:
        yield "activate_block", code
        if ("backward_data" in names or "activation_backward" in names) and code != codes.THRESHOLD:
            yield "differentiate_block", code
    if "loss_gradient" in names and not codes.is_labelled_softmax(net.loss, data.labels.size):
        yield "loss_of_rows", net.loss
    direct = "accumulate_rows" in names and call["update"].rule == codes.DIRECT
    if direct and _looks_ahead(net):
        yield "update_and_form_sums", 0


def _looks_ahead(net: Network) -> bool:
    """Whether the pass that updates the first layer by one sample may form the sums of the next one as well."""
    return net.chunk == 1 and bool(is_shared(net.fan_in[0], net.fan_out[0]))


def _call(entry: str, arguments: tuple) -> dict[str, Any]:
    """The arguments of ``fastmlp.step.<entry>`` by name, without ops."""
    return dict(zip(_PARAMETERS[entry], arguments, strict=True))


def _shortened(call: dict[str, Any]) -> dict[str, Any]:
    """The same call for one step of one sample in each shard, if there are any samples."""
    samples = call["update"].shards if "update" in call and len(call["order"]) else len(call["order"][:1])
    short = call | {"order": np.zeros(samples, np.int64), "batch_size": samples}
    return short | ({"rates": call["rates"][:1]} if "rates" in call else {})
