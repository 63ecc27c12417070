"""The operations by name, and their places in a team's table of addresses. Without Numba, as `machine.host`."""

from fastmlp.kernels.cpu.regimes import Regime

__all__ = ["FORMULA_TABLES", "INNER", "OF_SAMPLES", "OPERATIONS", "REPLACED", "place_of", "table_length"]

OPERATIONS = (
    *("total_weight", "announce_next_batch", "zero_if_finite", "copy"),
    *("linear", "linear_rows", "linear_sparse", "dropout"),
    *("loss_gradient", "activation_backward", "backward_data", "accumulate", "accumulate_rows", "accumulate_sparse"),
    *("all_reduce", "penalty", "regularize", "clip", "scale"),
)

INNER = ("update_and_form_sums",)
"""Called by other operations, in networks with a large first layer and one sample a step."""

OF_SAMPLES = ("announce_next_batch", "zero_if_finite", "linear_rows", "accumulate_rows", "update_and_form_sums")
"""Those that read dense samples, whose dtype may be another than the network's."""

REPLACED: dict[Regime, tuple[str, ...]] = {
    "sample": (
        *("announce_next_batch", "linear", "linear_rows", "dropout", "loss_gradient", "activation_backward"),
        *("backward_data", "accumulate", "accumulate_rows"),
    ),
    "bf16": ("linear", "linear_rows", "backward_data", "accumulate", "accumulate_rows"),
    "large": ("linear", "linear_rows", "backward_data", "accumulate", "accumulate_rows"),
    "tiny": (
        *("copy", "linear", "linear_rows", "loss_gradient", "activation_backward", "backward_data"),
        *("accumulate", "accumulate_rows"),
    ),
}
"""The general operations that each regime replaces by its own."""

FORMULA_TABLES = {
    "activate_block": "activations",
    "differentiate_block": "activations",
    "loss_of_rows": "losses",
    "apply_rule": "rules",
}
"""Operations that exist once for each formula, and the field of `Formulas` that their codes refer to."""

_PLACES = {name: i for i, name in enumerate((*OPERATIONS, *INNER, *FORMULA_TABLES))}


def place_of(name: str, code: int = 0) -> int:
    """Where the address of an operation stands; code is that of its formula.

    The first formula's operations follow the others, then come the next one's.
    """
    return _PLACES[name] + len(FORMULA_TABLES) * code


def table_length(codes: int) -> int:
    """Length of a table for formulas with so many codes."""
    return len(OPERATIONS) + len(INNER) + len(FORMULA_TABLES) * codes
