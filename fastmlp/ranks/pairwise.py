"""Sums of gradients over shards as a binary tree, whose order of additions depends on the number of shards alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

__all__ = ["Node", "push", "remaining", "total"]


class Node(NamedTuple):
    """The sum over shards `first` to `first + length`; its gradient is overwritten when more is added to it."""

    first: int
    length: int
    gradient: np.ndarray
    loss: float


def push(stack: list[Node], node: Node) -> None:
    """Append a node, whose shards follow those of the last one, with the sums that it completes.

    Neighbours are added, then neighbouring pairs, and so on: nodes of one length, the first of which begins at a
    multiple of twice that length. So it does not matter whether one process adds all shards or each of several begins
    in the middle.
    """
    while stack and stack[-1].length == node.length and stack[-1].first % (2 * node.length) == 0:
        node = _sum(stack.pop(), node)
    stack.append(node)


def total(nodes: Iterable[Node]) -> Node:
    """The sum over all shards, of which these nodes are the rest, in order."""
    stack: list[Node] = []
    for node in nodes:
        push(stack, node)
    while len(stack) > 1:
        last = stack.pop()
        stack.append(_sum(stack.pop(), last))
    return stack[0]


def remaining(first: int, end: int) -> list[tuple[int, int]]:
    """Which nodes remain of shards `first` to `end`, as (first, length)."""
    stack: list[Node] = []
    for shard in range(first, end):
        push(stack, Node(shard, 1, np.zeros(0), 0.0))
    return [(node.first, node.length) for node in stack]


def _sum(left: Node, right: Node) -> Node:
    gradient = left.gradient
    gradient += right.gradient
    return Node(left.first, left.length + right.length, gradient, left.loss + right.loss)
