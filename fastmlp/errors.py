"""The errors a user can cause or meet.

Each message says what was wrong, what was given, what is allowed and what to do. The command line prints
exactly these on one line; anything else that escapes is a bug and keeps its traceback.
"""

__all__ = [
    *("BackendUnavailableError", "DivergenceError", "FastmlpError", "InputError"),
    *("ModelFileError", "OutOfDeviceMemoryError"),
]


class FastmlpError(Exception):
    """Base of every error that fastmlp raises on purpose."""


class InputError(FastmlpError, ValueError):
    """An argument, an array or a data file that cannot be used as given."""


class ModelFileError(FastmlpError, ValueError):
    """A model file that is truncated, corrupt, hostile or of an unknown version."""


class BackendUnavailableError(FastmlpError, RuntimeError):
    """A backend that was asked for and cannot run here; the message has the reason and the remedy."""


class DivergenceError(FastmlpError, ArithmeticError):
    """Training met a loss that is not finite; the model keeps the last finite weights."""


class OutOfDeviceMemoryError(FastmlpError, MemoryError):
    """The GPU's memory does not suffice; the model keeps its weights.

    asked and free are bytes, 0 where they are not known.
    """

    def __init__(self, message: str, asked: int = 0, free: int = 0) -> None:
        super().__init__(message)
        self.asked, self.free = asked, free
