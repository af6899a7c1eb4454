"""A study: which runs it needs, what they say, and the folder that both end in.

OUT/study.json     what is asked for; a study that goes on with anything else is refused
OUT/numbers.json   every number with interval, n and method, and the verdicts
OUT/figures/       PNG and SVG
OUT/README.md      the same for people
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airbench_var import machine
from airbench_var.data.dataset import Dataset
from airbench_var.errors import StoreRefusedError
from airbench_var.report.figures.canvas import require_matplotlib, save_figure
from airbench_var.store.disk import replace_file, storage_errors
from airbench_var.store.manifest import differences
from airbench_var.studies.arms import Arm, Evidence, Trained, Workplace, identity_sha256
from airbench_var.studies.findings import Findings
from airbench_var.studies.page import page
from airbench_var.studies.scales import Scale

ASKED, NUMBERS, PAGE, FIGURES = "study.json", "numbers.json", "README.md", "figures"
FORMAT, SCHEMA = "airbench_var study", "airbench_var/study/1"


@dataclass(frozen=True, kw_only=True)
class Study:
    """One of the paper's experiments, or one of ours."""

    name: str  #: of the command: "durations"
    title: str  #: for people
    source: str  #: in the paper: "sections 2 and 3, Fig 1, 2, 3 and 5"
    question: str  #: what it asks, in one or two sentences
    arms: Callable[[Scale], Sequence[Arm]]
    findings: Callable[[Evidence], Findings]
    data: str = ""  #: the data set that it needs; by default that of the scale
    published: bool = False  #: whether its arms are also evaluated on the scale's published test sets


def run_study(study: Study, scale: Scale, workplace: Workplace, out: Path) -> Findings:
    """Train what is missing of every arm, and leave numbers, figures and page in `out`.

    Raises:
        UsageError: an arm's recipe does not fit the data; nothing was made.
        DeviceError: matplotlib is missing; nothing was made.
        StoreRefusedError: `out` holds something else, or the study with other settings.
        and whatever `run_campaign` raises: the same command goes on from there.
    """
    require_matplotlib("studies")
    if isinstance(workplace.data, Dataset):
        scale = replace(scale, train_images=len(workplace.data.train))
    arms = study.arms(scale)
    for arm in arms:
        workplace.campaign(arm).subject.refuse_misfit()
    asked = _asked(study, scale, arms, workplace)
    _agree(out, asked)
    for arm in arms:
        workplace.train(arm)
    trained = [workplace.trained(arm) for arm in arms]
    findings = study.findings(Evidence(trained=trained, data=workplace.data, scale=scale))
    _write(study, asked, scale.caveat, trained, findings, out)
    return findings


def _asked(study: Study, scale: Scale, arms: Sequence[Arm], workplace: Workplace) -> dict[str, Any]:
    """Return what a study is of, as JSON values."""
    return {
        "format": FORMAT,
        "study": study.name,
        "scale": scale.name,
        "data": {"name": workplace.data.name, **workplace.data.fingerprint},
        "arms": [
            {
                "name": arm.name,
                "recipe": arm.recipe.to_dict(),
                "recipe_sha256": arm.recipe.sha256,
                "runs": arm.runs,
                "seed": arm.seed,
                "vary": list(arm.vary),
                **({"test_sets": list(arm.test_sets)} if arm.test_sets else {}),
                "identity_sha256": identity_sha256(workplace.campaign(arm)),
            }
            for arm in arms
        ],
    }


def _agree(out: Path, asked: dict[str, Any]) -> None:
    """Write what is asked for into a new folder, or see that it is what the folder was made for.

    Raises: StoreRefusedError, with what differs.
    """
    path, text = out / ASKED, json.dumps(asked, indent=1) + "\n"
    with storage_errors(out, "opening"):
        there = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
        old = path.read_text(encoding="utf-8") if ASKED in there else None
    if old is None:
        if there:
            raise StoreRefusedError(
                f"{out} is not a study and not empty: it holds {', '.join(sorted(there)[:5])}; nothing was "
                "written. Choose a new or empty folder with --out."
            )
        with storage_errors(out, "creating"):
            out.mkdir(parents=True, exist_ok=True)
            replace_file(path, text.encode())
    elif old != text:
        try:
            lines = differences(json.loads(old), asked, "in the folder", "now")
        except ValueError:
            lines = [f"{ASKED} is not whole"]
        raise StoreRefusedError(
            f"{out} is a study with other settings; nothing was written. What differs:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nChoose another folder with --out; runs in --stores are found again by what they are of."
        )


def _write(
    study: Study,
    asked: dict[str, Any],
    caveat: str,
    trained: Sequence[Trained],
    findings: Findings,
    out: Path,
) -> None:
    origin = machine.origin("airbench_var", "torch", "numpy", "scipy", "matplotlib")
    made = [_made(arm) for arm in trained]
    document = {
        "schema": SCHEMA,
        "study": study.name,
        "title": study.title,
        "source": study.source,
        "scale": asked["scale"],
        "caveat": caveat or None,
        "analysed": origin,
        "data": asked["data"],
        "data_title": trained[0].store.manifest.provenance.get("data_title"),
        "arms": [arm | of for arm, of in zip(asked["arms"], made, strict=True)],
        **findings.to_json(),
    }
    figures = out / FIGURES
    with storage_errors(out, "writing"):
        figures.mkdir(exist_ok=True)
        for figure in findings.figures:
            save_figure(figure, figures)
        replace_file(out / PAGE, page(document, study.question, findings).encode())
        replace_file(out / NUMBERS, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def _made(trained: Trained) -> dict[str, Any]:
    """Return where the runs of an arm come from."""
    created_by = trained.store.manifest.provenance
    return {
        "device": created_by.get("device"),
        "trained_at_commit": created_by.get("commit"),
        "diverged": len(trained.diverged),
        "seconds_of_training": float(trained.store.records(trained.run_ids_R)["train_s"].sum()),
    }
