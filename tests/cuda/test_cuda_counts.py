"""What steps on a GPU cost, by counts, which need no GPU: instructions of the compiled kernels, barriers and nodes.

docs/gpu_model.md has the times that follow. A bound is what was counted when it was set.
"""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from conftest import emulate_gpu
from emulation.device import EmulatedDevice
from test_cuda_compile import OPTIONS, Nvrtc, find_compiler

from fastmlp import MLP, SGD, Adam
from fastmlp.backends.cuda import programs, runs
from fastmlp.backends.cuda.choice import Choice
from fastmlp.kernels.cuda import source

H100 = 132  # multiprocessors


# Machine code

_FUNCTION = r"\.text\.{}:\n(.*?)(?=\n//-----|\n\t\.section|\Z)"
_LABEL = re.compile(r"(?:\.L_x_\d+|\.text\.\S+|\$\S+):")
_INSTRUCTION = re.compile(r"\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9_.]*)")


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    """Function of a kernel for few rows: its machine code for sm_90 in float32, as lists of instructions, a list for
    each piece that runs from its beginning to its end.
    """
    compiler, disassembler = find_compiler(), find_disassembler()
    if not isinstance(compiler, Nvrtc) or disassembler is None:
        pytest.skip("NVRTC and nvdisasm are needed; pip install nvidia-cuda-nvrtc nvidia-cuda-nvdisasm brings them")
    text = source()
    text = text[: text.index('#line 1 "dispatch"')]
    text = re.sub(r"^OPERATION\(.*", "", text, flags=re.MULTILINE)  # those for few rows remain
    code, _ = compiler.compile(text, ("-arch=sm_90", "-DREAL=float", "-DOPERATIONS", *OPTIONS))
    file = tmp_path_factory.mktemp("code") / "few.cubin"
    file.write_bytes(code)
    shown = subprocess.run([disassembler, "-c", file], capture_output=True, text=True, check=True).stdout

    def blocks(name):
        found = [[]]
        for line in re.search(_FUNCTION.format(name), shown, re.DOTALL)[1].splitlines():
            if _LABEL.match(line):
                found.append([])
            elif instruction := _INSTRUCTION.match(line):
                found[-1].append(instruction[1])
        return found

    return blocks


def find_disassembler():
    packages = Path(sysconfig.get_path("purelib"), "nvidia")
    return shutil.which("nvdisasm") or next(map(str, packages.glob("*/bin/nvdisasm")), None)


def count(block, *beginnings):
    return sum(instruction.startswith(beginnings) for instruction in block)


# Of each kernel with 8 rows at once: multiply-adds in its innermost loop, instructions for each (171 / 64, 66 / 16 and
# 81 / 3 before weights came four at a time), and loads, all of 16 bytes
INNERMOST = {"linear_few": (128, 1.55, 12), "backward_data_few": (128, 1.55, 12), "accumulate_few": (128, 1.4, 16)}


@pytest.mark.parametrize("name", INNERMOST)
def test_products_of_few_rows_do_little_but_multiply(blocks, name):
    multiply_adds, most, loads = INNERMOST[name]
    whole = [block for block in blocks(name) if count(block, "FFMA") >= multiply_adds and count(block, "LDG.E.128")]
    block = min(whole, key=len)
    assert count(block, "FFMA") == multiply_adds
    assert len(block) <= most * multiply_adds
    assert count(block, "LDG") == count(block, "LDG.E.128") <= loads


@pytest.mark.parametrize(("name", "loads"), [("linear_few", 20), ("backward_data_few", 20)])
def test_loads_for_a_single_row_are_under_way_together(blocks, name, loads):
    """64 weights, and what they are multiplied with, before the first multiply-add."""
    found = [block for block in blocks(name) if count(block, "FFMA") == 64]
    block = max(found, key=lambda block: count(block, "LDG.E.128"))
    assert count(block, "LDG.E.128") == loads
    assert len(block) <= 2.5 * 64
    first = next(i for i, instruction in enumerate(block) if instruction.startswith("FFMA"))
    assert count(block[:first], "LDG.E.128") >= 0.8 * loads


@pytest.mark.parametrize("name", INNERMOST)
def test_no_loop_divides(blocks, name):
    """Divisions of 64 bits are calls; of 32 bits they take an approximate reciprocal, as σ does."""
    assert all(count(block, "I2F.U64", "I2F.S64") == 0 for block in blocks(name))
    assert all(count(block, "I2F") == 0 for block in blocks(name) if count(block, "FFMA") > 32)


# Barriers and nodes


class Recorded(Exception):
    pass


@pytest.fixture
def steps(monkeypatch):
    """Function: the plans of programs and the nodes of the graph for training; nothing runs."""
    device = EmulatedDevice(multiprocessors=H100, prefers_products=True)
    emulate_gpu(monkeypatch, device)
    plans, graphs = [], []

    def planned(tape, blocks, itemsize):
        found = programs.plan(tape, blocks, itemsize)
        plans.append((sum(node.name == "loss_gradient" for node in tape), len(tape), found))
        return found

    def captured(nodes, real):
        graphs.append(nodes)
        if len(graphs) == 2:  # of one step, and of several together
            raise Recorded

    monkeypatch.setattr(runs, "plan", planned)
    monkeypatch.setattr(runs.Run, "_run_program", lambda *given: None)
    monkeypatch.setattr(device, "capture", captured)
    monkeypatch.setattr(device, "prepare", lambda nodes, real: None)

    def steps(layers, batch, rule):
        model = MLP(layers, "relu", loss="softmax_cross_entropy", backend="cuda")
        x, y = np.zeros((8 * batch, layers[0]), np.float32), np.arange(8 * batch) % layers[-1]
        try:
            model.fit(x, y, epochs=1, batch_size=batch, optimizer=rule)
        except Recorded:
            return graphs[-1]
        return plans[-1]

    return steps


SMALL, MEDIUM = [784, 128, 10], [784, 512, 256, 10]
# Barriers of a step, and the model's microseconds. With one after each operation, but between those of a single block,
# there were 4 (one sample) to 8
PROGRAMS = [
    (SMALL, 1, SGD(0.1), 3, 7.5),
    (SMALL, 32, SGD(0.1), 3, 15.5),
    (SMALL, 1, Adam(), 5, 14.5),
    ([64, 32, 10], 1, SGD(0.1), 1.5, 5.0),
    (MEDIUM, 1, SGD(0.1), 4, 19.5),
]


@pytest.mark.parametrize(("layers", "batch", "rule", "barriers", "microseconds"), PROGRAMS, ids=str)
def test_programs_wait_seldom(steps, layers, batch, rule, barriers, microseconds):
    n, _, planned = steps(layers, batch, rule)
    assert n == 4  # steps are recorded together
    assert sum(planned.waits) <= barriers * n
    assert planned.seconds * 1e6 <= microseconds * n


@pytest.mark.parametrize(("layers", "batch", "rule"), [(MEDIUM, 32, SGD(0.1)), (MEDIUM, 1, Adam())], ids=str)
def test_large_layers_are_no_program(steps, layers, batch, rule):
    """On all multiprocessors a graph is faster, by the model."""
    assert isinstance(steps(layers, batch, rule), list)


def test_a_single_block_does_what_takes_it_little_longer(steps):
    """The loss of one sample, not a layer of 784 inputs; and the next sample is gathered beside it."""
    found = steps(SMALL, 1, SGD(0.1))[2].blocks
    ((gather, *_), linear, last, loss, gathers, *_) = ([block] for block in found[:5])
    assert (gather, linear, last, loss, gathers) == (1, [-1], [0], [0], [1])


# Nodes of a step's graph by our kernels, each of which does all that follows a product, and by the library. With a
# kernel for each factor that the device knows, and for each layer's sum of δ, there were 11 (Adam 12) and 16 (15)
NODES = [
    ("kernel", SGD(0.1), 9.5),
    ("kernel", Adam(), 10.5),
    ("fused library", SGD(0.1), 10.5),
    ("fused library", Adam(), 10.5),
]


@pytest.mark.parametrize(("way", "rule", "most"), NODES, ids=str)
def test_graphs_have_few_nodes(steps, monkeypatch, way, rule, most):
    monkeypatch.setattr(Choice, "of", lambda self, key, ways, written: way if way in ways else "library")
    nodes = steps(MEDIUM, 128, rule)
    losses = sum(getattr(node, "name", "") == "loss_gradient" for node in nodes)
    assert losses == 4
    assert len(nodes) <= most * losses


def test_sums_of_few_columns_take_many_blocks(steps, monkeypatch):
    """Of δ of the last layer, 10 columns, two blocks had all rows."""
    monkeypatch.setattr(Choice, "of", lambda self, key, ways, written: "library")
    sums = [node for node in steps([16, 256, 10], 16384, SGD(0.1)) if getattr(node, "name", "") == "bias_gradient"]
    assert min(node.blocks for node in sums) >= H100 // 2
