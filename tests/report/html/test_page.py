"""The page: what is on it, that its numbers are those of analyze, and that no name in a store breaks it."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airbench_var.analysis import analyze, analyze_pairs, compare
from airbench_var.analysis.live import compare_counted
from airbench_var.report.document import compared, document, made, made_apart
from airbench_var.report.html import BEGINNING, report_page
from airbench_var.report.html.pairs import NO_IMAGES, pairs_section
from airbench_var.report.readings import readings
from airbench_var.report.reported import Pictured, Reported
from airbench_var.store import Store, create
from tests.report.stores import CLASSES, RECIPE, correct_RN, make_store

pytest.importorskip("matplotlib")


class Page(HTMLParser):
    """The ids, links, words and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: Counter[str] = Counter()
        self.scripts: list[tuple[dict[str, Any], str]] = []
        self.headings: list[str] = []
        self.images: list[str] = []
        self.words = ""
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        given = dict(attrs)
        self.elements[tag] += 1
        self.ids += [given["id"]] if given.get("id") else []
        for name in ("href", "xlink:href", "src"):
            self.links += [given[name] or ""] if name in given else []
        self.links += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for value in given.values()))
        if tag == "script":
            self.scripts.append((given, ""))
        if tag == "svg":
            self.images.append(given.get("aria-label") or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self._open == "script" and self.scripts and not self.scripts[-1][1]:
            self.scripts[-1] = (self.scripts[-1][0], data)
        self.words += data.replace("\N{NO-BREAK SPACE}", " ")

    def data(self, name: str) -> Any:
        [text] = [text for given, text in self.scripts if given.get("id") == name]
        return json.loads(text)


def page_of(*paths: Path) -> str:
    stores = tuple(Reported.of_store(Store.open(path), Pictured(absent="no images here")) for path in paths)
    comparison = None
    if len(stores) == 2:
        a, b = stores
        comparison = compare_counted((a.store, b.store), (a.statistics, b.statistics))
    return report_page(stores, comparison, made_with="tests")


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two test sets, names that would break a page, a run that diverged and one that failed."""
    right = {"first": correct_RN(40), "second-1.5": correct_RN(40, 203, seed=1)}
    right["first"][3] = False
    return make_store(tmp_path_factory.mktemp("report") / "store", right, diverged=[3], failed=1)


@pytest.fixture(scope="module")
def text(nasty: Path) -> str:
    return page_of(nasty)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_numbers_are_those_of_analyze_with_pairs(page: Page, nasty: Path) -> None:
    expected = document(Store.open(nasty), analyze(nasty), analyze_pairs(nasty)) | {"store": nasty.name}
    assert page.data("numbers") == json.loads(json.dumps(expected))


def test_words_are_those_of_the_terminal(page: Page, nasty: Path) -> None:
    for summary in analyze(nasty).test_sets:
        for answer in readings(summary).values():
            assert answer in page.words
    tiles, note, table = map(
        page.words.index, ("95 % interval", "1 of 40 runs diverged", "Accuracy and its s")
    )
    assert tiles < note < table
    assert page.words.count(" (95 % interval)") == 6  # three tiles of each test set
    assert "Failed for good, so not in the tables: 1 run." in page.words
    assert re.search(r"<= 0\.0005\s*accuracies follow the Poisson-binomial law", page.words)


def test_a_page_that_is_sent_on_has_the_folder_and_not_the_path(tmp_path: Path) -> None:
    a, b = (
        make_store(tmp_path / one, {"t": correct_RN(3, 20)}, classes="xy", identity={"seed": one})
        for one in "ab"
    )
    text = page_of(a, b)
    assert str(tmp_path) not in text
    assert "<dd>b (format " in text


def test_names_stay_text(page: Page, text: str) -> None:
    assert page.elements["script"] == 2  # the numbers, and ours
    assert page.elements["img"] == 0
    assert f"{RECIPE} on <b>Data</b>" in page.words
    assert all(name in page.words for name in CLASSES if len(name) < 14)
    assert text.startswith(BEGINNING)


def test_names_that_xml_cannot_write_are_shown_with_a_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "UNSHOWN", re.compile("(?!)"))  # as when such stores were still made
    names = ("a\x00b", "c\ud800d", "e\uffff")
    page = page_of(make_store(tmp_path / "store", {"t": correct_RN(40)}, classes=names))
    for shown in ("a\ufffdb", "c\ufffdd", "e\ufffd"):
        assert shown in page


def test_ids_are_unique_and_all_links_lead_somewhere_on_the_page(page: Page) -> None:
    assert [name for name, times in Counter(page.ids).items() if times > 1] == []
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert set(inside) <= set(page.ids)
    assert len(inside) > 20
    outside = {link for link in page.links if not link.startswith(("#", "data:"))}
    assert outside == {"https://arxiv.org/abs/2304.01910v4"}  # for people to follow; nothing is loaded


def test_ids_are_unique_whatever_test_sets_are_called(tmp_path: Path) -> None:
    names = ("a_b", "a-b", "A-B", "provenance", "Throughput", "a-b-accuracies")
    rows = {name: correct_RN(3, 20) for name in names}
    stores = [make_store(tmp_path / one, rows, classes=["x", "y"], identity={"seed": one}) for one in "ab"]
    for page in (Page(page_of(stores[0])), Page(page_of(*stores))):
        assert [name for name, times in Counter(page.ids).items() if times > 1] == []
        assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_a_page_can_be_read_without_seeing_it(page: Page) -> None:
    levels = [int(heading[1]) for heading in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.elements["figure"] == page.elements["svg"] == page.elements["figcaption"]
    assert all(len(label) > 40 for label in page.images)
    assert page.elements["caption"] == page.elements["table"]


def test_figures_are_in_the_colour_of_the_page(text: str) -> None:
    figures = re.findall(r"<figure.*?</figure>", text, flags=re.S)
    assert len(figures) >= 20
    assert all("currentColor" in figure and "#010203" not in figure for figure in figures)
    assert "var(--c0072b2, #0072b2)" in text
    assert "<metadata" not in text


def test_equal_stores_give_equal_bytes(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store", {"t": correct_RN(60, 60)}, predicted=False)
    assert page_of(path) == page_of(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("is_right", [False, True])
def test_what_has_nothing_to_show_is_not_drawn(is_right: bool, tmp_path: Path) -> None:
    """Runs that are all right, or all wrong, have an interval of no class."""
    make_store(tmp_path / "a", {"alike": np.full((4, 20), is_right)}, predicted=False)
    words = Page(page_of(tmp_path / "a")).words
    assert "No figure: every run has the same accuracy on each class, which leaves no interval." in words


def test_where_there_are_too_few_runs_it_says_so(tmp_path: Path) -> None:
    for runs, why in ((0, "there are 0"), (1, "there is 1")):
        path = make_store(tmp_path / f"{runs}", {"t": correct_RN(runs)})
        words = Page(page_of(path)).words
        assert (
            f"Nothing can be said about the spread of runs yet: at least 2 runs are needed, {why}." in words
        )
        assert f"No figure: at least 3 runs are needed, {why}." in words
        assert f"No figure: at least 2 runs are needed, {why}." in words


def test_imported_runs_without_classes_have_neither_seeds_nor_times(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store", {"t": correct_RN(5)}, predicted=False, imported=True)
    page = Page(page_of(path))
    assert "imported from <b>runs.npy</b>" in page.words
    assert "Seeds of the runs" not in page.words
    assert not re.search("throughput|runs per hour", page.words, re.IGNORECASE)
    assert "No figure: the store keeps no predicted classes, only which were right." in page.words
    [classes] = [alt for alt in page.images if alt.startswith("Which classes are hard? Mean")]
    assert "vote" not in classes
    assert "Accuracy on this test set, by class, over 5 runs" in page.words
    of_cat = page.data("numbers")["test_sets"]["t"]["by_class"][7]
    assert (of_cat["class"], of_cat["examples"], of_cat["vote_accuracy"]) == ("cat", 30, None)
    assert of_cat["accuracy"]["value"] == pytest.approx(correct_RN(5)[:, 7::10].mean())
    assert of_cat["std"]["value"] == pytest.approx(correct_RN(5)[:, 7::10].mean(axis=1).std(ddof=1))


def test_many_classes_get_a_table_and_no_small_figures(tmp_path: Path) -> None:
    names = [f"class {k}" for k in range(40)]
    path = make_store(tmp_path / "store", {"t": correct_RN(4, 80)}, classes=names)
    words = Page(page_of(path)).words
    assert "No figure: 40 classes are too many for small figures." in words
    assert "class 39" in words


def test_a_comparison_comes_first_and_both_stores_are_shown(tmp_path: Path) -> None:
    a = make_store(tmp_path / "a", {"t": correct_RN(12, 100)}, classes="xyz", predicted=False)
    right = {"t": correct_RN(8, 100, seed=5)}
    b = make_store(tmp_path / "b", right, classes="xyz", predicted=False, identity={"seed": 2})
    text = page_of(a, b)
    page = Page(text)
    assert page.ids.index("comparison") < page.ids.index("a-1-t") < page.ids.index("b-1-t")
    assert "seed: 1 in A, 2 in B" in page.words
    expected = json.loads(json.dumps(compared(Path("a"), Path("b"), compare(a, b))))
    assert page.data("comparison-numbers") == expected
    assert page.data("numbers-b")["runs"] == 8
    assert "12 and 8 runs" in page.words


def test_two_recipes_of_one_name_are_told_apart_by_their_values(tmp_path: Path) -> None:
    right, recipe = {"t": correct_RN(6, 60)}, {"epochs": 8.0, "note": RECIPE}
    a = make_store(tmp_path / "a", right, classes="xyz", predicted=False)
    longer = {"recipe": recipe | {"epochs": 9.0}}
    b = make_store(tmp_path / "b", right, classes="xyz", predicted=False, identity=longer)
    words = Page(page_of(a, b)).words
    assert words.count("<b>Data</b>, epochs = 8.0") == words.count("<b>Data</b>, epochs = 9.0") == 2
    many = {"recipe": recipe | {"epochs": 9.0, "b": 1, "c": 2, "d": 3, "e": 4}}
    c = make_store(tmp_path / "c", right, classes="xyz", predicted=False, identity=many)
    assert made_apart(*map(Store.open, (a, c)))[1].endswith("epochs = 9.0, b = 1, c = 2, and 2 more values")
    assert made_apart(*map(Store.open, (a, a))) == (made(Store.open(a)),) * 2


def test_pairs_are_shown_with_their_images_where_they_are_at_hand(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store", {"t": correct_RN(60, 60)}, classes="xyz", predicted=False)
    images = np.zeros((60, 32, 32, 3), np.uint8)
    for pictured in (Pictured(absent="no images here"), Pictured(images={"t": images})):
        reported = Reported.of_store(Store.open(path), pictured)
        section = Page(pairs_section(reported, reported.analysis.test_sets[0], "here"))
        assert "58 59" in section.words  # in the table of the least likely
        found = [link for link in section.links if link.startswith("data:image/png;base64,")]
        assert len(found) == len(pictured.images)
        assert ("No figure: no images here." in section.words) == bool(pictured.absent)
        assert NO_IMAGES not in section.words


def test_where_no_pair_deviates_it_says_why_there_are_no_images(tmp_path: Path) -> None:
    right_RN = np.random.default_rng(0).random((40, 20)) < 0.5
    path = make_store(tmp_path / "store", {"t": right_RN}, classes="xy", predicted=False)
    reported = Reported.of_store(
        Store.open(path), Pictured(images={"t": np.zeros((20, 32, 32, 3), np.uint8)})
    )
    section = Page(pairs_section(reported, reported.analysis.test_sets[0], "here"))
    assert "Of no single pair of examples is it shown" in section.words
    assert NO_IMAGES in section.words
