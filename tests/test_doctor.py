from pathlib import Path

import pytest

from airbench_var import cli, doctor
from airbench_var.data import synthetic
from airbench_var.doctor import Finding, examine
from airbench_var.errors import DeviceError
from airbench_var.kernels import native


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
    assert "the same bits as its reference" in found("augmentation", findings).what
    assert str(tmp_path) in found("disk", findings).what
    assert sum(", the default for tiny: " in one.what for one in findings) == 1


def test_a_network_is_trained() -> None:
    data = synthetic.load(doctor.FEW_IMAGES, doctor.FEW_IMAGES)
    assert doctor._trains(data, "cpu", "eager").startswith("trains; ready and trained in ")


def test_a_function_is_compiled() -> None:
    assert doctor._compiles().startswith("compiles")


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
    finding = found("data", list(examine()))
    assert finding.state == "missing"
    assert "downloaded" in finding.remedy
    finding = found("data", list(examine(tmp_path)))
    assert "holds no CIFAR-10" in finding.what


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


@pytest.mark.parametrize(("needed", "code"), [(True, 7), (False, 0)])
def test_the_command_fails_when_the_main_job_would(
    needed: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lack = Finding(name="thing", state="missing", what="no [thing] here", remedy="get it", needed=needed)
    monkeypatch.setattr(doctor, "examine", lambda folder: iter([lack]))
    assert cli.main(["doctor"]) == code
    out = capsys.readouterr().out
    assert "no [thing] here" in out
    assert "-> get it" in out
    assert ("Not ready: thing." in out) == needed
    assert cli.main(["doctor", "--json"]) == code
    assert '"remedy": "get it"' in capsys.readouterr().out
