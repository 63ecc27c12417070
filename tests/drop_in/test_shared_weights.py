"""Several models that exchange weights: averaged, shared, copied, evolved."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parity.cases import LABELS, OUTPUTS, TARGETS, VALUES, N, X

from drop_in.sides import QUIET, begin, make, on_both_sides

pytestmark = QUIET

CLIENTS = (slice(0, 70), slice(70, 150), slice(150, N))


def mean(models, name):
    return [np.mean(layers, axis=0) for layers in zip(*(getattr(model, name) for model in models), strict=True)]


def given_out(server, client):
    client.coefs_ = [weights.copy() for weights in server.coefs_]
    client.intercepts_ = [biases.copy() for biases in server.intercepts_]


def shared(server, client):
    client.coefs_, client.intercepts_ = server.coefs_, server.intercepts_


def written(server, client):
    for name in ("coefs_", "intercepts_"):
        for mine, others in zip(getattr(client, name), getattr(server, name), strict=True):
            mine[...] = others


@pytest.mark.parametrize("hand_out", [given_out, shared, written], ids=lambda function: function.__name__)
@pytest.mark.parametrize("target, solver", [("multiclass", "adam"), ("one output", "sgd")])
@on_both_sides
def test_federated_averaging(nn, target, solver, hand_out):
    y = TARGETS[target]
    server, *clients = (begin(make(nn, target, solver=solver, random_state=seed), target) for seed in range(4))
    for _ in range(2):
        for client, rows in zip(clients, CLIENTS, strict=True):
            hand_out(server, client)
            client.partial_fit(X[rows], y[rows])
            client.partial_fit(X[rows], y[rows])
        server.coefs_, server.intercepts_ = mean(clients, "coefs_"), mean(clients, "intercepts_")
        yield server.predict(X), server.score(X, y)
    yield clients
    yield server.partial_fit(X, y)


@on_both_sides
def test_federated_averaging_by_warm_starts(nn):
    """Item by item, as weighted sums; models begin untrained on a few rows."""
    clients = [make(nn, "multiclass", warm_start=True, batch_size="auto") for _ in CLIENTS]
    for client in clients:
        client.fit(X[:20], LABELS[:20])
    shares = [len(X[rows]) / N for rows in CLIENTS]
    for _ in range(2):
        for client, rows in zip(clients, CLIENTS, strict=True):
            client.fit(X[rows], LABELS[rows])
        for layer in range(3):
            weights = sum(share * client.coefs_[layer] for share, client in zip(shares, clients, strict=True))
            biases = sum(share * client.intercepts_[layer] for share, client in zip(shares, clients, strict=True))
            for client in clients:
                client.coefs_[layer], client.intercepts_[layer] = weights, biases
        yield clients


@on_both_sides
def test_parameters_as_one_list(nn):
    """As clients of federated learning exchange them: weights, then biases."""
    model = begin(make(nn, "multiclass", batch_size="auto"), "multiclass", slice(0, 30))
    for rows in CLIENTS:
        parameters = [array + 0.01 for array in model.coefs_ + model.intercepts_]
        layers = len(model.hidden_layer_sizes) + 1
        model.coefs_, model.intercepts_ = parameters[:layers], parameters[layers:]
        model.partial_fit(X[rows], LABELS[rows])
        yield model, parameters


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@on_both_sides
def test_two_models_with_the_same_arrays(nn, solver):
    """Training one trains the other."""
    a, b = (make(nn, "one output", solver=solver, random_state=seed).fit(X, VALUES) for seed in (0, 1))
    b.coefs_ = a.coefs_
    b.intercepts_[0] = a.intercepts_[0]
    for trained in (a, b, b, a):
        trained.partial_fit(X, VALUES)
        yield a, b
    a.fit(X, VALUES)
    yield a, b
    b.partial_fit(X, VALUES)
    yield a, b


def hard(target, model):
    target.coefs_, target.intercepts_ = deepcopy(model.coefs_), deepcopy(model.intercepts_)


def soft(target, model):
    for name in ("coefs_", "intercepts_"):
        old, new = getattr(target, name), getattr(model, name)
        for layer in range(len(old)):
            old[layer] = 0.3 * new[layer] + 0.7 * old[layer]


@pytest.mark.parametrize("update", [hard, soft], ids=lambda function: function.__name__)
@pytest.mark.parametrize("method", ["partial_fit", "fit"])
@on_both_sides
def test_q_learning_with_a_target_network(nn, update, method):
    random = np.random.RandomState(1)
    model, target = (make(nn, "outputs", warm_start=True, batch_size="auto", max_iter=2) for _ in range(2))
    for network in (model, target):
        network.partial_fit(X[:1], np.zeros((1, 3)))
    memory = []
    for step in range(12):
        state, following = X[step : step + 1], X[step + 1 : step + 2]
        action = int(model.predict(state).argmax()) if random.uniform() < 0.7 else random.randint(3)
        memory.append((state, action, VALUES[step], following))
        states, goals = [], []
        for i in random.permutation(len(memory))[:4]:
            state, action, reward, following = memory[i]
            goal = model.predict(state)
            goal[0, action] = reward + 0.9 * target.predict(following).max()
            states.append(state[0])
            goals.append(goal[0])
        getattr(model, method)(np.array(states), np.array(goals))
        if step % 4 == 3:
            update(target, model)
    yield model, target


@on_both_sides
def test_imitation_with_a_growing_set(nn):
    """An expert labels the states that the learner gets to; trained again on all of them, warm."""
    learner = make(nn, "multiclass", warm_start=True, max_iter=2).fit(X[:70], LABELS[:70])
    rows = list(range(70))
    for start in (70, 110, 150):
        new = np.arange(start, start + 40)
        rows += list(new[learner.predict(X[new]) != LABELS[new]])
        learner.fit(X[rows], LABELS[rows])
        yield learner, len(rows)


@on_both_sides
def test_evolution(nn):
    """The best of several mutated copies goes on; no step is made."""
    random = np.random.RandomState(0)
    best = begin(make(nn, "multiclass", batch_size="auto"), "multiclass", slice(0, 3))
    for _ in range(3):
        children = [deepcopy(best) for _ in range(4)]
        for child in children:
            for array in child.coefs_ + child.intercepts_:
                array += 0.3 * random.standard_normal(array.shape)
            crossed = random.uniform(size=child.coefs_[0].shape) < 0.5
            child.coefs_[0] = np.where(crossed, best.coefs_[0], child.coefs_[0])
        best = max([best, *children], key=lambda model: model.score(X, LABELS))
        yield best


@on_both_sides
def test_pruned_again_after_each_epoch(nn):
    """A mask, and weights that start again from the first ones."""
    model = begin(make(nn, "multiclass"), "multiclass")
    first = [weights.copy() for weights in model.coefs_]
    for _ in range(3):
        model.partial_fit(X, LABELS)
    masks = [np.abs(weights) > np.median(np.abs(weights)) for weights in model.coefs_]
    model.coefs_ = [mask * weights for mask, weights in zip(masks, first, strict=True)]
    for _ in range(3):
        model.partial_fit(X, LABELS)
        for mask, weights in zip(masks, model.coefs_, strict=True):
            weights *= mask
        yield model


@on_both_sides
def test_average_over_epochs(nn):
    model, kept = begin(make(nn, "outputs"), "outputs"), []
    for _ in range(4):
        model.partial_fit(X, OUTPUTS)
        kept.append(deepcopy(model))
    averaged = deepcopy(model)
    averaged.coefs_, averaged.intercepts_ = mean(kept, "coefs_"), mean(kept, "intercepts_")
    yield averaged, model
    model.coefs_, model.intercepts_ = kept[1].coefs_, kept[1].intercepts_  # back to an epoch
    yield model.partial_fit(X, OUTPUTS), kept[1]


class World:
    """Two models, and arrays and lists of theirs that a user keeps."""

    def __init__(self, nn):
        self.a, self.b = (
            make(nn, "one output", solver=solver, random_state=seed, batch_size="auto").fit(X[:50], VALUES[:50])
            for seed, solver in enumerate(("sgd", "adam"))
        )
        self.held, self.list = self.a.coefs_[0], self.a.coefs_
        self.random = np.random.RandomState(0)

    def step(self, name):
        a, b = self.a, self.b
        if name == "train a":
            a.partial_fit(X[:50], VALUES[:50])
        elif name == "train b":
            b.partial_fit(X[:50], VALUES[:50])
        elif name == "warm fit of a":
            a.set_params(warm_start=True).fit(X[:50], VALUES[:50])
        elif name == "fit of b":
            b.set_params(warm_start=False).fit(X[:50], VALUES[:50])
        elif name == "hold a":
            self.held, self.list = a.coefs_[0], a.coefs_
        elif name == "change held array":
            self.held += 0.1
        elif name == "change held list":
            self.list[-1] = self.random.standard_normal(self.list[-1].shape)
        elif name == "change a in place":
            a.coefs_[0][1] = 0.2
            a.intercepts_[-1] -= 0.1
        elif name == "assign to a":
            a.coefs_ = [self.random.standard_normal(weights.shape) for weights in a.coefs_]
        elif name == "share with b":
            b.coefs_, b.intercepts_ = a.coefs_, a.intercepts_
        elif name == "share a layer with b":
            b.coefs_[0] = a.coefs_[0]
        elif name == "average":
            a.coefs_ = b.coefs_ = [(one + other) / 2 for one, other in zip(a.coefs_, b.coefs_, strict=True)]
        elif name == "scale b":
            b.coefs_[1] *= 0.5

    STEPS = (
        *("train a", "train b", "warm fit of a", "fit of b", "hold a", "change held array", "change held list"),
        *("change a in place", "assign to a", "share with b", "share a layer with b", "average", "scale b"),
    )


@settings(max_examples=40)
@given(names=st.lists(st.sampled_from(World.STEPS), min_size=2, max_size=8))
@on_both_sides
def test_any_sequence_of_changes_and_training(nn, names):
    world = World(nn)
    for name in names:
        world.step(name)
        yield [world.a.predict(X), world.b.predict(X), world.held, world.list, world.a.coefs_, world.b.intercepts_]
