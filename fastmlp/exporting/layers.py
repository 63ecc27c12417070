"""What an export needs of a network: what its layers compute, and what the numbers mean that come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmlp.activations import Activation, activation_of
from fastmlp.errors import InputError
from fastmlp.formulas.expressions import Expression, trace

__all__ = ["Layers", "formula_of"]


class Layers(NamedTuple):
    """A network that has been trained; dropout is nothing at prediction.

    Attributes
    ----------
    weights : L arrays (I, O), float32 or float64.
    biases : L arrays (O,).
    activations : one for each layer, before the link.
    link : from the last layer to what is predicted: "identity", "softmax", "sigmoid" or "exp".
    classifies : whether predictions are probabilities of classes.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    activations: list[Activation]
    link: str = "identity"
    classifies: bool = False

    @classmethod
    def of(cls, model: Any) -> Layers:
        """Those of an `MLP`.

        Raises
        ------
        InputError : its weights are not finite.
        """
        link = model.loss.link if model.loss else "identity"
        used = [activation_of(one or "identity") for one in model.activations]
        if used[-1].name == link:  # the link is part of the loss
            used[-1] = activation_of("identity")
        classifies = model.loss is not None and model.loss.classifies
        return cls(model.weights, model.biases, used, link, classifies).checked()

    @property
    def dtype(self) -> np.dtype:
        return self.weights[0].dtype

    @property
    def sizes(self) -> tuple[int, ...]:
        """Inputs, hidden widths, outputs."""
        return (len(self.weights[0]), *(len(bias) for bias in self.biases))

    def with_both_classes(self) -> Layers:
        """A network of one sigmoid as one that gives the probabilities of both classes, 0 and 1.

        sigmoid(z) is the second one of softmax(0, z), and 1 - sigmoid(z), which would lose digits, the first.
        """
        weights, biases = (
            np.pad(one[-1], [(0, 0)] * (one[-1].ndim - 1) + [(1, 0)]) for one in (self.weights, self.biases)
        )
        return self._replace(weights=[*self.weights[:-1], weights], biases=[*self.biases[:-1], biases], link="softmax")

    def checked(self) -> Layers:
        """The same; InputError if the weights are not finite."""
        if not all(np.isfinite(array).all() for array in (*self.weights, *self.biases)):
            raise InputError(
                "The network has weights that are not finite, which no program can use. Lower the learning rate, or "
                "scale the inputs, and train again."
            )
        return self


def formula_of(activation: Activation) -> Expression:
    """The formula of an activation in terms of the symbol z.

    Raises
    ------
    InputError : it is one of the user's own that cannot be translated.
    """
    value: Callable[..., Any] | None = activation.value
    assert value is not None
    try:
        (expression,) = trace(value, "z", "It")
    except InputError as error:
        raise InputError(
            f"The activation {activation.name!r} cannot be exported: {error.__cause__} Write it with those functions, "
            "or exchange it for a built-in activation."
        ) from error
    return expression
