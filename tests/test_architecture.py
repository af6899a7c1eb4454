"""The rules of the house: who may import whom, and what the analysing half never loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import airbench_var

PACKAGE = Path(airbench_var.__file__).parent

#: Part -> the parts of airbench_var it may import, besides itself and `errors`.
MAY_IMPORT = {
    "errors": set(),
    "cache": set(),
    "machine": set(),
    "philox": set(),
    "seeds": {"philox"},
    "shard": set(),
    "hyperparameters": set(),
    "recipe": {"hyperparameters"},
    "recipes": {"hyperparameters", "recipe"},
    "kernels": {"cache", "philox", "seeds"},
    "data": {"cache", "recipe", "seeds", "philox", "kernels", "store.rows"},
    "models": {"recipe", "kernels"},
    "training": {
        "hyperparameters",
        "machine",
        "recipe",
        "recipes",
        "seeds",
        "data",
        "models",
        "kernels",
        "store.rows",
    },
    "finetuning": {"recipe", "seeds", "data", "training", "store.rows"},
    "photos": {"data", "models", "recipe", "seeds", "store.rows", "training"},
    "subjects": {"data", "finetuning", "photos", "recipe", "training"},
    "execution": {"machine", "seeds", "store.rows"},
    "store": {"seeds"},
    "stats": set(),
    "analysis": {"stats", "store", "kernels"},
    "benchmark": {
        "campaign",
        "execution",
        "machine",
        "recipe",
        "recipes",
        "seeds",
        "data",
        "store.rows",
        "training",
    },
    "doctor": {"cache", "data", "kernels", "machine", "recipes", "seeds", "store", "training"},
    "report": {"analysis", "benchmark.result", "doctor", "machine", "stats", "store"},
    "importing": {"data.unpickle", "machine", "seeds", "store"},
    "example": set(),
    "exporting": {"importing.formats", "importing.parquet_file", "importing.tables", "machine", "store"},
    "tracking": {"analysis", "store"},
    "interrupt": set(),
    "campaign": {
        "interrupt",
        "machine",
        "recipe",
        "seeds",
        "shard",
        "data",
        "training",
        "execution",
        "store",
        "analysis",
        "report",
    },
    "contest": {
        "campaign",
        "interrupt",
        "recipe",
        "seeds",
        "data",
        "training",
        "execution",
        "store",
        "analysis",
        "report",
    },
    "own": {"campaign", "execution", "machine", "report", "seeds", "store"},
    "many": {
        "campaign",
        "data",
        "execution",
        "machine",
        "recipe",
        "recipes",
        "report",
        "seeds",
        "store",
        "subjects",
        "training",
    },
    "studies": {
        "campaign",
        "execution",
        "machine",
        "recipe",
        "recipes",
        "seeds",
        "data",
        "training",
        "store",
        "stats",
        "subjects",
        "analysis",
        "report",
    },
    "cli": {
        "",
        "studies",
        "hyperparameters",
        "recipe",
        "recipes",
        "seeds",
        "shard",
        "data",
        "training",
        "execution",
        "machine",
        "campaign",
        "many",
        "contest",
        "benchmark",
        "doctor",
        "example",
        "exporting",
        "importing",
        "interrupt",
        "tracking",
        "store",
        "stats",
        "analysis",
        "report",
    },
    "__main__": {"cli"},
    "": {
        "recipe",
        "seeds",
        "store",
        "analysis",
        "campaign",
        "contest",
        "execution",
        "many",
        "own",
        "training",
    },
}


def modules() -> list[Path]:
    kernels = (PACKAGE / "kernels").resolve()  # a symlink, which rglob does not follow
    found = [PACKAGE / "kernels" / path.relative_to(kernels) for path in kernels.rglob("*.py")]
    return found + [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "kernels"]


def test_every_part_has_its_row() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert parts - {"__init__"} == set(MAY_IMPORT) - {""}


def part_of(dotted: str) -> str:
    return dotted.split(".")[0] if dotted else ""


def imported(path: Path) -> set[str]:
    """Return what a module imports of the package, as dotted names without 'airbench_var.'."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = submodules if node.module == "airbench_var" else [node.module or ""]
        else:
            continue
        found |= {
            name.removeprefix("airbench_var").lstrip(".") for name in names if name.startswith("airbench_var")
        }
    return {"" if name.startswith("__") else name for name in found}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_table(path: Path) -> None:
    relative = path.relative_to(PACKAGE).with_suffix("")
    own = part_of(".".join(relative.parts).removesuffix("__init__"))
    allowed = MAY_IMPORT[own] | {own, "errors"}
    for name in imported(path):
        assert part_of(name) in allowed or name in allowed, f"{path} imports airbench_var.{name}"


def test_no_module_is_a_drawer() -> None:
    names = {path.stem for path in modules()} | {path.parent.name for path in modules()}
    assert not names & {"utils", "util", "misc", "helpers", "common"}


#: What must load without torch, which takes seconds.
LIGHT = (
    "airbench_var",
    "airbench_var.analysis",
    "airbench_var.kernels.cooccurrence",
    "airbench_var.analysis.standing",
    "airbench_var.report.live",
    "airbench_var.report.contest",
    "airbench_var.report.store",
    "airbench_var.report.benchmark",
    "airbench_var.report.merging",
    "airbench_var.report.doctor",
    "airbench_var.report.html",
    "airbench_var.cli",
    "airbench_var.exporting",
    "airbench_var.importing",
    "airbench_var.own",
    "airbench_var.tracking",
)


def test_analysing_half_loads_no_torch() -> None:
    code = f"""
import importlib, sys
for name in {LIGHT!r}:
    importlib.import_module(name)
    found = [heavy for heavy in ("torch", "triton", "ffcv") if heavy in sys.modules]
    assert not found, f"{{name}} loads {{found}}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["analyze", "--help"],
        ["bench", "--help"],
        ["merge", "--help"],
        ["import", "--help"],
        ["export", "--help"],
        ["export", "none", "--out", "x.npy"],
        ["merge", "none", "--out", "out"],
        ["report", "--help"],
        ["report", "none", "--html", "out.html"],
        ["--runs", "1", "--shard", "1/1"],
        ["--runs", "1", "--shard", "1/2"],
        ["bench", "--recipe", "tyni"],
        ["--runs", "0"],
        ["--runs", "1", "--recipe", "tyni"],
    ],
)
def test_help_and_mistakes_load_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom airbench_var.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("False")
