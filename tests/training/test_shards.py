"""Batches in shards, whose gradients are summed: the same numbers as batches as a whole, whatever the threads."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from fastmlp import MLP
from fastmlp.optimizers import SGD
from fastmlp.ranks.all_reduce import AllReduce
from fastmlp.ranks.pairwise import Node, push, remaining, total

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((150, 9))
Y = RANDOM.integers(0, 3, 150)
WEIGHTS = RANDOM.uniform(0.5, 2, 150)

FITS = {
    "sgd": ({}, {"optimizer": "sgd", "batch_size": 37}),
    "penalties": ({"l1": 1e-3, "l2": 1e-2}, {"optimizer": SGD(0.05, momentum=0.9), "sample_weight": WEIGHTS}),
    "dropout": ({"dropout": 0.3}, {"optimizer": "adam", "batch_size": 5}),  # fewer rows than shards
    "clipped": ({}, {"optimizer": "adamw", "batch_size": "full", "max_norm": 0.1}),
    "sparse": ({"reduction": "sum"}, {"x": csr_matrix(np.maximum(X, 0)), "lr": 1e-3}),
    "one sample": ({"activation": "tanh"}, {"batch_size": 1, "epochs": 1}),
}


def fitted(backend, name, dtype="float64", n_threads=None, **more):
    network, options = FITS[name]
    model = MLP([9, 17, 6, 3], seed=1, backend=backend, dtype=dtype, n_threads=n_threads, **network)
    history = model.fit(**({"x": X, "y": Y, "epochs": 2, "progress": False} | options | more))
    return model._params, np.array(history["loss"])


@pytest.mark.parametrize("name", FITS)
def test_shards_give_the_numbers_of_whole_batches(backend, name):
    for whole, shards in zip(fitted(backend, name), fitted(backend, name, reproducible=True), strict=True):
        np.testing.assert_allclose(shards, whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "dropout", "sparse"])
def test_shards_give_the_same_bits_whatever_the_threads(name):
    one = fitted("numba", name, "float32", 1, reproducible=True)
    two = fitted("numba", name, "float32", 2, reproducible=True)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_failure_of_the_sum_is_raised_where_the_fit_is_called(backend, monkeypatch):
    def broken(self, shard, rows, gradient, loss):
        raise RuntimeError("the sum's own")

    monkeypatch.setattr(AllReduce, "__call__", broken)
    with pytest.raises(RuntimeError, match="the sum's own"):
        fitted(backend, "sgd", reproducible=True)


@given(st.integers(1, 40), st.data())
def test_the_sum_does_not_depend_on_where_ranks_begin(shards, data):
    values = np.random.default_rng(shards).standard_normal(shards).astype(np.float32)
    cuts = sorted(data.draw(st.sets(st.integers(1, shards), max_size=6)) | {0, shards})

    def leaves(first, end):
        return [Node(i, 1, values[i : i + 1].copy(), float(values[i])) for i in range(first, end)]

    nodes = []
    for first, end in pairwise(cuts):
        stack = []
        for leaf in leaves(first, end):
            push(stack, leaf)
        assert [node[:2] for node in stack] == remaining(first, end)
        nodes += stack
    whole, apart = total(leaves(0, shards)), total(nodes)
    assert whole[:2] == apart[:2] == (0, shards)
    assert whole.gradient == apart.gradient and whole.loss == apart.loss
    assert whole.loss == pytest.approx(values.sum(dtype=float))
