"""Text under a table, and how p-values are written."""

from rich.padding import Padding
from rich.text import Text

from airbench_var.report.console import Console, wrapped


def print_paragraph(console: Console, text: str, style: str = "") -> None:
    """Print text with a margin, and an empty line after it."""
    lines = wrapped(text, console.width - 2)
    console.print(Padding(Text(lines, style), (0, 1, 1, 1), expand=False))


def p_text(p_value: float, least: float = 0.0) -> str:
    """Return '0.033', '< 0.0001', or '<= 0.005' for the least that the test could have found."""
    if 0 < p_value <= least:
        return f"<= {p_value:.2g}"
    return f"{p_value:.2g}" if p_value >= 1e-4 else "< 0.0001"


def p_equals(p_value: float, least: float = 0.0) -> str:
    """Return the same with a sign in any case: '= 0.033', '< 0.0001', '<= 0.005'."""
    text = p_text(p_value, least)
    return text if text.startswith("<") else f"= {text}"
