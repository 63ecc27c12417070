"""Runs that are killed right after a checkpoint, for the tests of both front doors."""

from contextlib import contextmanager

from fastmlp.checkpoint import Checkpoint


class Killed(BaseException):
    """Ends a run as SIGKILL would, as far as files go: nobody catches it."""


@contextmanager
def killed_after(monkeypatch, n):
    """Within, a run ends right after its n-th checkpoint is on the disk; every due one is written."""
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
