from pathlib import Path

import pytest

from airbench_var.store import filesystem, filesystem_of, network_warning

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/me/local\\040disk rw,relatime - xfs /dev/nvme0n1 rw
32 27 0:42 / /mnt rw - ext4 /dev/vdb rw
33 27 0:43 / /mnt rw - fuse.sshfs me@server: rw
"""


@pytest.fixture(autouse=True)
def _mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "mountinfo")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/runs/new", "ext4"),
        ("/home/me/runs", "nfs4"),
        ("/home", "nfs4"),
        ("/homely", "ext4"),
        ("/home/me/local disk/runs", "xfs"),
        ("/mnt/runs", "fuse.sshfs"),  # the later mount hides the earlier one
    ],
)
def test_the_deepest_mount_counts(path: str, kind: str) -> None:
    assert filesystem_of(Path(path)) == kind
    assert (network_warning(Path(path)) is not None) == (kind in ("nfs4", "fuse.sshfs"))


def test_a_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(
        f"{MOUNTS}34 27 0:44 / {tmp_path}/there rw - cifs //server/share rw\n"
    )
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    assert filesystem_of(tmp_path / "link" / "runs") == "cifs"


def test_the_warning_names_path_and_kind_and_what_to_do() -> None:
    warning = network_warning(Path("/home/me/runs"))
    assert warning is not None
    assert warning.startswith("/home/me/runs is on a network filesystem (nfs4)")
    assert "write to a local disk" in warning


def test_an_unknown_filesystem_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").unlink()
    assert filesystem_of(tmp_path) is None
    assert network_warning(tmp_path) is None
