"""Long tests of the guarantees in docs/reliability.md: killed processes, damaged caches, forks.

Run: python benchmarks/reliability.py [kills] [caches] [forks] [--output benchmarks/RELIABILITY.md]

kills   `fastmlp train mnist --checkpoint … --resume`, killed by kill -9 at random moments and repeated until it is
        done: the model has the same bytes as that of an uninterrupted run. Needs FASTMLP_DATA.
caches  caches of compiled code damaged in many ways: a training in a new process gives the right weights, and the next
        one compiles nothing.
forks   forks at random moments of a first fit in a new process: each child builds a model, trains it and ends.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from report import machine

from fastmlp.files import atomic_write

FASTMLP = [sys.executable, "-m", "fastmlp.cli"]
TRAIN = """
import hashlib, logging
import numpy as np
from fastmlp import MLP
from fastmlp.backends.numba_backend import NumbaBackend
x = np.random.RandomState(0).standard_normal((300, 8)).astype("f")
model = MLP([8, 16, 3], seed=0, backend="numba")
model.fit(x, np.arange(300) % 3, epochs=3)
print(NumbaBackend.compilations(), hashlib.sha256(b"".join(w.tobytes() for w in model.weights)).hexdigest())
"""
FORK = """
import os, random, signal, sys, threading, time
import numpy as np
from fastmlp import MLP
x = np.random.RandomState(0).standard_normal((300, 60)).astype("f")
y = np.arange(300) % 3
thread = threading.Thread(target=lambda: MLP([60, 128, 3], seed=0, backend="numba").fit(x, y, epochs=2))
thread.start()
time.sleep(float(sys.argv[1]))
child = os.fork()
if child == 0:
    signal.alarm(120)  # ends a child that hangs
    model = MLP([60, 3], seed=0, backend="numba")
    model.fit(x, y, epochs=1)
    os._exit(0 if model.predict(x).shape == (300,) else 1)
code = os.waitpid(child, 0)[1]
thread.join()
sys.exit(code != 0)
"""


def kills(count: int, folder: Path, chance: random.Random) -> list[str]:
    """At least so many kills."""
    train = [*FASTMLP, "train", "mnist", "--epochs", "300", "--hidden", "64", "--dropout", "0.1", "--optimizer", "adam"]
    train += ["--validation-fraction", "0.1", "--patience", "300", "--quiet"]
    whole, part = folder / "whole.safetensors", folder / "part.safetensors"
    expected = _output([*train, "--out", str(whole), "--history", str(folder / "whole.csv")])
    again = [*train, "--out", str(part), "--history", str(folder / "part.csv")]
    again += ["--checkpoint", str(folder / "checkpoint"), "--every", "0.2s", "--resume"]
    killed, begun = 0, time.perf_counter()
    while True:
        process = subprocess.Popen(again, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=chance.uniform(0.2, 6.0) if killed < count else None)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
    assert process.returncode == 0, err
    minutes = (time.perf_counter() - begun) / 60
    equal = part.read_bytes() == whole.read_bytes()
    leftovers = [name for name in os.listdir(folder) if name.endswith(".tmp")]
    return [
        f"**kills**: {killed} times kill -9 at random moments in {minutes:.1f} minutes; model "
        f"{'equal' if equal else 'NOT EQUAL'} to that of an undisturbed run, byte for byte; history "
        f"{'equal' if _history(folder / 'part.csv') == _history(folder / 'whole.csv') else 'NOT EQUAL'} but for times; "
        f"score {'equal' if out == expected else 'NOT EQUAL'}; {len(leftovers)} temporary files left."
    ]


def _history(path: Path) -> list[list[str]]:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    kept = [i for i, name in enumerate(rows[0]) if name not in ("seconds", "samples_per_second")]
    return [[row[i] for i in kept] for row in rows]


def _output(command: list[str], **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _truncate(files: list[Path], chance: random.Random) -> None:
    file = chance.choice(files)
    content = file.read_bytes()
    file.write_bytes(content[: chance.randrange(len(content))])


def _flip(files: list[Path], chance: random.Random) -> None:
    file = chance.choice(files)
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def _flip_in_machine_code(files: list[Path], chance: random.Random) -> None:
    file = chance.choice(files)
    content = bytearray(file.read_bytes())
    content[content.index(b"\x7fELF") + chance.randrange(64, 2000)] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def _empty(files: list[Path], chance: random.Random) -> None:
    chance.choice(files).write_bytes(b"")


def _swap(files: list[Path], chance: random.Random) -> None:
    one, other = chance.sample(files, 2)
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])


def _folder(files: list[Path], chance: random.Random) -> None:
    file = chance.choice(files)
    file.unlink()
    file.mkdir()


def _noise(files: list[Path], chance: random.Random) -> None:
    chance.choice(files).write_bytes(chance.randbytes(chance.randrange(1, 60_000)))


def _nonsense_with_a_right_digest(files: list[Path], chance: random.Random) -> None:
    file = chance.choice(files)
    content = chance.randbytes(1000)
    file.write_bytes(hashlib.sha256(file.name.encode() + content).digest() + content)


def _remove(files: list[Path], chance: random.Random) -> None:
    for file in chance.sample(files, 3):
        file.unlink()


DAMAGES = (
    *(_truncate, _flip, _flip_in_machine_code, _empty, _swap),
    *(_folder, _noise, _nonsense_with_a_right_digest, _remove),
)


def caches(count: int, folder: Path, chance: random.Random) -> list[str]:
    """So many damaged caches."""
    filled, damaged = folder / "filled", folder / "damaged"
    program = [sys.executable, "-c", TRAIN]
    right = _output(program, FASTMLP_CACHE_DIR=str(filled)).split()[1]
    sound, kinds = 0, Counter[str]()
    for turn in range(count):
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(filled, damaged)
        damage = DAMAGES[turn % len(DAMAGES)]
        damage(sorted(path for path in damaged.rglob("*") if path.is_file()), chance)
        _, weights = _output(program, FASTMLP_CACHE_DIR=str(damaged)).split()
        compiled, weights_after = _output(program, FASTMLP_CACHE_DIR=str(damaged)).split()
        if (weights, weights_after, compiled) == (right, right, "0"):
            sound += 1
        else:
            kinds[damage.__name__] += 1
    wrong = f" Not: {dict(kinds)}." if kinds else ""
    return [
        f"**caches**: {sound} of {count} damaged caches gave the right weights, bit for bit, and were whole "
        f"afterwards; {len(DAMAGES)} kinds of damage.{wrong}"
    ]


def forks(count: int, folder: Path, chance: random.Random) -> list[str]:
    """So many forks, half of them with an empty cache."""
    warm, ended = folder / "warm", Counter[str]()
    _output([sys.executable, "-c", FORK, "30"], FASTMLP_CACHE_DIR=str(warm))
    for turn in range(count):
        cold = turn % 2 == 0
        cache = folder / f"cold{turn}" if cold else warm
        # imports and compilation take long with an empty cache
        moment = str(chance.uniform(0, 12.0 if cold else 3.0))
        command = [sys.executable, "-W", "ignore", "-c", FORK, moment]
        process = subprocess.Popen(command, env=os.environ | {"FASTMLP_CACHE_DIR": str(cache)}, start_new_session=True)
        try:
            ended["well" if process.wait(timeout=180) == 0 else "with an error"] += 1
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            ended["never"] += 1
        if cold:
            shutil.rmtree(cache, ignore_errors=True)
    return [f"**forks**: of {count} at random moments of a first fit, {dict(ended)} (half with an empty cache)."]


def main() -> None:
    parts = {"kills": (kills, 100), "caches": (caches, 100), "forks": (forks, 50)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[], metavar="PART")
    parser.add_argument("--count", type=int, help="in place of 100, 100 and 50")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    lines = [
        "# Killed processes, damaged caches, forks",
        "",
        *machine()[:-1],
        f"- command: `python {' '.join(sys.argv)}`",
        "",
    ]
    for name in arguments.parts or parts:
        part, count = parts[name]
        with tempfile.TemporaryDirectory() as folder:
            found = part(arguments.count or count, Path(folder), random.Random(arguments.seed))
        print("\n".join(found), flush=True)
        lines += [*found, ""]
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write("\n".join(lines).encode())


if __name__ == "__main__":
    main()
