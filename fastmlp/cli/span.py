"""A range of numbers to draw from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Span"]


@dataclass(frozen=True)
class Span:
    """All numbers from low to high, drawn evenly, or with `log` so that their logarithms are even."""

    low: float
    high: float
    log: bool

    def rvs(self, random_state: np.random.RandomState) -> float:
        """Draw a number of three digits, as `sklearn.model_selection.ParameterSampler` asks for one."""
        share = random_state.uniform()
        number = self.low * (self.high / self.low) ** share if self.log else self.low + (self.high - self.low) * share
        return min(self.high, max(self.low, float(f"{number:.3g}")))

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}"
