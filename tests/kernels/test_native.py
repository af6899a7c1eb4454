"""C kernels are built once, whole or not at all, and what is missing is said."""

import ctypes
import errno
import subprocess
import sys
from pathlib import Path

import pytest

from airbench_var.errors import DeviceError
from airbench_var.kernels import native

SOURCE = """
#include <stdint.h>
int64_t weighted(const int64_t *values, int64_t n) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += WEIGHT * values[i];
    return sum;
}
"""

#: Stands for the compiler, and writes down what it is called with.
SPY = """#!/bin/sh
echo "$@" >> {log}
{sleep}
exec cc "$@"
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not native.compiler()[0]:
        pytest.skip(native.compiler()[1])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    native._loaded.cache_clear()
    path = tmp_path / "kernel.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return spy(tmp_path, monkeypatch)


def spy(folder: Path, monkeypatch: pytest.MonkeyPatch, sleep: str = "") -> Path:
    """Put a compiler into $CC that logs its calls, and return the log."""
    command, log = folder / "spy", folder / "calls"
    command.write_text(SPY.format(log=log, sleep=sleep))
    command.chmod(0o755)
    monkeypatch.setenv("CC", str(command))
    return log


def weighted(library: ctypes.CDLL) -> int:
    values = (ctypes.c_int64 * 3)(1, 2, 4)
    library.weighted.argtypes, library.weighted.restype = (ctypes.c_void_p, ctypes.c_int64), ctypes.c_int64
    return int(library.weighted(ctypes.addressof(values), 3))


def builds(log: Path) -> int:
    return sum("-o" in line.split() for line in log.read_text().splitlines())


def kept(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "cache").rglob("*") if p.is_file())


def test_a_library_is_built_with_the_flags_and_computes(source: Path) -> None:
    assert weighted(native.library(source, ("-DWEIGHT=3",))) == 21
    assert weighted(native.library(source, ("-DWEIGHT=5",))) == 35


def test_what_the_cache_holds_is_not_built_again(source: Path, calls: Path, tmp_path: Path) -> None:
    for _ in range(2):
        native._loaded.cache_clear()  # as in another process
        assert weighted(native.library(source, ("-DWEIGHT=3",))) == 21
    assert builds(calls) == 1
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize("changed", ["text", "flags", "compiler", "processor"])
def test_whatever_decides_the_machine_code_is_in_the_name(
    source: Path, calls: Path, changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native.library(source, ("-DWEIGHT=3",))
    native._loaded.cache_clear()
    flags: tuple[str, ...] = ("-DWEIGHT=3",)
    if changed == "text":
        source.write_text(SOURCE + "\n")
    elif changed == "flags":
        flags += ("-O1",)
    elif changed == "compiler":
        (tmp_path / "spy").write_text(SPY.format(log=calls, sleep='[ "$1" = --version ] && echo 99 && exit'))
    else:
        other = tmp_path / "cpuinfo"
        other.write_text("model name : another\nflags : mmx\ncpu MHz : 1\n\nmodel name : not read\n")
        monkeypatch.setattr(native, "CPU_INFO", other)
    native.library(source, flags)
    assert builds(calls) == 2
    assert len(kept(tmp_path)) == 2


def test_the_clock_of_a_processor_is_not_in_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(native, "CPU_INFO", info)
    found = set()
    for mhz in (1000, 3000):
        info.write_text(f"processor : 0\nmodel name : one\ncpu MHz : {mhz}\nflags : sse avx\n\n")
        found.add(native._processor())
    assert len(found) == 1
    assert "avx" in found.pop()


def test_processes_that_start_at_once_all_get_a_whole_library(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = spy(tmp_path, monkeypatch, sleep="sleep 0.2")  # so that none is done before the other starts
    code = (
        "import ctypes, sys; from pathlib import Path; from airbench_var.kernels import native\n"
        "library = native.library(Path(sys.argv[1]), ('-DWEIGHT=3',))\n"
        "print(library.weighted(ctypes.byref(ctypes.c_int64(7)), ctypes.c_int64(1)))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(source)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate()[0].strip() for process in running] == ["21"] * 3
    assert builds(log) >= 2
    assert len(kept(tmp_path)) == 1


def test_a_killed_build_leaves_nothing_that_is_used(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The compiler writes half a file where its -o says, and is killed.
    killed = (
        """case "$*" in *-shared*) while [ "$1" != -o ]; do shift; done; echo half > "$2"; kill -9 $$; esac"""
    )
    spy(tmp_path, monkeypatch, sleep=killed)
    with pytest.raises(DeviceError, match=r"exit code -9.*set CC=none.*\n.*It said nothing"):
        native.library(source, ("-DWEIGHT=3",))
    assert kept(tmp_path) == []
    spy(tmp_path, monkeypatch)
    with pytest.raises(DeviceError):  # not run again and again by one process
        native.library(source, ("-DWEIGHT=3",))
    native._loaded.cache_clear()  # as another process has it
    assert weighted(native.library(source, ("-DWEIGHT=3",))) == 21


def test_a_wrong_source_shows_what_the_compiler_said(source: Path, tmp_path: Path) -> None:
    source.write_text("int broken( {\n" * 50)
    with pytest.raises(
        DeviceError, match=r"cannot build the C kernel .*kernel\.c \(exit code 1\)"
    ) as refused:
        native.library(source)
    assert "error: " in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 7
    assert kept(tmp_path) == []


def test_without_a_compiler_the_reason_says_what_to_install(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    command, reason = native.compiler()
    assert command == ()
    assert reason.startswith("no C compiler (cc, gcc, clang) is on the PATH: `apt-get install gcc")
    with pytest.raises(DeviceError, match="no C compiler"):
        native.library(source)


def test_cc_names_the_compiler_with_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy(tmp_path, monkeypatch)
    monkeypatch.setenv("CC", f"{tmp_path}/spy -m64")
    assert native.compiler() == ((f"{tmp_path}/spy", "-m64"), f"$CC is {tmp_path}/spy")
    monkeypatch.setenv("CC", "none")  # and does not fall back to another
    assert native.compiler() == (
        (), "$CC is 'none' and no such command is on the PATH: unset it, or name a C compiler."
    )  # fmt: skip


def test_a_command_that_is_no_program_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"\x7fELF")
    empty.chmod(0o755)
    monkeypatch.setenv("CC", str(empty))
    with pytest.raises(DeviceError, match=r"Cannot run the C compiler .*empty: .*format error"):
        native.library(source)


@pytest.mark.parametrize("trouble", ["a file is in the way", "the disk is full", "the library does not load"])
def test_where_the_cache_does_not_serve_a_temporary_folder_does_and_it_is_said(
    source: Path, trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Permissions stop nobody who is root, as in a container.
    if trouble == "a file is in the way":
        (tmp_path / "cache").write_text("")
    elif trouble == "the disk is full":

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
    else:
        name = f"{tmp_path.name}-kernel-{native._key(source, native.compiler()[0], ('-DWEIGHT=3',))}.so"
        library = tmp_path / "cache" / "airbench_var" / "kernels" / name
        library.parent.mkdir(parents=True)
        library.write_text("of another libc")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with pytest.warns(
        RuntimeWarning, match=r"are not kept in .*cache.* but built again by every process; set XDG"
    ):
        library_again = native.library(source, ("-DWEIGHT=3",))
    assert weighted(library_again) == 21
    assert list(temporary.iterdir()) == []
    assert trouble == "the library does not load" or kept(tmp_path) == []  # nor half a file
