"""Products of layers with few outputs, which would leave most lanes of a vector over the outputs idle.

Forward, vectors go along the inputs: each output of a sample is a dot product. The gradient is formed transposed,
(δᵀ a)ᵀ, with vectors over the inputs.
"""

from fastmlp.kernels.cpu.machine.dots import dots
from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import inlined
from fastmlp.kernels.cpu.machine.microkernel import IN_ORDER, UPDATE, Product
from fastmlp.kernels.cpu.machine.tiling import tiled
from fastmlp.kernels.cpu.regimes import DOTS, NARROW_OUTPUTS
from fastmlp.kernels.cpu.team.views import address, element, row_address, span

__all__ = ["is_narrow", "is_worth_transposing", "narrow_gradient", "narrow_product"]

SAMPLES = 16  # with fewer, transposing a gradient of 10 outputs takes the time that it saves


@inlined
def is_narrow(inputs, outputs, itemsize):
    return outputs <= NARROW_OUTPUTS and inputs * itemsize >= 2 * VECTOR_BYTES


@inlined
def is_worth_transposing(samples, inputs, outputs, itemsize):
    """Whether vectors over the inputs are fewer by a fifth or more than those over the outputs: then it pays."""
    lanes = VECTOR_BYTES // itemsize
    wide, tall = (outputs + lanes - 1) // lanes * inputs, (inputs + lanes - 1) // lanes * outputs
    return samples >= SAMPLES and 5 * tall <= 4 * wide


@inlined
def narrow_product(x, picks, w, b, out, r0, r1, scratch):
    """out[r0:r1] = x[picks] W + b; picks None: all rows. Picked ones, of any real dtype, are copied a few at a time."""
    inputs, outputs, size = w.shape[0], w.shape[1], out.itemsize
    for j in range(outputs):
        column = span(scratch, j * inputs, inputs)
        for i in range(inputs):
            column[i] = element(w, i * outputs + j)
    for i in range(r0, r1, DOTS):
        rows, target = min(DOTS, r1 - i), address(out) + i * outputs * size
        source = row_address(x, i)
        if picks is not None:
            for k in range(rows):
                sample, place = span(x, picks[i + k] * inputs, inputs), span(scratch, (outputs + k) * inputs, inputs)
                for c in range(inputs):
                    place[c] = sample[c]
            source = address(scratch) + outputs * inputs * size
        for j in range(outputs):
            weights = address(scratch) + j * inputs * size
            dots(source, inputs, rows, weights, inputs, target + j * size, outputs, b[j])


_multiply = tiled(UPDATE, IN_ORDER, flat=True)


@inlined
def narrow_gradient(a, delta, alpha, beta, out, r0, r1, scratch):
    """out[r0:r1] = beta out + alpha aᵀ δ, through its transpose in the scratch memory."""
    inputs, outputs, size, real = out.shape[0], out.shape[1], out.itemsize, out.dtype.type
    rows = r1 - r0
    transposed = Product(
        a=address(delta),
        a_row=1,
        a_k=outputs,
        picks=0,
        b=address(a) + r0 * size,
        b_row=inputs,
        b_column=1,
        c=address(scratch),
        c_row=rows,
        rows=outputs,
        columns=rows,
        k=delta.shape[0],
        aux=0,
        aux_row=0,
        alpha=real(1),
        beta=real(0),
    )
    _multiply(transposed, size)
    factor, kept = real(alpha), real(beta)
    for j in range(outputs):
        total = span(scratch, j * rows, rows)
        for i in range(rows):
            old = kept * out[r0 + i, j] if beta != 0.0 else real(0)
            out[r0 + i, j] = old + factor * total[i]
