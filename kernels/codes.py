"""The small integers by which activations, losses and update rules travel into compiled code.

A kernel cannot receive a Python function, so a network carries one code per layer and the kernels branch on it.
The names and formulas that users see are in `fastmlp.activations`, `fastmlp.losses` and `fastmlp.optimizers`.
"""

(
    IDENTITY,
    RELU,
    LEAKY_RELU,
    ELU,
    SIGMOID,
    TANH,
    SOFTPLUS,
    GELU,
    GELU_TANH,
    SILU,
    SOFTMAX,
    THRESHOLD,
) = range(12)

LEAK = 0.01
"""Slope of leaky_relu left of zero."""

(
    SOFTMAX_CROSS_ENTROPY,
    BINARY_CROSS_ENTROPY,
    SQUARED_ERROR,
    MEAN_SQUARED_ERROR,
    HALF_SQUARED_ERROR,
    ABSOLUTE_ERROR,
    HUBER,
    POISSON,
    QUANTILE,
    CLIPPED_SOFTMAX_CROSS_ENTROPY,
    CLIPPED_BINARY_CROSS_ENTROPY,
    HALF_MEAN_SQUARED_ERROR,
    CUSTOM,
) = range(13)

DIRECT, SGD, ADAM, RMSPROP = range(4)
"""Update rules. DIRECT is plain SGD whose gradient product is accumulated in the weights themselves."""

INFINITY = float("inf")
