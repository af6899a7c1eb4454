"""Every study from beginning to end at scale quick, and what its folder refuses."""

import json
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from airbench_var.cli.studying import NAMES
from airbench_var.errors import DataError, DeviceError, StoreRefusedError, UsageError
from airbench_var.report.figures import canvas
from airbench_var.studies import STUDIES, arms, find_study, run_study
from airbench_var.studies.arms import Workplace
from airbench_var.studies.findings import Claim, Findings, Verdict
from airbench_var.studies.scales import SCALES, Scale, find_scale
from airbench_var.studies.study import SCHEMA, Study
from tests.cli.running import exit_code
from tests.data.published import write_cifar10_1
from tests.studies.conftest import QUICK

ROOT = Path(__file__).parents[2]
LEAST_RUNS = {"finetune": 60, "durations": 300, "learning-rate": 200, "augmentation": 200, "seeds": 200}


@dataclass(frozen=True)
class Done:
    study: Study
    scale: Scale
    workplace: Workplace
    findings: Findings
    out: Path

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.out / "numbers.json").read_text())
        return document


@pytest.fixture(scope="module", params=STUDIES)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    study = STUDIES[request.param]
    out = tmp_path_factory.mktemp("out") / study.name
    scale, workplace = QUICK, "workplace"
    if study.data == "mrpc":
        scale, workplace = request.getfixturevalue("quick_on_pairs"), "on_pairs"
    place = request.getfixturevalue(workplace)
    return Done(study, scale, place, run_study(study, scale, place, out), out)


def test_numbers_have_an_interval_or_say_why_not(done: Done) -> None:
    numbers = done.document["numbers"]
    assert numbers
    for number in numbers:
        assert number["method"], number
        assert number["runs"] > 1, number
        assert number["examples"] > 0, number
        if number["value"] is None or number["low"] is None:
            assert number["absent"], number
        else:
            assert number["low"] <= number["high"], number
            assert number["level"] == 0.95, number
        for key in ("value", "low", "high"):
            assert number[key] is None or math.isfinite(number[key]), number


def test_most_numbers_have_a_value(done: Done) -> None:
    numbers = done.document["numbers"]
    assert sum(number["value"] is not None for number in numbers) >= 0.8 * len(numbers)


def test_the_document_says_where_its_runs_are_from(done: Done) -> None:
    document = done.document
    assert document["schema"] == SCHEMA
    assert document["study"] == done.study.name
    assert (document["scale"], document["caveat"]) == ("quick", QUICK.caveat)
    assert f"\n**{QUICK.caveat}**\n" in (done.out / "README.md").read_text()
    for arm, planned in zip(document["arms"], done.study.arms(done.scale), strict=True):
        assert arm["recipe_sha256"] == planned.recipe.sha256
        assert arm["runs"] == planned.runs
        assert arm["seconds_of_training"] > 0
        assert arm["device"]


def test_every_claim_has_a_verdict_and_a_reason(done: Done) -> None:
    claims = done.document["claims"]
    assert claims
    page = (done.out / "README.md").read_text()
    for claim in claims:
        assert claim["verdict"] in ("holds", "does not hold", "cannot be told")
        assert claim["because"]
        assert claim["source"]
        assert claim["text"] in page
        assert "nan" not in claim["because"]


def cut_off(png: Path) -> bool:
    """Does ink lie on the edge of a picture? Then something goes on beyond it."""
    pixels_HWC = imread(png)[..., :3]
    edges = pixels_HWC[0], pixels_HWC[-1], pixels_HWC[:, 0], pixels_HWC[:, -1]
    return min(float(edge.min()) for edge in edges) < 1


@pytest.mark.parametrize(
    "png",
    sorted((ROOT / "results" / "studies").glob("*/figures/*.png")),
    ids=lambda png: f"{png.parts[-3]}-{png.stem}",
)
def test_no_figure_of_the_results_is_cut_off(png: Path) -> None:
    assert not cut_off(png)


def test_figures_are_whole_and_on_the_page(done: Done) -> None:
    page = (done.out / "README.md").read_text()
    files = {path.name for path in (done.out / "figures").iterdir()}
    names = done.document["figures"]
    assert names or done.document["notes"]
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    for name in names:
        assert f"figures/{name}.png" in page
        assert not cut_off(done.out / "figures" / f"{name}.png")
        ElementTree.fromstring((done.out / "figures" / f"{name}.svg").read_text())


def test_again_trains_nothing_and_finds_the_same(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("trains again")

    def bytes_of() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (done.out / "figures").iterdir()}

    before, numbers = bytes_of(), done.document["numbers"]
    monkeypatch.setattr(arms, "run_campaign", never)
    run_study(done.study, done.scale, replace(done.workplace), done.out)
    assert done.document["numbers"] == numbers
    assert bytes_of() == before


def test_scale_cpu_has_as_many_runs_as_its_claims_need() -> None:
    cpu = SCALES["cpu"]
    for name, least in LEAST_RUNS.items():
        by_length = [arm for arm in STUDIES[name].arms(cpu) if not arm.test_sets]  # others add a number
        assert by_length
        assert all(arm.runs >= least for arm in by_length), name
    lengths = {arm.recipe.epochs for arm in STUDIES["durations"].arms(cpu)}
    assert len(lengths) >= 4


@pytest.mark.parametrize("scale", SCALES)
def test_arms_of_a_scale_have_names_and_seeds_of_their_own(scale: str) -> None:
    """Equal recipes with equal seeds would be the same runs: not independent, where they seem to be."""
    for name, study in STUDIES.items():
        planned = study.arms(SCALES[scale])
        assert len({arm.name for arm in planned}) == len(planned), name
        campaigns = {(arm.recipe.sha256, arm.seed, arm.vary) for arm in planned}
        assert len(campaigns) == len(planned), name


def test_other_settings_are_refused_with_what_differs(workplace: Workplace, tmp_path: Path) -> None:
    study, out = STUDIES["linear"], tmp_path / "linear"
    run_study(study, QUICK, workplace, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    more = replace(QUICK, runs={**QUICK.runs, "linear": 7})
    with pytest.raises(StoreRefusedError, match=r"other settings(.|\n)*runs(.|\n)*6(.|\n)*7"):
        run_study(study, more, workplace, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_folder_of_something_else_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StoreRefusedError, match=r"not empty: it holds thesis\.tex"):
        run_study(STUDIES["linear"], QUICK, workplace, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_cut_short_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"format": "airb')
    with pytest.raises(StoreRefusedError, match="not whole"):
        run_study(STUDIES["linear"], QUICK, workplace, tmp_path)


def test_without_matplotlib_nothing_is_trained(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas, "find_spec", lambda _: None)
    stores = replace(workplace, stores=tmp_path / "stores")
    with pytest.raises(DeviceError, match=r"pip install 'airbench_var\[report\]'"):
        run_study(STUDIES["linear"], QUICK, stores, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_names_that_are_none_are_told_the_nearest() -> None:
    assert tuple(STUDIES) == NAMES
    with pytest.raises(UsageError, match=r"'duration'.*'durations'"):
        find_study("duration")
    with pytest.raises(UsageError, match=r"'cpus'.*'cpu'"):
        find_scale("cpus")


def test_truth_needs_a_sampler(workplace: Workplace, tmp_path: Path) -> None:
    other = replace(workplace, data=replace(workplace.data, name="photos"))
    with pytest.raises(UsageError, match="--data synthetic"):
        run_study(STUDIES["truth"], QUICK, other, tmp_path / "out")


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The scales that the command would have trained."""
    seen: list[Any] = []

    def not_now(study: Study, scale: Any, *_: object) -> Findings:
        seen.append(scale)
        return Findings(numbers=[], claims=[], figures=[])

    monkeypatch.setattr("airbench_var.studies.run_study", not_now)
    return seen


def test_runs_are_kept_where_it_is_asked_and_every_verdict_is_printed(
    workplace: Workplace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stores = []

    def not_now(study: Study, scale: Scale, place: Workplace, out: Path) -> Findings:
        stores.append(place.stores)
        verdicts: tuple[Verdict, ...] = ("holds", "cannot be told")
        claims = [Claim(text=f"T {v}", source="S", verdict=v, because=f"B {v}") for v in verdicts]
        return Findings(numbers=[], claims=claims, figures=[])

    monkeypatch.setattr("airbench_var.studies.run_study", not_now)
    monkeypatch.setattr("airbench_var.data.load", lambda *_: workplace.data)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    command = ["study", "linear", "--data", "synthetic", "--quiet", "--out", str(out)]
    assert exit_code(command) == exit_code([*command, "--stores", str(elsewhere)]) == 0
    assert stores == [out / "stores", elsewhere]
    told = [
        "holds           T holds: B holds",
        "cannot be told  T cannot be told: B cannot be told",
        f"{out / 'README.md'} has numbers and figures",
    ]
    assert [line for line in capsys.readouterr().out.splitlines() if "Note:" not in line] == 2 * told


def test_the_terminal_says_that_scale_quick_says_nothing_of_the_paper(
    asked_for: list[Any],
    workplace: Workplace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("airbench_var.data.load", lambda *_: workplace.data)
    command = ["study", "linear", "--data", "synthetic", "--out", str(tmp_path)]
    assert exit_code([*command, "--quiet"]) == 0
    assert capsys.readouterr().out.startswith(f"Note: {QUICK.caveat}\n")
    assert exit_code([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["scale"], printed["caveat"]) == ("quick", QUICK.caveat)
    assert exit_code([*command, "--quiet", "--scale", "cpu"]) == 0
    assert "Note:" not in capsys.readouterr().out


def test_the_study_of_shift_takes_published_test_sets(
    asked_for: list[Any],
    workplace: Workplace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = replace(workplace.data, name="cifar10", folder=tmp_path)
    monkeypatch.setattr("airbench_var.data.load", lambda *_: data)
    command = ["study", "shift", "--out", str(tmp_path / "out"), "--test-sets", "cifar10.1-v6:100,cifar10.2"]
    assert exit_code(command) == DataError.exit_code
    told = capsys.readouterr().err
    assert "cifar10.1_v6_data.npy" in told
    assert "cifar102_test.npz" in told
    assert not asked_for
    write_cifar10_1(tmp_path, "v6")
    assert exit_code([*command, "--skip-missing-test-sets"]) == 0
    assert "cifar102_test.npz" in capsys.readouterr().err
    assert asked_for[0].published == ("cifar10.1-v6:100",)
    [arm] = STUDIES["shift"].arms(asked_for[0])
    assert arm.test_sets[-1] == "cifar10.1-v6:100"
    command[1] = "linear"
    assert exit_code(command) == UsageError.exit_code
