"""The network for the data, and targets in the form that its loss takes."""

from __future__ import annotations

import os
from argparse import Namespace
from itertools import pairwise

import numpy as np

from fastmlp.cli.quantiles import chosen_quantiles, quantiles_of
from fastmlp.datasets import Dataset
from fastmlp.errors import InputError
from fastmlp.losses import LOSS_OF_OUTPUT, LOSSES
from fastmlp.mlp import MLP
from fastmlp.recipes import Recipe
from fastmlp.tables.preparation import Preparation

__all__ = ["build_network", "targets_for"]


def build_network(arguments: Namespace, recipe: Recipe, dataset: Dataset) -> MLP:
    """Build the network of recipe and options; outputs and loss follow from the targets unless options set them.

    Raises
    ------
    InputError : a loss that does not fit the targets, a single class, or a network too large for the memory.
    """
    classes = len(dataset.class_names)
    hidden = recipe.hidden
    given = arguments.activation
    # A single name is that of the hidden layers; it is that of the output if there are none.
    output = given[-1] if isinstance(given, list) else given if not hidden else None
    name = arguments.loss or LOSS_OF_OUTPUT.get(output or "") or _natural_loss(classes)
    _check_loss(name, dataset)
    loss = chosen_quantiles(arguments.quantiles, name, dataset.y) or LOSSES[name]
    if classes == 0:
        outputs = max(len(loss.parameter), 1 if dataset.y.ndim == 1 else dataset.y.shape[1])
    else:
        outputs = 1 if classes == 2 and "softmax" not in (loss.link, output) else classes
    activation = given or (recipe.activation if hidden else "identity")
    sizes = [dataset.x.shape[1], *hidden, outputs]
    _check_memory(sizes, arguments.dtype)
    return MLP(
        sizes,
        activation,
        loss=loss,
        dropout=recipe.dropout,
        l1=arguments.l1,
        l2=arguments.l2,
        dtype=arguments.dtype,
        backend=arguments.backend,
        n_threads=arguments.threads,
        seed=arguments.seed,
    )


def targets_for(model: MLP, preparation: Preparation, y: np.ndarray) -> np.ndarray:
    """Convert class indices (N,), or numbers (N,) or (N, O), to the targets that the model's loss takes."""
    if not preparation.class_names:
        y = y if preparation.target is None else preparation.target.apply(y)
        several = quantiles_of(model)
        return np.repeat(y.reshape(-1, 1), len(several), axis=1) if several else y
    outputs = model.sizes[-1]
    if outputs == 1 or (model.loss is not None and model.loss.link == "softmax"):
        return y
    return np.eye(outputs, dtype=model.dtype)[y]


def _natural_loss(classes: int) -> str:
    if classes == 0:
        return "mean_squared_error"
    return "binary_cross_entropy" if classes == 2 else "softmax_cross_entropy"


def _check_loss(loss: str, dataset: Dataset) -> None:
    classes = len(dataset.class_names)
    if classes == 1:
        raise InputError(f"All samples have the class {dataset.class_names[0]!r}: there is nothing to tell apart.")
    if classes == 0 and LOSSES[loss].classifies:
        raise InputError(
            f"The loss {loss} is for classes, but the targets are numbers. Use --loss mean_squared_error, or for a "
            "table --task classification."
        )
    if classes and loss == "poisson":
        raise InputError("The loss poisson is for counts, but the targets are classes. Use --task regression.")


def _check_memory(sizes: list[int], dtype: str) -> None:
    """Refuse a network too large for this machine: running out of memory would kill this and other processes."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # unknown on some systems
        return
    parameters = sum(i * o + o for i, o in pairwise(sizes))
    needed = 5 * parameters * np.dtype(dtype).itemsize  # weights, gradients, two moments, the last finite weights
    if needed > memory:
        raise InputError(
            f"The network has {parameters:,} parameters and needs {needed / 2**30:.1f} GiB; "
            f"this machine has {memory / 2**30:.1f}. Use smaller --hidden layers."
        )
