"""Text under a table, and how p-values are written."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text


def print_paragraph(console: Console, text: str, style: str = "") -> None:
    """Print text with a margin, and an empty line after it."""
    console.print(Padding(Text(text, style), (0, 1, 1, 1), expand=False))


def p_text(p_value: float) -> str:
    """Return '0.033', or '< 0.0001'."""
    return f"{p_value:.2g}" if p_value >= 1e-4 else "< 0.0001"
