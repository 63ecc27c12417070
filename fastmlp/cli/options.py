"""The options of the commands in groups, each with its meaning, unit and default."""

from __future__ import annotations

from argparse import Action, BooleanOptionalAction
from typing import Any, Protocol

from fastmlp.activations import ACTIVATIONS
from fastmlp.backends import BACKENDS
from fastmlp.cli import arguments
from fastmlp.losses import LOSSES

__all__ = [
    "OPTIMIZERS",
    "add_columns",
    "add_features",
    "add_machine",
    "add_memory",
    "add_network",
    "add_networks",
    "add_other_network",
    "add_other_training",
    "add_reading",
    "add_source",
    "add_source_and_split",
    "add_test_file",
    "add_training",
    "add_trainings",
]

OPTIMIZERS = ("sgd", "rmsprop", "adam", "adamw")
_SCHEDULES = (
    "constant",
    "step",
    "exponential",
    "inverse_scaling",
    "cosine",
    "one_cycle",
    "warm_up",
    "reduce_on_plateau",
)


class Options(Protocol):
    """An argument parser, or a group of its options."""

    def add_argument(self, *names: str, **options: Any) -> Action: ...


def add_reading(to: Options) -> None:
    """Add the options for reading files, whose defaults in predict and evaluate come from the model."""
    to.add_argument(
        "--folder",
        metavar="DIR",
        help="folder of the IDX files of mnist or fashion-mnist (default: that name within the folder FASTMLP_DATA)",
    )
    to.add_argument(
        "--download",
        action="store_true",
        default=None,
        help="fetch mnist or fashion-mnist from openml.org if no folder has it",
    )
    to.add_argument(
        "--header",
        action=BooleanOptionalAction,
        help="table: whether the first line names the columns; without, they are column0, column1, … "
        "(default: it does, or as in training)",
    )
    to.add_argument(
        "--skip-lines",
        type=arguments.whole(0, 1 << 30),
        metavar="N",
        help="table: lines to skip at its start (default: 0, or as in training)",
    )
    to.add_argument(
        "--delimiter",
        type=arguments.delimiter,
        metavar="C",
        help="table: character between fields, or 'tab' (default: inferred, or as in training)",
    )
    to.add_argument(
        "--encoding",
        metavar="NAME",
        help="table: text encoding, such as cp1252 (default: UTF-8, or by its byte order mark; or as in training)",
    )


def add_source(to: Options) -> None:
    add_source_and_split(to, "0.1 with --patience, else 0")
    add_test_file(to)


def add_test_file(to: Options) -> None:
    to.add_argument("--test-file", metavar="FILE", help="table to test on, instead of a part of DATA")
    to.add_argument(
        "--test-skip-lines",
        type=arguments.whole(0, 1 << 30),
        metavar="N",
        help="lines to skip at the start of the test file (default: as --skip-lines)",
    )


def add_source_and_split(to: Options, held_out: str) -> None:
    """Add the options for samples and their parts; held_out is the default share of those for validation."""
    add_reading(to)
    to.add_argument("--target-file", metavar="FILE", help=".npy file of targets for a .npy DATA")
    to.add_argument(
        "--test-fraction",
        type=arguments.real(0, 1),
        metavar="F",
        help="share of DATA to test on, if it has no test samples of its own (default: 0.2; of a .npy file none)",
    )
    to.add_argument(
        "--split",
        choices=["random", "ordered"],
        help="table: test rows: a share of each class at random, or the last rows (default: random)",
    )
    to.add_argument(
        "--validation-fraction",
        type=arguments.real(0, 1),
        metavar="F",
        help=f"share of the training samples to hold out for validation (default: {held_out}; of a .npy file, its end)",
    )


def add_columns(to: Options) -> None:
    to.add_argument(
        "--target",
        type=arguments.columns,
        metavar="COLUMN",
        help="name or number, 0 for the first, -1 for the last (default: -1); several columns of numbers as A,B",
    )
    to.add_argument(
        "--task",
        choices=["auto", "classification", "regression"],
        help="auto: classification if a target is not a number, or if all are at most 20 different whole numbers that "
        "are repeated (default: auto)",
    )
    to.add_argument(
        "--categorical",
        type=arguments.texts,
        metavar="A,B",
        help="columns that hold categories (default: those of texts that are not numbers, dates or times, unless "
        "they differ in nearly every row)",
    )
    to.add_argument("--columns", type=arguments.texts, metavar="A,B", help="columns to use, besides the target")
    to.add_argument("--drop-columns", type=arguments.texts, metavar="A,B", help="columns to leave out")
    to.add_argument(
        "--missing",
        choices=["error", "drop", "impute"],
        help="missing values: refuse them; drop their rows; or impute the median of numbers, with a feature that marks "
        "them, and make a category of those of texts (default: impute); rows without a target are left out",
    )
    to.add_argument(
        "--also-missing",
        type=arguments.texts,
        metavar="A,B",
        help="further marks of missing values; one that begins with a minus sign needs =, as in --also-missing=-999",
    )
    to.add_argument(
        "--missing-values",
        type=arguments.texts,
        metavar="A,B",
        help="marks of missing values, besides an empty field (default: NA, N/A, NaN, NULL, None, -, ?, #N/A and more)",
    )
    to.add_argument(
        "--decimal",
        choices=[".", ","],
        help="decimal mark of numbers that could have either (default: inferred from other columns)",
    )
    to.add_argument(
        "--day-first",
        action=BooleanOptionalAction,
        help="whether 1/2/2023 is in February, if the column does not tell (default: only with decimal commas)",
    )
    to.add_argument(
        "--thousands",
        choices=[",", ".", " ", "'"],
        metavar="C",
        help="thousands separator: a comma, a full stop, a space or an apostrophe (default: inferred)",
    )
    to.add_argument("--strip-label", metavar="CHARS", help="characters to strip from the end of each target")
    to.add_argument(
        "--standardize",
        action=BooleanOptionalAction,
        help="scale numeric columns, and features of .npz files, to mean 0 and deviation 1 (default: yes; a .npy file "
        "is never scaled)",
    )


def add_features(to: Options) -> None:
    to.add_argument(
        "--bins",
        type=arguments.whole(0, 1 << 10),
        metavar="N",
        help="quantile bins of each number, 0 for none (default: for classes 0; for numbers a hundredth of the "
        "samples, at most 16; 0 below 400 samples, or if they would take more than 128 MiB)",
    )
    to.add_argument(
        "--one-hot",
        type=arguments.whole(0, 1 << 30),
        metavar="N",
        help="most categories of a column that become a feature each; a column with more becomes means of the target "
        "(default: 9)",
    )
    to.add_argument(
        "--clip",
        action=BooleanOptionalAction,
        help="clip predicted numbers to the range of the training targets (default: yes)",
    )


def add_network(to: Options) -> None:
    to.add_argument(
        "--hidden",
        type=arguments.sizes,
        metavar="N,N",
        help="widths of the hidden layers, or none (default: 128,128, or by trial 256,128, see --decay)",
    )
    add_other_network(to)


def add_networks(to: Options) -> None:
    """Add the options for several networks on the same data."""
    to.add_argument(
        "--hidden",
        type=arguments.sizes,
        nargs="+",
        default=[None],
        metavar="N,N",
        help="widths of the hidden layers, or none; several networks as 32 128,128 (default: 128,128)",
    )
    add_other_network(to)


def add_other_network(to: Options, *, dropout: bool = True) -> None:
    """Add the options for what the networks of a command have in common, except, if it varies, the dropout."""
    to.add_argument(
        "--activation",
        type=arguments.choices(ACTIVATIONS),
        metavar="NAME[,NAME]",
        help="of all hidden layers, or one for each layer including the output (default: relu for "
        "classes, silu for numbers): "
        f"{', '.join(ACTIVATIONS)}",
    )
    to.add_argument(
        "--loss", choices=list(LOSSES), metavar="NAME", help=f"default by the target, see below: {', '.join(LOSSES)}"
    )
    to.add_argument(
        "--quantiles",
        type=arguments.reals(0, 1, above=True),
        metavar="Q[,Q]",
        help="of --loss quantile; several make an interval, with one output for each quantile (default: 0.5)",
    )
    if dropout:
        to.add_argument(
            "--dropout",
            type=arguments.reals(0, 1),
            metavar="P[,P]",
            help="probability that a hidden output is dropped in training (default: 0)",
        )
    to.add_argument(
        "--l1",
        type=arguments.real(0),
        default=0.0,
        metavar="R",
        help="adds R times the sum of |w| to the loss (default: 0)",
    )
    to.add_argument(
        "--l2",
        type=arguments.real(0),
        default=0.0,
        metavar="R",
        help="adds R/2 times the sum of w² to the loss (default: 0)",
    )
    to.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="of parameters and arithmetic (default: float32)",
    )
    add_machine(to)


def add_training(to: Options) -> None:
    to.add_argument(
        "--epochs",
        type=arguments.whole(1, 1 << 24),
        metavar="N",
        help="passes over the data (default: 400,000 samples in all, within 10 to 40 epochs; by trial 80, see --decay)",
    )
    to.add_argument(
        "--batch-size",
        type=arguments.batch_size,
        metavar="N",
        help="samples per update; 1 is stochastic, 'full' batch gradient descent (default: 64; below 2,000 samples 16)",
    )
    to.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw", help="update rule (default: adamw)")
    to.add_argument(
        "--lr",
        type=arguments.real(0, above=True),
        metavar="R",
        help="learning rate (default: sgd 0.1, others 0.001; adam and adamw with one_cycle 0.01 for classes, 0.005 for "
        "numbers)",
    )
    to.add_argument(
        "--decay",
        type=arguments.real(0),
        metavar="R",
        help="weight decay of adamw: each step multiplies the weights by 1 - learning rate * R (default: for numbers "
        "0.5; for classes 1, or, for 50 to 10,000 samples, the best of 1, 3 and 0.3 on a fifth of them, where 0.3 "
        "comes with more units and epochs below 2,000; from 5,000 samples on in proportion to 1 / samples)",
    )
    to.add_argument("--momentum", type=arguments.real(0, 1), metavar="R", help="of sgd (default: 0)")
    add_other_training(to, "one_cycle")
    to.add_argument(
        "--seed",
        type=arguments.whole(0, 2**32 - 1),
        default=0,
        metavar="N",
        help="of split, initial weights, batches and dropout; the same seed gives the same run (default: 0)",
    )


def add_trainings(to: Options) -> None:
    """Add the options for training with several settings, all combinations of which are to be tried."""
    to.add_argument(
        "--epochs",
        type=arguments.whole(1, 1 << 24),
        metavar="N",
        help="passes over the data (default: 400,000 samples in all, within 10 to 40 epochs)",
    )
    to.add_argument(
        "--batch-size",
        type=arguments.several(arguments.batch_size),
        default=["full", 32, 1],
        metavar="N,N",
        help="samples per update; 1 is stochastic, 'full' batch gradient descent (default: full,32,1)",
    )
    to.add_argument(
        "--optimizer",
        type=arguments.several(arguments.choices(OPTIMIZERS)),
        default=["sgd"],
        metavar="NAME,NAME",
        help=f"update rules (default: sgd): {', '.join(OPTIMIZERS)}",
    )
    to.add_argument(
        "--lr",
        type=arguments.several(arguments.real(0, above=True)),
        default=[None],
        metavar="R,R",
        help="learning rates (default: sgd 0.1, others 0.001)",
    )
    to.add_argument("--decay", type=arguments.real(0), metavar="R", help="weight decay of adamw (default: 1)")
    to.add_argument("--momentum", type=arguments.real(0, 1), metavar="R", help="of sgd (default: 0)")
    add_other_training(to, "constant")
    to.add_argument(
        "--seed",
        type=arguments.whole(0, 2**32 - 1),
        default=0,
        metavar="N",
        help="of the split, and the first seed of the networks (default: 0)",
    )
    to.add_argument(
        "--seeds",
        type=arguments.whole(1, 1 << 16),
        default=3,
        metavar="N",
        help="networks for each combination, which differ in initial weights, batches and dropout (default: 3)",
    )


def add_other_training(to: Options, schedule: str, *, stopping: bool = True) -> None:
    """Add the options for what all trainings of a command have in common."""
    to.add_argument(
        "--schedule",
        choices=_SCHEDULES,
        default=schedule,
        metavar="NAME",
        help=f"schedule of the learning rate (default: {schedule}): {', '.join(_SCHEDULES)}",
    )
    to.add_argument(
        "--class-weight", choices=["balanced"], help="balanced: all classes have the same weight, whatever their size"
    )
    to.add_argument("--max-norm", type=arguments.real(0, above=True), metavar="R", help="clip gradients to this norm")
    if stopping:
        to.add_argument(
            "--patience",
            type=arguments.whole(1, 1 << 24),
            metavar="N",
            help="stop when the loss (of the validation samples, if there are any) has not fallen for N epochs",
        )
        to.add_argument("--target-loss", type=arguments.real(), metavar="R", help="stop when that loss is at most R")


def add_memory(to: Options) -> None:
    to.add_argument(
        "--memory",
        type=arguments.memory,
        metavar="SIZE",
        help="most memory of a table, and of its features, such as 2GB; larger ones are kept in temporary files "
        "(default: a third of the free memory)",
    )


def add_machine(to: Options) -> None:
    to.add_argument(
        "--backend",
        choices=[*BACKENDS, "auto"],
        help="implementation to compute with (default: FASTMLP_BACKEND, else auto: the fastest)",
    )
    to.add_argument(
        "--threads",
        type=arguments.whole(1, 1024),
        metavar="N",
        help="threads of the numba backend (default: chosen by the amount of work)",
    )
