"""On what kind of filesystem a store lies: on one across a network some promises depend on the server."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

#: Kinds whose pages, locks or syncs another machine answers for (names as in mountinfo).
NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2",
    "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "virtiofs", "wekafs",
    "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.mountpoint-s3", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs",
}  # fmt: skip


def filesystem_of(path: Path) -> str | None:
    """Return the kind of filesystem that a path lies on, or would be made on; None when that is unknown.

    Source: proc_pid_mountinfo(5): the mount point is field 5, the kind follows a lone hyphen.
    """
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        target = path.resolve()
    except (OSError, RuntimeError):  # a circle of links is one of these, by version of Python
        return None
    kind, depth = None, -1
    for line in lines:
        mount, _, rest = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), mount.split(" ")[4]))
        if (
            target.is_relative_to(point) and len(point.parts) >= depth
        ):  # the last of two mounts hides the first
            kind, depth = rest.split(" ")[0], len(point.parts)
    return kind


def network_warning(path: Path) -> str | None:
    """Return what to know about a store across a network, or None for a local filesystem."""
    kind = filesystem_of(path)
    if kind not in NETWORK:
        return None
    return (
        f"{path} is on a network filesystem ({kind}): its server decides whether runs survive a power cut "
        "and whether a writer on another machine is kept out. Safer and faster: write to a local disk, and "
        "copy the store when the campaign is done."
    )
