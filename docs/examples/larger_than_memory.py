"""More data than memory: training from a file that is mapped, not read.

`numpy.memmap` makes a file look like an array; the operating system fetches the pages that are touched and
drops them again when memory is short. `fit` never copies such an array: it gathers one batch at a time into
a buffer that is made once. Even the exact gradient of the whole data, batch_size="full", is a sum over
chunks of 512 rows. What does grow with the number of samples are their labels and their order: some 20
bytes a sample, however long it is.

Five million samples, 1.3 GB:   python larger_than_memory.py --samples 5_000_000
"""

import argparse
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fastmlp import MLP, SGD

FEATURES, BLOCK = 64, 10_000


def write_samples(path, samples, seed=0):
    """Write random x (N, 64) float32 block by block; labels (N,): on which side of a plane each x lies."""
    random = np.random.default_rng(seed)
    normal, labels = random.standard_normal(FEATURES, dtype=np.float32), np.empty(samples, np.int64)
    with open(path, "wb") as file:
        for start in range(0, samples, BLOCK):
            x = random.standard_normal((min(BLOCK, samples - start), FEATURES), dtype=np.float32)
            labels[start : start + len(x)] = x @ normal > 0
            x.tofile(file)
    return labels


def allocated_memory():
    """MB that this process has allocated for itself, without mapped files; None where /proc does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon")), None)


def main(samples=200_000, epochs=2):
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "samples.f32")
        y = write_samples(path, samples)
        size = path.stat().st_size / 1e6
        print(f"{samples:,} samples of {FEATURES} features: a file of {size:,.0f} MB")
        for batch_size, lr in ((512, 0.1), ("full", 0.5)):
            x = np.memmap(path, np.float32, mode="r", shape=(samples, FEATURES))
            model = MLP([FEATURES, 16, 2], ["relu", "softmax"], seed=0)
            before = allocated_memory()
            after = []  # looked at within fit, while everything that training needs is there

            def look(_, after=after):
                after.append(allocated_memory())

            rule = SGD(lr=lr)
            history = model.fit(x, y, epochs=epochs, batch_size=batch_size, optimizer=rule, callbacks=[look])
            growth = max(after) - before if before is not None else None
            said = "unknown here" if growth is None else f"{growth:.0f} MB"
            print(f"  batch size {batch_size}: {history.updates} updates, memory grew by {said}")
            print(f"    loss {' '.join(f'{loss:.4f}' for loss in history['loss'])}")
            results[batch_size] = SimpleNamespace(history=history, growth=growth)
            del x  # unmapped before the folder goes
    return SimpleNamespace(size=size, results=results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
