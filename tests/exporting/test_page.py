"""The commands and the Python of docs/deployment.md run."""

import re
import shlex
from pathlib import Path

from exporting.onnx_sessions import needs_onnx
from fastmlp.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"


@needs_onnx()
def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    text = PAGE.read_text(encoding="utf-8")
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            assert main(shlex.split(line)[1:]) == 0, line
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    exec(compile(block, "deployment.md", "exec"), {})
    assert {path.name for path in tmp_path.iterdir()} >= {"flowers.onnx", "flowers.c", "model.onnx"}
