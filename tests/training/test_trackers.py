"""Callbacks for trackers, read back by the trackers' own packages."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from fastmlp import MLP, MLPClassifier
from fastmlp.errors import FastmlpError
from fastmlp.trackers import to_csv, to_function, to_tensorboard

X = np.random.RandomState(0).standard_normal((40, 3))
Y = (X[:, 0] > 0).astype(int)


def fit(*callbacks, epochs=3, **options):
    model = MLP([3, 4, 2], seed=0, backend="numpy")
    return model.fit(
        X, Y, epochs=epochs, validation_data=(X[:9], Y[:9]), gradient_norms=True, callbacks=callbacks, **options
    )


def expected(history):
    """The rows, floats by names."""
    names = [name for name in history.columns if name != "gradient_norms"]
    rows = [{name: history[name][k] for name in names} for k in range(len(history))]
    for row, norms in zip(rows, history["gradient_norms"], strict=True):
        row |= {"gradient_norms_1": norms[0], "gradient_norms_2": norms[1]}
    return rows


def test_a_function_gets_every_row():
    calls = []
    history = fit(to_function(lambda values, step: calls.append((step, values))))
    assert calls == list(enumerate(expected(history), start=1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_function_with_an_estimator():
    calls = []
    model = MLPClassifier((4,), max_iter=2, tol=9.0, n_iter_no_change=1, random_state=0, backend="numpy")
    model.set_params(callbacks=[to_function(lambda values, step: calls.append((step, values["loss"])))]).fit(X, Y)
    assert calls == list(enumerate(model.loss_curve_, start=1))


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("of another run\n")
    seen = []

    def rows():
        with open(path, newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    history = fit(to_csv(path), lambda epoch: seen.append(len(rows())))
    assert seen == [1, 2, 3]
    assert rows() == [{"epoch": k, **row} for k, row in enumerate(expected(history), start=1)]


def test_csv_of_training_that_goes_on(tmp_path):
    path, checkpoint = tmp_path / "log.csv", tmp_path / "run.checkpoint"
    for epochs in (2, 4):
        history = fit(to_csv(path), epochs=epochs, checkpoint=checkpoint, resume=True)
    with open(path, newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == history["loss"]


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = fit(to_tensorboard(tmp_path / "run"))
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert set(events.Tags()["scalars"]) == set(expected(history)[0])
    found = events.Scalars("val_loss")
    assert [event.step for event in found] == [1, 2, 3]
    np.testing.assert_array_equal([event.value for event in found], np.float32(history["val_loss"]))


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # else it wants a database
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        history = fit(to_function(mlflow.log_metrics))
    found = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in found] == list(enumerate(history["loss"], start=1))


WANDB = """
import sys, wandb
sys.path.insert(0, sys.argv[2])
from test_trackers import fit
from fastmlp.trackers import to_function
with wandb.init(mode="offline", project="fastmlp", dir=sys.argv[1], settings=wandb.Settings(silent=True)) as run:
    history = fit(to_function(run.log))
    run.log({}, step=4)  # commits the step before
    assert run.summary["val_loss"] == history["val_loss"][-1]
"""


def test_weights_and_biases_offline(tmp_path, request):
    pytest.importorskip("wandb")
    command = [sys.executable, "-c", WANDB, str(tmp_path), str(request.path.parent)]
    subprocess.run(command, check=True, timeout=60)
    assert list(tmp_path.rglob("run-*.wandb"))


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(FastmlpError, match="pip install tensorboard"):
        to_tensorboard(tmp_path)
