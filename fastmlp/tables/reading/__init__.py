"""Reading of table files: compression, text encoding, CSV records, Parquet and Arrow."""
