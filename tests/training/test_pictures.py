"""Pictures of networks, and what notebooks show of them."""

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from fastmlp import MLP, MLPClassifier
from fastmlp.errors import FastmlpError, InputError
from fastmlp.history import History
from fastmlp.pictures import decision_surface

X = np.random.RandomState(0).uniform(-1, 1, (60, 2))
Y = (X[:, 0] > X[:, 1]).astype(int)


def images(figure):
    return [ax.images[0].get_array() for ax in figure.axes if ax.images and ax.axison is False]


def test_weights_as_images(tmp_path):
    pytest.importorskip("matplotlib")
    model = MLP([12, 7, 3], seed=0)
    figure = model.plot_weights((3, 4), units=5, path=tmp_path / "weights.png")
    drawn = images(figure)
    assert len(drawn) == 5
    for k, image in enumerate(drawn):
        np.testing.assert_array_equal(image, model.weights[0][:, k].reshape(3, 4))
    limits = {ax.images[0].get_clim() for ax in figure.axes if ax.images}
    assert limits == {(-most, most) for most in [np.abs(model.weights[0][:, :5]).max()]}
    assert (tmp_path / "weights.png").read_bytes().startswith(b"\x89PNG")
    assert len(images(MLP([9, 30, 3], seed=0).plot_weights())) == 25


def test_shapes_of_images_that_are_refused():
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match=r"shape=\(3, 3\) has 9 pixels, but the layer has 12 inputs"):
        MLP([12, 3], seed=0).plot_weights()
    with pytest.raises(InputError, match=r"End the name in \.png"):
        MLP([9, 3], seed=0).plot_weights(path="weights.gif")


def test_a_surface_of_classes_is_what_the_model_predicts():
    pytest.importorskip("matplotlib")
    model = MLPClassifier((4,), solver="lbfgs", random_state=0, max_iter=400).fit(X, np.array(["no", "yes"])[Y])
    figure = decision_surface(model, X, np.array(["no", "yes"])[Y])
    ax = figure.axes[0]
    areas = ax.collections[0].get_array().reshape(201, 201)
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.1 * (high - low)
    assert areas[0, -1] == (model.predict([[high[0] + margin[0], low[1] - margin[1]]]) == "yes")[0]
    assert areas[-1, 0] == (model.predict([[low[0] - margin[0], high[1] + margin[1]]]) == "yes")[0]
    assert areas[0, -1] != areas[-1, 0]
    np.testing.assert_array_equal(ax.collections[-1].get_offsets(), X)


def test_a_surface_of_numbers(tmp_path):
    pytest.importorskip("matplotlib")
    model = MLP([2, 4, 1], loss="mean_squared_error", seed=0)
    figure = decision_surface(model, X, path=tmp_path / "surface.svg")
    assert len(figure.axes) == 2  # with a colour bar
    ElementTree.parse(tmp_path / "surface.svg")


def test_surfaces_that_are_refused():
    with pytest.raises(InputError, match=r"x has shape \(60, 1\), but a surface is drawn over two features"):
        decision_surface(MLP([1, 1], seed=0), X[:, :1])
    with pytest.raises(InputError, match="Only one can be drawn"):
        decision_surface(MLP([2, 3], loss="mean_squared_error", seed=0), X)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FastmlpError, match=r"pip install 'fastmlp\[plot\]'"):
        MLP([4, 2], seed=0).plot_weights()


def fragment(html):
    """The fragment, which must be well-formed, and its style, which must be for the fragment alone."""
    root = ElementTree.fromstring(html)
    assert root.attrib == {"class": "fastmlp"}
    selectors = [one for rule in re.findall(r"([^{}]+)\{", root.find("style").text) for one in rule.split(",")]
    assert all(one.strip().startswith(".fastmlp") for one in selectors)
    return root


def test_a_network_in_a_notebook():
    model = MLP([4, 20, 3], ["tanh", "softmax"], seed=0)
    root = fragment(model._repr_html_())
    svg = root.find("svg")
    assert svg.find("title").text == "The network: 4 – 20 – 3 units"
    assert len(svg.findall("circle")) == 4 + 8 + 3
    assert [text.text for text in svg.findall("text")] == ["4", "inputs", "⋮", "20", "tanh", "3", "softmax"]
    assert root.find("pre").text == model.summary()


def test_a_history_in_a_notebook():
    assert "epochs=0" in fragment(History()._repr_html_()).find("p").text
    model = MLP([2, 4, 2], seed=0)
    history = model.fit(X, Y, epochs=3, validation_data=(X, Y), gradient_norms=True)
    root = fragment(history._repr_html_())
    assert root.find("svg/title").text.startswith("Loss by epoch, 3 epochs; at the end training loss ")
    cells = [cell.text for cell in root.iter("td")]
    assert f"{history['val_loss'][-1]:.4g}" in cells and len(cells) == len(history.columns) - 1
