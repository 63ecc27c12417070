"""A team of threads that run the same compiled step together, each on its own core (SPMD).

Every thread runs the whole epoch; an operation does the thread's share of its work and then waits at a barrier until
the others have done theirs, or defers the barrier until somebody needs it. There is no fork and join and no threading
layer: the threads are plain Python threads whose compiled code has released the interpreter lock.
"""

import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastmlp.kernels.cpu.machine.host import X86
from fastmlp.kernels.cpu.machine.jitable import intrinsic, jitable
from fastmlp.kernels.cpu.team.members import PARTS, PLACES, RECORD, Team
from fastmlp.kernels.cpu.team.views import address, span

__all__ = [
    *("barrier", "defer_barrier", "team_of_one", "wait_if_deferred"),
    *("line", "part_length", "share", "sum_of_parts"),
]

_DEFERRED = 2  # place in a thread's line of `sync`
_SPINS = 32  # pauses, about 1 µs, between two checks of which cores the others are on
_PATIENCE = 128  # checks, after which a thread yields its core once

_I64 = ir.IntType(64)


@intrinsic
def _atomic_add(typingctx, address, value):
    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", builder.inttoptr(args[0], _I64.as_pointer()), args[1], "seq_cst")

    return types.int64(types.intp, types.int64), codegen


@intrinsic
def _atomic_load(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.load_atomic(builder.inttoptr(args[0], _I64.as_pointer()), "seq_cst", 8)

    return types.int64(types.intp), codegen


@intrinsic
def _pause(typingctx):
    # tells the core that this is a wait loop: frees execution units for its other hyperthread and saves power
    def codegen(context, builder, signature, args):
        if X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), codegen


_yield = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


if sys.platform == "linux":
    _core = types.ExternalFunction("sched_getcpu", types.int32())
else:

    @jitable
    def _core():
        return 0  # unknown: as if all were on one core


@jitable
def line(team):
    """Where this thread's line of `sync` begins."""
    return PLACES * (team.rank + 1)


@jitable
def _waits_for_my_core(team):
    """Whether a thread that has not arrived yet was last seen on this thread's core."""
    mine = line(team)
    for other in range(PLACES, PLACES * (team.size + 1), PLACES):
        if team.sync[other] < team.sync[mine] and team.sync[other + 1] == team.sync[mine + 1]:
            return True
    return False


@jitable
def barrier(team):
    """Return when every thread of the team has come here.

    A waiting thread yields its core if another thread of the team, not here yet, was last seen on the same core. Else
    it yields rarely: another process would keep the core for a whole time slice, and the team would wait for it.
    """
    if team.size == 1:
        return
    mine = line(team)
    team.sync[mine] += 1
    team.sync[mine + 1] = _core()
    team.sync[mine + _DEFERRED] = 0
    target = team.sync[mine] * team.size
    counter = address(team.sync)
    _atomic_add(counter, 1)
    spins = 0
    while _atomic_load(counter) < target:
        spins += 1
        if spins % _SPINS:
            _pause()
        elif spins == _PATIENCE * _SPINS or _waits_for_my_core(team):
            spins = -1  # so that the next round checks again
            _yield()


@jitable
def team_of_one(team):
    """The thread as a team of its own."""
    record = span(team.record, RECORD, RECORD)
    return Team(team.rank, 1, team.sync, team.partial, team.scratch, team.table, record)


@jitable
def defer_barrier(team):
    """Defer the barrier to the next call of `wait_if_deferred`.

    That call is due before a thread reads what another has written since the last barrier, or writes what another may
    still read. All threads must defer and wait at the same points.
    """
    team.sync[line(team) + _DEFERRED] = 1


@jitable
def wait_if_deferred(team):
    """The deferred barrier, if there is one and no barrier has come since."""
    if team.sync[line(team) + _DEFERRED] != 0:
        barrier(team)


@jitable
def share(team, n, block):
    """Begin and end of this thread's part of range(n), cut at multiples of `block`."""
    if team.size == 1:
        return 0, n  # no division, which would take a good part of a small operation's time
    blocks = (n + block - 1) // block
    begin = team.rank * blocks // team.size * block
    end = (team.rank + 1) * blocks // team.size * block
    return min(begin, n), min(end, n)


@jitable
def part_length(n, block):
    """Length of the parts, PARTS or fewer, whose sums a total over range(n) is made of: a multiple of `block`.

    Each part is one thread's; where the parts begin depends on n alone. So every team adds the same numbers in the same
    order, and the total is the same, bit for bit, with any number of threads.
    """
    return max(1, (n + PARTS * block - 1) // (PARTS * block)) * block


@jitable
def sum_of_parts(team, n, length):
    """This thread's share of Σ team.partial over the parts of range(n): all of it on the first, 0 on the others."""
    total = 0.0
    if team.rank == 0:
        for part in range((n + length - 1) // length):
            total += team.partial[part]
    return total
