"""A network in flat buffers: what travels through the step, on every backend.

All weight matrices lie first in one buffer, then all biases, each padded to 64 bytes; layers are views. So an update
rule is one pass, the penalties touch a prefix, a checkpoint is one array. The workspaces are laid out likewise.

The records are named tuples of arrays and numbers because NumPy code and compiled code read those alike. They live in
this importable module, else their types would be new in every process and nothing would be found in the disk cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from fastmlp.errors import InputError
from fastmlp.kernels import codes

__all__ = ["SHARDS", "Data", "Layout", "Network", "Update", "aligned_zeros", "build_network", "build_update"]

ALIGNMENT = 64  # bytes: one cache line, one AVX-512 register


class Network(NamedTuple):
    """Layers, parameters and workspaces. L layers, S the sum of the padded activation sizes of one chunk."""

    fan_in: np.ndarray  # (L,) int64
    fan_out: np.ndarray  # (L,) int64
    activation: np.ndarray  # (L,) int64 codes
    keep: np.ndarray  # (L,) float64: probability that an output of the layer survives dropout
    weight_at: np.ndarray  # (L,) int64: where the weights (I, O) of the layer begin in the flat buffers
    bias_at: np.ndarray  # (L,) int64
    output_at: np.ndarray  # (L+1,) int64: where the outputs of the layer begin in the workspaces; entry 0 is unused
    n_weights: int  # length of the prefix that holds all weights: L1 and L2 end there
    chunk: int  # rows the workspaces have room for
    loss: int  # code
    loss_parameter: np.ndarray  # (K,) float64: see `Loss.parameter`
    params: np.ndarray  # (P,) real
    a: np.ndarray  # (S,) real: outputs of the layers
    h: np.ndarray  # (S,) real: the same after dropout, where the layer has any
    slope: np.ndarray  # (S,) real: σ'(z) where it cannot be computed from a; else scratch
    delta: np.ndarray  # (S,) real: ∂L/∂z


class Update(NamedTuple):
    """The objective's penalties, the update rule and its state."""

    rule: int  # code
    mean: bool  # whether the gradient is averaged over the batch or summed
    l1: float
    l2: float
    penalty_shared: bool  # whether the penalties too are divided by Σ s of the batch, as in scikit-learn
    max_norm: float  # gradients are scaled down to this norm; infinity: never
    decay: float  # decoupled weight decay (AdamW)
    constants: np.ndarray  # (K,) float64: of the rule's formula
    into: np.ndarray  # (P,) real: where backward accumulates: the gradients, or the parameters themselves (DIRECT)
    moments: np.ndarray  # (M, P) real: what the rule remembers of each parameter
    shards: int  # equal parts of a batch that are shared out to processes; 1: the batch as a whole
    first_shard: int  # of those that this process has
    end_shard: int
    shards_at_once: int  # that have one gradient, which `all_reduce` adds to the others


SHARDS = Update._fields[-4:]
"""The fields of `Update` that differ from process to process."""


class Data(NamedTuple):
    """N samples, with their targets and weights.

    Features are dense in x, or sparse as compressed rows (CSR): row i has values[k] in column columns[k] for k from
    starts[i] to starts[i + 1], and x is empty. Targets are labels or targets; the other, or both, are empty.
    """

    x: np.ndarray  # (N, I), any real dtype
    values: np.ndarray  # (nnz,) real
    columns: np.ndarray  # (nnz,) int32
    starts: np.ndarray  # (N+1,) int64; empty if the features are dense
    labels: np.ndarray  # (N,) int64 class indices
    targets: np.ndarray  # (N, O) real
    weights: np.ndarray  # (N,) real, or empty: all samples weigh 1

    @classmethod
    def of(
        cls,
        x: Any,
        dtype: np.dtype,
        labels: np.ndarray | None = None,
        targets: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> Data:
        """Data from checked arrays; x an array or a SciPy CSR matrix. dtype is that of all real numbers but dense x's.

        The fields are views that cannot be written, all but x contiguous and aligned: compiled code has one type for
        them, wherever they come from.
        """
        dense = isinstance(x, np.ndarray)
        return cls(
            x=_read_only(x) if dense else _empty(dtype, 0, x.shape[1]),
            values=_empty(dtype, 0) if dense else _contiguous(x.data.astype(dtype, copy=False)),
            columns=_empty(np.int32, 0) if dense else _contiguous(x.indices.astype(np.int32, copy=False)),
            starts=_empty(np.int64, 0) if dense else _contiguous(x.indptr.astype(np.int64, copy=False)),
            labels=_empty(np.int64, 0) if labels is None else _contiguous(labels),
            targets=_empty(dtype, 0, 0) if targets is None else _contiguous(targets),
            weights=_empty(dtype, 0) if weights is None else _contiguous(weights),
        )

    @property
    def sparse(self) -> bool:
        return self.starts.size > 0

    def values_of_targets(self, n_outputs: int, samples: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Targets (B, O) of some of the samples; class indices as rows of zeros with a one."""
        if not self.labels.size:
            return self.targets[samples]
        labels = self.labels[samples]
        rows = np.zeros((len(labels), n_outputs), self.targets.dtype)
        rows[np.arange(len(labels)), labels] = 1
        return rows

    def total_weight(self) -> float:
        """Σ s over all samples."""
        return float(self.weights.sum(dtype=np.float64)) if self.weights.size else float(self.n_samples)

    @property
    def n_samples(self) -> int:
        return len(self.starts) - 1 if self.sparse else len(self.x)


def _contiguous(array: np.ndarray) -> np.ndarray:
    packed = array.flags.c_contiguous and array.flags.aligned
    return _read_only(array if packed else np.array(array, order="C"))


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


@cache
def _empty(dtype: np.dtype | type, *shape: int) -> np.ndarray:
    return _read_only(np.zeros(shape, dtype))


class Layout(NamedTuple):
    """Where everything lies in the flat parameter buffer."""

    sizes: tuple[int, ...]
    weight_at: tuple[int, ...]
    bias_at: tuple[int, ...]
    n_weights: int
    n_params: int  # length of the buffer, padding included

    @classmethod
    def of(cls, sizes: Sequence[int]) -> Layout:
        """Layout for layer sizes (I, …, O)."""
        pairs = list(pairwise(sizes))
        weight_at, n_weights = _place([i * o for i, o in pairs])
        bias_at, n_biases = _place([o for _, o in pairs])
        return cls(tuple(sizes), weight_at, tuple(n_weights + b for b in bias_at), n_weights, n_weights + n_biases)

    def hidden_depth(self, layer: Any) -> int:
        """The depth, from 1, of a hidden layer given by its index: from 0, or from the end if negative."""
        hidden = len(self.sizes) - 2
        if not isinstance(layer, (int, np.integer)) or not -hidden <= layer < hidden:
            allowed = f", 0 to {hidden - 1} or -1 for the last" if hidden else ""
            raise InputError(f"layer={layer!r} is none of the {hidden} hidden layers{allowed}.")
        return int(layer) % hidden + 1

    def weights(self, flat: np.ndarray) -> list[np.ndarray]:
        """Views (…, I, O), one per layer, of a buffer (…, P)."""
        shapes = zip(self.weight_at, self.sizes, self.sizes[1:], strict=False)
        return [flat[..., at : at + i * o].reshape(*flat.shape[:-1], i, o) for at, i, o in shapes]

    def biases(self, flat: np.ndarray) -> list[np.ndarray]:
        """Views (…, O), one per layer, of a buffer (…, P)."""
        return [flat[..., at : at + o] for at, o in zip(self.bias_at, self.sizes[1:], strict=True)]


def _place(lengths: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Offsets of segments of these lengths, each padded to 16 elements (64 bytes of float32), and the whole length."""
    offsets, end = [], 0
    for length in lengths:
        offsets.append(end)
        end += -(-length // 16) * 16
    return tuple(offsets), end


def aligned_zeros(n: int, dtype: np.dtype | type) -> np.ndarray:
    """(n,) zeros that start on a cache line; NumPy itself promises 16 bytes only."""
    itemsize = np.dtype(dtype).itemsize
    try:
        raw = np.zeros(n * itemsize + ALIGNMENT, np.uint8)
    except (MemoryError, ValueError):
        raise InputError(
            f"{n * itemsize / 2**30:.3g} GiB of memory are needed for one buffer and cannot be had. Use smaller "
            "layers or a smaller batch_size."
        ) from None
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + n * itemsize].view(dtype)


def build_network(
    layout: Layout,
    activations: Sequence[int],
    keep: Sequence[float],
    loss: int,
    loss_parameter: Sequence[float],
    params: np.ndarray,
    rows: int,
    zeros: Callable[[int, np.dtype], np.ndarray] = aligned_zeros,
) -> Network:
    """A network over `params` (P,) with workspaces for `rows` rows; `zeros` makes the backend's own memory.

    Samples are read where they are, so they need no room in the workspaces.
    """
    sizes, dtype = layout.sizes, params.dtype
    output_at, length = _place([0, *(rows * size for size in sizes[1:])])
    a = zeros(length, dtype)
    return Network(
        fan_in=np.array(sizes[:-1], np.int64),
        fan_out=np.array(sizes[1:], np.int64),
        activation=np.array(activations, np.int64),
        keep=np.array(keep, np.float64),
        weight_at=np.array(layout.weight_at, np.int64),
        bias_at=np.array(layout.bias_at, np.int64),
        output_at=np.array(output_at, np.int64),
        n_weights=layout.n_weights,
        chunk=rows,
        loss=loss,
        loss_parameter=np.array(loss_parameter, np.float64),
        params=params,
        a=a,
        h=zeros(length, dtype) if min(keep) < 1 else a,
        slope=zeros(length, dtype),
        delta=zeros(length, dtype),
    )


def build_update(
    params: np.ndarray,
    rule: int,
    n_moments: int = 0,
    constants: Sequence[float] = (),
    *,
    mean: bool = True,
    l1: float = 0.0,
    l2: float = 0.0,
    penalty_shared: bool = False,
    max_norm: float = np.inf,
    decay: float = 0.0,
    shards: tuple[int, int, int, int] = (1, 0, 1, 1),
    zeros: Callable[[int, np.dtype], np.ndarray] = aligned_zeros,
) -> Update:
    """Update rule over `params` (P,) with fresh state; shards are the last four fields."""
    n, dtype = params.size, params.dtype
    return Update(
        rule=rule,
        mean=bool(mean),
        l1=float(l1),
        l2=float(l2),
        penalty_shared=bool(penalty_shared),
        max_norm=float(max_norm),
        decay=float(decay),
        constants=np.array(constants, np.float64),
        into=params if rule == codes.DIRECT else zeros(n, dtype),
        moments=zeros(n_moments * n, dtype).reshape(n_moments, n),
        shards=shards[0],
        first_shard=shards[1],
        end_shard=shards[2],
        shards_at_once=shards[3],
    )
