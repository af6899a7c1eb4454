"""C kernels for tensors in host memory: built once by the system's C compiler, kept, and loaded by ctypes.

Triton builds its own launcher in the same way. A call through ctypes lets other Python threads run meanwhile.
No torch is loaded here.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.cache import arriving_at, user_cache
from airbench_var.errors import DeviceError

if TYPE_CHECKING:
    import torch

#: No fused multiply-add, and nothing else that rounds other than the C text says: it would change bits.
FLAGS = (
    "-O3", "-march=native", "-std=gnu11", "-fPIC", "-shared", "-fno-math-errno", "-ffp-contract=off",
)  # fmt: skip
COMPILERS = ("cc", "gcc", "clang")
CPU_INFO = Path("/proc/cpuinfo")

#: What `-march=native` looks at, as /proc/cpuinfo spells it on x86 and on ARM.
_CPU_LINES = (
    "vendor_id", "cpu family", "model", "model name", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features",
)  # fmt: skip
_LINES_SHOWN = 6
_WITHOUT = "Mend that, or set CC=none to go without C kernels."


def compiler() -> tuple[tuple[str, ...], str]:
    """Return the command of the C compiler and where it is, or () and what is missing, for people.

    $CC if it is set (a command with its options; CC=none goes without C kernels), else cc, gcc or clang.
    """
    return _found(os.environ.get("CC"), os.environ.get("PATH"))


@functools.cache
def processor_flags() -> frozenset[str]:
    """Return what the first processor can do, as /proc/cpuinfo names it; empty where that is missing."""
    for line in _processor().splitlines():
        if line.partition(":")[0].strip() in ("flags", "Features"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def obstacle(source: Path, flags: tuple[str, ...] = ()) -> str:
    """Return why `library` cannot give this one here, for people; "" when it can, and then it is built."""
    try:
        library(source, flags)
    except DeviceError as error:
        return str(error)
    return ""


def library(source: Path, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Return the shared library of one C file, built unless the user's cache has it.

    The file includes headers of the system and of its own folder. Its name in the cache is a hash of all that
    text, flags, compiler and processor, so that machines may share the folder. A file there is always whole.
    Where the cache cannot be used, a warning says why, and every process builds in a temporary folder.

    flags: added to FLAGS, after the source, so that libraries may be among them.

    Raises: DeviceError without a compiler, or with what the compiler or the linker said.
    """
    command, reason = compiler()
    if not command:
        raise DeviceError(reason)
    try:
        cache = user_cache() / "kernels"
    except RuntimeError:  # no home directory
        cache = Path(os.devnull)  # cannot be used, as is then said
    loaded = _loaded(source, command, flags, cache)
    if isinstance(loaded, DeviceError):
        raise loaded
    return loaded


def address(tensor: "torch.Tensor") -> ctypes.c_void_p:
    """Return where a tensor begins; it must outlive the call that reads there."""
    return ctypes.c_void_p(tensor.data_ptr())


@functools.cache
def _found(cc: str | None, path: str | None) -> tuple[tuple[str, ...], str]:
    if cc:
        command, *options = shlex.split(cc)
        if found := shutil.which(command, path=path):
            return (found, *options), f"$CC is {found}"
        return (), f"$CC is {cc!r} and no such command is on the PATH: unset it, or name a C compiler."
    for name in COMPILERS:
        if found := shutil.which(name, path=path):
            return (found,), f"the C compiler is {found}"
    return (), (
        f"no C compiler ({', '.join(COMPILERS)}) is on the PATH: `apt-get install gcc libc6-dev` or "
        "`dnf install gcc` installs one."
    )


@functools.cache
def _loaded(
    source: Path, command: tuple[str, ...], flags: tuple[str, ...], cache: Path
) -> ctypes.CDLL | DeviceError:
    """Return the library, or why there is none: asked again and again, a compiler that fails is run once."""
    try:
        return _load(source, command, flags, cache)
    except DeviceError as error:
        return error


def _load(source: Path, command: tuple[str, ...], flags: tuple[str, ...], cache: Path) -> ctypes.CDLL:
    kept = cache / f"{source.parent.name}-{source.stem}-{_key(source, command, flags)}.so"
    built = None
    try:
        if not kept.exists():
            built = _built(source, command, flags)
            with arriving_at(kept) as file:
                file.write(built)
        return ctypes.CDLL(str(kept))
    except OSError as error:  # read-only or full, a folder of which nothing may be executed, a foreign libc
        warnings.warn(
            f"C kernels are not kept in {cache} ({error}) but built again by every process; "
            "set XDG_CACHE_HOME to a folder that can be written.",
            RuntimeWarning,
            stacklevel=3,
        )
    with tempfile.TemporaryDirectory(prefix="airbench_var-") as folder:
        file_again = Path(folder) / kept.name
        file_again.write_bytes(built or _built(source, command, flags))
        try:
            return ctypes.CDLL(str(file_again))  # stays loaded when its file is gone
        except OSError as error:
            raise DeviceError(f"Cannot load the C kernel {source.name}: {error}. {_WITHOUT}") from error


def _built(source: Path, command: tuple[str, ...], flags: tuple[str, ...]) -> bytes:
    """Return the bytes of the shared library; raises DeviceError with the compiler's first lines."""
    with tempfile.TemporaryDirectory(prefix="airbench_var-") as folder:
        target = Path(folder) / "built.so"
        done = _run(*command, *FLAGS, "-o", str(target), str(source), *flags)
        if done.returncode or not target.exists():
            said = "\n".join((done.stderr or done.stdout).splitlines()[:_LINES_SHOWN])
            raise DeviceError(
                f"{command[0]} cannot build the C kernel {source} (exit code {done.returncode}). {_WITHOUT}\n"
                f"{said or 'It said nothing.'}"
            )
        return target.read_bytes()


def _key(source: Path, command: tuple[str, ...], flags: tuple[str, ...]) -> str:
    """Return a hash of all that decides what the compiler writes, and where that can run."""
    arguments = "\0".join((*command, *FLAGS, *flags))
    own = [path.read_text() for path in (source, *sorted(source.parent.glob("*.h")))]
    parts = [*own, arguments, _run(*command, "--version").stdout, _processor()]
    digests = (hashlib.sha256(part.encode()).digest() for part in parts)
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise DeviceError(f"Cannot run the C compiler {command[0]}: {error}. {_WITHOUT}") from error


def _processor() -> str:
    """Return the kind of the first processor and what it can do; two alike run each other's code."""
    lines = CPU_INFO.read_text().partition("\n\n")[0].splitlines() if CPU_INFO.exists() else []
    kind = [line for line in lines if line.partition(":")[0].strip() in _CPU_LINES]
    return "\n".join([platform.machine(), *kind])
