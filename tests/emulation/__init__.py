"""A CUDA device emulated on the CPU: it runs the source of the kernels thread by thread, for tests without a GPU."""
