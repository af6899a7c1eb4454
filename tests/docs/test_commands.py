"""Commands in the documentation: all are ones that the command line takes, and those in bash blocks run."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbench_var import cli
from airbench_var.cli import train

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "airbench_var" / "execution" / "README.md",
    ROOT / "airbench_var" / "store" / "README.md",
]
START = "python -m airbench_var"


def code_lines(page: Path) -> Iterator[str]:
    """Yield the lines of code of a page, indented or fenced, with continued lines joined."""
    text = page.read_text().replace("\\\n", " ")
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()


def commands(page: Path) -> list[str]:
    found = []
    for line in code_lines(page):
        for part in re.findall(rf"{START}\b[^'`]*(?:'[^']*'[^'`]*)*", line):
            found.append(part.partition(" > ")[0].strip().replace("$SLURM_ARRAY_TASK_ID", "3"))
    return found


@pytest.mark.parametrize(
    ("page", "command"),
    [(page, command) for page in PAGES for command in commands(page)],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_every_command_is_one(page: Path, command: str) -> None:
    words = shlex.split(command, comments=True)[len(START.split()) :]
    if words and not words[0].startswith("-") and words[0] != "train":
        assert words[0] in cli.COMMANDS, f"{page}: {command}"
        cli.parser_of(words[0]).parse_args(words[1:])
    elif "--help" not in words:
        train.parser().parse_args(words)


def test_commands_are_found() -> None:
    assert "python -m airbench_var --runs 10000" in {
        " ".join(shlex.split(one, comments=True)) for one in commands(ROOT / "README.md")
    }
    assert any(" merge " in one for one in commands(ROOT / "README.md"))


def bash(page: Path) -> str:
    return "\n".join(re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


#: What a page's blocks are run with instead, since fewer runs take the same way through every command.
FEWER = {
    "--runs 20": "--runs 4",
    "--detect 1%": "--detect 30%",
    "train_share = 0.25": "train_share = 0.02",
    "--set epochs=0.5": "--set epochs=0.05",
    "epochs = 0.5": "epochs = 0.05",
}


def shortened(script: str) -> str:
    for whole, short in FEWER.items():
        script = script.replace(whole, short)
    return script


def test_all_that_is_shortened_is_there() -> None:
    scripts = "".join(map(bash, PAGES))
    assert [whole for whole in FEWER if whole not in scripts] == []


@pytest.mark.parametrize("page", [page for page in PAGES if bash(page)], ids=lambda page: page.name)
def test_bash_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """In a folder of its own, in the order of the page, with the Python of the tests."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tools / "python").chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shortened(bash(page))],
        cwd=work,
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def links(page: Path) -> list[str]:
    return [one for one in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in one]


@pytest.mark.parametrize(
    "page",
    [*PAGES, *sorted((ROOT / "results").rglob("README.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, place = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page}: {link}"
        if place:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert place in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, (
                link
            )
