"""Markup: what is not markup is escaped, wherever it stands."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from airbench_var.report.html.elements import Html, embedded_json, join, tag

NASTY = "</script><script>alert(1)</script><!-- & \"double\" 'single' \u2028"


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, Any] = {}
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_and_attributes_are_escaped_and_come_back_as_they_were() -> None:
    seen = Seen(tag("p", NASTY, title=NASTY))
    assert seen.tags == ["p"]
    assert seen.attributes == {"title": NASTY}
    assert seen.text == NASTY


def test_markup_stays_markup_and_none_is_left_out() -> None:
    assert tag("p", tag("b", "<x>"), None, Html("<i></i>")) == "<p><b>&lt;x&gt;</b><i></i></p>"
    assert join(["<", tag("br"), ">"]) == "&lt;<br>&gt;"


def test_attributes_are_named_as_in_html() -> None:
    made = tag("button", class_="a", aria_label="b", hidden=True, title=None, disabled=False)
    assert made == '<button class="a" aria-label="b" hidden></button>'


def test_a_sum_of_markup_and_text_is_text() -> None:
    """So that nobody makes markup by adding to it."""
    assert tag("p", tag("b", "x") + "<i>") == "<p>&lt;b&gt;x&lt;/b&gt;&lt;i&gt;</p>"


def test_data_cannot_end_its_script_and_comes_back_as_it_was() -> None:
    document = {"name": NASTY, NASTY: [1, 0.5, None, "<!--"]}
    made = embedded_json("numbers", document, "numbers.json")
    assert made.lower().count("</script") == 1
    assert "<!--" not in made
    seen = Seen(made)
    assert seen.tags == ["script"]
    assert json.loads(seen.text) == document


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json("numbers", {"x": float("nan")}, "numbers.json")


def test_no_line_ends_between_a_number_and_its_percent() -> None:
    assert (
        tag("p", "0.1 to 0.2 % of", tag("b", "3 %"))
        == "<p>0.1 to 0.2\N{NO-BREAK SPACE}% of<b>3\N{NO-BREAK SPACE}%</b></p>"
    )
