"""Networks of PyTorch and JAX for `inference.py`, each in a process of its own, which may be another environment's.

So that environment needs no fastmlp, and one that compiles for too long is ended. Between its turns a process waits.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 300  # seconds for a network to be built and compiled


def jax_network(weights: list, biases: list, threads: int) -> Callable:
    """The network in JAX, jitted; its threads are limited by `surroundings`."""
    import jax

    @jax.jit
    def outputs(x):
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = jax.nn.relu(x @ w + b)
        return jax.nn.softmax(x @ weights[-1] + biases[-1])

    return lambda x: np.asarray(outputs(x))


def torch_network(weights: list, biases: list, threads: int, compiled: bool = False) -> Callable:
    """The network in PyTorch, eager or compiled."""
    import torch

    torch.set_num_threads(threads)
    layers: list = []
    for w, b in zip(weights, biases, strict=True):
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data[...] = torch.from_numpy(w.T.copy())
        layer.bias.data[...] = torch.from_numpy(b)
        layers += [layer, torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(dim=1)).eval()
    run = torch.compile(network, dynamic=False) if compiled else network

    def predict(x):
        with torch.inference_mode():
            return run(torch.from_numpy(x)).numpy()

    return predict


def compiled_torch_network(weights: list, biases: list, threads: int) -> Callable:
    """The network in PyTorch, compiled for its number of rows."""
    return torch_network(weights, biases, threads, compiled=True)


PEERS: dict[str, tuple[str, Callable]] = {  # the distribution, and what makes the network
    "PyTorch": ("torch", torch_network),
    "PyTorch compiled": ("torch", compiled_torch_network),
    "JAX": ("jax", jax_network),
}


def samples(rows: int, inputs: int) -> np.ndarray:
    """The samples (rows, inputs) that all contenders predict."""
    return np.random.RandomState(1).rand(rows, inputs).astype(np.float32)


def timed(function: Callable, x: np.ndarray, seconds: float) -> list[float]:
    """Microseconds of calls that take about so long together."""
    function(x)
    figures, end = [], time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        function(x)
        figures.append((time.perf_counter() - begin) * 1e6)
    return figures


class Peer:
    """A network of a peer in a process of its own. RuntimeError, with the reason, if it cannot run."""

    def __init__(self, python: str, name: str, weights: list, biases: list, rows: int, threads: int) -> None:
        self._link, theirs = Pipe()
        command = [python, str(Path(__file__).resolve()), str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL)
        theirs.close()
        self.version, self.answer = self._ask((name, weights, biases, rows, threads), LIMIT)

    def timed(self, seconds: float) -> list[float]:
        """Microseconds of calls that take about so long together."""
        return self._ask(seconds, LIMIT)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._link.close()

    def _ask(self, question: Any, limit: float) -> Any:
        reason: Any = f"no answer in {limit} s"
        try:
            self._link.send(question)
            if self._link.poll(limit):
                good, reason = self._link.recv()
                if good:
                    return reason
        except (EOFError, OSError):
            reason = "its process ended"
        self.close()
        raise RuntimeError(reason)


def serve(link: Connection) -> None:
    """Build the network that is asked for, and time it as often as asked."""
    name, weights, biases, rows, threads = link.recv()
    distribution, make = PEERS[name]
    try:
        predict = make(weights, biases, threads)
        x = samples(rows, len(weights[0]))
        link.send((True, (version(distribution), predict(x))))
    except Exception as error:  # it is not installed, or lacks a C++ compiler
        link.send((False, str(error).partition("\n")[0]))
        return
    while True:
        link.send((True, timed(predict, x, link.recv())))


if __name__ == "__main__":
    try:
        serve(Connection(int(sys.argv[1])))
    except EOFError:  # the benchmark has ended
        os._exit(0)
