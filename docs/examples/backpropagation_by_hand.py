"""Backpropagation: the chain rule, worked from the loss back to every weight.

Three times, ever larger: a circuit of two operations, the nine derivatives of a 2-2-1 network, and the same
for layers of any size in matrix form. Each time `fastmlp` finds the same numbers, and so do finite
differences.
"""

from types import SimpleNamespace

import numpy as np

from fastmlp import MLP, numerical_gradient


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def circuit():
    """f = (x + y) z at (-2, 5, -4)."""
    x, y, z = -2.0, 5.0, -4.0
    q = x + y  # forward: q = 3, f = q z = -12
    dq, dz = z, q  # backward: a product passes to each factor the other one
    dx, dy = dq, dq  # and a sum passes to each term what it is given
    found = numerical_gradient(lambda v: (v[0] + v[1]) * v[2], [x, y, z])
    return SimpleNamespace(by_hand=np.array([dx, dy, dz]), numerical=found)


def nine_derivatives():
    """A 2-2-1 sigmoid network with the cost C = (o - y)²; w_ij leads from input i to hidden neuron j."""
    w11, w12, w21, w22 = 0.15, 0.25, 0.2, 0.3
    b1, b2, v1, v2, c = 0.35, -0.35, 0.4, -0.5, 0.6
    x1, x2, y = 0.5, 0.8, 1.0

    h1 = sigmoid(w11 * x1 + w21 * x2 + b1)
    h2 = sigmoid(w12 * x1 + w22 * x2 + b2)
    o = sigmoid(v1 * h1 + v2 * h2 + c)

    # With σ' = σ (1 - σ). Every path from C to a parameter is a product of derivatives, and all paths begin
    # with ∂C/∂o ∂o/∂z = 2 (o - y) o (1 - o): computed once, used nine times.
    d = 2 * (o - y) * o * (1 - o)
    d1 = d * v1 * h1 * (1 - h1)  # on through v1 and the first hidden neuron
    d2 = d * v2 * h2 * (1 - h2)
    # A bias is the weight of an input, the bias neuron, that is always 1.
    by_hand = {
        "w11": d1 * x1, "w12": d2 * x1, "w21": d1 * x2, "w22": d2 * x2,
        "v1": d * h1, "v2": d * h2, "b1": d1, "b2": d2, "c": d,
    }  # fmt: skip

    model = MLP([2, 2, 1], ["sigmoid", "sigmoid"], loss="squared_error", dtype="float64")
    model.set_parameters([[[w11, w12], [w21, w22]], [[v1], [v2]]], [[b1, b2], [c]])
    gradients = model.gradients([[x1, x2]], [y])
    found = np.concatenate([part.ravel() for part in (*gradients.weights, *gradients.biases)])
    return SimpleNamespace(by_hand=by_hand, found=dict(zip(by_hand, found.tolist(), strict=True)))


def matrices():
    """Two layers in matrix form, sigmoid and softmax, for a batch x (B, I) with one-hot targets y (B, C).

    With δ = ∂L/∂z, one row per sample, divided by B because the loss is a mean:

        last layer      δ = ŷ - y                       softmax and cross-entropy together
        layer below     δ_below = (δ Wᵀ) ∘ a (1 - a)    as d1 and d2 above, for all neurons at once
        every layer     ∂L/∂W = aᵀ δ,  ∂L/∂b = Σ δ      a is what the layer reads

    Why ŷ - y: of L = -Σ_i y_i log p_i and ∂p_i/∂z_j = p_i (1_ij - p_j), where 1_ij is 1 if i = j and else 0,
    follows ∂L/∂z_j = -Σ_i y_i (1_ij - p_j) = p_j - y_j, as Σ_i y_i = 1.
    """
    random = np.random.RandomState(0)
    x, y = random.standard_normal((5, 3)), np.eye(2)[[0, 1, 1, 0, 1]]
    model = MLP([3, 4, 2], ["sigmoid", "softmax"], dtype="float64", seed=1)

    a = sigmoid(x @ model.weights[0] + model.biases[0])
    delta = (model.predict_proba(x) - y) / len(x)
    below = (delta @ model.weights[1].T) * a * (1 - a)
    by_hand = [x.T @ below, a.T @ delta, below.sum(axis=0), delta.sum(axis=0)]

    batch = model.gradients(x, y)
    each = model.gradients(x, y, per_sample=True)  # the same with a first axis of 5 samples
    checked = model.numerical_gradient(x, y)
    return SimpleNamespace(
        by_hand=by_hand,
        found=[*batch.weights, *batch.biases],
        mean_of_samples=[part.mean(axis=0) for part in (*each.weights, *each.biases)],
        numerical=[*checked.weights, *checked.biases],
    )


def main():
    simple, nine, layers = circuit(), nine_derivatives(), matrices()
    print(f"Circuit: by hand {simple.by_hand}, by differences {simple.numerical.round(6)}")
    for name, value in nine.by_hand.items():
        print(f"∂C/∂{name:<3} by hand {value:+.9f}   by fastmlp {nine.found[name]:+.9f}")
    for name in ("found", "mean_of_samples", "numerical"):
        error = max(abs(a - b).max() for a, b in zip(layers.by_hand, getattr(layers, name), strict=True))
        print(f"Matrix form: largest difference from {name:<16}{error:.1e}")
    return SimpleNamespace(circuit=simple, nine=nine, matrices=layers)


if __name__ == "__main__":
    main()
