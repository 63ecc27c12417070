"""What the process keeps of an estimator from one call to the next: buffers, a generator, the last partial fit.

None of it belongs to the estimator's state, which is what is pickled, cloned and compared. All of it can be made again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any
from weakref import ref

import numpy as np
from sklearn.utils import check_random_state

from fastmlp.estimators.buffer import Buffer
from fastmlp.estimators.estimator import Estimator
from fastmlp.generators import seeded

__all__ = ["Cache", "cache_of", "generator_of"]


@dataclass
class Cache:
    """What is kept of one estimator."""

    buffer: Buffer | None = None  # whose views are in `coefs_` and `intercepts_`, unless others have been assigned
    views: list[np.ndarray] = field(default_factory=list)  # those views
    prediction_buffers: dict[np.dtype, Buffer] = field(default_factory=dict)
    training_buffers: dict[np.dtype, Buffer] = field(default_factory=dict)  # others: another thread may predict
    generator: np.random.RandomState | None = None  # made for an integer random_state
    optimizer: Any = None  # an `Unread`, unless somebody has read the estimator's `_optimizer`
    few_rows: Any = None  # see `fastmlp.estimators.few_rows`
    partial_fit: Any = None  # see `fastmlp.estimators.online`


# by identity: an estimator whose class defines __eq__ has no hash
_CACHES: dict[int, tuple[ref, Cache]] = {}


def cache_of(estimator: Any) -> Cache:
    """What is kept of that estimator."""
    key = id(estimator)
    if key not in _CACHES:
        _CACHES[key] = ref(estimator, lambda _: _CACHES.pop(key, None)), Cache()
    return _CACHES[key][1]


def generator_of(estimator: Estimator) -> np.random.RandomState:
    """The generator of a call: that of `random_state`, or for an integer one at its beginning.

    The last one is seeded anew: to make one takes longer than a step on one row.
    """
    if not isinstance(estimator.random_state, Integral):
        return check_random_state(estimator.random_state)
    cache = cache_of(estimator)
    used: np.random.RandomState | None = vars(estimator).get("_random_state")
    if used is None or used is not cache.generator:
        used = cache.generator = seeded(int(estimator.random_state))
    else:
        used.seed(int(estimator.random_state))
    return used
