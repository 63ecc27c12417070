"""The accuracy that recipes of the README must reach on the real image sets, on the compiled backend."""

import os

import pytest

from fastmlp import MLP
from fastmlp.datasets import load

pytestmark = pytest.mark.skipif(
    "FASTMLP_DATA" not in os.environ, reason="FASTMLP_DATA does not name a folder with mnist and fashion-mnist"
)


@pytest.mark.parametrize(
    ("name", "hidden", "epochs", "batch_size", "lr", "target"),
    [
        ("mnist", [128], 6, 64, 5e-3, 0.975),
        ("mnist", [512, 256], 4, 128, 3e-3, 0.982),
        ("fashion-mnist", [128], 10, 64, 5e-3, 0.88),
    ],
)
def test_accuracy_within_ten_epochs(name, hidden, epochs, batch_size, lr, target):
    data = load(name)
    model = MLP([784, *hidden, 10], backend="numba", seed=0)
    model.fit(data.x, data.y, epochs=epochs, batch_size=batch_size, lr=lr, schedule="one_cycle")
    assert model.evaluate(data.x_test, data.y_test)["accuracy"] >= target
