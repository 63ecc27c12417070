"""Calls of a single operation on every backend, on copies with guarded memory, for the fixture `check`."""

import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from types import SimpleNamespace

import numpy as np

from fastmlp.backends import get_backend
from fastmlp.backends.cuda.cublaslt import NoAlgorithmError
from fastmlp.backends.cuda.device import Matmul
from fastmlp.backends.cuda.numbers import Divisor, Number
from fastmlp.backends.cuda.ops import CudaOps
from fastmlp.backends.cuda.tape import Samples
from fastmlp.backends.cuda.workspace import Workspace
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.formulas.by_code import BUILT_IN
from fastmlp.kernels import codes

GUARD = 67  # elements of poison on either side: odd, so that nothing between them is aligned
READ_ONLY = {"labels", "targets", "weights", "values", "columns", "starts"}
FLOAT64 = {"parameter", "constants"}  # whatever the network's dtype
READS_SAMPLES = {"linear_rows", "accumulate_rows", "announce_next_batch", "zero_if_finite"}  # whose x is read-only
BY_COLUMNS = {  # what lies by columns in memory in a tiny network
    "linear": ("x", "slope", "out"),
    "linear_rows": ("slope", "out"),
    "loss_gradient": ("z", "out"),
    "activation_backward": ("a", "slope", "delta"),
    "backward_data": ("delta", "a", "slope", "out"),
    "accumulate": ("a", "delta"),
    "accumulate_rows": ("delta",),
    "copy": ("x",),
}


class Guarded:
    """A copy of values between guards whose bits are all set, so NaN or -1."""

    def __init__(self, values, writeable=True):
        self.bytes = np.full((values.size + 2 * GUARD) * values.itemsize, 0xFF, np.uint8)
        inside = self.bytes.view(values.dtype)[GUARD : GUARD + values.size]
        self.array = inside.reshape(values.shape)
        self.array[...] = values
        self.array.flags.writeable = writeable
        self.margin = GUARD * values.itemsize
        self.before = inside.tobytes()

    def guards_intact(self):
        return (self.bytes[: self.margin] == 0xFF).all() and (self.bytes[-self.margin :] == 0xFF).all()

    def intact(self):
        return self.array.tobytes() == self.before


def numpy_calls(name, formulas):
    """Functions that call an operation with its arguments; each returns the return values of all threads."""
    return [lambda arguments: [getattr(NumpyOps(formulas), name)(*arguments)]]


_threads = ThreadPoolExecutor(2)


def room_of_a_thread(kind, name, itemsize, first, second, *rest):
    """Elements of scratch memory that an operation needs in a network of this kind, from its arguments."""
    from fastmlp.kernels.cpu.machine.host import ROWS
    from fastmlp.kernels.cpu.regimes import scratch_elements

    if kind in ("large", "bf16"):
        return scratch_elements(kind, [1, 1], 1, itemsize)
    if kind == "tiny":
        matrices = [value for value in (first, second, *rest) if isinstance(value, np.ndarray) and value.ndim == 2]
        return scratch_elements(kind, [value.shape[1] for value in matrices], max(map(len, matrices)), itemsize)

    needs = {
        "linear": lambda: second.size,  # the weights transposed
        "backward_data": lambda: second.size,
        "accumulate": lambda: first.shape[1] * second.shape[1],  # the gradient transposed
        "linear_rows": lambda: scratch_elements("", [first.shape[1], 1], 1, itemsize),  # some samples converted
        "accumulate_rows": lambda: max(ROWS * len(second), first.shape[1]),  # some columns of all samples
    }
    return max(needs.get(name, int)(), scratch_elements("", [1, 1], 1, itemsize))


@cache
def through_the_table(name):
    """Call the operation as the step does, by its address in the team's table."""
    import numba

    import fastmlp.backends.compiled.call_table  # noqa: F401  # operations become methods of the team
    from fastmlp.backends.compiled.options import OPTIONS

    @numba.njit(**OPTIONS)
    def call(ops, arguments):
        return getattr(ops, name)(*arguments)

    return call


def codes_in(name, arguments):
    """Operations of formulas that the operation may call, with the codes in its arguments."""
    code = arguments.get("activation", arguments.get("loss", arguments.get("rule", 0)))
    if name == "loss_gradient":
        return [("loss_of_rows", code)]
    if name == "apply_rule":
        return [("apply_rule", code)]
    if code in (codes.IDENTITY, codes.RELU) or "activation" not in arguments:
        return []
    return [("activate_block", code), *([] if code == codes.THRESHOLD else [("differentiate_block", code)])]


def numba_calls(name, formulas, kinds=None):
    """kinds: regimes; None for all that compute in the network's dtype."""
    import numba

    from fastmlp.backends.compiled.functions import library_of
    from fastmlp.kernels.cpu.regimes import TINY_BLOCK
    from fastmlp.kernels.cpu.table import INNER, REPLACED
    from fastmlp.kernels.cpu.team.members import make_teams

    order = list(inspect.signature(getattr(NumpyOps, name)).parameters)[1:]
    if kinds is None:
        kinds = ["", *(kind for kind, operations in REPLACED.items() if name in operations and kind != "bf16")]

    def by_team_of(size, kind):
        def call(arguments):
            given = dict(zip(order, arguments, strict=True))
            batch = next((given[key] for key in ("rows", "delta", "x") if key in given), ())
            if kind == "sample" and len(batch) != 1:
                return None  # it is for batches of one sample
            converted = name.endswith("_rows") and arguments[0].dtype not in (np.uint8, arguments[-1].dtype)
            if converted and (kind == "large" or (kind and arguments[0].dtype.kind != "f")):
                return None  # one dtype to be converted is enough; elsewhere one smaller and one larger than the other
            turned = [value for key, value in zip(order, arguments, strict=True) if key in BY_COLUMNS.get(name, ())]
            if kind != "tiny":
                turned = []
            elif max(max(value.shape) for value in turned) > 2 * TINY_BLOCK:
                return None  # not tiny
            arrays = [value for key, value in given.items() if isinstance(value, np.ndarray) and key not in FLOAT64]
            # the data that operations read may be of other dtypes; what they write comes last, if they write
            real = next((a.dtype for a in reversed(arrays) if a.dtype.kind == "f"), np.dtype(np.float64))
            room = room_of_a_thread(kind, name, real.itemsize, *arguments)
            poison = np.full(size * (room + GUARD) * real.itemsize, 0xFF, np.uint8)
            scratch = Guarded(poison.view(real))
            inner = [(operation, 0) for operation in INNER]
            needed = [*inner, *codes_in(name, given), *([] if name == "apply_rule" else [(name, 0)])]
            samples = arrays[0] if arrays[0].ndim == 2 else np.zeros((0, 0), real)
            table = library_of(formulas).table(needed, real, samples.dtype, kind, formulas)
            teams = make_teams(size, scratch.array, table)
            # an error while it compiles would leave the other thread waiting at the barrier
            operation = through_the_table(name)
            operation.compile((numba.typeof(teams[0]), numba.typeof(tuple(arguments))))
            for value in turned:
                value.reshape(-1)[:] = value.T.ravel()
            results = list(_threads.map(lambda team: operation(team, tuple(arguments)), teams))
            for value in turned:
                value[...] = value.reshape(value.shape[::-1]).T.copy()
            beyond = [team.scratch[room:].view(np.uint8) for team in teams]
            assert scratch.guards_intact() and (np.array(beyond) == 0xFF).all(), "the scratch memory is too small"
            return results

        return call

    return [by_team_of(size, kind) for kind in kinds for size in (1, 2)]


def in_threads(kind, size, samples):
    """Function (name, *arguments) by which a team of Numba's threads runs operations of such networks in turn."""
    import numba

    from fastmlp.backends.compiled.functions import library_of
    from fastmlp.kernels.cpu.table import INNER
    from fastmlp.kernels.cpu.team.members import make_teams

    kinds = samples.dtype, samples.dtype, kind, BUILT_IN
    table = library_of(BUILT_IN).table([(operation, 0) for operation in INNER], *kinds)
    teams = make_teams(size, np.zeros(size * samples.shape[1], samples.dtype), table)

    def run(name, *arguments):
        operation = through_the_table(name)
        library_of(BUILT_IN).table([(name, 0)], *kinds)  # to which the operation is added
        given = [(team, arguments) for team in teams]
        operation.compile(tuple(map(numba.typeof, given[0])))
        return list(_threads.map(lambda both: operation(*both), given))

    return run


class Way:
    """A fixed choice: products use this implementation, if there is one."""

    def __init__(self, name):
        self.name, self.taken = name, False

    def of(self, key, ways, written):
        self.taken |= self.name in ways
        return self.name if self.name in ways else "library"


class OnDevice:
    """A copy of a host array in device memory, between guards."""

    def __init__(self, device, host, margin):
        self._device, self._host, self._margin = device, host, margin
        self._whole = device.empty(host.size + 2 * margin, host.dtype)
        device.fill(self._whole, 0xFF)
        inside = self._whole[margin : margin + host.size]
        device.write(inside, host)
        self.array = inside.reshape(host.shape)

    def bring_back(self, name):
        """Copy the contents back to the host's array."""
        after, end = self._device.download(self._whole), self._margin + self._host.size
        margins = np.concatenate([after[: self._margin], after[end:]])
        assert (margins.view(np.uint8) == 0xFF).all(), f"{name} wrote outside an array of {self._host.shape}"
        inside = after[self._margin : end].reshape(self._host.shape)
        if self._host.flags.writeable:
            self._host[...] = inside
        else:
            assert inside.tobytes() == self._host.tobytes(), f"{name} wrote to what it is to read"


MOVING = ("alpha", "beta", "bias_beta", "l1", "l2", "rate1", "rate2", "rate3", "factor", "step")


class CudaBench:
    """Calls operations of the CUDA backend on copies of host arrays.

    margin: elements of poison around each array. moving: numbers that may change from step to step, and where the
    batch begins in the order, are in device memory.
    """

    def __init__(self, device, way, margin, moving, formulas=BUILT_IN):
        self._device, self._way, self._margin, self._moving = device, way, margin, moving
        self._formulas = formulas

    def call(self, name, given):
        """What an operation returns; None if there is no such way to do it. The host's arrays are as it left them."""
        device, arrays = self._device, {key: value for key, value in given.items() if isinstance(value, np.ndarray)}
        real = [a.dtype for key, a in arrays.items() if a.dtype in (np.float32, np.float64) and key not in FLOAT64][-1:]
        real = real[0] if real else np.dtype(np.float32)
        held = {
            key: OnDevice(device, value, self._margin)
            for key, value in arrays.items()
            if key not in ("rows", "constants")
        }
        values = given | {key: kept.array for key, kept in held.items()}
        alive = []
        if "rows" in given:
            values["rows"] = self._samples(given["rows"], alive)
        if self._moving:
            values |= {key: self._number(given[key], alive) for key in MOVING if given.get(key)}
            if "total" in given:
                values["total"] = Divisor(self._number(1 / given["total"], alive))
        rows, inputs = len(given.get("rows", ())), given["x"].shape[-1] if "x" in given else 1
        parameter = given.get("parameter", np.zeros(0))
        net = SimpleNamespace(chunk=max(rows, 1), fan_in=[inputs], params=np.zeros(0, real), loss_parameter=parameter)
        way = Way(self._way)
        has_nan = any(
            value.dtype.kind == "f" and np.isnan(value).any() for key, value in arrays.items() if key in "xwb"
        )
        ops = CudaOps(device, Workspace(device, net, rows, 1), way, real, shows_nan=has_nan, formulas=self._formulas)
        if self._way.startswith("fused") and name == "backward_data" and given["activation"] == codes.RELU:
            if (given["a"] < 0).any():
                return None  # of ReLU there is no such output
            self._make_mask(ops, values, alive)
            way.taken = False
        returned = getattr(ops, name)(**values)
        if self._way.startswith("fused") and not way.taken:
            return None
        products = [node for node in ops.tape if isinstance(node, Matmul)]
        if not all(node.a.size and node.b.size for node in products):
            return None  # the library is not asked for products of nothing: a step has samples
        number = returned.reciprocal if isinstance(returned, Divisor) else returned
        terms = number.scalars() if isinstance(number, Number) else []
        sums = device.upload(np.zeros(len(terms), real))
        for i, term in enumerate(terms):
            ops.launch("store_scalar", 1, 0, number=term, to=sums[i : i + 1])
        try:
            device.queue(ops.tape, real)
        except NoAlgorithmError:  # of the library, for these shapes: then it is not chosen
            return None
        for kept in held.values():
            kept.bring_back(name)
        if not terms:
            return [returned]
        whole = float(device.download(sums).sum(dtype=np.float64))
        return [whole if number is returned else 1 / whole if whole else np.inf]

    def _make_mask(self, ops, values, alive):
        """`a` is what a product gives, I being its weights: the derivative is from the mask that this leaves.

        Where it is 0, ReLU's input was negative: at 0 the library's derivative need not be ours.
        """
        a, columns = values["a"], values["a"].shape[1]
        host = self._device.download(a)
        hosts = np.where(host > 0, host, -1).astype(a.dtype), np.eye(columns, dtype=a.dtype), np.zeros(columns, a.dtype)
        x, w, b = arrays = [self._device.upload(host) for host in hosts]
        alive += arrays
        ops.linear(x, w, b, codes.RELU, values["slope"], a)

    def _samples(self, rows, alive):
        before = 2 if self._moving else 0
        order = self._device.upload(np.concatenate([np.full(before, -1), rows]))
        position = self._device.upload(np.array([before]))
        alive += [order, position]
        return Samples(self._device.address(order), self._device.address(position) if self._moving else 0, len(rows))

    def _number(self, number, alive):
        place = self._device.upload(np.array([2.0 * number]))
        alive.append(place)
        return Number.at(self._device.address(place)) * 0.5


def cuda_calls(name, formulas):
    device, parameters = get_backend("cuda")._device, list(inspect.signature(getattr(NumpyOps, name)).parameters)[1:]

    def call(bench, arguments):
        return bench.call(name, dict(zip(parameters, arguments, strict=True)))

    # 64 elements leave the arrays aligned, GUARD do not
    ways = ("kernel", 64, False), ("library", GUARD, True), ("fused library", 64, False)
    return [partial(call, CudaBench(device, *way, formulas)) for way in ways]


CALLS = {"numpy": numpy_calls, "numba": numba_calls, "cuda": cuda_calls}
