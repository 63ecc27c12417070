"""The seat of the CUDA backend: it says why it cannot be taken.

The step, the buffers and the backend contract are ready for it; the device kernels are not part of this release.
"""

from __future__ import annotations

__all__ = ["cuda_problem"]


def cuda_problem() -> str:
    """Why there is no CUDA backend here, and what to do."""
    remedy = "This release of fastmlp has no CUDA kernels yet in any case: use backend='numba' (or 'auto')."
    try:
        import cupy
    except Exception as error:
        # CuPy fails to import in many ways: missing, missing libraries, a home it cannot write to
        reason = f"CuPy cannot be imported ({type(error).__name__}: {error}); it comes with"
        return f"{reason} pip install 'fastmlp[cuda13]'. {remedy}"
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return f"CuPy finds no usable GPU ({error}): check the NVIDIA driver with nvidia-smi. {remedy}"
    if not devices:
        return f"this machine has no NVIDIA GPU. {remedy}"
    return remedy
