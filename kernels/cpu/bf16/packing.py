"""Copies of parts of matrices as pairs of bfloat16 numbers, in the order in which tiles read them.

What a pair is in memory, a word or two, says `machine.bfloat16`. A pair is two factors that follow each other along the
depth of a product; to an odd depth a zero is added.
"""

from numba import types
from numba.extending import overload

from fastmlp.kernels.cpu.machine.bfloat16 import emit_adjacent, emit_interleaved
from fastmlp.kernels.cpu.machine.host import ROWS, VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import JIT_OPTIONS, inlined, intrinsic, jitable
from fastmlp.kernels.cpu.machine.tiling import INDEX_BYTES
from fastmlp.kernels.cpu.machine.transposition import transpose
from fastmlp.kernels.cpu.machine.vectors import Vectors, constant, loop
from fastmlp.kernels.cpu.regimes import PAIR_WORDS, PANEL_BYTES
from fastmlp.kernels.cpu.team.views import address, row_address, span

__all__ = ["PANEL", "note_rows", "pack_pairs", "pack_rows", "pack_transposed", "panel_rows", "row_words", "words"]

PANEL = PANEL_BYTES // 4  # words in a row of a panel
_LANES = VECTOR_BYTES // 4


@inlined
def words(depth):
    """Words of so many factors."""
    return (depth + 1) // 2 * PAIR_WORDS


@inlined
def panel_rows(depth):
    """Rows from a panel to the next: one is left out, for else panels of 2ⁿ rows would share sets of the cache."""
    return words(depth) + 1


@inlined
def row_words(depth):
    """Words from a row of A to the next: whole vectors."""
    return (depth + 2 * _LANES - 1) // (2 * _LANES) * PAIR_WORDS * _LANES


def _in_pieces(builder, n, length: int, state: list, piece) -> None:
    """Emit ``state = piece(state, None)`` for every `length` of n elements, and ``piece(state, rest)`` for the rest."""
    rest = builder.and_(n, constant(length - 1))
    pieces = builder.ashr(n, constant(length.bit_length() - 1))
    state = loop(builder, pieces, state, lambda inside: piece(inside, None))
    with builder.if_then(builder.icmp_signed(">", rest, constant(0))):
        piece(state, rest)


@intrinsic
def _pack_adjacent(typingctx, source, n, target):
    """Pairs of adjacent elements of a row; whole vectors are written."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, types.float32)
        source, n, target = args

        def piece(state, rest):
            here, there = state
            halves = [v.load(here, constant(j), rest and v.mask(rest, j)) for j in (0, v.lanes)]
            for j, value in enumerate(emit_adjacent(v, *halves)):
                v.store(value, there, constant(j * v.lanes))
            return [builder.gep(here, [constant(2 * v.lanes)]), builder.gep(there, [constant(PAIR_WORDS * v.lanes)])]

        _in_pieces(builder, n, 2 * v.lanes, [v.pointer(source), v.pointer(target)], piece)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 3), codegen


@intrinsic
def _pack_two_rows(typingctx, first, second, present, n, target, between):
    """Pairs of the elements of two rows, as a row of panels, `between` words apart, filled up with zeros.

    Unless the second row is `present`, it counts as zeros; its address must be that of memory.
    """

    def codegen(context, builder, signature, args):
        v = Vectors(builder, types.float32)
        first, second, present, n, target, between = args

        def piece(state, rest):
            one, other, there = state
            for j in range(0, PANEL, v.lanes):
                mask = rest and v.mask(rest, j)
                a, b = (v.load(row, constant(j), mask) for row in (one, other))
                for word, value in enumerate(emit_interleaved(v, a, builder.select(present, b, v.zero))):
                    v.store(value, there, constant(word * PANEL + j))
            rows = (builder.gep(row, [constant(PANEL)]) for row in (one, other))
            return [*rows, builder.gep(there, [between])]

        _in_pieces(builder, n, PANEL, list(map(v.pointer, (first, second, target))), piece)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.boolean, *[types.intp] * 3), codegen


def _row(x, i, j, n, spare):
    """The address of x[i, j : j + n] in float32: in place, or of a copy in the array `spare`."""
    raise NotImplementedError


@overload(_row, jit_options=JIT_OPTIONS)
def _row_of(x, i, j, n, spare):
    def in_place(x, i, j, n, spare):
        return row_address(x, i) + j * x.itemsize

    def converted(x, i, j, n, spare):
        source = span(x, i * x.shape[1] + j, n)
        for c in range(n):
            spare[c] = source[c]
        return address(spare)

    return in_place if x.dtype == types.float32 else converted


@jitable
def pack_rows(x, picks, r0, r1, p, k, target, spare):
    """A = x[picks[r0:r1], p : p + k] to the address target, a row after `row_words(k)`; picks None: all rows of x."""
    size = 4 * row_words(k)
    for i in range(r0, r1):
        row = i
        if picks is not None:
            row = picks[i]
        _pack_adjacent(_row(x, row, p, k, spare), k, target + (i - r0) * size)


@intrinsic
def _store(typingctx, number, target):
    """Store an int64 at an address."""

    def codegen(context, builder, signature, args):
        number, target = args
        builder.store(number, builder.inttoptr(target, number.type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@jitable
def note_rows(x, picks, i, end, p, target):
    """What a tile needs to prefetch x[picks[i : i + ROWS], p:], none of the picks from `end` on (see `AHEAD`)."""
    for c in range(ROWS):
        _store(row_address(x, picks[min(i + c, end - 1)]) + p * x.itemsize, target + c * INDEX_BYTES)
    _store(2 * x.itemsize // PAIR_WORDS, target + ROWS * INDEX_BYTES)


@jitable
def pack_pairs(x, picks, p, k, j, n, target, first, last, spare):
    """Pairs `first` to `last` of the depth of B = x[picks[p : p + k], j : j + n] to panels at the address target.

    A panel is `words(k)` rows of PANEL words. picks None: all rows of x.
    """
    half = spare.shape[0] // 2
    upper, lower = span(spare, 0, half), span(spare, half, half)
    for i in range(first, last):
        one, other, present = p + 2 * i, p + 2 * i + 1, 2 * i + 1 < k
        if not present:
            other = one
        if picks is not None:
            one, other = picks[one], picks[other]
        rows = _row(x, one, j, n, upper), _row(x, other, j, n, lower)
        _pack_two_rows(rows[0], rows[1], present, n, target + i * PAIR_WORDS * PANEL_BYTES, panel_rows(k) * PANEL)


@jitable
def pack_transposed(w, p, k, j, n, target, spare, first, last, rows):
    """Panels `first` to `last` of B, the transpose of w[j : j + n, p : p + k], to the address target.

    `rows` is the address of room for the rows of a panel.
    """
    for panel in range(first, last):
        at = j + panel * PANEL
        columns = min(PANEL, j + n - at)
        pack_rows(w, None, at, at + columns, p, k, rows, spare)
        place = target + panel * panel_rows(k) * PANEL_BYTES
        transpose(rows, row_words(k), columns, words(k), place, PANEL, spare.dtype.type(0), 4)
