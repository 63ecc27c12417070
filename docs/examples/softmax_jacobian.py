"""Softmax and its Jacobian: every output depends on every input, and one loss makes that disappear.

    yᵢ = exp(zᵢ) / Σₖ exp(zₖ)        ∂yᵢ/∂zⱼ = yᵢ (δᵢⱼ - yⱼ)

For i = j the numerator and the sum both change: yᵢ - yᵢ². For i ≠ j only the sum does: -yᵢ yⱼ. In matrices
J = diag(y) - y yᵀ. By the chain rule ∂L/∂z = J ∂L/∂y, whatever the loss is. With the cross-entropy
L = -Σ tᵢ log yᵢ, ∂L/∂yᵢ = -tᵢ/yᵢ, and the product is y - t: the division cancels, so no small y can spoil it.
"""

from types import SimpleNamespace

import numpy as np

from fastmlp import MLP, numerical_gradient

# What the network of neuron_and_layers.py gives for its first sample, of class 0
Y = np.array([0.230329, 0.280373, 0.489298])
T = np.array([1.0, 0.0, 0.0])


def softmax(z):
    e = np.exp(z - z.max())  # the largest exponent is 0, so none overflows; the ratio is the same
    return e / e.sum()


def through_a_network(z, loss):
    """∂L/∂z by backpropagation: of a layer z = x W + b, the gradient of b is that of z."""
    model = MLP([1, 3], "softmax", loss=loss, dtype="float64", backend="numpy")
    model.set_parameters([np.zeros((1, 3))], [z])
    return model.gradients([[0.0]], [T]).biases[0]


def main():
    z = np.log(Y / Y.sum())  # softmax(log y) = y
    y = softmax(z)
    jacobian = np.diag(y) - np.outer(y, y)
    differences = np.array([numerical_gradient(lambda z, i=i: softmax(z)[i], z) for i in range(3)])
    squares = jacobian @ (y - T)  # of L = ½ Σ (yᵢ - tᵢ)²
    entropy = jacobian @ (-T / y)
    found = {
        "half squared error": (squares, through_a_network(z, "half_squared_error")),
        "cross-entropy": (entropy, through_a_network(z, "softmax_cross_entropy")),
    }

    print(f"y = {y.round(6)}")
    print("Jacobian yᵢ (δᵢⱼ - yⱼ), and by differences:")
    for row, other in zip(jacobian, differences, strict=True):
        print(f"  {row.round(6)}  {other.round(6)}")
    print(f"It is symmetric, and its rows sum to {abs(jacobian.sum(axis=1)).max():.0e}: probabilities keep their sum,")
    print(f"and raising all z alike changes nothing. So its rank is {np.linalg.matrix_rank(jacobian)} of 3.")
    for name, (by_hand, by_network) in found.items():
        print(f"∂L/∂z of the {name}: {by_hand.round(6)}, by the network {by_network.round(6)}")
    print(f"y - t = {(y - T).round(6)}")
    return SimpleNamespace(y=y, jacobian=jacobian, differences=differences, found=found)


if __name__ == "__main__":
    main()
