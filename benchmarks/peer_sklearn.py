"""scikit-learn in the comparison: MLPClassifier on float32, without early stopping, penalty and momentum."""

import warnings
from time import perf_counter

import numpy as np
from contenders import BETA1, BETA2, EPSILON, Task
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier


class ScikitLearn:
    """One `fit` for all epochs; the checks of its input, at most a few per cent, are included."""

    def __init__(self, task: Task) -> None:
        self.task = self.whole = task
        self.model = MLPClassifier(
            task.sizes[1:-1], solver=task.optimizer, learning_rate_init=task.lr, batch_size=task.batch, alpha=0,
            momentum=0, beta_1=BETA1, beta_2=BETA2, epsilon=EPSILON, tol=0, n_iter_no_change=np.inf,
            warm_start=True, shuffle=task.shuffled, random_state=task.seed,
        )  # fmt: skip
        classes, few = np.unique(task.y, return_index=True)  # one of each makes the arrays that reset fills
        self.model.set_params(batch_size=1).partial_fit(task.x[few], task.y[few], classes=classes)
        self.model.set_params(batch_size=task.batch)
        self.loss = float("nan")

    def take(self, samples: int) -> None:
        self.task = self.whole.part(samples)

    def reset(self) -> None:
        mine = self.parameters()
        for array, value in zip(mine, [*self.task.weights, *self.task.biases], strict=True):
            array[...] = value
        if hasattr(self.model, "_optimizer"):
            del self.model._optimizer  # partial_fit would go on with its memory

    def train(self, epochs: int) -> float:
        self.model.set_params(max_iter=epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            begin = perf_counter()
            self.model.fit(self.task.x, self.task.y)
            seconds = perf_counter() - begin
        self.loss = self.model.loss_curve_[-1]
        return seconds

    def train_on(self) -> float:
        """Seconds of one more epoch with the optimizer's state, which `fit` would reset."""
        begin = perf_counter()
        self.model.partial_fit(self.task.x, self.task.y)
        return perf_counter() - begin

    def parameters(self) -> list[np.ndarray]:
        return [*self.model.coefs_, *self.model.intercepts_]
