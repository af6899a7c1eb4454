"""The README of a study: command, what was trained, verdicts, pictures, and every number."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airbench_var.machine import shortened
from airbench_var.report.percent import decimals, percent, span_text
from airbench_var.studies.findings import Claim, Findings, Number

#: Below it a p-value is not told from 0.
LEAST_P_VALUE = 1e-300

#: Targets in a table.
_TARGETS = {"this test set": "test set", "the distribution": "distribution"}

#: How to get the data, by name.
_OBTAINED = {
    "cifar10": "It is read from the folder that `--data-dir` names, else looked for in `$AIRBENCH_VAR_DATA` "
    "and the cache, else downloaded",
    "synthetic": "The package makes it",
    "mrpc": "It is read from the folder that `--data-dir` names, else looked for in `$AIRBENCH_VAR_DATA` and "
    "the cache, else taken from the Hugging Face Hub",
    "photos": "The command `photos` writes its files from folders of images; `--data-dir` names their folder",
}


def page(document: Mapping[str, Any], question: str, findings: Findings) -> str:
    """Return the page of a study, from the document that numbers.json holds and what was found."""
    analysed = document["analysed"]
    lines = [
        f"# {document['title']}",
        "",
        f"{question} ({document['source']}.)",
        "",
        *([f"**{document['caveat']}**", ""] if document["caveat"] else []),
        f"    {analysed['command']}",
        "",
        *_trained(document),
        "",
        "## What the runs say of the paper's claims",
        "",
        *claims_table(findings.claims),
        "",
        *(line for note in findings.notes for line in (note, "")),
    ]
    for figure in findings.figures:
        lines += [f"![{figure.name}](figures/{figure.name}.png)", "", figure.caption, ""]
    lines += ["## Numbers", "", *_numbers_table(findings.numbers), ""]
    methods = dict.fromkeys(f"{n.name}: {n.method}" for n in findings.numbers if n.low is not None)
    lines += ["Intervals. " + "; ".join(methods) + ".", ""] if methods else []
    lines += [
        "`numbers.json` has all of it with methods and assumptions. The paper's values are of its own "
        "networks and data, and stand beside ours to compare.",
    ]
    return "\n".join(lines) + "\n"


def claims_table(claims: Sequence[Claim]) -> Iterator[str]:
    """Yield the rows of a Markdown table of verdicts."""
    yield "| claim | in the paper | here | why |"
    yield "|---|---|---|---|"
    for claim in claims:
        yield f"| {claim.text} | {claim.source} | **{claim.verdict}** | {claim.because}{_lacks(claim)} |"


def _lacks(claim: Claim) -> str:
    if claim.runs_needed:
        return f"; about {_rounded(claim.runs_needed)} runs would tell"
    if claim.examples_needed:
        return (
            "; no number of runs would tell on these examples, and with unlimited runs it takes about "
            f"{_rounded(claim.examples_needed)} examples"
        )
    return ""


def _rounded(number: int) -> str:
    """Return a number of two digits that count, as of an extrapolation: '21,000'."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _trained(document: Mapping[str, Any]) -> Iterator[str]:
    analysed = document["analysed"]
    devices = ", ".join(dict.fromkeys(str(arm["device"]) for arm in document["arms"]))
    commits = ", ".join(dict.fromkeys(shortened(arm["trained_at_commit"]) for arm in document["arms"]))
    yield (
        f"{document['data_title']}; trained on {devices}, commit {commits}; analysed at commit "
        f"{shortened(analysed['commit'])}, {analysed['created'][:10]}."
    )
    yield ""
    yield _data(document["data"])
    yield ""
    yield "| arm | recipe | hash | runs | varied | diverged | seconds a run |"
    yield "|---|---|---|---|---|---|---|"
    for arm in document["arms"]:
        yield (
            f"| {arm['name']} | {arm['recipe']['name']} | {arm['recipe_sha256'][:8]} | {arm['runs']:,} | "
            f"{', '.join(arm['vary'])} | {arm['diverged']} | {arm['seconds_of_training'] / arm['runs']:.1f} |"
        )


def _data(data: Mapping[str, Any]) -> str:
    """Return name and hashes of the data, and how to get them."""
    splits = [
        f"{name} {of['n']:,} examples ({', '.join(_hashes(of))})"
        for name, of in data.items()
        if name != "name"
    ]
    return (
        f"Data `{data['name']}`: {'; '.join(splits)}; the first characters of each sha256. "
        f"{_OBTAINED[data['name']]}."
    )


def _hashes(fingerprint: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fingerprint.items():
        if name.endswith("_sha256"):
            yield f"{name.removesuffix('_sha256')} {value[:8]}"


def _numbers_table(numbers: Sequence[Number]) -> Iterator[str]:
    yield "| number | of | arm | value | 95 % interval | n (runs x examples) | the paper |"
    yield "|---|---|---|---|---|---|---|"
    for number in numbers:
        value, interval = shown(number)
        value = f"{value} ({'; '.join(number.warnings)})" if number.warnings else value
        paper = "" if number.paper is None else _one(number.paper, number)
        target = _TARGETS.get(number.target, number.target)
        yield (
            f"| {number.name.replace('_', ' ')} | {target} | {number.arm} | {value} | {interval} | "
            f"{number.runs:,} x {number.examples:,} | {paper} |"
        )


def shown(number: Number) -> tuple[str, str]:
    """Return value and interval as people read them."""
    if number.value is None:
        return "none", number.absent
    ends = None if number.low is None or number.high is None else (number.low, number.high)
    if number.unit == "share":
        value = "0 %" if number.value == 0 else percent(number.value, decimals(ends))
        return value, span_text(ends) if ends else number.absent
    interval = f"{_one(ends[0], number)} to {_one(ends[1], number)}" if ends else number.absent
    return _one(number.value, number), interval


def _one(value: float, number: Number) -> str:
    if number.unit == "share":
        return percent(value, 3 if abs(value) < 0.01 else 2)
    if number.unit == "variance":
        in_millionths = 1e6 * value
        return f"{in_millionths:,.0f}e-6" if abs(in_millionths) >= 1000 else f"{in_millionths:.3g}e-6"
    if number.name.endswith("p_value") and value < LEAST_P_VALUE:
        return f"below {LEAST_P_VALUE:g}"
    if number.least and value <= number.least:
        return f"<= {value:.3g}"
    return f"{value:,.0f}" if number.unit == "count" else f"{value:.3g}"
