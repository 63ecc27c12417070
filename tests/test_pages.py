"""The Python of the pages on the estimators runs, from the first block to the last."""

import re
from pathlib import Path

import numpy as np
import pytest
import sklearn
from estimator_cases import RELEASE

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")
@pytest.mark.parametrize("name", ["scikit_learn.md", "meta_estimators.md"])
def test_the_examples_run(name, tmp_path, monkeypatch):
    if name == "meta_estimators.md" and RELEASE < (1, 9):
        pytest.skip("the page is about scikit-learn 1.9")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) > 8
    namespace = {}
    np.random.seed(0)  # noqa: NPY002  # from which examples without a random_state draw
    with sklearn.config_context():
        for block in blocks:
            exec(compile(block, name, "exec"), namespace)
