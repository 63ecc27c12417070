"""The two-stage shuffle: every sample once an epoch, and batches that do not depend on the number of processes."""

from itertools import pairwise

import numpy as np
import pytest

from fastmlp.streams.shuffling import Shuffle

LENGTHS = np.array([70, 1, 0, 33, 64, 64, 5, 41, 64, 12, 90])


def batches_of(shuffle, epoch, lanes):
    """Numbers of the samples of each batch, as these lanes contribute them."""
    begins, batches = np.cumsum([0, *shuffle.lengths]), []
    for plan in shuffle.windows(epoch, 0, lanes):
        read = [np.arange(begins[k] + first, begins[k] + last) for lane in plan.pieces for k, first, last in lane]
        rows, begin = np.concatenate([*read, np.empty(0, np.int64)])[plan.order], 0
        for step in range(plan.first_step, plan.first_step + plan.n_steps):
            size = sum(shuffle.rows(lane, step + 1) - shuffle.rows(lane, step) for lane in lanes)
            batches.append(rows[begin : begin + size])
            begin += size
        assert begin == len(rows) <= shuffle.capacity(lanes)
    return batches


@pytest.mark.parametrize(
    ("batch_size", "lanes", "steps"), [(10, 8, 3), (32, 3, 100), (1, 8, 50), (444, 8, 1), (9, 1, 4)]
)
def test_every_sample_is_in_one_batch(batch_size, lanes, steps):
    shuffle = Shuffle(LENGTHS, batch_size, steps, lanes, seed=5)
    first, second = (batches_of(shuffle, epoch, range(lanes)) for epoch in (0, 1))
    for batches in (first, second):
        assert [len(batch) for batch in batches[:-1]] == [batch_size] * (shuffle.steps_of_epoch - 1)
        np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(shuffle.n_samples))
    assert batch_size == shuffle.n_samples or not np.array_equal(first[0], second[0])
    again = batches_of(Shuffle(LENGTHS, batch_size, steps, lanes, seed=5), 1, range(lanes))
    np.testing.assert_array_equal(np.concatenate(again), np.concatenate(second))


@pytest.mark.parametrize("cuts", [(0, 4, 8), (0, 3, 5, 8), (0, 1, 2, 3, 4, 5, 6, 7, 8)])
def test_processes_with_some_lanes_form_the_same_batches_together(cuts):
    shuffle = Shuffle(LENGTHS, 21, 4, 8, seed=1)
    alone = batches_of(shuffle, 2, range(8))
    parts = [batches_of(shuffle, 2, range(*pair)) for pair in pairwise(cuts)]
    for whole, *shares in zip(alone, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(shares), whole)


def test_a_lane_reads_few_blocks():
    shuffle = Shuffle(np.full(80, 10), 16, 5, 8, seed=3)
    for lane in range(8):
        read = {piece.block for plan in shuffle.windows(0, 0, range(lane, lane + 1)) for piece in plan.pieces[0]}
        assert len(read) <= 11  # a tenth of the blocks, and one that it shares


def test_a_batch_of_sorted_samples_has_many_classes():
    shuffle = Shuffle(np.full(100, 100), 128, 8, 8, seed=0)  # ten classes, one after the other: ten blocks of each
    counts = [len(np.unique(batch // 1000)) for batch in batches_of(shuffle, 0, range(8))]
    assert min(counts) >= 4


def test_without_a_seed_samples_keep_their_order():
    batches = batches_of(Shuffle(LENGTHS, 7, 3, 1, seed=None), 0, range(1))
    np.testing.assert_array_equal(np.concatenate(batches), np.arange(LENGTHS.sum()))
    with pytest.raises(ValueError, match="lanes=8"):
        Shuffle(LENGTHS, 7, 3, 8, seed=None)


def test_a_run_can_begin_in_any_window():
    shuffle = Shuffle(LENGTHS, 10, 4, 8, seed=2)
    whole, later = list(shuffle.windows(1, 0, range(8))), list(shuffle.windows(1, 3, range(8)))
    for plan, other in zip(whole[3:], later, strict=True):
        assert plan[:4] == other[:4]
        np.testing.assert_array_equal(plan.order, other.order)
