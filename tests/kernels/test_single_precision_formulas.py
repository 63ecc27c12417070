"""In float32 no formula passes through float64 in its loop, where a vector would hold half as many numbers.

Losses are left out: they add their values in float64.
"""

import re

import numpy as np
import pytest

from fastmlp.formulas.by_code import BUILT_IN

numba = pytest.importorskip("numba")

WHOLE = [(code, one) for code, one in enumerate(BUILT_IN.activations) if one.value]
CASES = [
    *(("activate_block", code, one.name) for code, one in WHOLE),
    *(("differentiate_block", code, one.name) for code, one in WHOLE),
    *(("apply_rule", code, rule.formula.__name__) for code, rule in enumerate(BUILT_IN.rules) if rule),
]


@pytest.mark.parametrize(("operation", "code", "name"), CASES)
def test_nothing_is_widened(operation, code, name):
    from fastmlp.backends.compiled.options import OPTIONS
    from fastmlp.kernels.cpu.catalog import prototype
    from fastmlp.kernels.cpu.formula_texts import text_of
    from fastmlp.kernels.cpu.operations.formulas import formula_operation
    from fastmlp.kernels.cpu.team.members import make_teams
    from fastmlp.kernels.cpu.team.signatures import numba_signature

    function = formula_operation(operation, code, text_of(operation, code, BUILT_IN))
    (team,) = make_teams(1, np.zeros(64, np.float32), np.zeros(0, np.int64))
    samples = numba.typeof(np.zeros((0, 0), np.float32))
    _, parameters = numba_signature(prototype(operation), numba.typeof(team), samples)
    dispatcher = numba.njit(**OPTIONS)(function)
    dispatcher.compile(parameters)
    text = dispatcher.inspect_llvm(parameters)
    assert "float" in text
    assert not re.findall(r"fpext|<\d+ x double>", text)
