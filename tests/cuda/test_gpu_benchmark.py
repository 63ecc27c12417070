"""benchmarks/gpu.py on the emulated device: all of its code runs, and the report says that nothing was measured."""

import json
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import emulation.device
import numpy as np
import pytest
from emulation import build

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
GPU_ONLY = {"tests", "memcheck", "racecheck"}
LEFT_OUT = GPU_ONLY | {"accuracy"}
PEERS = {"PyTorch", "torch.compile", "PyTorch graph", "compiled graph", "JAX scan"}


def run(folder, *arguments):
    command = [sys.executable, str(SCRIPT), "--out", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """The files of an emulated run: gpu.json as a dictionary, and GPU.md."""
    try:
        build._compiler()
    except build.CompilerMissingError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("gpu") / "new" / "folder"
    ran = run(folder, "--emulate")
    assert ran.returncode == 0, ran.stderr + (folder / "gpu.log").read_text()
    return json.loads((folder / "gpu.json").read_text()), (folder / "GPU.md").read_text()


def result(emulated, part):
    return emulated[0]["parts"][part]["result"]


def test_every_part_is_recorded(emulated):
    record, _ = emulated
    for name, part in record["parts"].items():
        assert part["status"] == ("left out" if name in LEFT_OUT else "done"), (name, part)
        assert bool(part["reason"]) == (name in LEFT_OUT)
    assert record["parts"].keys() > LEFT_OUT


def test_it_says_that_nothing_was_measured(emulated):
    record, text = emulated
    assert record["measured"] is False
    assert "**Run on the emulated device: nothing here is a measurement.**" in text
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert len(headings) == len(record["parts"]) - len(LEFT_OUT) - 2  # of environment and the second repeats: no table
    assert all(line.endswith("(emulated: not a measurement)") for line in headings)


def test_the_tables_are_whole(emulated):
    _, text = emulated
    assert "could not be made" not in text
    columns = 0
    for line in text.splitlines():
        here = line.count("|")
        assert not columns or here in (0, columns), f"a row of another length: {line}"
        columns = here


def test_the_environment_has_device_versions_and_command(emulated):
    record, text = emulated
    found = result(emulated, "environment")
    assert found["device"].startswith("CUDA emulated")
    assert found["versions"]["numpy"] == np.__version__
    assert "--emulate" in record["command"]
    assert record["command"] in text


def test_throughput_is_of_fastmlp_alone_and_names_the_peers(emulated):
    for part in ("throughput", "large network"):
        found = result(emulated, part)
        assert set(found["missing"]) == PEERS
        for cell in found["cells"]:
            assert set(cell["samples per second"]) == {"fastmlp"}
            assert len(cell["samples per second"]["fastmlp"]) == 2
            assert np.isfinite(cell["seconds of a step"]).all()
    assert [cell["precision"] for cell in result(emulated, "large network")["cells"]] == ["float32", "tf32", "bf16"]
    assert {cell["batch"] for cell in result(emulated, "throughput")["cells"]} == {"1", "40", "full"}


def test_products_and_programs_have_all_their_ways(emulated):
    shapes = [shape for step in result(emulated, "products")["times"].values() for shape in step.items()]
    for name, ways in shapes:
        fused = name.startswith(("linear", "accumulate"))  # no product left a mask for backward_data
        in_bf16 = {"bf16 library"} | ({"fused bf16 library"} if name.startswith("linear") else set())
        assert ways.keys() - in_bf16 == {"kernel", "library"} | ({"fused library"} if fused else set())
        assert ways.keys() & in_bf16 in (set(), in_bf16)
    (step,) = result(emulated, "programs and graphs")["steps"]
    graphs = {"graph of our kernels", "graph of the chosen ways"}
    clusters = {"program, cluster of 8", "the same, as if barriers took no time"}
    assert step["seconds"].keys() == graphs | clusters | {"program, grid of 1", "program, grid of 2"}


def test_the_cpu_is_agreed_with_and_runs_repeat(emulated):
    cases = result(emulated, "agreement")["cases"]
    assert len(cases) == 18
    assert all(case["relative difference"] <= case["allowed"] for case in cases)
    assert result(emulated, "repeats")["digests"] == result(emulated, "repeats in another process")["digests"]


def test_without_a_gpu_it_says_why(tmp_path):
    from fastmlp import available_backends

    if not available_backends()["cuda"].startswith("unavailable"):
        pytest.skip("there is a GPU, or one is emulated")
    ran = run(tmp_path / "none")
    assert ran.returncode == 2
    assert ran.stderr.startswith("There is no GPU to measure: ")
    assert not (tmp_path / "none").exists()


def test_results_of_earlier_runs_stay(tmp_path):
    """A run of one part leaves the others' results; one that was ended in a part has left what that had."""
    old = {"status": "done", "reason": "", "seconds": 1.0, "result": {"failures": []}}
    (tmp_path / "gpu.json").write_text(json.dumps({"measured": False, "parts": {"repeats": old, "environment": old}}))
    (tmp_path / "unfinished launches.json").write_text('{"direct": {}}')
    ran = run(tmp_path, "--emulate", "--only", "environment")
    assert ran.returncode == 1, ran.stderr
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert parts["repeats"] == old
    assert (parts["environment"]["status"], parts["environment"]["result"]["data"]) == ("done", "random numbers")
    assert (parts["launches"]["status"], parts["launches"]["result"]) == ("failed", {"direct": {}})
    assert not list(tmp_path.glob("unfinished*"))


def test_measurements_are_not_mixed_with_the_emulation(tmp_path):
    record = json.dumps({"measured": True, "parts": {}})
    (tmp_path / "gpu.json").write_text(record)
    ran = run(tmp_path, "--emulate")
    assert ran.returncode == 1
    assert "has measurements, which stay apart from others: choose another folder by --out." in ran.stderr
    assert (tmp_path / "gpu.json").read_text() == record


def test_all_questions_are_asked(emulated):
    answers = result(emulated, "questions")["answers"]
    assert len({one["question"] for one in answers}) == 9
    assert all(one["answer"].startswith("yes") for one in answers)  # as the emulation is made


@pytest.mark.parametrize(("epilogue", "wrong"), [("bgrad", "**no**: scaled"), ("drelu_bgrad", "**no**: before")])
def test_answers_follow_from_results(monkeypatch, epilogue, wrong):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    questions, right = import_module("gpu_questions"), emulation.device.multiply

    def multiply(**node):
        right(**node)
        if node["epilogue"] == epilogue == "bgrad":
            node["vector"].memory()[...] *= 0.5
        elif node["epilogue"] == epilogue:
            node["vector"].memory()[...] = (node["a"].memory() @ node["b"].memory().T).sum(axis=0)

    monkeypatch.setattr(emulation.device, "multiply", multiply)
    operands = questions._operands(40, 12, 8, np.dtype(np.float32))
    ask = questions._sums_of_a_gradient if epilogue == "bgrad" else questions._masks
    answers = dict(ask(emulation.device.EmulatedDevice(), operands, 1e-4))
    assert list(answers.values()).count(wrong) == (2 if epilogue == "bgrad" else 1)


@pytest.fixture
def gpu_process(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return import_module("gpu_process")


def test_what_hangs_is_ended_with_all_that_it_has_started(gpu_process, tmp_path):
    script = 'sleep 60 & echo "$!" >child; wait'
    assert gpu_process.run_for(["sh", "-c", script], 1.0, cwd=tmp_path) is None
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    ended = time.perf_counter() + 10.0
    while (
        child.exists() and child.read_text().rsplit(")")[1].split()[0] != "Z"
    ):  # a dead one that nobody has waited for
        assert time.perf_counter() < ended
        time.sleep(0.05)
    assert gpu_process.run_for(["sh", "-c", "exit 3"], 10.0) == 3


def test_a_piece_that_fails_is_noted(gpu_process, capsys):
    failures = []
    with gpu_process.attempted("this", failures):
        raise RuntimeError("the cable is loose\nand the lights are out")
    assert failures == ["this: RuntimeError: the cable is loose"]
    assert "Traceback" in capsys.readouterr().err


def test_a_part_that_fails_is_recorded_and_the_rest_goes_on(emulated, tmp_path):
    """Without time nothing is done, and nothing is hidden."""
    ran = run(tmp_path, "--emulate", "--minutes", "0.01")
    assert ran.returncode == 1
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert parts.keys() == emulated[0]["parts"].keys()
    assert all(part["status"] == ("left out" if name in GPU_ONLY else "out of time") for name, part in parts.items())
