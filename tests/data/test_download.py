"""Downloads from OpenML: the requests, and refused responses."""

import urllib.error
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets

from fastmlp.datasets import download
from fastmlp.errors import InputError


def answer(pixel: float = 51.0, label: object = "3", rows: int = 70000) -> SimpleNamespace:
    """What OpenML gives, as views of one pixel and one label."""
    return SimpleNamespace(
        data=np.broadcast_to(np.float64(pixel), (rows, 784)),
        target=np.broadcast_to(np.array(label, object), (rows,)),
    )


def test_a_download_asks_for_arrays_and_splits_them(monkeypatch):
    asked = []

    def fetch(name, **options):
        asked.append((name, options["as_frame"], options["parser"]))
        return answer()

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = download("fashion-mnist")
    assert (data.x.shape, data.x.dtype, data.x_test.shape) == ((60000, 784), np.float32, (10000, 784))
    assert (data.x[0, 0], data.y[0], data.y_test[-1]) == (np.float32(0.2), 3, 3)
    assert data.class_names[3] == "Dress"
    assert asked == [("Fashion-MNIST", False, "liac-arff")]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (urllib.error.URLError("Name or service not known"), "Name or service not known"),
        (TimeoutError("timed\nout"), "timed out"),
        (ConnectionResetError(), "ConnectionResetError"),
        (ValueError("md5 checksum of local file does not match"), "md5 checksum"),
        (EOFError("Compressed file ended"), "Compressed file ended"),
    ],
)
def test_a_failed_download_says_why_and_what_to_do(monkeypatch, error, cause):
    def fetch(*arguments, **options):
        warnings.warn("A network error occurred while downloading it. Retrying...", UserWarning, stacklevel=1)
        raise error

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    with pytest.raises(InputError, match=rf"could not be downloaded .*{cause}.*Pass a folder") as caught:
        download("mnist")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given_answer", "message"),
    [
        (answer(rows=100), r"shape \(100, 784\)"),
        (answer(pixel=256.0, rows=10), "whole numbers from 0 to 255"),
        (answer(pixel=float("nan"), rows=10), "whole numbers from 0 to 255"),
        (answer(label="shirt", rows=10), "could not convert"),
    ],
)
def test_an_answer_that_is_not_the_data_is_refused(monkeypatch, given_answer, message):
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *arguments, **options: given_answer)
    with pytest.raises(InputError, match=message):
        download("mnist")


def test_only_two_names_can_be_downloaded():
    with pytest.raises(InputError, match=r"name='cifar' cannot be downloaded. Choose 'mnist' or 'fashion-mnist'"):
        download("cifar")
