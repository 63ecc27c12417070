"""``fastmlp train``: trains a network on data, prints its scores and writes its files."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fastmlp.backends import get_backend
from fastmlp.checkpoint import DEFAULT_INTERVAL, open_checkpoint, read_state
from fastmlp.cli import reporting
from fastmlp.cli.columns import column_lines, print_notes
from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.fitting import fit_options
from fastmlp.cli.network import build_network, targets_for
from fastmlp.cli.optimizer import check_optimizers
from fastmlp.cli.outputs import check_outputs
from fastmlp.cli.recipe import chosen_recipes, prepared_parts
from fastmlp.cli.report import score_lines
from fastmlp.cli.results import Save, write_results
from fastmlp.cli.sources import load_training
from fastmlp.cli.stopping import INTERRUPTED
from fastmlp.cli.text import counted, one_line
from fastmlp.datasets import Dataset
from fastmlp.errors import InputError
from fastmlp.history import History
from fastmlp.mlp import MLP
from fastmlp.ranks.group import Group
from fastmlp.recipes import Recipe
from fastmlp.signals import SafePoints
from fastmlp.tables.features.scaling import Scaling
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.storage import Storage
from fastmlp.tables.trials import best_recipe
from fastmlp.trainer import Epoch

__all__ = ["train", "train_on"]

_LINES = 10  # printed over all epochs
_SCORED = 1 << 16  # samples at a time
_STOPPED = {
    "target_loss": "the target loss was reached",
    "plateau": "the training loss no longer fell",
    "validation": "the validation loss no longer fell",
    "interrupt": "interrupted",
}


def train(arguments: Namespace, group: Group | None = None) -> int:
    """Run the command, by one process or by all ranks of a group; return the exit code.

    It is 130 after Ctrl-C, when the model trained so far is written, and 1 if a file could not be written to its path.
    """
    outputs = {"--out": arguments.out, "--history": arguments.history, "--plot": arguments.plot}
    outputs |= {"--checkpoint": arguments.checkpoint, "--report": arguments.report}
    leads = group is None or group.rank == 0
    if leads:
        check_outputs(outputs, [arguments.data, arguments.test_file, arguments.target_file])
    done = _check_checkpoint(arguments) if leads else None
    check_optimizers(arguments, [arguments.optimizer])
    get_backend(arguments.backend)  # before any work: it may be missing
    storage = Storage(arguments.memory)
    return train_on(arguments, lambda: load_training(arguments, storage), storage, done, group)


def train_on(
    arguments: Namespace,
    load: Callable[[], tuple[Dataset, Preparation]],
    storage: Storage,
    done: int | None = None,
    group: Group | None = None,
    *,
    introduced: bool = False,
) -> int:
    """Train, print the scores and write the files; return the exit code, as `train` does.

    Parameters
    ----------
    arguments : of train; the files that they name have been checked.
    load : returns what `load_training` does. It is called here, so that samples are freed once features replace them.
    storage : of the samples.
    done : epochs in the checkpoint from which the training goes on; None if it begins.
    group : the ranks that train together.
    introduced : whether the columns and notes of a table have been printed.
    """
    say = (lambda text: None) if arguments.quiet else print
    leads = group is None or group.rank == 0
    dataset, preparation = load()
    recipes = chosen_recipes(arguments, dataset)
    dataset, validation, preparation = prepared_parts(arguments, recipes[0], dataset, preparation, storage)
    model = build_network(arguments, recipes[0], dataset)
    if not preparation.class_names and model.loss is not None and model.loss.name != "poisson":
        preparation = replace(preparation, target=Scaling.of(dataset.y))
    say(_data_line(dataset, preparation, validation))
    if not introduced:
        if dataset.kinds:
            say(column_lines(dataset.kinds))
        print_notes(dataset.notes)
    announce_compilation(model.backend, arguments.quiet)
    together = {"comm": group, "reproducible": arguments.reproducible}
    recipe = _tried(arguments, recipes, dataset, targets_for(model, preparation, dataset.y), together)
    if recipe is not recipes[0]:
        model = build_network(arguments, recipe, dataset)
    preparation.keep_in(model)
    ranks = f", {group.size} ranks" if group else ""
    say(f"{model.summary()} ({get_backend(model.backend).describe()}{ranks})")

    note = f", decay {recipe.decay:g} by trial" if len(recipes) > 1 else ""
    options = _fit_options(arguments, recipe, model, preparation, dataset, validation)
    if isinstance(dataset.x, np.memmap) and dataset.x.nbytes > storage.limit:
        options["shuffle"] = "blocks"
    say(
        f"{arguments.optimizer}, learning rate {options['optimizer'].lr:g} ({arguments.schedule}){note}, batch size "
        f"{options['batch_size']}, {counted(options['epochs'], 'epoch')}, seed {arguments.seed}"
    )
    if done is not None:
        say(f"going on from {one_line(arguments.checkpoint)}, where {counted(done, 'epoch')} are done")
    began = time.perf_counter()
    history = model.fit(**options, **together)
    if not leads:
        return INTERRUPTED if history.stopped == "interrupt" else 0
    with SafePoints():  # the results are written before another signal is delivered
        seconds = time.perf_counter() - began
        if history.stopped != "epochs":
            say(f"stopped after {counted(len(history), 'epoch')}: {_STOPPED[history.stopped]}")
        if not len(history):
            say("no epoch was finished, so nothing is written")
            return INTERRUPTED
        say(_speed_line(history, seconds, options["restore_best"]))
        x, y, what = dataset.x, dataset.y, "training"
        if dataset.x_test is not None and dataset.y_test is not None:
            x, y, what = dataset.x_test, dataset.y_test, "test"
        files = _files(arguments, model, history)
        if arguments.report is not None:

            def report(path: str) -> None:
                reporting.write(
                    path,
                    arguments,
                    model,
                    preparation,
                    (x, y),
                    what,
                    data=_data_line(dataset, preparation, validation),
                    names=dataset.feature_names,
                    kinds=dataset.kinds,
                    notes=dataset.notes,
                    history=history,
                )

            files["report"] = arguments.report, report
        complete = write_results(files, say)
    print(score_lines(model, preparation, _slices(x, y), what))
    if not complete:
        return 1
    return INTERRUPTED if history.stopped == "interrupt" else 0


def _slices(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(x), _SCORED):
        yield x[start : start + _SCORED], y[start : start + _SCORED]


def _check_checkpoint(arguments: Namespace) -> int | None:
    """Check the checkpoint before any data are read; return its number of epochs if the training is to continue."""
    if arguments.checkpoint is None:
        for option in ("every", "resume"):
            if getattr(arguments, option):
                raise InputError(f"--{option} is given without --checkpoint FILE.")
        return None
    open_checkpoint(arguments.checkpoint, arguments.every or DEFAULT_INTERVAL, arguments.resume)
    there = arguments.resume and os.path.exists(arguments.checkpoint)
    return read_state(arguments.checkpoint).facts.get("epochs", 0) if there else None


def _tried(
    arguments: Namespace, recipes: list[Recipe], dataset: Dataset, targets: np.ndarray, together: dict[str, Any]
) -> Recipe:
    """Choose a recipe by trial on held-out training samples; targets are those of the network's loss."""

    def trained(recipe: Recipe, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> MLP:
        model = build_network(arguments, recipe, dataset)
        model.fit(
            x,
            y,
            sample_weight=weights,
            progress=False,
            **together,
            **fit_options(arguments, recipe),
        )
        return model

    return best_recipe(recipes, dataset.x, targets, dataset.y, trained, arguments.seed)


def _fit_options(
    arguments: Namespace,
    recipe: Recipe,
    model: MLP,
    preparation: Preparation,
    dataset: Dataset,
    validation: tuple[np.ndarray, np.ndarray] | None,
) -> dict[str, Any]:
    """The arguments of `MLP.fit`."""
    on_terminal = sys.stderr.isatty()
    return {
        "x": dataset.x,
        "y": targets_for(model, preparation, dataset.y),
        **fit_options(arguments, recipe),
        "validation_data": validation and (validation[0], targets_for(model, preparation, validation[1])),
        "target_loss": arguments.target_loss,
        "patience": arguments.patience,
        "checkpoint": arguments.checkpoint,
        "checkpoint_every": arguments.every or DEFAULT_INTERVAL,
        "resume": arguments.resume,
        "restore_best": validation is not None and arguments.patience is not None,
        "callbacks": [] if arguments.quiet or on_terminal else [_epoch_lines(recipe.epochs)],
        "progress": on_terminal and not arguments.quiet,
    }


def _epoch_lines(epochs: int) -> Callable[[Epoch], None]:
    """A callback that prints ten lines, evenly spaced over the epochs."""

    def print_line(epoch: Epoch) -> None:
        number, history = epoch.number, epoch.history
        if number * _LINES // epochs > (number - 1) * _LINES // epochs:
            names = [name for name in history.columns if name == "loss" or name.startswith("val_")]
            values = "".join(f"  {name} {history[name][-1]:<9.4g}" for name in names)
            speed = history["samples_per_second"][-1]
            print(f"epoch {number:>{len(str(epochs))}}/{epochs}{values}  {speed:,.0f} samples/s", flush=True)

    return print_line


def _data_line(dataset: Dataset, preparation: Preparation, validation: tuple[np.ndarray, np.ndarray] | None) -> str:
    parts = [counted(len(dataset.x), "training sample")]
    if validation is not None:
        parts.append(counted(len(validation[1]), "validation sample"))
    if dataset.x_test is not None:
        parts.append(counted(len(dataset.x_test), "test sample"))
    columns = sum(kind.is_used for kind in dataset.kinds) or dataset.x.shape[1]
    if preparation.expansion is not None and not dataset.kinds:
        columns = len(preparation.expansion.columns)
    is_expanded = columns != dataset.x.shape[1]
    parts.append(counted(dataset.x.shape[1], "feature") + (f" of {counted(columns, 'column')}" if is_expanded else ""))
    if dataset.class_names:
        some = ", ".join(map(one_line, dataset.class_names[:10])) + ", …" * (len(dataset.class_names) > 10)
        parts.append(f"{len(dataset.class_names)} classes ({some})")
    else:
        name = f" ({', '.join(map(one_line, dataset.encoder.target_names))})" if dataset.encoder else ""
        outputs = 1 if dataset.y.ndim == 1 else dataset.y.shape[1]
        parts.append(f"{counted(outputs, 'number')} to predict{name}")
    return f"{one_line(dataset.name)}: {', '.join(parts)}"


def _speed_line(history: History, seconds: float, restored: bool) -> str:
    # the median, since the first epoch may include the compilation
    speed = float(np.median(history["samples_per_second"]))
    best = f", the weights of epoch {history.best_epoch}" if restored else ""
    return f"{counted(len(history), 'epoch')} in {seconds:.2f} s, {speed:,.0f} samples/s{best}"


def _files(arguments: Namespace, model: MLP, history: History) -> dict[str, tuple[str, Save]]:
    """The results to write: path and function by name."""
    files: dict[str, tuple[str | None, Save]] = {
        "model": (arguments.out, model.save),
        "history": (arguments.history, history.save),
        "plot": (arguments.plot, history.plot),
    }
    return {what: (path, save) for what, (path, save) in files.items() if path is not None}
