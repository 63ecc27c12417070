"""A model with its preparation as one C99 file."""

from __future__ import annotations

import os
from collections.abc import Iterator

from fastmlp.exporting.c_main import Columns
from fastmlp.exporting.c_source import CPreparation, c_source
from fastmlp.exporting.layers import Layers
from fastmlp.files import atomic_write
from fastmlp.mlp import MLP
from fastmlp.tables.encoding.columns import CategoryColumn
from fastmlp.tables.encoding.encoder import TableEncoder
from fastmlp.tables.exporting.c_columns import BINS, column_lines, expansion_lines, numbers
from fastmlp.tables.exporting.spellings import codes_by_text
from fastmlp.tables.preparation import Preparation

__all__ = ["write_c"]

_ASCENDING = """\
/* quantiles that cross, put in order */
static void ascending(real *v, int n) {
  for (int i = 1; i < n; ++i)
    for (int k = i; k > 0 && v[k] < v[k - 1]; --k) {
      const real larger = v[k - 1];
      v[k - 1] = v[k];
      v[k] = larger;
    }
}
"""


def write_c(model: MLP, preparation: Preparation, path: str | os.PathLike[str], *, ascending: bool = False) -> None:
    """Write the file, whole or not at all.

    Its function `predict` takes the columns of a table: numbers, NAN where one is missing, and of categories their
    numbers, as the file lists them; or the samples as they are in arrays.

    Parameters
    ----------
    model : the network.
    preparation : what was done to the data that it was trained on.
    path : of the file.
    ascending : whether the outputs are quantiles of one target, which are put in order.

    Raises
    ------
    InputError : a column of dates or times, or a custom activation that cannot be translated.
    """
    layers = Layers.of(model)
    encoder, expansion = preparation.encoder, preparation.expansion
    before, width = list(_before(preparation, layers)), layers.sizes[0]
    given = width if expansion is None else len(expansion.columns)
    after = [*_after(preparation), *(["ascending(out, OUTPUTS);"] if ascending else [])]
    prepared = CPreparation(
        inputs=given if encoder is None else len(encoder.columns),
        functions=[text for text in (BINS, _ASCENDING) if any(_name_of(text) in line for line in (*before, *after))],
        before=before,
        after=after,
        columns=None if encoder is None else _columns(encoder, preparation),
    )
    with atomic_write(path) as file:
        file.write(c_source(layers, preparation.class_names, prepared).encode())


def _name_of(text: str) -> str:
    """What a call of the function begins with."""
    return text.partition("static void ")[2].partition("(")[0] + "("


def _before(preparation: Preparation, layers: Layers) -> Iterator[str]:
    """The lines that write the features f of the network, made of what is given as x; none if they are the same."""
    encoder, scaling, expansion, width = (
        preparation.encoder,
        preparation.features,
        preparation.expansion,
        layers.sizes[0],
    )
    if encoder is None and scaling is None and expansion is None:
        return
    given = width if expansion is None else len(expansion.columns)
    into = "f" if expansion is None else "c"
    yield f"real f[{width}];" if expansion is None else f"real c[{given}], f[{width}];"
    if encoder is not None:
        yield from column_lines(encoder.columns, encoder.missing_values, into)
    elif scaling is None:
        yield f"for (int i = 0; i < {given}; ++i) {into}[i] = x[i];"
    else:
        yield f"static const double mean[] = {{{numbers(scaling.mean)}}}, std[] = {{{numbers(scaling.std)}}};"
        i = "0" if len(scaling.mean) == 1 else "i"
        yield f"for (int i = 0; i < {given}; ++i) {into}[i] = (real)((x[i] - mean[{i}]) / std[{i}]);"
    if expansion is not None:
        yield from expansion_lines(expansion)


def _after(preparation: Preparation) -> Iterator[str]:
    """The lines that turn outputs into numbers in their own unit."""
    if preparation.class_names:
        return
    if (target := preparation.target) is not None:
        o = "0" if len(target.mean) == 1 else "o"
        yield f"static const double target_mean[] = {{{numbers(target.mean)}}};"
        yield f"static const double target_std[] = {{{numbers(target.std)}}};"
        yield f"for (int o = 0; o < OUTPUTS; ++o) out[o] = (real)(out[o] * target_std[{o}] + target_mean[{o}]);"
    if (bounds := preparation.bounds) is not None:
        o = "0" if len(bounds.low) == 1 else "o"
        yield f"static const real low[] = {{{numbers(bounds.low)}}}, high[] = {{{numbers(bounds.high)}}};"
        yield (
            f"for (int o = 0; o < OUTPUTS; ++o) "
            f"out[o] = out[o] < low[{o}] ? low[{o}] : out[o] > high[{o}] ? high[{o}] : out[o];"
        )


def _columns(encoder: TableEncoder, preparation: Preparation) -> Columns:
    reading = preparation.reading
    names = [column.name for column in encoder.columns]
    has_header = reading is None or reading.header
    return Columns(
        names=names,
        places=[] if has_header else [int(name.removeprefix("column")) for name in names],
        codes={
            i: codes_by_text(column, ())
            for i, column in enumerate(encoder.columns)
            if isinstance(column, CategoryColumn)
        },
        marks=encoder.missing_values,
    )
