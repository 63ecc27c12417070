"""Overridden private methods that scikit-learn's fits call and fastmlp's do not: such fits are refused."""

import pytest
from parity.cases import LABELS, TARGETS, VALUES, X
from sklearn import neural_network

import fastmlp
from drop_in.overriding import WAYS, overridden
from drop_in.sides import QUIET, SMALL, base, begin, on_both_sides

pytestmark = QUIET

EVERY_SOLVER = ("_backprop", "_forward_pass", "_compute_loss_grad")
STOCHASTIC = ("_fit_stochastic", "_update_no_improvement_count")
LBFGS = ("_fit_lbfgs", "_loss_grad_lbfgs", "_unpack")
SCORING = ("_score", "_predict", "_forward_pass_fast")
EARLY = {"early_stopping": True}
CALLED = [
    *((name, {"solver": solver}) for name in EVERY_SOLVER for solver in ("adam", "sgd", "lbfgs")),
    *((name, {"solver": solver}) for name in STOCHASTIC for solver in ("adam", "sgd")),
    *((name, {"solver": "lbfgs"}) for name in LBFGS),
    *((name, EARLY | {"solver": solver}) for name in SCORING for solver in ("adam", "sgd")),
]
NOT_CALLED = [
    *((name, {"solver": solver}) for name in LBFGS for solver in ("adam", "sgd")),
    *((name, {"solver": "lbfgs"}) for name in STOCHASTIC),
    ("_score_with_function", EARLY | {"solver": "adam"}),  # the one of the base class is called
    *((name, {"solver": solver}) for name in SCORING for solver in ("adam", "lbfgs")),
    *((name, EARLY | {"solver": "lbfgs"}) for name in SCORING),
]
# one of which the message names
PUBLIC_WAYS = "custom_loss|callbacks|coefs_init|hidden_activations|early_stopping_metric|dropout|l1|optimizers"


def counted(calls):
    """A method that counts its calls and calls the original."""

    def around(original):
        def method(self, *args, **given):
            calls.append(1)
            return original(self, *args, **given)

        return method

    return around


@pytest.mark.parametrize("target", ["multiclass", "one output"])
@pytest.mark.parametrize("name, parameters", CALLED, ids=str)
def test_refused(name, parameters, target, monkeypatch):
    """Before anything is changed, in every way to override; the message names the class, the hook and a public way."""
    calls = []
    theirs = overridden("subclass", base(neural_network, target), name, counted(calls))
    theirs(**SMALL | parameters).fit(X, TARGETS[target])
    assert calls
    for way in WAYS:
        with monkeypatch.context() as patch:
            model = overridden(way, base(fastmlp, target), name, counted(calls), patch)(**SMALL | parameters)
            before = dict(vars(model))
            with pytest.raises(TypeError, match=PUBLIC_WAYS) as error:
                model.fit(X, TARGETS[target])
            assert name in str(error.value) and type(model).__name__ in str(error.value)
            assert vars(model) == before


@pytest.mark.parametrize("name", [*EVERY_SOLVER, *STOCHASTIC])
@pytest.mark.parametrize("target", ["multiclass", "one output"])
def test_refused_by_partial_fit(name, target):
    calls = []
    theirs, ours = (
        overridden("subclass", base(nn, target), name, counted(calls))(**SMALL) for nn in (neural_network, fastmlp)
    )
    begin(theirs, target)
    assert calls
    before = dict(vars(ours))
    with pytest.raises(TypeError, match=PUBLIC_WAYS):
        begin(ours, target)
    assert vars(ours) == before


@pytest.mark.parametrize("name, parameters", NOT_CALLED, ids=str)
@on_both_sides
def test_not_refused(nn, name, parameters, monkeypatch):
    """scikit-learn does not call these in such a fit."""
    calls = []
    for target in ("multiclass", "one output"):
        model = overridden("subclass", base(nn, target), name, counted(calls))(**SMALL | parameters)
        yield model.fit(X, TARGETS[target]).coefs_, model.loss_
    assert not calls


@on_both_sides
def test_prediction_is_not_refused(nn):
    """Weights of one's own, and a method that predictions do not call."""

    class Model(nn.MLPRegressor):
        def _forward_pass(self, activations):
            raise AssertionError("not called")

    fitted, model = nn.MLPRegressor(**SMALL).fit(X, VALUES), Model(**SMALL)
    for name in ("coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_"):
        setattr(model, name, getattr(fitted, name))
    return model.predict(X)


@on_both_sides
def test_the_original_under_its_name_is_not_refused(nn):
    class Model(nn.MLPClassifier):
        _backprop = nn.MLPClassifier._backprop

    return Model(**SMALL).fit(X, LABELS)


def test_refused_on_the_way_to_the_class():
    """Also a method of a mixin, and of the parent of a subclass; a fitted model stays as it is."""

    class Mixin:
        def _backprop(self, *given):
            return super()._backprop(*given)

    class Model(Mixin, fastmlp.MLPRegressor):
        pass

    class Child(Model):
        pass

    for kind in (Model, Child):
        with pytest.raises(TypeError, match=f"{kind.__name__}.*_backprop"):
            kind(**SMALL).fit(X, VALUES)
    fitted = fastmlp.MLPRegressor(**SMALL).fit(X, VALUES)
    predictions = fitted.predict(X)
    fitted._backprop = lambda *given: None
    with pytest.raises(TypeError, match=r"MLPRegressor.*_backprop"):
        fitted.partial_fit(X, VALUES)
    assert (fitted.predict(X) == predictions).all()
