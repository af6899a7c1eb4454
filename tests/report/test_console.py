"""Lines that end where a reader would end them, and a reader who left."""

import os
import re

import pytest

from airbench_var.cli.output import lead_nowhere
from airbench_var.report.console import Console, wrapped

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


def test_a_reader_who_left_is_told_to_the_caller() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as file:
        with pytest.raises(BrokenPipeError):
            Console(file=file).print("told")
        lead_nowhere(file)
