import io
import json
import sys
import tomllib
import warnings
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from airbench_var import cli, doctor
from airbench_var.data import synthetic
from airbench_var.data.dataset import Dataset
from airbench_var.doctor import Finding, examine
from airbench_var.errors import DataError, DeviceError, UsageError
from airbench_var.kernels import airbench, native
from airbench_var.report.doctor import print_finding
from airbench_var.training import Settings


def found(name: str, findings: list[Finding]) -> Finding:
    [finding] = [one for one in findings if one.name == name]
    return finding


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds."""
    monkeypatch.setattr(doctor, "_trains", lambda *_, **__: "trains")
    monkeypatch.setattr(doctor, "_compiles", lambda: "compiles")


@pytest.mark.usefixtures("quick")
def test_all_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    findings = list(examine())
    names = [finding.name for finding in findings]
    assert names[:5] == ["python", "processor", "pytorch", "device", "augmentation"]
    assert len(set(names)) == len(names)
    assert all(one.state == "ok" for one in findings if one.needed)
    [engine] = [one.name for one in findings if ", the default for tiny: " in one.what]
    assert [one.name for one in findings if one.needed] == [*names[:5], engine]
    assert {"engine tiles", "engine native", "engine eager", "torch.compile", "ffcv", "ray"} <= {*names}
    assert "the same bits as its reference" in found("augmentation", findings).what
    assert str(tmp_path) in found("disk", findings).what


def test_every_way_to_train_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def trains(data: object, device: str, engine: str, loader: str = "resident") -> str:
        tried.append((device, engine, loader))
        return "trains"

    monkeypatch.setattr(doctor, "_trains", trains)
    monkeypatch.setattr(doctor, "_compiles", lambda: "compiles")
    list(doctor._of_training())
    engines = [("cpu", engine, "resident") for engine in ("tiles", "native", "eager")]
    assert tried == [*engines, ("cpu", "eager", "ffcv")]


@pytest.mark.usefixtures("quick")
def test_gpus_of_two_kinds_are_a_finding_and_one_of_them_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(asked: str) -> None:
        raise UsageError("cuda:0 is A, cuda:1 is B: name one kind")

    monkeypatch.setattr("airbench_var.training.choose_devices", refuses)
    findings = list(doctor._of_training())
    assert found("device", findings).what == "cuda:0 is A, cuda:1 is B: name one kind"
    assert found("device", findings).needed
    names = [one.name for one in findings]
    assert names == ["device", "augmentation", "engine compiled", "engine eager", "ffcv"]


@pytest.mark.usefixtures("quick")
def test_without_pytorch_the_rest_is_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    findings = list(examine())
    names = [one.name for one in findings]
    assert names == ["python", "processor", "pytorch", *doctor.EXTRAS, "data", "disk"]
    finding = found("pytorch", findings)
    assert (finding.state, finding.needed) == ("missing", True)
    assert finding.remedy.startswith("pip install 'torch>=")


def test_a_network_is_trained() -> None:
    data = synthetic.load(doctor.FEW_IMAGES, doctor.FEW_IMAGES)
    assert doctor._trains(data, "cpu", "eager").startswith("trains; ready and trained in ")


@pytest.mark.parametrize("diverged", [False, True])
def test_a_network_is_trained_as_it_is_asked(diverged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []

    def subject(settings: Settings, **_: object) -> object:
        asked.append(settings)
        result = SimpleNamespace(diverged=diverged)
        return SimpleNamespace(make_train=lambda workers_see_one_gpu: lambda: lambda seeds: result)

    monkeypatch.setattr("airbench_var.training.RecipeOnData", subject)
    monkeypatch.setattr("airbench_var.training.choose_engine", lambda *_: None)
    monkeypatch.setitem(sys.modules, "airbench_var.data.ffcv_loader", SimpleNamespace())
    data = synthetic.load(2, 2)
    if diverged:
        with pytest.raises(DeviceError, match="a loss is not finite"):
            doctor._trains(data, "cuda:1", "compiled", "ffcv")
    else:
        assert doctor._trains(data, "cuda:1", "compiled", "ffcv").startswith("trains")
    assert asked == [Settings(device="cuda:1", engine="compiled", loader="ffcv")]


def test_ffcv_that_is_missing_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ffcv.loader", None)
    monkeypatch.delitem(sys.modules, "airbench_var.data.ffcv_loader", raising=False)
    with pytest.raises(DeviceError, match=r"airbench_var\[ffcv\]"):
        doctor._trains(synthetic.load(2, 2), "cpu", "eager", "ffcv")


def test_a_function_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._compiles().startswith("compiles")
    monkeypatch.setattr(torch, "compile", lambda function: lambda x: function(x) + 1)
    with pytest.raises(ArithmeticError, match="gives other values"):
        doctor._compiles()


def test_the_commit_is_told_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for commit, end in (
        ("0123456789abcdef", " at commit 01234567"),
        ("0123456789abcdef+", " at commit 01234567+"),
        (None, ""),
    ):
        monkeypatch.setattr("airbench_var.machine.commit", lambda commit=commit: commit)
        monkeypatch.setattr("airbench_var.machine.version", lambda name: "9.8")
        assert doctor._python().endswith(f"airbench_var 9.8{end}")


@pytest.mark.parametrize(
    ("error", "state", "what", "remedy"),
    [
        (doctor._MissingError("no such thing", "get it"), "missing", "no such thing", "get it"),
        (DeviceError("it needs X: install X"), "missing", "it needs X: install X", ""),
        (ZeroDivisionError("by nothing"), "broken", "ZeroDivisionError: by nothing", "tell us"),
        (ValueError(), "broken", "ValueError: without a message", "tell us"),
    ],
)
def test_what_fails_is_a_finding(error: Exception, state: str, what: str, remedy: str) -> None:
    def check() -> str:
        raise error

    finding = doctor._tried("thing", check, needed=True)
    assert (finding.state, finding.what, finding.needed) == (state, what, True)
    assert remedy in finding.remedy
    assert bool(remedy) == bool(finding.remedy)


def test_a_warning_is_no_failure() -> None:
    def check() -> str:
        warnings.warn("by and by", DeprecationWarning, stacklevel=1)
        return "fine"

    assert doctor._tried("thing", check) == Finding(name="thing", state="ok", what="fine")


@pytest.mark.usefixtures("quick")
def test_kernels_that_differ_from_their_reference_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    from airbench_var.kernels import augment

    right = augment.reference.augment

    def wrong(*arguments: object) -> object:
        return right(*arguments) + 1  # type: ignore[arg-type]

    monkeypatch.setattr(augment.reference, "augment", wrong)
    finding = found("augmentation", list(examine()))
    assert (finding.state, finding.needed) == ("broken", True)
    assert "not what its reference gives" in finding.what


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("flags", "tiles"), [(airbench.NEEDS, "cannot"), (airbench.NEEDS_FOR_TILES, "missing")]
)
def test_what_a_processor_is_not_made_for_is_not_missing(
    flags: tuple[str, ...], tiles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be installed for it; a compiler can."""
    monkeypatch.undo()
    monkeypatch.setenv("CC", "none")
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset(flags))
    monkeypatch.setattr(doctor, "_compiles", lambda: "compiles")
    findings = list(examine())
    assert found("engine tiles", findings).state == tiles
    assert found("engine native", findings).state == "missing"


@pytest.mark.usefixtures("quick")
def test_without_a_compiler_the_engines_in_c_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("CC", "none")
    monkeypatch.setattr(doctor, "_compiles", lambda: "compiles")
    findings = list(examine())
    assert "$CC is 'none'" in found("engine native", findings).what
    assert found("engine native", findings).state == "missing"
    assert found("engine eager", findings).needed
    assert not native.compiler()[0]


@pytest.mark.usefixtures("quick")
def test_data_that_are_missing_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRBENCH_VAR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "_of_training", lambda: iter(()))  # which would build its kernels there
    finding = found("data", list(examine()))
    assert finding.state == "missing"
    assert f"no CIFAR-10 in $AIRBENCH_VAR_DATA or {tmp_path}" in finding.what
    assert "downloaded" in finding.remedy
    finding = found("data", list(examine(tmp_path)))
    assert "holds no CIFAR-10" in finding.what


def test_data_that_are_there_are_read(monkeypatch: pytest.MonkeyPatch, small_data: Dataset) -> None:
    def reads(path: str, layout: str) -> Dataset:
        if layout == "damaged":
            raise DataError(f"{path} is damaged")
        return small_data

    monkeypatch.setattr("airbench_var.data.cifar10.read", reads)
    monkeypatch.setattr("airbench_var.data.cifar10.find", lambda folder: ("here", "whole"))
    assert doctor._data(None) == "Small, tests"
    monkeypatch.setattr("airbench_var.data.cifar10.find", lambda folder: ("here", "damaged"))
    with pytest.raises(DataError, match="here is damaged"):
        doctor._data(None)


def test_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(9 * 2**40, 2**40, 1234 * 2**30)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(doctor, "network_warning", lambda folder: None)
    for kind, name in (("ext4", "ext4"), (None, "an unknown filesystem")):
        monkeypatch.setattr(doctor, "filesystem_of", lambda folder, kind=kind: kind)
        assert doctor._disk() == f"{tmp_path}: 1,234.0 GiB free on {name}"
    monkeypatch.setattr(doctor, "network_warning", lambda folder: f"{folder} is far away")
    finding = doctor._tried("disk", doctor._disk)
    assert (finding.state, finding.what) == ("missing", f"{tmp_path} is far away")
    assert "--out" in finding.remedy


@pytest.mark.usefixtures("quick")
def test_a_driver_that_pytorch_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airbench_var.machine.nvidia_driver", lambda: "550.54.15")
    finding = found("device", list(examine()))
    assert finding.state == "missing"
    assert "CUDA build" in finding.remedy


@pytest.mark.usefixtures("quick")
def test_extras_that_are_missing_come_with_their_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    findings = list(examine())
    for extra in doctor.EXTRAS:
        assert found(extra, findings).state == "missing"
        assert found(extra, findings).remedy == f"pip install 'airbench_var[{extra}]'"


def test_every_extra_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert {*doctor.EXTRAS, "ffcv", "dev"} == set(project["optional-dependencies"])


@pytest.mark.parametrize("width", range(50, 90))
def test_a_number_and_its_unit_stay_on_one_line(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width)
    print_finding(Finding(name="engine", state="ok", what="compiles a small function in 5.5 s"), console)
    assert "5.5 s" in file.getvalue()
    assert max(map(len, file.getvalue().splitlines())) <= width


@pytest.mark.parametrize(
    ("state", "needed", "colour"),
    [("ok", True, 32), ("missing", False, 33), ("missing", True, 31), ("broken", False, 31)],
)
def test_only_what_stops_the_main_job_is_red(state: Any, needed: bool, colour: int) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", width=80)
    print_finding(Finding(name="thing", state=state, what="it", needed=needed), console)
    assert f"\x1b[{colour}m{state}" in file.getvalue()


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[object]]:
    """Make some things all that is found; returns the folders that are asked for data from then on."""

    def only(*findings: Finding) -> list[object]:
        folders: list[object] = []
        monkeypatch.setattr(doctor, "examine", lambda folder: folders.append(folder) or iter(findings))
        return folders

    return only


def test_the_command_ends_with_one_that_this_machine_can_take(
    only: Callable[..., list[object]], capsys: pytest.CaptureFixture[str]
) -> None:
    for device, data, command in (
        ("cuda:0: a GPU", "ok", "--runs 10000\n"),
        ("cpu: no CUDA GPU was found", "ok", "--runs 200 --recipe tiny\n"),
        ("cpu: no CUDA GPU was found", "missing", "--runs 200 --recipe tiny --data synthetic\n"),
    ):
        only(
            Finding(name="device", state="ok", what=device, needed=True),
            Finding(name="data", state=data, what="there or not"),  # type: ignore[arg-type]
        )
        assert cli.main(["doctor"]) == 0
        assert capsys.readouterr().out.endswith(command)


@pytest.mark.parametrize("state", ["missing", "broken"])
@pytest.mark.parametrize(("needed", "code"), [(True, 7), (False, 0)])
def test_the_command_fails_when_the_main_job_would(
    state: Any,
    needed: bool,
    code: int,
    only: Callable[..., list[object]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    lack = Finding(name="thing", state=state, what="no [thing] here", remedy="get it", needed=needed)
    folders = only(lack)
    assert cli.main(["doctor", "--data-dir", "here"]) == code
    out = capsys.readouterr().out
    assert f"{state} " in out
    assert "no [thing] here" in out
    assert "-> get it" in out
    assert ("Not ready: thing." in out) == needed
    assert ("Ready: python -m airbench_var --runs 10000" in out) != needed
    assert cli.main(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {"findings": [lack.to_json()]}
    assert folders == [Path("here"), None]
