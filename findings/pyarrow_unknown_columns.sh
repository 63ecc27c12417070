#!/usr/bin/env bash
# pyarrow 26 leaves out columns that a Parquet file does not have, and returns two of one name, without an error.
#
# Version: pyarrow 26.0.1. Source: ParquetFile.read, read_row_group and iter_batches
# (https://arrow.apache.org/docs/python/generated/pyarrow.parquet.ParquetFile.html), whose `columns` says nothing of either.
# One would guess: a name that is not in the file is an error, as it is for pyarrow.parquet.read_table on the same file.
# Behaviour: a misspelt column is missing from what is read: a network would train on fewer features. Of a file with two columns
# "a", columns=["a"] gives both.
# What fastmlp does: open_samples compares the names with the schema first (fastmlp/streams/tables.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check pyarrow==26.0.1
cat > program.py <<'PYTHON'
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table({"a": [1.0], "b": [2.0], "y": [0]}), "file.parquet")
file, wanted = pq.ParquetFile("file.parquet"), ["a", "B", "y"]
print("read_row_group", *file.read_row_group(0, columns=wanted).column_names)
print("iter_batches", *next(file.iter_batches(columns=wanted)).schema.names)
try:
    pq.read_table("file.parquet", columns=wanted)
except pa.ArrowInvalid:
    print("read_table ArrowInvalid")
pq.write_table(pa.table([[1.0], [2.0], [0]], names=["a", "a", "y"]), "twice.parquet")
print("twice", *pq.ParquetFile("twice.parquet").read_row_group(0, columns=["a"]).column_names)
PYTHON
result=$(v/bin/python program.py)
echo "$result"
expected="read_row_group a y
iter_batches a y
read_table ArrowInvalid
twice a a"
[ "$result" = "$expected" ] || { echo "the behaviour has changed"; exit 1; }
