"""MNIST: 60,000 handwritten digits of 28 x 28 pixels, the first thing a network is asked to read.

The loader divides the pixels by 255 and lays the rows of an image one after the other: x (N, 784) in [0,
1]. Ten softmax outputs are the probabilities of the digits, and the prediction is the most probable one.
"""

import argparse
import os
from types import SimpleNamespace

from fastmlp import MLP, InputError
from fastmlp.datasets import load
from fastmlp.metrics import confusion_matrix, per_class_accuracy


def main(folder=None, download=False, samples=None, hidden=128, epochs=5, plot=None):
    try:
        data = load("mnist", folder=folder, download=download)
    except InputError as error:
        print(f"MNIST is not here. {error}\nOn the command line: --folder FOLDER or --download.")
        return None
    # Labels are the digits 0 … 9 themselves; rows of nine zeros and a one would do as well.
    x, y = data.x[:samples], data.y[:samples]
    model = MLP([784, hidden, 10], ["relu", "softmax"], seed=0)
    held_out = (data.x_test, data.y_test)
    history = model.fit(x, y, epochs=epochs, batch_size=64, optimizer="adam", validation_data=held_out)

    found = model.predict(data.x_test)  # argmax of predict_proba
    confusion = confusion_matrix(data.y_test, found, 10)
    mistakes = confusion.copy()
    mistakes[range(10), range(10)] = 0
    true, taken_for = divmod(int(mistakes.argmax()), 10)
    print(f"{len(x)} digits, {epochs} epochs, {history['samples_per_second'][-1]:,.0f} samples/s")
    print("test accuracy per epoch " + " ".join(f"{accuracy:.4f}" for accuracy in history["val_accuracy"]))
    for digit, share in per_class_accuracy(data.y_test, found).items():
        print(f"  {digit}: {share:.1%}")
    print(f"most frequent mistake: {true} taken for {taken_for}, {mistakes.max()} times")
    if plot:
        draw(data.x_test[found != data.y_test], found[found != data.y_test], plot)
    return SimpleNamespace(history=history, model=model, confusion=confusion, x=x, y=y)


def draw(x, found, path: str | os.PathLike) -> None:
    """The first fifteen digits that were misread, and as what."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    for axes, image, digit in zip(figure.subplots(3, 5).flat, x, found, strict=False):
        axes.imshow(image.reshape(28, 28), cmap="Greys")
        axes.set_title(digit)
        axes.axis("off")
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="where the four IDX files are; by default mnist in FASTMLP_DATA")
    parser.add_argument("--download", action="store_true", help="fetch the files if they are not there")
    parser.add_argument("--samples", type=int, help="train on the first ones only")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--plot", metavar="FILE", help="draw digits that were misread, as PNG, PDF or SVG")
    main(**vars(parser.parse_args()))
