"""One layer and three activations: linear regression, logistic regression and the perceptron.

All three compute z = x W + b and learn by W <- W - lr xᵀ δ; only σ, and with it δ = ∂L/∂z, differ:

    linear regression     ŷ = z                     half squared error      δ = ŷ - y
    logistic regression   ŷ = 1 / (1 + exp(-z))     binary cross-entropy    δ = ŷ - y
    perceptron            ŷ = 1 if z >= 0 else 0    Rosenblatt's rule       δ = ŷ - y

Without a hidden layer there is one valley and no symmetry to break: all weights may start at zero.
"""

from types import SimpleNamespace

import numpy as np

from fastmlp import MLP, SGD


def linear_regression():
    """Points near y = 3 x - 1: gradient descent ends where the normal equations have their solution."""
    random = np.random.RandomState(0)
    x = random.uniform(-1, 1, (50, 1))
    y = 3 * x[:, 0] - 1 + 0.1 * random.standard_normal(50)
    model = MLP([1, 1], "identity", loss="half_squared_error", initializer="zeros", dtype="float64")
    model.fit(x, y, epochs=400, batch_size="full", optimizer=SGD(lr=0.5))
    exact = np.linalg.lstsq(np.column_stack([x, np.ones(50)]), y, rcond=None)[0]
    return SimpleNamespace(found=np.array([model.weights[0][0, 0], model.biases[0][0]]), exact=exact)


def logistic_regression():
    """Hours of study and an exam: where the loss is least, the predicted and the true number of passes agree.

    There ∂L/∂b = mean(ŷ - y) = 0, and ∂L/∂w = mean((ŷ - y) x) = 0 says the same of the hours.
    """
    failed = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5]
    passed = [1.75, 2.25, 2.75, 3.25, 4, 4.25, 4.5, 4.75, 5, 5.5]
    hours, y = np.array(failed + passed)[:, None], np.repeat([0, 1], 10)
    model = MLP([1, 1], "sigmoid", initializer="zeros", dtype="float64")
    model.fit(hours, y, epochs=2000, batch_size="full", optimizer=SGD(lr=0.5))
    p = model.predict_proba(hours)
    return SimpleNamespace(w=model.weights[0][0, 0], b=model.biases[0][0], passes=p.sum(), true=y.sum())


def perceptron():
    """Logical AND, sample by sample: a right answer changes nothing, a wrong one adds or subtracts x."""
    x, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 0, 0, 1])
    w, b, mistakes = np.zeros(2), 0.0, []
    for _ in range(10):
        mistakes.append(0)
        for xi, yi in zip(x, y, strict=True):
            error = yi - (1 if xi @ w + b >= 0 else 0)
            w, b = w + error * xi, b + error
            mistakes[-1] += int(abs(error))
    model = MLP([2, 1], "threshold", initializer="zeros", dtype="float64")
    # A threshold's loss ½ (ŷ - y)² is half a mistake, so the mean over an epoch counts mistakes: 2 N loss.
    history = model.fit(x, y, epochs=10, batch_size=1, shuffle=False, optimizer=SGD(lr=1.0))
    counted = [2 * len(x) * loss for loss in history["loss"]]
    return SimpleNamespace(
        labels=model.predict(x),
        found=np.array([*model.weights[0][:, 0], *model.biases[0]]),
        by_hand=np.array([*w, b]),
        mistakes=counted,
        mistakes_by_hand=mistakes,
    )


def main():
    line, exam, gate = linear_regression(), logistic_regression(), perceptron()
    print(f"Linear regression: slope and offset {line.found}, by the normal equations {line.exact}")
    print(f"Logistic regression: p = σ({exam.w:.4f} hours - {-exam.b:.4f})")
    print(f"  passes predicted {exam.passes:.4f}, true {exam.true}")
    print(f"Perceptron: AND is {gate.labels}, weights and bias {gate.found}, by hand {gate.by_hand}")
    print(f"  mistakes per epoch {gate.mistakes_by_hand}")
    return SimpleNamespace(linear=line, logistic=exam, perceptron=gate)


if __name__ == "__main__":
    main()
