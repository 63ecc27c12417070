"""Batch, mini-batch and stochastic gradient descent: one rule, w <- w - lr ∂L/∂w, and three ways to feed it.

The gradient of the mean loss over all samples is exact, and costs a pass over all of them for one update.
The gradient over a few samples is an estimate of it, right on average, noisy, and far cheaper. With N
samples in batches of B an epoch makes ceil(N / B) updates: 100 samples give 1 update with the whole batch,
5 in batches of 20, and 100 one by one.
"""

import argparse
import os

from fastmlp import MLP, SGD
from fastmlp.datasets import xor

REGIMES = {"batch": "full", "mini-batch": 20, "stochastic": 1}


def main(epochs=60, plot=None):
    data = xor(100, noise=0.1, seed=0)
    rule = SGD(lr=0.3)
    histories = {}
    for name, batch_size in REGIMES.items():
        # The same seed: all three start from the same weights.
        model = MLP([2, 8, 1], ["tanh", "sigmoid"], seed=1)
        histories[name] = model.fit(data.x, data.y, epochs=epochs, batch_size=batch_size, optimizer=rule)

    print("regime        batch size   updates per epoch  first loss   last loss   samples/s")
    for name, history in histories.items():
        loss, speed = history["loss"], sum(history["samples_per_second"]) / epochs
        updates = history.updates // epochs
        print(f"{name:<12}{REGIMES[name]!s:>12}{updates:>20}{loss[0]:>12.4f}{loss[-1]:>12.4f}{speed:>12,.0f}")
    if plot:
        draw(histories, plot)
    return histories


def draw(histories: dict, path: str | os.PathLike) -> None:
    """Loss curves of the three against the epoch, on one plot."""
    from matplotlib.figure import Figure

    axes = Figure(layout="constrained").add_subplot()
    for name, history in histories.items():
        updates = history.updates // len(history)
        axes.plot(history.epochs, history["loss"], label=f"{name}, updates per epoch: {updates}")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.legend()
    axes.figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--plot", metavar="FILE", help="draw the loss curves, as PNG, PDF or SVG")
    main(**vars(parser.parse_args()))
