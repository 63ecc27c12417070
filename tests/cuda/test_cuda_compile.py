"""The CUDA kernels compiled by NVIDIA's compiler, which needs no GPU: for all supported GPUs, without spills, and with
the argument layout that Python assumes.
"""

import ctypes
import os
import re
import shutil
import site
import subprocess
import sysconfig
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from fastmlp.kernels.cuda import INSTRUCTION, MAX_BLOCKS, MAX_INSTRUCTIONS, THREADS, operations, part_of, source

REALS = {"float": np.dtype(np.float32), "double": np.dtype(np.float64)}
ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
# One compilation takes 5 to 20 s of a core. Each type meets one architecture before and one from sm_90 on, where the
# source differs, with the program that runs there; all pairs do with FASTMLP_CUDA_COMPILE=all.
PAIRS = [("float", "sm_75"), ("double", "sm_80"), ("float", "sm_90"), ("double", "sm_100")]
if os.environ.get("FASTMLP_CUDA_COMPILE") == "all":
    PAIRS = list(product(REALS, ARCHITECTURES))
# As CuPy 14 compiles: for the GPU's own architecture (-arch=sm_…, to machine code), with these options, the last of
# which NVRTC alone has. A constant may be unused (177).
OPTIONS = ("-std=c++17", "-ftz=true", "-diag-suppress=177")
OF_NVRTC = ("--device-as-default-execution-space",)
OFFSET = "#define OFFSET(Struct, field) __INTADDR__(&((Struct *)0)->field)\n"  # NVRTC has no offsetof
# Registers of a thread. A multiprocessor has 65536: with 128 it runs two blocks at once, with 64 four. The program has
# all operations in it, and needs one block.
MOST_REGISTERS = {
    **dict.fromkeys(("program", "cluster_program"), 255),
    "linear": 168,
    "linear_few": 192,  # 16 weights, 8 rows of which 4 numbers, and 32 sums; a block has a multiprocessor to itself
    "backward_data": 128,
    "backward_data_few": 192,
    "accumulate": 168,
    "accumulate_few": 168,
}
MANY_REGISTERS = 64

_REPORT = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
    r".*?Used (\d+) registers",
    re.DOTALL,
)


class Nvrtc:
    """The compiler as a library, as used by CuPy."""

    def __init__(self, path):
        for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
            ctypes.CDLL(str(builtins))  # or it is looked for by its bare name
        self._library = ctypes.CDLL(str(path))
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def compile(self, text, options):
        """Machine code, and the messages of the compiler."""
        given = [option.encode() for option in (*options, *OF_NVRTC, "--ptxas-options=-v")]
        program = ctypes.c_void_p()
        self._check(
            self._library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
        )
        failed = self._library.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
        log = self._bytes(program, "ProgramLog").rstrip(b"\0").decode()
        assert not failed, log
        code = self._bytes(program, "CUBIN")
        self._check(self._library.nvrtcDestroyProgram(ctypes.byref(program)))
        return code, log

    def _bytes(self, program, what):
        size = ctypes.c_size_t()
        self._check(getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, f"nvrtcGet{what}")(program, buffer))
        return buffer.raw

    def _check(self, status):
        assert status == 0, self._library.nvrtcGetErrorString(status).decode()


class Nvcc:
    """The compiler as a program."""

    def __init__(self, path):
        self._path = path

    def compile(self, text, options):
        command = [self._path, "-x", "cu", "-cubin", "-Xptxas", "-v", *options, "-o", "/dev/stdout", "-"]
        ran = subprocess.run(command, input=text.encode(), capture_output=True)
        log = ran.stderr.decode()
        assert ran.returncode == 0, log
        return ran.stdout, log


@cache
def find_compiler():
    nvcc = shutil.which("nvcc")
    roots = [os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), nvcc and Path(nvcc).resolve().parents[1]]
    folders = [Path(root, part) for root in filter(None, roots) for part in ("lib64", "lib")]
    packages = {sysconfig.get_path("purelib"), site.getusersitepackages(), *site.getsitepackages()}
    folders[:0] = [folder for package in sorted(packages) for folder in Path(package, "nvidia").glob("*/lib")]
    for folder in folders:
        for path in sorted(folder.glob("libnvrtc.so.1[2-9]")):
            return Nvrtc(path)
    return Nvcc(nvcc) if nvcc else None


@pytest.fixture(scope="module")
def compiler():
    found = find_compiler()
    if found is None:
        pytest.skip("there is no CUDA compiler; pip install nvidia-cuda-nvrtc brings one")
    return found


def checks(real):
    """Lines of C++ that compile if structs are laid out as in Python."""
    structs = dict(re.findall(r"^OPERATION(?:_OF_FEW)?\((\w+), (\w+)\)$", source(), re.MULTILINE))
    structs |= dict.fromkeys(("program", "cluster_program"), "Program")
    sizes = {"Instruction": INSTRUCTION.itemsize}
    for name, operation in operations(real).items():
        sizes[structs[name]] = operation.arguments.itemsize
        yield from offsets(structs[name], operation.arguments)
        yield f"sizeof({structs[name]}) <= {INSTRUCTION['arguments'].itemsize}"
    yield from (f"sizeof({struct}) == {size}" for struct, size in sizes.items())
    yield from offsets("Instruction", INSTRUCTION)
    constants = {"THREADS": THREADS, "MAX_BLOCKS": MAX_BLOCKS, "MAX_INSTRUCTIONS": MAX_INSTRUCTIONS}
    yield from (f"{name} == {value}" for name, value in constants.items())
    yield f"sizeof(real) == {real.itemsize}"


def offsets(struct, layout, prefix="", at=0):
    for name, (dtype, offset) in ((name, layout.fields[name][:2]) for name in layout.names):
        field = f"{prefix}{name}"
        yield f"OFFSET({struct}, {field}) == {at + offset}"
        if dtype.names:
            yield from offsets(struct, dtype, f"{field}.", at + offset)
        else:
            yield f"sizeof((({struct} *)nullptr)->{field}) == {dtype.itemsize}"


def checked_source(real):
    return "\n".join([source(), OFFSET, *(f'static_assert({check}, "as in Python");' for check in checks(real))])


@pytest.mark.parametrize(("real", "architecture"), PAIRS)
def test_all_kernels_compile(compiler, real, architecture):
    program = "program" if architecture < "sm_90" and len(architecture) == 5 else "cluster_program"
    how = f"-arch={architecture}", f"-DREAL={real}", "-DOPERATIONS", f"-D{part_of(program)}"
    code, log = compiler.compile(checked_source(REALS[real]), (*how, *OPTIONS))
    reports = {name: [int(number) for number in numbers] for name, *numbers in _REPORT.findall(log)}
    names = {name for name in operations(REALS[real]) if "program" not in name} | {program}
    assert set(reports) == names
    assert all(f".text.{name}\0".encode() in code for name in names)
    faults = {}
    for name, (stack, stores, loads, registers) in reports.items():
        if stack or stores or loads or registers > MOST_REGISTERS.get(name, MANY_REGISTERS):
            faults[name] = f"{stack} bytes of stack, {stores} + {loads} of spills, {registers} registers"
    assert not faults
    assert "warning" not in log.lower()


def test_a_layout_that_differs_is_found(compiler):
    text = OFFSET + 'struct S { float a; double b; };\nstatic_assert(OFFSET(S, b) == 4, "as in Python");'
    with pytest.raises(AssertionError, match=r"as in Python"):
        compiler.compile(text, ("-arch=sm_80", *OPTIONS))


def test_the_checks_name_every_field():
    lines = list(checks(np.dtype(np.float32)))
    assert "OFFSET(ApplyRule, w) == 8" in lines
    assert any(re.fullmatch(r"OFFSET\(ApplyRule, rate1\.factor\) == \d+", line) for line in lines)
