"""Environment, tables and models for the tests of the command."""

import numpy as np
import pytest

from cli.command import succeed


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    """Use the backend without compilation, and a new folder for each test."""
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mixed(tmp_path):
    """A table with numbers, categories, missing values and three text labels that follow from the others."""
    random = np.random.RandomState(0)
    lines = ["size,colour,weight,label"]
    for row in range(240):
        size, colour, weight = random.randn(), random.choice(["red", "green", "blue"]), 50 + 9 * random.randn()
        label = "maybe so" if colour == "blue" else "yes" if size > 0 else "no"
        shown = "?" if row % 40 == 7 else f"{size:.4f}"
        lines.append(f"{shown},{'' if row % 60 == 11 else colour},{weight:.2f},{label}")
    path = tmp_path / "mixed.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def prices(tmp_path):
    """A table whose target is in the thousands, with whole-number features."""
    random = np.random.RandomState(1)
    area, rooms = random.randint(40, 200, 150), random.randint(1, 6, 150)
    path = tmp_path / "prices.csv"
    rows = [f"{a},{r},{3000 * a + 20000 * r}" for a, r in zip(area, rooms, strict=True)]
    path.write_text("area,rooms,price\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def model(mixed, tmp_path):
    """A model of the mixed table, trained for two epochs."""
    path = tmp_path / "mixed.safetensors"
    succeed("train", mixed, "--missing", "impute", "--epochs", 2, "--hidden", 8, "--out", path)
    return path


@pytest.fixture
def tiny(tmp_path):
    rows = ["1,a,no", "2,b,yes", "3,a,no", "4,b,yes", "5,a,yes", ",b,no", "7,a,no", "8,b,yes"]
    path = tmp_path / "tiny.csv"
    path.write_text("size,kind,label\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def tiny_model(tiny):
    succeed("train", tiny, "--missing", "impute", "--hidden", 3, "--epochs", 1, "--out", "tiny_model.safetensors")
    return "tiny_model.safetensors"
