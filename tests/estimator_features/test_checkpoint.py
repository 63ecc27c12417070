"""A fit that is killed and resumed ends, bit for bit, like an uninterrupted one, including fitted attributes."""

import warnings

import numpy as np
import pytest
from killing import Killed, killed_after
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from fastmlp import InputError, MLPClassifier, MLPRegressor

RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((120, 6))
LABELS = np.array(["no", "yes", "perhaps"])[(X @ RANDOM.standard_normal((6, 3))).argmax(axis=1)]
VALUES = X[:, 0] - np.abs(X[:, 1])
PARTS = {"validation": {"X_val": X[80:], "y_val": LABELS[80:]}}

CASES = {
    "adam": (MLPClassifier, {}, {}),
    "adaptive": (MLPClassifier, {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2}, {}),
    "invscaling": (MLPRegressor, {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.01}, {}),
    "early stopping": (MLPClassifier, {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.05}, {}),
    "own validation": (
        MLPClassifier,
        {"dropout": 0.2, "early_stopping_metric": "loss", "early_stopping": True},
        "validation",
    ),
    "schedule": (MLPRegressor, {"learning_rate": "one_cycle", "solver": "adamw", "l1": 0.01, "max_norm": 1.0}, {}),
    "no shuffle": (MLPRegressor, {"shuffle": False, "loss": "huber"}, {}),
}


def fitted(case, x=X, more=None, **options):
    kind, parameters, data = CASES[case]
    y = LABELS if kind is MLPClassifier else VALUES
    settings = {"random_state": 0, "max_iter": 9, "hidden_layer_sizes": (8,), "batch_size": 25, **parameters}
    e = kind(**settings | (more or {}))
    if isinstance(data, str):
        options |= PARTS[data]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return e.fit(x, y, **options)


def same(a, b):
    names = {name for name in vars(a) if name.endswith("_") or name == "_no_improvement_count"}
    assert names == {name for name in vars(b) if name.endswith("_") or name == "_no_improvement_count"}
    for name in names:
        np.testing.assert_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert repr(a._random_state.get_state()) == repr(b._random_state.get_state())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_resumed_fit_is_one_that_never_stopped(case, dtype, backend, tmp_path, monkeypatch):
    x, more = X.astype(dtype), {"backend": backend}
    wanted = fitted(case, x, more)
    options = {"checkpoint": tmp_path / "c", "checkpoint_every": 1, "resume": True}
    for n in (2, 1):
        with killed_after(monkeypatch, n), pytest.raises(Killed):
            fitted(case, x, more, **options)
    found = fitted(case, x, more, **options)
    same(found, wanted)
    if not wanted.early_stopping:  # moments and rates go on alike
        y = LABELS if isinstance(wanted, MLPClassifier) else VALUES
        same(found.partial_fit(x, y), wanted.partial_fit(x, y))


def test_sparse_samples_and_a_warm_start(backend, tmp_path, monkeypatch):
    x = sparse.csr_matrix(np.where(X > 0, X, 0))

    def run(**options):
        e = fitted("adam", x, {"backend": backend, "warm_start": True, "max_iter": 2})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return e.set_params(max_iter=5).fit(x, LABELS, **options)

    wanted, options = run(), {"checkpoint": tmp_path / "c", "checkpoint_every": 2, "resume": True}
    with killed_after(monkeypatch, 2), pytest.raises(Killed):
        run(**options)
    same(run(**options), wanted)
    with pytest.raises(InputError, match="samples seen before 240 then, 0 now"):
        fitted("adam", x, {"backend": backend, "max_iter": 5}, **options)


def test_what_is_refused_leaves_the_estimator_as_it_was(tmp_path):
    path = tmp_path / "c"
    fitted("adam", checkpoint=path)
    e = MLPClassifier(random_state=0, max_iter=9, hidden_layer_sizes=(8,), batch_size=25, backend="numpy")
    with pytest.raises(InputError, match=r"classes \['no', 'perhaps', 'yes'\] then, \['0', '1', '2'\] now"):
        e.fit(X, np.unique(LABELS, return_inverse=True)[1], checkpoint=path, resume=True)
    assert not [name for name in vars(e) if name.endswith("_")]
    with pytest.raises(InputError, match="random_state 0 then, 1 now"):
        fitted("adam", more={"random_state": 1}, checkpoint=path, resume=True)
    with pytest.raises(InputError, match="features"):
        e.fit(X + 1, LABELS, checkpoint=path, resume=True)
    seeded = {"random_state": np.random.RandomState(3)}
    fitted("early stopping", more=seeded, checkpoint=tmp_path / "e")
    seeded["random_state"].seed(3)
    for _ in range(2):  # a refusal draws nothing from the generator
        with pytest.raises(InputError, match=r"of another run: l2 0\.0001 then, 0\.5 now\. Give"):
            fitted("early stopping", more=seeded | {"alpha": 0.5}, checkpoint=tmp_path / "e", resume=True)
    fitted("early stopping", more=seeded, checkpoint=tmp_path / "e", resume=True)
    (tmp_path / "e").unlink()
    with pytest.raises(ValueError, match="checkpoint means nothing to solver='lbfgs'"):
        e.set_params(solver="lbfgs").fit(X, LABELS, checkpoint=tmp_path / "d")
    with pytest.raises(ValueError, match="every fit holds out other samples"):
        fitted("early stopping", None, {"random_state": None}, checkpoint=tmp_path / "d")
    assert [file.name for file in tmp_path.iterdir()] == ["c"]
