"""Universal approximation: a tower is made of two sigmoids, and a function of towers.

A steep sigmoid σ(k (x - s)) is a step at s. A step up at s minus a step up at t is a tower between them:

    tower(x) = σ(k (x - s)) - σ(k (x - t))

which is a 1-2-1 network: hidden weights k and k, hidden biases -k s and -k t, output weights 1 and -1.
Towers side by side, each as high as f in its middle, are a staircase along f. With n of them, on 2 n hidden
neurons, the error of a smooth f is at most about max|f'| / 2n. So one hidden layer, if it is wide enough,
comes as near to any continuous function as one likes.
"""

import argparse
import os
from types import SimpleNamespace

import numpy as np

from fastmlp import MLP


def staircase(f, n):
    """A network of n towers that follows f on [0, 1]."""
    edges = np.linspace(0, 1, n + 1)
    edges[0], edges[-1] = -1, 2  # the outer walls stand out of sight
    middles = (np.arange(n) + 0.5) / n
    steps = np.stack([edges[:-1], edges[1:]], axis=1)  # (n, 2): each tower's step up and step down
    k, heights = 100 * n, f(middles)
    model = MLP([1, 2 * n, 1], ["sigmoid", "identity"], loss="mean_squared_error", dtype="float64")
    model.set_parameters(
        [np.full((1, 2 * n), k), np.stack([heights, -heights], axis=1).reshape(2 * n, 1)],
        [-k * steps.ravel(), [0]],
    )
    return model


def bump(x):
    return np.exp(-8 * x * x)


def wave(x):
    return np.sin(2 * np.pi * x)


def main(epochs=800, plot=None):
    # A tower by hand, between 0.4 and 0.6.
    tower = MLP([1, 2, 1], ["sigmoid", "identity"], loss="mean_squared_error", dtype="float64")
    tower.set_parameters([[[100, 100]], [[1], [-1]]], [[-40, -60], [0]])
    inside, outside = tower.predict([[0.5]])[0], tower.predict([[0.3], [0.7]])
    print(f"Tower by hand: {inside:.4f} inside, {outside.round(4)} outside")

    # A tower that was found: the same network, trained on a bump.
    x = np.linspace(-1, 1, 101)[:, None]
    learned = MLP([1, 2, 1], ["sigmoid", "identity"], loss="mean_squared_error", dtype="float64", seed=0)
    learned.fit(x, bump(x[:, 0]), epochs=epochs, batch_size="full", optimizer="adam", lr=0.05)
    worst = abs(learned.predict(x) - bump(x[:, 0])).max()
    print(f"Tower by training: largest error {worst:.4f}")

    # A wave of towers: twice as many make half the error.
    fine = np.linspace(0, 1, 2001)[:, None]
    errors = {n: abs(staircase(wave, n).predict(fine) - wave(fine[:, 0])).max() for n in (5, 10, 20, 40, 80)}
    for n, error in errors.items():
        print(f"{n:>4} towers along sin 2πx: largest error {error:.4f}, bound {np.pi / n:.4f}")
    if plot:
        draw(x, learned, fine, plot)
    return SimpleNamespace(inside=inside, outside=outside, worst=worst, learned=learned, errors=errors)


def draw(x: np.ndarray, learned: MLP, fine: np.ndarray, path: str | os.PathLike) -> None:
    """The learned tower beside its bump, and twenty towers along a wave."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(x, bump(x), label="bump")
    left.plot(x, learned.predict(x), "--", label="1-2-1 network")
    right.plot(fine, wave(fine), label="sin 2πx")
    right.plot(fine, staircase(wave, 20).predict(fine), label="20 towers")
    for axes in (left, right):
        axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=800)
    parser.add_argument("--plot", metavar="FILE", help="draw the towers, as PNG, PDF or SVG")
    main(**vars(parser.parse_args()))
