"""The server of the examples gives what the model gives, refuses what is no sample, and goes on."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastmlp import MLP

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

SERVER = Path(__file__).parents[2] / "docs" / "examples" / "server.py"


@pytest.fixture(scope="module")
def model():
    return MLP([6, 8, 3], loss="softmax_cross_entropy", seed=0, backend="numpy")


@pytest.fixture(scope="module")
def address(model, tmp_path_factory):
    """Of a server in a process of its own."""
    path = tmp_path_factory.mktemp("server") / "model.safetensors"
    model.save(path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, SERVER, "--model", path, "--port", str(port)])
    try:
        yield wait_for(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait()


def wait_for(address, process):
    for _ in range(600):
        assert process.poll() is None, "the server has ended"
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return address
    pytest.fail("the server does not answer within a minute")


def ask(address, body, route="predict"):
    """Status and answer of a request."""
    request = urllib.request.Request(f"{address}/{route}", data=body.encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("n", [1, 32, 33, 500])
def test_it_answers_as_the_model_does(model, address, n):
    x = np.random.RandomState(n).standard_normal((n, 6)).astype(np.float32)
    body = json.dumps(x.tolist())
    assert ask(address, body) == (200, model.predict(x).tolist())
    status, probabilities = ask(address, body, "proba")
    assert status == 200
    assert_allclose(probabilities, model.predict_proba(x), rtol=1e-5)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "Expecting value"),
        ("[[1, 2, 3, 4, 5]]", "takes 6 inputs"),
        ("[1, 2, 3, 4, 5, 6]", "two dimensions"),
        ("3", "two dimensions"),
        ('[["a", 2, 3, 4, 5, 6]]', "could not convert"),
        ("[[NaN, 2, 3, 4, 5, 6]]", "NaN"),
        (json.dumps([[0] * 6] * 4097), "4096"),
    ],
)
def test_what_is_no_sample_is_refused_and_the_next_is_answered(address, body, complaint):
    status, answer = ask(address, body)
    assert status == 400
    assert complaint in answer["error"]
    assert ask(address, "[[1, 2, 3, 4, 5, 6]]")[0] == 200
