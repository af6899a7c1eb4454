"""How far a command is that goes over many blocks: bars on a terminal, nothing elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

Block = TypeVar("Block")


class Track(Protocol):
    """Takes the blocks of a pass and its name, and gives the blocks back one by one."""

    def __call__(self, blocks: Sequence[Block], name: str, /) -> Iterable[Block]:
        """Yield the blocks."""


@contextmanager
def bars(*, hidden: bool) -> Iterator[Track]:
    """Yield what shows how far each pass is, on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    shown = console.is_terminal and not console.is_dumb_terminal and not hidden
    with Progress(console=console, transient=True, redirect_stdout=False, disable=not shown) as progress:

        def track(blocks: Sequence[Block], name: str, /) -> Iterable[Block]:
            return progress.track(blocks, description=name)

        yield track
