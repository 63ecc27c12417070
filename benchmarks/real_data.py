"""Real data sets, one command each, against scikit-learn's MLP on the same rows, features and hidden layers.

Run: FASTMLP_DATA=FOLDER python benchmarks/real_data.py [NAME …]. Prints a Markdown table. FOLDER holds mnist/,
fashion-mnist/, ilpd/, fish/, california-housing/ and adult/. fastmlp is run as its command line runs with the options
shown and no others; scikit-learn with its own defaults, on the standardised target in regression. Test accuracy or R².
"""

import contextlib
import io
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fastmlp import MLP
from fastmlp.cli import main
from fastmlp.cli.network import targets_for
from fastmlp.cli.parser import build_parser
from fastmlp.cli.sources import load_training
from fastmlp.metrics import accuracy_score, r2_score

COMMANDS = {
    "digits": "digits",
    "MNIST": "mnist",
    "Fashion-MNIST": "fashion-mnist",
    "liver patients": "{}/ilpd/indian_liver_patient.csv",
    "fish, species": "{}/fish/Fish.csv --target Species",
    "fish, weight": "{}/fish/Fish.csv --target Weight",
    "California housing": "{}/california-housing/housing.csv --target median_house_value",
    "adult": "{0}/adult/adult.data --no-header --test-file {0}/adult/adult.test --test-skip-lines 1 --strip-label .",
}


def compare(command: str) -> tuple[str, float, float, float, float]:
    """Score name, then score and seconds of fastmlp and of scikit-learn."""
    words = ["train", *command.format(os.environ["FASTMLP_DATA"]).split()]
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "model.safetensors")
        history = str(Path(folder) / "history.csv")
        with contextlib.redirect_stdout(io.StringIO()):
            assert main([*words, "--quiet", "--out", file, "--history", history]) == 0
        seconds = np.loadtxt(history, delimiter=",", skiprows=1, usecols=3, ndmin=1).sum()
        model = MLP.load(file)
    data, preparation = load_training(build_parser().parse_args(words))
    classifies = bool(data.class_names)
    centre, scale = (0.0, 1.0) if classifies else (data.y.mean(), data.y.std())
    theirs = (MLPClassifier if classifies else MLPRegressor)(hidden_layer_sizes=model.sizes[1:-1], random_state=0)
    x = np.asarray(data.x, np.float32)
    begin = time.perf_counter()
    theirs.fit(x, data.y if classifies else (data.y - centre) / scale)
    their_seconds = time.perf_counter() - begin
    guess = theirs.predict(np.asarray(data.x_test, np.float32))
    if classifies:
        ours = model.evaluate(data.x_test, targets_for(model, preparation, data.y_test))["accuracy"]
        return "accuracy", ours, seconds, accuracy_score(data.y_test, guess), their_seconds
    standard = (data.y_test - centre) / scale
    return "R²", r2_score(standard, model.predict(data.x_test)), seconds, r2_score(standard, guess), their_seconds


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # scikit-learn's ConvergenceWarning
    print("| data | score | fastmlp | seconds | scikit-learn | seconds |\n|---|---|---|---|---|---|")
    for name in sys.argv[1:] or COMMANDS:
        score, ours, seconds, theirs, their_seconds = compare(COMMANDS[name])
        print(f"| {name} | {score} | {ours:.3f} | {seconds:.1f} | {theirs:.3f} | {their_seconds:.1f} |", flush=True)
