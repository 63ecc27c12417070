"""Vanishing gradients: why deep stacks of sigmoids hardly learn, and ReLUs do.

On its way down the gradient becomes δ_below = (δ Wᵀ) ∘ σ'(z) in each layer. For a sigmoid σ' = a (1 - a) is
at most 1/4, reached at a = 1/2. With Glorot's weights the product δ Wᵀ is about as long as δ, so every
layer shortens the gradient to about a quarter, and eight layers to a 65,000th. The derivative of a ReLU is
1 or 0, half and half; He's weights, √2 times larger, make up for the zeros.
"""

import argparse
import os

import numpy as np

from fastmlp import MLP, SGD
from fastmlp.datasets import digits

WIDTH, DEPTH = 32, 8


def main(epochs=3, plot=None):
    data = digits()
    histories = {}
    for name in ("sigmoid", "tanh", "relu"):
        model = MLP([64, *[WIDTH] * DEPTH, 10], name, loss="softmax_cross_entropy", seed=0)
        rule = SGD(lr=0.1)
        histories[name] = model.fit(data.x, data.y, epochs=epochs, optimizer=rule, gradient_norms=True)
    print(f"Norm of ∂L/∂W by layer after epoch 1 of {epochs}, the loss after the last")
    print(" " * 8 + "".join(f"{layer:>9}" for layer in range(1, DEPTH + 2)) + f"{'loss':>9}")
    for name, history in histories.items():
        norms = "".join(f"{norm:>9.1e}" for norm in history["gradient_norms"][0])
        print(f"{name:<8}{norms}{history['loss'][-1]:>9.3f}")
    # From each layer to the one below it; layer 1 reads the pixels themselves and layer 9 has no σ.
    factors = {name: np.median(np.divide(*neighbours(history))) for name, history in histories.items()}
    print("Median factor from a layer to the one below:")
    for name, factor in factors.items():
        print(f"  {name:<8}{factor:.2f}")
    print(f"Knowing nothing is a loss of log 10 = {np.log(10):.3f}.")
    if plot:
        draw(histories, plot)
    return histories, factors


def neighbours(history):
    """Norms of the layers 1 … 7 after epoch 1, and of the layers above them."""
    norms = history["gradient_norms"][0][:DEPTH]
    return norms[:-1], norms[1:]


def draw(histories: dict, path: str | os.PathLike) -> None:
    """Norm of each layer's gradient, on a logarithmic axis."""
    from matplotlib.figure import Figure

    axes = Figure(layout="constrained").add_subplot()
    for name, history in histories.items():
        axes.plot(range(1, DEPTH + 2), history["gradient_norms"][0], marker="o", label=name)
    axes.set(xlabel="layer", ylabel="norm of ∂L/∂W", yscale="log")
    axes.legend()
    axes.figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--plot", metavar="FILE", help="draw the norms, as PNG, PDF or SVG")
    main(**vars(parser.parse_args()))
