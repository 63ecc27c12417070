"""``fastmlp export``: a model with its preparation as an ONNX file or as C."""

from __future__ import annotations

import os
from argparse import Namespace

from fastmlp.cli.outputs import check_outputs
from fastmlp.cli.quantiles import quantiles_of
from fastmlp.mlp import MLP
from fastmlp.tables.exporting.c_table import write_c
from fastmlp.tables.exporting.onnx_table import write_prepared
from fastmlp.tables.preparation import Preparation

__all__ = ["export"]


def export(arguments: Namespace) -> int:
    """Run the command."""
    path = arguments.out
    check_outputs({"OUT": path}, [arguments.model], {"OUT": (".onnx", ".c")})
    model = MLP.load(arguments.model, backend="numpy")
    write = write_c if path.lower().endswith(".c") else write_prepared
    write(model, Preparation.of(model), path, ascending=bool(quantiles_of(model)))
    print(f"{path}: {os.path.getsize(path):,} bytes")
    return 0
