"""What a failing disk or a killed process leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import StorageError, StoreRefusedError
from airbench_var.store import Store, verify
from tests.faults import inject as faults

from .fake_campaign import MATRICES, matrix_bytes, open_writer, outcome, run_campaign

HERE = Path(__file__).parent

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


@pytest.mark.parametrize("fault", [faults.no_space, faults.input_output_error])
def test_a_creation_that_fails_leaves_nothing_behind(tmp_path: Path, fault: faults.Fault) -> None:
    path = tmp_path / "runs" / "store"
    with faults.counting(fault, 0) as calls:
        open_writer(tmp_path / "counted" / "store", 3).close()
    last_of_creation = calls.index("rename") + 3  # the folder is opened and synced after the rename
    for at in range(1, last_of_creation + 1):
        with faults.counting(fault, at), pytest.raises(StorageError, match="MB free on this disk"):
            open_writer(path, 3)
        assert not path.parent.exists(), f"call {at}, {calls[at - 1]}"
    open_writer(path, 3).close()


def test_a_creation_that_fails_in_a_folder_that_was_there_can_be_repeated(tmp_path: Path) -> None:
    with faults.counting(faults.no_space, 30), pytest.raises(StorageError):
        open_writer(tmp_path, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    open_writer(tmp_path, 3).close()


@pytest.mark.parametrize("fault", [faults.no_space, faults.input_output_error])
def test_a_commit_that_fails_acknowledges_nothing_and_closes_the_writer(
    tmp_path: Path, fault: faults.Fault
) -> None:
    run_campaign(tmp_path / "whole", 4)
    expected = matrix_bytes(tmp_path / "whole")
    batch = [outcome(2), outcome(3)]
    with open_writer(tmp_path / "counted", 4) as writer, faults.counting(fault, 0) as calls:
        writer.commit(batch)
    assert calls == ["pwrite"] * 8 + ["fdatasync"] * 4 + ["pwrite"] * 2 + ["fdatasync"]
    for at in range(1, len(calls) + 1):
        path = tmp_path / f"store{at}"
        writer = open_writer(path, 4)
        writer.commit([outcome(0), outcome(1)])
        with (
            faults.counting(fault, at) as made,
            pytest.raises(StorageError, match="acknowledged before is safe"),
        ):
            writer.commit(batch)
        assert len(made) == at, "a failed call was followed by another"
        with pytest.raises(StorageError, match="the writer is closed"):
            writer.commit(batch)
        assert set(Store.open(path).committed_ids()) >= {0, 1}
        run_campaign(path, 4)
        assert matrix_bytes(path) == expected


def test_growth_that_fails_keeps_what_is_there_and_can_be_repeated(tmp_path: Path) -> None:
    run_campaign(tmp_path / "whole", 9)
    expected = matrix_bytes(tmp_path / "whole")
    run_campaign(tmp_path / "counted", 4)
    with open_writer(tmp_path / "counted", 4) as writer, faults.counting(faults.no_space, 0) as calls:
        writer.ensure_capacity(9)
    assert calls == ["posix_fallocate", "fsync"] * 5 + ["pwrite", "fdatasync"] + ["pwrite", "fsync"] * 5
    for at in range(1, len(calls) + 1):
        path = tmp_path / f"store{at}"
        run_campaign(path, 4)
        reader = Store.open(path)
        sizes = {file: (path / file).stat().st_size for file in ("runs.npy", *MATRICES)}
        with (
            open_writer(path, 4) as writer,
            faults.counting(faults.no_space, at),
            pytest.raises(StorageError, match="making room for more runs"),
        ):
            writer.ensure_capacity(9)
        if calls[at - 1] == "posix_fallocate":
            assert all((path / file).stat().st_size == size for file, size in sizes.items()), "space is kept"
        reader.refresh()
        assert reader.committed_ids().tolist() == [0, 1, 2, 3]
        run_campaign(path, 9)
        assert matrix_bytes(path) == expected


def test_a_real_size_limit_is_reported_and_leaves_nothing_behind(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; import fake_campaign\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: fake_campaign.open_writer(Path(sys.argv[1]), 1000)\n"
        "except fake_campaign.AirbenchVarError as error: print(error); sys.exit(error.exit_code)\n"
    )
    path = tmp_path / "store"
    done = subprocess.run([sys.executable, "-c", script, path], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == StorageError.exit_code, done.stderr
    assert "File too large" in done.stdout
    assert not path.exists()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_campaign(tmp_path / "whole", 3)
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:7], offset))
    run_campaign(tmp_path / "store", 3)
    assert matrix_bytes(tmp_path / "store") == matrix_bytes(tmp_path / "whole")
    assert verify(tmp_path / "store").faults == ()


def test_an_interrupt_in_a_commit_closes_the_writer(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with open_writer(tmp_path / "store", 2) as writer:
        # At the last sync the record is written: were the writer still open, a second commit of the run
        # would find it committed, and acknowledge what no sync has vouched for.
        with faults.counting(interrupt, 10), pytest.raises(KeyboardInterrupt):
            writer.commit([outcome(0)])
        with pytest.raises(StorageError, match="the writer is closed"):
            writer.commit([outcome(0)])


def test_records_that_a_killed_writer_left_are_synced_before_they_count(tmp_path: Path) -> None:
    run_campaign(tmp_path / "store", 2)
    with faults.counting(faults.kill, 0) as calls:
        open_writer(tmp_path / "store", 2).close()
    assert calls.count("fdatasync") == 1


def test_a_writer_that_was_killed_lets_the_next_one_in(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; import fake_campaign\n"
        "writer = fake_campaign.open_writer(Path(sys.argv[1]), 3)\n"
        "writer.commit([fake_campaign.outcome(1)])\n"
        "print('committed', flush=True); sys.stdin.read()\n"
    )
    path = tmp_path / "store"
    command = [sys.executable, "-c", script, path]
    with subprocess.Popen(
        command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "committed\n"
        before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
        with pytest.raises(
            StoreRefusedError, match=f'another campaign is writing .*"pid": {holder.pid}, "host"'
        ):
            open_writer(path, 3)
        assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
        assert Store.open(path).committed_ids().tolist() == [1]  # readers need no lock
        holder.kill()
        holder.wait()
        with open_writer(path, 3) as writer:
            assert writer.open_ids(3) == [0, 2]


def test_a_reader_beside_a_growing_writer_sees_whole_rows_only(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from fake_campaign import *\n"
        "with open_writer(Path(sys.argv[1]), 20) as writer:\n"
        "    print('made', flush=True)\n"
        "    for start in range(0, 800, 20):\n"
        "        writer.ensure_capacity(start + 20)\n"
        "        writer.commit([outcome(run_id) for run_id in range(start, start + 20)])\n"
    )
    path = tmp_path / "store"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], cwd=HERE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "made\n"
        reader = Store.open(path)
        seen = 0
        while seen < 800:
            ended = writer.poll()
            reader.refresh()
            ids = reader.committed_ids()
            np.testing.assert_array_equal(ids[:seen], np.arange(seen))
            for run_id in ids[seen:]:
                reader.payload(run_id)
            seen = len(ids)
            assert ended is None or seen == 800
    assert writer.returncode == 0
