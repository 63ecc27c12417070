"""Threads: their number does not change results, limits are respected, and concurrent runs neither hang nor differ."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from time import perf_counter

import joblib
import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fastmlp import MLP, SGD, Adam, RMSprop
from fastmlp.backends import numba_backend, teams, threads
from fastmlp.backends.compiled.options import OPTIONS
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.backends.teams import POOL, TeamPool

SIZES, BATCH, CORES = [128, 64, 70, 3], 64, 4  # work for all the cores
BLAS_THREADS = threads._BLAS.threads


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    """An idle machine with four cores, whatever state earlier tests have left."""
    for name in ("FASTMLP_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_cpu_count", lambda _: CORES)
    monkeypatch.setattr(threads, "WORK_PER_RUN", 1)
    monkeypatch.setattr(threads._BLAS, "threads", lambda: CORES)
    monkeypatch.setattr(POOL, "_computing", {})
    monkeypatch.setattr(POOL, "_yields_until", 0.0)
    monkeypatch.setattr(POOL, "_yield_to_others", lambda *_: None)


@pytest.fixture
def sizes(monkeypatch):
    """The sizes of the teams that have run."""
    seen, team = [], numba_backend._NetworkTeams.team
    monkeypatch.setattr(
        numba_backend._NetworkTeams, "team", lambda crew, size, table: seen.append(size) or team(crew, size, table)
    )
    return seen


def train(n_threads=None, backend="numba", epochs=3, network=(), **fit):
    """Weights and biases after some epochs, and the losses, in one array."""
    random = np.random.RandomState(0)
    x, y = random.standard_normal((5 * BATCH // 2, SIZES[0])), random.randint(0, SIZES[-1], 5 * BATCH // 2)
    model = MLP(SIZES, "tanh", backend=backend, seed=0, n_threads=n_threads, **dict(network))
    history = model.fit(x, y, **{"epochs": epochs, "batch_size": BATCH, "optimizer": "adam"} | fit)
    return np.concatenate([array.ravel() for array in (*model.weights, *model.biases)] + [history["loss"]])


@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize(
    "rule", [SGD(lr=0.1), SGD(lr=0.1, momentum=0.9), Adam(), RMSprop()], ids=["sgd", "momentum", "adam", "rmsprop"]
)
def test_weights_and_losses_do_not_depend_on_the_number_of_threads(dtype, rule, penalised):
    network = {"dtype": dtype} | ({"l1": 1e-3, "l2": 1e-2, "dropout": 0.3} if penalised else {})
    max_norm = 0.3 if penalised else None
    one, *others = (train(n, network=network, optimizer=rule, max_norm=max_norm) for n in (1, 2, 3, 4))
    for other in others:
        np.testing.assert_array_equal(other, one)


def test_penalty_and_norm_are_summed_in_one_order_by_any_team(dtype):
    from fastmlp.kernels.cpu.operations import rules
    from fastmlp.kernels.cpu.team.members import make_teams

    w, results = np.random.RandomState(0).standard_normal(10_007).astype(dtype), set()
    penalty, clip = (numba.njit(**OPTIONS)(operation) for operation in (rules.penalty, rules.clip))
    for size in (1, 2, 3, 5):
        teams, clipped = make_teams(size, np.zeros(0, dtype), np.zeros(0, np.int64)), w.copy()
        for operation, *given in ((penalty, w, 0.3, 0.7), (clip, clipped, 1.0)):
            operation.compile(tuple(map(numba.typeof, (teams[0], *given))))
        with ThreadPoolExecutor(size) as pool:
            shares = list(pool.map(lambda team: penalty(team, w, 0.3, 0.7), teams))
            list(pool.map(lambda team, g: clip(team, g, 1.0), teams, [clipped] * size))
        results.add((sum(shares), clipped.tobytes()))
    assert len(results) == 1


def test_a_team_is_as_large_as_the_limits_of_the_moment(sizes, monkeypatch):
    def size_of(n_threads=None):
        sizes.clear()
        train(n_threads, epochs=2)
        assert len(set(sizes)) == 1
        return sizes[0]

    assert size_of() == CORES
    assert size_of(3) == 3
    monkeypatch.setattr(teams, "cores", threads.cores)
    assert (size_of(3), size_of(64)) == (3, CORES)
    monkeypatch.setattr(threads._BLAS, "threads", lambda: 2)
    assert size_of() == 2
    monkeypatch.setattr(threads._BLAS, "threads", lambda: None)  # none that is known
    assert size_of() == CORES
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert size_of() == 3
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    assert size_of() == 2
    assert size_of(3) == 3
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "64")
    assert size_of() == CORES


def test_a_limit_by_threadpoolctl_holds_from_epoch_to_epoch(sizes, monkeypatch):
    monkeypatch.setattr(threads._BLAS, "threads", BLAS_THREADS)
    before = min(CORES, BLAS_THREADS() or CORES)

    def limit(epoch):
        if epoch.number == 2:
            limits.append(threadpool_limits(1))
        if epoch.number == 4:
            limits.pop().restore_original_limits()

    limits = []
    train(epochs=5, callbacks=[limit])
    assert sizes == [before, before, 1, 1, before]


def blas():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_an_explicit_number_limits_the_blas_of_numpy_while_it_runs(monkeypatch):
    before, within, linear = blas(), [], NumpyOps.linear
    monkeypatch.setattr(NumpyOps, "linear", lambda *arguments: within.append(blas()) or linear(*arguments))
    train(1, "numpy", epochs=1)
    assert {number for numbers in within for number in numbers} <= {1}
    assert within
    assert blas() == before


def test_limits_of_the_blas_that_overlap_leave_what_they_found():
    class Library:
        num_threads = 8

        def set_num_threads(self, number):
            self.num_threads = number

    controlled = threads._Blas()
    controlled._libraries = [library] = [Library()]
    first, second = controlled.limited(2), controlled.limited(5)
    seen = []
    for change in (first.__enter__, second.__enter__, lambda: first.__exit__(None, None, None)):
        change()
        seen.append((library.num_threads, controlled.threads()))
    second.__exit__(None, None, None)
    assert seen == [(2, 8), (2, 8), (5, 8)]
    assert library.num_threads == 8


def test_a_child_lifts_the_limits_that_runs_of_its_parent_had_set():
    class Library:
        num_threads = 8

        def set_num_threads(self, number):
            self.num_threads = number

    parents = threads._Blas()
    parents._libraries = [library] = [Library()]
    parents.limited(2).__enter__()
    parents.reset()  # as in a child
    assert (parents.threads(), library.num_threads) == (8, 8)
    with parents.limited(3):
        assert library.num_threads == 3
    assert library.num_threads == 8


def test_cores_in_use_are_left_to_other_threads(sizes, monkeypatch):
    monkeypatch.setattr(POOL, "LINGER", 0.0)
    begun, go_on = Barrier(4), Event()

    def task():
        begun.wait(60)
        go_on.wait(60)
        return 1.0

    with ThreadPoolExecutor(1) as pool:
        neighbour = pool.submit(POOL.run, 3, 1, lambda size: [task] * size)
        begun.wait(60)
        train()
        assert set(sizes) == {1}
        go_on.set()
        assert neighbour.result() == 3.0
    sizes.clear()
    train()
    assert set(sizes) == {CORES}


def test_cores_that_other_processes_use_are_left_to_them_for_a_while():
    teams = TeamPool()
    teams._yield_to_others(4, 1.0, [1e-4, 0.0, 0.19, 0.0])
    assert teams._enter(None, 8) == 4
    teams._yield_to_others(4, 1.0, [0.0, 0.0, 0.5, 0.0])
    assert teams._enter(None, 8) == 4  # it may be the end of something
    teams._yield_to_others(4, 1.0, [0.0, 0.0, 0.5, 0.0])
    assert (teams._enter(None, 8), teams._enter(4, 8)) == (3, 4)
    teams._yield_to_others(3, 1.0, [0.0, 0.9, 0.8])
    assert teams._enter(None, 8) == 1
    teams._yields_until = perf_counter()
    assert teams._enter(None, 8) == 4


def test_a_thread_that_reads_for_the_runs_is_no_other_process():
    teams = TeamPool()
    for _ in range(3):
        teams.excuse(0.4)
        teams._yield_to_others(4, 1.0, [0.0, 0.0, 0.5, 0.0])
    assert teams._enter(None, 8) == 4


@pytest.mark.parametrize(
    ("widths", "rows", "size"),
    [((30, 100, 1), 200, 1), ((50, 100, 1), 200, CORES), ((30, 100, 1), 512, CORES), ((2, 4, 3), 60_000, 1)],
    ids=str,
)
def test_outputs_that_go_from_core_to_core_must_be_worth_it(widths, rows, size, sizes):
    random = np.random.RandomState(0)
    model = MLP(list(widths), loss="mean_squared_error", backend="numba", seed=0)
    model.fit(random.rand(rows, widths[0]), random.rand(rows, widths[-1]), epochs=1, batch_size=rows)
    assert sizes == [size]


def test_a_short_run_is_not_worth_waking_threads(monkeypatch):
    monkeypatch.setattr(threads, "WORK_PER_RUN", 1000 * 10**9)
    assert [threads.worth_threads(64, 10**9, steps=steps) for steps in (999, 1999, 3000, 10**9)] == [1, 1, 3, 16]


def test_threads_are_kept():
    train(3)
    kept = {thread for thread in threading.enumerate() if thread.name == "fastmlp"}
    for _ in range(3):
        train(3, epochs=1)
    assert {thread for thread in threading.enumerate() if thread.name == "fastmlp"} == kept


def test_what_is_ready_for_one_kind_of_data_is_not_taken_for_another(tmp_path):
    # arrays in files are read as they are, of any dtype; a run without rows needs no operation, the next one does
    random = np.random.RandomState(0)
    x, model = random.randint(0, 9, (6, 4)), MLP([4, 5, 3], backend="numba", seed=0)
    expected = MLP([4, 5, 3], backend="numpy", seed=0).predict_raw(x)
    for number, kind in enumerate(("uint8", "float64", "int32", "uint8")):
        mapped = np.lib.format.open_memmap(tmp_path / f"{number}.npy", "w+", kind, x.shape)
        mapped[...] = x
        np.testing.assert_allclose(model.predict_raw(mapped), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_threads", [None, 2])
def test_fits_at_once_in_threads(backend, n_threads):
    expected = train(n_threads, backend)
    with ThreadPoolExecutor(3) as pool:
        for weights in pool.map(train, [n_threads] * 6, [backend] * 6):
            np.testing.assert_array_equal(weights, expected)


def in_child(answers):
    answers.put((train(2).tobytes(), threads.available_threads()))
    os.environ["OMP_NUM_THREADS"] = "2"
    answers.put(threads.available_threads())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_trains_while_its_parent_does():
    context = multiprocessing.get_context("fork")
    expected, stop = train(2).tobytes(), Event()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(train, 2, epochs=100_000, callbacks=[lambda epoch: stop.is_set()])
        try:
            for _ in range(5):
                answers = context.Queue()
                child = context.Process(target=in_child, args=(answers,))
                child.start()
                assert answers.get(timeout=60) == (expected, 1)  # one thread: the others' cores are the parent's
                assert answers.get(timeout=60) == 2
                child.join(60)
                assert child.exitcode == 0
        finally:
            stop.set()
        busy.result(60)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("jobs", ["loky", "threading", "multiprocessing"])
def test_jobs_of_joblib(jobs):
    with joblib.parallel_config(backend=jobs):
        for weights in joblib.Parallel(n_jobs=2, timeout=60)(joblib.delayed(train)() for _ in range(4)):
            np.testing.assert_array_equal(weights, train())
