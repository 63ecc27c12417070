"""A network as one C99 file that needs nothing but the mathematical functions of C."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from fastmlp.activations import Activation
from fastmlp.exporting.c99 import DoublePrinter, FloatPrinter, constant
from fastmlp.exporting.layers import Layers, formula_of
from fastmlp.formulas.c_text import c_function

__all__ = ["c_source"]

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
_CLASS = {
    "softmax": """\
/* the number of the most probable class */
int predict_class(const real *x) {
  real out[OUTPUTS];
  int best = 0;
  predict(x, out);
  for (int o = 1; o < OUTPUTS; ++o) if (out[o] > out[best]) best = o;
  return best;
}
""",
    "sigmoid": """\
/* 1 if that is as probable as 0, or more probable, else 0 */
int predict_class(const real *x) {
  real out[OUTPUTS];
  predict(x, out);
  return out[0] >= (real)0.5;
}
""",
}
_MAIN = """\

#ifdef FASTMLP_MAIN
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether a field of a line is a number, which is written to *value. */
static int is_number(const char *field, real *value) {
  char *end;
  *value = (real)strtod(field, &end);
  return end != field && end[strspn(end, " \\t\\r\\n")] == '\\0';
}

/* Whether a line is INPUTS numbers separated by commas, which are written to x. */
static int is_sample(char *line, real *x) {
  int i = 0;
  for (char *field = line; field; ++i) {
    char *comma = strchr(field, ',');
    if (comma) *comma++ = '\\0';
    if (i == INPUTS || !is_number(field, &x[i])) return 0;
    field = comma;
  }
  return i == INPUTS;
}

/* Reads one sample a line, of which the first may be a header, and prints a line for each. */
int main(void) {
  static char line[64 * INPUTS + 64];
  real x[INPUTS], out[OUTPUTS];
  for (long number = 1; fgets(line, sizeof line, stdin); ++number) {
    const int is_whole = strchr(line, '\\n') || feof(stdin);
    if (!is_whole || !is_sample(line, x)) {
      if (number == 1 && is_whole) continue;
      fprintf(stderr, "line %ld is not %d numbers separated by commas\\n", number, INPUTS);
      return 1;
    }
    predict(x, out);
@PRINT_CLASS@    for (int o = 0; o < OUTPUTS; ++o)
      printf("%.@DIGITS@g%c", (double)out[o], o < OUTPUTS - 1 ? ',' : '\\n');
  }
  return 0;
}
#endif
"""


def c_source(layers: Layers, class_names: Sequence[str] = ()) -> str:
    """Give the text of the file.

    Parameters
    ----------
    layers : of the network.
    class_names : C names to print for the classes, if it has classes; their numbers without.

    Raises
    ------
    InputError : an activation that cannot be translated.
    """
    number = "float" if layers.dtype == np.float32 else "double"
    names = _function_names(layers.activations)
    functions = [_activation(one, name, number) for one, name in names.items()]
    body = list(_body(layers, names))
    text = "\n".join([*functions, *body])
    helpers = [helper for name, helper in _HELPERS.items() if re.search(rf"\b{name}\(", text)]
    one_class = _CLASS.get(layers.link, "") if layers.classifies and _is_one_label(layers) else ""
    parts = [_HEAD, *_arrays(layers, number), _DENSE, *helpers, *functions]
    parts += ["void predict(const real *x, real *out) {\n", *(f"  {line}\n" for line in body), "}\n", one_class]
    if one_class and class_names:
        quoted = ", ".join(map(_quoted, class_names))
        parts.append(f"const char *const class_names[] = {{{quoted}}};\n")
    sizes, itemsize = layers.sizes, layers.dtype.itemsize
    shown = '"%s,", class_names[predict_class(x)]' if class_names else '"%d,", predict_class(x)'
    values = {
        "SIZES": "-".join(map(str, sizes)),
        "BYTES": f"{sum(array.nbytes for array in (*layers.weights, *layers.biases)):,}",
        "INPUTS": str(sizes[0]),
        "OUTPUTS": str(sizes[-1]),
        "MEANING": "probabilities" if layers.classifies else "numbers",
        "CLASS_HEAD": "   int predict_class(const real *x)          the number of the class\n" if one_class else "",
        "STACK": f"{sum(sizes[1:-1]) * itemsize:,}",
        "REAL": number,
        "PRINT_CLASS": f"    printf({shown});\n" if one_class else "",
        "DIGITS": "9" if number == "float" else "17",
        "EXP": "expf" if number == "float" else "exp",
        "FABS": "fabsf" if number == "float" else "fabs",
        "LOG1P": "log1pf" if number == "float" else "log1p",
    }
    return re.sub("@([A-Z0-9_]+)@", lambda match: values[match[1]], "".join([*parts, _MAIN]))


def _is_one_label(layers: Layers) -> bool:
    """Whether a sample has one class, not several labels."""
    return layers.link == "softmax" or layers.sizes[-1] == 1


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


def _body(layers: Layers, names: dict[Activation, str]) -> Iterator[str]:
    sizes, last = layers.sizes, len(layers.weights)
    hidden = ", ".join(f"a{l}[{size}]" for l, size in enumerate(sizes[1:-1], 1))
    if hidden:
        yield f"real {hidden};"
    for l, (i, o) in enumerate(pairwise(sizes), 1):
        before, into = "x" if l == 1 else f"a{l - 1}", "out" if l == last else f"a{l}"
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


def _quoted(text: str) -> str:
    r"""A string literal; what is not plain ASCII in octal, after which, unlike after \x, three digits are the end."""
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'
