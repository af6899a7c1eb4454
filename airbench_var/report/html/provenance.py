"""Where the runs of a page come from: how fast, with what, from which recipe and seeds."""

import json
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis.estimate import too_few
from airbench_var.report.figures.canvas import Figure
from airbench_var.report.figures.pace import FEWEST_TOGETHER, draw_pace, draw_seconds
from airbench_var.report.html.elements import Html, tag
from airbench_var.report.html.parts import Picture, details, pictures, table
from airbench_var.report.reported import Reported, Session
from airbench_var.report.store import lines
from airbench_var.store.records import Records

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: Of the first and last runs, whose seeds are shown.
_SEEDS_SHOWN = 3

#: What is shown as it stands in the manifest, with its heading.
_IN_FULL = {"recipe": "Recipe in full", "function": "Function", "data": "Data", "numerics": "Numerics"}


def throughput(reported: Reported, prefix: str) -> Html:
    """Return how long runs took, and how many an hour there were in each session."""
    timed = reported.committed[np.isfinite(reported.committed["train_s"])]
    absent = "" if len(timed) else "no run of this store has a time"
    said = ""
    if len(timed):
        middle, slow = np.quantile(timed["train_s"], (0.5, 0.95))
        said = (
            f"Half of the {len(timed):,} runs took less than {middle:.3g} s of training, 95 % less than "
            f"{slow:.3g} s; together {timed['train_s'].sum() / 3600:.3g} hours of one worker."
        )
    seconds = Picture(
        title="Seconds of training, run by run",
        figure=Figure(
            name="seconds",
            caption="One dot a run, in the order of their ids: from the first step to the end of the "
            "evaluation, without compiling.",
            draw=partial(_seconds, timed),
            inches=(4.8, 3.0),
        ),
        absent=absent,
        says=said,
    )
    pace = Picture(
        title="Runs per hour",
        figure=Figure(
            name="pace",
            caption="Of one worker: 3,600 over the mean seconds of runs with neighbouring ids. What lies "
            "between runs is not in it; the sessions below have it.",
            draw=partial(_pace, timed),
            inches=(4.8, 3.0),
        ),
        absent=absent or too_few("run", len(timed), FEWEST_TOGETHER),
    )
    headings = ("began", "ended", "runs", "runs per hour", "workers", "device")
    rows = [_row(session) for session in reported.sessions]
    shown = table("Sessions (UTC); runs per hour with loading and compiling", headings, rows)
    return tag(
        "section",
        tag("h3", "Throughput"),
        pictures([seconds, pace], prefix),
        shown if rows else tag("p", "The store has no log of its sessions.", class_="absent"),
        id=f"{prefix}-throughput",
    )


def _row(session: Session) -> tuple[str, ...]:
    ended = _clock(session.stop) if session.stop else "not told: killed, or still writing"
    return (
        _clock(session.start),
        f"{ended} ({session.stopped_by})" if session.stopped_by else ended,
        "" if session.runs is None else f"{session.runs:,}",
        "" if session.per_hour is None else f"{session.per_hour:,.1f}",
        "" if session.workers is None else f"{session.workers}",
        session.device or "",
    )


def _clock(time: str) -> str:
    return time[:19].replace("T", " ")


def _seconds(timed: Records, canvas: "Canvas") -> None:
    draw_seconds(canvas.subplots(), timed)


def _pace(timed: Records, canvas: "Canvas") -> None:
    draw_pace(canvas.subplots(), timed)


def provenance(reported: Reported, prefix: str) -> Html:
    """Return what the store is of and where it came from, with seeds and recipe in full."""
    identity = reported.store.manifest.identity
    rows = [(tag("dt", name), tag("dd", value)) for name, value in lines(reported.info, reported.name)]
    folded = (
        [details("Seeds of the runs", _seeds(reported.committed))] if not identity.get("imported") else []
    )
    for name, heading in (
        ("recipe", "Recipe in full"),
        ("function", "Function"),
        ("data", "Data"),
        ("numerics", "Numerics"),
    ):
        if name in identity:
            text = json.dumps(identity[name], indent=2)
            folded.append(details(heading, tag("pre", text, tabindex="0", aria_label=heading)))
    return tag(
        "section",
        tag("h3", "Provenance"),
        tag("dl", *(one for row in rows for one in row), class_="provenance"),
        *folded,
        id=f"{prefix}-provenance",
    )


def _seeds(committed: Records) -> Html:
    """Return the seeds of the first and the last runs; all are in the store, and follow from the recipe's."""
    shown = committed
    if len(committed) > 2 * _SEEDS_SHOWN:
        shown = np.concatenate([committed[:_SEEDS_SHOWN], committed[-_SEEDS_SHOWN:]])
    names = ("init_seed", "order_seed", "aug_seed")
    rows = [(f"{run['run_id']}", *(f"{run[name]}" for name in names)) for run in shown]
    caption = "The first and the last runs; the store has all" if len(shown) < len(committed) else "All runs"
    return table(caption, ("run id", "init", "order", "aug"), rows)
