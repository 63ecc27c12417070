"""One of the processes of PyTorch's DistributedDataParallel in `ranks.py`, with gloo and one thread.

Run by ranks.py: python ranks_torch.py CASE OPTIMIZER WEIGHTS.npz, with the variables of `torchrun`.
Prints JSON: the seconds of a step, the loss of the first epoch, and the version.
"""

import json
import os
import sys
from itertools import pairwise
from time import perf_counter

import numpy as np
import torch
from ranks_cases import CASES, LR, Case, samples
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def network(sizes: list[int], initial: str) -> nn.Module:
    """A module with the weights w0, w1, … (I, O) and biases b0, b1, … of a file."""
    layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())][:-1]
    with np.load(initial) as arrays, torch.no_grad():
        for i, layer in enumerate(layers[::2]):
            layer.weight.copy_(torch.from_numpy(arrays[f"w{i}"].T))
            layer.bias.copy_(torch.from_numpy(arrays[f"b{i}"]))
    return nn.Sequential(*layers)


def measure(case: Case, optimizer: str, initial: str) -> dict[str, object]:
    """The samples of the first epoch are in their order, those of the others are shuffled."""
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    x, y = map(torch.from_numpy, samples(case))
    model, loss_of = DistributedDataParallel(network(case.sizes, initial)), nn.CrossEntropyLoss()
    kind = torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam
    update = kind(model.parameters(), lr=LR[optimizer], fused=True)
    random, share = torch.Generator().manual_seed(0), case.batch // ranks
    losses, begun = [], []
    for epoch in range(1 + case.epochs):
        begun.append(perf_counter())
        order = torch.randperm(len(x), generator=random) if epoch else torch.arange(len(x))
        total = torch.zeros(())
        for step in range(case.steps):
            own = order[step * case.batch + rank * share :][:share]
            update.zero_grad()
            loss = loss_of(model(x[own]), y[own])
            loss.backward()
            update.step()
            total += loss.detach()
        torch.distributed.all_reduce(total)
        losses.append(total.item() / ranks / case.steps)
    seconds = (perf_counter() - begun[1]) / (case.epochs * case.steps)
    return {"seconds": seconds, "loss": losses[0], "version": torch.__version__}


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    result = measure(CASES[sys.argv[1]], *sys.argv[2:])
    if torch.distributed.get_rank() == 0:
        print(json.dumps(result), flush=True)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
