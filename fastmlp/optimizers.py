"""Optimizers: what a user chooses, their formulas, the numbers that a step needs from them, and their state.

A rule is the formula of one class, in terms of numbers: see docs/adding.md. It works on the whole flat parameter buffer
at once, in `ops.apply_rule`. What changes from step to step (learning rate, bias corrections) is a small table that the
host makes for a whole epoch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

import fastmlp.step as step
from fastmlp.checks import check_flag, check_real
from fastmlp.errors import InputError
from fastmlp.forks import no_fork
from fastmlp.formulas.rule import Rule
from fastmlp.kernels import codes
from fastmlp.network import Update, aligned_zeros, build_update

__all__ = [
    "BY_CODE",
    "SGD",
    "Adam",
    "AdamW",
    "CustomOptimizer",
    "Optimizer",
    "RMSprop",
    "State",
    "code_of",
    "custom_optimizer",
    "get_optimizer",
]


@dataclass
class State:
    """Where an optimizer is: updates done, and its moments (inside the `Update` that the step reads)."""

    update: Update
    step: int = 0


class _Parameters(NamedTuple):
    """As much of a network as an update touches."""

    params: np.ndarray  # (P,)
    n_weights: int


@dataclass(frozen=True)
class Optimizer:
    """Base of the update rules. `lr` is the learning rate, which a schedule may change.

    A subclass has a `formula`, a function of numbers that gives a parameter w and the rule's moments after an update:
    of w, its gradient g, the moments, and by name any of the optimizer's fields and rates.
    """

    lr: float
    formula: ClassVar[Callable[..., Any]]
    rate_names: ClassVar[tuple[str, ...]] = "lr", "t"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in ("nesterov", "epsilon_hat"):
                object.__setattr__(self, name, check_flag(name, value))
                continue
            fraction = name in ("beta1", "beta2", "momentum", "rho")
            # a Python float: numpy.float64 is a strong type and would turn a float32 update into float64
            high, half_open = 1 if fraction else np.inf, fraction and name != "momentum"
            number = check_real(f"{type(self).__name__} {name}", value, 0, high, open_end=half_open)
            if name in ("lr", "epsilon") and number == 0:
                raise InputError(f"{type(self).__name__} {name}={value!r} must be positive.")
            object.__setattr__(self, name, number)

    @property
    def rule(self) -> Rule:
        """The formula in use."""
        kind: Any = type(self)
        return _rule_of(kind, type(self).formula)

    def constants(self) -> dict[str, float]:
        """The values of the constants of the rule."""
        return {name: float(getattr(self, name)) for name in self.rule.constants}

    def rates(self, first_step: int, lr: np.ndarray) -> np.ndarray:
        """Table (steps, 3) of `rate_names` for the updates from number `first_step` (0-based) on.

        By default the learning rate and t, the number of the update from 1 on.
        """
        table = np.zeros((len(lr), 3))
        table[:, 0], table[:, 1] = lr, np.arange(first_step + 1, first_step + 1 + len(lr))
        return table

    def init(
        self, params: np.ndarray, zeros: Callable = aligned_zeros, direct: bool = False, **objective: Any
    ) -> State:
        """Fresh state for a flat buffer params (P,); `objective` may hold mean, l1, l2 and max_norm.

        direct asks for gradients that are accumulated in the parameters themselves; only plain SGD can grant it.
        """
        code, constants = codes.DIRECT if direct else code_of(self.rule), list(self.constants().values())
        objective["decay"] = getattr(self, "decay", 0.0)
        return State(build_update(params, code, len(self.rule.moments), constants, zeros=zeros, **objective))

    def update(self, state: State, params: np.ndarray, gradient: np.ndarray, n_weights: int | None = None) -> None:
        """One update of params (P,) in place along gradient (P,), for a training loop of one's own on the host.

        n_weights is the length of the prefix that penalties and weight decay apply to; None: all of it.
        """
        with no_fork():  # they import this module
            from fastmlp.backends.numpy_ops import NumpyOps
            from fastmlp.formulas.by_code import Formulas

        state.update.into[...] = gradient
        rates = self.rates(state.step, np.array([self.lr]))
        parameters = _Parameters(params, params.size if n_weights is None else n_weights)
        step.apply_update(NumpyOps(Formulas.of([], rule=self.rule)), parameters, state.update, rates[0])
        state.step += 1


@lru_cache
def _rule_of(optimizer: Any, formula: Callable[..., Any]) -> Rule:
    constants = tuple(field.name for field in fields(optimizer) if field.name != "lr")
    return Rule.of(optimizer.__name__, formula, optimizer.rate_names, constants)


@dataclass(frozen=True)
class SGD(Optimizer):
    """v = momentum v - lr g; w += v, with nesterov w += momentum v - lr g. Without momentum w -= lr g.

    Source: Sutskever et al., ICML 2013, in the form of scikit-learn.
    """

    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    @staticmethod
    def formula(w, g, lr):
        return w - lr * g

    @staticmethod
    def _with_momentum(w, g, v, lr, momentum):
        v = momentum * v - lr * g
        return w + v, v

    @staticmethod
    def _with_nesterov(w, g, v, lr, momentum):
        v = momentum * v - lr * g
        return w + (momentum * v - lr * g), v

    @property
    def rule(self) -> Rule:
        way = self._with_nesterov if self.nesterov else self._with_momentum
        return _rule_of(SGD, way if self.momentum else self.formula)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v = ρ v + (1-ρ) g²; w -= lr g / (sqrt(v) + ε). Source: Tieleman & Hinton, Coursera lecture 6.5, 2012."""

    lr: float = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8

    @staticmethod
    def formula(w, g, v, lr, rho, epsilon):
        v = rho * v + (1 - rho) * (g * g)
        return w - lr * g / (np.sqrt(v) + epsilon), v


@dataclass(frozen=True)
class Adam(Optimizer):
    """m = β1 m + (1-β1) g; v = β2 v + (1-β2) g²; w -= lr m̂ / (sqrt(v̂) + ε), m̂ = m/(1-β1ᵗ), v̂ = v/(1-β2ᵗ).

    Algorithm 1 of Kingma & Ba, ICLR 2015 (as in PyTorch). Multiplying numerator and denominator by sqrt(1-β2ᵗ) leaves
    one step size lr sqrt(1-β2ᵗ)/(1-β1ᵗ) and one epsilon ε sqrt(1-β2ᵗ) for the whole buffer. With epsilon_hat that
    epsilon is ε itself, the "ε̂" of the paper's end of section 2 (as in scikit-learn and TensorFlow).
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False
    rate_names: ClassVar[tuple[str, ...]] = "lr", "step_size", "step_epsilon"

    @staticmethod
    def formula(w, g, m, v, step_size, step_epsilon, beta1, beta2):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g * g)
        return w - step_size * m / (np.sqrt(v) + step_epsilon), m, v

    @property
    def rule(self) -> Rule:
        return _rule_of(Adam, self.formula)

    def rates(self, first_step: int, lr: np.ndarray) -> np.ndarray:
        table = np.empty((len(lr), 3))
        root = np.sqrt(1 - _powers(self.beta2, first_step + 1, len(lr)))
        table[:, 0], table[:, 1] = lr, lr * root / (1 - _powers(self.beta1, first_step + 1, len(lr)))
        table[:, 2] = self.epsilon if self.epsilon_hat else self.epsilon * root
        return table


def _powers(beta: float, first: int, n: int) -> np.ndarray:
    """beta^t (n,) for t = first, first + 1, …, to the last digit those of Python's floats, as in scikit-learn.

    NumPy's differ in that digit for one t in twenty, and Adam makes much of a last digit where gradients vanish.
    """
    whole = range(first // _TOGETHER, (first + n) // _TOGETHER + 1)
    start = first % _TOGETHER
    return np.concatenate([_some_powers(beta, k) for k in whole])[start : start + n]


_TOGETHER = 1024


@lru_cache(maxsize=256)
def _some_powers(beta: float, k: int) -> np.ndarray:
    begin = k * _TOGETHER
    if beta**begin < 1e-17:  # 1 - beta^t is 1
        return np.zeros(_TOGETHER)
    return np.array([beta**t for t in range(begin, begin + _TOGETHER)])


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam after w -= lr decay w on the weights, not the biases: decoupled decay (Loshchilov & Hutter, ICLR 2019)."""

    decay: float = 0.01


BY_CODE: tuple[Rule | None, ...] = (
    None,  # codes.DIRECT
    *(optimizer.rule for optimizer in (SGD(), SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True), RMSprop(), Adam())),
)
"""The rules by the codes that stand for them in an `Update`."""


def code_of(rule: Rule) -> int:
    """The code of a rule; that after all others, if it is a custom one."""
    return BY_CODE.index(rule) if rule in BY_CODE else len(BY_CODE)


@dataclass(frozen=True)
class CustomOptimizer(Optimizer):
    """See `custom_optimizer`."""

    own: Rule = field(kw_only=True)
    values: tuple[float, ...] = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_real("custom_optimizer lr", self.lr, 0, np.inf))

    @property
    def rule(self) -> Rule:
        return self.own

    def constants(self) -> dict[str, float]:
        return dict(zip(self.own.constants, self.values, strict=True))


def custom_optimizer(
    formula: Callable[..., Any], lr: float, name: str = "custom", **constants: float
) -> CustomOptimizer:
    """An update rule of one's own.

    Parameters
    ----------
    formula : function of numbers
        Takes, by these names, a parameter ``w``, its gradient ``g``, and any of ``lr``, ``t`` (the number of the
        update, from 1 on) and the constants. Its other parameters are moments: arrays of zeros at first, as many as
        there are parameters. It returns w after the update; with moments a tuple of w and the moments in their order.
        NumPy calls it with arrays; for Numba and CUDA it is called once with symbols and translated. So write it with
        operators, NumPy functions and the constants.
    lr : float
        The learning rate, which a schedule may change.
    name : str
        Of the rule, in messages and checkpoints.
    **constants : float
        Those that the formula asks for.

    Examples
    --------
    Lion (Chen et al., NeurIPS 2023)::

        def lion(w, g, m, lr, beta1, beta2):
            return w - lr * np.sign(beta1 * m + (1 - beta1) * g), beta2 * m + (1 - beta2) * g

        optimizer = custom_optimizer(lion, lr=1e-4, beta1=0.9, beta2=0.99)

    Raises
    ------
    InputError : something that is no function of w and g, or a constant that it does not take.
    """
    try:
        parameters = tuple(inspect.signature(formula).parameters)
    except (TypeError, ValueError):
        parameters = ()
    if not {"w", "g"} <= set(parameters):
        raise InputError(
            f"custom_optimizer formula={formula!r} must be a function of w, g, moments, lr, t and constants."
        )
    for constant in constants.keys() - set(parameters):
        raise InputError(f"custom_optimizer {constant}={constants[constant]!r} is no parameter of the formula.")
    values = {key: check_real(f"custom_optimizer {key}", value, -np.inf, np.inf) for key, value in constants.items()}
    rule = Rule.of(name, formula, Optimizer.rate_names, tuple(constants))
    return CustomOptimizer(lr, own=rule, values=tuple(values[key] for key in rule.constants))


_BY_NAME: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}


def get_optimizer(optimizer: str | Optimizer, lr: float | None = None) -> Optimizer:
    """An optimizer from its name ("sgd", "rmsprop", "adam", "adamw") with the learning rate lr, or the one given."""
    if isinstance(optimizer, Optimizer):
        if lr is not None:
            raise InputError("lr is given beside an optimizer that has its own. Give it to the optimizer only.")
        return optimizer
    if not isinstance(optimizer, str) or optimizer not in _BY_NAME:
        raise InputError(
            f"optimizer={optimizer!r} is unknown. Choose one of: {', '.join(_BY_NAME)}; or an instance such as "
            "SGD(lr=0.1, momentum=0.9)."
        )
    kind: Callable[..., Optimizer] = _BY_NAME[optimizer]
    return kind() if lr is None else kind(lr=lr)
