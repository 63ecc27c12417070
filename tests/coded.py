"""The codes of activations and losses by name."""

from fastmlp import activations, losses

ACTIVATION = {activation.name: code for code, activation in enumerate(activations.BY_CODE)}
LOSS = {loss.name: loss.code for loss in losses.BY_CODE}
STORE_SLOPE = [ACTIVATION[activation.name] for activation in activations.BY_CODE if activation.stores_slope]
