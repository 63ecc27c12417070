#!/usr/bin/env bash
# MPICH's Allgatherv passes long arrays on in pieces of 32 KiB, each of which waits for one from the neighbour: 1 MiB of two
# hosts takes 17 delays of the network, by Alltoallv two.
#
# Version: MPICH 5.0.2 (the wheel mpich), mpi4py 4.1.2. Source: src/mpi/coll/allgatherv/allgatherv_intra_ring.c and its
# control variable MPIR_CVAR_ALLGATHERV_PIPELINE_MSG_SIZE, 32768 by default; used from 512 KiB on.
# One would guess: each of two ranks has one array to send and one to receive, so both pass at once; the ring costs n - 1
# delays for n ranks. And that Allgatherv is at least as fast as Alltoallv with the same array for everyone.
# Behaviour: on one machine it does not show; with a delay of 20 ms one way it is eight times as slow.
# What fastmlp does: arrays of 512 KiB and more go by Alltoallv (fastmlp/ranks/group.py).
# Needs root, ip and /dev/net/tun; the link is that of benchmarks/ranks_link.py.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check numpy mpi4py==4.1.2 mpich==5.0.2
cat > program.py <<'PYTHON'
from time import perf_counter
import numpy as np
from mpi4py import MPI

comm, n = MPI.COMM_WORLD, 1 << 19
sent, received = np.zeros(n, np.uint8), np.zeros(2 * n, np.uint8)
ways = {
    "Allgatherv": lambda: comm.Allgatherv(sent, [received, [n, n]]),
    "Alltoallv": lambda: comm.Alltoallv([sent, ([n, n], [0, 0])], [received, [n, n]]),
}
for name, way in ways.items():
    way()
    begin = perf_counter()
    for _ in range(8):
        way()
    if comm.rank == 0:
        delays = (perf_counter() - begin) / 8 / DELAY
        print(name, "more than 12 delays" if delays > 12 else "at most 4 delays" if delays < 4 else delays)
PYTHON
cat > launch.py <<'PYTHON'
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from ranks_link import links, name_of

DELAY = 20e-3
program = open("program.py").read().replace("DELAY", str(DELAY))
command = ["v/bin/mpiexec"]
for place in range(2):
    command += [*[":"][:place], "-n", "1", "-env", "UCX_NET_DEVICES", name_of(place)]
    command += ["ip", "netns", "exec", name_of(place), "v/bin/python", "-c", program]
with links(2, DELAY, 1e9):
    subprocess.run(command, env=os.environ | {"UCX_TLS": "tcp,self", "MPIR_CVAR_NOLOCAL": "1"}, check=True)
PYTHON
result=$(v/bin/python launch.py "$repository/benchmarks")
echo "$result"
[ "$result" = $'Allgatherv more than 12 delays\nAlltoallv at most 4 delays' ] || { echo "the behaviour has changed"; exit 1; }
