"""The small integers by which activations, losses and update rules travel into compiled code.

A kernel cannot receive a Python function, so a network carries one code per layer. Here are those that kernels name
themselves. The others are places in the tables `fastmlp.activations.ACTIVATIONS`, `fastmlp.losses.LOSSES` and
`fastmlp.optimizers.RULES`, of whose formulas the kernels are generated.
"""

IDENTITY, RELU, SOFTMAX, THRESHOLD = range(4)
"""Activations with kernels written by hand."""

SOFTMAX_CROSS_ENTROPY, CLIPPED_SOFTMAX_CROSS_ENTROPY, CLIPPED_BINARY_CROSS_ENTROPY = range(3)
"""Losses with kernels written by hand."""

DIRECT = 0
"""The update rule that has no kernel: plain SGD whose gradient product is accumulated in the weights themselves."""

INFINITY = float("inf")


def is_labelled_softmax(loss, labels):
    """Whether the loss is one of softmax, and there are labels, whose kernels look at one output of a row."""
    return labels > 0 and loss in (SOFTMAX_CROSS_ENTROPY, CLIPPED_SOFTMAX_CROSS_ENTROPY)
