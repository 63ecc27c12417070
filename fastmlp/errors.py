"""The exceptions of fastmlp.

Each message says what was wrong, what was given, what is allowed and what to do. The command line prints exactly these
exceptions as one line; any other is a bug and keeps its traceback.
"""

__all__ = [
    *("BackendUnavailableError", "DivergenceError", "FastmlpError", "InputError"),
    *("ModelFileError", "OutOfDeviceMemoryError", "RankError"),
]


class FastmlpError(Exception):
    """Base of all exceptions of fastmlp."""


class InputError(FastmlpError, ValueError):
    """An argument, an array or a data file cannot be used."""


class ModelFileError(FastmlpError, ValueError):
    """A model file is truncated, damaged, malicious or of an unknown version."""


class BackendUnavailableError(FastmlpError, RuntimeError):
    """The requested backend cannot run here; the message has the reason and the remedy."""


class DivergenceError(FastmlpError, ArithmeticError):
    """The training loss is not finite; the model keeps the last finite weights."""


class OutOfDeviceMemoryError(FastmlpError, MemoryError):
    """The memory of the GPU does not suffice; the model keeps its weights.

    `asked` and `free` are bytes, 0 if unknown.
    """

    def __init__(self, message: str, asked: int = 0, free: int = 0) -> None:
        super().__init__(message)
        self.asked, self.free = asked, free


class RankError(FastmlpError, RuntimeError):
    """Another rank of a training by several processes has failed; its message is part of this one.

    `rank` is its number.
    """

    def __init__(self, message: str, rank: int) -> None:
        super().__init__(message)
        self.rank = rank
