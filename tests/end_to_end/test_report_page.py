"""The report in a real browser, from a file: no network, no error; dark, narrow, printed, downloaded."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from airbench_var import cli
from airbench_var.analysis import analyze, analyze_pairs
from airbench_var.cli import reporting
from airbench_var.report.document import document
from airbench_var.report.reported import Pictured
from airbench_var.store import Store
from tests.end_to_end.browser import EXECUTABLE, Browser, chromium
from tests.report.stores import correct_RN, make_store

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of one store, with names that would break a page, and a comparison; made by the command."""
    folder = tmp_path_factory.mktemp("pages")
    a = make_store(folder / "a", {"t": correct_RN(40)}, diverged=[3])
    b = make_store(folder / "b", {"t": correct_RN(30, seed=1)}, predicted=False)
    one, two = folder / "one.html", folder / "two.html"
    images = Pictured(images={"t": np.full((300, 32, 32, 3), 99, np.uint8)})
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # images of a page are data:, which its policy must let through
        patch.setattr(reporting, "pictured", lambda *_: images)
        assert cli.main(["report", str(a), "--html", str(one)]) == 0
    assert cli.main(["report", str(a), "--compare", str(b), "--html", str(two)]) == 0
    assert "data:image/png" in one.read_text()
    return {"store": a, "one": one, "two": two}


def brightness(png: bytes) -> float:
    """Return the mean of all pixels, 0 to 1."""
    image = pytest.importorskip("PIL.Image")
    return float(np.asarray(image.open(io.BytesIO(png)).convert("L")).mean()) / 255


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_network_and_errors_and_fits_its_screen(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width=width)
    assert browser.console == []
    assert browser.requests == [pages[name].as_uri()]
    browser.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.value("document.documentElement.scrollWidth") == width
    widest = """Math.max(...[...document.querySelectorAll('main *')]
      .filter((one) => !one.closest('thead')).map((one) => one.getBoundingClientRect().right))"""
    assert browser.value(widest) <= width
    assert browser.value("document.querySelectorAll('svg').length") >= 10
    assert browser.value("document.title").startswith("</script><script>alert(1)</script>")


def test_it_is_dark_for_who_prefers_that_and_the_button_turns_it(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["one"])
    assert brightness(browser.screenshot()) > 0.8
    browser.open(pages["one"], scheme="dark")
    assert brightness(browser.screenshot()) < 0.25
    browser.value("document.getElementById('theme').click()")
    assert brightness(browser.screenshot()) > 0.8
    browser.value("localStorage.clear()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_background(browser: Browser, pages: dict[str, Path], scheme: str) -> None:
    """The contrast of WCAG 2.1 for text, 4.5 to 1; and of colours in figures, 3 to 1."""
    browser.open(pages["one"], scheme=scheme)
    found = browser.value(CONTRAST)
    assert found["text"] >= 4.5
    assert found["colours"] >= 3
    assert found["looked_at"] > 100


#: The least contrast of all words with the nearest background that is painted, and of colours with cards.
CONTRAST = """(() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const light = (c) => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const contrast = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour[3]) return colour;
    }
    return [255, 255, 255, 255];
  };
  const all = [...document.querySelectorAll("body *:not(script)")].filter(
    (e) => !e.closest("svg") && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  const texts = all.map((e) => contrast(rgb(getComputedStyle(e).color), behind(e)));
  const drawn = [...document.querySelectorAll("figure svg [style*='var(--c']")].flatMap((e) => {
    return ["fill", "stroke"].filter((name) => e.getAttribute("style").includes(`${name}: var(--c`))
      .map((name) => contrast(rgb(getComputedStyle(e)[name]), behind(e.closest("figure"))));
  });
  return { text: Math.min(...texts), colours: Math.min(...drawn), looked_at: all.length };
})()"""


#: The numbers as the page holds them.
EMBEDDED = "document.getElementById('numbers').textContent"


def test_figures_and_numbers_can_be_downloaded(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"])
    links = browser.value("[...document.querySelectorAll('figure .download')].map((a) => a.download)")
    assert len(links) == browser.value("document.querySelectorAll('figure').length") == len(set(links))
    # A click makes the content of a link and follows it; here it is read instead.
    read = """(async (link) => {
      link.addEventListener("click", (event) => event.preventDefault()); link.click();
      return [link.download, await (await fetch(link.href)).text()];
    })(document.querySelector('%s'))"""
    browser.call("Page.setBypassCSP", enabled=True)  # fetch is ours alone: the page forbids it
    browser.open(pages["one"])
    name, svg = browser.value(read % "figure .download")
    assert name == "store-1-t-accuracies.svg"
    picture = ElementTree.fromstring(svg)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert picture.attrib["width"].endswith("pt")
    assert "var(--" not in svg
    name, text = browser.value(read % "#downloads a")
    store = Store.open(pages["store"])
    assert name == "numbers.json"
    expected = document(store, analyze(store), analyze_pairs(store)) | {"store": pages["store"].name}
    assert json.loads(text) == json.loads(json.dumps(expected))
    # As it was embedded: a seed of 64 bits would be rounded by a browser that parses it.
    assert text == f"{browser.value(EMBEDDED)}\n"
    browser.call("Page.setBypassCSP", enabled=False)


def test_it_can_be_read_without_javascript(browser: Browser, pages: dict[str, Path]) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["one"])
        shown = browser.call("Accessibility.getFullAXTree")["nodes"]
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    roles = [node.get("role", {}).get("value") for node in shown]
    names = [node.get("name", {}).get("value", "") for node in shown]
    assert roles.count("image") + roles.count("img") >= 10
    assert roles.count("button") == 0  # they would do nothing
    assert any(name.startswith("Accuracies of the runs. Bars:") for name in names)
    assert "Mean accuracy on this test set" in names


def test_it_prints_light_and_whole(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"], scheme="dark")
    pdf = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
    assert pdf.startswith(b"%PDF")
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert brightness(browser.screenshot()) > 0.8
        assert browser.value("getComputedStyle(document.querySelector('.buttons')).display") == "none"
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
