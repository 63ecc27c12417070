"""Predictions for many at once: threads that share a predictor, and a server under load.

Run: python benchmarks/serving.py [--seconds S] [--rounds N] [--output FILE]. It needs starlette and uvicorn. The server
is docs/examples/server.py with a network 784-128-10; clients in another process hold a connection each and ask as soon
as they are answered. A route that reads the same JSON and predicts nothing, /read, shows what HTTP costs by itself.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
from report import machine

NETWORK = [784, 128, 10]
THREADS, ROWS = [1, 2, 4, 8], [1, 32, 512]
CLIENTS = [1, 8]


def many(function, arguments: list[tuple]) -> float:
    """Seconds that threads take to call the function, each with arguments of its own."""
    threads = [threading.Thread(target=function, args=of_one) for of_one in arguments]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


def samples_a_second(predictor, rows: int, threads: int, seconds: float) -> float:
    x = np.random.RandomState(0).rand(rows, NETWORK[0]).astype(np.float32)
    calls = []

    def predict(end: float) -> None:
        n = 0
        while time.perf_counter() < end:
            predictor.proba(x)
            n += 1
        calls.append(n)

    taken = many(predict, [(time.perf_counter() + seconds,)] * threads)
    return sum(calls) * rows / taken


def by_threads(seconds: float, rounds: int) -> list[str]:
    """Markdown lines: samples a second by threads that share one predictor."""
    from fastmlp import MLP

    model = MLP(NETWORK, loss="softmax_cross_entropy", backend="numba", seed=0, n_threads=1)
    lines = ["## Threads that share a predictor", "", "Thousands of samples a second, median.", ""]
    lines += [f"| rows of a call | {' | '.join(f'{n} threads' for n in THREADS)} |", f"|---{'|---' * len(THREADS)}|"]
    for rows in ROWS:
        predictor = model.predictor(rows)
        figures = [[samples_a_second(predictor, rows, n, seconds) / 1e3 for n in THREADS] for _ in range(rounds)]
        lines.append(f"| {rows} | {' | '.join(f'{median:,.0f}' for median in np.median(figures, axis=0))} |")
    return lines


def serve(port: int) -> None:
    """The example's application, and a route that predicts nothing."""
    import uvicorn
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from fastmlp import MLP

    sys.path.append(str(Path(__file__).parents[1] / "docs" / "examples"))
    import server

    async def read(request):
        np.asarray(json.loads(await request.body()), np.float32)
        return JSONResponse([0])

    app = server.application(MLP(NETWORK, loss="softmax_cross_entropy", backend="numba", seed=0))
    app.router.routes.append(Route("/read", read, methods=["POST"]))
    uvicorn.run(app, port=port, log_level="error", access_log=False)


def ask(port: int, route: str, body: bytes, end: float, latencies: list[float]) -> None:
    """Post the body over one connection until the time has come; milliseconds of each are added."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while (begin := time.perf_counter()) < end:
        connection.request("POST", route, body)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{route} answers {answer.status}")
        latencies.append((time.perf_counter() - begin) * 1e3)
    connection.close()


def under_load(seconds: float, rounds: int) -> list[str]:
    """Markdown lines: requests a second, and milliseconds of a request."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    process.start()
    wait_for(port)
    lines = ["## A server under load", "", "One process of uvicorn and its clients, which share the cores.", ""]
    lines += ["| rows | clients | route | requests a second | median ms | p99 ms |", "|---|---|---|---|---|---|"]
    for rows in (1, 32):
        x = np.random.RandomState(0).rand(rows, NETWORK[0]).round(3)  # as pixels are written
        body = json.dumps(x.tolist()).encode()
        for clients in CLIENTS:
            figures: dict[str, list[float]] = {"/read": [], "/predict": [], "/proba": []}
            for _ in range(rounds):
                for route, latencies in figures.items():
                    end = time.perf_counter() + seconds
                    many(ask, [(port, route, body, end, latencies)] * clients)
            for route, latencies in figures.items():
                rate = len(latencies) / (seconds * rounds)
                median, late = np.percentile(latencies, [50, 99])
                lines.append(f"| {rows} | {clients} | {route} | {rate:,.0f} | {median:.2f} | {late:.2f} |")
    process.terminate()
    return lines


def wait_for(port: int) -> None:
    for _ in range(600):  # a minute
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The server does not answer.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a measurement in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("SERVING.md"))
    arguments = parser.parse_args()
    from fastmlp.files import atomic_write

    begin = time.perf_counter()
    body = [line for part in (by_threads, under_load) for line in ["", *part(arguments.seconds, arguments.rounds)]]
    command = f"- command: `python {' '.join(sys.argv)}`, {(time.perf_counter() - begin) / 60:.1f} minutes"
    what = "-".join(map(str, NETWORK))
    head = ["# Predictions for many at once", "", f"A network {what} with ReLU and softmax in float32, Numba backend."]
    lines = [*head, "", *machine()[:-1], command, *body]
    with atomic_write(arguments.output) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print("\n".join(lines), file=sys.stderr)


if __name__ == "__main__":
    main()
