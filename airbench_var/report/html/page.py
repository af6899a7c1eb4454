"""The page: one HTML file that needs no network, no server and, but for two buttons, no JavaScript."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources

from airbench_var.analysis import Comparison
from airbench_var.report.document import compared, document, made
from airbench_var.report.html.comparison import comparison_section
from airbench_var.report.html.elements import Html, embedded_json, tag
from airbench_var.report.html.parts import slug
from airbench_var.report.html.provenance import provenance, throughput
from airbench_var.report.html.test_set import test_set_section
from airbench_var.report.readings import count_text
from airbench_var.report.subject import Subject
from airbench_var.report.table import LEGEND

#: What our pages begin with: by it they are told from other files.
BEGINNING = '<!doctype html>\n<html lang="en" data-made-by="airbench_var report">'


def report_page(
    subjects: tuple[Subject, ...], comparison: Mapping[str, Comparison] | None = None, *, made_with: str = ""
) -> str:
    """Return the page of one store, or of A and B with their comparison; equal stores give equal bytes.

    `made_with` is of the software, for the footer. Raises: ModuleNotFoundError without matplotlib.
    """
    assert len(subjects) == (1 if comparison is None else 2)
    css, script = (Html(_file(name)) for name in ("report.css", "report.js"))
    title = " against ".join(dict.fromkeys(made(subject.store) for subject in subjects))
    if len(subjects) == 2 and " against " not in title:
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
        _header(title, subjects),
        tag("main", *_sections(subjects, comparison), id="main"),
        _footer(made_with),
        *_documents(subjects, comparison),
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


def _names(subjects: tuple[Subject, ...]) -> list[str]:
    """Return the prefix of ids of each store."""
    return ["a", "b"] if len(subjects) == 2 else ["store"]


def _header(title: str, subjects: tuple[Subject, ...]) -> Html:
    sub = [tag("p", text, class_="of") for text in map(_about, subjects)]
    if len(subjects) == 2:
        sub = [
            tag("p", tag("b", f"{name}: "), f"{made(subject.store)}, {_about(subject)}", class_="of")
            for name, subject in zip("AB", subjects, strict=True)
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
        _contents(subjects),
    )


def _about(subject: Subject) -> str:
    origin = subject.store.manifest.provenance
    parts = [count_text(subject.analysis.runs, "run")]
    if subject.analysis.diverged:
        parts.append(f"{subject.analysis.diverged:,} diverged")
    if subject.analysis.failed:
        parts.append(f"{subject.analysis.failed:,} failed for good")
    if "device" in origin:
        parts.append(f"made on {origin['device']}")
    return f"{', '.join(parts)}; store {subject.store.path}"


def _contents(subjects: tuple[Subject, ...]) -> Html:
    links = [("#comparison", "A against B")] if len(subjects) == 2 else []
    for prefix, subject in zip(_names(subjects), subjects, strict=True):
        of = f"{prefix.upper()}: " if len(subjects) == 2 else ""
        links += [(f"#{prefix}-{slug(one.name)}", f"{of}{one.name}") for one in subject.analysis.test_sets]
        links += [(f"#{prefix}-throughput", f"{of}throughput"), (f"#{prefix}-provenance", f"{of}provenance")]
    links.append(("#method", "method"))
    return tag(
        "nav",
        tag("ul", *(tag("li", tag("a", text, href=place)) for place, text in links)),
        aria_label="Contents",
    )


def _sections(subjects: tuple[Subject, ...], comparison: Mapping[str, Comparison] | None) -> Iterator[Html]:
    if comparison is not None:
        yield comparison_section(subjects[0], subjects[1], comparison)
    for prefix, subject in zip(_names(subjects), subjects, strict=True):
        heading = made(subject.store)
        yield tag("h2", f"{prefix.upper()}: {heading}" if len(subjects) == 2 else "Results", id=prefix)
        for summary in subject.analysis.test_sets:
            yield test_set_section(subject, summary, prefix)
        if subject.analysis.failed:
            failed = count_text(subject.analysis.failed, "run")
            yield tag("p", f"Failed for good, so not in the tables: {failed}.")
        yield throughput(subject, prefix)
        yield provenance(subject, prefix)
    yield tag("section", tag("h2", "Method"), tag("p", LEGEND, class_="legend"), id="method")


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
        tag("p", f"Analysed by {made_with}. " if made_with else "", "Accuracies are shares of the test set."),
    )


def _documents(subjects: tuple[Subject, ...], comparison: Mapping[str, Comparison] | None) -> Iterator[Html]:
    """Yield all numbers as data: what `analyze --pairs --json` and `compare --json` print."""
    for prefix, subject in zip(_names(subjects), subjects, strict=True):
        file = "numbers.json" if len(subjects) == 1 else f"numbers-{prefix}.json"
        found = document(subject.store, subject.analysis, subject.pairs)
        yield embedded_json(file.removesuffix(".json"), found, file)
    if comparison is not None:
        a, b = subjects
        yield embedded_json(
            "comparison-numbers", compared(a.store.path, b.store.path, comparison), "comparison.json"
        )
