"""Compiled code for the CPU: what is compiled, by whom, where it is kept, how it is loaded and called.

Numba compiles, and is imported for nothing else: a program that finds all it needs in the disk cache loads object files
through LLVM alone, which takes a few milliseconds.
"""
