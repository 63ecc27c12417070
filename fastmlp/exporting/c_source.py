"""A network as one C99 file that needs nothing but the mathematical functions of C."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastmlp.activations import Activation
from fastmlp.exporting.c99 import DoublePrinter, FloatPrinter, constant
from fastmlp.exporting.c_main import Columns, main_of, quoted
from fastmlp.exporting.layers import Layers, formula_of
from fastmlp.formulas.c_text import c_function

__all__ = ["CPreparation", "c_source"]

_HEAD = """\
/* A multilayer perceptron, @SIZES@, of @BYTES@ bytes of weights.

   void predict(const real *x, real *out)    x: @INPUTS@ numbers; out: @OUTPUTS@ @MEANING@
@CLASS_HEAD@
   cc -std=c99 -O3 -c FILE.c                 to be called by another program
   cc -std=c99 -O3 -DFASTMLP_MAIN FILE.c -lm -o FILE && ./FILE < samples.csv

   Nothing is allocated and nothing is kept between calls; a call needs @STACK@ bytes of stack. */
#include <math.h>

typedef @REAL@ real;
enum { INPUTS = @INPUTS@, OUTPUTS = @OUTPUTS@ };

"""
_DENSE = """\
/* y = b + x w, where w has a row for each input */
static void dense(const real *restrict x, int inputs, const real *restrict w, const real *restrict b, int outputs,
                  real *restrict y) {
  for (int o = 0; o < outputs; ++o) y[o] = b[o];
  for (int i = 0; i < inputs; ++i)
    for (int o = 0; o < outputs; ++o) y[o] += x[i] * w[i * outputs + o];
}
"""
_HELPERS = {
    "sigmoid": "static real sigmoid(real z) { return 1 / (1 + @EXP@(-z)); }\n",
    "log_add_exp": """\
/* log(exp(a) + exp(b)) without overflow */
static real log_add_exp(real a, real b) {
  return (a > b || a != a ? a : b) + @LOG1P@(@EXP@(-@FABS@(a - b)));
}
""",
    "softmax": """\
/* exp(z[i]) divided by their sum */
static void softmax(real *z, int n) {
  real largest = z[0], sum = 0;
  for (int i = 1; i < n; ++i) if (z[i] > largest) largest = z[i];
  for (int i = 0; i < n; ++i) sum += z[i] = @EXP@(z[i] - largest);
  for (int i = 0; i < n; ++i) z[i] /= sum;
}
""",
}
_BY_HAND = {"relu": "z < 0 ? 0 : z", "threshold": "z >= 0"}
_LINKS = {"sigmoid": "sigmoid", "exp": "@EXP@"}
_LARGEST = """\
/* the number of the largest output */
int predict_class(const real *x) {
  real out[OUTPUTS];
  int best = 0;
  predict(x, out);
  for (int o = 1; o < OUTPUTS; ++o) if (out[o] > out[best]) best = o;
  return best;
}
"""
_ONE_OUTPUT = """\
/* 1 or 0 */
int predict_class(const real *x) {
  real out[OUTPUTS];
  predict(x, out);
  return out[0] >= (real)0.5;
}
"""


class CPreparation(NamedTuple):
    """What a program does to samples before the network, and to its outputs afterwards.

    Attributes
    ----------
    inputs : number of those that are given; 0 for the network's own.
    functions : that the lines call.
    before : lines that declare and write the features f of the network, made of the inputs x; none if they are these.
    after : lines that change the outputs out.
    columns : of the table that the program reads; None for samples that are numbers only.
    """

    inputs: int = 0
    functions: Sequence[str] = ()
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    columns: Columns | None = None


def c_source(layers: Layers, class_names: Sequence[str] = (), preparation: CPreparation | None = None) -> str:
    """Return the text of the file.

    Parameters
    ----------
    layers : of the network.
    class_names : C names to print for the classes, if it has classes; their numbers without.
    preparation : what is done before and after the network; by default nothing.

    Raises
    ------
    InputError : an activation that cannot be translated.
    """
    preparation = preparation or CPreparation()
    number = "float" if layers.dtype == np.float32 else "double"
    names = _function_names(layers.activations)
    functions = [_activation(one, name, number) for one, name in names.items()]
    network = list(_body(layers, names, "f" if preparation.before else "x"))
    text = "\n".join([*functions, *network])
    helpers = [helper for name, helper in _HELPERS.items() if re.search(rf"\b{name}\(", text)]
    body = [f"  {line}\n" for line in (*preparation.before, *network, *preparation.after)]
    parts = [_HEAD, *_columns(preparation.columns), *_arrays(layers, number), _DENSE, *helpers, *functions]
    parts += [*preparation.functions, "void predict(const real *x, real *out) {\n", *body, "}\n"]
    has_classes = bool(class_names) or (layers.classifies and (layers.link == "softmax" or layers.sizes[-1] == 1))
    if has_classes:
        parts.append(_ONE_OUTPUT if layers.sizes[-1] == 1 else _LARGEST)
    if class_names:
        parts.append(f"const char *const class_names[] = {{{', '.join(map(quoted, class_names))}}};\n")
    shown = '"%s,", class_names[predict_class(x)]' if class_names else '"%d,", predict_class(x)'
    sizes, itemsize, inputs = layers.sizes, layers.dtype.itemsize, preparation.inputs or layers.sizes[0]
    before = 0 if not preparation.before else inputs + sizes[0]
    values = {
        "SIZES": "-".join(map(str, sizes)),
        "BYTES": f"{sum(array.nbytes for array in (*layers.weights, *layers.biases)):,}",
        "INPUTS": str(inputs),
        "OUTPUTS": str(sizes[-1]),
        "MEANING": "probabilities" if layers.classifies else "numbers",
        "CLASS_HEAD": "   int predict_class(const real *x)          the number of the class\n" if has_classes else "",
        "STACK": f"{(sum(sizes[1:-1]) + before) * itemsize:,}",
        "REAL": number,
        "PRINT_CLASS": f"  printf({shown});\n" if has_classes else "",
        "DIGITS": "9" if number == "float" else "17",
        "EXP": "expf" if number == "float" else "exp",
        "FABS": "fabsf" if number == "float" else "fabs",
        "LOG1P": "log1pf" if number == "float" else "log1p",
    }
    parts.append(main_of(preparation.columns))
    return re.sub("@([A-Z0-9_]+)@", lambda match: values[match[1]], "".join(parts))


def _columns(columns: Columns | None) -> Iterator[str]:
    """A list of the inputs; of categories, what their numbers stand for."""
    if columns is None:
        return
    yield "/* The inputs; NAN is a missing value, and -1 a category that is not listed.\n"
    for i, name in enumerate(columns.names):
        listed = ", ".join(f"{code} {quoted(text)}" for text, code in columns.codes.get(i, {}).items() if text)
        yield f"   x[{i}] {quoted(name)}{f': {listed}' if listed else ''}\n".replace("*/", "*\\057")
    yield "*/\n"


def _arrays(layers: Layers, number: str) -> Iterator[str]:
    for l, (weights, bias) in enumerate(zip(layers.weights, layers.biases, strict=True), 1):
        i, o = weights.shape
        rows = ",\n".join(_row(row, number) for row in weights)
        yield f"static const real weights_{l}[{i} * {o}] = {{\n{rows}}};\n"
        yield f"static const real biases_{l}[{o}] = {{{_row(bias, number)}}};\n\n"


def _row(values: np.ndarray, number: str) -> str:
    return ", ".join(constant(value, number) for value in values)


def _function_names(activations: Sequence[Activation]) -> dict[Activation, str]:
    """Names in C of those that are functions of one number; the user's own may be called anything."""
    names: dict[Activation, str] = {}
    for activation in activations:
        if activation.name not in ("identity", "softmax") and activation not in names:
            name = f"activation_{re.sub('[^A-Za-z0-9]', '_', activation.name)}"
            names[activation] = f"{name}_{len(names)}" if name in names.values() else name
    return names


def _activation(activation: Activation, name: str, number: str) -> str:
    if activation.value is None:
        return f"static real {name}(real z) {{ return {_BY_HAND[activation.name]}; }}\n"
    printer = FloatPrinter() if number == "float" else DoublePrinter()
    return c_function(name, "z", formula_of(activation), "static", printer)


def _body(layers: Layers, names: dict[Activation, str], first: str) -> Iterator[str]:
    """The lines of the network, whose inputs are in the array `first`."""
    sizes, last = layers.sizes, len(layers.weights)
    hidden = ", ".join(f"a{l}[{size}]" for l, size in enumerate(sizes[1:-1], 1))
    if hidden:
        yield f"real {hidden};"
    for l, (i, o) in enumerate(pairwise(sizes), 1):
        before, into = first if l == 1 else f"a{l - 1}", "out" if l == last else f"a{l}"
        yield f"dense({before}, {i}, weights_{l}, biases_{l}, {o}, {into});"
        activation = layers.activations[l - 1]
        yield from _applied("softmax" if activation.name == "softmax" else names.get(activation, ""), into, o)
    yield from _applied("softmax" if layers.link == "softmax" else _LINKS.get(layers.link, ""), "out", sizes[-1])


def _applied(function: str, array: str, n: int) -> Iterator[str]:
    """The line that applies a function to an array; none for the identity, which has no name."""
    if function == "softmax":
        yield f"softmax({array}, {n});"
    elif function:
        yield f"for (int o = 0; o < {n}; ++o) {array}[o] = {function}({array}[o]);"
