"""What the process keeps of an estimator from one call to the next: buffers, a generator, the last partial fit.

None of it belongs to the estimator's state, which is what is pickled, cloned and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any
from weakref import ref

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["Kept", "generator_of", "kept_of"]


@dataclass
class Kept:
    """What is kept of one estimator."""

    shown: Any = None  # the `Buffer` whose views are in `coefs_` and `intercepts_`, unless others have been assigned
    views: list[np.ndarray] = field(default_factory=list)  # those views
    scratch: dict[np.dtype, Any] = field(default_factory=dict)  # a `Buffer` for each dtype, to predict with
    training: dict[np.dtype, Any] = field(default_factory=dict)  # others: another thread may predict meanwhile
    random: np.random.RandomState | None = None  # made for an integer random_state
    face: Any = None  # the estimator's `_optimizer`, if nobody has looked at it: then `state` is its state
    state: Any = None  # see `fastmlp.estimators.optimizer`
    layout: Any = None  # of the arrays of that state
    online: Any = None  # see `fastmlp.estimators.online`


# by identity: an estimator whose class defines __eq__ has no hash
_KEPT: dict[int, tuple[ref, Kept]] = {}


def kept_of(e: Any) -> Kept:
    key = id(e)
    if key not in _KEPT:
        _KEPT[key] = ref(e, lambda _: _KEPT.pop(key, None)), Kept()
    return _KEPT[key][1]


def generator_of(e: Any) -> np.random.RandomState:
    """The generator of a call: that of `random_state`, or for an integer one at its beginning.

    The last one is seeded anew: to make one takes longer than a step on one row.
    """
    if not isinstance(e.random_state, Integral):
        return check_random_state(e.random_state)
    kept = kept_of(e)
    if kept.random is None or kept.random is not vars(e).get("_random_state"):
        kept.random = check_random_state(e.random_state)
    else:
        kept.random.seed(int(e.random_state))
    return kept.random
