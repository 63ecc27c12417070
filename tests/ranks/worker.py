"""What the tests in this folder run on several ranks: ``mpiexec -n N python worker.py CASE ARGUMENTS``.

A case is a function of a communicator, None on one process, that returns what can be written as JSON. Each rank prints
it in a line of its own.
"""

import hashlib
import json
import os
import signal
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning

sys.path.append(str(Path(__file__).parent.parent))

from fastmlp import MLP, MLPClassifier, MLPRegressor, open_samples
from fastmlp.errors import FastmlpError
from fastmlp.optimizers import SGD
from fastmlp.tables.estimators import TabularClassifier

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((300, 7)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] ** 2 + 0.3 * RANDOM.standard_normal(300) > 1).astype(int)
WEIGHTS = RANDOM.uniform(0.5, 2, 300)

FITS = {
    "sgd": ({}, {"optimizer": "sgd", "lr": 0.1}),
    "momentum": ({"l1": 1e-3}, {"optimizer": SGD(0.05, momentum=0.9, nesterov=True), "batch_size": 7}),
    "adam": ({"dropout": 0.3}, {"optimizer": "adam", "sample_weight": WEIGHTS, "batch_size": 64}),
    "adamw": ({"dtype": "float64", "l2": 1e-3}, {"optimizer": "adamw", "batch_size": "full", "max_norm": 0.5}),
    "rmsprop": ({"reduction": "sum"}, {"optimizer": "rmsprop", "lr": 1e-3, "schedule": "one_cycle"}),
    "sparse": ({}, {"x": csr_matrix(np.maximum(X, 0)), "validation_data": (X[:50], Y[:50]), "patience": 1, "tol": 1.0}),
    "one sample": ({"activation": "tanh"}, {"batch_size": 1, "epochs": 1, "lr": 0.01}),
    "norms": ({}, {"gradient_norms": True, "metrics": ["accuracy"], "shuffle": False}),
}


def fitted(name, backend, comm, **more):
    """Parameters and losses of one of the fits."""
    network, options = FITS[name]
    model = MLP([7, 12, 5, 2], seed=3, backend=backend, **network)
    options = {"x": X, "y": Y, "epochs": 3, "progress": False, **options, **more}
    history = model.fit(comm=comm, **options)
    return {"params": digest(model._params), "norm": float(np.linalg.norm(model._params)), **curves(history)}


def curves(history):
    return {name: history[name] for name in history.columns if name not in ("seconds", "samples_per_second")}


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def fits(comm, reproducible):
    return {
        f"{name}, {backend}": fitted(name, backend, comm, reproducible=reproducible == "reproducible")
        for name in FITS
        for backend in ("numpy", "numba")
    }


def gpus(comm, bus):
    """Fits on GPUs that are emulated below CuPy, one for each rank, or one for all."""
    return {exact: on_gpu(comm, bus, exact == "exact") for exact in (("exact", "") if bus == "own" else ("",))}


def on_gpu(comm, bus, exact):
    from conftest import emulate_gpu
    from emulation.fake_cupy import nvidia_device

    with pytest.MonkeyPatch.context() as patch:
        device = nvidia_device(patch)  # a new one, which has chosen no ways to products yet
        if comm is not None:
            device.gpu.bus = comm.Get_rank() if bus == "own" else 0
            patch.setitem(sys.modules, "cupy.cuda.nccl", device.gpu.nccl())
            sys.modules["cupy.cuda"].nccl = sys.modules["cupy.cuda.nccl"]
        emulate_gpu(patch, device)
        return fitted("sgd", "cuda", comm, reproducible=exact, x=X[:80], y=Y[:80], epochs=1)


def estimators(comm):
    result = {}
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name, estimator in {
        "early stopping": MLPClassifier(early_stopping=True, max_iter=5, n_iter_no_change=5),
        "lbfgs": MLPClassifier(solver="lbfgs", max_iter=8, alpha=0.1),
        "regressor": MLPRegressor(max_iter=4, solver="sgd", batch_size=50),
    }.items():
        estimator.set_params(random_state=1, hidden_layer_sizes=(6,), backend="numba")
        estimator.fit(X.astype(np.float64), Y, comm=comm, reproducible=True)
        result[name] = [digest(np.concatenate([w.ravel() for w in estimator.coefs_])), estimator.loss_]
    table = TabularClassifier(random_state=0, epochs=3, backend="numba").fit(X, Y, comm=comm, reproducible=True)
    result["table"] = digest(table.network_._params)
    return result


def messages(comm):
    """Fits with gradients of less than 16 KiB, less than 512 KiB and more, as where /dev/shm is small."""
    if comm is not None:
        os.statvfs = lambda path: SimpleNamespace(f_bavail=100, f_frsize=4096)
    result = {}
    for units in (10, 1000, 20_000):
        model = MLP([7, units, 2], seed=3, backend="numba")
        history = model.fit(X, Y, epochs=2, optimizer="adam", comm=comm, progress=False)
        result[units] = [float(np.linalg.norm(model._params)), *history["loss"]]
    return result


def seeds(comm):
    """Without a seed all ranks follow the first one."""
    model = MLP([7, 4, 2], backend="numpy", dropout=0.1)
    model.fit(X, Y, epochs=2, comm=comm, progress=False)
    return digest(model._params)


def streams(comm, reproducible):
    """Fits on samples that are read block by block, each rank its own; with weights, too."""
    result = {}
    for weights in (None, WEIGHTS):
        samples = open_samples(X, Y, sample_weight=weights, memory=20_000, lanes=16 if reproducible else 5)
        model = MLP([7, 12, 5, 2], seed=3, backend="numba", dropout=0.2)
        options = {"batch_size": 37, "epochs": 3, "progress": False, "comm": comm, "reproducible": bool(reproducible)}
        history = model.fit(samples, validation_data=(X[:40], Y[:40]), **options)
        result["weighted" if weights is not None else "plain"] = {
            "params": digest(model._params),
            "norm": float(np.linalg.norm(model._params)),
            "loss": history["loss"],
            "val_loss": history["val_loss"],
        }
    if reproducible:
        estimator = MLPClassifier((6,), random_state=1, backend="numba", max_iter=2)
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(samples, None, comm=comm, reproducible=True)
        result["estimator"] = digest(np.concatenate([w.ravel() for w in estimator.coefs_]))
    return result


LAST = False  # whether this is the last rank
ACTION = ""  # what happens on it in the second epoch


class Acting:
    """A constant rate, and the action."""

    def rates(self, lr, epoch, epochs, steps, losses):
        if LAST and epoch == 1 and ACTION:
            ACTIONS[ACTION]()
        return np.full(steps, lr)


def fail():
    raise ValueError("the schedule's own")


ACTIONS = {
    "raises": fail,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "interrupted": lambda: os.kill(os.getpid(), signal.SIGINT),
    "terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
}


def training(comm, path, epochs, resume, action=""):
    """A reproducible run with checkpoints."""
    global ACTION
    ACTION = action
    model = MLP([7, 12, 5, 2], seed=3, backend="numba", dropout=0.2)
    options = {"checkpoint": path, "checkpoint_every": 1, "resume": resume == "resume", "progress": False}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    history = model.fit(X, Y, epochs=int(epochs), schedule=Acting(), comm=comm, reproducible=True, **options)
    return {"params": digest(model._params), "epochs": len(history), "stopped": history.stopped}


def callbacks(comm):
    """They run on the first rank, whose weights and answer all ranks take."""
    calls, model = [], MLP([7, 4, 2], seed=0, backend="numpy")

    def callback(epoch):
        calls.append(epoch.number)
        epoch.model.weights[0][0, 0] = 5.0
        return epoch.number == 2

    history = model.fit(X, Y, epochs=5, callbacks=[callback], comm=comm, progress=False)
    return {"rank": comm.Get_rank(), "calls": calls, "stopped": history.stopped, "params": digest(model._params)}


def interrupted(comm):
    """Ctrl-C where no signal is held back: in a callback, on the first rank."""

    def callback(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    model = MLP([7, 4, 2], seed=0, backend="numpy")
    history = model.fit(X, Y, epochs=5, callbacks=[callback], comm=comm, progress=False)
    return [history.stopped, len(history), digest(model._params)]


def differing(comm, what):
    """The last rank gives something else than the others, or nothing."""
    if LAST and what == "nothing":
        signal.pause()
    x, options, sizes = X.copy(), {"epochs": 2}, [7, 4, 2]
    if LAST and what == "one number":
        x[17, 3] += 1e-3
    if LAST and what == "not a number":
        x[17, 3] = np.nan
    if LAST and what == "rate":
        options["lr"] = 0.5
    if LAST and what == "layer":
        sizes = [7, 5, 2]
    MLP(sizes, seed=0, backend="numpy").fit(x, Y, comm=comm, progress=False, **options)
    return "trained"


def main():
    global LAST
    case, *arguments = sys.argv[1:]
    comm = None
    if "RANKS" in os.environ:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
        LAST = comm.Get_rank() == comm.Get_size() - 1
    try:
        result = {"result": globals()[case](comm, *arguments)}
    except FastmlpError as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    except ValueError as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    os.write(1, f"{json.dumps(result)}\n".encode())


if __name__ == "__main__":
    main()
