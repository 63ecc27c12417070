"""Piecewise linear encoding of numbers in quantile bins, which helps a network to bend where most samples are.

Source: Gorishniy, Rubachev & Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS 2022;
here the number itself is a feature as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.fields import Fields

__all__ = ["Binned"]


@dataclass(frozen=True)
class Binned:
    """A numeric column as 1 + T features: the number x, then clip((x - t_b) / (t_{b+1} - t_b), 0, 1) of each bin b.

    Attributes
    ----------
    edges : T + 1 increasing numbers t; empty for the number alone.
    """

    edges: tuple[float, ...] = ()
    kind: ClassVar[str] = "number"
    categories: ClassVar[int] = 0

    @classmethod
    def fit(cls, values: np.ndarray, bins: int) -> Binned:
        """Place the edges at the quantiles of values (N,): at most `bins` bins, fewer where values repeat.

        A single bin would be the number itself, so there is none.
        """
        if bins < 2:
            return cls()
        # sorting first takes a quarter of the time
        edges = np.unique(np.quantile(np.sort(values), np.linspace(0, 1, bins + 1), method="inverted_cdf"))
        return cls(tuple(edges.tolist()) if len(edges) > 2 else ())

    @property
    def width(self) -> int:
        """Number of features."""
        return max(len(self.edges), 1)

    def write(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write the features of values (N,) to out (N, width)."""
        out[:, 0] = values
        if self.edges:
            edges = np.array(self.edges)
            np.clip((values[:, None] - edges[:-1]) / np.diff(edges), 0, 1, out=out[:, 1:], casting="same_kind")

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "edges": list(self.edges)}

    @classmethod
    def from_dict(cls, data: object) -> Binned:
        edges = Fields(data, "A binned column", ("kind", "edges")).numbers("edges")
        if len(edges) == 1 or any(a >= b for a, b in pairwise(edges)):
            raise InputError(f"The edges of bins must be two or more increasing numbers, not {edges!r:.100}.")
        return cls(edges)
