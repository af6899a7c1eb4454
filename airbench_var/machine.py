"""Where a number comes from: commit and versions, command, processor, driver. No torch here."""

import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

CPU_INFO = Path("/proc/cpuinfo")
NVIDIA = Path("/proc/driver/nvidia/version")


def commit() -> str | None:
    """Return the commit of the checkout this package is imported from, with '+' when it has changes."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)  # a venv may lie in another's checkout
        return _git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None  # no git, or an installed package


def short_commit() -> str:
    """Return the same in a few characters, or 'unknown'."""
    return shortened(commit())


def shortened(whole: str | None) -> str:
    """Return a commit in eight characters, with its '+', or 'unknown'."""
    return whole[:8] + "+" * whole.endswith("+") if whole else "unknown"


def version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def command() -> str:
    """Return the command of this process, without the folder of its Python."""
    return shlex.join([Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]])


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def cpu_name() -> str:
    """Return the name of the processor, for people."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def nvidia_driver() -> str | None:
    """Return the version that the kernel module of an NVIDIA GPU gives of itself, such as 550.54.15."""
    version = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", NVIDIA.read_text()) if NVIDIA.exists() else None
    return version[0] if version else None


def origin(*packages: str) -> dict[str, Any]:
    """Return where numbers of this process come from: versions of these packages, Python, commit, command."""
    return {
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "commit": commit(),
        "command": command(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
