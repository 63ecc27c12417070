"""Writes the tables of scikit_learn.md: every parameter, method and fitted attribute of scikit-learn's MLP classes.

Run: python docs/scikit_learn_table.py, with scikit-learn 1.9. The status is computed. "same": a parameter has the same
default, position and legal values, a method the same signature, an attribute the same numbers after fits of every kind.
"extended": more is allowed or provided, which needs an entry in EXTENDED. Anything else "differs".
"""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import neural_network as theirs
from sklearn.utils._param_validation import StrOptions, make_constraint

import fastmlp as ours

PAGE = Path(__file__).with_name("scikit_learn.md")
MARKERS = "<!-- made by scikit_learn_table.py -->", "<!-- end of what it made -->"
CLASSES = ("MLPClassifier", "MLPRegressor")

EXTENDED = {
    "activation": "eight more by name; a list has one per hidden layer",
    "solver": "'adamw', 'rmsprop', an `Optimizer`",
    "learning_rate": "schedules of `fastmlp.schedules` by name or instance, for all solvers but 'lbfgs'",
    "loss": "'absolute_error', 'huber', 'quantile' and others, or a `Loss`",
    "fit": "`X_val`, `y_val`, `sample_weight_val`; `checkpoint`, `checkpoint_every`, `resume`; `comm`, `reproducible`; "
    "`X` may be `Samples`, which have their `y`",
    "set_fit_request": "also for these",
    "validation_scores_": "with `X_val` also without early stopping",
    "best_validation_score_": "with `X_val` also without early stopping",
}

MISSING = "missing"
FITS: dict[str, dict[str, Any]] = {
    "sgd": {"solver": "sgd"},
    "adam": {"solver": "adam"},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
    "partial_fit": {},
}


def legal(cls: type, name: str) -> set[str]:
    """The constraints of a parameter as texts, names that may be given one by one."""
    result: set[str] = set()
    for constraint in map(make_constraint, cls._parameter_constraints[name]):
        result |= set(constraint.options) if isinstance(constraint, StrOptions) else {str(constraint)}
    return result


def shape(function: Any) -> list[tuple]:
    """(name, kind, default) of each parameter: a signature without its annotations."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def status(found: Any, expected: Any) -> str:
    """Of two sets or lists of which the second must be in the first; lists where parameters are in the same place.

    A parameter that must be given there may be optional here: every call that is right there is right here.
    """
    if found == expected:
        return "same"
    if isinstance(expected, list):
        must = {p[0] for p in expected if p[2] is inspect.Parameter.empty}
        found = [(p[0], p[1], inspect.Parameter.empty) if p[0] in must else p for p in found]
        places = [p for p in expected if p[1] is not inspect.Parameter.KEYWORD_ONLY]
        optional = all(p[2] is not inspect.Parameter.empty for p in found if p not in expected)
        return "extended" if optional and found[: len(places)] == places and {*expected} <= {*found} else "differs"
    return "extended" if expected <= found else "differs"


def parameters(name: str) -> dict[str, str]:
    """The status of each parameter of scikit-learn's class."""
    one, other = getattr(ours, name), getattr(theirs, name)
    found, expected = shape(one), shape(other)
    return {
        row[0]: status(legal(one, row[0]), legal(other, row[0])) if found[place] == row else "differs"
        for place, row in enumerate(expected)
    }


def public_methods(cls: type) -> list[str]:
    return [name for name in dir(cls) if not name.startswith("_") and callable(getattr(cls, name))]


def methods(name: str) -> dict[str, str]:
    one, other = getattr(ours, name), getattr(theirs, name)
    return {
        method: status(shape(getattr(one, method)), shape(getattr(other, method)))
        if hasattr(one, method)
        else "differs"
        for method in public_methods(other)
    }


@functools.cache
def fitted(name: str) -> list[tuple[Any, Any]]:
    """Ours and scikit-learn's after each of the fits."""
    result = []
    random = np.random.RandomState(0)
    x = random.standard_normal((60, 4))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0) if name == "MLPClassifier" else x[:, 0]
    for fit, given in FITS.items():
        models = [
            getattr(module, name)(max_iter=4, random_state=0, hidden_layer_sizes=5, **given)
            for module in (ours, theirs)
        ]
        for model in models:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if fit == "partial_fit":
                    model.partial_fit(x, y, **({"classes": [0, 1, 2]} if name == "MLPClassifier" else {}))
                else:
                    model.fit(x, y)
        result.append((models[0], models[1]))
    return result


def public_attributes(model: Any) -> set[str]:
    return {name for name in vars(model) if not name.startswith("_")} - {*model.get_params()}


def equal(found: Any, expected: Any) -> bool:
    """Texts, None or MISSING, or (lists of) arrays and numbers that agree to the sixth digit."""
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(equal, found, expected))
    if expected is None or isinstance(expected, str):
        return found == expected
    if found is None or isinstance(found, str):
        return False
    return np.shape(found) == np.shape(expected) and np.allclose(found, expected, rtol=1e-6)


def attributes(name: str) -> dict[str, str]:
    """The status of each public attribute that a fit of scikit-learn's leaves."""
    result: dict[str, str] = {}
    for attribute in sorted(set().union(*(public_attributes(other) for _, other in fitted(name)))):
        same = all(
            equal(getattr(one, attribute, MISSING), getattr(other, attribute, MISSING)) for one, other in fitted(name)
        )
        more = attribute in EXTENDED and attribute not in inspect.signature(ours.MLPRegressor).parameters
        result[attribute] = "differs" if not same else "extended" if more else "same"
    return result


def documented(cls: type) -> dict[str, str]:
    """First sentence on each parameter and attribute in a docstring of numpydoc's form, its default in brackets."""
    result: dict[str, str] = {}
    names: list[str] = []
    texts: list[str] = []
    for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
        if head := re.match(r"(\w[\w, ]*) : .*?(?:default=(.*))?$", line):
            names = head[1].split(", ")
            result |= dict.fromkeys(names, f" (default {head[2]})" if head[2] else "")
            texts = []
        elif line.startswith("    ") and names:
            texts.append(line.strip())
            sentence = re.split(r"(?<=[^.])\.(?: |$)", " ".join(texts))[0].rstrip(".")
            for name in names:
                result[name] = sentence + re.sub(r"^.*?( \(default .*\))?$", r"\1", result[name])
        else:
            names = []
    return result


def additional() -> list[str]:
    """Markdown lines: our parameters, methods and attributes that scikit-learn's classes lack."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name in CLASSES:
        one, other = getattr(ours, name), getattr(theirs, name)
        told = documented(one)
        more = [p for p in inspect.signature(one).parameters if p not in inspect.signature(other).parameters]
        for parameter in more:
            rows.setdefault(("parameter", parameter), [told[parameter]]).append(name)
        for method in public_methods(one):
            if not hasattr(other, method):
                summary = " ".join(inspect.getdoc(getattr(one, method)).split("\n\n")[0].split())
                rows.setdefault(("method", method), [summary.rstrip(".")]).append(name)
        found = set().union(*(public_attributes(a) - public_attributes(b) for a, b in fitted(name)))
        for attribute in sorted(found):
            rows.setdefault(("attribute", attribute), [told[attribute]]).append(name)
    lines = ["| kind | name | of | summary |", "|---|---|---|---|"]
    for kind in ("parameter", "method", "attribute"):
        for (what, name), (text, *of) in rows.items():
            if what == kind:
                of_both = "both" if len(of) == 2 else f"`{of[0]}`"
                lines.append(f"| {what} | `{name}` | {of_both} | {text.replace('|', chr(92) + '|')} |")
    return lines


def compared() -> dict[str, list[dict[str, str]]]:
    """Title of each table: the status of its names in the two classes."""
    return {
        title: [compare(name) for name in CLASSES]
        for title, compare in (("parameter", parameters), ("method", methods), ("attribute", attributes))
    }


def tables() -> str:
    """All of what is between the markers."""
    lines, used = [], set()
    for title, columns in compared().items():
        lines += [f"| {title} | {' | '.join(f'`{name}`' for name in CLASSES)} | extension |", "|---|---|---|---|"]
        for name in dict.fromkeys(name for column in columns for name in column):
            cells = [column.get(name, "–") for column in columns]
            more = EXTENDED[name] if "extended" in cells else ""
            used |= {name} if more else set()
            lines.append(f"| `{name}` | {' | '.join(cells)} | {more} |")
        lines.append("")
    if unused := EXTENDED.keys() - used:
        raise ValueError(f"EXTENDED tells of what is not extended: {', '.join(sorted(unused))}.")
    return "\n".join([*lines, "Additional members:", "", *additional()])


def filled(page: str) -> str:
    """The page with new tables between its markers."""
    begin, end = MARKERS
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{tables()}\n\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
