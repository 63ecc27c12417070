"""Tables and arrays beyond the memory limit: the same numbers, from temporary files that are removed."""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fastmlp import MLP
from fastmlp.cli import predictions
from fastmlp.cli.predictions import write_parquet
from fastmlp.datasets import load_table, read_table
from fastmlp.errors import InputError
from fastmlp.orders import Orders, block_of
from fastmlp.tables.parallel import parallel_map
from fastmlp.tables.reading import records
from fastmlp.tables.storage import Storage

ROWS = 6000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder for temporary files, which must be empty before and after."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    gc.collect()
    assert not list(path.iterdir())


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A file of many blocks; one column has a text only near its end, another many missing-value markers."""
    monkeypatch.setattr(records, "_BLOCK", 1 << 14)
    random = np.random.RandomState(0)
    x = random.randn(ROWS)
    lines = ["number,late,holed,kind,day,label"]
    for i in range(ROWS):
        late = "none" if i == ROWS - 9 else f"{i / 8}"
        holed = "NA" if i % 3 == 0 else f"{i % 7}"
        kind = f"k{random.randint(14)}"
        label = "yes" if x[i] > 0 else "no"
        lines.append(f"{x[i]:.5f},{late},{holed},{kind},2024-01-{1 + i % 28:02},{label}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
@pytest.mark.parametrize("split", ["random", "ordered"])
def test_a_table_on_the_disk_gives_the_same_samples(table, folder, kind, split):
    path = table.with_suffix(f".{kind}")
    if kind == "parquet":
        read_table(table).frame.write_parquet(path, row_group_size=1000)
    elif kind == "arrow":
        read_table(table).frame.write_ipc(path)
    held = load_table(path, split=split, codes=True)
    kept = load_table(path, split=split, codes=True, memory=1000)
    assert isinstance(kept.x, np.memmap) and isinstance(kept.x_test, np.memmap) and not isinstance(held.x, np.memmap)
    for name in ("x", "y", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(held, name), strict=name[0] == "y")
    assert kept.encoder == held.encoder and kept.kinds == held.kinds and kept.notes == held.notes


def test_a_table_is_read_from_the_disk_column_by_column(table, folder):
    held, kept = read_table(table), read_table(table, storage=Storage(1000))
    assert isinstance(kept.frame, pl.LazyFrame) and len(kept) == ROWS and kept.types == held.types
    assert kept.column("kind").equals(held.column("kind"))
    assert kept.place(3) == held.place(3)
    parts = list(kept.parts(["kind"], rows=1000))
    assert [first for first, _ in parts] == [*range(0, ROWS, 1000)]
    assert pl.concat([part.column("kind") for _, part in parts]).equals(held.column("kind"))
    assert list(folder.iterdir())


def test_a_file_that_is_gone_is_an_error(table, folder):
    kept = read_table(table, storage=Storage(1000))
    kept.storage.clear()
    with pytest.raises(InputError, match="cannot be read"):
        kept.column("kind")


def test_arrays_lie_in_memory_up_to_the_limit(folder):
    assert type(Storage(400).array((10, 10), np.float32)) is np.ndarray
    array = Storage(399).array((10, 10), np.float32)
    assert isinstance(array, np.memmap) and not array.any()
    array[3] = 7
    assert array.sum() == 70
    assert not list(folder.iterdir())  # its file has no name
    assert Storage().limit > 1 << 20


FULL = """
import resource, sys, signal
import numpy as np, polars as pl
from fastmlp.tables.storage import Storage
from fastmlp.errors import InputError
from fastmlp.tables.frames import polars_module
polars_module()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for use in (lambda storage: storage.array((1 << 16,), np.float32),
            lambda storage: storage.frame(pl.DataFrame({"a": np.random.rand(1 << 16)}) for _ in range(3))):
    try:
        use(Storage(1000))
    except InputError as error:
        print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit stands for a full disk")
def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL], env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert f"temporary files {tmp_path}" in line and "variable TMPDIR" in line and "too large" in line.lower()
    assert not list(tmp_path.iterdir())


def command(*arguments, folder):
    environment = os.environ | {"TMPDIR": str(folder), "FASTMLP_BACKEND": "numpy"}
    return [sys.executable, "-m", "fastmlp.cli", *map(str, arguments)], environment


def test_training_in_blocks_learns_and_leaves_nothing(table, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    lines = table.read_text().splitlines()
    rows = sorted(lines[1:], key=lambda line: line.rsplit(",", 1)[1])  # all rows of a class together
    many = tmp_path / "many.csv"
    many.write_text("\n".join([lines[0], *rows * 4]) + "\n")
    call, environment = command("train", many, "--memory", "1MB", "--epochs", 2, "--patience", 9, folder=folder)
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2,400 validation samples" in done.stdout or "1,920 validation samples" in done.stdout
    accuracy = float(done.stdout.split("test accuracy ")[1].split(" %")[0])
    assert accuracy > 97 and not list(folder.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_after_ctrl_c_and_an_error_there_are_no_files(table, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    rows = table.read_text().splitlines()
    many = tmp_path / "many.csv"
    many.write_text("\n".join([rows[0], *rows[1:] * 40]) + "\n")
    call, environment = command("train", many, "--memory", "1MB", "--epochs", 1000, folder=folder)
    process = subprocess.Popen(call, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(folder.iterdir())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert not list(folder.iterdir())
    with open(many, "a") as file:
        file.write("1,2,3\n")
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "has 3 fields" in done.stderr
    assert not list(folder.iterdir())


KILLED = """
import os, signal, sys
from fastmlp.datasets import read_table
from fastmlp.tables.storage import Storage
table = read_table(sys.argv[1], storage=Storage(1000))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_files_of_a_killed_program_are_private_and_removed_by_the_next_one(table, tmp_path, folder):
    environment = os.environ | {"TMPDIR": str(folder)}
    assert subprocess.run([sys.executable, "-c", KILLED, str(table)], env=environment).returncode == -signal.SIGKILL
    left = set(folder.iterdir())
    assert left and all(path.stat().st_mode & 0o77 == 0 for path in left)
    kept = read_table(table, storage=Storage(1000))
    assert len(kept) == ROWS and left.isdisjoint(folder.iterdir())


def test_predictions_beyond_the_memory_are_the_same(tmp_path, folder, monkeypatch):
    def batches():
        for first in range(0, 50, 10):
            numbers = np.ma.masked_all(10, np.float32) if first == 20 else np.arange(10, dtype=np.float32)
            yield {"kept": [None] * 10, "class": ["a"] * 10, "share": numbers, "value": np.arange(10.0) + first}

    write_parquet(str(tmp_path / "a.parquet"), batches())
    monkeypatch.setattr(predictions, "Storage", lambda: Storage(100))
    write_parquet(str(tmp_path / "b.parquet"), batches())
    one, other = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in "ab")
    assert one.equals(other) and one.dtypes == [pl.String, pl.String, pl.Float32, pl.Float64]
    assert one["share"].null_count() == 10 and one["kept"].null_count() == 50


def test_orders_in_blocks_hold_every_sample_once(monkeypatch):
    monkeypatch.setattr("fastmlp.orders._BLOCKS", 4)
    random = np.random.RandomState(0)
    orders = Orders(np.arange(1003), random, lambda *_: None, 2, False, block=10)
    for order in orders.take(2, 0):
        np.testing.assert_array_equal(np.sort(order), np.arange(1003))
        blocks = order // 10
        assert len(np.unique(blocks[:40])) == 4  # near one another in the file, all from other places
        assert (np.diff(order[:40]) != 1).sum() > 30
    orders.close()
    assert block_of(64) == 1024 and block_of(1 << 20) == 1


def test_a_run_in_blocks_goes_on_where_it_stopped(tmp_path):
    random = np.random.RandomState(0)
    x, y = random.randn(3000, 5).astype(np.float32), random.randint(0, 2, 3000)

    def fit(epochs, **options):
        model = MLP([5, 8, 2], loss="softmax_cross_entropy", backend="numpy", seed=0)
        model.fit(x, y, epochs=epochs, shuffle="blocks", batch_size=50, progress=False, **options)
        return np.concatenate([w.ravel() for w in model.weights])

    path = tmp_path / "run.checkpoint"
    fit(2, checkpoint=path)
    np.testing.assert_array_equal(fit(5, checkpoint=path, resume=True), fit(5))
    with pytest.raises(InputError, match="shuffle='rows' must be True"):
        MLP([5, 2], seed=0).fit(x, y, shuffle="rows")


def test_results_come_in_order_and_work_is_only_a_little_ahead(monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    monkeypatch.setattr("fastmlp.backends.threads._cpu_count", lambda _: 2)
    taken = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    results = parallel_map(lambda i: time.sleep(0.001 * (i % 3)) or i * i, items())
    assert next(results) == 0 and len(taken) <= 4
    assert [0, *results] == [i * i for i in range(20)]

    def fail_at(i):
        if i == 5:
            raise ValueError(i)
        return i

    seen = []
    with pytest.raises(ValueError, match="5"):
        seen.extend(parallel_map(fail_at, range(20)))
    results = parallel_map(fail_at, range(20))
    with pytest.raises(ValueError, match="5"):
        while True:
            seen.append(next(results))
    assert seen[-5:] == [0, 1, 2, 3, 4]

    def no_thread(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", no_thread)
    assert list(parallel_map(lambda i: i + 1, range(5))) == [1, 2, 3, 4, 5]


ANONYMOUS = """
import json, sys, threading, time
from fastmlp.cli import main

def allocated():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.002):
        seen.append(allocated())

small, large = sys.argv[1:3]
how = [*sys.argv[3:], "--epochs", "1", "--quiet"]
assert main(["train", small, *how]) == 0
before, seen, done = allocated(), [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
assert main(["train", large, *how]) == 0
done.set()
watcher.join()
print(json.dumps({"growth": max(seen) - before}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells which memory is anonymous")
def test_training_takes_bounded_memory(tmp_path):
    """100 columns of 400,000 rows: 320 MB as numbers, half of that as features."""
    values = np.random.RandomState(0).randint(0, 1000, (400_000, 100)) / 8.0
    frame = pl.DataFrame({f"x{i}": column for i, column in enumerate(values.T)})
    frame.write_parquet(tmp_path / "large.parquet", row_group_size=10_000)
    frame.head(20_000).write_parquet(tmp_path / "small.parquet")
    files = [tmp_path / "small.parquet", tmp_path / "large.parquet"]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "FASTMLP_BACKEND": "numpy", "TMPDIR": str(tmp_path)}
    growth = {}
    for memory in ("8MB", "1GB"):
        how = ["--memory", memory, "--hidden", "4", "--batch-size", "1000", "--bins", "0"]
        done = subprocess.run(
            [sys.executable, "-c", ANONYMOUS, *map(str, files), *how], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        growth[memory] = json.loads(done.stdout.splitlines()[-1])["growth"]
    assert growth["1GB"] > 400 << 20  # else this shows nothing
    assert growth["8MB"] < 150 << 20, growth
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["large.parquet", "small.parquet"]
