"""Tables of a few rows, and the hypothesis settings for properties of tables."""

import polars as pl
from hypothesis import HealthCheck, settings

from fastmlp.datasets import Table

REPEATED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def table(**columns: str) -> Table:
    """A table from space-separated columns: table(a="1 2", b="x y")."""
    return Table(pl.DataFrame({name: text.split() for name, text in columns.items()}))


SMALL = table(size="1 2 3 6", colour="red blue red green", kind="b a b a")
