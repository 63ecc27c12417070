"""MLP: what a user builds, fits, predicts with and saves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastmlp.activations import Activation, name_of, output_activations
from fastmlp.array_checks import check_data, check_features, check_outcomes, check_parameter
from fastmlp.backends import PRECISIONS, get_backend
from fastmlp.checkpoint import DEFAULT_INTERVAL, open_checkpoint
from fastmlp.checks import (
    check_batch_size,
    check_choice,
    check_dropout,
    check_dtype,
    check_flag,
    check_functions,
    check_integer,
    check_outputs,
    check_real,
    check_seed,
    check_sequence,
    check_trainable,
)
from fastmlp.engine import FEW, Engine, Gradients, predictions
from fastmlp.errors import InputError
from fastmlp.forks import no_fork
from fastmlp.gradient_check import numerical_gradient
from fastmlp.history import History
from fastmlp.initializers import default_initializer, initialize
from fastmlp.interchange import enough_memory
from fastmlp.losses import LOSS_OF_OUTPUT, LOSSES, Loss, apply_link, get_loss, loss_for_targets
from fastmlp.measuring import epoch_measure
from fastmlp.metrics import check_metrics
from fastmlp.network import Data, Layout, aligned_zeros
from fastmlp.optimizers import Optimizer, get_optimizer
from fastmlp.options import BackendName, DtypeName, InitializerName, OptimizerName, Precision, Reduction, ScheduleName
from fastmlp.orders import block_of
from fastmlp.pictures import weight_images
from fastmlp.predictor import Predictor
from fastmlp.progress import progress_bar
from fastmlp.ranks.all_reduce import reduction_of
from fastmlp.ranks.entry import shares_fate
from fastmlp.schedules import Schedule, get_schedule
from fastmlp.serialization import read_network, write_network
from fastmlp.stopping import make_stopping
from fastmlp.streams.feed import Feed
from fastmlp.streams.samples import Samples
from fastmlp.trainer import Callback, Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MLP"]


class MLP:
    """A multilayer perceptron.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden widths, outputs: ``[784, 128, 10]``.
    activation : str, Activation or sequence of these, optional
        One for all hidden layers, by default "relu", or one per layer, output included (see `fastmlp.activations`).
        Without hidden layers one activation is that of the output.
    loss : str or Loss, optional
        See `fastmlp.losses`. By default it follows from the output activation, if that is named, else from the targets
        of the first fit: class labels mean a cross entropy, real numbers the mean squared error.
    dropout : float or sequence of float
        Probability in [0, 1) that a hidden output is dropped in training; one for all hidden layers or one for each.
    l1, l2 : float
        Adds l1 Σ|w| + ½ l2 Σw² over the weights, not the biases, to the loss.
    reduction : {"mean", "sum"}
        How the losses of a batch's samples become one.
    initializer : str, optional
        See `fastmlp.initializers`; by default He for the relu-like activations, Glorot for the others. Biases are 0.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    backend : {"numpy", "numba", "cuda", "auto"}, optional
        Where the step runs; by default the environment variable FASTMLP_BACKEND, else "auto".
    precision : {"float32", "tf32", "bf16"}
        Of what goes into the matrix products of a float32 network: 24 significant bits, 11 (relative error up to 5e-4
        per factor; on the CUDA backend) or 8 (4e-3; on the Numba and CUDA backends). Sums, parameters and all else are
        float32 in any case.
    n_threads : int, optional
        Threads of the Numba backend; by default as many as the work deserves and the machine has.
    seed : int or RandomState, optional
        For initial weights, batches and dropout. The same seed gives the same on every backend.

    Attributes
    ----------
    weights, biases : lists of arrays (I, O) and (O,), one per layer
        Views: changing an entry changes the model.
    loss : Loss or None
    history : History or None
        Of the last fit.
    metadata : dict
        JSON-able notes of the user, saved with the model.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] | None = None,
        *,
        loss: str | Loss | None = None,
        dropout: float | Sequence[float] = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        reduction: Reduction = "mean",
        initializer: InitializerName | None = None,
        dtype: DtypeName | type | np.dtype = "float32",
        backend: BackendName | None = None,
        precision: Precision = "float32",
        n_threads: int | None = None,
        seed: int | np.random.RandomState | None = None,
    ) -> None:
        if isinstance(sizes, (str, int)) or not hasattr(sizes, "__len__") or len(sizes) < 2:
            raise InputError(f"sizes={sizes!r} must list inputs, hidden widths and outputs, such as [784, 128, 10].")
        self.sizes = tuple(check_integer("sizes entry", size) for size in sizes)
        layers = len(self.sizes) - 1
        self.activations = output_activations(activation, layers)
        self.loss: Loss | None = None
        if loss is not None:
            self.loss = get_loss(loss)
        elif (named := name_of(self.activations[-1] or "")) in LOSS_OF_OUTPUT:
            self.loss = LOSSES[LOSS_OF_OUTPUT[named]]
        check_outputs(self.loss, self.sizes[-1])
        self.dropout = check_dropout(dropout, layers)
        self.l1, self.l2 = check_real("l1", l1), check_real("l2", l2)
        self.reduction = check_choice("reduction", reduction, ("mean", "sum"))
        self.dtype = check_dtype(dtype)
        check_choice("precision", precision, PRECISIONS)
        if precision != "float32" and self.dtype != np.float32:
            raise InputError(f"precision={precision!r} is for dtype='float32'; this network has dtype='{self.dtype}'.")
        self._backend = get_backend(backend, precision)
        if n_threads is not None:
            check_integer("n_threads", n_threads, 1, 1024)
        self.n_threads = n_threads
        self._random, self._random_is_private = check_seed(seed), not isinstance(seed, np.random.RandomState)
        self.history: History | None = None
        self.metadata: dict[str, Any] = {}
        self._sessions: dict[str, Any] = {}
        self._layout = Layout.of(self.sizes)
        self._params = aligned_zeros(self._layout.n_params, self.dtype)
        for name, w in zip(self.activations, self.weights, strict=True):
            kind = initializer if initializer is not None else default_initializer(name_of(name or "identity"))
            w[...] = initialize(kind, w.shape[0], w.shape[1], self._random)

    def __repr__(self) -> str:
        names = ", ".join(name_of(activation or "-") for activation in self.activations)
        loss = self.loss.name if self.loss else None
        return f"MLP({list(self.sizes)}, [{names}], loss={loss!r}, dtype='{self.dtype}', backend={self.backend!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_sessions": {}}  # threads and compiled code belong to a process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._params = aligned_zeros(self._layout.n_params, self.dtype)  # pickled ones may be a read-only file
        self._params[...] = state["_params"]

    @property
    def backend(self) -> str:
        """Name of the backend in use; with "auto", of the one it chose."""
        return self._backend.name

    @property
    def weights(self) -> list[np.ndarray]:
        return self._layout.weights(self._params)

    @property
    def biases(self) -> list[np.ndarray]:
        return self._layout.biases(self._params)

    def set_parameters(self, weights: Sequence[Any], biases: Sequence[Any]) -> None:
        """Replace all parameters by copies; weights (I, O), biases (O,), one of each per layer. All or none change."""
        new = self._params.copy()
        for kind, given, views in (
            ("weights", weights, self._layout.weights(new)),
            ("biases", biases, self._layout.biases(new)),
        ):
            if len(check_sequence(kind, given, "arrays, one per layer")) != len(views):
                raise InputError(f"{kind} has {len(given)} arrays, but the network has {len(views)} layers.")
            for l, (array, view) in enumerate(zip(given, views, strict=True)):
                view[...] = check_parameter(f"{kind}[{l}]", array, view.shape, self.dtype)
        self._params[...] = new

    def summary(self) -> str:
        """A table of the layers and their parameter counts."""
        rows = [f"{'layer':>5}  {'inputs':>8}  {'outputs':>8}  {'activation':<12}{'parameters':>12}"]
        for l, (i, o) in enumerate(pairwise(self.sizes)):
            name = name_of(self.activations[l] or (self.loss.link if self.loss else "by the loss"))
            rows.append(f"{l + 1:>5}  {i:>8}  {o:>8}  {name:<12}{i * o + o:>12,}")
        total = sum(i * o + o for i, o in pairwise(self.sizes))
        loss = self.loss.name if self.loss else "chosen at the first fit"
        return "\n".join([*rows, f"total {total:,} parameters, {self.dtype}, loss {loss}, backend {self.backend}"])

    def _repr_html_(self) -> str:
        """The network drawn, and its summary, for notebooks."""
        with no_fork():
            from fastmlp.reports.notebook import network_html

        names = [name_of(activation or (self.loss.link if self.loss else "-")) for activation in self.activations]
        return network_html(self.sizes, names, self.summary())

    def plot_weights(
        self,
        shape: tuple[int, int] | None = None,
        *,
        units: int = 25,
        path: str | os.PathLike[str] | None = None,
    ) -> Figure:
        """Draw the weights of the first layer's units as images: red is negative, blue positive.

        Parameters
        ----------
        shape : (int, int), optional
            Height and width of the images that are the inputs; by default they are square.
        units : int
            Units to draw, at most.
        path : path, optional
            Image to write, as PNG, PDF or SVG by the suffix.

        Returns
        -------
        matplotlib.figure.Figure
            The figure, which is not shown.

        Raises
        ------
        InputError
            The inputs have no such shape, or the path cannot be written.
        FastmlpError
            Matplotlib is not installed.
        """
        return weight_images(self.weights[0], shape, units, path)

    @shares_fate
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 10,
        batch_size: int | Literal["full"] = 32,
        optimizer: OptimizerName | Optimizer = "adam",
        lr: float | None = None,
        schedule: ScheduleName | Schedule = "constant",
        shuffle: bool | Literal["blocks"] = True,
        sample_weight: Any = None,
        class_weight: Literal["balanced"] | Mapping[int, float] | None = None,
        max_norm: float | None = None,
        validation_data: tuple[Any, ...] | None = None,
        metrics: Sequence[str] | None = None,
        gradient_norms: bool = False,
        target_loss: float | None = None,
        tol: float = 0.0,
        patience: int | None = None,
        restore_best: bool | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | str = DEFAULT_INTERVAL,
        resume: bool = False,
        comm: Any = None,
        reproducible: bool = False,
    ) -> History:
        """Train from the present parameters on, or from where a checkpoint was written.

        Parameters
        ----------
        x : array (N, I) or Samples
            Real numbers. A memory-mapped array may be larger than memory. `fastmlp.open_samples` gives Samples of
            files, which are read while the network trains.
        y : array
            Class indices (N,), one-hot or soft targets (N, O), or values (N,) or (N, O). Samples have their own.
        epochs : int
            Passes over the data.
        batch_size : int or "full"
            Samples per update: 1 is stochastic gradient descent, "full" batch gradient descent, one update per epoch.
        optimizer : str or Optimizer
            "sgd", "rmsprop", "adam", "adamw", or an instance. Its state starts anew with each fit.
        lr : float, optional
            Learning rate for an optimizer given by name.
        schedule : str or Schedule
            How the learning rate changes (see `fastmlp.schedules`).
        shuffle : bool or "blocks"
            Whether the samples are put in a new order before each epoch. "blocks" is for a memory-mapped array larger
            than memory: samples that lie together, 64 KiB of them, are read together, and shuffled with those of a
            thousand other such blocks.
        sample_weight : array (N,), optional
            How much each sample counts in the loss.
        class_weight : dict {class: weight} or "balanced", optional
            How much each class counts, multiplied with the sample weights; "balanced" is N / (C count).
        max_norm : float, optional
            Gradients longer than this are scaled down to it.
        validation_data : (x, y) or (x, y, sample_weight), optional
            Their loss and metrics are taken after each epoch.
        metrics : sequence of str, optional
            "accuracy", "r2": taken on the training data too, at the price of one more pass. By default the natural one,
            on the validation data only.
        gradient_norms : bool
            Record the norm of each layer's weight gradient over all data after each epoch, at the price of a pass.
        target_loss, tol, patience : float, float and int, optional
            Stop when the monitored loss is at most target_loss, or has not improved by more than tol for `patience`
            epochs. Monitored is the validation loss if there are validation data, else the training loss.
        restore_best : bool, optional
            End with the weights of the best epoch; by default when there are validation data and a patience.
        callbacks : sequence of callables
            Called after each epoch with an `Epoch`; training stops if one returns True.
        progress : bool, optional
            Show a bar; by default on a terminal only.
        checkpoint : path, optional
            A file that is written now and then, at the end, and on Ctrl-C or another signal that raises. It holds all
            that training needs to go on: parameters, moments, the generator, the order of the samples, best weights
            and history; a digest of the data and the settings. Callbacks keep their own state.
        checkpoint_every : int or str
            Epochs between two files, or a time such as "30s", "10min" or "2h". One is written at a time, beside the
            training: a file that is due while the last one is being written waits for the next time.
        resume : bool
            Go on from the file at `checkpoint`, or begin if there is none. The end is the same, bit for bit, as that
            of a run that never stopped, on the same machine and backend. `epochs` counts those already done, and may
            be more than before. Without, a file that is already there is an error.
        comm : mpi4py.MPI.Intracomm, optional
            Train on all ranks of this communicator together, each with its part of every batch. All call `fit` with
            the same samples and settings, and end with the same parameters. Random numbers, checkpoints, callbacks and
            progress are those of the first rank. See docs/ranks.md.
        reproducible : bool
            The same parameters, bit for bit, on any number of ranks up to 16, one included, on the same kind of
            machine. Each batch is taken in 16 parts, which costs time if it is small.

        Returns
        -------
        History
            Its loss column is the mean, over the epoch, of the loss of each batch when it was met, penalties included.
            For Samples, waited are the seconds of each epoch in which training waited for them to be read.

        Raises
        ------
        InputError
            Something given cannot be used, or the checkpoint is of another run. The model is unchanged, unless it is
            a block of Samples in which something is wrong: then it has the weights trained so far.
        ModelFileError
            The checkpoint is damaged. The model is unchanged.
        DivergenceError
            The loss is no longer finite. The model has the last finite weights, `history` the epochs before.
        RankError
            Another rank has failed.
        """
        check_trainable(self.activations)
        streamed = isinstance(x, Samples)
        loss = self.loss or loss_for_targets(x.source.y_like if streamed else y, self.sizes[-1])
        data = None
        if streamed:
            whole = {"gradient_norms": gradient_norms, "metrics": metrics if validation_data is None else None}
            x.check_fit(self.sizes[0], y, sample_weight, class_weight, whole | {"shuffle": shuffle == "blocks"})
        else:
            data = self._data(loss, x, y, sample_weight, class_weight)
        n, epochs = len(x) if data is None else data.n_samples, check_integer("epochs", epochs)
        rows = check_batch_size(batch_size, n)
        rule, schedule = get_optimizer(optimizer, lr), get_schedule(schedule)
        max_norm = np.inf if max_norm is None else check_real("max_norm", max_norm)
        if max_norm == 0:
            raise InputError("max_norm=0 must be positive: it would stop all learning.")
        in_blocks = isinstance(shuffle, str) and shuffle == "blocks"
        shuffle = in_blocks or check_flag("shuffle", shuffle)
        gradient_norms = check_flag("gradient_norms", gradient_norms)
        progress = None if progress is None else check_flag("progress", progress)
        held_out = None
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                raise InputError("validation_data must be (x, y) or (x, y, sample_weight).")
            x_val, y_val, weights_val = (*validation_data, None)[:3]
            held_out = self._data(loss, x_val, y_val, weights_val, name="validation ")
        stopping = make_stopping(target_loss, tol, patience, restore_best, validates=held_out is not None)
        names = check_metrics(metrics, loss)
        check_functions("callbacks", callbacks)
        lanes = (x.lanes if shuffle else 1) if streamed else None
        all_reduce = reduction_of(comm, check_flag("reproducible", reproducible), lanes)
        leads = comm is None or comm.rank == 0
        saver = open_checkpoint(checkpoint, checkpoint_every, resume, leads)
        if saver is not None:
            saver.settings |= {"metrics": [] if metrics is None else names, "gradient_norms": gradient_norms}
        engine = replace(self._engine(), loss=loss, all_reduce=all_reduce)
        history, random, feed = History(), self._random if shuffle and rows < n else None, None
        if streamed:
            convert = partial(self._outcomes, loss, class_weight)
            feed = Feed(x, rows, engine, convert, self._random if shuffle else None, epochs)
        training = Training(
            engine=engine,
            session=engine.session(rows, rule, [1 - p for p in self.dropout] + [1.0], max_norm),
            data=data,
            samples=np.arange(n) if feed is None else feed.taken,
            rule=rule,
            schedule=schedule,
            epochs=epochs,
            batch_size=rows,
            shuffle=random,
            shuffle_is_private=self._random_is_private,
            block=block_of(self.sizes[0] * data.x.itemsize) if in_blocks and data is not None else 0,
            dropout=self._random if any(self.dropout) else None,
            stopping=stopping,
            measure=epoch_measure(engine, data, held_out, names, metrics is not None, gradient_norms),
            callbacks=callbacks,
            model=self,
            history=history,
            progress=progress_bar(progress if leads else False, epochs),
            checkpoint=saver,
            held_out=held_out,
            feed=feed,
        )
        self.loss, self.history = loss, history
        return training.run()

    def predict_raw(self, x: Any) -> np.ndarray:
        """Values of the last layer (N, O), before the loss's link."""
        return self._outputs(self._engine(), x)

    def _outputs(self, engine: Engine, x: Any, depth: int | None = None) -> np.ndarray:
        """Outputs (N, O) of layer `depth`, counted from 1; by default the last."""
        samples = Data.of(check_features(x, self.sizes[0], self.dtype, finite=False), self.dtype)
        out, finite = engine.raw_and_check(samples, depth)
        if not finite:
            check_features(x, self.sizes[0], self.dtype)  # which says where it is not
        return out

    def predictor(self, rows: int = 1, *, batch_invariant: bool = False) -> Predictor:
        """A function of up to `rows` samples (n, I) that predicts with less ado, for services: see `Predictor`.

        With batch_invariant a row's digits are the same whatever rows go with it.
        """
        return Predictor(self._engine(), self.loss, check_integer("rows", rows), batch_invariant)

    def _predictor_of_few(self, x: Any) -> Predictor | None:
        """A predictor for so many rows as x (n, I) has, kept for the next call; None if they are not few."""
        if type(x) is not np.ndarray or x.ndim != 2 or not 0 < len(x) <= FEW:
            return None
        key = len(x), self.loss, self.n_threads, *self.activations
        known, predictor = self._sessions.get("predictor", (None, None))
        if known != key:
            predictor = Predictor(self._engine(), self.loss, len(x))
            self._sessions["predictor"] = key, predictor
        return predictor

    def predict_proba(self, x: Any) -> np.ndarray:
        """What the network predicts, (N, O): probabilities of the classes, rates, or values."""
        predictor = self._predictor_of_few(x)
        if predictor is not None:
            return predictor.proba(x)
        engine, link = self._engine().with_link(self.loss)
        out = self._outputs(engine, x)
        return out if link is None else apply_link(link, out)

    def predict(self, x: Any) -> np.ndarray:
        """Class indices (N,), labels 0 or 1 ((N,) or (N, O)) of a sigmoid, or values ((N,) if there is one output)."""
        predictor = self._predictor_of_few(x)
        if predictor is not None:
            return predictor(x)
        out = predictions(self.loss, self.predict_proba(x))
        return out[:, 0] if out.ndim == 2 and out.shape[1] == 1 else out

    def hidden_activations(self, x: Any, layer: int = -1) -> np.ndarray:
        """Outputs (N, H) of a hidden layer; layers count from 0, or from the end."""
        return self._outputs(self._engine(), x, self._layout.hidden_depth(layer))

    def evaluate(self, x: Any, y: Any, sample_weight: Any = None, metrics: Sequence[str] | None = None) -> dict:
        """Loss (without penalties) and metrics on given data: ``{"loss": …, "accuracy": …}``."""
        loss = self._known_loss()
        names = check_metrics(metrics, loss)
        return self._engine().measure(self._data(loss, x, y, sample_weight), names)

    @enough_memory()
    def gradients(self, x: Any, y: Any, sample_weight: Any = None, *, per_sample: bool = False) -> Gradients:
        """Loss and gradients at the present parameters, by backpropagation, penalties included, without dropout.

        With per_sample each sample is taken as a batch of its own, and every entry has N as its first axis.
        """
        check_trainable(self.activations)
        engine, data = self._engine(), self._data(self._known_loss(), x, y, sample_weight)
        if not per_sample:
            return engine.gradients(data)
        each = np.empty((data.n_samples, self._layout.n_params), self.dtype)
        losses = np.empty(len(each))
        for i in range(len(each)):
            losses[i], each[i] = engine.flat_gradient(data, np.array([i]))
        return Gradients(losses, self._layout.weights(each), self._layout.biases(each))

    def numerical_gradient(self, x: Any, y: Any, sample_weight: Any = None) -> Gradients:
        """The same as `gradients` by central differences of the loss in float64: slow, for checking."""
        at = self._params.astype(np.float64)
        double = replace(self._engine(), params=at.copy(), backend=get_backend("numpy"), sessions={})
        shape = self.sizes[0], self.sizes[-1]
        data = check_data(x, y, sample_weight, None, self._known_loss(), shape, at.dtype)

        def value(params: np.ndarray) -> float:
            double.params[...] = params
            return float(double.flat_gradient(data, np.arange(data.n_samples))[0])

        flat = numerical_gradient(value, at)
        return Gradients(value(at), self._layout.weights(flat), self._layout.biases(flat))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a safetensors file, whole or not at all."""
        write_network(self, path)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an ONNX file, whole or not at all; the package onnx is needed (``fastmlp[onnx]``).

        Parameters
        ----------
        path : path
            A file that exists is replaced.

        Raises
        ------
        InputError
            Weights that are not finite, or a custom activation that cannot be translated.
        FastmlpError
            The package onnx cannot be imported.

        Notes
        -----
        The input ``x`` (N, I) has the network's dtype. The outputs are ``label``, what `predict` gives, int64 (N,) or
        (N, O), and ``probabilities`` (N, O) where the loss is one of classes, else ``prediction`` (N, O).
        """
        with no_fork():
            from fastmlp.exporting.layers import Layers
            from fastmlp.exporting.onnx_network import write_layers
        write_layers(Layers.of(self), path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: BackendName | None = None,
        precision: Precision = "float32",
        n_threads: int | None = None,
        custom: Sequence[Activation | Loss] = (),
    ) -> MLP:
        """Read a model that `save` wrote. ModelFileError if the file is anything else; nothing in it is executed.

        custom : activations and a loss of one's own that the model was made with, which a file has by name only.
        """
        name = get_backend(backend, precision).name  # a missing backend is not the file's fault
        return read_network(cls, path, custom, backend=name, precision=precision, n_threads=n_threads)

    @classmethod
    def from_onnx(
        cls, path: str | os.PathLike[str], *, loss: str | Loss | None = None, backend: BackendName | None = None
    ) -> MLP:
        """Read a multilayer perceptron from an ONNX file of any program; the package onnx is needed.

        Parameters
        ----------
        path : path
            The file: a graph of one input, MatMul and Add, or Gemm, and activations of fastmlp, composed of any
            operators.
        loss : str or Loss, optional
            To go on training with; by default the one that the last activation stands for.
        backend : optional
            As for the constructor.

        Raises
        ------
        InputError
            The graph is another one.
        ModelFileError
            The file is no ONNX file.
        """
        with no_fork():
            from fastmlp.exporting.onnx_reading import read_onnx
        return read_onnx(path).model(cls, loss, backend=backend)

    @classmethod
    def from_torch(cls, module: Any, *, loss: str | Loss | None = None, backend: BackendName | None = None) -> MLP:
        """A copy of a torch.nn.Sequential of Linear, activations and Dropout.

        Parameters
        ----------
        module : torch.nn.Sequential
            A Flatten may come first. A network that ends in Linear gives raw values: name its loss.
        loss : str or Loss, optional
            To go on training with, and for what `predict` gives; by default the one that the last activation stands
            for.
        backend : optional
            As for the constructor.

        Raises
        ------
        InputError
            It has other modules.
        """
        with no_fork():
            from fastmlp.exporting.torch_modules import read_module
        return read_module(module).model(cls, loss, backend=backend)

    def to_torch(self) -> Any:
        """A torch.nn.Sequential, in evaluation mode, that computes what `predict_raw` does: no softmax of the loss.

        Raises
        ------
        InputError
            PyTorch has no module for an activation.
        FastmlpError
            PyTorch cannot be imported.
        """
        with no_fork():
            from fastmlp.exporting.torch_modules import to_module
        return to_module(self)

    # What the methods above share

    def _known_loss(self) -> Loss:
        if self.loss is None:
            raise InputError("The model has no loss yet. Give one, MLP(…, loss='mean_squared_error'), or fit first.")
        return self.loss

    def _engine(self) -> Engine:
        return Engine(
            layout=self._layout,
            activations=self.activations,
            loss=self.loss,
            mean=self.reduction == "mean",
            l1=self.l1,
            l2=self.l2,
            params=self._params,
            backend=self._backend,
            n_threads=self.n_threads,
            sessions=self._sessions,
        )

    def _outcomes(
        self, loss: Loss, class_weight: Any, y: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels (n,), targets (n, O) and weights (n,) of some samples of a stream."""
        return check_outcomes(y, weights, class_weight, loss, (len(y), self.sizes[-1]), self.dtype, some=True)

    def _data(
        self, loss: Loss, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, name: str = ""
    ) -> Data:
        shape = self.sizes[0], self.sizes[-1]
        return check_data(x, y, sample_weight, class_weight, loss, shape, self.dtype, name)
