"""Operations generated from formulas, as text: loops, filled with what `fastmlp.formulas` prints of a formula.

Without Numba, as `machine.host`; `operations.formulas` makes functions of the texts. The first argument of each is the
formula's code, by which a call finds the operation (see `table`).
"""

from collections.abc import Callable
from functools import lru_cache

from fastmlp.activations import Activation
from fastmlp.errors import InputError
from fastmlp.formulas.by_code import Formulas
from fastmlp.formulas.expressions import trace
from fastmlp.formulas.numba_text import NumbaPrinter
from fastmlp.formulas.rule import Rule
from fastmlp.kernels import codes
from fastmlp.losses import Loss

__all__ = ["BY_HAND", "own_texts", "text_of"]

BY_HAND = (
    *(("activate_block", codes.SOFTMAX), ("activate_block", codes.THRESHOLD), ("differentiate_block", codes.SOFTMAX)),
    *(("loss_of_rows", codes.SOFTMAX_CROSS_ENTROPY), ("loss_of_rows", codes.CLIPPED_SOFTMAX_CROSS_ENTROPY)),
    ("loss_of_rows", codes.CLIPPED_BINARY_CROSS_ENTROPY),
)
"""Operations of formulas, and their codes, that are no generated text."""

_ACTIVATE = """\
def activate_block(ops, code: int, z: Matrix, slope: Matrix, r0: int, r1: int, c0: int, c1: int):
    real = z.dtype.type
    {head}
    spans, width = spans_of(z, r0, r1, c0, c1)
    for i in range(spans):
        at = (r0 + i) * z.shape[1] + c0
        row, slopes = span(z, at, width), span(slope, at, width)
        for j in range(row.shape[0]):
            x = row[j]
            {body}
            {stores}
"""

_DIFFERENTIATE = """\
def differentiate_block(ops, code: int, a: Matrix, slope: Matrix, delta: Matrix, r0: int, r1: int, c0: int, c1: int):
    real = delta.dtype.type
    {head}
    spans, width = spans_of(delta, r0, r1, c0, c1)
    for i in range(spans):
        at = (r0 + i) * delta.shape[1] + c0
        row, known = span(delta, at, width), span({source}, at, width)
        for j in range(row.shape[0]):
            x, d = known[j], row[j]
            {body}
            row[j] = {result}
"""

_LOSS = """\
def loss_of_rows(
    ops, loss: int, parameter: Parameters, z: Matrix, labels: Labels, targets: Targets, weights: Weights,
    rows: Indices, out: Matrix, begin: int, end: int,
) -> float:
    outputs, real, sum_of_rows, several = out.shape[1], out.dtype.type, 0.0, parameter.shape[0] > 1
    one, count = real(1), real(outputs)
    {first}
    {head}
    for i in range(begin, end):
        row, total = rows[i], 0.0
        label = label_of(labels, row)
        for j in range(outputs):
            x, y = z[i, j], target_of(targets, row, label, j, one)
            {parameter}
            {body}
            total += {value}
            out[i, j] = {gradient}
        sum_of_rows += weigh(weights, row, row_address(out, i), outputs, {total})
    return sum_of_rows
"""

_RULE = """\
def apply_rule(
    ops, rule: int, w: Vector, g: Vector, moments: Matrix, rate1: float, rate2: float, rate3: float,
    constants: Parameters,
):
    begin, end = share(ops, w.shape[0], 64)  # threads split the buffers at multiples of cache lines
    n, real = end - begin, w.dtype.type
    {scalars}
    {head}
    {arrays}
    for i in range(array0.shape[0]):
        {loads}
        {body}
        {stores}
    barrier(ops)
"""


def text_of(name: str, code: int, formulas: Formulas) -> str:
    """The text of the operation of this name for the formula of this code; "" if it is written by hand.

    Raises
    ------
    InputError
        No formula has the code, or the formula cannot be translated.
    """
    return "" if (name, code) in BY_HAND else _TEXTS[name](formulas, code)


def own_texts(formulas: Formulas) -> tuple[str, ...]:
    """The operations' texts for the user's own formulas; equal texts are the same when compiled."""
    activations, losses, rules = formulas.own()
    texts = [text(activation) for activation in activations for text in (_activation_text, _derivative_text)]
    return (*texts, *map(_loss_text, losses), *(_rule_text(rule) for rule in rules if rule))


@lru_cache
def _activation_text(activation: Activation) -> str:
    """`activate_block` for one activation."""
    printer, what = NumbaPrinter(), f"The value of the activation {activation.name!r}"
    stores = [f"row[j] = {_one(printer, activation.value, ('x',), what)}"]
    if activation.derivative is not None:
        what = f"The derivative of the activation {activation.name!r}"
        stores.insert(0, f"slopes[j] = {_one(printer, activation.derivative, ('x',), what)}")
    return _filled(_ACTIVATE, head=printer.head, body=printer.body, stores=stores)


@lru_cache
def _derivative_text(activation: Activation) -> str:
    """`differentiate_block` for one activation."""
    printer = NumbaPrinter()
    if activation.pullback is None:
        return _filled(_DIFFERENTIATE, source="slope", result="d * x", head=[], body=[])
    result = _one(printer, activation.pullback, ("x", "d"), f"The derivative of the activation {activation.name!r}")
    return _filled(_DIFFERENTIATE, source="a", result=result, head=printer.head, body=printer.body)


@lru_cache
def _loss_text(loss: Loss) -> str:
    """`loss_of_rows` for one loss."""
    printer, symbols = NumbaPrinter(), ("x", "y", "p")[: 3 if loss.parameter else 2]
    value, gradient = (
        _one(printer, getattr(loss, role), symbols, f"The {role} of the loss {loss.name!r}")
        for role in ("value", "gradient")
    )
    return _filled(
        _LOSS,
        head=printer.head,
        body=printer.body,
        first=["first = real(parameter[0])"] if loss.parameter else [],
        parameter=["p = real(parameter[j]) if several else first"] if loss.parameter else [],
        value=value,
        gradient=f"{gradient} / count" if loss.gradient_is_mean else gradient,
        total="total / outputs" if loss.value_is_mean else "total",
    )


@lru_cache
def _rule_text(rule: Rule) -> str:
    """`apply_rule` for one rule."""
    scalars = {f"s{i}": f"rate{i + 1}" for i in range(len(rule.rates))}
    names = dict(zip(rule.rates, scalars, strict=True))
    for k, constant in enumerate(rule.constants):
        names[constant] = f"c{k}"
        scalars[f"c{k}"] = f"constants[{k}]"
    arrays = ("w", *rule.moments, "g")
    names |= {name: f"x{k}" for k, name in enumerate(arrays)}
    printer = NumbaPrinter(scalars)
    what = f"The formula of the optimizer {rule.name!r}"
    traced = trace(rule.updated, [names[parameter] for parameter in rule.parameters], what)
    results = [printer.element(expression) for expression in traced]
    sources = ["w, begin", *(f"moments, {k} * w.shape[0] + begin" for k in range(len(rule.moments))), "g, begin"]
    return _filled(
        _RULE,
        scalars=[f"{name} = {source}" for name, source in scalars.items()],
        head=printer.head,
        body=printer.body,
        arrays=[f"array{k} = span({source}, n)" for k, source in enumerate(sources)],
        loads=[f"x{k} = array{k}[i]" for k in range(len(arrays))],
        stores=[f"array{k}[i] = {result}" for k, result in enumerate(results)],
    )


_TEXTS: dict[str, Callable[[Formulas, int], str]] = {
    "activate_block": lambda formulas, code: _activation_text(formulas.activation(code)),
    "differentiate_block": lambda formulas, code: _derivative_text(formulas.activation(code)),
    "loss_of_rows": lambda formulas, code: _loss_text(formulas.loss(code)),
    "apply_rule": lambda formulas, code: _rule_text(formulas.rule(code)),
}


def _one(printer: NumbaPrinter, function: Callable | None, symbols: tuple[str, ...], what: str) -> str:
    """Print a function of elements that returns one number; the name that holds its value."""
    assert function is not None
    results = trace(function, symbols, what)
    if len(results) != 1:
        raise InputError(f"{what} gives {len(results)} numbers, but must give one.")
    return printer.element(results[0])


def _filled(template: str, **parts: str | list[str]) -> str:
    """Fill the template. A list of lines is indented as its place; an empty list removes the place."""
    lines = []
    for line in template.splitlines():
        name = line.strip().strip("{}")
        part = parts.get(name)
        if line.strip() == f"{{{name}}}" and isinstance(part, list):
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + inner for inner in part]
        else:
            lines.append(line.format(**parts))
    return "\n".join(lines) + "\n"
