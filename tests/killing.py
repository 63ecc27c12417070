"""Runs that are killed right after a checkpoint, for the tests of MLP and the estimators."""

from contextlib import contextmanager

from fastmlp.checkpoint import Checkpoint


class Killed(BaseException):
    """Ends a run like SIGKILL as far as files are concerned: no code catches it."""


@contextmanager
def killed_after(monkeypatch, n):
    """End a run of the block right after its n-th checkpoint is on disk; every due checkpoint is written."""
    write, count = Checkpoint.write, [0]

    def counted(self, state, *, last=False):
        self._writer.wait()
        write(self, state, last=last)
        self._writer.wait()
        count[0] += 1
        if count[0] == n:
            raise Killed

    with monkeypatch.context() as context:
        context.setattr(Checkpoint, "write", counted)
        yield
