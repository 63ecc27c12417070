"""The emulated CUDA device finds the faults that it is meant to find, and reports none for correct kernels.

The tests of a sanitizer run this file as a script with its name.
"""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from emulation import build
from emulation.device import EmulatedDevice, GraphError, KernelFault, LaunchError

from fastmlp.backends.cuda.device import Launch, Matmul, mask_width
from fastmlp.errors import OutOfDeviceMemoryError

SOURCE = """\
typedef REAL real;
struct alignas(4 * sizeof(real)) real4 { real x, y, z, w; };
struct Arguments { const real *x; real *out; unsigned *counter; int n; };

enum Fault {
  NONE, NO_BARRIER_BEFORE, NO_BARRIER_AFTER, DIVERGENT_BARRIER, EARLY_RETURN_OF_A_LANE, EARLY_RETURN_OF_A_WARP,
  LANE_NOT_IN_MASK, SOURCE_NOT_IN_MASK, MASKS_DIFFER, UNWRITTEN, DEADLOCK, PAST_THE_END, RELAXED, NO_ATOMIC
};

template <Fault FAULT> __device__ real over_block(real v, real *scratch) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  unsigned mask = 0xffffffffu;
  if (FAULT == LANE_NOT_IN_MASK) mask = 0x7fffffffu;
  if (FAULT == SOURCE_NOT_IN_MASK) mask = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  if (FAULT == MASKS_DIFFER && lane == 3) mask = 0x0000ffffu;
  for (int by = 16; by > 0; by >>= 1) v += __shfl_xor_sync(mask, v, by);
  if (FAULT != NO_BARRIER_BEFORE) __syncthreads();
  if (lane == 0) scratch[warp] = v;
  if (FAULT != NO_BARRIER_AFTER) __syncthreads();
  v = 0;
  for (int i = 0; i < (FAULT == UNWRITTEN ? 9 : 8); i++) v += scratch[i];
  return v;
}

// out[block] = sum of the block's part of x, out[blocks + block] = sum of its squares
template <Fault FAULT> __device__ void sums(const Arguments &a, real *scratch) {
  if (FAULT == EARLY_RETURN_OF_A_LANE && threadIdx.x == 5) return;
  real sum = 0, squares = 0;
  const int end = FAULT == PAST_THE_END ? a.n + 1 : a.n;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < end; i += gridDim.x * blockDim.x) {
    sum += a.x[i];
    squares += a.x[i] * a.x[i];
  }
  if (FAULT == DIVERGENT_BARRIER && threadIdx.x >= 64) __syncthreads();
  sum = over_block<FAULT>(sum, scratch);
  if (FAULT == EARLY_RETURN_OF_A_WARP && threadIdx.x < 32) return;
  if (FAULT == DEADLOCK) {
    if (threadIdx.x < 16) __syncwarp();
    else __syncthreads();
  }
  squares = over_block<FAULT>(squares, scratch);
  if (threadIdx.x == 0) {
    a.out[blockIdx.x] = sum;
    a.out[gridDim.x + blockIdx.x] = squares;
  }
}

// out[block] = Σ x, by two phases with a barrier of the grid between
template <Fault FAULT> __device__ void in_two_phases(const Arguments &a, real *scratch) {
  sums<NONE>(a, scratch);
  __syncthreads();
  if (threadIdx.x == 0) {
    if (FAULT == RELAXED) atomicAdd(a.counter, 1u);
    else atom_add_acq_rel(a.counter, 1u);
    while (ld_acquire(a.counter) < gridDim.x) __nanosleep(20);
  }
  __syncthreads();
  real sum = 0;
  for (int i = 0; i < gridDim.x; i++) sum += __ldcg(a.out + i);
  if (threadIdx.x == 0) a.out[gridDim.x + blockIdx.x] = sum;
}

template <Fault FAULT> __device__ void count(const Arguments &a, real *) {
  if (FAULT == NO_ATOMIC) {
    if (threadIdx.x == 0) *a.counter += 1;
  } else
    atomicAdd(a.counter, 1u);
}

// shuffles, votes and barriers of half warps; lane l gives l + 1
__device__ void exchanges(const Arguments &a, real *) {
  const int lane = threadIdx.x % 32, given = lane + 1;
  const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  real *out = a.out + lane * 8;
  if (lane >= 16) __syncwarp(half);
  const int results[] = {__shfl_sync(half, given, lane & 16), __shfl_xor_sync(~0u, given, 1),
                         __shfl_down_sync(~0u, given, 4), __shfl_up_sync(~0u, given, 4),
                         __popc(__ballot_sync(~0u, lane % 3 == 0)), __popc(__ballot_sync(half, lane % 3 == 0))};
  if (threadIdx.x < 32 && blockIdx.x == 0)
    for (int i = 0; i < 6; i++) out[i] = results[i];
}

__device__ void misaligned(const Arguments &a, real *) {
  const real4 v = *reinterpret_cast<const real4 *>(a.x + 1);
  a.out[threadIdx.x] = v.x;
}

__device__ void scribble(const Arguments &a, real *) {
  if (threadIdx.x == 0 && blockIdx.x == 0) a.out[a.n] = 1;
}

__device__ void add_one(const Arguments &a, real *) {
  for (int i = threadIdx.x; i < a.n; i += blockDim.x) a.out[i] = a.x[i] + 1;
}

#define SAME_TYPE(function) static_assert(sizeof(function) == sizeof(real), "a function of a real that is no real")
#define MATHS(x) SAME_TYPE(exp(x)); SAME_TYPE(expm1(x)); SAME_TYPE(log(x)); SAME_TYPE(log1p(x)); SAME_TYPE(sqrt(x)); \\
  SAME_TYPE(tanh(x)); SAME_TYPE(erf(x)); SAME_TYPE(fabs(x)); SAME_TYPE(pow(x, x)); SAME_TYPE(fmax(x, x));            \\
  SAME_TYPE(max(x, x)); SAME_TYPE(rsqrt(x)); SAME_TYPE(floor(x)); SAME_TYPE(cos(x)); SAME_TYPE(copysign(x, x))
MATHS(real(1));
"""
FAULTS = re.search(r"enum Fault \{(.*?)\}", SOURCE, re.DOTALL)[1].replace(",", " ").split()
KERNELS = {fault.lower(): f"sums<{fault}>" for fault in FAULTS if fault not in ("RELAXED", "NO_ATOMIC")} | {
    "two_phases": "in_two_phases<NONE>",
    "relaxed": "in_two_phases<RELAXED>",
    "count_up": "count<NONE>",
    "no_atomic": "count<NO_ATOMIC>",
    **{name: name for name in ("exchanges", "misaligned", "scribble", "add_one")},
}
BODY = "{{ SHARED(scratch, real[2176]); {function}(a, scratch); }}"
SOURCE += "".join(
    f'extern "C" __global__ void kernel_{name}(const Arguments a) {BODY.format(function=function)}\n'
    for name, function in KERNELS.items()
)
ARGUMENTS = np.dtype([("x", "u8"), ("out", "u8"), ("counter", "u8"), ("n", "i4")], align=True)
N = 1003


class Bench:
    """A device with arrays, for launches of the kernels above."""

    def __init__(self, order=0, dtype="float64", **options):
        self.real = np.dtype(dtype)
        size = self.real.itemsize
        pointers = {f"kernel_{name}": ((0, size), (8, size), (16, 4)) for name in KERNELS}
        self.device = EmulatedDevice(order, source=SOURCE, pointers=pointers, multiprocessors=1, **options)
        self.x = np.random.RandomState(0).standard_normal(N).astype(dtype)
        self.arrays = {
            "x": self.device.upload(self.x),
            "out": self.device.empty(256, dtype),
            "counter": self.device.upload(np.zeros(1, np.uint32)),
        }

    def launch(self, name, blocks=3, cooperative=False, **values):
        addresses = {key: self.device.address(array) for key, array in self.arrays.items()}
        arguments = np.zeros((), ARGUMENTS)
        for key, value in (addresses | {"n": N} | values).items():
            arguments[key] = value
        return Launch(f"kernel_{name}", blocks, arguments, cooperative)

    def run(self, name, **how):
        self.device.queue([self.launch(name, **how)], self.real)
        return self.download("out")

    def download(self, name):
        return self.device.download(self.arrays[name])


@pytest.fixture(scope="module", autouse=True)
def compiler():
    try:
        build.load(SOURCE, "double")
    except build.CompilerMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(params=[0, 1, 2, 3], ids=["forward", "backward", "random", "another random"])
def order(request):
    return request.param


# Kernels without a fault


def test_sums(order, dtype, tolerance):
    bench = Bench(order, dtype)
    parts = bench.run("none")[:6].reshape(2, 3).sum(axis=1)
    np.testing.assert_allclose(parts, [bench.x.sum(), (bench.x**2).sum()], rtol=100 * tolerance["rtol"])


def test_exchanges_within_a_warp(order):
    lane = np.arange(32)
    results = Bench(order).run("exchanges")[: 32 * 8].reshape(32, 8)[:, :6]
    first, counts = np.where(lane < 16, 1, 17), np.where(lane < 16, 6, 5)
    down, up = np.where(lane < 28, lane + 5, lane + 1), np.where(lane < 4, lane + 1, lane - 3)
    np.testing.assert_array_equal(results.T, [first, (lane ^ 1) + 1, down, up, np.full(32, 11), counts])


def test_a_barrier_of_the_grid_in_a_cooperative_launch(order):
    bench = Bench(order)
    out = bench.run("two_phases", blocks=8, cooperative=True)
    np.testing.assert_allclose(out[8:16], bench.x.sum(), rtol=1e-12)


def test_atomics_count_every_thread(order):
    bench = Bench(order)
    bench.run("count_up", blocks=5)
    assert bench.download("counter") == 5 * 256


def test_a_launch_after_a_failed_one_is_a_fresh_start(order):
    bench = Bench(order)
    right = bench.run("none")
    for fault in ("deadlock", "divergent_barrier", "early_return_of_a_lane"):
        with pytest.raises(KernelFault):
            bench.run(fault)
        np.testing.assert_array_equal(bench.run("none"), right)


# Faults in kernels


@pytest.mark.parametrize("fault", ["no_barrier_before", "no_barrier_after"])
def test_a_missing_barrier_changes_the_result_of_some_schedule(fault):
    def result(name, order):
        return Bench(order).run(name)[:6]

    assert any(not np.array_equal(result(fault, order), result("none", order)) for order in (0, 1, 2))


@pytest.mark.parametrize(
    ("fault", "message"),
    {
        "divergent_barrier": r"divergent branch: thread \d+ waits at kernels.cu:\d+ and thread \d+ at kernels.cu:\d+",
        "early_return_of_a_lane": "deadlock in block .*returned: thread 5; .*waiting for lanes of a warp at kernels.cu",
        "early_return_of_a_warp": "32 threads of the block have returned while 224 wait .* in __syncthreads at kernels",
        "lane_not_in_mask": "lane 31(, which)? is not in the mask 0x7fffffff",
        "source_not_in_mask": r"shuffle from lane \d+, which is not in the mask 0x(0000ffff|ffff0000), at kernels.cu",
        "masks_differ": "not in the mask 0x0000ffff|with different masks|deadlock",
        "deadlock": "deadlock in block .*waiting for lanes of a warp.*waiting in __syncthreads .*and 239 more",
    }.items(),
)
def test_a_fault_is_reported(fault, message, order):
    with pytest.raises(KernelFault, match=message):
        Bench(order).run(fault)


def test_shared_memory_that_was_not_written_is_nan(order):
    assert np.isnan(Bench(order).run("unwritten")[:6]).all()


def test_a_barrier_of_the_grid_without_a_cooperative_launch_is_a_deadlock(order):
    with pytest.raises(KernelFault, match=r"deadlock in block \d.*waiting in a spin loop at kernels.cu:\d+: thread 0"):
        Bench(order).run("two_phases")


@pytest.mark.parametrize(("n", "where"), [(256, "past"), (-1, "before")])
def test_a_write_beside_the_memory_is_reported(n, where):
    with pytest.raises(KernelFault, match=f"after kernel_scribble: something wrote {where} the 2048 bytes from 0x"):
        Bench().run("scribble", n=n)


# Launches that do not fit


def test_arguments_of_another_size():
    bench = Bench()
    with pytest.raises(LaunchError, match="kernel_none takes 32 bytes of arguments and was given 8"):
        bench.device.queue([Launch("kernel_none", 1, np.zeros((), [("x", "u8")]))], bench.real)


def test_pointers_that_lead_nowhere():
    bench = Bench()
    end = bench.device.address(bench.arrays["x"]) + 8 * N
    for address in (end, 8, 2**63):
        with pytest.raises(LaunchError, match=f"pointer {address:#x} at byte 0 .* leads to no memory .*8024 bytes"):
            bench.run("none", x=address)
    bench.run("none", x=end - 8, n=1)


def test_pointers_that_are_not_aligned():
    bench = Bench()
    with pytest.raises(LaunchError, match="at byte 8 of the arguments of kernel_none is not aligned to the 8 bytes"):
        bench.run("none", out=bench.device.address(bench.arrays["out"]) + 4)


def test_a_null_pointer_is_no_fault_as_long_as_it_is_not_followed():
    bench = Bench()
    bench.run("none", counter=0)


def test_kernels_and_grids_that_there_are_not():
    bench = Bench()
    with pytest.raises(LaunchError, match="no kernel 'kernel_x', only kernel_none, kernel_no_barrier_before"):
        bench.run("x")
    with pytest.raises(LaunchError, match="with 0 blocks: choose 1 to"):
        bench.run("none", blocks=0)
    with pytest.raises(LaunchError, match="with 9 blocks: choose 1 to 8 of them"):
        bench.run("none", blocks=9, cooperative=True)


def test_names_of_kernels_are_found_in_code_only():
    source = """
// OPERATION(comment, X)
#define OPERATION(name, Arguments) \\
  extern "C" __global__ void name(const Arguments a) { run(a); }
/* extern "C" __global__ void other(X a) */
OPERATION(one, One)
extern "C" __global__ void __launch_bounds__(256) two(const Two a) {}
extern "C" __global__ void three(const Three a) {}
"""
    assert build.kernel_names(source) == ["one", "two", "three"]


def test_a_missing_compiler_and_a_broken_kernel_are_told_apart(monkeypatch):
    with pytest.raises(build.CompilationError, match=r"kernels.cu:1:\d+: error"):
        build.load("surely no kernel", "float")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(build.CompilerMissingError, match="no C\\+\\+ compiler 'no-such-compiler': install g\\+\\+"):
        build.load("// nothing", "float")


def test_compiled_kernels_are_kept_where_only_the_user_can_write(monkeypatch):
    build.load(SOURCE, "double")
    status = build._folder().stat()
    assert status.st_uid == os.getuid() and status.st_mode & 0o777 == 0o700
    monkeypatch.setattr(subprocess, "run", None)  # a compiler would be started by it
    build.load.__wrapped__(SOURCE, "double")


# Memory


def test_arrays_do_not_become_host_arrays():
    device = EmulatedDevice()
    array = device.upload(np.arange(6.0))
    host = np.zeros(6)
    forbidden = {
        "asarray": lambda: np.asarray(array),
        "ufunc": lambda: np.exp(array),
        "out of ufunc": lambda: np.add(host, 1, out=array),
        "operator": lambda: array + 1,
        "reflected operator": lambda: host + array,
        "comparison": lambda: array == 0,
        "function": lambda: np.concatenate([array, host]),
        "copyto": lambda: np.copyto(host, array),
        "float": lambda: float(array[:1]),
        "bool": lambda: bool(array[:1]),
        "item": lambda: array[2],
        "iteration": lambda: list(array),
        "assignment": lambda: host.__setitem__(slice(None), array),
        "assignment to it": lambda: array.__setitem__(0, 1.0),
    }
    for how, convert in forbidden.items():
        with pytest.raises(TypeError):
            print(how, convert())


def test_views_share_memory_and_keep_it():
    device = EmulatedDevice()
    array = device.upload(np.arange(12, dtype=np.float32))
    part = array[4:10].reshape(2, 3)
    assert (part.shape, part.size, part.nbytes, part.ndim, len(part)) == ((2, 3), 6, 24, 2, 2)
    assert part.dtype == np.float32 and device.address(part) == device.address(array) + 16
    assert device.address(array) % 256 == 0
    device.fill(part, 0)
    assert device.download(array).tolist() == [0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 10, 11]
    del array
    device.write(part[1], np.ones(3, np.float32))
    assert device.download(part).tolist() == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(ValueError, match="C-contiguous"):
        part[:, :2]
    with pytest.raises(ValueError, match="they must agree"):
        device.write(part, np.zeros(6))


def test_new_memory_is_poisoned():
    device = EmulatedDevice()
    assert np.isnan(device.download(device.empty(5, np.float32))).all()
    assert (device.download(device.empty(5, np.int64)) == -1).all()


def test_memory_is_limited_and_comes_back():
    device = EmulatedDevice(memory=1000)
    held = device.empty(100, np.float64)
    with pytest.raises(OutOfDeviceMemoryError, match=r"no room for 208 bytes: 200 of its 1000 are free"):
        device.empty(26, np.float64)
    with pytest.raises(OutOfDeviceMemoryError):
        device.upload(np.zeros(26))
    del held
    device.empty(125, np.float64)
    assert device.used == 0


# Graphs


def test_a_graph_has_frozen_arguments_and_live_memory():
    bench = Bench()
    x, out = bench.arrays["x"], bench.arrays["out"]
    launch = bench.launch("add_one", blocks=1, n=3)
    twice = Matmul(out[:3].reshape(3, 1), x[3:4].reshape(1, 1), x[:3].reshape(3, 1))
    graph = bench.device.capture([launch, twice], bench.real)
    assert np.isnan(bench.download("out")).all()
    launch.arguments["n"] = 5
    bench.device.write(x[:4], np.array([1.0, 2.0, 3.0, 2.0]))
    for expected in ([2, 3, 4], [5, 7, 9]):
        graph.launch()
        assert bench.download("out")[:3].tolist() == expected and np.isnan(bench.download("out")[3:]).all()
    assert bench.download("x")[:3].tolist() == [10, 14, 18]


@pytest.mark.parametrize("kind", ["launch", "product"])
def test_a_graph_does_not_keep_its_memory(kind):
    bench = Bench()
    row = bench.arrays["x"][:4].reshape(2, 2)
    out = bench.device.empty(4, np.float64)
    node = bench.launch("add_one", out=bench.device.address(out), n=4)
    if kind == "product":
        node = Matmul(row, row, out.reshape(2, 2))
    graph = bench.device.capture([node], bench.real)
    graph.launch()
    del out, node
    bench.device.empty(4, np.float64)  # perhaps at the same place
    with pytest.raises(GraphError, match="freed after the capture"):
        graph.launch()


# Products


@pytest.fixture
def product(dtype):
    """product(node fields as host arrays): `out` afterwards."""
    device = EmulatedDevice()

    def product(**fields):
        arrays = {k: device.upload(v.astype(dtype)) if isinstance(v, np.ndarray) else v for k, v in fields.items()}
        device.queue([Matmul(**arrays)], np.dtype(dtype))
        return device.download(arrays["out"])

    return product


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_products(product, draw, tolerance, transpose_a, transpose_b):
    a, b, out = draw(3, 4), draw(4, 5), draw(3, 5)
    given = {
        "a": a.T.copy() if transpose_a else a,
        "b": b.T.copy() if transpose_b else b,
        "transpose_a": transpose_a,
        "transpose_b": transpose_b,
    }
    for factors in ({"alpha": 0.5, "beta": 2.0}, {"alpha": np.array([0.5]), "beta": np.array([2.0])}):
        expected = a @ b / 2 + 2 * out
        np.testing.assert_allclose(product(**given, out=out, **factors), expected, **tolerance, strict=True)


def test_epilogues(product, draw, nan, tolerance):
    a, b, vector = draw(3, 4), draw(4, 5), draw(5)
    z = a @ b + vector
    np.testing.assert_allclose(product(a=a, b=b, out=nan(3, 5), epilogue="bias", vector=vector), z, **tolerance)
    relu = {"epilogue": "relu_bias", "vector": vector}
    np.testing.assert_allclose(product(a=a, b=b, out=nan(3, 5), **relu), np.maximum(z, 0), **tolerance)
    vector[1] = np.nan
    assert not product(a=a, b=b, out=nan(3, 5), **relu)[:, 1].any()


@pytest.mark.parametrize("columns", [5, 128, 130])
def test_epilogues_of_the_backward_pass(draw, tolerance, dtype, columns):
    device = EmulatedDevice()
    x, w, b, delta, above = draw(3, 4), draw(4, columns), draw(columns), draw(3, 2), draw(columns, 2)
    on_device = [device.upload(array) for array in (x, w, b, delta, above)]
    a, below, gradient = (device.upload(np.full(s, np.nan, dtype)) for s in ((3, columns), (3, columns), (4, columns)))
    sums, again = (device.empty(columns, dtype) for _ in range(2))
    mask = device.empty(3 * mask_width(columns), np.uint8).reshape(3, -1)
    forward = Matmul(*on_device[:2], a, epilogue="relu_aux_bias", vector=on_device[2], mask=mask)
    backward = Matmul(*on_device[3:], below, transpose_b=True, epilogue="drelu_bgrad", vector=sums, mask=mask)
    weights = Matmul(on_device[0], below, gradient, transpose_a=True, alpha=0.5, epilogue="bgrad", vector=again)
    device.queue([forward, backward, weights], np.dtype(dtype))
    z = x @ w + b
    expected = delta @ above.T * (z > 0)
    for array, wanted in (
        (a, np.maximum(z, 0)),
        (below, expected),
        (gradient, x.T @ expected / 2),
        *((sum_, expected.sum(axis=0)) for sum_ in (sums, again)),
    ):
        np.testing.assert_allclose(device.download(array), wanted, **tolerance)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a": np.zeros((3, 5))}, "cannot be multiplied"),
        ({"out": np.zeros((5, 3))}, r"out is \(5, 3\) .*; it must be \(3, 5\)"),
        ({"vector": np.zeros(5)}, r"epilogue=None with \('vector',\): choose one, .*'bgrad'"),
        ({"epilogue": "bias"}, r"epilogue='bias' with \(\)"),
        ({"epilogue": "drelu_bgrad", "vector": np.zeros(5)}, r"epilogue='drelu_bgrad' with \('vector',\)"),
        (
            {"epilogue": "relu_aux_bias", "vector": np.zeros(5), "mask": np.zeros((3, 1))},
            r"mask is \(3, 1\) float.*; it must be \(3, 16\) uint8",
        ),
        ({"epilogue": "bias", "vector": np.zeros(3)}, r"vector is \(3,\) .*; it must be \(5,\)"),
        ({"alpha": np.zeros(2)}, r"alpha is \(2,\)"),
    ],
)
def test_products_that_do_not_fit(product, fields, message):
    with pytest.raises(ValueError, match=message):
        product(**{"a": np.zeros((3, 4)), "b": np.zeros((4, 5)), "out": np.zeros((3, 5))} | fields)


def test_products_of_bfloat16_numbers():
    device = EmulatedDevice()
    a, b = (
        device.upload(np.array([[0x3F80, 0x4040]], np.uint16)),
        device.upload(np.array([[0xBF00], [0x3F81]], np.uint16)),
    )
    out = device.empty(1, np.float32).reshape(1, 1)
    device.queue([Matmul(a, b, out)], np.dtype(np.float32))
    assert device.download(out) == -0.5 + 3 * (1 + 2**-7)
    with pytest.raises(ValueError, match="there is no product of float32 and uint16 in float32"):
        device.queue([Matmul(a, a, out, transpose_b=True), Matmul(out, b[:1], out)], np.dtype(np.float32))


def test_a_product_onto_its_own_operand():
    device = EmulatedDevice()
    a = device.upload(np.eye(2))
    with pytest.raises(ValueError, match="out overlaps b"):
        device.queue([Matmul(device.upload(np.eye(2)), a, a)], np.dtype(float))


# Sanitizers: each in a process of its own

RIGHT = ("none", "two_phases", "count_up", "exchanges")
WRONG = {
    "thread": ("no_barrier_before", "no_barrier_after", "relaxed", "no_atomic"),
    "address": ("past_the_end",),  # one each, since the process ends with it
    "undefined": ("misaligned",),
}
REPORTS = {
    "thread": r"WARNING: ThreadSanitizer: data race.*?kernels.cu:\d+",
    "address": r"ERROR: AddressSanitizer: .*?READ of size 8.*?kernels.cu:\d+",
    "undefined": r"kernels.cu:\d+.*? runtime error: .* misaligned address",
}


def under_sanitizer(sanitizer):
    """Run this file under a sanitizer; return its error output by kernel."""
    try:
        words, variables = build.under_sanitizer(sanitizer)
    except build.CompilerMissingError as error:
        pytest.skip(str(error))
    command = [*words, sys.executable, __file__, sanitizer]
    here = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    said = subprocess.run(
        command, env=os.environ | variables | here, capture_output=True, text=True, timeout=120
    ).stderr
    parts = re.split(r"kernel: (\w+)\n", said)
    assert len(parts) > 1, said
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("sanitizer", WRONG)
def test_a_sanitizer_finds_what_it_is_for_and_nothing_else(sanitizer):
    said = under_sanitizer(sanitizer)
    for name in RIGHT:
        assert "Sanitizer: " not in said[name] and "runtime error" not in said[name], said[name]
    for name in WRONG[sanitizer]:
        assert re.search(REPORTS[sanitizer], said[name], re.DOTALL), (name, said[name])


def main(sanitizer):
    for name in RIGHT + WRONG[sanitizer]:
        bench = Bench(sanitizer=sanitizer)
        print("kernel:", name, file=sys.stderr, flush=True)
        bench.run(name, blocks=2, cooperative=name in ("two_phases", "relaxed"))


if __name__ == "__main__":
    main(sys.argv[1])
