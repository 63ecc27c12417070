"""Loaders of training data: image sets, tables, arrays, and small sets that need no file."""

from fastmlp.datasets.arrays import load_arrays
from fastmlp.datasets.bundled import breast_cancer, diabetes, digits, iris, spirals, xor
from fastmlp.datasets.catalog import NAMES, load
from fastmlp.datasets.dataset import Dataset
from fastmlp.datasets.idx import load_idx_folder, read_idx
from fastmlp.datasets.openml import download
from fastmlp.datasets.table_file import load_table
from fastmlp.tables.encoding.encoder import TableEncoder
from fastmlp.tables.reading.files import read_table, table_batches
from fastmlp.tables.table import Table

__all__ = [
    "NAMES",
    "Dataset",
    "Table",
    "TableEncoder",
    "breast_cancer",
    "diabetes",
    "digits",
    "download",
    "iris",
    "load",
    "load_arrays",
    "load_idx_folder",
    "load_table",
    "read_idx",
    "read_table",
    "spirals",
    "table_batches",
    "xor",
]
