"""The notebook was executed from top to bottom, and says today what it said then."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "variance.ipynb"


@pytest.fixture(scope="module")
def committed() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def words(cell: NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def pictures(cell: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def test_it_was_executed_in_order(committed: NotebookNode) -> None:
    nbformat.validate(committed)
    assert [cell.execution_count for cell in code(committed)] == list(range(1, len(code(committed)) + 1))
    assert sum(map(pictures, code(committed))) == 2
    assert NOTEBOOK.stat().st_size < 200_000


def test_it_names_no_place_of_the_machine_that_executed_it(committed: NotebookNode) -> None:
    assert not re.search(r"/(home|root|tmp|work|usr)/", NOTEBOOK.read_text())
    outputs = [output for cell in code(committed) for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_it_says_the_same_again(committed: NotebookNode, tmp_path: Path) -> None:
    again = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(again, timeout=120, kernel_name="python3", resources=resources).execute()
    for before, now in zip(code(committed), code(again), strict=True):
        assert words(now) == words(before), now.source
        assert pictures(now) == pictures(before)
