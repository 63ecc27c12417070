"""The options of ``fastmlp search``: its space, how long it searches, and what all trials have in common."""

from __future__ import annotations

from fastmlp.cli import arguments
from fastmlp.cli.options import OPTIMIZERS, Options, add_other_network, add_other_training

__all__ = ["add_same", "add_space", "add_trials"]


def add_space(to: Options) -> None:
    """Add the settings that are searched; without an option, values around that of train are tried."""
    to.add_argument(
        "--hidden",
        type=arguments.sizes,
        nargs="+",
        metavar="N,N",
        help="widths of the hidden layers, or none; several networks as 32 128,128 (default: one to three layers "
        "of 64, 128 or 256)",
    )
    to.add_argument(
        "--batch-size",
        type=arguments.several(arguments.batch_size),
        metavar="N,N",
        help="samples per update (default: 64,128,256; below 2,000 samples 16,32,64)",
    )
    to.add_argument(
        "--lr",
        type=arguments.values(arguments.real(0, above=True), log=True),
        metavar="LOW:HIGH",
        help="range of learning rates, or values as R,R (default: a tenth to three times that of train)",
    )
    to.add_argument(
        "--decay",
        type=arguments.values(arguments.real(0), log=True),
        metavar="LOW:HIGH",
        help="range of the weight decay of adamw, or values as R,R (default: a tenth to ten times that of train)",
    )
    to.add_argument(
        "--dropout",
        type=arguments.values(arguments.real(0, 1)),
        metavar="LOW:HIGH",
        help="range of the probability that a hidden output is dropped in training, or values as P,P (default: "
        "0,0.1,0.2,0.4)",
    )


def add_trials(to: Options) -> None:
    """Add the options for the number of trials, and for the samples that they are compared on."""
    to.add_argument(
        "--trials",
        type=arguments.whole(1, 1 << 16),
        metavar="N",
        help="settings to try (default: 27)",
    )
    to.add_argument(
        "--budget",
        type=arguments.seconds,
        metavar="SECONDS",
        help="search for that time, such as 90 or 10min; how many trials there are then depends on the time; a network "
        "is trained with the best settings afterwards",
    )
    to.add_argument(
        "--folds",
        type=arguments.whole(2, 1 << 10),
        metavar="N",
        help="compare by cross-validation with N folds, instead of samples that are held out once",
    )
    to.add_argument(
        "--workers",
        type=arguments.whole(1, 1024),
        metavar="N",
        help="networks that train at the same time (default: one on each core)",
    )


def add_same(network: Options, training: Options) -> None:
    """Add the options for what all trials have in common, in these two groups."""
    add_other_network(network, dropout=False)
    training.add_argument(
        "--epochs",
        type=arguments.whole(1, 1 << 24),
        metavar="N",
        help="passes over the data in the longest trainings (default: 400,000 samples in all, within 10 to 40 epochs)",
    )
    training.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw", help="update rule (default: adamw)")
    training.add_argument("--momentum", type=arguments.real(0, 1), metavar="R", help="of sgd (default: 0)")
    add_other_training(training, "one_cycle", stopping=False)
    training.add_argument(
        "--seed",
        type=arguments.whole(0, 2**32 - 1),
        default=0,
        metavar="N",
        help="of the trials that are drawn, and as in train; the same seed gives the same search, unless it has a "
        "--budget (default: 0)",
    )
