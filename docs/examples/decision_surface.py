"""Do I like this phone? A question one neuron cannot answer, and three can.

Small phones please when they are cheap and large ones when they are expensive; the two other kinds do not.
One sigmoid neuron says yes where w1 size + w2 price + b > 0: on one side of a straight line, which gets at
most three of the four kinds right. Two hidden neurons draw two lines, and the third combines them: nine
parameters in all.
"""

import argparse
import os
from types import SimpleNamespace

import numpy as np

from fastmlp import MLP
from fastmlp.datasets import xor

SEED = 1  # From some starts gradient descent ends in a valley where one kind of phone stays wrong.


def main(epochs=150, plot=None):
    # Size and price, from 0 (small, cheap) to 1 (large, expensive); class 1 is where the two differ.
    data = xor(200, noise=0.15, seed=0)
    liked, liked_test = 1 - data.y, 1 - data.y_test
    neuron = MLP([2, 1], "sigmoid", seed=SEED)
    network = MLP([2, 2, 1], ["sigmoid", "sigmoid"], seed=SEED)
    for model in (neuron, network):
        model.fit(data.x, liked, epochs=epochs, batch_size=20, optimizer="adam", lr=0.05)

    accuracies = [model.evaluate(data.x_test, liked_test)["accuracy"] for model in (neuron, network)]
    n_parameters = sum(part.size for part in (*network.weights, *network.biases))
    corners = network.predict_proba([[0, 0], [0, 1], [1, 0], [1, 1]])[:, 0]
    print(f"One neuron:      {accuracies[0]:.1%} of new phones right")
    print(f"2-2-1, {n_parameters} parameters: {accuracies[1]:.1%}")
    kinds = ("small and cheap", "small and expensive", "large and cheap", "large and expensive")
    for kind, p in zip(kinds, corners, strict=True):
        print(f"  {kind:<20} liked with probability {p:.3f}")
    if plot:
        draw({"one neuron": neuron, "2-2-1 network": network}, data.x, liked, plot)
    return SimpleNamespace(accuracies=accuracies, n_parameters=n_parameters, corners=corners)


def draw(models: dict, x: np.ndarray, y: np.ndarray, path: str | os.PathLike) -> None:
    """The probability over the plane of sizes and prices, with the line where it is one half."""
    from matplotlib.figure import Figure

    grid = np.linspace(-0.5, 1.5, 201)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (name, model) in zip(figure.subplots(1, 2), models.items(), strict=True):
        p = model.predict_proba(points).reshape(201, 201)
        surface = axes.contourf(grid, grid, p, np.linspace(0, 1, 11), cmap="RdBu")
        axes.contour(grid, grid, p, [0.5], colors="black")
        axes.scatter(*x.T, c=y, cmap="RdBu", edgecolors="white", s=25)
        axes.set(title=name, xlabel="size", ylabel="price")
    figure.colorbar(surface, label="probability of “like”")
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--plot", metavar="FILE", help="draw the decision surfaces, as PNG, PDF or SVG")
    main(**vars(parser.parse_args()))
