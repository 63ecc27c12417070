"""Jobs compiled by Numba, to object files instead of into this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np
from llvmlite import binding
from numba import types
from numba.core.codegen import AOTCodeLibrary, JITCPUCodegen
from numba.core.compiler import Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from fastmlp.backends.compiled import call_table  # noqa: F401  # makes the operations methods of the team's type
from fastmlp.backends.compiled.entries import entry_function
from fastmlp.backends.compiled.jobs import ENTRIES, Job
from fastmlp.backends.compiled.loading import ObjectCode
from fastmlp.backends.compiled.options import OPTIONS, STEP_OPTIONS
from fastmlp.kernels.cpu.catalog import operation, prototype
from fastmlp.kernels.cpu.team.members import make_teams
from fastmlp.kernels.cpu.team.signatures import numba_signature

__all__ = ["compiled"]

# Numba's convention is int32 f(result *, error **, arguments …). No operation raises, so there is no error to report.
_C_FUNCTION = """
declare i32 @"{function}"(double*, i8**, i64)

define double @{symbol}(i64 %address) {{
  %result = alloca double
  %error = alloca i8*
  store double 0x7FF8000000000000, double* %result
  call i32 @"{function}"(double* %result, i8** %error, i64 %address)
  %value = load double, double* %result
  ret double %value
}}
"""

# What Numba calls at the end of an array's life. Here no array has an owner, so it is never called, but not all traces
# of it are optimised away, and Numba would have to be imported for it.
_NO_OWNER = """
define void @NRT_MemInfo_call_dtor(i8* %owner) {
  call void @llvm.trap()
  unreachable
}

declare void @llvm.trap()
"""


class _Library(AOTCodeLibrary):
    """Numba's functions on their way into an object file.

    Numba optimises each function on its own, and again wherever it is inlined. Here only the outermost is optimised,
    with all that it calls in it, which takes two thirds of the time.
    """

    outermost = False

    def _optimize_final_module(self):
        if self.outermost:
            super()._optimize_final_module()

    def get_pointer_to_function(self, name):
        return 0  # there is none in this process


class _Codegen(JITCPUCodegen):
    """Numba's code generator for this CPU, without an execution engine to put the code in."""

    _library_class = _Library  # type: ignore[assignment]  # made by __getattr__ of its base class

    def _add_module(self, module):
        pass

    def set_env(self, env_name, env):
        pass


@contextmanager
def _emitting() -> Iterator[_Codegen]:
    """Within, whatever Numba compiles is for object files."""
    context = cpu_target.target_context
    with global_compiler_lock:
        context.refresh()
        before, context._internal_codegen = context._internal_codegen, _Codegen("fastmlp")
        try:
            yield context._internal_codegen
        finally:
            context._internal_codegen = before


def compiled(job: Job) -> ObjectCode:
    """Compile one job.

    The members of Numba that are used here are private, and the same from version 0.61 to 0.68.
    """
    is_entry = job.name in ENTRIES
    if is_entry:
        function, parameters, options = entry_function(job), (types.intp,), STEP_OPTIONS
    else:
        function, options = operation(job.name, job.regime, job.code, job.text), OPTIONS
        team = numba.typeof(make_teams(1, np.zeros(0, job.real), np.zeros(0, np.int64))[0])
        samples = types.Array(numba.from_dtype(np.dtype(job.samples or job.real)), 2, "C", readonly=True)
        _, parameters = numba_signature(prototype(job.name), team, samples)
    flags = Flags()
    without = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # to be called from Python or C by Numba's means
    cpu_target.options.parse_as_flags(flags, options | without | {"nopython": True})
    setattr(flags, "no_compile", True)  # noqa: B010  # types of flags are made at run time
    with _emitting() as codegen:
        library = codegen.create_library(job.symbol)
        library.outermost = True
        contexts = cpu_target.typing_context, cpu_target.target_context
        result = compile_extra(*contexts, function, parameters, None, flags, {}, library=library)
        library.finalize()
        return _object_code(library, result.fndesc.llvm_func_name, job.symbol, is_entry)


def _object_code(library: _Library, name: str, symbol: str, is_entry: bool) -> ObjectCode:
    """The object file of a finished library, in which one function is visible, by the given symbol."""
    module = library._final_module
    module.link_in(binding.parse_assembly(_NO_OWNER))
    if is_entry:
        module.link_in(binding.parse_assembly(_C_FUNCTION.format(function=name, symbol=symbol)))
    else:
        module.get_function(name).name = symbol
    for i, inner in enumerate([*module.functions, *module.global_variables]):
        if not inner.is_declaration and inner.name != symbol:
            # named by their place: Numba's own names have numbers, as functions come in a process
            inner.linkage, inner.name = "internal", f"inner{i}"
    needs = [function.name for function in module.functions if function.is_declaration]
    content = library.codegen._tm.emit_object(module)
    return ObjectCode(tuple(name for name in needs if not re.match("llvm[.]", name)), content)
