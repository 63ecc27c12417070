"""Small training runs, and the results in which two of them must agree, for tests of checkpoints and signals."""

import numpy as np

from fastmlp import MLP
from fastmlp.optimizers import SGD, Adam, AdamW, RMSprop
from fastmlp.schedules import Cosine, OneCycle, ReduceOnPlateau, WarmUp

RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((90, 7)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((7, 3))).argmax(axis=1)
HELD = X[:30] + 0.1, Y[:30]


def outcome(model, history):
    """All results that must agree, without times."""
    columns = {name: history[name] for name in history.columns if name not in ("seconds", "samples_per_second")}
    state = model._random.get_state(legacy=False)
    return {
        "params": model._params.tobytes(),
        "history": (columns, history.stopped, history.best_epoch, history.updates),
        "generator": repr(state),
    }


CASES = {
    "sgd": ({}, {"optimizer": "sgd", "batch_size": 16}),
    "sgd, one sample": ({}, {"optimizer": SGD(0.01), "batch_size": 1}),
    "momentum": ({"l1": 1e-3}, {"optimizer": SGD(0.05, 0.9, True), "schedule": "step", "max_norm": 0.5}),
    "rmsprop": ({"l2": 1e-2}, {"optimizer": RMSprop(), "schedule": ReduceOnPlateau(patience=1), "batch_size": "full"}),
    "adam": ({"dropout": 0.3, "activation": "tanh"}, {"optimizer": Adam(0.01), "schedule": OneCycle()}),
    "adamw": ({"reduction": "sum"}, {"optimizer": AdamW(0.01), "schedule": WarmUp(2, Cosine()), "shuffle": False}),
    "patience": ({"dropout": 0.2}, {"lr": 0.1, "patience": 2, "validation_data": HELD, "metrics": ["accuracy"]}),
    "target": ({}, {"lr": 0.03, "target_loss": 0.3, "restore_best": True, "gradient_norms": True}),
    "weights": ({}, {"sample_weight": np.linspace(0.1, 1, 90), "class_weight": "balanced", "batch_size": 45}),
}


def train(case, backend, x=X, dtype="float32", epochs=6, **more):
    settings, options = CASES[case]
    model = MLP([7, 9, 3], backend=backend, dtype=dtype, seed=0, **settings)
    return model, model.fit(x, Y, **{"epochs": epochs, **options, **more})
