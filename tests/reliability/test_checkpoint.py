"""Checkpoints: a run that is killed at any time and resumed ends, bit for bit, like an uninterrupted one."""

import json
import os
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
from killing import Killed, killed_after
from scipy import sparse
from training_runs import CASES, HELD, X, Y, outcome, train

from fastmlp import MLP, InputError, ModelFileError
from fastmlp.checkpoint import _KIND, open_checkpoint, read_state
from fastmlp.losses import custom_loss
from fastmlp.optimizers import SGD, Adam
from fastmlp.resume import described
from fastmlp.schedules import WarmUp
from fastmlp.tensor_files import write_tensors


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_ends_as_one_that_never_stopped(case, backend, dtype, tmp_path, monkeypatch):
    wanted = outcome(*train(case, backend, dtype=dtype))
    path = tmp_path / "c"
    options = {"dtype": dtype, "checkpoint": path, "checkpoint_every": 1, "resume": True}
    for n in (2, 1, 3):
        with killed_after(monkeypatch, n), pytest.raises(Killed):
            train(case, backend, **options)
    assert outcome(*train(case, backend, **options)) == wanted
    # and again from the last file, with nothing left to do
    content = path.read_bytes()
    assert outcome(*train(case, backend, **options)) == wanted
    assert path.read_bytes() == content


@pytest.mark.parametrize("case", ["sgd, one sample", "adam", "momentum"])
def test_a_run_goes_on_from_the_middle_of_an_epoch(case, backend, tmp_path, monkeypatch):
    model, _ = train(case, backend, epochs=1)
    monkeypatch.setattr(type(model._backend), "span_work", 1.0)  # one step in a call
    wanted = outcome(*train(case, backend, epochs=3))
    path = tmp_path / "c"
    options = {"epochs": 3, "checkpoint": path, "checkpoint_every": "0s", "resume": True}
    parts = []
    for n in (2, 1, 4):
        with killed_after(monkeypatch, n), pytest.raises(Killed):
            train(case, backend, **options)
        parts.append(read_state(path).facts["part"][0])
    assert any(parts), parts
    assert outcome(*train(case, backend, **options)) == wanted


def as_sparse(x, folder):
    return sparse.csr_matrix(np.where(x > 0.3, x, 0))


def as_mapped(x, folder):
    np.save(folder / "x.npy", (x * 50).astype(np.int8))
    return np.load(folder / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("kind", [as_sparse, as_mapped])
def test_sparse_and_mapped_samples(kind, backend, tmp_path, monkeypatch):
    x = kind(X, tmp_path)
    wanted = outcome(*train("adam", backend, x=x))
    options = {"x": x, "checkpoint": tmp_path / "c", "checkpoint_every": 2, "resume": True}
    with killed_after(monkeypatch, 2), pytest.raises(Killed):
        train("adam", backend, **options)
    assert outcome(*train("adam", backend, **options)) == wanted


def test_the_number_of_threads_and_the_size_of_the_data_do_not_matter(tmp_path, monkeypatch):
    """From 8192 samples on the next order is drawn while an epoch runs."""
    x = np.random.RandomState(0).standard_normal((9000, 60)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)

    def run(threads, **options):
        model = MLP([60, 128, 2], seed=0, backend="numba", n_threads=threads)
        return outcome(model, model.fit(x, y, epochs=5, batch_size=500, **options))

    wanted, options = run(1), {"checkpoint": tmp_path / "c", "checkpoint_every": 1, "resume": True}
    for threads in (2, 3):
        with killed_after(monkeypatch, 2), pytest.raises(Killed):
            run(threads, **options)
    assert run(None, **options) == wanted


def test_more_epochs_than_before_go_on_as_if_there_had_been_as_many(tmp_path):
    path = tmp_path / "c"
    train("sgd", "numpy", epochs=2, checkpoint=path)
    longer = train("sgd", "numpy", epochs=6, checkpoint=path, resume=True)
    assert outcome(*longer) == outcome(*train("sgd", "numpy", epochs=6))
    with pytest.raises(InputError, match="has 6 epochs, more than the 3 asked for"):
        train("sgd", "numpy", epochs=3, checkpoint=path, resume=True)


def test_a_loaded_model_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "c"
    model, _ = train("adam", "numpy", epochs=6, checkpoint=path, schedule="constant")
    model.save(tmp_path / "model")
    other = MLP.load(tmp_path / "model", backend="numpy")
    history = other.fit(X, Y, epochs=9, optimizer=Adam(0.01), checkpoint=path, resume=True)
    assert outcome(other, history) == outcome(*train("adam", "numpy", epochs=9, schedule="constant"))


def test_a_run_that_a_callback_or_patience_has_ended_is_over(tmp_path):
    for name, options in {
        "callback": {"callbacks": [lambda epoch: epoch.number == 3]},
        "plateau": {"tol": 9.0},
    }.items():
        path, patience = tmp_path / name, {"patience": 3} if name == "plateau" else {}
        first = outcome(*train("sgd", "numpy", checkpoint=path, **options, **patience))
        assert first["history"][1] == name
        assert outcome(*train("sgd", "numpy", checkpoint=path, resume=True, **options, **patience)) == first


def test_callbacks_hear_of_the_new_epochs_alone(tmp_path):
    path, heard = tmp_path / "c", []
    train("sgd", "numpy", epochs=2, checkpoint=path)
    train("sgd", "numpy", epochs=4, checkpoint=path, resume=True, callbacks=[lambda epoch: heard.append(epoch.number)])
    assert heard == [3, 4]


OTHER = {
    "data": ({"x": X + 1}, r"features float32\[90, 7\] [0-9a-f]{32} then, float32\[90, 7\] [0-9a-f]{32} now"),
    "seed of the targets": ({"y": (Y + 1) % 3}, "targets"),
    "weights": ({"sample_weight": np.ones(90)}, "sample weights"),
    "rate": ({"optimizer": SGD(0.2)}, r"optimizer SGD\(lr=0.1, .*\) then, SGD\(lr=0.2, .*\) now"),
    "batch": ({"batch_size": 17}, "batch size 16 then, 17 now"),
    "schedule": ({"schedule": "cosine"}, r"schedule Constant\(\) then, Cosine\(final=0.0\) now"),
    "norm": ({"max_norm": 1}, "max_norm inf then, 1.0 now"),
    "shuffle": ({"shuffle": False}, "shuffle True then, False now"),
    "patience": ({"patience": 3, "tol": 0.1}, "tol 0.0 then, 0.1 now; patience None then, 3 now"),
    "validation": ({"validation_data": HELD}, "validation features None then"),
    "metrics": ({"metrics": ["accuracy"]}, r"metrics \[\] then, \['accuracy'\] now"),
}


@pytest.mark.parametrize("case", OTHER)
def test_another_run_is_refused_with_what_differs(case, tmp_path):
    options, message = OTHER[case]
    path = tmp_path / "c"
    train("sgd", "numpy", epochs=1, checkpoint=path)
    content = path.read_bytes()
    model = MLP([7, 9, 3], backend="numpy", seed=3)
    before = model._params.tobytes(), repr(model._random.get_state()), model.loss, model.history
    arguments = {"x": X, "y": Y, "optimizer": "sgd", "batch_size": 16} | options
    with pytest.raises(InputError, match=message):
        model.fit(epochs=2, checkpoint=path, resume=True, **arguments)
    assert (model._params.tobytes(), repr(model._random.get_state()), model.loss, model.history) == before
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "settings", [{"sizes": [7, 8, 3]}, {"activation": "tanh"}, {"dropout": 0.1}, {"l2": 0.1}, {"dtype": "float64"}]
)
def test_another_network_is_refused(settings, tmp_path):
    path = tmp_path / "c"
    train("sgd", "numpy", epochs=1, checkpoint=path)
    model = MLP(**{"sizes": [7, 9, 3], "backend": "numpy", "seed": 0, **settings})
    with pytest.raises(InputError, match=r"is of another run: .*then, .*now"):
        model.fit(X, Y, optimizer="sgd", batch_size=16, epochs=2, checkpoint=path, resume=True)


class Rising:
    """A user's schedule that is not a dataclass."""

    def __init__(self, first):
        self.first = first

    def rates(self, lr, epoch, epochs, steps, losses):
        return np.full(steps, self.first * (epoch + 1))


def test_functions_and_objects_of_the_user_are_compared_as_far_as_they_are_plain(tmp_path):
    def run(schedule, power):
        loss = custom_loss(lambda z, y: (z - y) ** 2, lambda z, y: power * (z - y))
        net = MLP([7, 1], "identity", loss=loss, backend="numpy", seed=0)
        return net.fit(X, X[:, 0], lr=0.01, epochs=2, schedule=schedule, checkpoint=tmp_path / "c", resume=True)

    run(Rising(0.1), 2)
    run(Rising(0.1), 2)
    with pytest.raises(InputError, match=r"schedule Rising\(first=0.1\) then, Rising\(first=0.2\) now"):
        run(Rising(0.2), 2)
    with pytest.raises(InputError, match="of another run: loss "):
        run(Rising(0.1), 3)
    with pytest.raises(InputError, match="of another run: schedule "):
        run(WarmUp(2, Rising(0.1)), 2)


def test_settings_of_numpys_types_are_numbers(tmp_path):
    options = {"patience": np.int64(9), "tol": np.float32(0.5), "checkpoint": tmp_path / "c", "resume": True}
    train("sgd", "numpy", epochs=2, **options)
    assert len(train("sgd", "numpy", epochs=3, **options)[1]) == 3


def test_schedules_of_equal_settings_are_the_same_wherever_they_lie(tmp_path):
    for epochs in (1, 2):
        schedule = WarmUp(2, Rising(0.1))
        train("sgd", "numpy", epochs=epochs, schedule=schedule, checkpoint=tmp_path / "c", resume=True)
    table = [Table(np.arange(5000.0)), Table(np.arange(5000.0))]
    table[1].values[2500] += 1
    assert described(table[0]) != described(table[1]) == described(table[1])


@dataclass
class Table:
    values: np.ndarray


def test_another_kind_of_generator_is_refused_before_anything_changes(tmp_path):
    def fit(seed):
        model = MLP([7, 9, 3], backend="numpy", seed=seed)
        before = model._params.tobytes()
        try:
            model.fit(X, Y, epochs=2, batch_size=16, checkpoint=tmp_path / "c", resume=True)
        except InputError:
            assert model._params.tobytes() == before
            raise

    fit(np.random.RandomState(np.random.PCG64(1)))
    with pytest.raises(InputError, match="generator PCG64 then, MT19937 now"):
        fit(0)
    fit(np.random.RandomState(np.random.PCG64(1)))


@pytest.mark.parametrize("change", ["order", "params", "columns", "epochs"])
def test_a_sound_file_of_strange_content_is_refused(change, tmp_path):
    path = tmp_path / "c"
    train("sgd", "numpy", epochs=2, checkpoint=path)
    arrays, facts = read_state(path)
    if change in arrays:
        arrays[change] = arrays[change][:-1]
    elif change == "epochs":
        facts["epochs"] = 1
    else:
        del facts[change]
    write_tensors(path, arrays, facts, _KIND)
    model = MLP([7, 9, 3], backend="numpy", seed=0)
    before = model._params.tobytes()
    with pytest.raises(ModelFileError, match="is none that this fastmlp has written"):
        model.fit(X, Y, epochs=3, optimizer="sgd", batch_size=16, checkpoint=path, resume=True)
    assert model._params.tobytes() == before and model.history is None


def test_another_backend_goes_on_and_says_that_it_rounds_differently(tmp_path, caplog):
    path = tmp_path / "c"
    train("adam", "numpy", epochs=2, checkpoint=path)
    _, history = train("adam", "numba", epochs=3, checkpoint=path, resume=True)
    assert len(history) == 3 and "written with backend='numpy' and goes on with 'numba'" in caplog.text


def test_a_file_that_is_there_is_never_lost(tmp_path):
    path = tmp_path / "c"
    train("sgd", "numpy", epochs=1, checkpoint=path)
    content = path.read_bytes()
    with pytest.raises(InputError, match=r"is there already\. Go on from it with resume=True"):
        train("sgd", "numpy", epochs=2, checkpoint=path)
    path.write_bytes(damaged := content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelFileError, match="is damaged"):
        train("sgd", "numpy", epochs=2, checkpoint=path, resume=True)
    assert path.read_bytes() == damaged
    MLP([7, 3], backend="numpy").save(path)
    with pytest.raises(ModelFileError, match="not a checkpoint"):
        train("sgd", "numpy", epochs=2, checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, "resume=True is given without a checkpoint"),
        ({"checkpoint": 3}, "must be the path of a file"),
        ({"checkpoint": "missing/c"}, "Cannot write .*missing/c: No such file"),
        ({"checkpoint": "a\0b"}, "must be the path of a file"),
        ({"checkpoint": "c", "checkpoint_every": 0}, "checkpoint_every=0 must be an integer from 1"),
        ({"checkpoint": "c", "checkpoint_every": "3 days"}, "must be a number of epochs, such as 5, or a time"),
        ({"checkpoint": "c", "checkpoint_every": None}, "checkpoint_every=None"),
        ({"checkpoint": "c", "resume": 1}, "resume=1 must be True or False"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        train("sgd", "numpy", **options)
    assert os.listdir() == []


def test_a_time_is_seconds_minutes_or_hours(tmp_path):
    every = {"30s": 30, "1.5 min": 90, "2h": 7200}
    assert {text: open_checkpoint(tmp_path / "c", text, False).seconds for text in every} == every


def test_training_goes_on_where_no_checkpoint_can_be_written(tmp_path, monkeypatch, caplog):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    wanted = outcome(*train("sgd", "numpy"))
    monkeypatch.setattr(os, "fsync", full)
    assert outcome(*train("sgd", "numpy", checkpoint=tmp_path / "c", checkpoint_every=1)) == wanted
    assert "No checkpoint was written, training goes on: Cannot write" in caplog.text
    assert os.listdir(tmp_path) == []


def test_one_is_written_at_a_time_and_training_does_not_wait(tmp_path, monkeypatch):
    from fastmlp import checkpoint

    write, writing, may_go_on, epochs = checkpoint.write_tensors, threading.Event(), threading.Event(), []

    def slow(path, arrays, *rest, **options):
        epochs.append(len(arrays["history.loss"]))
        writing.set()
        assert may_go_on.wait(30)
        write(path, arrays, *rest, **options)

    monkeypatch.setattr(checkpoint, "write_tensors", slow)

    def callback(epoch):
        if not writing.is_set():
            time.sleep(0.01)
        elif epoch.number > epochs[0] + 3:
            may_go_on.set()

    train("sgd", "numpy", epochs=99, checkpoint=tmp_path / "c", checkpoint_every=1, callbacks=[callback])
    assert epochs[-1] == 99 and not {epochs[0] + 1, epochs[0] + 2} & set(epochs)
    assert len(read_state(tmp_path / "c").arrays["history.loss"]) == 99


def test_a_second_run_does_not_replace_the_first_file_of_another(tmp_path, caplog):
    path = tmp_path / "c"

    def other(epoch):
        if epoch.number == 1:
            train("sgd", "numpy", epochs=3, checkpoint=path)

    train("sgd", "numpy", epochs=2, checkpoint=path, callbacks=[other])
    assert read_state(path).facts["epochs"] == 3 and "No checkpoint was written" in caplog.text


def test_a_relative_path_is_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    train("sgd", "numpy", epochs=2, checkpoint="c", callbacks=[lambda epoch: os.chdir(tmp_path / "sub") and None])
    assert (tmp_path / "c").exists()


def test_a_callback_that_ends_an_epoch_together_with_patience_is_what_ended_it(tmp_path):
    options = {"patience": 2, "tol": 9.0, "callbacks": [lambda epoch: epoch.number == 3], "checkpoint": tmp_path / "c"}
    first = outcome(*train("sgd", "numpy", **options))
    assert first["history"][1] == "callback"
    assert outcome(*train("sgd", "numpy", resume=True, **options)) == first


def test_the_file_is_safetensors_without_pickle(tmp_path):
    from safetensors import safe_open

    train("patience", "numpy", epochs=2, checkpoint=tmp_path / "c")
    with safe_open(tmp_path / "c", "numpy") as file:
        names, metadata = set(file.keys()), file.metadata()
    assert {"params", "moments", "best", "order", "history.loss", "history.val_accuracy"} <= names
    assert list(metadata) == ["fastmlp.checkpoint"]
    assert json.loads(metadata["fastmlp.checkpoint"])["header"]["generator"]["bit_generator"] == "MT19937"
