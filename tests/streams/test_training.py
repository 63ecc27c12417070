"""Training on samples that are read block by block."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from threading import Barrier
from types import SimpleNamespace

import numpy as np
import pytest

from fastmlp import MLP, InputError, open_samples
from fastmlp.losses import LOSSES
from fastmlp.streams.feed import Feed
from fastmlp.streams.samples import held_in

from .written import FORMATS, samples, write


def network(backend="numpy", seed=3, **options):
    return MLP([6, 16, 3], seed=seed, backend=backend, **options)


def fit(model, opened, epochs=3, **options):
    return model.fit(opened, epochs=epochs, batch_size=50, progress=False, **options)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_trains_alike(kind, tmp_path):
    x, y, weights = samples()
    model, other = network(), network()
    opened = open_samples(**write(kind, tmp_path, x, y, weights), memory=3000)
    history = fit(model, opened, lr=1e-4)
    # what `batches` gives are the batches of `fit`
    expected = other.fit(x, y, sample_weight=weights, epochs=3, batch_size=50, shuffle=False, lr=1e-4, progress=False)
    assert history.updates == expected.updates == 60
    assert history["loss"][-1] < history["loss"][0]
    assert len(history["waited"]) == 3
    in_order = network()
    losses = fit(in_order, opened, shuffle=False, lr=1e-4)["loss"]
    np.testing.assert_allclose(losses, expected["loss"], rtol=1e-6)


def test_batches_are_those_of_the_seed(backend):
    x, y, weights = samples()
    opened = open_samples(x, y, sample_weight=weights, memory=3000)
    model, other = network(backend, dropout=0.2), network(dropout=0.2)
    history, expected = fit(model, opened, lr=1e-3), fit(other, opened, lr=1e-3)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=2e-4)


def test_one_window_with_all_samples_or_many(backend):
    """A last window that is shorter, and a last batch that is."""
    x, y, _ = samples(1030)
    for memory in (2 * 50 * 6, 7 * 50 * 6, 1 << 20):
        model = network(backend)
        history = fit(model, open_samples(x, y, memory=memory), lr=1e-2)
        assert history.updates == 63
        assert model.evaluate(x, y)["loss"] < history["loss"][0] / 2


def test_regression_and_class_weights():
    x, _, _ = samples()
    values = x @ np.linspace(-1, 1, 6)
    model = MLP([6, 8, 1], seed=0, backend="numpy", loss="huber")
    losses = fit(model, open_samples(x.astype(np.float64), values), lr=1e-2)["loss"]
    assert losses[-1] < losses[0] / 3
    x, y, weights = samples()
    opened = open_samples(x[np.argsort(y)], np.sort(y), sample_weight=weights, memory=3000)
    model = network()
    fit(model, opened, class_weight={0: 0.0}, epochs=20)
    assert not (model.predict(x) == 0).any()


def run_until(step, path, opened, backend):
    """Stop a run in the middle of an epoch, as by Ctrl-C while a window is awaited; its checkpoint is at `path`."""
    model, taken = network(backend, dropout=0.1), []
    read = type(opened.source).read

    class Interrupted(type(opened.source)):
        def read(self, block):
            taken.append(block)
            if len(taken) == step:
                raise KeyboardInterrupt
            return read(self, block)

    opened.source.__class__ = Interrupted
    history = fit(model, opened, checkpoint=path, checkpoint_every="0s")
    opened.source.__class__ = Interrupted.__mro__[1]
    assert history.stopped == "interrupt"


@pytest.mark.parametrize("step", [9, 30])
def test_a_run_goes_on_from_the_middle_of_an_epoch(step, backend, tmp_path):
    x, y, weights = samples()
    opened = open_samples(**write("bytes", tmp_path, x, y, weights), memory=3000)
    whole = network(backend, dropout=0.1)
    expected = fit(whole, opened)
    path = tmp_path / "checkpoint"
    run_until(step, path, opened, backend)
    model = network(backend, seed=11, dropout=0.1)
    history = fit(model, opened, checkpoint=path, resume=True)
    assert history["loss"] == expected["loss"]
    for one, other in zip(model.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_is_for_the_same_files_and_windows(tmp_path):
    x, y, weights = samples()
    arguments = write("npy", tmp_path, x, y, weights)
    fit(network(), open_samples(**arguments, memory=3000), checkpoint=tmp_path / "c", epochs=1)
    with pytest.raises(InputError, match="steps of a window 5 then, 10 now"):
        fit(network(), open_samples(**arguments, memory=6000), checkpoint=tmp_path / "c", resume=True)
    np.save(arguments["data"] / "x_00000.npy", x[300:600])
    with pytest.raises(InputError, match="samples "):
        fit(network(), open_samples(**arguments, memory=3000), checkpoint=tmp_path / "c", resume=True)


class OneOfTwo:
    """A thread that stands in for a rank of a group of two."""

    size, step = 2, nullcontext

    def __init__(self, rank, sent, all_are_here):
        self.rank, self._sent, self._all_are_here = rank, sent, all_are_here

    def of_first(self, value):
        return value

    def all_gather(self, sent, received, counts):
        self._sent[self.rank] = sent
        self._all_are_here.wait(10)
        received[...] = np.concatenate(self._sent)
        self._all_are_here.wait(10)


def test_lanes_of_two_feeds_make_the_batches_of_one(tmp_path):
    x, y, weights = samples()
    opened = open_samples(**write("parquet", tmp_path, x, y, weights), memory=3000)
    model = network()
    convert = partial(model._outcomes, LOSSES["softmax_cross_entropy"], None)

    def batches(group):
        engine = replace(model._engine(), all_reduce=group and SimpleNamespace(group=group))
        feed = Feed(opened, 50, engine, convert, np.random.RandomState(0), 2)
        found = []
        for _ in range(2):
            feed.take(1, 0)
            for data, orders, steps in feed.spans(0, 2):
                for batch in (orders[0, step * 50 :][:50] for step in range(steps)):
                    own = own_rows(len(batch), group)
                    found.append((data.x[batch[own]], data.labels[batch[own]], data.weights[batch]))
        feed.close()
        return found

    def own_rows(rows, group):
        first, end = (0, 8) if group is None else (4 * group.rank, 4 * group.rank + 4)  # of 8 lanes
        return slice(rows * first // 8, rows * end // 8)

    pair = [OneOfTwo(rank, sent, barrier) for sent, barrier in [([None] * 2, Barrier(2))] for rank in range(2)]
    with ThreadPoolExecutor(2) as threads:
        halves = list(threads.map(batches, pair))
    for whole, one, other in zip(batches(None), *halves, strict=True):
        for together, *parts in zip(whole[:2], one[:2], other[:2], strict=True):
            np.testing.assert_array_equal(np.concatenate(parts), together)
        for part in one, other:  # weights of all rows, since a mean is divided by their sum
            np.testing.assert_array_equal(part[2], whole[2])


def test_no_thread_is_left_whatever_ends_a_run():
    x, y, _ = samples()
    opened = open_samples(x, y, memory=3000)
    fit(network(), opened, callbacks=[lambda epoch: True])
    fit(network(), opened, target_loss=1e9)

    def fail(epoch):
        raise RuntimeError("of the user's")

    with pytest.raises(RuntimeError, match="of the user's"):
        fit(network(), opened, callbacks=[fail])
    bad = x.astype(np.float32)
    bad[700, 2] = np.nan
    with pytest.raises(InputError, match="samples 0 to 999 of the arrays: feature 2 of sample 700 is nan in float32"):
        fit(network(), open_samples(bad, y, memory=2400))
    with pytest.raises(InputError, match="of the arrays: y holds labels from 0 to 7"):
        fit(network(), open_samples(x, np.where(y == 2, 7, y), memory=3000))
    assert not [thread for thread in threading.enumerate() if thread.name == "fastmlp-reader"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": [0]}, "y is given beside Samples"),
        ({"sample_weight": [1]}, "sample_weight is given beside Samples"),
        ({"class_weight": "balanced"}, "counts the classes of all samples"),
        ({"metrics": ["accuracy"]}, "metrics is for samples in memory: give validation_data"),
        ({"gradient_norms": True}, "gradient_norms is for samples in memory"),
        ({"shuffle": "blocks"}, "shuffle is for samples in memory"),
    ],
)
def test_what_would_need_all_samples_is_refused(options, message):
    x, y, _ = samples(100)
    with pytest.raises(InputError, match=message):
        fit(network(), open_samples(x, y), **options)


def test_another_number_of_features_is_refused():
    x, y, _ = samples(100, 7)
    with pytest.raises(InputError, match="has 7 features, but the network takes 6 inputs"):
        fit(network(), open_samples(x, y))


def test_validation_goes_on_as_ever():
    x, y, _ = samples()
    history = fit(network(), open_samples(x, y), validation_data=(x, y), metrics=["accuracy"], patience=2, epochs=5)
    assert {"val_loss", "val_accuracy"} <= set(history.columns)


def test_bytes_stay_bytes_and_other_numbers_become_the_networks():
    kept = [held_in(np.dtype(name), np.dtype(np.float32)) for name in ("u1", ">i2", "i4", "f2", "f8", "?")]
    assert kept == [np.uint8, np.int16, *4 * [np.float32]]
