"""Kills of a random rank at a random time: whether the job ends, how soon, and whether resuming gives the same model.

Run: FASTMLP_DATA=FOLDER python benchmarks/ranks_kills.py [--kills N] [--seed N]. FOLDER contains mnist/.

`mpiexec -n N fastmlp train mnist --reproducible --checkpoint FILE --resume` is repeated until it is done, every time on
one to three ranks. One of them is killed by kill -9 up to six seconds after the start, perhaps before MPI has started.
When a training is done, its model is compared with that of one process that was never killed.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from ranks import mpiexec
from report import machine

COMMAND = [sys.executable, "-m", "fastmlp.cli", "train", "mnist", "--epochs", "40", "--hidden", "64", "--quiet"]
OPTIONS = ["--batch-size", "512", "--dropout", "0.1", "--reproducible"]
LATEST = 6.0  # seconds after a start
LIMIT = 60.0  # seconds in which a job with a killed rank ends, or it hangs
VARIABLES = {"FASTMLP_NUM_THREADS": "1"}


def ranks_of(folder: Path) -> list[int]:
    """The processes that run fastmlp with files in that folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            program, *arguments = (entry / "cmdline").read_text().split("\0")
            if program == sys.executable and any(str(folder) in argument for argument in arguments):
                found.append(int(entry.name))
    return found


def train(ranks: int, folder: Path, killed_after: float, chance: random.Random) -> tuple[bool, float, str]:
    """Whether a rank was killed, the seconds from then to the end of the job, and what it printed."""
    files = ["--out", str(folder / "model.safetensors"), "--checkpoint", str(folder / "checkpoint"), "--resume"]
    launcher = [mpiexec(), "-n", str(ranks)]
    command = [*launcher, *COMMAND, *OPTIONS, *files, "--every", "0.2s"]
    process = subprocess.Popen(
        command, env=os.environ | VARIABLES, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        text, killed = process.communicate(timeout=killed_after)[0], False
    except subprocess.TimeoutExpired:
        victims = ranks_of(folder)
        begin, killed = time.perf_counter(), bool(victims)
        if victims:
            os.kill(chance.choice(victims), 9)
        text = process.communicate(timeout=LIMIT)[0]
        return killed, time.perf_counter() - begin, text
    return killed, 0.0, text


def message(text: str) -> str:
    """The line that says how the job ended."""
    lines = [line.strip(" =|") for line in text.splitlines()]
    return next((line for line in lines if line.startswith("fastmlp: ") or "signal 9" in line), "nothing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    seconds: list[float] = []
    messages, launched, ends, equal = Counter[str](), Counter[int](), 0, 0
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole.safetensors"
        subprocess.run([*COMMAND, *OPTIONS, "--out", str(whole)], check=True, stdout=subprocess.DEVNULL)
        while len(seconds) < options.kills:
            folder = Path(tempfile.mkdtemp(dir=name))
            while not (folder / "model.safetensors").exists():
                ranks = chance.randint(1, 3)
                launched[ranks] += 1
                enough = len(seconds) == options.kills
                killed, took, text = train(ranks, folder, 1e3 if enough else chance.uniform(0.2, LATEST), chance)
                if killed:
                    seconds.append(took)
                    messages[message(text)] += 1
            ends += 1
            equal += (folder / "model.safetensors").read_bytes() == whole.read_bytes()
    print(
        *machine()[:-1],
        f"- command: `python {' '.join(sys.argv)}`",
        "",
        f"{len(seconds)} kills; {equal} of {ends} trainings equal to one that was never killed, byte for byte. From "
        f"kill to end of the job: {statistics.median(seconds):.2f} s ({min(seconds):.2f} … {max(seconds):.2f}). "
        f"Launches by number of ranks: {dict(sorted(launched.items()))}. What the job says last:",
        "",
        *(f"- {count} times `{line}`" for line, count in messages.most_common()),
        sep="\n",
    )


if __name__ == "__main__":
    main()
