"""The trials of a search in order of their losses, as a table and as rows of CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastmlp.cli.space import SETTINGS
from fastmlp.cli.text import option_text, spread, table
from fastmlp.cli.trials import Fit, Trials

__all__ = ["Ranked", "ranked", "ranking_table", "trial_rows"]


class Ranked(NamedTuple):
    """A trial with its longest training; the fits are those of all folds."""

    trial: int
    epochs: int
    loss: float
    fits: Sequence[Fit]


def ranked(trials: Trials) -> list[Ranked]:
    """Return the trials, the best first: those with the most epochs, and of these by loss and number.

    Losses after different numbers of epochs do not compare. A training of which not all folds are done does not count.
    """
    longest: dict[int, Ranked] = {}
    for trial, epochs in sorted({(place.trial, place.epochs) for place in trials.fits}):
        fits = trials.fits_of(trial, epochs)
        if len(fits) == len(trials.parts):
            longest[trial] = Ranked(trial, epochs, trials.loss(trial, epochs), fits)
    return sorted(longest.values(), key=lambda one: (-one.epochs, one.loss, one.trial))


def ranking_table(trials: Trials, ranking: Sequence[Ranked]) -> str:
    """Return these trials as a table; numbers are means over the folds, with their standard deviation."""
    names, scores = list(trials.settings[ranking[0].trial]), _scores(trials)
    rows = [["trial", *(SETTINGS[name] for name in names), *scores, "val_loss", "loss", "epochs", "seconds"]]
    for one in ranking:
        settings = trials.settings[one.trial]
        cells = [spread([fit.scores[score.removeprefix("val_")] for fit in one.fits if fit.scores]) for score in scores]
        losses = [spread([loss for loss in column if loss < math.inf]) for column in _losses(one.fits)]
        seconds = spread([fit.seconds for fit in one.fits], ".3g")
        values = [settings[name] for name in names]
        shown = [f"{value:.4g}" if isinstance(value, float) else option_text(value) for value in values]
        rows.append([f"{one.trial}", *shown, *cells, *losses, f"{one.epochs}", seconds])
    return table(rows, left=1 + len(names))


def trial_rows(trials: Trials) -> list[dict[str, Any]]:
    """Return a row for each network that was trained: by trial, epochs and fold."""
    scores, rows = _scores(trials), []
    for place, fit in sorted(trials.fits.items()):
        settings = trials.settings[place.trial]
        row: dict[str, Any] = {"trial": place.trial, "epochs": place.epochs, "fold": place.fold}
        row |= {SETTINGS[name]: option_text(value) for name, value in settings.items()}
        row |= {score: fit.scores.get(score.removeprefix("val_"), "") for score in scores}
        row |= {"val_loss": fit.val_loss, "loss": fit.loss, "seconds": fit.seconds, "error": fit.error}
        rows.append(row)
    return rows


def _scores(trials: Trials) -> list[str]:
    """The columns with scores of the held-out samples besides their loss."""
    return [f"val_{name}" for name in next((fit.scores for fit in trials.fits.values() if fit.scores), {})]


def _losses(fits: Sequence[Fit]) -> tuple[list[float], list[float]]:
    return [fit.val_loss for fit in fits], [fit.loss for fit in fits]
