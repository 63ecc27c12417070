"""Run every benchmark and write RESULTS.md and regimes.png to this folder.

Run: python benchmarks/report.py            (about ten minutes on two cores)
     python benchmarks/report.py FILE.json  (only the tables, from an earlier pytest --benchmark-json=FILE.json)
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import date
from pathlib import Path

import numba
import numpy as np
import sklearn
from against_sklearn import table as sklearn_table

from fastmlp.backends import available_backends

HERE = Path(__file__).parent
REGIMES = ("1", "32", "128", "512", "full", "predict")
START_UP = """
import time, numpy as np, fastmlp
x, y = np.random.rand(1000, 784).astype("f"), np.random.randint(0, 10, 1000)
model = fastmlp.MLP([784, 128, 10], backend="numba", seed=0)
begin = time.perf_counter()
model.fit(x, y, epochs=1)
print(time.perf_counter() - begin)
"""


def machine() -> list[str]:
    """Markdown lines: date, machine, versions and backends."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except OSError:
        cpu = platform.processor()
    return [
        f"- date: {date.today()}; machine: {cpu}, {os.cpu_count()} cores, shared and noisy; {platform.system()}",
        f"- Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}, "
        f"scikit-learn {sklearn.__version__}",
        *(f"- backend {name}: {what}" for name, what in available_backends().items()),
        "- command: `python benchmarks/report.py`",
    ]


def start_up() -> list[str]:
    """Seconds of the first fit in a new process, with an empty and with a warm cache of compiled code."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"FASTMLP_CACHE_DIR": folder}
        seconds = [
            float(
                subprocess.run(
                    [sys.executable, "-c", START_UP], env=environment, check=True, capture_output=True
                ).stdout
            )
            for _ in range(2)
        ]
    return [f"First fit of a process (784-128-10, Adam): {seconds[0]:.1f} s compiling, {seconds[1]:.1f} s once cached."]


def training_tables(benchmarks: list[dict]) -> list[str]:
    """One table per network: median samples/s by optimizer and backend, a column per regime."""
    rows: dict = defaultdict(dict)
    for entry in benchmarks:
        info = entry["extra_info"]
        if "network" in info:
            where = rows[info["network"], info["optimizer"], info["backend"]]
            where[info["regime"]] = info["samples_per_second"], info["gflops"]
    lines = []
    for network in dict.fromkeys(key[0] for key in rows):
        lines += [
            "",
            f"### {network}",
            "",
            "| optimizer | backend | " + " | ".join(REGIMES[:-1]) + " |",
            "|---" * 7 + "|",
        ]
        for (name, optimizer, backend), cells in rows.items():
            if name == network and optimizer != "-":
                values = " | ".join(f"{cells[r][0]:,.0f} ({cells[r][1]:.1f})" for r in REGIMES[:-1])
                lines.append(f"| {optimizer} | {backend} | {values} |")
        predicted = [
            f"{backend} {cells['predict'][0]:,.0f} ({cells['predict'][1]:.1f})"
            for (name, optimizer, backend), cells in rows.items()
            if name == network and optimizer == "-"
        ]
        lines += ["", "predict: " + ", ".join(predicted)]
    return lines


def operation_table(benchmarks: list[dict]) -> list[str]:
    """Microseconds of each operation in its three forms."""
    times: dict = defaultdict(dict)
    for entry in benchmarks:
        info = entry["extra_info"]
        if "operation" in info:
            times[info["operation"]][info["form"]] = entry["stats"]["median"] * 1e6
    lines = [
        "| operation | unfused NumPy, µs | numpy, µs | numba (1 core), µs | unfused / numba |",
        "|---|---|---|---|---|",
    ]
    for name, t in times.items():
        lines.append(
            f"| {name} | {t['unfused']:.1f} | {t['numpy']:.1f} | {t['numba']:.1f} | {t['unfused'] / t['numba']:.1f} |"
        )
    return lines


def plot(benchmarks: list[dict], path: Path) -> None:
    """Throughput of the regimes, a panel per network, a line per backend and optimizer."""
    from matplotlib.figure import Figure

    series: dict = defaultdict(dict)
    for entry in benchmarks:
        info = entry["extra_info"]
        if "network" in info and info["regime"] != "predict":
            key = info["network"], f"{info['backend']} {info['optimizer']}"
            series[key][info["regime"]] = info["samples_per_second"]
    networks = list(dict.fromkeys(network for network, _ in series))
    figure = Figure(figsize=(3.4 * len(networks), 3.6), layout="constrained")
    for axes, network in zip(figure.subplots(1, len(networks)), networks, strict=True):
        for (name, label), rates in series.items():
            if name == network:
                axes.semilogy(REGIMES[:-1], [rates[r] for r in REGIMES[:-1]], marker="o", label=label)
        axes.set(title=network, xlabel="batch size")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("samples per second")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


def run_pytest() -> list[dict]:
    """All benchmarks of this folder, as pytest-benchmark writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmarks.json"
        subprocess.run([sys.executable, "-m", "pytest", str(HERE), "-q", f"--benchmark-json={path}"], check=True)
        return json.loads(path.read_text())["benchmarks"]


def main() -> None:
    benchmarks = json.loads(Path(sys.argv[1]).read_text())["benchmarks"] if len(sys.argv) > 1 else run_pytest()
    sections = [
        "# Benchmark results",
        "",
        *machine(),
        "",
        "Medians of rounds in one process. Throughput is that of whole `fit` calls of one epoch, float32, random data.",
        "",
        "## Compared with scikit-learn",
        "",
        "784-128-10, plain SGD, float32 input, default threads of both, interleaved rounds in one process.",
        "",
        *sklearn_table(),
        "",
        "## Batch, mini-batch and stochastic gradient descent",
        "",
        "Samples per second by batch size, in brackets GFLOP/s.",
        "",
        "![throughput of the regimes](regimes.png)",
        *training_tables(benchmarks),
        "",
        "## Fused operations",
        "",
        "Batch 128, 784-128-10, float32; NumPy's BLAS has both cores, the Numba kernels one.",
        "",
        *operation_table(benchmarks),
        "",
        "## Start-up",
        "",
        *start_up(),
        "",
    ]
    (HERE / "RESULTS.md").write_text("\n".join(sections))
    plot(benchmarks, HERE / "regimes.png")


if __name__ == "__main__":
    main()
