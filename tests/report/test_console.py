"""Lines that end where a reader would end them, and a reader who left."""

import io
import os
import re

import pytest
from rich.table import Table
from rich.text import Text

from airbench_var.cli.output import lead_nowhere
from airbench_var.report.console import Console, wrapped
from airbench_var.report.paragraph import print_paragraph

TEXT = "The spread of 0.322 % is real (p = 0.01, or p < 0.0001), and its 95 % interval is of -7.54 to 6 %."


@pytest.mark.parametrize("width", range(12, 60))
def test_a_number_and_its_sign_stay_on_one_line(width: int) -> None:
    lines = wrapped(TEXT, width).splitlines()
    assert " ".join(lines) == TEXT
    assert max(map(len, lines)) <= width
    assert len(lines) > 1
    for line in lines:
        assert not re.match(r"[%=<]", line)
        assert not re.search(r"[=<]$", line)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_lines_end_without_blanks_where_no_terminal_pads_them(*, is_terminal: bool) -> None:
    file, table = io.StringIO(), Table("a", "b", title=Text(" title"), title_justify="left")
    table.add_row("  1", "2")
    console = Console(file=file, width=40, force_terminal=is_terminal, color_system=None)
    console.print(table, end="")
    print_paragraph(console, "Said of it.")
    lines = file.getvalue().splitlines()
    assert lines[0].startswith(" title")
    assert any(line.endswith(" ") for line in lines) == is_terminal
    assert [line.rstrip() for line in lines][-2:] == [" Said of it.", ""]


def test_a_reader_who_left_is_told_to_the_caller() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as file:
        with pytest.raises(BrokenPipeError):
            Console(file=file).print("told")
        lead_nowhere(file)
