"""A neuron, a layer, a network, a loss: the forward pass of two small networks, number by number.

A neuron weighs its inputs, adds a bias and applies an activation: z = Σ_i w_i x_i + b, a = σ(z). A layer
holds the weights of its O neurons as the columns of W (I, O), so one product serves all neurons and all
samples x (B, I):

    z = x W + b  (B, O),   a = σ(z),   and the a of one layer is the x of the next.
"""

from types import SimpleNamespace

import numpy as np

from fastmlp import MLP
from fastmlp.losses import LOSSES


def binary():
    """Four inputs, four sigmoid neurons, one sigmoid neuron that says how probable the answer "yes" is."""
    # On paper a row is a neuron; here a column is, hence the transposes.
    neurons = [[0.9, 0.2, 0.4, 0.3], [-0.5, 0.4, 0.3, 0.3], [0.1, 0.1, -0.1, 0.2], [-0.2, 0.5, 0.5, 0.7]]
    w1 = np.transpose(neurons)
    w2 = np.transpose([[0.5, 0.8, -0.6, 0.3]])
    b1, b2 = np.full(4, 0.5), np.array([0.3])
    x, y = np.array([[0.3, 0.5, -0.4, 0.3]]), [1]

    z1 = x @ w1 + b1
    a1 = 1 / (1 + np.exp(-z1))
    z2 = a1 @ w2 + b2

    # The same as a model. Its output activation brings its loss along, the binary cross-entropy
    # -(y log ŷ + (1-y) log(1-ŷ)): the less probable the network held the truth, the larger.
    model = MLP([4, 4, 1], ["sigmoid", "sigmoid"], dtype="float64")
    model.set_parameters([w1, w2], [b1, b2])
    p, loss = model.predict_proba(x), model.evaluate(x, y)["loss"]
    return SimpleNamespace(z1=z1[0], a1=a1[0], z2=z2[0, 0], p=p[0, 0], loss=loss)


def multiclass():
    """Three classes: softmax turns three values into probabilities, p_i = exp(z_i) / Σ_j exp(z_j)."""
    neurons = [[0.1, 0.3, 0.8, -0.4], [-0.3, -0.2, 0.5, 0.5], [-0.3, 0.1, 0.5, 0.4], [0.2, 0.5, -0.9, 0.7]]
    w1 = np.transpose(neurons)
    w2 = np.transpose([[0.3, 0.8, -0.2, -0.4], [0.5, -0.2, -0.3, 0.5], [0.3, 0.1, 0.6, 0.6]])
    x = np.array([[0.2, 0.5, -0.3, 0.3], [0.6, 0.4, 0.6, 0.1]])
    y = [1, 2]  # class indices; the rows (0, 1, 0) and (0, 0, 1) mean the same

    model = MLP([4, 4, 3], ["sigmoid", "softmax"], dtype="float64")
    model.set_parameters([w1, w2], [np.zeros(4), np.zeros(3)])
    # The cross-entropy -Σ_i y_i log p_i of a sample is -log p of its true class.
    losses = [model.evaluate(x[[i]], y[i : i + 1])["loss"] for i in range(2)]
    return SimpleNamespace(z1=x @ w1, p=model.predict_proba(x), losses=losses, labels=model.predict(x))


def losses():
    """Every way to say how far the prediction ŷ = (0.7, 0.2, 0.1) is from the target y = (1, 0, 0)."""
    p, y = np.array([0.7, 0.2, 0.1]), [[1.0, 0.0, 0.0]]
    # Three losses contain the function that makes a prediction from z, their link, and are given z.
    z = {"identity": p, "exp": np.log(p), "softmax": np.log(p), "sigmoid": np.log(p / (1 - p))}
    values = {}
    for name, loss in LOSSES.items():
        model = MLP([1, 3], "identity", loss=name, dtype="float64")
        model.set_parameters([np.zeros((1, 3))], [z[loss.link]])  # whatever comes in, z comes out
        values[name] = model.evaluate([[0.0]], y, metrics=[])["loss"]
    return values


def main():
    np.set_printoptions(precision=6, suppress=True)
    two, three = binary(), multiclass()
    print("Binary, x = (0.3, 0.5, -0.4, 0.3), y = 1")
    print(f"  z1 = {two.z1}\n  a1 = {two.a1}\n  z2 = {two.z2:.6f}\n  ŷ  = {two.p:.7f}, loss = {two.loss:.7f}")
    print("Three classes, x = (0.2, 0.5, -0.3, 0.3) of class 1 and (0.6, 0.4, 0.6, 0.1) of class 2")
    for i in range(2):
        print(f"  z1 = {three.z1[i]}\n  p  = {three.p[i]}, loss = {three.losses[i]:.7f}")
        print(f"  most probable: class {three.labels[i]}")
    print("Losses of ŷ = (0.7, 0.2, 0.1) for y = (1, 0, 0)")
    values = losses()
    for name, value in values.items():
        print(f"  {name:<22} {value:.6f}   {LOSSES[name].formula}")
    # Any layer may have any activation: one name for each, the output included.
    mixed = MLP([4, 8, 5, 3], ["relu", "tanh", "softmax"], seed=0)
    print(mixed.summary())
    return SimpleNamespace(binary=two, multiclass=three, losses=values, mixed=mixed)


if __name__ == "__main__":
    main()
