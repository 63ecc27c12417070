"""Every form of constructor that a subclass of scikit-learn's estimators may have."""

from dataclasses import dataclass

from drop_in.sides import SMALL

FORMS = {}  # by name: a function that defines the subclass of a base, and the arguments of its constructor


def form(**given):
    def note(define):
        FORMS[define.__name__] = define, given
        return define

    return note


def importable(module, define, base):
    """The subclass as if it had been defined at the top of a module, so that it can be pickled."""
    defined = define(base)
    defined.__module__, defined.__qualname__ = module.__name__, defined.__name__
    setattr(module, defined.__name__, defined)
    return defined


def is_regressor(base):
    return "Regressor" in base.__name__


@form()
def nothing_new(base):
    class Model(base):
        """A subclass with the base's constructor."""

        def __init__(self, random_state=0):
            super().__init__()
            self.hidden_layer_sizes, self.max_iter, self.random_state = (6,), 3, random_state

    return Model


@form(**SMALL)
def keywords(base):
    class Model(base):
        def __init__(self, **given):
            super().__init__(**given)

    return Model


@form(scale=2.0, **SMALL)
def one_parameter_and_keywords(base):
    class Model(base):
        def __init__(self, scale=1.0, **given):
            super().__init__(**given)
            self.scale = scale

        def fit(self, X, y):
            return super().fit(self.scale * X, y)

    return Model


@form(random_state=0, offset=0.5)
def one_parameter_more(base):
    class Model(base):
        def __init__(self, hidden_layer_sizes=(6,), activation="tanh", *, max_iter=3, random_state=None, offset=0.0):
            self.offset = offset
            super().__init__(
                hidden_layer_sizes=hidden_layer_sizes,
                activation=activation,
                max_iter=max_iter,
                random_state=random_state,
            )

        def fit(self, X, y, sample_weight=None):
            return super().fit(X + self.offset, y, sample_weight=sample_weight)

    return Model


@form(random_state=0)
def fewer_parameters(base):
    class Model(base):
        def __init__(self, random_state=None):
            super().__init__(hidden_layer_sizes=(6,), solver="sgd", max_iter=3, random_state=random_state)

    return Model


@form()
def no_parameters(base):
    class Model(base):
        def __init__(self):
            super(Model, self).__init__(hidden_layer_sizes=(6,), max_iter=3, random_state=1)  # noqa: UP008
            self.framework, self.errors = "scikit-learn", []

    return Model


@form(layers=(6,), rate=0.01, seed=0)
def renamed(base):
    class Model(base):
        def __init__(self, layers=(10,), rate=0.1, seed=None):
            super().__init__(hidden_layer_sizes=layers, learning_rate_init=rate, random_state=seed, max_iter=3)
            self.layers, self.rate, self.seed = layers, rate, seed

    return Model


@form(width_1=6, width_2=4, random_state=0)
def two_parameters_for_one(base):
    class Model(base):
        def __init__(self, width_1=5, width_2=5, activation="relu", *, max_iter=3, random_state=None):
            super().__init__(
                hidden_layer_sizes=[width_1, width_2],
                activation=activation,
                max_iter=max_iter,
                random_state=random_state,
            )
            self.width_1, self.width_2 = width_1, width_2

    return Model


@form()
def positional(base):
    first = ("squared_error", (6, 5), "logistic") if is_regressor(base) else ((6, 5), "logistic")

    class Model(base):
        def __init__(self, random_state=0):
            base.__init__(self, *first, max_iter=3, random_state=random_state)

    return Model


# In the order of the constructor that scikit-learn's two classes inherit, which takes all of them.
ALL = {
    "hidden_layer_sizes": (6, 5),
    "activation": "tanh",
    "solver": "sgd",
    "alpha": 0.01,
    "batch_size": 50,
    "learning_rate": "invscaling",
    "learning_rate_init": 0.05,
    "power_t": 0.3,
    "max_iter": 3,
    "loss": None,
    "shuffle": True,
    "random_state": 0,
    "tol": 1e-3,
    "verbose": False,
    "warm_start": False,
    "momentum": 0.8,
    "nesterovs_momentum": False,
    "early_stopping": False,
    "validation_fraction": 0.2,
    "beta_1": 0.8,
    "beta_2": 0.99,
    "epsilon": 1e-7,
    "n_iter_no_change": 5,
    "max_fun": 100,
}


def all_of(base):
    return ALL | {"loss": "squared_error" if is_regressor(base) else "log_loss"}


@form(momentum=0.7)
def constructor_of_the_base(base):
    class Model(base):
        def __init__(self, momentum=0.9):
            super(base, self).__init__(**all_of(base) | {"momentum": momentum})

    return Model


@form(momentum=0.7)
def constructor_of_the_base_by_position(base):
    class Model(base):
        def __init__(self, momentum=0.9):
            super(base, self).__init__(*(all_of(base) | {"momentum": momentum}).values())

    return Model


@form(random_state=0)
def no_call_of_super(base):
    class Model(base):
        def __init__(self, random_state=None):
            for name, value in all_of(base).items():
                setattr(self, name, value)
            self.random_state = random_state

    return Model


@form(width=6, depth=2, random_state=0)
def property_with_a_setter(base):
    class Model(base):
        def __init__(self, width=5, depth=1, max_iter=3, random_state=None):
            self.width, self.depth = width, depth
            super().__init__(max_iter=max_iter, random_state=random_state)

        @property
        def hidden_layer_sizes(self):
            return (self.width,) * self.depth

        @hidden_layer_sizes.setter
        def hidden_layer_sizes(self, ignored):
            pass

    return Model


@form(width=6, random_state=0)
def property_without_a_setter(base):
    class Model(base):
        def __init__(self, width=5, random_state=None):
            self.width, self.random_state = width, random_state
            for name, value in all_of(base).items():
                if name not in ("hidden_layer_sizes", "random_state"):
                    setattr(self, name, value)

        @property
        def hidden_layer_sizes(self):
            return [self.width]

    return Model


@form(decay=0.01, random_state=0)
def subclass_of_a_subclass(base):
    class Parent(base):
        def __init__(self, hidden_layer_sizes=(6,), *, max_iter=3, random_state=None, **others):
            super().__init__(
                hidden_layer_sizes=hidden_layer_sizes, max_iter=max_iter, random_state=random_state, **others
            )

        def fit(self, X, y):
            self.scale_ = abs(X).max()
            return super().fit(X / self.scale_, y)

    class Model(Parent):
        def __init__(self, decay=0.0, random_state=None):
            super().__init__(alpha=decay, random_state=random_state)
            self.decay = decay

    return Model


@form(name="first", max_iter=3, random_state=0)
def mixin_with_a_constructor(base):
    class Named:
        def __init__(self, *, name="", **others):
            super().__init__(**others)
            self.name = name

        def fit(self, X, y, **others):
            self.fits_ = getattr(self, "fits_", 0) + 1
            return super().fit(X, y, **others)

    class Model(Named, base):
        def __init__(self, name="", max_iter=5, random_state=None):
            super().__init__(name=name, hidden_layer_sizes=(6,), max_iter=max_iter, random_state=random_state)

    return Model


@form(layers=(6,), seed=0)
def dataclass_with_equality(base):
    @dataclass
    class Model(base):
        layers: tuple = (5,)
        seed: int | None = None

        def __post_init__(self):
            super().__init__(hidden_layer_sizes=self.layers, max_iter=3, random_state=self.seed)

    return Model


@form(**SMALL)
def equality_without_hash(base):
    class Model(base):
        def __init__(self, hidden_layer_sizes=(5,), max_iter=3, batch_size=50, learning_rate_init=0.1, random_state=0):
            super().__init__(
                hidden_layer_sizes=hidden_layer_sizes,
                max_iter=max_iter,
                batch_size=batch_size,
                learning_rate_init=learning_rate_init,
                random_state=random_state,
            )

        def __eq__(self, other):
            return self.get_params() == other.get_params()

    return Model
