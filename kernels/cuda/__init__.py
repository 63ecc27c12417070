"""The CUDA kernels: one source text, and the layout of every kernel's arguments as that text declares it.

An operation is a struct of arguments, a device function `run` of that struct, and a line ``OPERATION(name, Struct)``,
which makes a kernel of it. `program.cu` calls the same functions one after another in a single launch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.kernels import codes, philox
from fastmlp.kernels.cuda.generated import cases

__all__ = [
    *("FEW", "GROUP", "INSTRUCTION", "KINDS", "MAX_BLOCKS", "MAX_INSTRUCTIONS", "THREADS", "TILE"),
    *("Operation", "operations", "source"),
]

INSTRUCTION = np.dtype([("arguments", "V240"), ("code", "i4"), ("single_block", "i4"), ("unused", "V8")])
"""An instruction of a program: see program.cu."""

_FILES = (
    *("types", "reductions", "activations", "philox", "batches"),
    *("elementwise", "products", "losses", "rules", "sparse", "program"),
)
_KINDS = ("f4", "f8", "f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")
KINDS = {np.dtype(name): i for i, name in enumerate(_KINDS)}
"""Numbers of the dtypes that samples may have."""

_STRUCT = re.compile(r"struct (?:alignas\([^{]*\) )?(\w+) \{(.*?)\n?\};", re.DOTALL)
_FIELD = re.compile(r"(?:const )?((?:unsigned )?(?:long long|\w+)) (.*)", re.DOTALL)
_OPERATION = re.compile(r"^OPERATION\((\w+), (\w+)\)$", re.MULTILINE)
_MARKER = re.compile(r"^// generated: (.*)\n", re.MULTILINE)
_TYPES = {
    "int": "i4",
    "unsigned": "u4",
    "long long": "i8",
    "unsigned long long": "u8",
    "unsigned short": "u2",
    "double": "f8",
    "float": "f4",
}


class Operation(NamedTuple):
    """A kernel's name and what it takes."""

    name: str
    code: int  # its number in a program
    arguments: np.dtype  # laid out as C lays out the struct; pointers are addresses
    pointers: tuple[tuple[int, int], ...]  # of each pointer its offset, and the bytes of what it points to (0: void)
    written: tuple[str, ...]  # fields that point to what it may write


@lru_cache(maxsize=16)
def source(formulas: Formulas = BUILT_IN) -> str:
    """The text of all kernels, to be compiled with ``-DREAL=float`` or ``-DREAL=double``. It includes nothing.

    Raises
    ------
    InputError
        One of the user's own formulas has no translation.
    """
    parts, generated = [_constants()], cases(formulas)
    for name in _FILES:
        text = _MARKER.sub(lambda marker: generated[marker[1]], _text(name))
        parts.append(f'#line 1 "{name}.cu"\n{text}')
        if name == "sparse":
            parts.append(_dispatch("".join(parts)))
    return "\n".join(parts)


@cache
def operations(real: np.dtype) -> dict[str, Operation]:
    """All operations by name, for numbers of dtype `real`."""
    text = source()
    structs: dict[str, tuple[np.dtype, tuple, tuple]] = {
        name: (np.dtype(code), (), ()) for name, code in (_TYPES | {"real": real}).items()
    }
    for name, body in _STRUCT.findall(re.sub(r"//.*", "", text)):
        try:
            structs[name] = _layout(body, structs)
        except KeyError:
            continue  # not a struct of arguments
    found = enumerate(_OPERATION.findall(text))
    all_of_them = {name: Operation(name, code, *structs[struct]) for code, (name, struct) in found}
    return all_of_them | {"cluster_program": all_of_them["program"]._replace(name="cluster_program")}


def _text(name: str) -> str:
    """The text of one file."""
    return Path(__file__).with_name(f"{name}.cu").read_text(encoding="utf-8")


def _constants() -> str:
    """Constants that the kernels share with the other backends."""
    whole = {name: number for name, number in vars(codes).items() if name.isupper() and isinstance(number, int)}
    whole |= {f"KIND_{dtype.str[1:].upper()}": number for dtype, number in KINDS.items()}
    words = [*enumerate(philox.MULTIPLIER), *enumerate(philox.KEY_STEP)]
    names = ["PHILOX_MULTIPLIER"] * 2 + ["PHILOX_KEY_STEP"] * 2
    lines = [f"constexpr int {name} = {number};" for name, number in whole.items()]
    lines += [f"constexpr unsigned {name}_{i} = {word:#x}u;" for name, (i, word) in zip(names, words, strict=True)]
    lines.append(f"constexpr int PHILOX_ROUNDS = {philox.ROUNDS};")
    return "\n".join(lines)


def _dispatch(text: str) -> str:
    """`run_instruction`, by which a program calls an operation; not inlined, which would take long to compile."""
    found = list(enumerate(_OPERATION.findall(text)))
    functions = [
        f"__device__ __noinline__ void call_{name}(const {struct} *a, Part part) {{ run_few(*a, part); }}"
        for _, (name, struct) in found
    ]
    cases = [
        f"    case {code}: return call_{name}(static_cast<const {struct} *>(arguments), part);"
        for code, (name, struct) in found
    ]
    head = "__device__ inline void run_instruction(int code, const void *arguments, Part part) {\n  switch (code) {"
    return "\n".join(['#line 1 "dispatch"', *functions, head, *cases, "  }\n}\n"])


def _layout(body: str, structs: dict[str, tuple[np.dtype, tuple, tuple]]) -> tuple[np.dtype, tuple, tuple]:
    """dtype, pointers and written fields of a struct, from its declarations."""
    names: list[str] = []
    formats: list[np.dtype] = []
    inner: list[tuple] = []
    written: list[str] = []
    for statement in filter(None, map(str.strip, body.split(";"))):
        matched = _FIELD.fullmatch(statement)
        if matched is None:
            raise KeyError(statement)
        kind, declared = matched.groups()
        for declarator in declared.split(","):
            stars = declarator.count("*")
            dtype, pointers, _ = structs[kind] if kind != "void" else (np.dtype("V0"), (), ())
            names.append(declarator.replace("*", "").strip())
            if stars and not statement.startswith("const "):
                written.append(names[-1])
            formats.append(np.dtype(np.uint64) if stars else dtype)
            inner.append(((0, dtype.itemsize),) if stars else pointers)
    layout = np.dtype({"names": names, "formats": formats}, align=True)
    fields: Mapping = layout.fields or {}  # NumPy has None for a structure without members
    within = [(fields[name][1] + at, size) for name, sizes in zip(names, inner, strict=True) for at, size in sizes]
    return layout, tuple(within), tuple(written)


_NUMBERS = dict(re.findall(r"^constexpr int (\w+) = (\d+);", "".join(map(_text, _FILES)), re.MULTILINE))
THREADS, MAX_BLOCKS = int(_NUMBERS["THREADS"]), int(_NUMBERS["MAX_BLOCKS"])  # of a block; of a grid
FEW, GROUP, TILE = int(_NUMBERS["FEW"]), int(_NUMBERS["GROUP"]), int(_NUMBERS["TILE"])  # rows: see products.cu
MAX_INSTRUCTIONS = int(_NUMBERS["MAX_INSTRUCTIONS"])  # of a program
