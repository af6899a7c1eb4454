"""The page: one HTML file that needs no network, no server and, but for two buttons, no JavaScript."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from airbench_var.analysis import Comparison
from airbench_var.report.document import compared, document, made, made_apart
from airbench_var.report.html.comparison import comparison_section
from airbench_var.report.html.elements import Html, embedded_json, tag
from airbench_var.report.html.parts import test_set_id
from airbench_var.report.html.provenance import provenance, throughput
from airbench_var.report.html.test_set import test_set_section
from airbench_var.report.readings import count_text
from airbench_var.report.reported import Reported
from airbench_var.report.table import METHODS, WORDS

#: What our pages begin with: by it they are told from other files.
BEGINNING = '<!doctype html>\n<html lang="en" data-made-by="airbench_var report">'


def report_page(
    stores: tuple[Reported, ...],
    comparison: Mapping[str, Comparison] | None = None,
    *,
    made_with: str = "",
) -> str:
    """Return the page of one store, or of A and B with their comparison; equal stores give equal bytes.

    `made_with` is of the software, for the footer. Raises: ModuleNotFoundError without matplotlib.
    """
    assert len(stores) == (1 if comparison is None else 2)
    css, script = (Html(_file(name)) for name in ("report.css", "report.js"))
    title = " against ".join(dict.fromkeys(made(reported.store) for reported in stores))
    if len(stores) == 2 and " against " not in title:
        title = f"{title}: A against B"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        # Nothing is loaded, and no script runs but ours, whatever a name in a store may hold.
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · airbench_var"),
        tag("style", css),
    )
    body = tag(
        "body",
        tag("a", "To the results", href="#main", class_="skip"),
        _header(title, stores),
        tag("main", *_sections(stores, comparison), id="main"),
        _footer(made_with),
        *_documents(stores, comparison),
        tag("script", script),
    )
    return f"{BEGINNING}\n{head}\n{body}\n</html>\n"


def _file(name: str) -> str:
    return resources.files("airbench_var.report.html").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _names(stores: tuple[Reported, ...]) -> list[str]:
    """Return the prefix of ids of each store."""
    return ["a", "b"] if len(stores) == 2 else ["store"]


def _header(title: str, stores: tuple[Reported, ...]) -> Html:
    sub = [tag("p", text, class_="of") for text in map(_about, stores)]
    if len(stores) == 2:
        sub = [
            tag("p", tag("b", f"{name}: "), f"{what}, {_about(reported)}", class_="of")
            for name, what, reported in zip("AB", _made(stores), stores, strict=True)
        ]
    return tag(
        "header",
        tag("p", "airbench_var report", class_="kind"),
        tag("h1", title),
        *sub,
        tag(
            "p",
            tag("button", "Dark or light", type="button", id="theme"),
            tag("span", id="downloads"),
            class_="buttons",
            hidden=True,
        ),
        _contents(stores),
    )


def _made(stores: tuple[Reported, ...]) -> tuple[str, ...]:
    """Return what the runs of each store are of; of two so that they are told apart."""
    if len(stores) == 2:
        return made_apart(stores[0].store, stores[1].store)
    return (made(stores[0].store),)


def _about(reported: Reported) -> str:
    origin = reported.store.manifest.provenance
    parts = [count_text(reported.analysis.runs, "run")]
    if reported.analysis.diverged:
        parts.append(f"{reported.analysis.diverged:,} diverged")
    if reported.analysis.failed:
        parts.append(f"{reported.analysis.failed:,} failed for good")
    if "device" in origin:
        parts.append(f"made on {origin['device']}")
    return f"{', '.join(parts)}; store {reported.name}"


def _contents(stores: tuple[Reported, ...]) -> Html:
    links = [("#comparison", "A against B")] if len(stores) == 2 else []
    for prefix, reported in zip(_names(stores), stores, strict=True):
        of = f"{prefix.upper()}: " if len(stores) == 2 else ""
        names = reported.store.test_sets
        links += [(f"#{prefix}-{test_set_id(names, name)}", f"{of}{name}") for name in names]
        if reported.was_trained:
            links.append((f"#{prefix}-throughput", f"{of}throughput"))
        links.append((f"#{prefix}-provenance", f"{of}provenance"))
    links.append(("#method", "method"))
    return tag(
        "nav",
        tag("ul", *(tag("li", tag("a", text, href=place)) for place, text in links)),
        aria_label="Contents",
    )


def _sections(stores: tuple[Reported, ...], comparison: Mapping[str, Comparison] | None) -> Iterator[Html]:
    if comparison is not None:
        yield comparison_section(stores[0], stores[1], comparison)
    for prefix, heading, reported in zip(_names(stores), _made(stores), stores, strict=True):
        yield tag("h2", f"{prefix.upper()}: {heading}" if len(stores) == 2 else "Results", id=prefix)
        for summary in reported.analysis.test_sets:
            yield test_set_section(reported, summary, prefix)
        if reported.analysis.failed:
            failed = count_text(reported.analysis.failed, "run")
            yield tag("p", f"Failed for good, so not in the tables: {failed}.")
        if reported.was_trained:
            yield throughput(reported, prefix)
        yield provenance(reported, prefix)
    yield tag(
        "section",
        tag("h2", "Method"),
        tag("p", WORDS, class_="legend"),
        tag("p", METHODS, class_="legend"),
        id="method",
    )


def _footer(made_with: str) -> Html:
    return tag(
        "footer",
        tag(
            "p",
            "Keller Jordan, On the Variance of Neural Network Training with respect to Test Sets and "
            "Distributions, ICLR 2024: ",
            tag("a", "arXiv 2304.01910", href="https://arxiv.org/abs/2304.01910v4", rel="noreferrer"),
            ".",
        ),
        tag(
            "p", f"Analysed by {made_with}. " if made_with else "", "Accuracies are in percent of a test set."
        ),
    )


def _documents(stores: tuple[Reported, ...], comparison: Mapping[str, Comparison] | None) -> Iterator[Html]:
    """Yield all numbers as data: what `analyze --pairs --json` and `compare --json` print, without paths."""
    for prefix, reported in zip(_names(stores), stores, strict=True):
        file = "numbers.json" if len(stores) == 1 else f"numbers-{prefix}.json"
        found = document(reported.store, reported.analysis, reported.pairs)
        yield embedded_json(file.removesuffix(".json"), found | {"store": reported.name}, file)
    if comparison is not None:
        a, b = stores
        found = compared(Path(a.name), Path(b.name), comparison)
        yield embedded_json("comparison-numbers", found, "comparison.json")
