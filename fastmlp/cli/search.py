"""``fastmlp search``: finds settings by successive halving, and trains a network with the best of them."""

from __future__ import annotations

import math
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError
from contextlib import contextmanager
from itertools import islice
from time import perf_counter
from typing import NamedTuple

import numpy as np

from fastmlp.backends import get_backend
from fastmlp.backends.threads import available_threads
from fastmlp.checkpoint import Checkpoint, open_checkpoint
from fastmlp.cli.columns import column_lines, print_notes
from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.halving import FACTOR, halve, rungs
from fastmlp.cli.optimizer import check_optimizers
from fastmlp.cli.outputs import check_outputs
from fastmlp.cli.ranking import Ranked, ranked, ranking_table, trial_rows
from fastmlp.cli.recipe import chosen_recipes
from fastmlp.cli.results import write_results
from fastmlp.cli.rows import write_rows
from fastmlp.cli.search_data import identify, samples_text, search_parts
from fastmlp.cli.sources import load_training
from fastmlp.cli.space import SETTINGS, Settings, as_options, drawn, recipe_settings, space_of, space_text
from fastmlp.cli.stopping import INTERRUPTED
from fastmlp.cli.text import counted, one_line
from fastmlp.cli.train import train_on
from fastmlp.cli.trials import Trial, Trials
from fastmlp.datasets import Dataset
from fastmlp.errors import DivergenceError, InputError
from fastmlp.progress import progress_bar
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.storage import Storage

__all__ = ["search"]

_TRIALS = 27
_ROUND = FACTOR**2  # trials of a search with a budget before the next are drawn: the fewest that pass all stages
_SHOWN = 10
_NO_STOP = {"patience": None, "target_loss": None, "checkpoint": None, "resume": False, "every": None}


class _Found(NamedTuple):
    """The result of the trials."""

    settings: Settings | None  # the best, with the epochs; None after Ctrl-C
    complete: bool  # whether the table is at its path, if one is asked for


def search(arguments: Namespace) -> int:
    """Run the command; return the exit code, as train does. After Ctrl-C there is a table, but no network."""
    checkpoint = _checked(arguments)
    get_backend(arguments.backend)  # before any work: it may be missing
    storage = Storage(arguments.memory)
    dataset, preparation = load_training(arguments, storage)
    found = _searched(arguments, dataset, preparation, storage, checkpoint)
    if found.settings is None:
        return INTERRUPTED
    # as train with these options: all training samples, and no trial of decays
    one_process = {"reproducible": False}
    final = Namespace(**vars(arguments) | _NO_STOP | one_process | found.settings | {"validation_fraction": 0.0})
    code = train_on(final, lambda: (dataset, preparation), storage, introduced=True)
    return code if found.complete else code or 1


def _checked(arguments: Namespace) -> Checkpoint | None:
    """Check the options before any data are read; return the checkpoint, if there is to be one."""
    names = "--out", "--history", "--plot", "--report", "--table", "--checkpoint"
    inputs = [arguments.data, arguments.test_file, arguments.target_file]
    check_outputs({name: getattr(arguments, name[2:]) for name in names}, inputs)
    check_optimizers(arguments, [arguments.optimizer])
    for one, other in (("trials", "budget"), ("folds", "validation_fraction")):
        if getattr(arguments, one) is not None and getattr(arguments, other) is not None:
            raise InputError(f"--{one} and --{other.replace('_', '-')} are given. Give one of them.")
    if arguments.validation_fraction == 0:
        raise InputError("--validation-fraction 0 leaves no samples to compare trials on. Give a share above 0.")
    if arguments.resume and arguments.checkpoint is None:
        raise InputError("--resume is given without --checkpoint FILE.")
    return open_checkpoint(arguments.checkpoint, 1, arguments.resume)


def _searched(
    arguments: Namespace, dataset: Dataset, preparation: Preparation, storage: Storage, checkpoint: Checkpoint | None
) -> _Found:
    """Train the trials, print the best and write the table of all."""
    say = (lambda text: None) if arguments.quiet else print
    shared = Namespace(**vars(arguments) | dict.fromkeys(SETTINGS))
    recipe, backend = chosen_recipes(shared, dataset)[0], get_backend(arguments.backend).name
    own = recipe_settings(shared, recipe)
    space = space_of(arguments, own)
    unstated = {name: value for name, value in own.items() if getattr(arguments, name) is None}
    draws = (Trial(*one) for one in enumerate(drawn(space, unstated, arguments.seed)))
    first = list(islice(draws, _ROUND if arguments.budget else arguments.trials or _TRIALS))
    parts = search_parts(arguments, recipe, dataset, preparation, storage)
    if checkpoint is not None:
        identify(checkpoint, arguments, recipe, dataset, backend)
    if dataset.kinds:
        say(column_lines(dataset.kinds))
    print_notes(dataset.notes)
    announce_compilation(backend, arguments.quiet)
    stages = rungs(len(first), recipe.epochs)
    say(f"{samples_text(dataset, parts)}; {_stages_text(stages, arguments.budget)}")
    say(f"space: {space_text(space)}")
    epochs = len(parts) * sum(stage.trials * stage.epochs for stage in stages)
    with _progress(arguments, epochs) as advance:
        workers = arguments.workers or (1 if backend == "cuda" else available_threads())
        blocks = isinstance(dataset.x, np.memmap) and dataset.x.nbytes > storage.limit
        deadline = perf_counter() + (arguments.budget or math.inf)
        trials = Trials(shared, parts, workers, checkpoint, blocks, advance, deadline)
        finished = _finished(arguments, trials, first, draws, recipe.epochs)
    ranking, complete = ranked(trials), True
    if ranking:
        print(ranking_table(trials, ranking[:_SHOWN]))
    for line in _notes(trials):
        print(line, file=sys.stderr)
    if arguments.table is not None:
        complete = write_results({"table": (arguments.table, lambda path: write_rows(path, trial_rows(trials)))}, say)
    if not finished:
        return _Found(None, complete)
    best = _best(arguments, ranking, recipe.epochs)
    settings = trials.settings[best.trial] | {"epochs": recipe.epochs}
    say(f"trial {best.trial} is the best; a network is trained as by train with {as_options(settings)}")
    return _Found(settings, complete)


def _stages_text(stages: Sequence, budget: float | None) -> str:
    first = f"{counted(stages[0].trials, 'trial')} of {counted(stages[0].epochs, 'epoch')}"
    text = ", ".join([first, *(f"then {stage.trials:,} of {stage.epochs:,}" for stage in stages[1:])])
    return text if budget is None else f"{text}, and as many again until {budget:g} s are over"


@contextmanager
def _progress(arguments: Namespace, epochs: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, with the time that is left; what it yields is called with epochs that are done."""
    limit, begin = arguments.budget, perf_counter()
    shown = sys.stderr.isatty() and not arguments.quiet
    bar = progress_bar(shown, epochs if limit is None else math.ceil(limit))
    if bar is not None and limit is not None:
        bar.bar_format = "{l_bar}{bar}| {n} of {total} s"

    def advance(done: int) -> None:
        if bar is not None:
            bar.update(done if limit is None else min(bar.total, int(perf_counter() - begin)) - bar.n)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.close()


def _finished(arguments: Namespace, trials: Trials, first: list[Trial], others: Iterator[Trial], epochs: int) -> bool:
    """Train the first trials, and with a budget others until it is spent; return whether Ctrl-C has not ended it."""

    def losses(some: Sequence[Trial], epochs: int) -> list[float]:
        begin = perf_counter()
        losses = trials.losses(some, epochs)
        if some and not arguments.quiet and not sys.stderr.isatty():
            k, seconds = int(np.argmin(losses)), perf_counter() - begin
            best = f"least val_loss {losses[k]:.4f}, of trial {some[k].number}"
            print(f"{counted(len(some), 'trial')} of {counted(epochs, 'epoch')} in {seconds:.1f} s: {best}", flush=True)
        return losses

    with trials:
        if trials.known and not arguments.quiet:
            print(f"going on from {one_line(arguments.checkpoint)} with {counted(trials.known, 'training')}")
        try:
            while first:
                halve(first, epochs, losses)
                first = list(islice(others, _ROUND)) if arguments.budget else []
        except TimeoutError:
            return True
        except KeyboardInterrupt:
            return False
    return True


def _notes(trials: Trials) -> list[str]:
    """How many trials diverged, and why the first did; nothing if all did, which is an error."""
    reasons = {place.trial: fit.error for place, fit in sorted(trials.fits.items(), reverse=True) if fit.error}
    if not reasons or len(reasons) == len(trials.settings):
        return []
    return [f"note: {counted(len(reasons), 'trial')} diverged; trial {min(reasons)}: {one_line(reasons[min(reasons)])}"]


def _best(arguments: Namespace, ranking: Sequence[Ranked], epochs: int) -> Ranked:
    """The best trial that did not diverge; a note says if its training was not one of the longest."""
    if not ranking:
        raise InputError(f"No trial was done within {arguments.budget:g} s. Give a larger --budget.")
    best = next((one for one in ranking if one.loss < math.inf), None)
    if best is None:
        errors = [fit.error for one in ranking for fit in one.fits if fit.error]
        raise DivergenceError(f"All of {counted(len(ranking), 'trial')} diverged, the first so: {errors[0]}")
    if best.epochs < epochs:
        longer = f"no trial had {epochs}" if arguments.budget else f"all with {epochs} diverged"
        print(f"fastmlp: note: the best is that after {counted(best.epochs, 'epoch')}: {longer}", file=sys.stderr)
    return best
