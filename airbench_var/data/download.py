"""Fetch one file of known size and digest: checked, complete, or not there at all."""

import hashlib
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from airbench_var.cache import arriving_at
from airbench_var.errors import DataError, StorageError, what_helps

TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A published file: where it is, mirrors last, and what its bytes must be."""

    urls: tuple[str, ...]
    size_bytes: int
    sha256: str


class _UnusableError(Exception):
    """This address did not give the file; the next one may."""


def download(remote: Remote, target: Path, *, progress: bool = True) -> None:
    """Write the file to target, trying each address in turn; nothing is at target before it is checked.

    Raises DataError when no address gives the right bytes, StorageError when the disk does not take them.
    """
    refusals = []
    for url in remote.urls:
        try:
            with arriving_at(target) as file, _report(url, remote.size_bytes, progress) as advance:
                for chunk in _checked(_chunks(url), remote):
                    file.write(chunk)
                    advance(len(chunk))
            return
        except _UnusableError as why:
            refusals.append(f"{url}: {why}")
        except OSError as error:
            raise StorageError(
                f"Cannot write {target}: {error}. {what_helps(error)}, or set XDG_CACHE_HOME."
            ) from error
    raise DataError(f"{target.name} could not be downloaded ({'; '.join(refusals)})")


def _chunks(url: str) -> Iterator[bytes]:
    """Yield what the address sends; raises _UnusableError for everything that the network can do."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            while chunk := response.read(_CHUNK_BYTES):
                yield chunk
    except (OSError, HTTPException) as error:  # URLError and HTTPError are OSErrors
        raise _UnusableError(str(error) or type(error).__name__) from error


def _checked(chunks: Iterator[bytes], remote: Remote) -> Iterator[bytes]:
    """Pass chunks on; raises _UnusableError when the whole differs in size or digest."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if size > remote.size_bytes:
            break
        yield chunk
    if size != remote.size_bytes:
        said = "more than" if size > remote.size_bytes else f"{size:,} of"
        raise _UnusableError(f"sent {said} {remote.size_bytes:,} bytes")
    if digest.hexdigest() != remote.sha256:
        raise _UnusableError(f"sent other bytes: sha256 {digest.hexdigest()}, expected {remote.sha256}")


@contextmanager
def _report(url: str, size_bytes: int, progress: bool) -> Iterator[Callable[[int], None]]:
    """Show a download on standard error: a bar on a terminal, else one line; nothing if not asked."""
    if not progress:
        yield lambda done_bytes: None
    elif not sys.stderr.isatty():
        print(f"downloading {url} ({size_bytes / 1e6:.0f} MB)", file=sys.stderr)
        yield lambda done_bytes: None
    else:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(url, total=size_bytes)
            yield lambda done_bytes: bar.advance(task, done_bytes)
