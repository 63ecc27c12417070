"""``fastmlp compare``: trains networks with all combinations of settings, and shows them side by side."""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from statistics import mean
from typing import Any

import numpy as np

from fastmlp.backends import get_backend
from fastmlp.cli.columns import column_lines, print_notes
from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.curves import draw_curves
from fastmlp.cli.fitting import fit_options
from fastmlp.cli.network import build_network, targets_for
from fastmlp.cli.optimizer import check_optimizers
from fastmlp.cli.outputs import check_outputs
from fastmlp.cli.recipe import chosen_recipes, prepared_parts
from fastmlp.cli.results import write_results
from fastmlp.cli.rows import write_rows
from fastmlp.cli.sources import load_training
from fastmlp.cli.stopping import INTERRUPTED
from fastmlp.cli.text import counted, one_line, option_text, spread, table
from fastmlp.datasets import Dataset
from fastmlp.errors import DivergenceError, InputError
from fastmlp.history import History
from fastmlp.many import Outcome, fit_many
from fastmlp.mlp import MLP
from fastmlp.tables.features.scaling import Scaling
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.storage import Storage

__all__ = ["Setting", "compare"]

_HELD_OUT = 0.2  # of the samples, for the scores
_WARM_UP = 512  # samples: as many as go through a network at once
_VARIED = {"batch size": "batch_size", "optimizer": "optimizer", "learning rate": "lr", "hidden": "hidden"}


@dataclass
class Setting:
    """One combination, and the networks that were trained with it, which differ in their seeds."""

    values: dict[str, str]  # of the options that vary, as text, by their names
    runs: dict[int, History]  # by seed
    failures: list[str]  # why others diverged

    @property
    def histories(self) -> list[History]:
        return list(self.runs.values())

    @property
    def name(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.values.items()) or "all networks"


def compare(arguments: Namespace) -> int:
    """Run the command; return the exit code."""
    say = (lambda text: None) if arguments.quiet else print
    outputs = {"--plot": arguments.plot, "--table": arguments.table}
    check_outputs(outputs, [arguments.data, arguments.target_file])
    check_optimizers(arguments, arguments.optimizer)
    get_backend(arguments.backend)  # before any work: it may be missing
    storage = Storage(arguments.memory)
    choices = _combinations(arguments)
    if arguments.validation_fraction is None:
        arguments.validation_fraction = _HELD_OUT
    dataset, preparation = load_training(arguments, storage)
    dataset = replace(dataset, x_test=None, y_test=None)  # they are for the network that is chosen in the end
    recipe = chosen_recipes(choices[0], dataset)[0]
    dataset, validation, preparation = prepared_parts(arguments, recipe, dataset, preparation, storage)
    if validation is None:
        raise InputError("--validation-fraction 0 leaves no samples to compare the networks on. Give a share above 0.")
    if not preparation.class_names and arguments.loss != "poisson":
        preparation = replace(preparation, target=Scaling.of(dataset.y))
    if dataset.kinds:
        say(column_lines(dataset.kinds))
    print_notes(dataset.notes)
    jobs = [_job(choice, dataset, preparation, seed) for choice in choices for seed in range(arguments.seeds)]
    models, options = [model for model, _ in jobs], [own for _, own in jobs]
    announce_compilation(models[0].backend, arguments.quiet)
    say(
        f"{one_line(dataset.name)}: {counted(len(dataset.x), 'training sample')}, "
        f"{counted(len(validation[1]), 'validation sample')}; {counted(len(models), 'network')}, "
        f"{counted(options[0]['epochs'], 'epoch')} each"
    )
    targets = targets_for(models[0], preparation, dataset.y)
    for model, own in jobs[:: arguments.seeds]:  # so that no network's time has the loading of its kernels
        with suppress(DivergenceError):
            deepcopy(model).fit(dataset.x[:_WARM_UP], targets[:_WARM_UP], **own | {"epochs": 1, "progress": False})
    outcomes = _trained(
        models,
        dataset.x,
        targets,
        each=options,
        workers=arguments.workers,
        validation_data=(validation[0], targets_for(models[0], preparation, validation[1])),
        progress=sys.stderr.isatty() and not arguments.quiet,
    )
    settings = _settings(arguments, choices, outcomes)
    print(_table(settings))
    for line in _notes(settings):
        print(line, file=sys.stderr)
    files = {
        "plot": (arguments.plot, lambda path: draw_curves(path, {s.name: s.histories for s in settings})),
        "table": (arguments.table, lambda path: _write_rows(path, settings)),
    }
    complete = write_results({what: (path, save) for what, (path, save) in files.items() if path is not None}, say)
    if any(isinstance(outcome.error, KeyboardInterrupt) for outcome in outcomes) or any(
        history.stopped == "interrupt" for setting in settings for history in setting.histories
    ):
        return INTERRUPTED
    return 0 if complete else 1


def _combinations(arguments: Namespace) -> list[Namespace]:
    """The arguments of each combination, as those of train."""
    names = list(_VARIED.values())
    return [
        Namespace(**vars(arguments) | dict(zip(names, values, strict=True)))
        for values in product(*(getattr(arguments, name) for name in names))
    ]


def _job(choice: Namespace, dataset: Dataset, preparation: Preparation, seed: int) -> tuple[MLP, dict[str, Any]]:
    """A network, and the arguments of its fit that others do not share."""
    choice = Namespace(**vars(choice) | {"seed": (choice.seed + seed) % 2**32})
    recipe = chosen_recipes(choice, dataset)[0]
    model = build_network(choice, recipe, dataset)
    preparation.keep_in(model)
    return model, {
        **fit_options(choice, recipe),
        "target_loss": choice.target_loss,
        "patience": choice.patience,
        "restore_best": False,
    }


def _trained(models: Sequence[MLP], x: np.ndarray, y: np.ndarray, **options: Any) -> list[Outcome]:
    """`fit_many`; that networks have failed is for the table to say."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[0-9]+ of [0-9]+ models failed", RuntimeWarning)
        return fit_many(models, x, y, **options)


def _settings(arguments: Namespace, choices: Sequence[Namespace], outcomes: Sequence[Outcome]) -> list[Setting]:
    varied = {name: option for name, option in _VARIED.items() if len(getattr(arguments, option)) > 1}
    settings = []
    for k, choice in enumerate(choices):
        some = outcomes[k * arguments.seeds : (k + 1) * arguments.seeds]
        for outcome in some:
            if outcome.error is not None and not isinstance(outcome.error, (DivergenceError, KeyboardInterrupt)):
                raise outcome.error
        runs = {
            (arguments.seed + seed) % 2**32: one.model.history
            for seed, one in enumerate(some)
            if one.error is None and len(one.model.history)
        }
        failures = [str(one.error) for one in some if isinstance(one.error, DivergenceError)]
        values = {name: option_text(getattr(choice, option)) for name, option in varied.items()}
        settings.append(Setting(values, runs, failures))
    return settings


def _table(settings: Sequence[Setting]) -> str:
    """The settings by rows; numbers are means over the seeds, with their standard deviation."""
    first = next((history for setting in settings for history in setting.histories), None)
    score = _score_of(first) if first is not None else None
    columns = [*([score] if score else []), "val_loss", "loss"]
    diverged = any(setting.failures for setting in settings)
    rows = [[*settings[0].values, *columns, "epochs", "seconds", "samples/s", *["diverged"] * diverged]]
    for setting in settings:
        histories = setting.histories
        cells = [spread([history[column][-1] for history in histories]) for column in columns]
        cells.append(spread([len(history) for history in histories], "g"))
        cells.append(spread([sum(history["seconds"]) for history in histories], ".3g"))
        rates = [float(np.median(history["samples_per_second"])) for history in histories]
        cells.append(f"{mean(rates):,.0f}" if rates else "-")
        if diverged:
            cells.append(f"{len(setting.failures)} of {len(setting.failures) + len(histories)}")
        rows.append([*setting.values.values(), *cells])
    return table(rows, left=len(settings[0].values))


def _score_of(history: History) -> str | None:
    """The column with the score of the validation samples, if the loss has one."""
    return next((name for name in history.columns if name.startswith("val_") and name != "val_loss"), None)


def _notes(settings: Sequence[Setting]) -> list[str]:
    return [f"note: {setting.name}: {one_line(setting.failures[0])}" for setting in settings if setting.failures]


def _write_rows(path: str, settings: Sequence[Setting]) -> None:
    """Write a line of CSV for each network that was trained to its end."""
    rows = []
    for setting in settings:
        for seed, history in setting.runs.items():
            last = {name: history[name][-1] for name in history.columns if "per_second" not in name}
            sums = {"epochs": len(history), "updates": history.updates, "seconds": sum(history["seconds"])}
            rows.append(setting.values | {"seed": seed} | last | sums)
    write_rows(path, rows)
