"""Teams with randomly delayed threads, which show missing barriers that undelayed runs may miss."""

import os
import subprocess
import sys
from itertools import product

import numpy as np
from scipy.sparse import csr_array

from fastmlp import MLP, SGD, Adam

PAUSES = 400  # at most, after a barrier: several small operations
# two layers that two threads share and one of the first alone; or, with sparse samples, one and one
DEEP, SHALLOW = (300, 128, 140, 5), (300, 128, 5)
CASES = [
    *product(
        [np.asarray], [DEEP], [["relu", "relu"], ["softmax", "tanh"]], (1, 40), (SGD(0.05), Adam(0.01)), (0.0, 0.2)
    ),
    *product([csr_array], [SHALLOW], [["relu"], ["softmax"]], [1], [SGD(0.05)], [0.0]),
]


def make_late():
    """Let every barrier, also a deferred one, be followed by a pause whose length differs between threads."""
    from fastmlp.kernels.cpu.machine.jitable import jitable
    from fastmlp.kernels.cpu.team import threads as team

    line, pause = team.line, team._pause

    def late(function):
        @jitable
        def followed_by_a_pause(members):
            function(members)
            count = members.sync[line(members)]
            chance = (count * 5 + members.rank + 1) * 2654435761 >> 9
            for _ in range(chance % 4 * (PAUSES // 4)):
                pause()

        return followed_by_a_pause

    for name in ("barrier", "defer_barrier"):
        function = getattr(team, name)
        replacement = late(function)
        for module in list(sys.modules.values()):
            if module.__name__.startswith("fastmlp.kernels.cpu") and getattr(module, name, None) is function:
                setattr(module, name, replacement)


def train(n_threads, form, sizes, activations, batch_size, optimizer, dropout):
    random = np.random.RandomState(0)
    x, y = form(random.standard_normal((60, sizes[0])) / 8), random.randint(0, sizes[-1], 60)
    model = MLP(
        sizes,
        [*activations, "identity"],
        dtype="float32",
        backend="numba",
        n_threads=n_threads,
        dropout=dropout,
        seed=0,
    )
    history = model.fit(x, y, epochs=5, batch_size=batch_size, optimizer=optimizer)
    learned = np.concatenate([*(array.ravel() for array in (*model.weights, *model.biases)), history["loss"]])
    return np.append(learned, model.predict_raw(x[:1]))


def main():
    import fastmlp.backends.compiled.compiler  # noqa: F401  # all kernels, in whose modules the barriers are replaced
    from fastmlp.backends import teams

    sys.executable = ""  # so that they are compiled here
    teams.cores = lambda: 3
    make_late()
    for case in CASES:
        expected = train(1, *case)
        for n_threads in (2, 3):
            assert np.array_equal(train(n_threads, *case), expected, equal_nan=True), (n_threads, case)


def test_results_do_not_depend_on_who_comes_late(tmp_path):
    """In a new process with a cache folder of its own, so that no other test uses its compiled code."""
    here = {"FASTMLP_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, __file__], env=os.environ | here, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr


if __name__ == "__main__":
    main()
