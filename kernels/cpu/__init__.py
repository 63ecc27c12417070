"""The operations of the step for Numba: plain functions whose first parameter `ops` is a thread's place in its team.

They have the names and parameters of `fastmlp.backends.numpy_ops.NumpyOps`, where their contract is written; the
Numba backend attaches them to the type `Team` as methods. Views are emitted in place; every other operation is compiled
on its own, once per dtype, and called through the team's table of addresses. What a formula defines, such as an
activation, is generated: one operation for each formula.

`catalog` lists the operations and imports Numba with them. `regimes`, `formula_texts`, `machine.host` and
`team.members` do without: a program whose kernels are all compiled needs no more.
"""
