#!/usr/bin/env bash
# Numba's cache can give one function the body of another, in silence.
#
# Version: numba 0.68.1 with numpy 2.4.6 (cause: numba/core/bytecode.py, FunctionIdentity; a crash of the same cause is
# Numba's issue 10486, https://github.com/numba/numba/issues/10486).
# One would guess: two functions with cache=True, compiled by two processes, can be loaded by a third.
# Behaviour: Numba tells closures of one function apart by a number that each process counts from 1, and gives them
# symbols that the linker may merge. The closures of 2.0 and of 3.0 below get the same number, each as the first that its
# process compiles. The third process calls one body for both: 16 and 16, or 24 and 24, by the order of the calls.
# What fastmlp does: starts the count at a random number before it compiles (backends/compile_cache.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cat > shapes.py <<'PYTHON'
import numpy as np
from numba import njit


def totals(factor):
    @njit
    def total(x):
        result = 0.0
        for row in range(x.shape[0]):
            for column in range(x.shape[1]):
                value = x[row, column]
                if value > 1.0:
                    result += np.sin(value) * factor + np.exp(-value)
                elif value > 0.5:
                    result += np.cos(value) / factor + np.log(value)
                else:
                    result += factor
        return result

    return total


twice, thrice = totals(2.0), totals(3.0)


@njit(cache=True)
def by_two(x):
    return twice(x) + twice(x[1:]) + twice(x[:, 1:])


@njit(cache=True)
def by_three(x):
    return thrice(x) + thrice(x[1:]) + thrice(x[:, 1:])
PYTHON
export NUMBA_CACHE_DIR="$folder/cache"
run() { environment/bin/python -c "import numpy as np; from shapes import by_two, by_three; x = np.zeros((2, 2)); print($1)"; }

echo "compiled alone:      $(run 'by_two(x)') and $(run 'by_three(x)')"
first=$(run 'by_two(x), by_three(x)')
second=$(run 'by_three(x), by_two(x)')
echo "loaded together:     $first"
echo "in the other order:  $second"
[ "$first" = "16.0 16.0" ] && [ "$second" = "24.0 24.0" ] || { echo "the behaviour has changed"; exit 1; }
