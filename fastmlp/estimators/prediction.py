"""Predictions of a fitted estimator, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import vstack
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.activations import ACTIVATIONS
from fastmlp.engine import FEW
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.few_rows import keep_predictor, outputs_of_few
from fastmlp.estimators.fitted_weights import arithmetic, buffer_of, fitted_arrays
from fastmlp.estimators.hooks import overridden
from fastmlp.estimators.parameters import ALIASES, make_engine
from fastmlp.estimators.samples import readable
from fastmlp.interchange import enough_memory
from fastmlp.losses import LINKS, apply_link
from fastmlp.network import Data

__all__ = ["by_rows", "predicted", "require_weights"]


def require_weights(estimator: Estimator) -> None:
    """NotFittedError, as scikit-learn words it, without weights; its own check takes as long as a prediction."""
    if not hasattr(estimator, "coefs_"):
        check_is_fitted(estimator, "coefs_")


def predicted(
    estimator: Estimator, X: Any, answer: Callable[[np.ndarray], np.ndarray], **check_input: bool
) -> np.ndarray:
    """What `answer` makes of the outputs (n, O), some rows at a time; by the class's own forward pass if it has one."""
    if overridden(estimator, "_forward_pass_fast"):
        return answer(estimator._forward_pass_fast(X, **check_input))
    return by_rows(estimator, X, answer, **check_input)


def by_rows(
    estimator: Estimator,
    X: Any,
    answer: Callable[[np.ndarray], np.ndarray],
    depth: int | None = None,
    check_input: bool = True,
) -> np.ndarray:
    """What `answer` makes of the outputs (n, O) of a layer, as many rows at a time as `working_memory` allows.

    Parameters
    ----------
    estimator
        A fitted one.
    X : array or sparse matrix (N, I)
    answer
        A function of the outputs that returns an array (n, …), or a sparse matrix.
    depth
        The layer, counted from 1; by default the last.
    check_input
        Whether X is checked as scikit-learn checks it.
    """
    out = outputs_of_few(estimator, X) if depth is None else None
    return _by_rows(estimator, X, answer, depth, check_input) if out is None else answer(out)


@enough_memory()
def _by_rows(
    estimator: Estimator, X: Any, answer: Callable[[np.ndarray], np.ndarray], depth: int | None, check_input: bool
) -> np.ndarray:
    unseen = check_input and _may_be_valid(estimator, X)
    if not unseen:
        X = _validated(estimator, X) if check_input else readable(X, "X")
    dtype = arithmetic(*fitted_arrays(estimator), X)
    engine, link = make_engine(estimator, buffer_of(estimator, dtype)), None
    sizes, n = engine.layout.sizes, X.shape[0]
    if X.shape[1] != sizes[0]:
        raise ValueError(f"X has {X.shape[1]} features, but coefs_[0] takes {sizes[0]}.")
    if depth is None:
        # by the activation that was fitted: the parameter `loss` may be another by now
        output = estimator._fastmlp_loss()._replace(link=_known_output(estimator.out_activation_))
        if n <= FEW and type(X) is np.ndarray:
            out, finite = keep_predictor(estimator, engine, output, X).outputs(X)
            if unseen and not finite:
                _validated(estimator, X)  # which says what is wrong with it
            return answer(out)
        engine, link = engine.with_link(output)
    # workspaces, for this and the last number of rows; the rows converted; values on their way to the answer
    row_bytes = dtype.itemsize * (6 * sum(sizes) + sizes[0] + 6 * sizes[-1 if depth is None else depth]) + 16
    out, sparse = np.empty(0), list[Any]()
    step = max(1, int(get_config()["working_memory"] * 2**20 / row_bytes))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        values, finite = engine.raw_and_check(Data.of(_in_c_order(X[rows], dtype), dtype), depth)
        if unseen and not finite:
            _validated(estimator, X)
        part = answer(values if link is None else apply_link(link, values))
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


def _known_output(name: str) -> str:
    """The activation of the library that `out_activation_` names."""
    link = ALIASES.get(name, name)
    if link not in LINKS and link not in ACTIVATIONS:
        raise ValueError(f"out_activation_={name!r} must be one of {', '.join(sorted({*LINKS, *ACTIVATIONS}))}.")
    return link


def _in_c_order(X: Any, dtype: np.dtype) -> Any:
    """Rows in C order, float32 or float64; sparse ones as they are."""
    if not isinstance(X, np.ndarray):
        return X
    return np.ascontiguousarray(X, None if X.dtype in (np.float32, np.float64) and X.dtype.isnative else dtype)
