"""Networks that were trained by other programs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmlp.losses import LOSS_OF_OUTPUT, Loss

__all__ = ["ImportedNetwork"]


class ImportedNetwork(NamedTuple):
    """The layers of such a network.

    Attributes
    ----------
    weights : L arrays (I, O) of real numbers.
    biases : L arrays (O,).
    activations : names of L functions: activations, and of the last layer "exp", too.
    dropout : of the hidden layers.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    activations: list[str]
    dropout: list[float] | float = 0.0

    def model(self, cls: Any, loss: str | Loss | None, **place: Any) -> Any:
        """The network as one of the class cls, which is `MLP` or a subclass.

        Parameters
        ----------
        cls : the class.
        loss : to train it with; default: the one that its output activation stands for.
        place : arguments of the constructor that say where it computes.
        """
        *hidden, last = self.activations
        if last == "exp":
            last, loss = "identity", loss or "poisson"
        sizes = [len(self.weights[0]), *(weights.shape[1] for weights in self.weights)]
        dtype = "float64" if self.weights[0].dtype == np.float64 else "float32"
        loss = loss or LOSS_OF_OUTPUT.get(last)
        model = cls(sizes, [*hidden, last], loss=loss, dropout=self.dropout, dtype=dtype, initializer="zeros", **place)
        model.set_parameters(
            [weights.astype(dtype) for weights in self.weights], [bias.astype(dtype) for bias in self.biases]
        )
        return model
