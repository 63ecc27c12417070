"""``--report``: one page with figures, tables and settings, which needs nothing else, also in a browser."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from cli.command import accuracy, fail, succeed

_VOID = {"meta", "link"}


class Page(HTMLParser):
    """The elements of a page, whose tags must be balanced."""

    def __init__(self, path):
        super().__init__()
        self.source = Path(path).read_text(encoding="utf-8")
        self.open, self.elements = [], []
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def titles(self):
        return re.findall(r"<title id=[^>]*>([^<]*)</title>", self.source)


def check(page):
    """What every report must be: whole, small, without addresses, and readable without eyes."""
    assert len(page.source) < 2_000_000
    assert not re.search(r"https?://|//[a-z]+\.|url\(|<script", page.source)
    assert page.all("html") == [{"lang": "en"}]
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for attributes in page.all("a"):
        assert attributes["href"][1:] in names
    for attributes in page.all("svg"):
        assert attributes["role"] == "img" and attributes["aria-labelledby"] in names
    for svg in re.findall(r"<svg.*?</svg>", page.source, re.S):
        ElementTree.fromstring(svg)
        assert "nan" not in svg.lower()
    assert all("scope" in attributes for attributes in page.all("th"))
    assert page.source.count("<caption>") == len(page.all("table"))
    headings = re.findall(r"<h(\d)", page.source)
    assert headings == ["1"] + ["2"] * (len(headings) - 1)


def test_report_of_a_classification(mixed):
    out = succeed(
        "train",
        mixed,
        "--epochs",
        3,
        "--hidden",
        8,
        "--validation-fraction",
        0.2,
        "--report",
        "r.html",
        "--out",
        "m.safetensors",
    )
    assert "report written to r.html" in out
    page = Page("r.html")
    check(page)
    assert f"Accuracy {accuracy(out):.2f}%" in page.source
    about = " ".join(page.titles)
    for figure in (
        "The network: ",
        "Loss by epoch, 3 epochs",
        "Confusion matrix of 3 classes",
        "Calibration",
        "Fall of acc",
    ):
        assert figure in about
    for column in ("size", "colour", "weight"):
        assert f'<th scope="row" class="text">{column}</th>' in page.source
    assert "left out" not in page.source
    assert "validation loss" in page.source and "all epochs were done" in page.source

    succeed("evaluate", "m.safetensors", mixed, "--report", "e.html")
    page = Page("e.html")
    check(page)
    assert "240 evaluation samples" in page.source
    assert not any(title.startswith("Loss by epoch") for title in page.titles)


def test_report_of_a_regression(prices):
    out = succeed("train", prices, "--epochs", 20, "--hidden", 8, "--report", "r.html")
    page = Page("r.html")
    check(page)
    assert f"R² {re.search(r'R² ([-0-9.]+)', out)[1]} of price" in page.source
    assert sum("residuals" in title for title in page.titles) == 1
    assert sum("predicted against true" in title for title in page.titles) == 1
    assert any(title.startswith("Fall of R² when a column is shuffled: most for area") for title in page.titles)


def test_names_are_text_whatever_they_hold(tmp_path):
    random = np.random.RandomState(0)
    rows = [f"{random.randn():.3f},{random.choice(['<b>', '& co'])}" for _ in range(80)]
    (tmp_path / "odd.csv").write_text('"<script>alert(1)</script>",label\n' + "\n".join(rows) + "\n")
    succeed("train", "odd.csv", "--epochs", 1, "--hidden", 4, "--report", "r.html")
    page = Page("r.html")
    check(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.source and "&amp; co" in page.source


@pytest.mark.parametrize("options", [["--loss", "quantile", "--quantiles", "0.1,0.9"], ["--target", "rooms,price"]])
def test_several_outputs(prices, options):
    succeed("train", prices, *options, "--epochs", 2, "--hidden", 4, "--report", "r.html")
    page = Page("r.html")
    check(page)
    assert sum("residuals" in title for title in page.titles) == 2


def test_what_is_refused(mixed, model):
    fail("train", mixed, "--report", "r.pdf", about="--report 'r.pdf' must end in .html")
    fail("evaluate", model, mixed, "--report", "no/r.html", about="no/r.html")


def test_in_a_browser(mixed):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium")
    succeed("train", mixed, "--epochs", 2, "--hidden", 8, "--report", "r.html")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (360, 1280):
            seen = []
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme="dark")
            page.on("console", lambda message, seen=seen: seen.append(message.text))
            page.on("pageerror", lambda error, seen=seen: seen.append(str(error)))
            page.on("request", lambda request, seen=seen: seen.append(request.url))
            page.goto(Path("r.html").resolve().as_uri())
            assert [url for url in seen if not url.startswith(("file:", "data:"))] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert all(box["width"] > 150 for box in (svg.bounding_box() for svg in page.locator("svg").all()))
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.textContent") == "Scores"
        browser.close()
