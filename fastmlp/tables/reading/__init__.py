"""Bytes to columns: compression, encoding, delimiters, lines, Parquet and Arrow."""
