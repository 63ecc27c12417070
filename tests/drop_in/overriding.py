"""Ways to override a private method: in a subclass, on an instance, and on the class itself."""

from types import MethodType

import pytest

WAYS = ("subclass", "instance", "class")
in_every_way = pytest.mark.parametrize("way", WAYS)


def overridden(way, kind, name, around, patch=None):
    """A constructor of estimators of class `kind` whose method `name` is `around(original)`.

    patch : pytest.MonkeyPatch, needed for the class itself
    """
    method = around(getattr(kind, name))
    if way == "subclass":
        return type("Model", (kind,), {name: method})
    if way == "class":
        patch.setattr(kind, name, method)
        return kind

    def construct(**parameters):
        model = kind(**parameters)
        setattr(model, name, MethodType(method, model))
        return model

    return construct
