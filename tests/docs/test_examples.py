"""Every example runs, prints the numbers of the documents, and is listed in the README."""

import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ELSEWHERE = ["server"]  # tests/docs/test_server.py

# The command line of a quick run of each, and what it must print.
COMMANDS = {
    "neuron_and_layers": ("", ["0.7208976", "loss = 0.3272581", "loss = 1.2716342", "loss = 0.7661380"]),
    "backpropagation_by_hand": ("", ["by hand [-4. -4.  3.]", "∂C/∂w22 by hand"]),
    "softmax_jacobian": ("", ["So its rank is 2 of 3", "y - t = [-0.769671  0.280373  0.489298]"]),
    "gradient_descent_regimes": ("--epochs 2", ["mini-batch", "stochastic"]),
    "one_layer_models": ("", ["AND is [0. 0. 0. 1.]", "mistakes per epoch [2, 3, 3, 2, 1, 0, 0, 0, 0, 0]"]),
    "decision_surface": ("--epochs 1", ["2-2-1, 9 parameters", "large and expensive"]),
    "universal_approximation": ("--epochs 1", ["Tower by hand: 0.9999 inside", "80 towers"]),
    "spirals_and_fish": ("--epochs 1", ["2-4-3", "salmon", "tuna", "shark", "Fish of the lake"]),
    "widths": (
        "--epochs 1",
        ["diabetes: 353 training samples", "256 hidden units", "liver: left out", "housing: left out"],
    ),
    "vanishing_gradients": ("--epochs 1", ["sigmoid", "relu", "log 10 = 2.303"]),
    "mnist": ("--epochs 1", ["MNIST is not here", "FASTMLP_DATA", "--folder FOLDER or --download"]),
    "larger_than_memory": ("--samples 20_000 --epochs 1", ["20,000 samples of 64 features: a file of 5 MB"]),
}
FIGURES = {
    "gradient_descent_regimes": {"epochs": 2},
    "decision_surface": {"epochs": 1},
    "universal_approximation": {"epochs": 1},
    "spirals_and_fish": {"epochs": 1},
    "widths": {"epochs": 1},
    "vanishing_gradients": {"epochs": 1},
}


@pytest.fixture(autouse=True)
def _numpy_backend(monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")


@pytest.fixture
def shared_data():
    """Skip the test without the real data sets."""
    root = os.environ.get("FASTMLP_DATA")
    if not root or not Path(root, "mnist").is_dir() or not Path(root, "fish").is_dir():
        pytest.skip("the environment variable FASTMLP_DATA names no folder with mnist and fish")


def main(name, **settings):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](**settings)


def assert_png(path):
    assert path.read_bytes().startswith(b"\x89PNG")


def test_every_example_is_run_here_and_listed_in_order():
    files = {path.name for path in EXAMPLES.glob("*.py")}
    names = [*COMMANDS, *ELSEWHERE]
    assert files == {f"{name}.py" for name in names}
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| \[(\w+\.py)\]\((\w+\.py)\) \|", readme, re.M)
    assert rows == [(str(i), f"{name}.py", f"{name}.py") for i, name in enumerate(names, 1)]


@pytest.mark.parametrize("name", COMMANDS)
def test_as_a_script(monkeypatch, capsys, name):
    arguments, printed = COMMANDS[name]
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", [name, *arguments.split()])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    text = capsys.readouterr().out
    for part in printed:
        assert part in text


@pytest.mark.parametrize("name", FIGURES)
def test_figures(tmp_path, name):
    pytest.importorskip("matplotlib")
    main(name, plot=tmp_path / "figure.png", **FIGURES[name])
    assert_png(tmp_path / "figure.png")


def test_neuron_and_layers():
    result = main("neuron_and_layers")
    two, three = result.binary, result.multiclass
    assert_allclose(two.z1, [0.8, 0.52, 0.68, 0.7], rtol=1e-14)
    assert_allclose(two.a1, [0.689974, 0.627148, 0.663739, 0.668188], rtol=0, atol=5e-7)
    assert_allclose([two.z2, two.p, two.loss], [0.948919, 0.7208976, 0.3272581], rtol=0, atol=5e-7)
    assert_allclose(three.z1[0], [-0.19, -0.16, -0.04, 0.77], rtol=1e-14)
    expected = [[0.230329, 0.280373, 0.489298], [0.271760, 0.263435, 0.464805]]
    assert_allclose(three.p, expected, rtol=0, atol=5e-7)
    assert_allclose(three.losses, [1.2716342, 0.7661380], rtol=0, atol=5e-8)
    losses = result.losses
    assert losses["squared_error"] == pytest.approx(0.14)
    assert losses["mean_squared_error"] == pytest.approx(0.14 / 3)
    assert losses["half_squared_error"] == pytest.approx(0.07)
    assert losses["softmax_cross_entropy"] == pytest.approx(-np.log(0.7))
    assert losses["binary_cross_entropy"] == pytest.approx(-np.log(0.7) - np.log(0.8) - np.log(0.9))
    assert result.mixed.activations == ["relu", "tanh", "softmax"]


def test_backpropagation_by_hand():
    result = main("backpropagation_by_hand")
    assert_array_equal(result.circuit.by_hand, [-4, -4, 3])
    assert_allclose(result.circuit.numerical, [-4, -4, 3], rtol=1e-9)
    assert len(result.nine.by_hand) == 9
    assert result.nine.found == pytest.approx(result.nine.by_hand, rel=1e-12)
    for name, tolerance in (("found", 1e-14), ("mean_of_samples", 1e-14), ("numerical", 1e-8)):
        for one, other in zip(getattr(result.matrices, name), result.matrices.by_hand, strict=True):
            assert_allclose(one, other, rtol=0, atol=tolerance)


def test_gradient_descent_regimes():
    histories = main("gradient_descent_regimes", epochs=40)
    assert {name: history.updates for name, history in histories.items()} == {
        "batch": 40,
        "mini-batch": 40 * 5,
        "stochastic": 40 * 100,
    }
    losses = [history["loss"][-1] for history in histories.values()]
    assert losses[0] > 0.4 > losses[1] > 0.01 > losses[2]


def test_one_layer_models():
    result = main("one_layer_models")
    assert_allclose(result.linear.found, result.linear.exact, rtol=1e-9)
    assert_allclose(result.linear.exact, [3, -1], atol=0.1)
    assert result.logistic.passes == pytest.approx(result.logistic.true, abs=1e-3)
    assert result.logistic.w == pytest.approx(1.5046, abs=1e-3)  # as Wikipedia has it for these hours
    assert result.logistic.b == pytest.approx(-4.0777, abs=3e-3)
    gate = result.perceptron
    assert_array_equal(gate.found, gate.by_hand)
    assert gate.mistakes == gate.mistakes_by_hand
    assert_array_equal(gate.labels.ravel(), [0, 0, 0, 1])


def test_decision_surface():
    result = main("decision_surface")
    neuron, network = result.accuracies
    assert neuron <= 0.8
    assert network > 0.95
    assert result.n_parameters == 9
    assert_allclose(result.corners, [1, 0, 0, 1], atol=0.1)


def test_universal_approximation():
    result = main("universal_approximation")
    assert result.inside == pytest.approx(1, abs=1e-3)
    assert_allclose(result.outside, 0, atol=1e-3)
    assert result.worst < 0.03
    assert list(result.errors) == [5, 10, 20, 40, 80]
    for n, error in result.errors.items():
        assert 0.9 * np.pi / n < error <= np.pi / n


def test_spirals_and_fish(monkeypatch):
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    result = main("spirals_and_fish")
    assert result.few.data.x.shape == (300, 2)
    assert result.few.model.sizes == (2, 4, 3)
    assert 0.85 < result.few.accuracy < result.many.accuracy
    assert result.many.accuracy > 0.97
    assert min(result.per_class.values()) > 0.95
    assert result.confusion.sum() == 300
    assert result.real is None


def test_fish_of_the_lake(shared_data):
    real = runpy.run_path(str(EXAMPLES / "spirals_and_fish.py"))["learn_real_fish"](100)
    assert len(real.class_names) == 7
    assert real.accuracy > 0.6


def test_vanishing_gradients():
    histories, factors = main("vanishing_gradients")
    assert 0.15 < factors["sigmoid"] < 0.3
    assert factors["relu"] > 0.8
    assert factors["tanh"] > 0.8
    losses = {name: history["loss"][-1] for name, history in histories.items()}
    assert losses["sigmoid"] > 2.25
    assert losses["tanh"] < 1.5
    assert losses["relu"] < 1.5


def test_mnist(shared_data, tmp_path):
    pytest.importorskip("matplotlib")
    result = main("mnist", samples=6000, hidden=16, epochs=1, plot=tmp_path / "misread.png")
    assert result.x.shape == (6000, 784)
    assert result.history["val_accuracy"][-1] > 0.75
    assert result.confusion.trace() / 10000 == pytest.approx(result.history["val_accuracy"][-1])
    assert_png(tmp_path / "misread.png")


def test_larger_than_memory():
    result = main("larger_than_memory")
    assert result.size == pytest.approx(51.2)
    mini, full = result.results[512], result.results["full"]
    assert mini.history.updates == 2 * 391
    assert full.history.updates == 2
    assert mini.history["loss"][-1] < 0.1
    assert full.history["loss"][1] < full.history["loss"][0]
    for run in (mini, full):
        assert run.growth is None or run.growth < result.size / 3


def test_softmax_jacobian():
    run = main("softmax_jacobian")
    assert_allclose(run.jacobian, run.differences, atol=1e-9)
    assert_allclose(run.jacobian, run.jacobian.T)
    assert_allclose(run.jacobian.sum(axis=1), 0, atol=1e-15)
    for by_hand, by_network in run.found.values():
        assert_allclose(by_network, by_hand, rtol=1e-12)
    assert_allclose(run.found["cross-entropy"][0], run.y - [1, 0, 0], atol=1e-15)


def test_wide_networks_overfit(monkeypatch):
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    histories = main("widths", epochs=60).diabetes
    training = [np.mean([run["loss"][-1] for run in histories[width]]) for width in (0, 16, 256)]
    assert training[0] > training[1] > training[2]
    turned = np.mean([run["val_loss"][-1] - min(run["val_loss"]) for run in histories[256]])
    assert turned > 0.02 > np.mean([run["val_loss"][-1] - min(run["val_loss"]) for run in histories[0]])


def test_liver_and_housing():
    root = os.environ.get("FASTMLP_DATA")
    if not root or not Path(root, "ilpd").is_dir() or not Path(root, "california-housing").is_dir():
        pytest.skip("the environment variable FASTMLP_DATA names no folder with ilpd and california-housing")
    run = main("widths", epochs=25)
    assert all(history["val_accuracy"][-1] > 0.6 for history in run.liver[16])
    r2 = {width: np.mean([history["val_r2"][-1] for history in run.housing[width]]) for width in (0, 16, 256)}
    assert 0.55 < r2[0] < r2[16] < r2[256]
