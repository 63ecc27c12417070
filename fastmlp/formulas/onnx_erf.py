"""The error function of float64 from operators that onnxruntime has; its own Erf takes float32 only."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from fastmlp.forks import no_fork
from fastmlp.formulas.expressions import special

__all__ = ["erf_float64"]

_DEGREE = 20
_SCALE = 3.0


def erf_float64(g: Any, x: Any) -> Any:
    """Add the nodes of erf(x), to 1e-14: erf(x) = sign(x) (1 - exp(-x²) t p(2t - 1)), t = 3 / (3 + |x|).

    The polynomial p is of degree 20. Source: the form is that of erfc in W. H. Press et al., Numerical Recipes, 3rd
    ed., section 6.2.2; the coefficients are computed here.
    """
    t = g("Div", _SCALE, g("Add", g("Abs", x), _SCALE))
    s = g("Sub", g("Mul", t, 2.0), 1.0)
    *rest, last = _coefficients()
    p = g("Add", g("Mul", s, last), rest.pop())
    while rest:
        p = g("Add", g("Mul", p, s), rest.pop())
    complement = g("Mul", g("Mul", g("Exp", g("Neg", g("Mul", x, x))), t), p)
    return g("Mul", g("Sign", x), g("Sub", 1.0, complement))


@cache
def _coefficients() -> tuple[float, ...]:
    """Of p in ascending order: erfc(x) exp(x²) / t, interpolated between t = 0 and t = 1."""

    def scaled(s: np.ndarray) -> np.ndarray:
        t = (s + 1) / 2
        return special().erfcx(_SCALE / t - _SCALE) / t

    with no_fork():
        from numpy.polynomial import Chebyshev, Polynomial

    return tuple(Chebyshev.interpolate(scaled, _DEGREE).convert(kind=Polynomial).coef.tolist())
