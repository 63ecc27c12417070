"""Training on memory-mapped files larger than the memory that the training takes: row 21."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from example_systems.by_hand import assert_parts, descend, parts
from fastmlp import SGD


@pytest.mark.parametrize("batch_size", [64, "full"])
def test_row_21_a_mapped_file_is_trained_on_like_an_array(network, tmp_path, batch_size):
    random = np.random.RandomState(11)
    x, y = random.standard_normal((1500, 4)), random.standard_normal(1500)
    x.tofile(tmp_path / "x.f64")
    mapped = np.memmap(tmp_path / "x.f64", np.float64, mode="r", shape=x.shape)
    model = network([4, 1], "identity", loss="half_squared_error", initializer="zeros")
    model.fit(mapped, y, epochs=2, batch_size=batch_size, optimizer=SGD(lr=0.1), shuffle=False)
    expected = descend(x, y, 0.1, 2, 1500 if batch_size == "full" else batch_size)
    assert_parts(parts(model), expected)
    assert_allclose(model.predict(mapped), x @ expected[0][:, 0] + expected[1], rtol=1e-12, atol=1e-14)


# Trains on a mapped file and watches the memory that the process allocates for itself. The pages of the file
# that happen to be in memory are not counted: the system takes them back when it needs the room.
BOUNDED_MEMORY = """
import json, sys, threading, time
import numpy as np
from fastmlp import MLP

path, rows, features, batch_size, dtype = sys.argv[1:]
rows, features = int(rows), int(features)

def allocated():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.002):
        seen.append(allocated())

x = np.memmap(path, np.float32, mode="r", shape=(rows, features))
y = np.tile((x[:4096, 0] > 0).astype(np.int64), rows // 4096)
model = MLP([features, 4, 2], "tanh", dtype=dtype, seed=0, backend="numpy")
model.fit(x[:4096], y[:4096], epochs=1, batch_size=64)
model.evaluate(x[:4096], y[:4096])  # by now the libraries have what they allocate once
before, seen, done = allocated(), [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
batch = batch_size if batch_size == "full" else int(batch_size)
history = model.fit(x, y, epochs=1, batch_size=batch, optimizer="adam", lr=0.01)
scores = model.evaluate(x, y)
done.set()
watcher.join()
print(json.dumps({"growth": max(seen) - before, "watched": len(seen), "updates": history.updates, **scores}))
"""


@pytest.fixture(scope="module")
def mapped_file(tmp_path_factory):
    """A file with the same 4096 rows of 256 numbers 98 times, 411 MB in all."""
    path = tmp_path_factory.mktemp("mapped") / "samples.f32"
    block = np.random.RandomState(10).standard_normal((4096, 256)).astype(np.float32)
    with open(path, "wb") as file:
        for _ in range(98):
            block.tofile(file)
    yield SimpleNamespace(path=path, rows=98 * 4096, features=256)
    path.unlink()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells which memory is anonymous")
@pytest.mark.parametrize(("batch_size", "dtype", "updates"), [("full", "float32", 1), (512, "float64", 784)])
def test_row_21_data_larger_than_memory(mapped_file, batch_size, dtype, updates):
    arguments = [mapped_file.path, mapped_file.rows, mapped_file.features, batch_size, dtype]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BOUNDED_MEMORY, *map(str, arguments)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["updates"] == updates
    assert result["watched"] > 20
    assert result["growth"] < mapped_file.path.stat().st_size / 6
    if batch_size != "full":
        assert result["accuracy"] > 0.9
