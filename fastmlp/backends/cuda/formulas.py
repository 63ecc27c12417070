"""A loss of the user's own as text for the kernels."""

from __future__ import annotations

from fastmlp.c_text import c_function
from fastmlp.errors import InputError
from fastmlp.expressions import expression_of
from fastmlp.losses import Loss

__all__ = ["loss_formulas"]


def loss_formulas(loss: Loss) -> str:
    """Give the two functions of a `custom_loss` in C, `custom_value` and `custom_gradient` of z and y.

    Raises
    ------
    InputError : one that has no translation.
    """
    texts = []
    for role in ("value", "gradient"):
        function = getattr(loss, role)
        try:
            expression = expression_of(function, "zy", f"custom_loss {role} of {loss.name!r}")
        except InputError as error:
            raise InputError(f"{error} Or train with another backend.") from error
        texts.append(c_function(f"custom_{role}", "zy", expression, "__device__ inline"))
    return "".join(texts)
