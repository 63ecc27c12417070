#!/usr/bin/env bash
# Polars 2.1 reads "69" as 2069 by %y, and "23" as the year 23 by %Y, with strict=True: other years than Python's and pandas'.
#
# Version: polars 2.1.0, beside pandas 3.1.1 and Python's own strptime. Source: Series.str.to_date, whose formats are those of
# the Rust crate chrono (https://docs.rs/chrono/latest/chrono/format/strftime), not of POSIX.
# One would guess: %y follows POSIX, where 69 to 99 are 1969 to 1999, as in Python and pandas; %Y wants four digits, and
# strict=True, the default, raises for a column in which some rows have two.
# Behaviour: a birth in 1969 is in 2069, a hundred years off, while 1970 is right; rows with two digits under %Y are in
# antiquity, beside rows of our time, without an error.
# What fastmlp does: it says how two-digit years are read, and takes dates of antiquity for unreadable (tables/meaning).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check polars==2.1.0 pandas==3.1.1
cat > program.py <<'PYTHON'
from datetime import datetime
import pandas as pd
import polars as pl

short = ["01.05.68", "01.05.69", "01.05.70"]
print("polars %y", *pl.Series(short).str.to_date("%d.%m.%y", strict=True).dt.year())
print("pandas %y", *pd.to_datetime(pd.Series(short), format="%d.%m.%y").dt.year)
print("python %y", *(datetime.strptime(text, "%d.%m.%y").year for text in short))
mixed = ["01.05.2023", "01.05.23"]
print("polars %Y", *pl.Series(mixed).str.to_date("%d.%m.%Y", strict=True).dt.year())
try:
    pd.to_datetime(pd.Series(mixed), format="%d.%m.%Y")
except ValueError:
    print("pandas %Y ValueError")
PYTHON
result=$(v/bin/python program.py)
echo "$result"
expected="polars %y 2068 2069 1970
pandas %y 2068 1969 1970
python %y 2068 1969 1970
polars %Y 2023 23
pandas %Y ValueError"
[ "$result" = "$expected" ] || { echo "the behaviour has changed"; exit 1; }
