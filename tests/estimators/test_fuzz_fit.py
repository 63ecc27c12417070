"""Invalid input of every kind raises only fastmlp's errors and no warnings, and a refused call changes nothing."""

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fastmlp import MLP, FastmlpError, InputError

WORDS = ["", "relu", "tanh", "threshold", "mean", "sum", "adam", "balanced", "full", "accuracy", "float32", "numpy"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 6),
    st.sampled_from([2**40, -(2**70), 10**400, 1e308, 1e-320]),
    st.floats(),
    st.complex_numbers(),
    st.sampled_from(WORDS),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.builds(object),
    st.sampled_from([float, np.float32(0.5), np.int8(1), np.bool_(True), np.datetime64("2020-01-01"), np.str_("a")]),
)
junk = st.one_of(
    scalars,
    st.lists(scalars, max_size=4),
    st.lists(st.lists(scalars, max_size=3), max_size=3),
    st.dictionaries(st.one_of(st.integers(-1, 3), st.text(max_size=2)), scalars, max_size=3),
    st.sets(st.integers(0, 3)),
    st.builds(np.array, st.lists(st.floats(), max_size=4)),
    st.just(len),
)
tables = arrays.arrays(
    st.one_of(
        arrays.floating_dtypes(endianness="?"),
        arrays.integer_dtypes(endianness="?"),
        arrays.boolean_dtypes(),
        arrays.complex_number_dtypes(),
        arrays.unicode_string_dtypes(max_len=3),
        arrays.datetime64_dtypes(),
        st.just(np.dtype([("a", "f4")])),
    ),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)
numbers = arrays.arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(1, 4)), elements=st.floats())
targets = arrays.arrays(st.sampled_from([np.int64, np.float64, np.bool_]), st.integers(0, 4))
CONSTRUCTOR = list(inspect.signature(MLP).parameters)
OPTIONS = list(inspect.signature(MLP.fit).parameters)[3:]


def only_our_errors(call):
    """Call; return the error of fastmlp that it raises, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call()
        except FastmlpError as error:
            assert len(str(error)) > 20  # a sentence, not a word
            return error
    return None


def flat(model):
    return np.concatenate([array.ravel() for array in (*model.weights, *model.biases)])


def refusals_change_nothing(model, call):
    before, loss, history = flat(model), model.loss, model.history
    error = only_our_errors(call)
    assert np.isfinite(flat(model)).all()
    if isinstance(error, InputError):
        assert (model.loss, model.history) == (loss, history)
        np.testing.assert_array_equal(flat(model), before)


@pytest.fixture(autouse=True, scope="module")
def folder_for_files(tmp_path_factory):
    """A name is a good path: `fit` writes a checkpoint there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("files"))
        yield


@pytest.mark.parametrize("name", CONSTRUCTOR)
@given(value=junk)
@example(value="a")  # as a dtype, an alias that NumPy warns of
def test_one_bad_argument_of_the_model(name, value):
    given = {"sizes": [2, 3, 2], "backend": "numpy"} | {name: value}
    only_our_errors(lambda: MLP(**given))


@given(
    sizes=st.lists(st.integers(-1, 5), max_size=5),
    activation=st.one_of(junk, st.lists(st.sampled_from(WORDS), max_size=4)),
    dropout=st.one_of(st.floats(), st.lists(st.floats(-0.1, 1.1), max_size=4)),
    l1=st.floats(),
    l2=st.floats(),
    seed=st.integers(),
)
def test_many_bad_arguments_of_the_model(**given):
    only_our_errors(lambda: MLP(**given, backend="numpy"))


@pytest.mark.parametrize("sizes", [[2**24, 2**24], [3] * 20_000], ids=["wide", "deep"])
def test_absurd_sizes(sizes):
    only_our_errors(lambda: MLP(sizes, backend="numpy"))


@given(
    x=st.one_of(tables, numbers, junk),
    y=st.one_of(targets, tables, junk),
    loss=st.sampled_from([None, "huber", "poisson"]),
)
@settings(max_examples=300)
def test_bad_data(x, y, loss):
    for outputs in (1, 2):
        model = MLP([2, 3, outputs], loss=loss, backend="numpy", seed=0)
        refusals_change_nothing(model, lambda model=model: model.fit(x, y, epochs=1))
        only_our_errors(lambda model=model: model.predict(x))
        only_our_errors(lambda model=model: model.evaluate(x, y))
        only_our_errors(lambda model=model: model.gradients(x, y))


@pytest.mark.parametrize("name", OPTIONS)
@given(value=st.one_of(junk, tables))
def test_one_bad_option_of_fit(name, value):
    x = np.array([[0.5, 1], [2, -3], [1, 0.25], [-1, 1]])
    model = MLP([2, 3, 2], backend="numpy", seed=0)
    refusals_change_nothing(model, lambda: model.fit(x, [0, 1, 1, 0], **{"epochs": 2} | {name: value}))


@given(
    lr=st.floats(1e-300, 1e300),
    scale=st.floats(1e-30, 1e30),
    held_out_scale=st.floats(1e-30, 1e38),
    optimizer=st.sampled_from(["sgd", "rmsprop", "adam", "adamw"]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_absurd_numbers_train_or_diverge_without_a_warning(lr, scale, held_out_scale, optimizer, dtype):
    x = np.array([[0.5, 1], [2, -3], [1, 0.25], [-1, 1]])
    model = MLP([2, 3, 1], "softplus", loss="mean_squared_error", dtype=dtype, backend="numpy", seed=0)
    options = {"batch_size": 3, "optimizer": optimizer, "lr": lr, "epochs": 3}
    refusals_change_nothing(model, lambda: model.fit(scale * x, x[:, 0], **options))
    held_out = held_out_scale * x, x[:, 0]
    refusals_change_nothing(model, lambda: model.fit(x, x[:, 0], validation_data=held_out, **options))


@given(weights=st.one_of(junk, st.lists(tables, max_size=3)), biases=st.one_of(junk, st.lists(tables, max_size=3)))
def test_bad_parameters(weights, biases):
    model = MLP([2, 3, 2], backend="numpy", seed=0)
    refusals_change_nothing(model, lambda: model.set_parameters(weights, biases))


@pytest.mark.parametrize(
    "y", [[0, 0, 0], [0, 1, 5], [-1, 0, 1], [0.5, 0, 1], ["a", "b", "c"], [[0], [1], [2]]], ids=str
)
def test_labels(y):
    model = MLP([2, 3], "softmax", backend="numpy", seed=0)
    x = np.eye(3)[:, :2]
    if y in ([0, 0, 0], [[0], [1], [2]]):
        model.fit(x, y, epochs=1)
        return
    with pytest.raises(InputError, match="label"):
        model.fit(x, y, epochs=1)
