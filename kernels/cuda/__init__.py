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
    *("FEW", "INSTRUCTION", "KINDS", "MAX_BLOCKS", "MAX_INSTRUCTIONS", "PARTS", "THREADS", "TILE", "UNIT"),
    *("Operation", "operations", "part_of", "source"),
]

INSTRUCTION = np.dtype([("arguments", "V240"), ("code", "i4"), ("block", "i4"), ("wait", "i4"), ("number", "i4")])
"""An instruction of a program: see program.cu."""

_FILES = (
    *("types", "reductions", "activations", "philox", "batches"),
    *("elementwise", "few", "products", "losses", "rules", "sparse", "instructions", "program"),
)
_KINDS = ("f4", "f8", "f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")
PROGRAMS = ("program", "cluster_program")
PARTS = ("OPERATIONS", "PROGRAM", "CLUSTER_PROGRAM")
"""Parts of the source: see `part_of`."""
KINDS = {np.dtype(name): i for i, name in enumerate(_KINDS)}
"""Numbers of the dtypes that samples may have."""

_STRUCT = re.compile(r"struct (?:alignas\([^{]*\) )?(\w+) \{(.*?)\n?\};", re.DOTALL)
_FIELD = re.compile(r"(?:const )?((?:unsigned )?(?:long long|\w+)) (.*)", re.DOTALL)
_OPERATION = re.compile(r"^OPERATION(?:_OF_FEW)?\((\w+), (\w+)\)$", re.MULTILINE)
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
    addresses: tuple[str, ...]  # fields that are pointers
    written: tuple[str, ...]  # those of them that point to what it may write


@lru_cache(maxsize=16)
def source(formulas: Formulas = BUILT_IN) -> str:
    """The text of all kernels, to be compiled with ``-DREAL=float`` or ``-DREAL=double``, and those of PARTS wanted.

    It includes nothing.

    Raises
    ------
    InputError
        One of the user's own formulas has no translation.
    """
    parts, generated = [_constants()], cases(formulas)
    for name in _FILES:
        text = _MARKER.sub(lambda marker: generated[marker[1]], _text(name))
        parts.append(f'#line 1 "{name}.cu"\n{text}')
        if name == "instructions":
            parts.append(_dispatch("".join(parts)))
    return "\n".join(parts)


@cache
def operations(real: np.dtype) -> dict[str, Operation]:
    """All operations by name, for numbers of dtype `real`."""
    text = source()
    structs: dict[str, _Layout] = {name: _Layout(np.dtype(code)) for name, code in (_TYPES | {"real": real}).items()}
    for name, body in _STRUCT.findall(re.sub(r"//.*", "", text)):
        try:
            structs[name] = _layout(body, structs)
        except KeyError:
            continue  # not a struct of arguments
    found = [*_OPERATION.findall(text), *((name, "Program") for name in PROGRAMS)]
    return {name: Operation(name, code, *structs[struct]) for code, (name, struct) in enumerate(found)}


def part_of(kernel: str) -> str:
    """What is to be defined, as by ``-DPROGRAM``, to compile a kernel; what it does not need is left out."""
    return kernel.upper() if kernel in PROGRAMS else "OPERATIONS"


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
    names = dict(_OPERATION.findall(text))
    # a program is for few rows
    found = [(code, one) for code, one in enumerate(names.items()) if f"{one[0]}_few" not in names]
    functions = [
        f"__device__ __noinline__ void call_{name}(const Instruction *one) {{ "
        f"run{'_few' * name.endswith('_few')}(one->of<{struct}>(), one->part()); }}"
        for _, (name, struct) in found
    ]
    cases = [f"    case {code}: return call_{name}(one);" for code, (name, _) in found]
    head = "__device__ inline void run_instruction(const Instruction *one) {\n  switch (one->code) {"
    return "\n".join(['#line 1 "dispatch"', *functions, head, *cases, "  }\n}\n"])


class _Layout(NamedTuple):
    """What an `Operation` says of its struct."""

    dtype: np.dtype
    pointers: tuple = ()
    addresses: tuple = ()
    written: tuple = ()


def _layout(body: str, structs: Mapping[str, _Layout]) -> _Layout:
    """The layout of a struct, from its declarations."""
    names: list[str] = []
    formats: list[np.dtype] = []
    inner: list[tuple] = []
    addresses: list[str] = []
    written: list[str] = []
    for statement in filter(None, map(str.strip, body.split(";"))):
        matched = _FIELD.fullmatch(statement)
        if matched is None:
            raise KeyError(statement)
        kind, declared = matched.groups()
        for declarator in declared.split(","):
            stars = declarator.count("*")
            dtype, pointers, *_ = structs[kind] if kind != "void" else _Layout(np.dtype("V0"))
            names.append(declarator.replace("*", "").strip())
            if stars:
                addresses.append(names[-1])
            if stars and not statement.startswith("const "):
                written.append(names[-1])
            formats.append(np.dtype(np.uint64) if stars else dtype)
            inner.append(((0, dtype.itemsize),) if stars else pointers)
    layout = np.dtype({"names": names, "formats": formats}, align=True)
    fields: Mapping = layout.fields or {}  # NumPy has None for a structure without members
    within = [(fields[name][1] + at, size) for name, sizes in zip(names, inner, strict=True) for at, size in sizes]
    return _Layout(layout, tuple(within), tuple(addresses), tuple(written))


_NUMBERS = dict(re.findall(r"^constexpr int (\w+) = (\d+);", "".join(map(_text, _FILES)), re.MULTILINE))
THREADS, MAX_BLOCKS = int(_NUMBERS["THREADS"]), int(_NUMBERS["MAX_BLOCKS"])  # of a block; of a grid
FEW, UNIT, TILE = int(_NUMBERS["FEW"]), int(_NUMBERS["UNIT"]), int(_NUMBERS["TILE"])  # see few.cu, products.cu
MAX_INSTRUCTIONS = int(_NUMBERS["MAX_INSTRUCTIONS"])  # of a program
