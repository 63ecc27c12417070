"""Data to train on: image sets, tables, arrays, and small sets that need no files."""

from fastmlp.datasets.arrays import load_arrays
from fastmlp.datasets.bundled import breast_cancer, diabetes, digits, iris, spirals, xor
from fastmlp.datasets.catalog import NAMES, load
from fastmlp.datasets.csv_file import load_csv
from fastmlp.datasets.dataset import Dataset
from fastmlp.datasets.encoder import TableEncoder
from fastmlp.datasets.idx import load_idx_folder, read_idx
from fastmlp.datasets.openml import download
from fastmlp.datasets.table import Table, read_csv

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
    "load_csv",
    "load_idx_folder",
    "read_csv",
    "read_idx",
    "spirals",
    "xor",
]
