"""The kernels behind the backends: `cpu` for Numba, `cuda` for NVIDIA GPUs, and the codes they share."""
