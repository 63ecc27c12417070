"""Too small and too large: networks of many widths learn the same data side by side.

A network without hidden units draws a plane. With a few it bends, and training and validation loss fall together.
With many it follows single samples: the training loss goes on falling, the validation loss turns. `fit_many`
trains one network on each core. Patients and houses are read from FASTMLP_DATA if it names their folder.
"""

import argparse
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fastmlp import MLP, fit_many
from fastmlp.datasets import diabetes, load_table

WIDTHS = 0, 2, 16, 256
SEEDS = 3


def learn(data, epochs):
    """Histories by width, of networks that differ in their seeds; the targets of a regression are scaled."""
    classes, mean, deviation = len(data.class_names), 0.0, 1.0
    if not classes:
        mean, deviation = data.y.mean(), data.y.std()
    networks = {}
    for width in WIDTHS:
        sizes = [data.x.shape[1], *([width] if width else []), 1]
        activation = ["relu", "sigmoid" if classes else "identity"][-len(sizes) + 1 :]
        networks[width] = [MLP(sizes, activation, seed=seed) for seed in range(SEEDS)]
    fit_many(
        [network for some in networks.values() for network in some],
        data.x,
        (data.y - mean) / deviation,
        epochs=epochs,
        batch_size=32,
        optimizer="adam",
        lr=3e-3,
        validation_data=(data.x_test, (data.y_test - mean) / deviation),
    )
    return {width: [network.history for network in some] for width, some in networks.items()}


def table(name, target, **options):
    """A table of the folder FASTMLP_DATA; None if it is not there."""
    path = Path(os.environ.get("FASTMLP_DATA", ""), name)
    return load_table(path, target=target, seed=0, **options) if path.is_file() else None


def main(epochs=100, plot=None):
    sets = {
        "diabetes": diabetes(),
        "liver": table("ilpd/indian_liver_patient.csv", "Liver_Disease", task="classification"),
        "housing": table("california-housing/housing.csv", "median_house_value"),
    }
    results = {}
    for name, data in sets.items():
        if data is None:
            print(f"{name}: left out, FASTMLP_DATA does not name a folder with it")
            continue
        results[name] = learn(data, epochs if name == "diabetes" else max(1, epochs // 5))
        score = "val_accuracy" if data.class_names else "val_r2"
        print(f"{name}: {len(data.x):,} training samples, {score}")
        for width, histories in results[name].items():
            last = {column: np.mean([h[column][-1] for h in histories]) for column in ("loss", "val_loss", score)}
            least = np.mean([min(h["val_loss"]) for h in histories])
            print(
                f"  {width:>3} hidden units: loss {last['loss']:.3f}, validation {last['val_loss']:.3f} "
                f"(at its best {least:.3f}), {score} {last[score]:.3f}"
            )
    if plot:
        draw(results["diabetes"], plot)
    return SimpleNamespace(**results)


def draw(histories: dict, path: str | os.PathLike) -> None:
    """Training and validation loss by epoch for each width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3), layout="constrained")
    for axes, (width, runs) in zip(figure.subplots(1, len(histories), sharey=True), histories.items(), strict=True):
        for column, line in (("loss", "-"), ("val_loss", "--")):
            axes.plot(runs[0].epochs, np.mean([run[column] for run in runs], axis=0), line, label=column)
        axes.set(title=f"{width} hidden units", xlabel="epoch", ylim=(0, 1.2))
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--plot", metavar="FILE", help="draw the losses on diabetes, as PNG, PDF or SVG")
    main(**vars(parser.parse_args()))
