"""The estimators train on samples that are read block by block."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier, MLPRegressor, open_samples

from .written import samples, write


@pytest.fixture(autouse=True)
def few_iterations():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def classifier(**options):
    return MLPClassifier(
        (16,),
        max_iter=8,
        random_state=0,
        learning_rate_init=1e-2,
        batch_size=50,
        dtype="float32",
        backend="numpy",
        **options,
    )


@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_without_a_shuffle_a_fit_is_that_of_the_arrays(kind, tmp_path):
    x, y, weights = samples()
    opened = open_samples(**write(kind, tmp_path, x, y, weights), memory=3000)
    model = classifier(shuffle=False).fit(opened)
    other = classifier(shuffle=False).fit(x.astype(np.float32), y, weights)
    np.testing.assert_allclose(model.loss_curve_, other.loss_curve_, rtol=1e-6)
    assert (model.n_features_in_, model.t_) == (6, 8000)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"]])
def test_labels_may_be_texts_that_come_one_after_the_other(labels, tmp_path):
    pytest.importorskip("pyarrow")
    x, y, weights = samples()
    x = (x / 255).astype(np.float32)
    y = np.minimum(y, len(labels) - 1)
    order = np.argsort(y, kind="stable")
    texts = np.array(labels, object)[y[order]]
    opened = open_samples(**write("parquet", tmp_path, x[order], texts, weights), memory=3000)
    model = classifier(class_weight=dict.fromkeys(labels, 2.0)).fit(opened, X_val=x, y_val=np.array(labels, object)[y])
    assert model.classes_.tolist() == labels
    assert model.score(x, np.array(labels, object)[y]) > 0.6
    assert len(model.validation_scores_) == 8


def test_regression_of_several_targets():
    x, _, _ = samples()
    values = np.stack([x[:, 0] / 255, x[:, 1] / 255], axis=1)
    model = MLPRegressor(
        hidden_layer_sizes=(8,), max_iter=20, batch_size=20, random_state=0, learning_rate_init=1e-2, backend="numpy"
    )
    model.fit(open_samples(x / 255, values, memory=20_000))
    assert model.n_outputs_ == 2
    assert model.score(x / 255, values) > 0.9


def test_partial_fit_takes_batches():
    x, y, _ = samples()
    opened, model = open_samples(x, y, memory=6000), classifier()
    for part, labels in opened.batches(250, epochs=3, seed=0):
        model.partial_fit(part, labels, classes=[0, 1, 2])
    assert model.t_ == 3000


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"early_stopping": True}, "Give X_val and y_val"),
        ({"solver": "lbfgs"}, "Choose another solver"),
        ({"class_weight": "balanced"}, "counts the classes of all samples"),
    ],
)
def test_what_would_need_all_samples_is_refused(parameters, message):
    x, y, _ = samples()
    with pytest.raises(ValueError, match=message):
        classifier(**parameters).fit(open_samples(x, y))
    with pytest.raises(ValueError, match=r"Samples\.batches"):
        classifier().partial_fit(open_samples(x, y), y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="y is given beside Samples"):
        classifier().fit(open_samples(x, y), y)
    with pytest.raises(ValueError, match="may not be negative"):
        classifier().fit(open_samples(x, y, sample_weight=-np.ones(len(x))))
