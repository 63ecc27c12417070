"""An estimator as it was before a fit, to go back to if the fit cannot begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from fastmlp.estimators.cache import Cache, cache_of
from fastmlp.estimators.estimator import Estimator

__all__ = ["Snapshot"]


class Snapshot(NamedTuple):
    """An estimator before a fit."""

    attributes: dict[str, Any]
    cache: Cache
    generator: Any  # state of its random_state, if that is a generator

    @classmethod
    def of(cls, estimator: Estimator) -> Snapshot:
        """The estimator as it is now."""
        random = estimator.random_state
        state = random.get_state() if isinstance(random, np.random.RandomState) else None
        return cls(dict(vars(estimator)), copy(cache_of(estimator)), state)

    @contextmanager
    def restored_on_error(self, estimator: Estimator) -> Iterator[None]:
        """Within, an error leaves the estimator as it was: parameters, data or checkpoint cannot be used."""
        try:
            yield
        except BaseException:
            vars(estimator).clear()
            vars(estimator).update(self.attributes)
            vars(cache_of(estimator)).update(vars(self.cache))
            if self.generator is not None:
                estimator.random_state.set_state(self.generator)
            raise
