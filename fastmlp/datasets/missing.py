"""What is done with the rows of a table that lack a value."""

from collections.abc import Collection, Sequence

import numpy as np

from fastmlp.datasets.table import Table
from fastmlp.errors import InputError

__all__ = ["POLICIES", "kept_rows"]

POLICIES = ("error", "drop", "impute")


def kept_rows(
    table: Table, features: Sequence[str], target: str | None, policy: str, missing_values: Collection[str]
) -> np.ndarray:
    """Choose the rows to be encoded.

    Parameters
    ----------
    table : N rows.
    features : names of the feature columns.
    target : name of the target column; None when it is not in the table.
    policy : "error" refuses missing values, "drop" leaves out their rows, "impute" keeps them, but refuses
        them in the target.
    missing_values : the texts that stand for no value.

    Returns
    -------
    rows (M,) int64, ascending.

    Raises
    ------
    InputError : missing values that the policy refuses, or no row left.
    """
    names = [*features] if target is None else [*features, target]
    is_missing = {name: np.fromiter(map(missing_values.__contains__, table[name]), bool, len(table)) for name in names}
    if policy == "drop":
        rows = np.flatnonzero(~np.any(list(is_missing.values()), axis=0))
        if not rows.size:
            raise InputError(
                f"Each of the {len(table)} rows lacks a value, so missing='drop' leaves none. Pass "
                "missing='impute', or list columns in drop_columns."
            )
        return rows
    refused = [name for name in names if is_missing[name].any() and (policy == "error" or name == target)]
    if refused:
        counts = ", ".join(f"{name!r} ({is_missing[name].sum()})" for name in refused)
        remedy = (
            "Pass missing='drop' to leave such rows out, or missing='impute' to fill the features in."
            if policy == "error"
            else "A target cannot be filled in; pass missing='drop' to leave such rows out."
        )
        raise InputError(f"Values are missing in {counts}, of {len(table)} rows. {remedy}")
    return np.arange(len(table))
