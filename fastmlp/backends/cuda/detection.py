"""Whether there is a GPU to use, and if not, why and what to do."""

from __future__ import annotations

__all__ = ["cuda_problem"]

_OR_ELSE = "Or use backend='numba' (or 'auto')."
_LIBRARIES = ("nvrtc", "cublasLt")


def cuda_problem() -> str | None:
    """Why there is no CUDA backend here, and what to do; None if there is one."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            return _broken(error)
        return f"CuPy is not installed; it comes with pip install 'fastmlp[cuda13]' (or cuda12). {_OR_ELSE}"
    except OSError as error:
        return (
            f"CuPy cannot be imported ({type(error).__name__}: {error}). It keeps compiled kernels in ~/.cupy: make the "
            f"home folder writable, or set CUPY_CACHE_DIR to a folder that is. {_OR_ELSE}"
        )
    except Exception as error:
        return _broken(error)
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        if cupy.cuda.runtime.driverGetVersion() == 0:
            return f"no NVIDIA driver was found ({error}). Install it, then check with nvidia-smi. {_OR_ELSE}"
        return (
            f"no usable GPU was found ({error}). Check nvidia-smi, CUDA_VISIBLE_DEVICES, and that the driver is as new "
            f"as the CUDA of CuPy. {_OR_ELSE}"
        )
    if not devices:
        return f"this machine has no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it. {_OR_ELSE}"
    from cuda import pathfinder

    for library in _LIBRARIES:
        try:
            pathfinder.load_nvidia_dynamic_lib(library)
        except Exception as error:
            return (
                f"CUDA's library {library} cannot be loaded ({str(error).splitlines()[0]}). It comes with pip install "
                f"'fastmlp[cuda13]' (or cuda12). {_OR_ELSE}"
            )
    return None


def _broken(error: Exception) -> str:
    return (
        f"CuPy cannot be imported ({type(error).__name__}: {error}). Reinstall it: pip install --force-reinstall "
        f"'fastmlp[cuda13]' (or cuda12). {_OR_ELSE}"
    )
