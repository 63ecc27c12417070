"""The CUDA backend on a GPU: correctness, speed compared with other libraries, and a breakdown of the time.

Run: FASTMLP_DATA=FOLDER python benchmarks/gpu.py --out FOLDER [--minutes M] [--only PART …] [--emulate]. It takes less
than ten minutes on one GPU. The data FOLDER contains mnist/; without it samples are random, and accuracy is not tested.
Writes GPU.md, gpu.json (every number of every round) and gpu.log (the output of all parts).

It begins with what NVIDIA's documentation leaves open, within the first two minutes; then correctness, then speed. Each
part runs in its own process with a time limit: if one fails, hangs or crashes the GPU, this is recorded, and the other
parts run. Unused time is given to later parts. The exit code is 1 if anything failed.

Nothing that was measured is lost: results are written piece by piece, a run that was ended leaves what it had, and
another run into the same folder, of all parts or of some by --only, replaces the results of these parts alone.

--emulate runs the same code with small sizes on the emulated device of the tests: no other libraries, no tests, and no
meaningful times.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from gpu_process import run_for

HERE = Path(__file__).parent
REST = 15.0  # seconds that a part has, after the last it may begin something, before it is killed


class Part(NamedTuple):
    """A part of the measurements: a function of a module in this folder."""

    name: str
    function: str  # "module.function", of (sizes, deadline, keep)
    share: float  # of the whole time
    gpu_only: bool = False  # nothing of it can be tried on the emulation


PARTS = [
    Part("environment", "gpu_device.environment", 0.04),
    Part("questions", "gpu_questions.questions", 0.08),
    Part("agreement", "gpu_checks.agreement", 0.09),
    Part("repeats", "gpu_checks.digests", 0.03),
    Part("repeats in another process", "gpu_checks.digests", 0.03),
    Part("tests", "gpu_checks.tests", 0.1, gpu_only=True),
    Part("throughput", "gpu_speed.throughput", 0.23),
    Part("large network", "gpu_speed.large", 0.12),
    Part("products", "gpu_ways.products", 0.04),
    Part("programs and graphs", "gpu_ways.programs", 0.04),
    Part("launches", "gpu_ways.launches", 0.02),
    Part("accuracy", "gpu_checks.accuracy", 0.04),
    Part("memcheck", "gpu_checks.memcheck", 0.06, gpu_only=True),
    Part("racecheck", "gpu_checks.racecheck", 0.08, gpu_only=True),
]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results; made if it is not there")
    parser.add_argument("--minutes", type=float, default=9.5, help="for all parts together")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], metavar="PART")
    parser.add_argument("--emulate", action="store_true", help="on the emulated device: only whether all of it works")
    parser.add_argument("--part", nargs=2, metavar=("PART", "SECONDS"), help=argparse.SUPPRESS)  # in its own process
    return parser.parse_args()


def run_part(options: argparse.Namespace) -> None:
    """Do one part, and keep its result after every piece of it."""
    import gpu_device

    name, seconds = options.part
    deadline = time.perf_counter() + float(seconds)
    part = next(part for part in PARTS if part.name == name)
    sizes = gpu_device.sizes(options.emulate)
    module, function = part.function.split(".")
    work: Callable[..., Any] = getattr(import_module(module), function)

    def keep(result: Any) -> None:
        whole = options.out.with_suffix(".new")
        whole.write_text(json.dumps(result))
        whole.replace(options.out)

    keep(work(sizes, deadline, keep))


def outcome(part: Part, options: argparse.Namespace, seconds: float, log: Any, environment: dict) -> dict[str, Any]:
    """What came of a part: status, its result as far as it got, the reason where it got no further."""
    if options.emulate and part.gpu_only:
        return {"status": "left out", "reason": "it needs a GPU"}
    if seconds < REST:
        return {"status": "out of time", "reason": "the parts before it left no time"}
    begin, file = time.perf_counter(), unfinished(options.out, part)
    command = [sys.executable, __file__, "--out", str(file), "--part", part.name, str(seconds - REST)]
    if options.emulate:
        command.append("--emulate")
    log.write(f"\n=== {part.name}\n".encode())
    log.flush()
    start, status, reason = log.tell(), "done", ""
    code = run_for(command, seconds, stdout=log, stderr=log, env=environment)
    if code is None:
        status, reason = "failed", f"it was ended after {seconds:.0f} s"
    elif code:
        status, reason = "failed", f"exit code {code}: {last_line(Path(log.name), start)}"
    result = json.loads(file.read_text()) if file.exists() else None
    if status == "done" and isinstance(result, dict) and result.get("left out"):
        status, reason = "left out", result["left out"]
    if status == "done" and isinstance(result, dict) and result.get("failures"):
        status, reason = "failed", "; ".join(result["failures"])
    return {"status": status, "reason": reason, "seconds": time.perf_counter() - begin, "result": result}


def unfinished(folder: Path, part: Part) -> Path:
    """The file of a part's result until that is in the record."""
    return folder / f"unfinished {part.name}.json"


def earlier(folder: Path, measured: bool) -> dict[str, Any]:
    """The parts that earlier runs into this folder have left.

    SystemExit if these are measurements, and those to come are not, or the other way round.
    """
    parts: dict[str, Any] = {}
    if (folder / "gpu.json").exists():
        record = json.loads((folder / "gpu.json").read_text())
        if record["measured"] != measured:
            kind = "measurements" if record["measured"] else "results of the emulation"
            raise SystemExit(f"{folder} has {kind}, which stay apart from others: choose another folder by --out.")
        parts = record["parts"]
    for part in PARTS:
        file = unfinished(folder, part)
        if file.exists():
            reason = "the run was ended in this part"
            parts[part.name] = {"status": "failed", "reason": reason, "result": json.loads(file.read_text())}
            file.unlink()
    return parts


def last_line(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """All parts, one after the other; what is known is written after each."""
    from gpu_tables import report

    begin, allowed = time.perf_counter(), 0.0
    record: dict[str, Any] = {
        "measured": not options.emulate,
        "command": f"python {' '.join(sys.argv)}",
        "began": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "parts": earlier(options.out, not options.emulate),
    }
    with tempfile.TemporaryDirectory() as cache, (options.out / "gpu.log").open("ab") as log:
        # the ways to each product are chosen anew, here and now
        environment = os.environ | {"FASTMLP_CACHE_DIR": cache, "PYTHONUNBUFFERED": "1"}
        for part in PARTS:
            allowed += 60 * options.minutes * part.share
            if options.only and part.name not in options.only:
                continue
            left = (60 * options.minutes if options.only else allowed) - (time.perf_counter() - begin)
            try:
                done = outcome(part, options, left, log, environment)
            except Exception as error:
                traceback.print_exc()
                done = {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
            record["parts"][part.name] = done
            record["seconds"] = time.perf_counter() - begin
            print(f"{part.name}: {done['status']} {done.get('reason', '')}", file=sys.stderr)
            write(options.out, record, report(record))
            unfinished(options.out, part).unlink(missing_ok=True)
    return record


def write(folder: Path, record: dict[str, Any], lines: list[str]) -> None:
    from fastmlp.files import atomic_write

    for name, text in ("gpu.json", json.dumps(record, indent=1)), ("GPU.md", "\n".join(lines)):
        with atomic_write(folder / name) as file:
            file.write(f"{text}\n".encode())


def main() -> int:
    options = parse()
    if options.part:
        run_part(options)
        return 0
    if not options.emulate:
        from fastmlp.backends.cuda_backend import CudaBackend

        problem = CudaBackend.problem()
        if problem:
            print(f"There is no GPU to measure: {problem}\n--emulate tries this script without one.", file=sys.stderr)
            return 2
    options.out.mkdir(parents=True, exist_ok=True)
    record = run_all(options)
    print((options.out / "GPU.md").read_text())
    return int(any(part["status"] in ("failed", "out of time") for part in record["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
