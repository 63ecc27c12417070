"""Training on samples larger than memory: speed and memory under a limit, formats, and what the shuffle costs in score.

Run: python benchmarks/streams.py [large] [formats] [scores] [--rounds 2] [--folder FOLDER] [--output
benchmarks/STREAMS.md], with FASTMLP_DATA naming the folder of MNIST. Each part adds its results to streams.jsonl in the
folder, and the output is written from all that are there. `large` needs root and a memory controller of cgroup v1: a
process of its own trains in a group whose memory, page cache included, is limited; it writes 6 GB to the folder at its
first run. Fits in memory and from files alternate.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
from report import machine

from fastmlp import MLP, open_samples
from fastmlp.datasets import load

SIZES, BATCH = [784, 128, 10], 128
LIMIT_MB, COPIES = 1024, 128  # of MNIST's 60,000 images: 7.68 million, 6.0 GB
GROUP = Path("/sys/fs/cgroup/memory/fastmlp-streams")
SOME = 200_000  # samples of `formats`


def images(copies, seed=0):
    """Copies of MNIST's training images, each moved by up to two pixels and shuffled: bytes (n, 784), labels (n,)."""
    data, random = load("mnist"), np.random.RandomState(seed)
    pixels = np.asarray(data.x).reshape(-1, 28, 28)
    pixels = pixels if pixels.dtype == np.uint8 else np.round(pixels * 255).astype(np.uint8)
    for _ in range(copies):
        order = random.permutation(len(pixels))
        moved = np.roll(pixels, random.randint(-2, 3, 2), (1, 2))[order]
        yield np.ascontiguousarray(moved.reshape(-1, 784)), np.asarray(data.y)[order].astype(np.int64)


def table(x, y, kind):
    """A table of Arrow: the features in columns, or in lists or bytes of fixed size."""
    import pyarrow as arrow

    if kind == "columns":
        return arrow.table({**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "y": y})
    if kind == "lists":
        return arrow.table({"x": arrow.FixedSizeListArray.from_arrays(arrow.array(x.reshape(-1)), x.shape[1]), "y": y})
    data = [None, arrow.py_buffer(x)]
    return arrow.table({"x": arrow.FixedSizeBinaryArray.from_buffers(arrow.binary(x.shape[1]), len(x), data), "y": y})


def write_parquet(path, parts, kind, rows=4096, compression="none"):
    from pyarrow import parquet

    writer = None
    for x, y in parts:
        part = table(x, y, kind)
        writer = writer or parquet.ParquetWriter(path, part.schema, compression=compression, use_dictionary=False)
        writer.write_table(part, row_group_size=rows)
    writer.close()


def train(samples, threads, epochs, lr=1e-4, seed=0, **options):
    model = MLP(SIZES, backend="numba", n_threads=threads, seed=seed)
    history = model.fit(*samples, epochs=epochs, batch_size=BATCH, lr=lr, progress=False, **options)
    return model, history


def in_group(path, threads):
    """Train one epoch on the set at `path` in a process of its own, whose memory is limited."""
    for file in Path(path).iterdir():  # pages that are cached would be charged to whoever has read them
        with open(file, "rb") as handle:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    GROUP.mkdir(exist_ok=True)
    (GROUP / "memory.limit_in_bytes").write_text(str(LIMIT_MB << 20))
    (GROUP / "memory.max_usage_in_bytes").write_text("0")
    command = [sys.executable, __file__, "--child", str(path), "--threads", str(threads or 0)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = int((GROUP / "memory.max_usage_in_bytes").read_text()) >> 20
    GROUP.rmdir()
    return json.loads(answer) | {"group MB": used}


def child(path, threads):
    """What the process in the group does: it prints rate, stalls and memory."""
    (GROUP / "cgroup.procs").write_text(str(os.getpid()))
    curve, done = [], threading.Event()

    def look():
        while not done.wait(0.5):
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            curve.append([int(status[name].split()[0]) / 1024 for name in ("RssAnon", "VmRSS")])

    threading.Thread(target=look, daemon=True).start()
    begin = time.process_time()
    _, history = train([open_samples(path, "y")], threads, 1)
    seconds, cpu = history["seconds"][0], time.process_time() - begin
    done.set()
    facts = {"rate": history["samples_per_second"][0], "stalled": history["waited"][0] / seconds, "cpu": cpu / seconds}
    print(json.dumps(facts | {"curve": curve}))


def large(folder, rounds):
    ways = {"files": "none", "compressed files": "lz4"}
    for name, compression in ways.items():
        path = folder / name
        if not path.exists():
            path.mkdir()
            for part in range(8):
                write_parquet(path / f"{part}.parquet", images(COPIES // 8, part), "bytes", compression=compression)
    x = np.random.RandomState(0).random_sample((500_000, 784)).astype(np.float32)
    y = np.random.RandomState(0).randint(0, 10, len(x))
    np.save(folder / "bytes.npy", (255 * x).astype(np.uint8))
    in_memory = {"memory": x, "bytes in memory": np.load(folder / "bytes.npy", mmap_mode="r")}  # in the page cache
    for _ in range(rounds):
        for threads in (1, None):
            for name, values in in_memory.items():
                _, history = train([values, y], threads, 4)
                yield {"threads": threads, "how": name, "rate": median(history["samples_per_second"][1:])}
            for name in ways:
                size = sum(file.stat().st_size for file in (folder / name).iterdir())
                yield {"threads": threads, "how": name, "GB": size / 1e9, **in_group(folder / name, threads)}


def formats(folder, rounds):
    x, y = map(np.concatenate, zip(*images(4), strict=True))
    x, y = x[:SOME], y[:SOME]
    real = (x / 255).astype(np.float32)
    path = folder / "formats"
    if not path.exists():
        path.mkdir()
        for name, values, kind in (
            ("bytes", x, "bytes"),
            ("float32 lists", real, "lists"),
            ("float32 columns", real, "columns"),
        ):
            write_parquet(path / f"{name}.parquet", [(values, y)], kind, 16384 if kind == "columns" else 4096)
        for name, values in (("bytes", x), ("float32", real)):
            (path / f"{name} npy").mkdir()
            np.save(path / f"{name} npy" / "x.npy", values)
            np.save(path / f"{name} npy" / "y.npy", y)
        import h5py
        import zarr

        with h5py.File(path / "float32.h5", "w") as file:
            file.create_dataset("x", data=real, chunks=(1024, 784))
            file.create_dataset("y", data=y)
        group = zarr.create_group(str(path / "float32.zarr"))
        group.create_array("x", data=real, chunks=(1024, 784), compressors=None)
        group.create_array("y", data=y, chunks=(1024,))
    train([real, y], 1, 1)
    for _ in range(rounds):
        for name in ("memory", *sorted(file.name for file in path.iterdir())):
            samples = [real, y] if name == "memory" else [open_samples(path / name, "y")]
            _, history = train(samples, 1, 3)
            stalled = sum(history["waited"][1:]) / sum(history["seconds"][1:]) if "waited" in history.columns else 0.0
            yield {"how": name, "rate": median(history["samples_per_second"][1:]), "stalled": stalled}


def scores(_folder, _rounds):
    data = load("mnist")
    order = np.argsort(data.y, kind="stable")
    x, y = np.asarray(data.x, np.float32)[order], np.asarray(data.y)[order]
    scale = 255.0 if x.max() > 1 else 1.0
    x, x_test = x / scale, np.asarray(data.x_test, np.float32) / scale
    row = 784 * 4
    ways = {"in memory, shuffled as a whole": None}
    for megabytes, lanes in ((64, 8), (16, 8), (4, 8), (16, 1), (4, 1)):
        ways[f"windows of {megabytes // 2} MB, {lanes} lane{'s' * (lanes > 1)}"] = megabytes << 20, lanes
    for seed in range(5):
        for name, way in ways.items():
            samples = [x, y] if way is None else [open_samples(x, y, memory=way[0], lanes=way[1])]
            model, history = train(samples, None, 5, 1e-3, seed)
            error = 1 - model.evaluate(x_test, data.y_test)["accuracy"]
            window = 1.0 if way is None else min(1.0, way[0] // 2 // row / len(x))
            yield {"how": name, "window": window, "error": error, "loss": history["loss"][-1]}
        model, _ = train([x, y], None, 5, 1e-3, seed, shuffle=False)
        error = 1 - model.evaluate(x_test, data.y_test)["accuracy"]
        yield {"how": "not shuffled: class after class", "window": 0.0, "error": error, "loss": float("nan")}


def summary(values, digits=0):
    text = [f"{value:,.{digits}f}" for value in (median(values), min(values), max(values))]
    return f"{text[0]} ({text[1]} … {text[2]})" if len(values) > 1 else text[0]


def group_by(rows, *names):
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in names), []).append(row)
    return groups


def pages(rows):
    """Markdown of all results, part by part."""
    if large_rows := [row for row in rows if row["part"] == "large"]:
        yield from _large_page(large_rows)
    if format_rows := [row for row in rows if row["part"] == "formats"]:
        base = median(row["rate"] for row in format_rows if row["how"] == "memory")
        yield from ("", "## Formats", "", f"{SOME:,} samples, in the page cache, one thread that trains:", "")
        yield from ("| | samples / s | of memory's | stalled |", "|---|---|---|---|")
        for (how,), some in group_by(format_rows, "how").items():
            rate = [row["rate"] for row in some]
            stalled = median(row["stalled"] for row in some)
            yield f"| {how} | {summary(rate)} | {median(rate) / base:.2f} | {stalled:.0%} |"
    if score_rows := [row for row in rows if row["part"] == "scores"]:
        yield from ("", "## What the shuffle costs", "")
        yield "MNIST sorted by class, an array in blocks of 256 KiB (83 samples); 784-128-10, batches of 128, 5"
        yield "epochs of Adam; test error in %, median of 5 seeds (range):"
        yield from (
            "",
            "| | window / all samples | blocks in a window | test error | training loss |",
            "|---|---|---|---|---|",
        )
        for (how,), some in group_by(score_rows, "how").items():
            error = summary([100 * row["error"] for row in some], 2)
            window, loss = some[0]["window"], median(row["loss"] for row in some)
            blocks = f"{window * 60_000 / 83:.0f}" if 0 < window < 1 else ""
            yield f"| {how} | {window:.3f} | {blocks} | {error} | {loss:.4f} |"


def _large_page(rows):
    yield from ("", f"## {COPIES * 60_000:,} samples, 6.0 GB of Parquet, within {LIMIT_MB} MB", "")
    yield f"784-128-10, batches of {BATCH}, Adam, one epoch. In memory: 500,000 samples of float32, without a limit,"
    yield "and as many of bytes, a memory map in the page cache. Files: a Parquet set of bytes (fixed-size binary),"
    yield "stored as they are or compressed by LZ4, read from the disk in a control group (cgroup v1) whose memory,"
    yield f"page cache included, is limited to {LIMIT_MB} MB. Cores used are those of the process; the kernel's own,"
    yield "for the disk, come on top."
    yield from ("", "| threads that train | | samples / s | of memory's, round by round | stalled | cores used |")
    yield "|---|---|---|---|---|---|"
    for (threads,), some in group_by(rows, "threads").items():
        ways = {how: same for (how,), same in group_by(some, "how").items()}
        memory = [row["rate"] for row in ways.pop("memory")]
        shown = threads or "as many as are free (2)"
        yield f"| {shown} | in memory | {summary(memory)} | | | |"
        for how, same in ways.items():
            rates = [row["rate"] for row in same]
            ratio = summary([b / a for a, b in zip(memory, rates, strict=False)], 2)
            besides = "| | |"
            if "GB" in same[0]:
                stalled, cpu = (median(row[name] for row in same) for name in ("stalled", "cpu"))
                how, besides = f"{how}, {same[0]['GB']:.1f} GB", f"| {stalled:.1%} | {cpu:.2f} |"
            yield f"| {shown} | {how} | {summary(rates)} | {ratio} {besides}"
    files = [row for row in rows if "curve" in row]
    curve = np.array(files[-1]["curve"])
    yield from ("", "Memory of the last run, in MB, at ten times of it: ", "")
    some = curve[np.linspace(0, len(curve) - 1, 10).astype(int)].T
    for name, values in zip(("anonymous", "resident, with pages of mapped files"), some, strict=True):
        yield f"- {name}: {', '.join(f'{value:.0f}' for value in values)}"
    peaks = [max(row["curve"], key=lambda pair: pair[0])[0] for row in files]
    used = max(row["group MB"] for row in files)
    yield f"- peak of anonymous memory over all runs: {max(peaks):.0f}; peak of the group, page cache included: {used}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["large", "formats", "scores", []])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("build/streams"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child, given.threads or None)
    given.folder.mkdir(parents=True, exist_ok=True)
    log = given.folder / "streams.jsonl"
    for part in given.parts:
        for row in {"large": large, "formats": formats, "scores": scores}[part](given.folder, given.rounds):
            print({name: value for name, value in row.items() if name != "curve"}, flush=True)
            with open(log, "a") as file:
                file.write(json.dumps({"part": part, **row}) + "\n")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    command = "- command: `python benchmarks/streams.py large formats scores`, each part in a run of its own"
    heading = ["# Training on samples larger than memory", "", *machine()[:-1], command]
    text = "\n".join([*heading, *pages(rows)]) + "\n"
    print(text)
    if given.output:
        given.output.write_text(text)
    return None


if __name__ == "__main__":
    main()
