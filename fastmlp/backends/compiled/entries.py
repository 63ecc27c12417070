"""Entry points as Numba functions of one integer: the address of their arguments.

Python calls them through ctypes, which knows nothing of Numba's types.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import register_jitable
from numba.np.arrayobj import populate_array

import fastmlp.step as step
from fastmlp.backends.compiled.jobs import Job
from fastmlp.backends.compiled.options import OPTIONS, STEP_OPTIONS
from fastmlp.kernels.cpu.machine.denormals import flush_denormals, restore_denormals
from fastmlp.kernels.cpu.machine.jitable import intrinsic
from fastmlp.kernels.cpu.shuffling import shuffle
from fastmlp.kernels.cpu.team.members import make_teams
from fastmlp.network import Data, Layout, build_network, build_update

__all__ = ["entry_function", "unpacking"]

_I64 = ir.IntType(64)


def _train_epochs(ops, net, data, update, orders, batch_size, rates, seed, first_step, losses):
    """`fastmlp.step.train_epoch` for each row of orders (E, n), with denormal numbers as zero.

    losses (E,) receives what each returns: this thread's share.
    """
    before = flush_denormals()
    for e in range(len(orders)):
        first = first_step + e * rates.shape[1]
        losses[e] = step.train_epoch(ops, net, data, update, orders[e], batch_size, rates[e], seed, first)
    restore_denormals(before)
    return 0.0


def _shuffle(orders, last, places, next_uint32, state):
    shuffle(orders, last, places, next_uint32, state)
    return 0.0


_OF_STEP = [f for _, f in inspect.getmembers(step, inspect.isfunction) if f.__module__ == step.__name__]
for _one in (*_OF_STEP, _train_epochs, _shuffle):
    register_jitable(forceinline=True, **STEP_OPTIONS)(_one)  # type: ignore[type-var]
register_jitable(**OPTIONS)(shuffle)

_FUNCTIONS: dict[str, Callable] = {
    "gradient": step.gradient,
    "predict": step.predict,
    "train_epoch": _train_epochs,
    "shuffle": _shuffle,
}


def entry_function(job: Job) -> Callable:
    """Function (address) -> float of the entry point, for Numba to compile."""
    function = _FUNCTIONS[job.name]
    arguments = unpacking(tuple(map(numba.typeof, example(job))))

    def entry(address):
        return function(*arguments(address))

    return entry


def example(job: Job) -> list[Any]:
    """Arguments of the types that the entry point is called with."""
    order, matrix = np.zeros(0, np.int64), np.zeros((0, 0), np.int64)
    if job.name == "shuffle":
        return [matrix, order, order, 0, 0]
    real, params = np.dtype(job.real), np.zeros(32, job.real)
    layout = Layout.of([1, 1])
    net = build_network(layout, [0], [1.0], 0, (), params, 1)
    records: list[Any] = [make_teams(1, params, order)[0], net, Data.of(np.zeros((0, 1), job.samples), real)]
    if job.name == "predict":
        return [*records, order, 0, params]
    records.append(build_update(params, 0))
    if job.name == "gradient":
        return [*records, order, 0, 0, 0.0]
    return [*records, matrix, 0, np.zeros((0, 0, 3)), 0, 0, np.zeros(0)]


def unpacking(kinds: tuple[types.Type, ...]) -> Callable:
    """Compiled function of an address that gives the arguments there, of these types: see `arguments`."""
    result = types.Tuple(kinds)

    @intrinsic
    def unpack(typingctx, address):
        def codegen(context, builder, signature, values):
            words = builder.inttoptr(values[0], _I64.as_pointer())
            return context.make_tuple(builder, result, _fields(context, builder, kinds, words))

        return result(types.intp), codegen

    return unpack


def _fields(context, builder, kinds, words):
    """The values of these types, one after the other from a pointer on."""
    place = 0

    def word():
        nonlocal place
        place += 1
        return builder.load(builder.gep(words, [ir.Constant(_I64, place - 1)]))

    def value(kind):
        first = word()
        if isinstance(kind, types.NamedTuple):
            fields = _fields(context, builder, kind.types, builder.inttoptr(first, _I64.as_pointer()))
            return context.make_tuple(builder, kind, fields)
        if isinstance(kind, types.Array):
            return _array(context, builder, kind, first, [word() for _ in range(kind.ndim)])
        if isinstance(kind, types.Float):
            return builder.bitcast(first, ir.DoubleType())
        if isinstance(kind, types.Boolean):
            return builder.trunc(first, ir.IntType(1))
        return first

    return [value(kind) for kind in kinds]


def _array(context, builder, kind, address, shape):
    """A C-ordered array at an address, without an owner."""
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides = [size]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    array = context.make_array(kind)(context, builder)
    data = builder.inttoptr(address, context.get_data_type(kind.dtype).as_pointer())
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None, parent=None)
    return array._getvalue()
