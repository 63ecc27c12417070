"""Each fused operation compared with the same mathematics in separate NumPy calls, on one core for Numba.

The unfused form allocates intermediate results and reads them again, like code written directly from the formulas.
Shapes are those of 784-128-10 at batch size 128, float32.
"""

import numpy as np
import pytest
from workloads import record

from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.kernels import codes
from fastmlp.optimizers import Adam, code_of

ADAM = Adam()
B, I, O, C = 128, 784, 128, 10


def arrays(seed=0):
    random = np.random.RandomState(seed)

    def real(*shape):
        return random.randn(*shape).astype(np.float32)

    labels = random.randint(0, C, B)
    d = {
        "x": real(B, I), "w": real(I, O), "b": real(O), "a": np.maximum(real(B, O), 0), "delta": real(B, O),
        "w2": real(O, C), "delta2": real(B, C), "z": real(B, C), "target": np.eye(C, dtype=np.float32)[labels],
        "weight": np.ones(B, np.float32), "moments": np.zeros((2, I * O), np.float32),
        "flat": real(I * O), "g": real(I * O), "labels": np.zeros(0, np.int64),
    }  # fmt: skip
    for name in ("target", "weight", "labels"):  # as all that is given
        d[name].flags.writeable = False
    return d


def unfused_linear(d):
    z = d["x"] @ d["w"]
    z = z + d["b"]
    return np.maximum(z, 0)


def unfused_backward(d):
    below = d["delta2"] @ d["w2"].T
    return below * (d["a"] > 0)


def unfused_cross_entropy(d):
    e = np.exp(d["z"] - d["z"].max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -(d["target"] * np.log(np.maximum(p, 1e-30))).sum()
    return loss, (p - d["target"]) * d["weight"][:, None]


def unfused_accumulate(d):
    gradient, of_bias = d["x"].T @ d["delta"] / B, d["delta"].sum(axis=0) / B
    d["w"] = d["w"] - 1e-6 * gradient
    d["b"] = d["b"] - 1e-6 * of_bias


def unfused_adam(d):
    m, v = d["moments"]
    m = 0.9 * m + 0.1 * d["g"]
    v = 0.999 * v + 0.001 * d["g"] ** 2
    d["moments"] = m, v
    d["flat"] = d["flat"] - 1e-3 * m / (np.sqrt(v) + 1e-8)


UNFUSED = {
    "linear": unfused_linear,
    "backward_data": unfused_backward,
    "loss_gradient": unfused_cross_entropy,
    "accumulate": unfused_accumulate,
    "apply_rule": unfused_adam,
}
FLOPS = {"linear": 2 * B * I * O, "backward_data": 2 * B * O * C, "loss_gradient": 5 * B * C,
         "accumulate": 2 * B * I * O, "apply_rule": 10 * I * O}  # fmt: skip


def arguments(name, d):
    real, square = np.float32, np.empty((B, O), np.float32)
    return {
        "linear": (d["x"], d["w"], d["b"], codes.RELU, square, np.empty((B, O), real)),
        "backward_data": (d["delta2"], d["w2"], codes.RELU, d["a"], square, np.empty((B, O), real)),
        "loss_gradient": (
            *(codes.SOFTMAX_CROSS_ENTROPY, np.zeros(0), d["z"], d["labels"], d["target"], d["weight"]),
            *(np.arange(B), np.empty((B, C), real)),
        ),
        "accumulate": (d["x"], d["delta"], -1e-6 / B, 1.0, d["w"], 1.0, d["b"]),
        "apply_rule": (
            *(code_of(ADAM.rule), d["flat"], d["g"], d["moments"], *ADAM.rates(1, np.array([ADAM.lr]))[0]),
            np.array(list(ADAM.constants().values())),
        ),
    }[name]


@pytest.mark.parametrize("form", ["unfused", "numpy", "numba"])
@pytest.mark.parametrize("name", UNFUSED)
def test_operation(benchmark, name, form):
    d = arrays()
    benchmark.group = f"operation {name}"
    benchmark.extra_info |= {"operation": name, "form": form}
    if form == "unfused":
        benchmark.pedantic(UNFUSED[name], args=(d,), rounds=30, iterations=10, warmup_rounds=2)
    elif form == "numpy":
        operation = getattr(NumpyOps(), name)
        benchmark.pedantic(operation, args=arguments(name, d), rounds=30, iterations=10, warmup_rounds=2)
    else:
        import numba

        import fastmlp.backends.compiled.call_table  # noqa: F401  # operations become methods of the team
        from fastmlp.backends.compiled.functions import COMMON
        from fastmlp.backends.compiled.options import OPTIONS
        from fastmlp.formulas.by_code import BUILT_IN
        from fastmlp.kernels.cpu.catalog import prototype
        from fastmlp.kernels.cpu.table import INNER
        from fastmlp.kernels.cpu.team.members import make_teams

        needed = [(operation, 0) for operation in INNER]
        needed += [("loss_of_rows", codes.SOFTMAX_CROSS_ENTROPY), ("apply_rule", code_of(ADAM.rule))]
        table = COMMON.table(needed, np.dtype("f4"), d["x"].dtype, "", BUILT_IN)
        (team,) = make_teams(1, np.zeros(O * C, np.float32), table)
        given = (team, *arguments(name, d))
        operation = numba.njit(**OPTIONS)(prototype(name))  # that of the table has no way in from Python
        benchmark.pedantic(operation, args=given, rounds=30, iterations=10, warmup_rounds=2)
    record(benchmark, B, FLOPS[name] / B)
