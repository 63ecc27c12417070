"""Imports, compilation and draws are in sections (see `fastmlp.forks`), and module bodies are not."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp
from fastmlp import kernels

PACKAGE, KERNELS = Path(fastmlp.__file__).parent, Path(kernels.__file__).parent

# What a program imports in a thread of its own, outside of sections, once it has imported fastmlp.
RECORD = """
import sys, threading, traceback
from tempfile import mkdtemp
import fastmlp, numpy as np
from fastmlp import MLP, forks
from fastmlp.cli import main

class Recorder:
    def find_spec(self, name, path=None, target=None):
        if threading.get_ident() not in forks._inside:
            frames = [f for f in traceback.extract_stack()[:-1] if "importlib" not in f.filename]
            found.append(f"{name} by {frames[-1].filename}:{frames[-1].lineno}")

found = []
sys.meta_path.insert(0, Recorder())
random = np.random.RandomState(0)
x = random.rand(9000, 6).astype("float32")
y = (x[:, 0] > 0.5).astype(int)

def mlp(name, activation):
    path = mkdtemp()
    model = MLP([6, 5, 2], activation, backend=name)
    model.fit(x, y, epochs=3, validation_data=(x, y), progress=True).plot(path + "/curve.png")
    model.predict(x), model.evaluate(x, y), model.gradients(x, y)
    model.save(path + "/model.safetensors")
    MLP.load(path + "/model.safetensors", backend=name).predict(x)
    with forks.no_fork():  # an import of this program's own
        from scipy.sparse import csr_matrix
    MLP([6, 5, 2], activation, backend=name).fit(csr_matrix(x), x[:, :2], epochs=1, metrics=["r2"])
    main(["info"])

def estimators():
    small = {"hidden_layer_sizes": (4,), "max_iter": 2}
    for changes in ({}, {"solver": "lbfgs"}, {"early_stopping": True}):
        fitted = fastmlp.MLPClassifier(**small, **changes).fit(x, y)
        fitted.predict_proba(x), fitted.predict(x), fitted.score(x, y)
    fastmlp.MLPClassifier(**small).partial_fit(x, y, classes=[0, 1]).to_sklearn()
    regressor = fastmlp.MLPRegressor(**small, early_stopping=True).fit(x, x[:, 0])
    regressor.score(x, x[:, 0])
    with forks.no_fork():
        from scipy.sparse import csr_matrix
    fastmlp.MLPClassifier(**small).fit(csr_matrix(x), y).predict(csr_matrix(x))

def command_line():
    main(["train", "iris", "--epochs", "2", "--out", mkdtemp() + "/model.safetensors"])

def tables():
    folder = mkdtemp()
    rows = [f"{i % 7},${i},2023-01-{1 + i % 28},{[chr(78) + chr(65), 0][i % 2]},{i / 2}" for i in range(60)]
    with open(folder + "/t.csv", "w") as file:
        file.write(chr(10).join(["a,b,c,d,y", *rows]))
    model = folder + "/model.safetensors"
    main(["train", folder + "/t.csv", "--epochs", "2", "--out", model])
    main(["predict", model, folder + "/t.csv", "--out", folder + "/t.parquet"])
    main(["train", folder + "/t.parquet", "--test-file", folder + "/t.parquet", "--epochs", "1"])
    main(["evaluate", model, folder + "/t.csv"])

def control():
    import this_module_of_nobodys

ended = []
thread = threading.Thread(target=lambda: ended.append(WORK))
thread.start()
thread.join()
print("RECORD", *found, "ended" if ended else "failed", sep=chr(10))
"""


WORK = ["mlp('numpy', 'gelu')", "mlp('numba', 'relu')", "estimators()", "command_line()", "tables()"]


def run(program):
    """The output of a program from RECORD on, or its errors."""
    here = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    options = {"env": os.environ | here, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], **options)
    return done.stdout.partition("RECORD\n")[2].splitlines() or done.stderr


@pytest.mark.parametrize("work", WORK)
def test_all_that_a_first_use_imports_is_imported_in_sections(work):
    assert run(RECORD.replace("WORK", work)) == ["ended"]


def test_the_record_of_imports_has_those_outside_of_sections():
    first, last = run(RECORD.replace("WORK", "control()"))
    assert first.startswith("this_module_of_nobodys by ")
    assert last == "failed"


def late_imports(node, within=False, section=False):
    """Line numbers of imports in functions of a syntax tree that are not in a section."""
    for child in ast.iter_child_nodes(node):
        called = isinstance(child, ast.Call) and getattr(child.func, "id", getattr(child.func, "attr", ""))
        imports = called in ("import_module", "__import__") or isinstance(child, (ast.Import, ast.ImportFrom))
        if imports and within and not section:
            yield child.lineno
        enters = isinstance(child, ast.With) and any("no_fork()" in ast.unparse(item) for item in child.items)
        yield from late_imports(child, within or isinstance(child, ast.FunctionDef), section or enters)


def test_imports_in_functions_are_in_sections():
    found = [
        f"{path}:{line}"
        for folder in (PACKAGE, KERNELS)
        for path in sorted(folder.rglob("*.py"))
        for line in late_imports(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
    assert list(late_imports(ast.parse("import os\ndef f():\n  import sys\n  import_module('sys')"))) == [3, 4]


BODIES = """
import importlib.util, sys

class Recorder(dict):
    def __setitem__(self, thread, depth):
        raise AssertionError("a section is entered")

spec = importlib.util.spec_from_file_location("fastmlp.forks", FORKS)
forks = sys.modules["fastmlp.forks"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(forks)
forks._inside = Recorder()
for name in NAMES:
    importlib.import_module(name)
assert sys.modules["fastmlp.backends"].no_fork is forks.no_fork
print("RECORD", "ended", sep=chr(10))
"""


def test_bodies_of_modules_enter_no_section():
    """A thread that imports a module holds its import lock, for which sections may wait."""
    paths = sorted(path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py"))
    apart = "__init__", "__main__", "nvidia"  # imported with the others; runs a command; needs CuPy
    names = [".".join(path.parts) for path in paths if path.name not in apart]
    program = BODIES.replace("FORKS", repr(str(PACKAGE / "forks.py"))).replace("NAMES", repr(names))
    assert run(program) == ["ended"]
