"""Whether there is a GPU to use, and if not, why and what to do."""

from __future__ import annotations

import os
from typing import Any

from fastmlp.forks import no_fork

__all__ = ["cuda_problem"]

_OR_ELSE = "Or use backend='numba' (or 'auto')."
_LIBRARIES = ("nvrtc", "cublasLt")
_NOT_INITIALIZED, _OLD_DRIVER, _NO_DEVICE, _MISMATCHES = 3, 35, 100, (803, 804)  # cudaError…
_OLDEST = {12: (7, 0), 13: (7, 5)}  # compute capabilities: our kernels need 7.0, and CUDA 13 compiles for 7.5 on


def cuda_problem() -> str | None:
    """Why there is no CUDA backend here, and what to do; None if there is one."""
    problem = _problem()
    return problem and f"{problem} {_OR_ELSE}"


def _problem() -> str | None:
    try:
        with no_fork():
            import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            return _broken(error)
        return "CuPy is not installed; it comes with pip install 'fastmlp[cuda13]' (or cuda12)."
    except OSError as error:
        return (
            f"CuPy cannot be imported ({_text(error)}). It keeps compiled kernels in ~/.cupy: make the home folder "
            "writable, or set CUPY_CACHE_DIR to a folder that is."
        )
    except Exception as error:
        return _broken(error)
    runtime = cupy.cuda.runtime
    return _driver_problem(runtime) or _gpu_problem(cupy, runtime) or _library_problem(runtime)


def _driver_problem(runtime: Any) -> str | None:
    """Why CuPy reaches no GPU."""
    try:
        devices = runtime.getDeviceCount()
    except Exception as error:
        return _explained(error, runtime)
    return None if devices else _no_device()


def _explained(error: Exception, runtime: Any) -> str:
    status = getattr(error, "status", None)
    driver = runtime.driverGetVersion()
    if not driver:
        return f"no NVIDIA driver was found ({_text(error)}). Install it, then check with nvidia-smi."
    if status == _OLD_DRIVER:
        needed = runtime.runtimeGetVersion()
        older = f", or {_instead(needed)}" if driver // 1000 == 12 and needed // 1000 == 13 else ""
        return (
            f"the NVIDIA driver is too old: it supports CUDA {_dotted(driver)}, and CuPy is built for CUDA "
            f"{_dotted(needed)}. Update the driver{older}."
        )
    if status == _NO_DEVICE:
        return _no_device()
    if status == _NOT_INITIALIZED:
        return (
            f"CUDA cannot be started in this process ({_text(error)}). If it was forked from one that uses the GPU, "
            "start it by multiprocessing.get_context('spawn')."
        )
    if status in _MISMATCHES:
        return f"the NVIDIA driver and its libraries are of different versions ({_text(error)}). Restart the machine."
    return f"no GPU can be used ({_text(error)}). Check nvidia-smi."


def _no_device() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return (
            f"CUDA_VISIBLE_DEVICES={visible!r} shows no NVIDIA GPU. Unset it, or set it to a number of nvidia-smi -L."
        )
    return "the NVIDIA driver finds no GPU in this machine. Check nvidia-smi."


def _gpu_problem(cupy: Any, runtime: Any) -> str | None:
    """Why the GPU is too old."""
    version = runtime.runtimeGetVersion()
    cuda = version // 1000
    capability = cupy.cuda.Device().compute_capability  # such as "90"
    found = int(capability[:-1]), int(capability[-1])
    oldest = _OLDEST.get(cuda, _OLDEST[13])
    if found >= oldest:
        return None
    text = (
        f"the GPU's compute capability is {found[0]}.{found[1]}; with CUDA {cuda} it must be {oldest[0]}.{oldest[1]} "
        "or more."
    )
    return f"{text} To use this GPU, {_instead(version)}." if found >= _OLDEST[12] else text


def _library_problem(runtime: Any) -> str | None:
    """What is missing of CUDA's libraries, and of the headers that CuPy needs for every kernel."""
    remedy = f"It comes with pip install 'fastmlp[cuda{runtime.runtimeGetVersion() // 1000}]'."
    try:
        with no_fork():
            from cuda import pathfinder

        for library in _LIBRARIES:
            try:
                pathfinder.load_nvidia_dynamic_lib(library)
            except Exception as error:
                return f"CUDA's library {library} cannot be loaded ({_text(error)}). {remedy}"
        if pathfinder.find_nvidia_header_directory("cudart") is None:
            return f"CUDA's headers (cudart) are missing, without which CuPy compiles no kernel. {remedy}"
    except ImportError as error:
        return _broken(error)
    return None


def _instead(version: int) -> str:
    """How to go from the CUDA of this version to CUDA 12: CuPy cannot be installed for both."""
    return f"pip uninstall cupy-cuda{version // 1000}x, then pip install 'fastmlp[cuda12]'"


def _broken(error: Exception) -> str:
    return (
        f"CuPy cannot be imported ({_text(error)}). Reinstall it: pip install --force-reinstall 'fastmlp[cuda13]' "
        "(or cuda12)."
    )


def _text(error: Exception) -> str:
    """One line of an error, or of its cause, which tells more than CuPy's own message."""
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =-")]
    return ": ".join([type(error).__name__, *lines[:1]])


def _dotted(version: int) -> str:
    """13.2 for 13020."""
    return f"{version // 1000}.{version // 10 % 100}"
