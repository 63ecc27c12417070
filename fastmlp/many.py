"""Many networks trained at once on the same samples, one on each core."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastmlp.array_checks import check_features
from fastmlp.backends.threads import available_threads
from fastmlp.checks import check_integer, check_sequence
from fastmlp.errors import InputError
from fastmlp.mlp import MLP
from fastmlp.progress import progress_bar
from fastmlp.workers import Workers

__all__ = ["Outcome", "fit_many"]


class Outcome(NamedTuple):
    """What became of one network.

    Attributes
    ----------
    model : MLP or estimator
        The model that was given, fitted; after an error as its own `fit` leaves it.
    error : Exception or None
        What its `fit` raised: a `DivergenceError`, for example.
    seconds : float
        How long its `fit` took.
    """

    model: Any
    error: BaseException | None
    seconds: float


def fit_many(
    models: Sequence[Any],
    x: Any,
    y: Any,
    *,
    each: Sequence[Mapping[str, Any]] | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    **options: Any,
) -> list[Outcome]:
    """Fit many models to the same samples, one on each core.

    Every model ends with the numbers, bit for bit, that ``model.fit(x, y, **options)`` would have given it.

    Parameters
    ----------
    models : sequence of MLP, or of estimators
        They may differ in everything. Each is fitted in place.
    x, y : arrays
        As for the models' `fit`. All of them read the same memory.
    each : sequence of dict, optional
        For each model, arguments of its `fit` that it does not share with the others: ``{"lr": 0.1}``, or x and y of
        its own.
    workers : int, optional
        Models that are fitted at the same time; by default as many as there are cores, and one if any is to be trained
        by CUDA.
    progress : bool, optional
        Show a bar that counts the models; by default on a terminal only.
    **options
        Arguments of `fit` that all models share. Callbacks are called in several threads, each for one model at a time:
        ``epoch.model`` says which. A network shows its own bar with ``each=[{"progress": True}, …]``.

    Returns
    -------
    list of Outcome
        One for each model, in the order of the models.

    Raises
    ------
    InputError
        The models cannot be fitted side by side. None is changed.
    Exception
        The error of the first model, if every model has failed. If only some have, the others are fitted, a
        RuntimeWarning says which have failed, and their outcomes have the errors.

    Notes
    -----
    Leave the models' n_threads at None: each then has one core, and the last ones have those that have become free.
    After Ctrl-C the models in training keep their weights, as after Ctrl-C in `fit`; those that have not begun have a
    KeyboardInterrupt as their error.

    Examples
    --------
    >>> from fastmlp import MLP, fit_many
    >>> from fastmlp.datasets import load
    >>> data = load("digits")
    >>> networks = [MLP([64, width, 10], seed=0) for width in (8, 32)]
    >>> outcomes = fit_many(networks, data.x, data.y, epochs=5, each=[{"lr": 0.01}, {"lr": 0.003}])
    >>> [outcome.model.evaluate(data.x_test, data.y_test)["accuracy"] > 0.8 for outcome in outcomes]
    [True, True]
    """
    models = check_sequence("models", models, "networks or estimators")
    _refuse_shared(models)
    own: list[Mapping[str, Any]] = [{}] * len(models)
    if each is not None:
        own = check_sequence("each", each, "dictionaries, one for each model")
        if len(own) != len(models):
            raise InputError(f"each has {len(own)} dictionaries, but there are {len(models)} models.")
    if workers is None:
        workers = 1 if any(getattr(model, "backend", None) == "cuda" for model in models) else available_threads()
    fits = [{"x": x, "y": y, **options, **mine} for mine in own]
    _share_memory(models, fits)
    outcomes = [Outcome(model, KeyboardInterrupt("Ctrl-C came before this model's turn."), 0.0) for model in models]

    def fit(k: int) -> None:
        outcomes[k] = _fit(models[k], fits[k])

    pool, bar = Workers(check_integer("workers", workers, 1, 1024)), progress_bar(progress, len(models), "model")
    try:
        with suppress(KeyboardInterrupt):
            pool.run((partial(fit, k) for k in range(len(models))), lambda _: bar is None or bar.update())
    finally:
        if bar is not None:
            bar.close()
    return _reported(outcomes)


def _fit(model: Any, options: dict[str, Any]) -> Outcome:
    x, y = options.pop("x"), options.pop("y")
    if isinstance(model, MLP):
        options.setdefault("progress", False)
    begin, error = perf_counter(), None
    try:
        model.fit(x, y, **options)
    except (Exception, KeyboardInterrupt) as raised:
        error = raised
    return Outcome(model, error, perf_counter() - begin)


def _share_memory(models: Sequence[Any], fits: Sequence[dict[str, Any]]) -> None:
    """Convert samples to a network's dtype once, not once for each network; what cannot be is for its `fit` to say."""
    converted: dict[tuple[int, np.dtype], Any] = {}
    for model, options in zip(models, fits, strict=True):
        if not isinstance(model, MLP):
            continue
        x, key = options["x"], (id(options["x"]), model.dtype)
        if key not in converted:
            try:
                converted[key] = check_features(x, model.sizes[0], model.dtype)
            except InputError:
                continue
        options["x"] = converted[key]


def _refuse_shared(models: Sequence[Any]) -> None:
    """InputError if models depend on the order in which they are fitted."""
    if [k for k, count in Counter(map(id, models)).items() if count > 1]:
        raise InputError("models has the same model twice. Make one for each fit, with sklearn.base.clone for example.")
    generators = Counter(id(random) for model in models for random in _generators(model))
    if any(count > 1 for count in generators.values()):
        raise InputError(
            "Models share a RandomState, so their numbers would depend on which of them draws first. Give each an "
            "integer as its seed (random_state)."
        )


def _generators(model: Any) -> list[np.random.RandomState]:
    """The generators that a user has given to the model."""
    given = [model._random] if isinstance(model, MLP) else []
    if hasattr(model, "get_params"):
        given = list(model.get_params().values())
    return [random for random in given if isinstance(random, np.random.RandomState)]


def _reported(outcomes: list[Outcome]) -> list[Outcome]:
    failed = [(k, outcome.error) for k, outcome in enumerate(outcomes) if outcome.error is not None]
    if failed and len(failed) == len(outcomes):
        raise failed[0][1]
    if failed:
        numbers = ", ".join(str(k) for k, _ in failed[:10]) + (", …" if len(failed) > 10 else "")
        error = failed[0][1]
        warnings.warn(
            f"{len(failed)} of {len(outcomes)} models failed: {numbers}, counted from 0. The others are fitted, and "
            f"the outcomes have the errors. The first: {type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=3,
        )
    return outcomes
