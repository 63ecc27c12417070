"""The functions behind the operations' names."""

from collections.abc import Callable

from fastmlp.kernels.cpu.bf16 import operations as bf16
from fastmlp.kernels.cpu.large import operations as large
from fastmlp.kernels.cpu.one_sample import first_thread
from fastmlp.kernels.cpu.one_sample import operations as one_sample
from fastmlp.kernels.cpu.operations import all_reduce, batches, dropout, elementwise, losses, products, rules, sparse
from fastmlp.kernels.cpu.operations.formulas import FORMULA_OPERATIONS, formula_operation
from fastmlp.kernels.cpu.regimes import Regime
from fastmlp.kernels.cpu.table import FORMULA_TABLES, INNER, OPERATIONS, REPLACED
from fastmlp.kernels.cpu.tiny import operations as tiny

__all__ = ["operation", "prototype"]

_MODULES = {
    "": (all_reduce, batches, dropout, elementwise, losses, products, rules, sparse),
    "sample": (one_sample, first_thread),
    "bf16": (bf16,),
    "large": (large,),
    "tiny": (tiny,),
}


def _functions(regime: Regime, names: tuple[str, ...]) -> dict[str, Callable]:
    found = {name: getattr(module, name) for module in _MODULES[regime] for name in names if name in module.__all__}
    return {name: found[name] for name in names}


_GENERAL = _functions("", OPERATIONS) | {name: getattr(one_sample, name) for name in INNER}
_OF_REGIMES = {regime: _functions(regime, names) for regime, names in REPLACED.items()}


def operation(name: str, regime: Regime, code: int, text: str) -> Callable:
    """The operation as a regime has it, or for a formula; see `fastmlp.backends.compiled.jobs.Job`."""
    if name in FORMULA_TABLES:
        return formula_operation(name, code, text)
    return _OF_REGIMES[regime][name] if regime else _GENERAL[name]


def prototype(name: str) -> Callable:
    """A function with the operation's parameters."""
    return FORMULA_OPERATIONS.get(name) or _GENERAL[name]
