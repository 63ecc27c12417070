"""Predictions of a fitted estimator, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import vstack
from sklearn import get_config
from sklearn.utils.validation import validate_data

from fastmlp.activations import ACTIVATIONS, activate
from fastmlp.engine import FEW
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import arithmetic, buffer_of, fitted_arrays
from fastmlp.estimators.hooks import overridden
from fastmlp.estimators.parameters import ALIASES, make_engine
from fastmlp.estimators.samples import readable
from fastmlp.interchange import enough_memory
from fastmlp.losses import LINKS, apply_link
from fastmlp.network import Data

__all__ = ["apply_output", "by_rows", "predicted"]


def predicted(
    estimator: Estimator, X: Any, answer: Callable[[np.ndarray], np.ndarray], **check_input: bool
) -> np.ndarray:
    """What `answer` makes of the outputs (n, O), some rows at a time; by the class's own forward pass if it has one."""
    if overridden(estimator, "_forward_pass_fast"):
        return answer(estimator._forward_pass_fast(X, **check_input))
    # by what was fitted: the parameter `loss` may be another by now
    return by_rows(estimator, X, lambda z: answer(apply_output(estimator.out_activation_, z)), **check_input)


@enough_memory()
def by_rows(
    estimator: Estimator,
    X: Any,
    answer: Callable[[np.ndarray], np.ndarray],
    depth: int | None = None,
    check_input: bool = True,
) -> np.ndarray:
    """What `answer` makes of the values z (n, O) of a layer, as many rows at a time as `working_memory` allows.

    Parameters
    ----------
    estimator
        A fitted one.
    X : array or sparse matrix (N, I)
    answer
        A function of z that returns an array (n, …), or a sparse matrix.
    depth
        The layer, counted from 1; by default the last, before its activation.
    check_input
        Whether X is checked as scikit-learn checks it.
    """
    unseen = check_input and _may_be_valid(estimator, X)
    if not unseen:
        X = _validated(estimator, X) if check_input else readable(X, "X")
    dtype = arithmetic(*fitted_arrays(estimator), X)
    engine = make_engine(estimator, buffer_of(estimator, dtype))
    sizes, n = engine.layout.sizes, X.shape[0]
    if X.shape[1] != sizes[0]:
        raise ValueError(f"X has {X.shape[1]} features, but coefs_[0] takes {sizes[0]}.")
    if n <= FEW and depth is None and type(X) is np.ndarray:
        z, finite = engine.raw_of_few(X)
        if unseen and not finite:
            _validated(estimator, X)  # which says what is wrong with it
        return answer(z)
    # workspaces, for this and the last number of rows; the rows converted; values on their way to the answer
    row_bytes = dtype.itemsize * (6 * sum(sizes) + sizes[0] + 6 * sizes[-1 if depth is None else depth]) + 16
    out, sparse = np.empty(0), list[Any]()
    step = max(1, int(get_config()["working_memory"] * 2**20 / row_bytes))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        z, finite = engine.raw_and_check(Data.of(_in_c_order(X[rows], dtype), dtype), depth)
        if unseen and not finite:
            _validated(estimator, X)
        part = answer(z)
        if part.shape[0] == n:
            return part
        if not isinstance(part, np.ndarray):
            sparse.append(part)  # labels of a classifier that learned them from a sparse indicator matrix
            continue
        if not start:
            out = np.empty((n, *part.shape[1:]), part.dtype)
        out[rows] = part
    return vstack(sparse, sparse[0].format) if sparse else out


def _validated(estimator: Estimator, X: Any) -> Any:
    """X as scikit-learn checks it."""
    return validate_data(estimator, readable(X, "X"), accept_sparse="csr", reset=False)


def _may_be_valid(estimator: Estimator, X: Any) -> bool:
    """Whether X is an array that scikit-learn's checks would leave as it is if it is finite; takes no time."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and len(X) > 0
        and X.shape[1] == vars(estimator).get("n_features_in_")
        and X.dtype in _CHECKED
        and "feature_names_in_" not in vars(estimator)  # of which a warning would say that X lacks them
    )


_CHECKED = np.dtype(np.float32), np.dtype(np.float64)


def apply_output(name: str, z: np.ndarray) -> np.ndarray:
    """Turn values z (n, O) into outputs by the activation that `out_activation_` names, in place; returns z."""
    link = ALIASES.get(name, name)
    if link in LINKS:
        return apply_link(link, z)
    if link not in ACTIVATIONS:
        raise ValueError(f"out_activation_={name!r} must be one of {', '.join(sorted({*LINKS, *ACTIVATIONS}))}.")
    activate(ACTIVATIONS[link], z, np.empty_like(z))
    return z


def _in_c_order(X: Any, dtype: np.dtype) -> Any:
    """Rows in C order, float32 or float64; sparse ones as they are."""
    if not isinstance(X, np.ndarray):
        return X
    return np.ascontiguousarray(X, None if X.dtype in (np.float32, np.float64) and X.dtype.isnative else dtype)
