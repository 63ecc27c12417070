"""Formulas as data: plain functions of numbers, traced once and printed in the language of each backend.

An activation, a loss or an update rule is written once, as a function of numbers with operators and NumPy functions
(`fastmlp.activations`, `fastmlp.losses`, `fastmlp.optimizers`). NumPy calls it with blocks of arrays. For Numba and
CUDA it is called once with symbols (`expressions`), and what it did with them is printed (`printing`) as Python with
typed constants (`numba_text`) or as C (`c_text`).
"""
