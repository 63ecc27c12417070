"""The argument parser of the commands, and their help."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter

from fastmlp import __version__
from fastmlp.cli import arguments, options, search_options

__all__ = ["build_parser"]

_DATA = """\
DATA is one of
  digits, iris, breast_cancer, diabetes, spirals, xor    small sets that need no file
  mnist, fashion-mnist                                   see --folder and --download
  FILE.csv (.tsv, .data, .test, .txt; .gz, .zst)         a table: one sample per row, the target in one column
  FILE.parquet, FILE.arrow (.feather)                    a table with typed columns
  FILE.npz, FILE.npy                                     arrays x and y, as numpy.savez and numpy.save write them
  FOLDER                                                 the four IDX files of an image set
"""
_EXAMPLES = """\
examples
  fastmlp train digits
  fastmlp train mnist --hidden 512,256 --epochs 20 --out mnist.safetensors --history mnist.csv --plot mnist.png
  fastmlp train housing.csv --target median_house_value --out housing.safetensors
  fastmlp predict housing.safetensors new_houses.csv --out prices.csv
  fastmlp evaluate mnist.safetensors mnist
  fastmlp compare digits --batch-size full,32,1 --plot regimes.png
  fastmlp search housing.csv --target median_house_value --budget 10min --out housing.safetensors
  fastmlp export mnist.safetensors mnist.onnx
  fastmlp compile
  fastmlp info
"""
_TRAIN_EXAMPLES = """\
examples
  fastmlp train digits                                 softmax over ten classes, mini-batches
  fastmlp train digits --batch-size full --epochs 500  batch gradient descent
  fastmlp train xor --hidden 4 --activation tanh --batch-size 1 --optimizer sgd
  fastmlp train xor --hidden none --activation threshold   the perceptron, which cannot learn this
  fastmlp train Fish.csv --target Weight               a number: regression
  fastmlp train Fish.csv --target Species              a text: classification
  fastmlp train mnist --checkpoint run.checkpoint --resume --out mnist.safetensors     repeat it to continue
  fastmlp train liver.csv --class-weight balanced --patience 10
  fastmlp train adult.data --no-header --strip-label . --test-file adult.test --test-skip-lines 1

The delimiter of a table, numbers (decimal commas, currencies, per cent), dates, categories, identifiers and marks of
missing values are inferred from the whole file. The columns are listed with their kinds, and notes on standard error
name what may be meant differently.

Two classes get one sigmoid output and binary_cross_entropy, more classes softmax_cross_entropy, numbers one output and
mean_squared_error. Numbers are scaled for training; scores and predictions are in their original unit. Error messages
name options as Python does: missing='impute' is --missing impute, resume=True is --resume.
"""
_PREDICT_EXAMPLES = """\
The preparation of the training data is kept in the model and repeated here. A table needs the columns that the model
was trained on, in any order; others, including the target, are ignored. If a named data set, .npz file or folder has
test samples, those are predicted. A .npy file holds inputs (N, I). A table may be larger than the memory. Its missing
values are imputed as in training; values not seen in training are counted on standard error.

examples
  fastmlp predict fish.safetensors new_fish.csv
  fastmlp predict fish.safetensors new_fish.csv --proba --keep id --out species.csv
  fastmlp predict fish.safetensors new_fish.parquet --out species.parquet
"""
_EXPORT_EXAMPLES = """\
The preparation of the training data is a part of what is written. In ONNX each column of a table is an input of its
name, a number or a text; the package onnx is needed. C is C99 without dependencies, and a program that reads CSV if it
is compiled with -DFASTMLP_MAIN; it reads no dates.

examples
  fastmlp export fish.safetensors fish.onnx
  fastmlp export digits.safetensors digits.c
"""
_COMPARE_EXAMPLES = """\
Every combination of the settings is trained with several seeds, a network on each core, and scored on held-out
training samples; test samples are left for the network that is chosen in the end. The table has means over the seeds
and their standard deviation, the picture the losses by epoch and by time. Seconds are those of a network on one core,
while others train.

examples
  fastmlp compare digits --batch-size full,32,1 --epochs 20 --plot regimes.png
  fastmlp compare digits --batch-size 32 --optimizer sgd,adam --lr 0.1,0.01,0.001
  fastmlp compare housing.csv --target median_house_value --hidden 8 64 64,64 --batch-size 64 --seeds 5
"""
_SEARCH_EXAMPLES = """\
Trials are drawn from the space, which is printed; the first has the settings of train. All of them train for a ninth of
the epochs, the best third again for a third, and the best of those for all. They are compared by their loss on held-out
training samples. With the best settings, a network is trained on all training samples, as train would, and scored on
the test samples, of which the search knows nothing. The same seed gives the same search, bit for bit, except for times.

examples
  fastmlp search digits --trials 81 --table trials.csv --out digits.safetensors
  fastmlp search fish.csv --target Weight --folds 5 --hidden 16 64 64,64 --lr 0.001:0.1 --dropout 0,0.2
  fastmlp search mnist --budget 1h --checkpoint trials.checkpoint --resume --out mnist.safetensors   repeat to continue
"""
_COMPILE_EXAMPLES = """\
The first training on a machine compiles what it needs, which takes some seconds. This command does so beforehand, as in
an image of a container. The code is for this CPU and these versions: on another CPU it is compiled anew. It lies in
FASTMLP_CACHE_DIR, else in the user's cache folder; the folder may be read-only later.

examples
  fastmlp compile --dtype float32
  FASTMLP_CACHE_DIR=/opt/fastmlp fastmlp compile --all
"""
_EVALUATE_EXAMPLES = """\
If a named data set, .npz file or folder has test samples, those are scored; of a table, all rows.

examples
  fastmlp evaluate mnist.safetensors mnist
  fastmlp evaluate adult.safetensors adult.test --skip-lines 1
"""


def build_parser() -> ArgumentParser:
    """Build the parser of the command line; its result has `command` None if no command was given."""
    parser = ArgumentParser(
        prog="fastmlp",
        description="Train multilayer perceptrons, and use them. Each command has its own --help.",
        epilog=f"{_EXAMPLES}\n{_DATA}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastmlp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, summary: str, epilog: str = "") -> ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=epilog,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    _add_train(command("train", "train a network on data and score it on test samples", f"{_DATA}\n{_TRAIN_EXAMPLES}"))
    _add_compare(command("compare", "train networks with several settings", f"{_DATA}\n{_COMPARE_EXAMPLES}"))
    _add_search(command("search", "find good settings, and train a network with them", f"{_DATA}\n{_SEARCH_EXAMPLES}"))
    _add_predict(command("predict", "predict the targets of samples", _PREDICT_EXAMPLES))
    _add_evaluate(command("evaluate", "score a model on samples with known targets", _EVALUATE_EXAMPLES))
    _add_export(command("export", "write a model for other programs: ONNX, or one file of C", _EXPORT_EXAMPLES))
    _add_compile(command("compile", "compile the kernels of the numba backend ahead of time", _COMPILE_EXAMPLES))
    command("info", "show versions, backends, threads and the folder of compiled kernels")
    return parser


def _add_train(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="name of a data set, file or folder, see below")
    data = parser.add_argument_group("data")
    options.add_source(data)
    options.add_memory(data)
    options.add_columns(parser.add_argument_group("columns of a table"))
    options.add_features(parser.add_argument_group("features"))
    options.add_network(parser.add_argument_group("network"))
    options.add_training(parser.add_argument_group("training"))
    output = parser.add_argument_group("output")
    _add_outputs(output)
    output.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="write the state of the training to this file: at intervals, at the end, and when interrupted",
    )
    output.add_argument(
        "--every",
        type=arguments.interval,
        metavar="N",
        help="interval of checkpoints: N epochs, or a time such as 30s, 10min, 2h (default: 30s)",
    )
    output.add_argument(
        "--resume",
        action="store_true",
        help="continue from the checkpoint, if there is one; with the same data and settings the result is that of an "
        "uninterrupted run",
    )
    output.add_argument(
        "--reproducible",
        action="store_true",
        help="the same model, bit for bit, on any number of ranks (mpiexec -n N fastmlp train …) up to 16",
    )
    output.add_argument("--quiet", action="store_true", help="print the final scores only")


def _add_outputs(to: options.Options) -> None:
    to.add_argument("--out", metavar="MODEL", help="write the model to this .safetensors file")
    to.add_argument("--history", metavar="FILE", help="write the history of the epochs to this .json or .csv file")
    to.add_argument("--plot", metavar="FILE", help="draw the losses into this .png, .pdf or .svg file")
    _add_report(to)


def _add_compare(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="name of a data set, file or folder, see below")
    data = parser.add_argument_group("data")
    options.add_source_and_split(data, "0.2")
    parser.set_defaults(test_file=None, test_skip_lines=None)
    options.add_memory(data)
    options.add_columns(parser.add_argument_group("columns of a table"))
    options.add_features(parser.add_argument_group("features"))
    options.add_networks(parser.add_argument_group("network"))
    options.add_trainings(parser.add_argument_group("training"))
    parser.add_argument(
        "--workers",
        type=arguments.whole(1, 1024),
        metavar="N",
        help="networks that train at the same time (default: one on each core)",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--plot", metavar="FILE", help="draw the curves into this .png, .pdf or .svg file")
    output.add_argument("--table", metavar="FILE", help="write the results of each network to this .csv file")
    output.add_argument("--quiet", action="store_true", help="print the table only")


def _add_search(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="name of a data set, file or folder, see below")
    search_options.add_space(parser.add_argument_group("space"))
    search_options.add_trials(parser.add_argument_group("search"))
    data = parser.add_argument_group("data")
    options.add_source_and_split(data, "0.2")
    options.add_test_file(data)
    options.add_memory(data)
    options.add_columns(parser.add_argument_group("columns of a table"))
    options.add_features(parser.add_argument_group("features"))
    search_options.add_same(parser.add_argument_group("network"), parser.add_argument_group("training"))
    output = parser.add_argument_group("output")
    _add_outputs(output)
    output.add_argument("--table", metavar="FILE", help="write each training of the search to this .csv file")
    output.add_argument(
        "--checkpoint", metavar="FILE", help="write each training of the search to this file as soon as it is done"
    )
    output.add_argument(
        "--resume",
        action="store_true",
        help="take trainings from the checkpoint, if there is one; with the same options the result is that of an "
        "uninterrupted search, and with others, such as more trials, whatever is needed again is taken",
    )
    output.add_argument("--quiet", action="store_true", help="print the table and the final scores only")


def _add_predict(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="file that 'fastmlp train --out' wrote")
    parser.add_argument("data", metavar="DATA", help="samples, as for train; a table may lack the target")
    options.add_reading(parser)
    parser.add_argument("--out", metavar="FILE", help="write to this .csv or .parquet file (default: standard output)")
    parser.add_argument(
        "--keep", type=arguments.texts, metavar="A,B", help="columns of the table to write before the predictions"
    )
    parser.add_argument("--proba", action="store_true", help="also write the probability of each class")
    options.add_machine(parser)


def _add_export(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="file that 'fastmlp train --out' or MLP.save wrote")
    parser.add_argument("out", metavar="OUT", help="the .onnx or .c file to write")


def _add_compile(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        help="dtype of the networks (default: both)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="every activation, loss and update rule, and samples that are bytes or of the other dtype (default: the "
        "usual ones)",
    )


def _add_evaluate(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="file that 'fastmlp train --out' wrote")
    parser.add_argument("data", metavar="DATA", help="samples with targets, as for train")
    options.add_reading(parser)
    parser.add_argument("--target-file", metavar="FILE", help=".npy file of targets for a .npy DATA")
    _add_report(parser)
    options.add_machine(parser)


def _add_report(to: options.Options) -> None:
    to.add_argument(
        "--report",
        metavar="FILE",
        help="write scores, figures and settings to this .html file, which needs no other file",
    )
