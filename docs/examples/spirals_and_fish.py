"""Three classes from two numbers: points on spirals, and fish told apart by their width and height.

A 2-4-3 network: x (300, 2), one hidden layer of 4 ReLUs, a softmax over 3 classes. Each ReLU folds the
plane along a line. Four folds can follow three spiral arms if gradient descent finds them, which depends on
the start; with 64 it hardly does.
"""

import argparse
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fastmlp import MLP
from fastmlp.datasets import load_table, spirals
from fastmlp.metrics import confusion_matrix, per_class_accuracy


def drawn_fish(n, seed):
    """Widths and heights (n, 2) in cm and kinds (n,) of invented salmon, tuna and hammerhead sharks."""
    random = np.random.RandomState(seed)
    kind = np.arange(n) % 3
    typical = np.array([[12, 20], [40, 50], [90, 45]])
    return typical[kind] * np.exp(0.15 * random.standard_normal((n, 2))), kind


def learn_spirals(hidden, epochs):
    data = spirals(300, 3, noise=0.2, seed=0)
    model = MLP([2, hidden, 3], ["relu", "softmax"], seed=1)
    model.fit(data.x, data.y, epochs=epochs, batch_size=30, optimizer="adam", lr=0.02)
    accuracy = model.evaluate(data.x_test, data.y_test)["accuracy"]
    return SimpleNamespace(model=model, data=data, accuracy=accuracy)


def learn_drawn_fish(epochs):
    (x, y), (x_test, y_test) = drawn_fish(300, seed=0), drawn_fish(300, seed=1)
    # A network likes numbers around 0 and of size 1; new fish are scaled as those it learned from were.
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    model = MLP([2, 4, 3], ["relu", "softmax"], seed=0)
    model.fit((x - mean) / deviation, y, epochs=epochs, batch_size=30, optimizer="adam", lr=0.02)
    found = model.predict((x_test - mean) / deviation)
    return per_class_accuracy(y_test, found), confusion_matrix(y_test, found)


def learn_real_fish(epochs):
    """Seven species of a Finnish lake by width and height, if the file fish/Fish.csv lies in FASTMLP_DATA."""
    path = Path(os.environ.get("FASTMLP_DATA", ""), "fish", "Fish.csv")
    if not path.is_file():
        return None
    others = ["Weight", "Length1", "Length2", "Length3"]
    data = load_table(path, target="Species", drop_columns=others, seed=0)
    model = MLP([2, 16, len(data.class_names)], ["relu", "softmax"], seed=0)
    model.fit(data.x, data.y, epochs=epochs, batch_size=16, optimizer="adam", lr=0.02)
    accuracy = model.evaluate(data.x_test, data.y_test)["accuracy"]
    return SimpleNamespace(class_names=data.class_names, accuracy=accuracy)


def main(epochs=100, plot=None):
    few, many = learn_spirals(4, epochs), learn_spirals(64, epochs)
    (per_class, confusion), real = learn_drawn_fish(epochs), learn_real_fish(epochs)
    print(f"Spirals: 2-4-3 {few.accuracy:.1%}, 2-64-3 {many.accuracy:.1%} of new points right")
    print("Fish: rows are what a fish is, columns what it is taken for")
    for kind, name in enumerate(("salmon", "tuna", "shark")):
        print(f"  {name:<8}{confusion[kind]}  {per_class[kind]:.0%}")
    if real:
        print(f"Fish of the lake: {', '.join(real.class_names)}; {real.accuracy:.0%} of new ones right")
    else:
        print("Fish of the lake: left out, FASTMLP_DATA does not name a folder with fish/Fish.csv")
    if plot:
        draw([few, many], plot)
    return SimpleNamespace(few=few, many=many, per_class=per_class, confusion=confusion, real=real)


def draw(runs: list, path: str | os.PathLike) -> None:
    """Which class each point of the plane is taken for."""
    from matplotlib.figure import Figure

    grid = np.linspace(-1.1, 1.1, 301)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    for axes, run in zip(figure.subplots(1, 2), runs, strict=True):
        axes.pcolormesh(grid, grid, run.model.predict(points).reshape(301, 301), cmap="Pastel1", vmax=8)
        axes.scatter(*run.data.x.T, c=run.data.y, cmap="Set1", vmax=8, s=10)
        axes.set(title="-".join(map(str, run.model.sizes)), aspect="equal")
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--plot", metavar="FILE", help="draw the regions of the classes, as PNG, PDF or SVG")
    main(**vars(parser.parse_args()))
