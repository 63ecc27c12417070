"""Wrong parameters and arguments are refused with messages that name them."""

import numpy as np
import pytest

from estimator_features.cases import BINARY, LABELS, MANY, OUTPUTS, VALUES, WEIGHTS, X, make
from fastmlp import Adam, InputError
from fastmlp.schedules import Cosine

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")

WRONG = [
    ({"activation": "swish"}, LABELS, "'activation' parameter of MLPClassifier must be .*silu"),
    ({"activation": ["relu"]}, LABELS, "a list with one name for each of the 2 hidden layers"),
    ({"activation": ["relu", "swish"]}, LABELS, "a list with one name for each of the 2 hidden layers, among"),
    ({"backend": "gpu"}, LABELS, "'backend' parameter of MLPClassifier must be .*numba"),
    ({"class_weight": "even"}, LABELS, "'class_weight' parameter of MLPClassifier must be .*'balanced'"),
    ({"activation": [["relu"], "tanh"]}, LABELS, "a list with one name for each of the 2 hidden layers"),
    ({"dropout": ["half", 0]}, LABELS, "a list with one for each of the 2 hidden layers"),
    ({"learning_rate": Cosine}, LABELS, r"or an instance such as Cosine\(\)"),
    ({"callbacks": [3]}, LABELS, r"callbacks=\[3\] must be a list of functions"),
    ({"class_weight": {0: -1}}, LABELS, r"class_weight=\{0: -1\} must be finite, none negative"),
    ({"class_weight": {7: 1}}, LABELS, r"not in class_weight"),
    ({"coefs_init": [np.ones((6, 8))]}, LABELS, r"coefs_init has arrays of shapes \[\(6, 8\)\], but the network takes"),
    ({"coefs_init": "zeros"}, LABELS, "'coefs_init' parameter of MLPClassifier must be"),
    ({"intercepts_init": [np.full(n, np.nan) for n in (8, 7, 3)]}, LABELS, "intercepts_init contains NaN or infinity"),
    ({"dropout": 1.0}, LABELS, "'dropout' parameter of MLPClassifier must be"),
    ({"dropout": [0.1]}, LABELS, "a list with one for each of the 2 hidden layers"),
    ({"dropout": [0.1, 1]}, LABELS, "a list with one for each of the 2 hidden layers"),
    ({"dtype": "float16"}, LABELS, "'dtype' parameter of MLPClassifier must be"),
    ({"early_stopping": True, "early_stopping_metric": "fame"}, LABELS, "'fame' is not a valid scoring value"),
    ({"huber_delta": 0}, VALUES, "'huber_delta' parameter of MLPRegressor must be"),
    ({"l1": -1}, LABELS, "'l1' parameter of MLPClassifier must be"),
    ({"learning_rate": "fast"}, LABELS, "'learning_rate' parameter of MLPClassifier must be .*one_cycle"),
    ({"loss": "softmax_cross_entropy"}, VALUES, "'loss' parameter of MLPRegressor must be .*absolute_error"),
    ({"loss": "poisson"}, VALUES, "loss='poisson' takes counts, y >= 0, but y has the value -"),
    ({"max_norm": 0}, LABELS, "'max_norm' parameter of MLPClassifier must be"),
    ({"precision": "fp16"}, LABELS, "'precision' parameter of MLPClassifier must be .*'bf16'"),
    ({"precision": "bf16", "backend": "numpy"}, LABELS, "precision='bf16' is not offered by backend='numpy'"),
    ({"n_threads": 0}, LABELS, "'n_threads' parameter of MLPClassifier must be"),
    ({"loss": "quantile", "quantile": 1.5}, VALUES, "'quantile' parameter of MLPRegressor must be"),
    ({"loss": "quantile", "quantile": [0.5, 1.5]}, VALUES, "between 0 and 1"),
    ({"solver": "newton"}, LABELS, "'solver' parameter of MLPClassifier must be .*adamw"),
    ({"solver": Adam}, LABELS, "'solver' parameter of MLPClassifier must be .*Optimizer"),
    ({"callbacks": print}, LABELS, "'callbacks' parameter of MLPClassifier must be"),
]


@pytest.mark.parametrize(("parameters", "y", "message"), WRONG, ids=[str(row[0]) for row in WRONG])
def test_wrong_parameters(parameters, y, message):
    with pytest.raises((ValueError, InputError), match=f"(?s){message}"):
        make(y, **parameters).fit(X, y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y_val": LABELS}, "y_val is given without X_val"),
        ({"sample_weight_val": WEIGHTS}, "sample_weight_val is given without X_val"),
        ({"X_val": X}, "X_val is given without y_val"),
        ({"X_val": X[:, :3], "y_val": LABELS}, "X has 3 features, but MLPClassifier is expecting 6"),
        ({"X_val": X[:5], "y_val": LABELS}, "inconsistent numbers of samples"),
        ({"X_val": X, "y_val": LABELS + 1}, r"y_val has classes \[3\] that are not among those of y"),
        ({"X_val": X, "y_val": LABELS, "sample_weight_val": np.ones(3)}, "sample_weight.shape"),
        ({"X_val": np.where(X > 2, np.nan, X), "y_val": LABELS}, "Input X contains NaN"),
    ],
)
def test_wrong_validation_data(given, message):
    with pytest.raises(ValueError, match=message):
        make(LABELS).fit(X, LABELS, **given)


def test_validation_targets_of_another_width():
    with pytest.raises(ValueError, match="y_val has 2 columns, but y has 3"):
        make(OUTPUTS).fit(X, OUTPUTS, X_val=X, y_val=OUTPUTS[:, :2])


@pytest.mark.parametrize(
    ("y", "y_val", "message"),
    [
        (LABELS, MANY, "y_val is multilabel-indicator, but y is multiclass"),
        (BINARY, MANY, "y_val is multilabel-indicator, but y is binary"),
        (BINARY, np.c_[LABELS, LABELS], "y_val is multiclass-multioutput, but y is binary"),
        (MANY, BINARY, "y_val is binary, but y is multilabel-indicator"),
    ],
)
def test_validation_labels_of_another_form(y, y_val, message):
    with pytest.raises(ValueError, match=message):
        make(y).fit(X, y, X_val=X, y_val=y_val)


@pytest.mark.parametrize("layer", [2, -3, 0.5, "last"])
def test_wrong_layers(layer):
    with pytest.raises(ValueError, match=f"layer={layer!r} is none of the 2 hidden layers, 0 to 1 or -1"):
        make(LABELS).fit(X, LABELS).hidden_activations(X, layer)
