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
    from fastmlp.backends.numba_backend import OPTIONS
    from fastmlp.kernels import cpu

    function = cpu.formula_operation(operation, code, BUILT_IN)
    (team,) = cpu.make_teams(1, np.zeros(64, np.float32), 0)
    samples = numba.typeof(np.zeros((0, 0), np.float32))
    _, parameters = cpu.numba_signature(cpu.FORMULA_OPERATIONS[operation], numba.typeof(team), samples)
    dispatcher = numba.njit(**OPTIONS)(function)
    dispatcher.compile(parameters)
    text = dispatcher.inspect_llvm(parameters)
    assert "float" in text
    assert not re.findall(r"fpext|<\d+ x double>", text)
