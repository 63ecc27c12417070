#!/usr/bin/env bash
# safetensors 0.8 writes beside a link, not through it: the file that the link names keeps its old weights.
#
# Version: safetensors 0.8.0, and 0.7.0 before, with numpy 2.4.6 (since its pull request 764, which writes a temporary file
# and renames it; that new files get mode 0600 by it is known as issue 782,
# https://github.com/safetensors/safetensors/issues/782).
# One would guess: save_file("latest.safetensors") through a symbolic or hard link updates the file behind it, as open()
# does, and as 0.7.0 did.
# Behaviour: the link itself becomes a regular file. Whoever reads the file behind it, or its other hard link, gets the
# weights from before, without an error.
# What fastmlp does: writes the format itself, follows links and keeps permissions (tensor_files.py, files.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > program.py <<'PYTHON'
import os
import numpy as np
from safetensors.numpy import load_file, save_file

save_file({"w": np.zeros(2, np.float32)}, "step-1000.safetensors")
os.symlink("step-1000.safetensors", "latest.safetensors")
os.link("step-1000.safetensors", "backup.safetensors")
save_file({"w": np.ones(2, np.float32)}, "latest.safetensors")
print(os.path.islink("latest.safetensors"), *(load_file(f"{name}.safetensors")["w"][0] for name in ("step-1000", "backup")))
PYTHON
for version in 0.7.0 0.8.0; do
  python3 -m venv "v$version"
  "v$version/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version" numpy==2.4.6
  mkdir "run$version"
  result=$(cd "run$version" && "../v$version/bin/python" ../program.py)
  echo "safetensors $version: still a link, first weight of the file behind it and of its other name: $result"
  [ "$version" != 0.7.0 ] || old=$result
done
[ "$old" = "True 1.0 1.0" ] && [ "$result" = "False 0.0 0.0" ] || { echo "the behaviour has changed"; exit 1; }
