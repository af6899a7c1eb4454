"""One page over all studies in a folder: what they say of each of the paper's claims."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from airbench_var import machine
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.store.disk import replace_file, storage_errors
from airbench_var.studies.findings import Claim, Verdict
from airbench_var.studies.page import claims_table
from airbench_var.studies.study import NUMBERS, PAGE, SCHEMA

#: In a folder of studies, the name of the command that writes the page.
INDEX = "index"
#: Verdicts on several claims, where they read otherwise.
_SEVERAL: Mapping[Verdict, str] = {"holds": "hold", "does not hold": "do not hold"}


def write_index(folder: Path, names: Sequence[str]) -> Counter[Verdict]:
    """Write README.md into a folder of studies, and return how many claims have which verdict.

    names: of all studies, in the order of the page; those that are missing are named on it.

    Raises: UsageError when the folder has none of them, StoreRefusedError for numbers.json that no study
    wrote; nothing is written then.
    """
    found = {name: _read(folder / name / NUMBERS) for name in names if (folder / name / NUMBERS).is_file()}
    if not found:
        raise UsageError(
            f"{folder} has no study: an index is over folders {folder / names[0]}, {folder / names[1]}, ..., "
            f"as `study {names[0]} --out {folder / names[0]}` makes them."
        )
    claims = {name: [Claim(**claim) for claim in document["claims"]] for name, document in found.items()}
    verdicts: Counter[Verdict] = Counter(claim.verdict for some in claims.values() for claim in some)
    missing = [name for name in names if name not in found]
    text = "\n".join(_page(found, claims, verdicts, missing)) + "\n"
    with storage_errors(folder, "writing"):
        replace_file(folder / PAGE, text.encode())
    return verdicts


def _read(path: Path) -> dict[str, Any]:
    with storage_errors(path.parent, "reading"):
        text = path.read_text(encoding="utf-8")
    try:
        document: dict[str, Any] = json.loads(text)
        schema = document["schema"]
    except (ValueError, KeyError, TypeError):
        schema = None
    if schema != SCHEMA:
        raise StoreRefusedError(
            f"{path} is not the {SCHEMA} that a study writes. Run that study again with the same --out."
        )
    return document


def _caveats(found: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the studies of each caveat; numbers.json of before has none."""
    of: dict[str, list[str]] = {}
    for name, document in found.items():
        if caveat := document.get("caveat"):
            of.setdefault(caveat, []).append(name)
    return of


def counted(number: int, verdict: Verdict) -> str:
    """Return '1 holds', '2 hold'."""
    return f"{number} {verdict if number == 1 else _SEVERAL.get(verdict, verdict)}"


def _networks(found: Mapping[str, Mapping[str, Any]]) -> int:
    """Return how many networks were trained, those that several studies share counted once."""
    of: dict[str, int] = {}
    for document in found.values():
        for arm in document["arms"]:
            of[arm["identity_sha256"]] = max(arm["runs"], of.get(arm["identity_sha256"], 0))
    return sum(of.values())


def _page(
    found: Mapping[str, Mapping[str, Any]],
    claims: Mapping[str, Sequence[Claim]],
    verdicts: Mapping[Verdict, int],
    missing: Sequence[str],
) -> Iterator[str]:
    sums = ", ".join(counted(verdicts.get(verdict, 0), verdict) for verdict in get_args(Verdict))
    yield "# The paper's claims, one by one"
    yield ""
    yield f"    {machine.command()}"
    yield ""
    for caveat, of in _caveats(found).items():
        yield f"**{', '.join(of)}: {caveat}**"
        yield ""
    yield (
        f"Of {sum(verdicts.values())} claims {sums}. A verdict is of these recipes, data and numbers of "
        "runs, and follows from an interval, or from a count and what chance makes of it; where it cannot be "
        "told, the runs that would tell are an extrapolation."
    )
    yield ""
    yield (
        "| study | in the paper | scale | data | arms | runs | hours of one worker | analysed at commit "
        "| date |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, document in found.items():
        arms = document["arms"]
        hours = sum(arm["seconds_of_training"] for arm in arms) / 3600
        analysed = document["analysed"]
        yield (
            f"| [{name}]({name}/{PAGE}) | {document['source']} | {document['scale']} | "
            f"{document['data_title']} | {len(arms)} | {sum(arm['runs'] for arm in arms):,} | {hours:.1f} | "
            f"{machine.shortened(analysed['commit'])} | {analysed['created'][:10]} |"
        )
    yield ""
    yield (
        "Studies share runs: those of one recipe and seeds, by one engine, are trained once. Together they "
        f"are {_networks(found):,} networks."
    )
    if missing:
        yield ""
        yield f"Not in this folder: {', '.join(missing)}."
    for name, some in claims.items():
        yield ""
        yield f"## {found[name]['title']}"
        yield ""
        yield f"    {found[name]['analysed']['command']}"
        yield ""
        if found[name].get("caveat"):
            yield f"**{found[name]['caveat']}**"
            yield ""
        yield from claims_table(some)
