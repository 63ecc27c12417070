"""The parts of the CUDA backend: see `runs` for how a step becomes a graph or a program, `device` for what runs it."""
