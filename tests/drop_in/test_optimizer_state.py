"""`_optimizer` after a fit: read, changed, replaced, shared, and used for a user's own steps."""

import copy
import pickle

import numpy as np
import pytest
from parity.cases import LABELS, OUTPUTS, TARGETS, VALUES, X
from sklearn.neural_network import _stochastic_optimizers as optimizers

import fastmlp
from drop_in.sides import QUIET, SMALL, begin, make, on_both_sides, same_or_refused

pytestmark = QUIET

ADAM = ("learning_rate_init", "learning_rate", "beta_1", "beta_2", "epsilon", "t", "ms", "vs")
SGD = ("learning_rate_init", "learning_rate", "lr_schedule", "momentum", "nesterov", "power_t", "velocities")
SOLVERS = {
    "adam": {"solver": "adam", "beta_1": 0.8, "epsilon": 1e-7},
    "sgd": {"solver": "sgd", "momentum": 0.8},
    "sgd without Nesterov": {"solver": "sgd", "nesterovs_momentum": False},
    "sgd without momentum": {"solver": "sgd", "momentum": 0.0},
    "sgd, invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
    "sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.1},
}


def state(optimizer):
    """Its attributes; without the velocities of a rule that has no momentum, and so does not look at them."""
    names = ADAM if isinstance(optimizer, optimizers.AdamOptimizer) else SGD
    unread = {"velocities"} if "velocities" in names and not optimizer.momentum else set()  # zeros here
    return {name: getattr(optimizer, name) for name in names if name not in unread}


def test_the_trained_arrays():
    """`params`, as scikit-learn's optimizers had before 1.0."""
    model = begin(make(fastmlp, "multiclass"), "multiclass")
    for _ in range(2):
        held = model._optimizer.params
        assert all(one is other for one, other in zip(held, model.coefs_ + model.intercepts_, strict=True))
        model.partial_fit(X, LABELS)
        model.coefs_[0] = model.coefs_[0].copy()
    assert not hasattr(pickle.loads(pickle.dumps(model)).__dict__["_optimizer"], "params")
    assert type(model.__getstate__()["_optimizer"]) is dict  # no type that a reader of files would have to trust


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop", "lbfgs"])
def test_a_copy_has_the_attributes_of_the_model(solver):
    """Of the classes that programs which write `vars` of a copy into files know."""
    model = make(fastmlp, "multiclass", solver=solver, max_iter=2).fit(X, LABELS)
    again = copy.deepcopy(model)
    assert vars(again).keys() == vars(model).keys()
    kinds = {"adam": optimizers.AdamOptimizer, "sgd": optimizers.SGDOptimizer, "lbfgs": type(None)}
    assert isinstance(vars(again).get("_optimizer"), kinds.get(solver, optimizers.BaseOptimizer))


@pytest.mark.parametrize(
    "target, solver", [*(("multiclass", solver) for solver in SOLVERS), ("outputs", "adam"), ("outputs", "sgd")]
)
@on_both_sides
def test_after_each_call(nn, solver, target):
    model = begin(make(nn, target, **SOLVERS[solver]), target)
    assert isinstance(model._optimizer, optimizers.SGDOptimizer if "sgd" in solver else optimizers.AdamOptimizer)
    yield state(model._optimizer)
    for _ in range(3):
        model.partial_fit(X, TARGETS[target])
        yield model.coefs_, state(model._optimizer)
    first = model._optimizer
    model.fit(X, TARGETS[target])
    yield state(model._optimizer), model._optimizer is first
    model.set_params(warm_start=True).fit(X, TARGETS[target])
    yield state(model._optimizer), state(first)
    first = model._optimizer
    model.partial_fit(X, TARGETS[target])
    yield state(model._optimizer), model._optimizer is first


@on_both_sides(tolerance=1e-4)
def test_in_single_precision(nn):
    """Moments have the dtype of the weights."""
    for solver in ("adam", "sgd"):
        model = make(nn, "one output", solver=solver).fit(X.astype(np.float32), VALUES.astype(np.float32))
        optimizer = model._optimizer
        yield optimizer.ms if solver == "adam" else optimizer.velocities


@on_both_sides
def test_lbfgs_has_none(nn):
    return [hasattr(make(nn, "outputs", solver="lbfgs").fit(X, OUTPUTS), "_optimizer")]


@on_both_sides
def test_after_early_stopping(nn):
    """It is the state after the last epoch, whichever was the best."""
    model = make(nn, "multiclass", early_stopping=True).fit(X, LABELS)
    yield state(model._optimizer)
    model.early_stopping, model.best_loss_ = False, np.inf
    yield model.partial_fit(X, LABELS), state(model._optimizer)


CHANGES = {}  # by name, of a fitted model; the solver is in the name


def change(function):
    CHANGES[function.__name__] = function
    return function


def like(arrays, scale):
    random = np.random.RandomState(3)
    return [scale * random.uniform(0.5, 1, array.shape) for array in arrays]


@change
def adam_begins_again(model):
    model._optimizer.t = 0


@change
def adam_forgets(model):
    optimizer = model._optimizer
    optimizer.t, optimizer.ms = 0, [np.zeros_like(m) for m in optimizer.ms]
    optimizer.vs = [np.zeros_like(v) for v in optimizer.vs]


@change
def adam_counts_on(model):
    model._optimizer.t += 100


@change
def adam_moments_in_place(model):
    model._optimizer.ms[0][...] = 0
    model._optimizer.vs[-1] *= 4


@change
def adam_moments_assigned(model):
    model._optimizer.ms, model._optimizer.vs = like(model._optimizer.ms, 0.1), like(model._optimizer.vs, 0.01)


@change
def adam_items_assigned(model):
    model._optimizer.ms[1] = like(model._optimizer.ms, 0.1)[1]
    model._optimizer.vs[0] = model._optimizer.vs[0] + 0.1


@change
def adam_rate(model):
    model._optimizer.learning_rate_init *= 0.5


@change
def adam_rate_that_is_computed(model):
    model._optimizer.learning_rate = 1.0  # without effect


@change
def adam_constants(model):
    model._optimizer.beta_1, model._optimizer.beta_2, model._optimizer.epsilon = 0.5, 0.9, 1e-3


@change
def sgd_rate(model):
    model._optimizer.learning_rate *= 0.5


@change
def sgd_first_rate(model):
    model._optimizer.learning_rate_init = 0.2  # of "invscaling" alone


@change
def sgd_momentum(model):
    model._optimizer.momentum = 0.5


@change
def sgd_without_momentum(model):
    model._optimizer.momentum = 0


@change
def sgd_nesterov(model):
    model._optimizer.nesterov = not model._optimizer.nesterov


@change
def sgd_schedule(model):
    model._optimizer.lr_schedule, model._optimizer.power_t = "invscaling", 0.2


@change
def sgd_constant_schedule(model):
    model._optimizer.lr_schedule = "constant"


@change
def sgd_velocities_in_place(model):
    for velocity in model._optimizer.velocities:
        velocity *= 0.5


@change
def sgd_velocities_assigned(model):
    model._optimizer.velocities = like(model._optimizer.velocities, 0.1)
    model._optimizer.velocities[-1] = np.zeros_like(model._optimizer.velocities[-1])


@change
def any_taken_away(model):
    del model._optimizer


@change
def any_parameters_of_the_model(model):
    """They matter to an optimizer that is made, not to the one there is."""
    model.set_params(
        learning_rate_init=0.5, momentum=0.1, nesterovs_momentum=False, beta_1=0.1, learning_rate="constant"
    )


@change
def any_other_adam(model):
    model._optimizer = optimizers.AdamOptimizer(model.coefs_ + model.intercepts_, learning_rate_init=0.05, beta_2=0.9)


@change
def any_other_sgd(model):
    parameters = model.coefs_ + model.intercepts_
    model._optimizer = optimizers.SGDOptimizer(parameters, 0.05, "invscaling", momentum=0.3, power_t=0.1)


@change
def any_copy(model):
    model._optimizer = copy.deepcopy(model._optimizer)


@change
def any_pickle(model):
    model._optimizer = pickle.loads(pickle.dumps(model._optimizer))


@change
def any_epoch_ends_by_hand(model):
    model._optimizer.iteration_ends(10 * model.t_)
    model._optimizer.trigger_stopping("plateau", False)


@change
def any_step_by_hand(model):
    parameters = model.coefs_ + model.intercepts_
    model._optimizer.update_params(parameters, like(parameters, 0.1))


FOR = {"adam": ["adam"], "sgd": ["sgd", "sgd, invscaling"], "any": ["adam", "sgd", "sgd, adaptive"]}
CASES = [(name, solver) for name in CHANGES for solver in FOR[name.partition("_")[0]]]


@pytest.mark.parametrize("name, solver", CASES)
@on_both_sides
def test_changes(nn, name, solver):
    """Before partial fits, and before a fit, which begins with an optimizer of its own."""
    model = begin(make(nn, "multiclass", **SOLVERS[solver]), "multiclass")
    for _ in range(2):
        CHANGES[name](model)
        for rows in (slice(None), slice(0, 90)):
            model.partial_fit(X[rows], LABELS[rows])
            yield model.coefs_, model.intercepts_, model.loss_, state(model._optimizer)
    CHANGES[name](model)
    yield model.fit(X, LABELS), state(model._optimizer)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@on_both_sides
def test_lists_that_are_held(nn, solver):
    """They stay as they were when training goes on."""
    model = begin(make(nn, "one output", **SOLVERS[solver]), "one output")
    optimizer = model._optimizer
    held = [optimizer.ms, optimizer.vs] if solver == "adam" else [optimizer.velocities]
    model.partial_fit(X, VALUES)
    yield held, state(optimizer)
    held[0][0][...] = 1  # no longer the optimizer's
    held[0][1] = np.zeros(1)
    yield model.partial_fit(X, VALUES), state(optimizer)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@on_both_sides
def test_one_optimizer_of_two_models(nn, solver):
    """Steps of both are counted, and both move its moments."""
    a, b = (begin(make(nn, "outputs", **SOLVERS[solver], random_state=seed), "outputs") for seed in (0, 1))
    b._optimizer = a._optimizer
    for model in (a, b, b, a):
        model.partial_fit(X, OUTPUTS)
        yield a, b, state(a._optimizer), b._optimizer is a._optimizer


def test_momentum_that_comes_back():
    """scikit-learn's first step with momentum knows the last one without; here nobody keeps that, so it is refused."""
    model = begin(make(fastmlp, "multiclass", solver="sgd", momentum=0.9), "multiclass")
    model._optimizer.momentum = 0.0
    model.partial_fit(X, LABELS)
    model._optimizer.momentum = 0.5
    for again in (model, pickle.loads(pickle.dumps(model))):
        with pytest.raises(ValueError, match=r"momentum=0\.5 .* velocities"):
            again.partial_fit(X, LABELS)
        again._optimizer.velocities = like(again._optimizer.velocities, 0.0)
        again.partial_fit(X, LABELS)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@on_both_sides
def test_rate_that_falls_by_hand(nn, solver):
    model = begin(make(nn, "multiclass", solver=solver), "multiclass")
    for _ in range(4):
        model._optimizer.learning_rate_init *= 0.9
        model._optimizer.learning_rate = model._optimizer.learning_rate_init
        yield model.partial_fit(X, LABELS), model._optimizer.learning_rate


@pytest.mark.parametrize("copies", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("solver", ["adam", "sgd, adaptive"])
@on_both_sides
def test_copies_of_models(nn, solver, copies):
    """Their optimizers go on by themselves."""
    model = begin(make(nn, "multiclass", **SOLVERS[solver]), "multiclass")
    again = copies(model)
    yield state(again._optimizer), again._optimizer is model._optimizer
    yield again.partial_fit(X, LABELS), state(again._optimizer), state(model._optimizer)
    yield model.partial_fit(X[:90], LABELS[:90]), state(again._optimizer), state(model._optimizer)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@on_both_sides
def test_arrays_of_an_optimizer_by_itself(nn, solver):
    """Steps on arrays of the user's, without the model."""
    optimizer = begin(make(nn, "one output", **SOLVERS[solver]), "one output")._optimizer
    arrays = like(optimizer.ms if solver == "adam" else optimizer.velocities, 1.0)
    for _ in range(3):
        optimizer.update_params(arrays, [0.1 * array for array in arrays])
        yield arrays, state(optimizer)


@on_both_sides
def test_stopping_by_hand(nn):
    model = make(nn, "one output", **SOLVERS["sgd, adaptive"]).fit(X, VALUES)
    yield [model._optimizer.trigger_stopping("plateau", False) for _ in range(3)], model._optimizer.learning_rate
    model._optimizer.learning_rate = 1e-7
    yield [model._optimizer.trigger_stopping("plateau", False)]
    yield [make(nn, "one output").fit(X, VALUES)._optimizer.trigger_stopping("plateau", False)]


class Clipped(optimizers.SGDOptimizer):
    """An optimizer with its own steps."""

    def _get_updates(self, grads):
        return [np.clip(update, -0.01, 0.01) for update in super()._get_updates(grads)]


class NoOptimizer:
    """It has what a fit of scikit-learn's calls."""

    def update_params(self, params, grads):
        for array, gradient in zip(params, grads, strict=True):
            array -= 0.1 * np.sign(gradient)

    def iteration_ends(self, time_step):
        pass


@pytest.mark.parametrize("define", [lambda arrays: Clipped(arrays, 0.1), lambda arrays: NoOptimizer()])
def test_steps_that_are_not_scikit_learns(define):
    """Made as the user has written them, or refused: not replaced by others in silence."""

    def program(nn):
        model = begin(make(nn, "one output"), "one output")
        model._optimizer = define(model.coefs_ + model.intercepts_)
        return model.partial_fit(X, VALUES)

    same_or_refused(program, "_optimizer|Optimizer")


def test_steps_overridden_on_the_instance():
    def program(nn):
        model = begin(make(nn, "one output"), "one output")
        model._optimizer.update_params = lambda params, grads: None
        return model.partial_fit(X, VALUES)

    same_or_refused(program, "_optimizer|Optimizer")


@pytest.mark.parametrize("name", ["adam_moments_in_place", "adam_rate", "any_other_sgd", "any_taken_away"])
@on_both_sides(tolerance=1e-7)
def test_changes_on_the_compiled_backend(nn, name, monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "numba")
    model = begin(make(nn, "multiclass", **SMALL), "multiclass")
    CHANGES[name](model)
    yield model.partial_fit(X, LABELS), state(model._optimizer)
    model.coefs_[0] *= 0.5
    model.intercepts_ = [b + 0.1 for b in model.intercepts_]
    yield model.partial_fit(X, LABELS), state(model._optimizer)
