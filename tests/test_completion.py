import re
import subprocess
from importlib import util
from pathlib import Path

import pytest

from airbench_var import cli
from airbench_var.cli.completing import SHELLS


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "script"
    with pytest.MonkeyPatch.context() as patch, path.open("w") as file:
        patch.setattr("sys.stdout", file)
        assert cli.main(["completion", "bash"]) == 0
    return path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["airbench_var", "do"], ["doctor"]),
        (["airbench_var", "com"], ["compare", "completion"]),
        (["airbench_var", "tra"], ["train", "track"]),
        (["airbench_var", "train", "--rec"], ["--recipe"]),
        (["airbench_var", "--execu"], ["--executor"]),
        (["airbench_var", "--executor", "r"], ["ray"]),
        (["airbench_var", "analyze", "--foll"], ["--follow"]),
        (["airbench_var", "import", "--lab"], ["--labels"]),
        (["airbench_var", "analyze", "stor"], ["stores_here"]),
        (["airbench_var", "import", "--labels", "true"], ["true_labels.npy"]),
    ],
)
def test_bash_completes(typed: list[str], offered: list[str], bash: Path, tmp_path: Path) -> None:
    (tmp_path / "stores_here").mkdir()
    (tmp_path / "true_labels.npy").touch()
    words = " ".join(typed)
    script = f"""
source {bash}
COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; COMP_LINE="{words}"; COMP_POINT={len(words)}
function=$(complete -p airbench_var | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function airbench_var {typed[-1]} {typed[-2]}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_in_the_script_with_the_first_line_of_its_help(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name, command in cli.COMMANDS.items():
        line = (command.run.__doc__ or "").split("\n")[0]
        assert name in script
        assert shell == "bash" or re.split("[':]", line)[0] in script  # which are escaped
    assert "Exit code 7 when the main job" not in script


def test_without_shtab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    original = util.find_spec
    monkeypatch.setattr(
        "airbench_var.cli.completing.find_spec", lambda name: None if name == "shtab" else original(name)
    )
    assert cli.main(["completion", "bash"]) == 7
    assert "pip install 'airbench_var[completion]'" in capsys.readouterr().err
