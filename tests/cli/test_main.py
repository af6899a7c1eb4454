"""The command line: each mistake gets one message, its exit code, and an untouched disk."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbench_var import cli
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data.dataset import Dataset
from airbench_var.errors import DeviceError
from airbench_var.kernels import airbench, native
from airbench_var.recipes import find_recipe
from airbench_var.store import Store
from airbench_var.training import RecipeOnData, Settings
from tests.cli.running import CONTEST, exit_code, flat
from tests.test_campaign import digest, fake


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "required: --runs"),
        (["--runs", "0"], 2, "'0' is not a whole number of 1 or more"),
        (["--runs", "-3"], 2, "is not a whole number of 1 or more"),
        (["--runs", "many"], 2, "'many' is not a whole number"),
        (["--runs", "1", "--seed", "-1"], 2, "is not a whole number of 0 or more"),
        (["--runs", "1", "--workers", "0"], 2, "is not a whole number of 1 or more"),
        (["--runs", "1", "--runs-per-device", "0"], 2, "is not a whole number of 1 or more"),
        (["--runs", "1", "--device", "cpu", "--runs-per-device", "2"], 2, "On a CPU, train in several"),
        *(
            (["--runs", "4", f"--shard={text}"], 2, f"'{text}' is not I/M with I from 0 to M - 1")
            for text in ("3/3", "a/b", "-1/4", "0/0", "1")
        ),
        (["--runs", "3", "--shard", "3/5"], 2, "--shard 3/5 has no run among 3"),
        ([*CONTEST, "--b", "epochs=3", "--shard", "0/2"], 2, "unrecognized arguments: --shard"),
        (["merge"], 2, "required: STORE, --out"),
        (["merge", "EMPTY"], 2, "required: --out"),
        (["merge", "EMPTY", "--out", "out"], 5, "is no store"),
        (["merge", "none", "--out", "out"], 2, "there is no such store"),
        (["--run", "1"], 2, "unrecognized arguments: --run (did you mean '--runs'?)"),
        (["--runs", "1", "--recipee", "tiny"], 2, "--recipee (did you mean '--recipe'?)"),
        (["--runs", "1", "--recipee=tiny"], 2, "(did you mean '--recipe'?). See `python -m airbench_var --h"),
        (["analyze", "--example", "--folow"], 2, "--folow (did you mean '--follow'?). See `python -m airben"),
        (["analyze", "--example", "--zzz"], 2, "unrecognized arguments: --zzz. See"),
        ([*CONTEST, "--a", "epochs=1", "--b", "epochs=1"], 2, "A and B are the same recipe"),
        (["--runs", "1", "--json", "--quiet"], 2, "not allowed with"),
        (["--runs", "1", "--recipe", "tyni"], 2, "unknown recipe 'tyni' (did you mean 'tiny'?)"),
        (["--runs", "1", "--set", "epohcs=3"], 2, "unknown recipe key 'epohcs' (did you mean 'epochs'?)"),
        (["--runs", "1", "--set", "poke.factor=1.01"], 2, "recipe key 'poke.step' is missing"),
        (["--runs", "1", "--vary", "order,augment"], 2, "'augment' is no source of randomness"),
        (["--runs", "1", "--data", "cifar100"], 2, "no such data set (did you mean 'cifar10'?)"),
        (["--runs", "1", "--address", "local"], 2, "--address is for --executor ray"),
        (["--runs", "1", "--gpu-share", "0.5"], 2, "--gpu-share is for --executor ray"),
        (["--runs", "1", "--gpu-share", "1.5"], 2, "is not a number above 0 and up to 1"),
        (["--runs", "1", "--executor", "ray", "--devices", "cuda:1"], 2, "Ray chooses among the GPUs"),
        (["--runs", "1", "--executor", "ray", "--address", "ray://a:1"], 2, "Ray Client is not supported"),
        (["--runs", "1", "--executor", "in-process", "--workers", "2"], 2, "in one process, not in 2"),
        (["--runs", "1", "--device", "tpu9"], 2, "choose auto, cpu, cuda"),
        (["--runs", "1", "--data-dir", "EMPTY"], 3, "--data synthetic"),
        (["analyse", "EMPTY"], 2, "unknown command 'analyse' (did you mean 'analyze'?)"),
        (["analyze"], 2, "one of the arguments STORE --example is required"),
        (["analyze", "EMPTY/none"], 2, "there is no such store"),
        (["analyze", "EMPTY"], 5, "is no store"),
        (["analyze", cli.__file__], 5, "is no store: it is a file"),
        (["analyze", "EMPTY", "--pairs"], 5, "is no store"),
        (["compare", "EMPTY"], 2, "compare takes two stores, STORE_A STORE_B, or --recipe"),
        (["compare", "EMPTY", "EMPTY"], 5, "is no store"),
        (["compare"], 2, "compare takes two stores"),
        (["compare", "EMPTY", "EMPTY", "--recipe", "tiny"], 2, "two stores, or --recipe to train both; not"),
        (["compare", "EMPTY", "EMPTY", "--detect", "1%", "--a", "x=1"], 2, "--a, --detect: two stores are"),
        ([*CONTEST[:2], "tiny"], 2, "needs --detect"),
        ([*CONTEST, "--b", "epochs"], 2, "--b epochs: expected KEY=VALUE, for example --b epochs=4"),
        ([*CONTEST, "--a", "epohcs=3"], 2, "unknown recipe key 'epohcs'"),
        ([*CONTEST], 2, "say with --a or --b what differs"),
        ([*CONTEST, "--b", "epochs=3", "--json", "--quiet"], 2, "not allowed with"),
        ([*CONTEST, "--b", "epochs=3", "--max-runs", "1"], 2, "the runs 2 or more"),
        ([*CONTEST, "--b", "epochs=3", "--looks", "5"], 2, "give it with --max-runs, or give --std"),
        ([*CONTEST, "--b", "epochs=3", "--looks", "5", "--max-runs", "9"], 2, "cannot be planned"),
        ([*CONTEST, "--b", "epochs=3", "--vary", "augment"], 2, "is no source of randomness"),
        (["plan"], 2, "required: --detect"),
        (["plan", "--detect", "0.02%"], 2, "one of the arguments --std --store --example is required"),
        (["plan", "--detect", "much", "--std", "0.1%"], 2, "'much' is no percentage above 0 %"),
        (["plan", "--detect", "200%", "--std", "0.1%"], 2, "'200%' is no percentage above 0 %"),
        (
            ["plan", "--detect", "1%", "--std", "0.2"],
            2,
            "fraction below 0.01: write 0.2% or 20%.",
        ),
        (["plan", "--detect", "2", "--std", "1%"], 2, "--detect: '2' has no sign of percent"),
        (
            [*CONTEST, "--b", "epochs=3", "--std", "0.01"],
            2,
            "write 0.01% or 1%",
        ),
        (
            ["plan", "--detect", "1%", "--std", "1%", "--power", "80"],
            2,
            "'80' is neither a percentage as 80%",
        ),
        (
            ["plan", "--detect", "1%", "--std", "1%", "--against", "EMPTY"],
            2,
            "give the first one with --store",
        ),
        *(([name], 2, "arguments STORE --example is required") for name in ("info", "verify")),
        (["repair"], 2, "required: STORE"),
        (["completion", "bash", "--json"], 2, "a script, which is no JSON: leave out --json"),
        *(([name, "EMPTY/none"], 2, "there is no such store") for name in ("info", "verify", "repair")),
        *(([name, "EMPTY"], 5, "is no store") for name in ("info", "verify", "repair")),
    ],
)
def test_mistakes(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    assert exit_code(arguments) == code
    shown = capsys.readouterr()
    assert message in flat(shown.err)
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["EMPTY"]


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert exit_code(["--runs", "1", "--device", "cuda"]) == DeviceError.exit_code
    assert "sees 0 CUDA GPUs" in capsys.readouterr().err


def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small_data: Dataset
) -> None:
    for name in {"ffcv", "ffcv.loader"} | {name for name in sys.modules if name.startswith("ffcv.")}:
        monkeypatch.setitem(sys.modules, name, None)  # an earlier test may have imported it
    monkeypatch.delitem(sys.modules, "airbench_var.data.ffcv_loader", raising=False)
    monkeypatch.setattr("airbench_var.data.load", lambda *_: small_data)
    out = tmp_path / "store"
    code = exit_code(
        ["--runs", "1", "--recipe", "tiny", "--loader", "ffcv", "--out", str(out), "--workers", "1"]
    )
    assert code == 7
    assert "airbench_var[ffcv]" in capsys.readouterr().err
    assert not out.exists()


def test_a_store_that_was_made_with_other_options_is_left_alone(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small_data: Dataset
) -> None:
    monkeypatch.setattr("airbench_var.data.load", lambda *_: small_data)
    before = digest(store)
    same = ["--recipe", "tiny", "--engine", "eager", "--out", str(store)]
    for other, message in (
        (["--runs", "20", "--seed", "3"], "seed: 0 in the store, 3 now"),
        (["--runs", "5"], "beyond the 5 asked for"),
    ):
        assert exit_code([*other, *same]) == 5
        err = capsys.readouterr().err
        assert message in err
        assert "are there" not in err  # nothing of going on before it is refused
        assert digest(store) == before
    assert exit_code(["--runs", "10", *same]) == 0
    assert "10 of 10 are there: nothing to train" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["--runs", "1", "--recipe", "tiny", "--out", "FILE"],
        ["--runs", "1", "--recipe", "tiny", "--out", "FILE/below"],
        ["compare", "--recipe", "tiny", "--b", "epochs=1", "--detect", "1%", "--out", "FILE"],
        ["study", "linear", "--out", "FILE"],
        ["study", "linear", "--out", "new", "--stores", "FILE"],
    ],
)
def test_a_file_where_a_folder_belongs_is_refused_before_anything_is_loaded(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("mine")
    assert exit_code([*command, "--data", "synthetic"]) == 5
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "is a file. Choose another folder with --" in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_a_poke_is_set_like_any_value_and_makes_another_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small_data: Dataset
) -> None:
    monkeypatch.setattr("airbench_var.data.load", lambda *_: small_data)
    how = ["--runs", "2", "--recipe", "linear", "--workers", "1", "--device", "cpu", "--quiet"]
    short = ["--set", "batch_size=100", "--set", "epochs=1"]
    out, plain = tmp_path / "poked", tmp_path / "plain"
    assert exit_code([*how, *short, "--out", str(plain)]) == 0
    poked = [*how, *short, "--set", "poke.step=3", "--set", "poke.factor=1000", "--out"]
    assert exit_code([*poked, str(out)]) == 0
    stores = [Store.open(path) for path in (plain, out)]
    assert [store.manifest.identity["recipe"].get("poke") for store in stores] == [
        None,
        {"kind": "Poke", "step": 3, "factor": 1000.0},
    ]
    fields = ["init_seed", "order_seed", "aug_seed"]
    seeds, losses = ([store.records()[names].tolist() for store in stores] for names in (fields, "loss"))
    assert seeds[0] == seeds[1]
    assert losses[0] != losses[1]
    before = digest(plain)
    capsys.readouterr()
    assert exit_code([*poked, str(plain)]) == 5
    assert "recipe.poke: absent in the store" in capsys.readouterr().err
    assert digest(plain) == before


def test_the_same_command_again_only_prints(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small_data: Dataset
) -> None:
    monkeypatch.setattr("airbench_var.data.load", lambda *_: small_data)
    before = digest(store)
    same = ["--runs", "10", "--recipe", "tiny", "--engine", "eager", "--out", str(store), "--json"]
    assert exit_code(same) == 0
    shown = capsys.readouterr()
    assert exit_code(["analyze", str(store), "--json"]) == 0
    assert json.loads(shown.out) == json.loads(capsys.readouterr().out)
    assert digest(store) == before


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe whose reader left, as that of `| head` does."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize(
    "command",
    [["analyze", "--example"], ["analyze", "--example", "--json"], ["plan", "--help"], ["completion", "zsh"]],
    ids=" ".join,
)
def test_a_reader_that_left_is_no_error(command: list[str], unread: int) -> None:
    if command[0] == "completion":
        pytest.importorskip("shtab")
    command = [sys.executable, "-m", "airbench_var", *command]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, env=buffered, stdout=unread, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_of_messages_who_left_ends_the_command(unread: int) -> None:
    command = [sys.executable, "-m", "airbench_var", "analyze", "none"]
    assert subprocess.run(command, stderr=unread).returncode == 141


@pytest.mark.parametrize(
    "values",
    [
        ["batch_size=100000"],
        ["augment.translate=40"],
        ["network.widths=8,8,8,8,8,8"],
        ["poke.step=6"],  # of 6 steps
    ],
)
def test_a_recipe_that_does_not_fit_leaves_no_store(
    values: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small_data: Dataset,
) -> None:
    monkeypatch.setattr("airbench_var.data.load", lambda *_: small_data)
    out = tmp_path / "store"
    assert exit_code(["--runs", "1", "--recipe", "tiny", "--out", str(out), "--set", *values]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(("engine", "code"), [("native", DeviceError.exit_code), ("auto", 0)])
def test_a_compiler_that_cannot_build_is_told_and_leaves_no_store(
    engine: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small_data: Dataset,
) -> None:
    cc = tmp_path / "cc"
    cc.write_text("#!/bin/sh\necho no immintrin.h >&2\nexit 1\n")
    cc.chmod(0o755)
    monkeypatch.setenv("CC", str(cc))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("airbench_var.data.load", lambda *_: small_data)
    how = ["--device", "cpu", "--engine", engine, "--out", str(tmp_path / "store")]
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset(airbench.NEEDS))
    assert exit_code(["--runs", "1", "--recipe", "tiny", "--set", "epochs=0", *how]) == code
    assert "no immintrin.h" in capsys.readouterr().err
    assert (tmp_path / "store").exists() == (code == 0)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--version"]) == 0
    assert capsys.readouterr().out.startswith("airbench_var ")


def test_a_campaign_across_a_network_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small_data: Dataset, tmp_path: Path
) -> None:
    monkeypatch.setattr("airbench_var.store.filesystem.filesystem_of", lambda _: "nfs4")
    campaign = Campaign(
        subject=RecipeOnData(recipe=find_recipe("tiny"), data=small_data, settings=Settings()),
        out=tmp_path / "store",
        runs=2,
    )
    run_campaign(campaign, "plain", execute=fake(campaign))
    assert "warning: " in capsys.readouterr().err


def test_a_python_without_what_is_needed_is_named() -> None:
    """As that of the system, in whose environment nothing was installed."""
    for command in (["analyze", "--example"], ["--runs", "1", "--recipe", "tiny", "--data", "synthetic"]):
        bare = [sys.executable, "-S", "-m", "airbench_var", *command]  # no site-packages
        done = subprocess.run(bare, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert done.returncode == DeviceError.exit_code
        assert re.search(r"airbench_var: \w+ is not installed in this Python, /", done.stderr)
        assert "Traceback" not in done.stderr


def test_a_folder_that_hides_the_package_is_named(tmp_path: Path) -> None:
    """A clone has this name, so it does in the folder above it; only an editable install can be hidden."""
    hidden = "import sys, types; sys.modules['airbench_var'] = types.ModuleType('airbench_var'); "
    main = str(Path(cli.__file__).parents[1] / "__main__.py")
    run = f"import runpy; runpy.run_path({main!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", hidden + run], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "the folder airbench_var in the current directory hides the package" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_that_we_should_have_is_no_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise ModuleNotFoundError("No module named 'airbench_var.gone'", name="airbench_var.gone")

    monkeypatch.setitem(cli.COMMANDS, "plan", cli.COMMANDS["plan"]._replace(run=broken))  # type: ignore[arg-type]
    with pytest.raises(ModuleNotFoundError):
        cli.main(["plan", "--detect", "1%", "--std", "1%"])
