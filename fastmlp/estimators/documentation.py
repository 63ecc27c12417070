"""What the docstrings of both estimators say alike, written once."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["documented"]

T = TypeVar("T", bound=type)

_ARCHITECTURE = """
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Width of each hidden layer.
    activation : str, Activation or list of these, default='relu'
        Of the hidden layers: 'identity', 'logistic', 'tanh', 'relu', or another of `fastmlp.activations`; a list has
        one for each hidden layer.
"""

_PARAMETERS = """
    solver : {'lbfgs', 'sgd', 'adam', 'adamw', 'rmsprop'} or Optimizer, default='adam'
        'lbfgs' is SciPy's L-BFGS-B on all samples at once, in float64. An `Optimizer` of `fastmlp.optimizers` brings
        its own learning rate.
    alpha : float, default=0.0001
        L2 penalty: ½ alpha Σ w² / Σ s is added to the loss of a batch, s its sample weights. Biases are exempt.
    batch_size : int, default='auto'
        Samples per update; 'auto' is min(200, N).
    learning_rate : {'constant', 'invscaling', 'adaptive'}, another name or Schedule, default='constant'
        'invscaling' is learning_rate_init / (t + 1)**power_t with t the samples seen, 'adaptive' divides by 5 instead
        of stopping; both are for 'sgd'. The schedules of `fastmlp.schedules` are for every solver but 'lbfgs'.
    learning_rate_init : float, default=0.001
        Learning rate at the beginning.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Epochs at most; iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether the samples are put in a new order before each epoch.
    random_state : int, RandomState instance or None, default=None
        For initial weights, the early-stopping split and batches: the same draws as scikit-learn's.
    tol : float, default=1e-4
        An epoch whose loss is not below the best by tol (or whose score is not above) is one without improvement.
        Where the gradient counts as zero, for 'lbfgs'.
    verbose : bool, default=False
        Print every epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights there are.
    momentum : float, default=0.9
        Of 'sgd'.
    nesterovs_momentum : bool, default=True
        Whether that is Nesterov's.
    early_stopping : bool, default=False
        Stop by the score on validation data, and end with the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the samples held out for that, unless `fit` is given X_val.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the moments of 'adam' and 'adamw'.
    epsilon : float, default=1e-8
        Added to the root of the second moment, of 'adam', 'adamw' and 'rmsprop'.
    n_iter_no_change : int, default=10
        Training stops after more than this many epochs in a row without improvement.
    max_fun : int, default=15000
        Evaluations of the loss at most, for 'lbfgs'.
    backend : {'numpy', 'numba', 'cuda', 'auto'}, default=None
        Where the step runs; None is the environment variable FASTMLP_BACKEND, else 'auto'.
    dtype : {'auto', 'float32', 'float64'}, default='auto'
        Of weights and training; 'auto' is that of X, if float32, else float64. Predictions are made in the wider of
        the weights' and X's.
    precision : {'float32', 'tf32', 'bf16'}, default='float32'
        Of the factors of matrix products while the arithmetic is float32; 'bf16' is for the backends 'numba' and
        'cuda', 'tf32' for 'cuda'.
    n_threads : int, default=None
        Threads of the backend; None is as many as the work deserves and the machine has.
"""

_REGULARISATION = """
    dropout : float or list of float, default=0.0
        Probability that a hidden output is dropped in training; a list has one for each hidden layer.
    l1 : float, default=0.0
        L1 penalty: ``l1 Σ |w| / Σ s`` is added to the loss.
    max_norm : float, default=None
        Gradients longer than this are scaled down to it.
    early_stopping_metric : str or callable, default='score'
        What early stopping looks at: 'score' (accuracy or R²), 'loss', a name of scikit-learn's scorers or a scorer.
    coefs_init, intercepts_init : list of arrays, default=None
        Initial weights (I, O) and biases (O,) in place of random ones.
    callbacks : list of functions, default=None
        Called with a `fastmlp.trainer.Epoch` after each epoch; training stops if one returns True. Callbacks of
        scikit-learn's protocol are given with `set_callbacks`.
"""

_ATTRIBUTES = """
    coefs_, intercepts_ : lists of arrays (I, O) and (O,)
        Weights and biases, one per layer.
    n_iter_ : int
        Epochs, or iterations of 'lbfgs', of the last call.
    loss_ : float
        Loss of the last epoch, penalties included.
    n_layers_, n_outputs_ : int
        Layers, input and output included; outputs.
    out_activation_ : str
        Activation of the output.
    t_ : int
        Samples seen.
    n_features_in_ : int
        Inputs.
    feature_names_in_ : array (I,)
        Their names, if X had any.
    loss_curve_ : list of float
        Loss of every epoch. Like what follows, of the solvers other than 'lbfgs'.
    best_loss_ : float or None
        Least of them; None with early stopping.
    validation_scores_, validation_loss_curve_ : lists of float or None
        Score and loss, without penalties, on the validation data after each epoch.
    best_validation_score_ : float or None
        Best of the scores.
    best_epoch_ : int
        1-based epoch of the best score.
"""


def documented(cls: T) -> T:
    """Fill in the class docstring what is the same for both estimators."""
    text = cls.__doc__ or ""
    for name, part in (
        ("architecture", _ARCHITECTURE),
        ("parameters", _PARAMETERS),
        ("regularisation", _REGULARISATION),
        ("attributes", _ATTRIBUTES),
    ):
        text = text.replace(f"    {{{name}}}\n", part.removeprefix("\n"))
    cls.__doc__ = text
    return cls
