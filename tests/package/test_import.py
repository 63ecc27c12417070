"""`import fastmlp` is fast: what it offers is imported with its first use."""

import subprocess
import sys

import pytest

import fastmlp

HEAVY = ("numba", "llvmlite", "cupy", "sklearn", "scipy", "matplotlib", "joblib", "tqdm", "safetensors")
HEAVY += ("threadpoolctl",)


@pytest.fixture
def python(tmp_path):
    """The output of a program, run in a folder from which no source tree is imported."""

    def run(program: str) -> str:
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_import_brings_nothing_heavy(python):
    loaded = python("import sys, fastmlp; print(*sorted({name.split('.')[0] for name in sys.modules}))").split()
    assert "fastmlp" in loaded
    assert not set(HEAVY) & set(loaded)


def test_training_on_numpy_imports_no_compiler(python):
    program = (
        "import sys, fastmlp; fastmlp.MLP([2, 1], 'identity', backend='numpy').fit([[0, 1]], [1.0], epochs=1);"
        "print(sum(name in sys.modules for name in ('numba', 'llvmlite', 'cupy')))"
    )
    assert python(program).strip() == "0"


def test_the_import_takes_a_twentieth_of_a_second_beyond_that_of_numpy(python):
    # the time of this process alone, for the machine may be busy with others
    program = "import numpy; from time import process_time as now; begin = now(); import fastmlp; print(now() - begin)"
    python(program)  # compiles the sources to bytecode
    assert min(float(python(program)) for _ in range(5)) < 0.05


def test_every_name_is_there():
    assert {*fastmlp.__all__} <= {*dir(fastmlp)}
    assert all(getattr(fastmlp, name).__name__ == name for name in fastmlp.__all__)
    assert fastmlp.MLP is fastmlp.mlp.MLP
    assert not hasattr(fastmlp, "perceptron")
    with pytest.raises(ImportError, match="cannot import name 'perceptron' from 'fastmlp'"):
        from fastmlp import perceptron  # noqa: F401


def test_modules_are_attributes_after_the_import_of_fastmlp_alone(python):
    names = "activations", "datasets", "errors", "losses", "metrics", "optimizers", "recipes", "schedules", "trackers"
    python(f"import fastmlp; [getattr(fastmlp, name) for name in {names}]")
