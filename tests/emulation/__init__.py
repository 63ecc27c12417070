"""A CUDA device emulated on the CPU: the kernels' own source, thread by thread, for tests without a GPU."""
