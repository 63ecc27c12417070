"""The trials of a search: networks trained side by side, each kept in a checkpoint as soon as it is done."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError
from dataclasses import dataclass, field
from functools import partial
from statistics import mean
from time import perf_counter
from typing import Any, NamedTuple

from fastmlp.checkpoint import Checkpoint, State
from fastmlp.cli.fitting import fit_options
from fastmlp.cli.network import build_network, targets_for
from fastmlp.cli.recipe import Parts, chosen_recipes
from fastmlp.cli.space import Settings
from fastmlp.errors import DivergenceError
from fastmlp.workers import Workers

__all__ = ["Fit", "Trial", "Trials"]


class Trial(NamedTuple):
    """Settings to be tried."""

    number: int  # in the order in which they were drawn, from 0
    settings: Settings


class Fit(NamedTuple):
    """What became of one network."""

    val_loss: float  # of the held-out samples; infinite if the training diverged
    scores: dict[str, float]  # other scores of the held-out samples, by name
    loss: float  # of the training samples in the last epoch
    seconds: float
    error: str  # why it diverged, or ""


class Place(NamedTuple):
    """Where a fit belongs in a search."""

    trial: int
    epochs: int
    fold: int


@dataclass
class Trials:
    """Trains trials, and has the fits of those that are done.

    A fit depends on its settings, epochs and fold, and on nothing that was trained before. So one that is in the
    checkpoint is taken from there, whatever the search that has left it was to do next.
    """

    arguments: Namespace  # of train, for what all trials share
    parts: Sequence[Parts]  # one for each fold, with targets in their unit
    workers: int
    checkpoint: Checkpoint | None
    blocks: bool  # whether the samples lie on disk and are shuffled in blocks
    advance: Callable[[int], object]  # called with the epochs of each fit that is done
    deadline: float = math.inf  # as `perf_counter` measures it
    settings: dict[int, Settings] = field(default_factory=dict)  # by trial
    fits: dict[Place, Fit] = field(default_factory=dict)
    _known: dict[str, Fit] = field(default_factory=dict)  # by settings, epochs and fold as JSON

    def __enter__(self) -> Trials:
        if self.checkpoint is not None:
            saved = self.checkpoint.read()
            self._known = {} if saved is None else {key: Fit(*fit) for key, fit in saved.facts["fits"].items()}
            self.checkpoint.begin(State({}, {}))
        return self

    def __exit__(self, *_error: object) -> None:
        if self.checkpoint is not None:
            self._save(last=True)
            self.checkpoint.close()

    @property
    def known(self) -> int:
        """How many fits are done, of this search or of one that has left the checkpoint."""
        return len(self._known)

    def losses(self, trials: Sequence[Trial], epochs: int) -> list[float]:
        """Train the trials for so many epochs; return their losses on held-out samples, means over the folds.

        Raises
        ------
        TimeoutError, KeyboardInterrupt
            The deadline has passed, or Ctrl-C came. `fits` has the fits that were done.
        """
        self.settings |= {trial.number: trial.settings for trial in trials}
        places = [Place(trial.number, epochs, fold) for trial in trials for fold in range(len(self.parts))]
        new = [place for place in places if self._key(place) not in self._known]
        for place in places:
            if (fit := self._known.get(self._key(place))) is not None:
                self._keep(place, fit)
        left = self.deadline - perf_counter()
        if new and left <= 0:
            raise TimeoutError
        tasks = [partial(self._fit, place) for place in new]
        Workers(self.workers).run(tasks, self._keep_new, left if left < math.inf else None)
        return [self.loss(trial.number, epochs) for trial in trials]

    def loss(self, trial: int, epochs: int) -> float:
        """The mean loss of a trial over the folds; infinite if one of them diverged, or is not done."""
        fits = self.fits_of(trial, epochs)
        return mean(fit.val_loss for fit in fits) if len(fits) == len(self.parts) else math.inf

    def fits_of(self, trial: int, epochs: int) -> list[Fit]:
        """The fits of a trial that are done, by fold."""
        places = [Place(trial, epochs, fold) for fold in range(len(self.parts))]
        return [self.fits[place] for place in places if place in self.fits]

    def _key(self, place: Place) -> str:
        return json.dumps([self.settings[place.trial], place.epochs, place.fold])

    def _keep_new(self, done: tuple[Place, Fit]) -> None:
        self._keep(*done)
        if self.checkpoint is not None:
            self._save()

    def _keep(self, place: Place, fit: Fit) -> None:
        self.fits[place] = self._known[self._key(place)] = fit
        self.advance(place.epochs)

    def _save(self, *, last: bool = False) -> None:
        assert self.checkpoint is not None
        # a copy, since it is written while others are done; one that falls due while another is written is skipped
        self.checkpoint.write(State({}, {"fits": dict(self._known)}), last=last)

    def _fit(self, place: Place) -> tuple[Place, Fit]:
        settings = self.settings[place.trial] | {"epochs": place.epochs}
        return place, self._trained(self.parts[place.fold], settings)

    def _trained(self, part: Parts, settings: dict[str, Any]) -> Fit:
        """Train a network on a part, and score it on what the part holds out."""
        choice = Namespace(**vars(self.arguments) | settings)
        recipe = chosen_recipes(choice, part.training)[0]
        model = build_network(choice, recipe, part.training)
        options: dict[str, Any] = fit_options(choice, recipe) | ({"shuffle": "blocks"} if self.blocks else {})
        begin = perf_counter()
        try:
            y = targets_for(model, part.preparation, part.training.y)
            history = model.fit(part.training.x, y, **options, progress=False)
        except DivergenceError as error:
            return Fit(math.inf, {}, math.inf, perf_counter() - begin, str(error))
        seconds = sum(history["seconds"])
        if history.stopped == "interrupt":
            raise KeyboardInterrupt  # a part of a training has no place among the others
        assert part.validation is not None
        x, y = part.validation
        scores = model.evaluate(x, targets_for(model, part.preparation, y))
        val_loss = float(scores.pop("loss"))
        if not math.isfinite(val_loss):
            return Fit(math.inf, {}, math.inf, seconds, f"The loss of the held-out samples is {val_loss}.")
        return Fit(val_loss, scores, history["loss"][-1], seconds, "")
