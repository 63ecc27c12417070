"""Formulas in the kernels' text: the cases of the switches in `activations.cu`, `losses.cu` and `rules.cu`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from fastmlp.activations import Activation
from fastmlp.errors import InputError
from fastmlp.formulas.by_code import Formulas
from fastmlp.formulas.c_text import CPrinter
from fastmlp.formulas.expressions import trace
from fastmlp.formulas.rule import Rule
from fastmlp.losses import Loss

__all__ = ["cases"]


def cases(formulas: Formulas) -> dict[str, str]:
    """The text for each marker in the sources.

    Raises
    ------
    InputError
        One of the user's own formulas has no translation.
    """
    activations = [(code, one) for code, one in enumerate(formulas.activations) if one.value]
    losses = [(code, one) for code, one in enumerate(formulas.losses) if one.value]
    rules = [(code, one) for code, one in enumerate(formulas.rules) if one]
    storing = [code for code, one in activations if one.stores_slope]
    return {
        "whether σ' is stored": "".join(f"    case {code}: return true;\n" for code in storing),
        "values": "".join(_case(code, _activation_lines(one)) for code, one in activations),
        "derivatives": "".join(_case(code, _pullback_lines(one)) for code, one in activations if one.pullback),
        "losses": "".join(_case(code, _loss_lines(one)) for code, one in losses),
        "rules": "".join(_case(code, _rule_lines(one)) for code, one in rules),
    }


def _case(code: int, lines: Iterable[str]) -> str:
    body = "".join(f"      {line}\n" for line in lines)
    return f"    case {code}: {{\n{body}    }}\n"


def _activation_lines(activation: Activation) -> Iterator[str]:
    printer, of = CPrinter(), f"of the activation {activation.name!r}"
    value = _printed(printer, activation.value, ("x",), f"The value {of}")
    slope = activation.derivative and _printed(printer, activation.derivative, ("x",), f"The derivative {of}")
    yield from printer.body
    if slope:
        yield f"slope = {slope};"
    yield f"return {value};"


def _pullback_lines(activation: Activation) -> Iterator[str]:
    printer, what = CPrinter(), f"The derivative of the activation {activation.name!r}"
    result = _printed(printer, activation.pullback, ("x", "d"), what)
    yield from printer.body
    yield f"return {result};"


def _loss_lines(loss: Loss) -> Iterator[str]:
    printer, symbols = CPrinter(), ("x", "y", "p")[: 3 if loss.parameter else 2]
    value, gradient = (
        _printed(printer, getattr(loss, role), symbols, f"The {role} of the loss {loss.name!r}")
        for role in ("value", "gradient")
    )
    if loss.parameter:
        yield "const real p = real(*parameter);"
    yield from printer.body
    yield f"gradient = {gradient};"
    yield f"return {value};"


def _rule_lines(rule: Rule) -> Iterator[str]:
    names = {rate: f"rate{i + 1}" for i, rate in enumerate(rule.rates)}
    names |= {constant: f"constant{k}" for k, constant in enumerate(rule.constants)}
    printer = CPrinter(set(names.values()))
    arrays = ("w", *rule.moments, "g")
    names |= {name: f"x{k}" for k, name in enumerate(arrays)}
    what = f"The formula of the optimizer {rule.name!r}"
    traced = trace(rule.updated, [names[parameter] for parameter in rule.parameters], what)
    results = [printer.element(expression) for expression in traced]
    for rate in rule.rates:
        if rate in rule.parameters:
            yield f"const double {names[rate]} = value(a.{names[rate]});"
    for k in range(len(rule.constants)):
        yield f"const double constant{k} = a.constants[{k}];"
    yield from printer.head
    last = len(arrays) - 1
    references = ", ".join(f"real &r{k}" for k in range(last))
    yield f"const auto update = [=]({references}, const real &r{last}) {{"
    yield from (f"  const real x{k} = r{k};" for k in range(len(arrays)))
    yield from (f"  {line}" for line in printer.body)
    yield from (f"  r{k} = {result};" for k, result in enumerate(results))
    yield "};"
    moments = "".join(f", a.moments + {k} * a.n" for k in range(len(rule.moments)))
    yield f"return each(part, a.n, update, a.w{moments}, a.g);"


def _printed(printer: CPrinter, function: Callable | None, symbols: Sequence[str], what: str) -> str:
    """Print a function of elements that returns one number; the name that holds its value."""
    assert function is not None
    results = trace(function, symbols, what)
    if len(results) != 1:
        raise InputError(f"{what} gives {len(results)} numbers, but must give one.")
    return printer.element(results[0])
