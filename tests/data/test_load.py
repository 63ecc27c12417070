"""`load`: all data sets by name and by path, with the options of their loaders."""

import subprocess
import sys

import numpy as np
import pytest
from dataset_files import X, Y, image_files, write

from fastmlp import datasets
from fastmlp.datasets import Dataset, load
from fastmlp.errors import InputError


def test_an_image_set_is_looked_for_in_its_places(tmp_path, monkeypatch):
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    with pytest.raises(InputError, match=r"FASTMLP_DATA is not set. Pass folder= .* or pass download=True"):
        load("mnist")
    monkeypatch.setenv("FASTMLP_DATA", str(tmp_path))
    with pytest.raises(InputError, match="mnist is no folder"):
        load("mnist")
    fetched = Dataset("fetched", X, Y, None, None, (), ())
    monkeypatch.setattr(datasets.catalog, "download_images", lambda name: fetched)
    assert load("mnist", download=True) is fetched
    (tmp_path / "mnist").mkdir()
    image_files(tmp_path / "mnist")
    assert load("mnist", download=True).x.shape == (5, 6)
    (tmp_path / "mine").mkdir()
    image_files(tmp_path / "mine", train_labels=np.full(5, 4, np.uint8))
    mine = load("mnist", folder=tmp_path / "mine", download=True)
    assert (mine.name, mine.y[0]) == ("mnist", 4)


def test_a_path_is_loaded_by_its_kind(tmp_path):
    image_files(tmp_path)
    assert load(tmp_path, name="toy").name == "toy"
    np.savez(tmp_path / "a.NPZ.npz", x=X, y=Y)
    assert load(str(tmp_path / "a.NPZ.npz")).x.shape == (3, 2)
    for suffix in (".csv", ".data", ".test", ".TXT"):
        path = write(tmp_path / f"t{suffix}", b"a;y\n1;2.5\n2;3.5\n3;4.5\n")
        assert load(path, delimiter=";").task == "regression"


def test_a_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris").mkdir()
    image_files(tmp_path / "iris")
    assert load("iris").x.shape == (120, 4)
    assert load("./iris").x.shape == (5, 6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnits", {}, "There is no data set 'mnits'. Did you mean 'mnist'\\? Choose digits, "),
        ("Fashion_MNIST", {}, "Did you mean 'fashion-mnist'"),
        ("qqqq", {}, r"'qqqq'\. Choose .* a folder of IDX files, or a file that ends in \.npz, \.npy, \.csv"),
        ("", {}, "There is no data set ''"),
        ("book.xlsx", {}, r"'book\.xlsx'\. Choose"),
        ("nowhere.csv", {}, "Cannot read nowhere.csv: No such file"),
        ("iris", {"sed": 1}, "'iris' takes no option 'sed'. Options: test_fraction, seed"),
        ("mnist", {"seed": 1}, "'mnist' takes no option 'seed'. Options: folder, download"),
        ("t.csv", {"target_path": 1}, "'t.csv' takes no option 'target_path'. Options: header, delimiter"),
        ("t.csv", {"path": "u.csv"}, "takes no option 'path'"),
        ("x.npy", {"target": 1}, "'x.npy' takes no option 'target'. Options: target_path"),
    ],
)
def test_an_unknown_name_or_option_is_refused_with_the_choices(name, options, message):
    with pytest.raises(InputError, match=message):
        load(name, **options)


def test_every_name_is_listed():
    assert datasets.NAMES == (
        "digits",
        "breast_cancer",
        "diabetes",
        "iris",
        "spirals",
        "xor",
        "mnist",
        "fashion-mnist",
    )


def test_only_tables_import_what_reads_them():
    program = """
import sys, fastmlp.datasets
from fastmlp.cli import main
heavy = {'numba', 'pandas', 'polars', 'pyarrow'}
print({'sklearn', *heavy} & sys.modules.keys())
main(['info'])
main(['train', 'xor', '--backend', 'numpy', '--epochs', '1', '--quiet'])
print({'polars'} & sys.modules.keys())
"""
    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    lines = result.stdout.splitlines()
    assert (lines[0], lines[-1], result.stderr) == ("set()", "set()", "")
