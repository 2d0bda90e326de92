"""Tells folders where a live database is safe from those on a network or kept in step by a cloud."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]

_NETWORK = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "davfs", "fuse.davfs2",
        "fuse.sshfs", "sshfs", "gpfs", "lustre", "beegfs", "beegfs_nodev", "9p", "ceph", "glusterfs",
        "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "afs", "ncpfs", "orangefs", "vboxsf",
        "fuse.vmhgfs-fuse", "prl_fs",
    }
)  # fmt: skip
_SYNCED = re.compile(
    r"^(dropbox|onedrive|google ?drive|googledrive-.*|my drive|icloud ?drive|mobile documents|nextcloud"
    r"|owncloud|box( sync)?|pcloud ?drive|seafile|syncthing|megasync|cloudstorage)( ?[-–(].*)?$",
    re.IGNORECASE,
)
_MARKERS = (".stfolder", ".dropbox.cache", ".owncloudsync.log", ".nextcloudsync.log")
_REMOTE_DRIVE = 4


def shared_because(folder: Path) -> str:
    """Return why a database must not live in a folder, in words; empty when it may.

    Parameters
    ----------
    folder : Path
        Need not exist yet.
    """
    folder = Path(os.path.abspath(folder))
    if sys.platform == "win32":
        reason = _windows(folder)
        if reason:
            return reason
    kind = _file_system(folder)
    if kind in _NETWORK:
        return f"it is on a network file system ({kind})"
    for part in (folder, *folder.parents):
        if _SYNCED.match(part.name):
            return f"the folder '{part.name}' is kept in step by a cloud service"
        if any((part / marker).exists() for marker in _MARKERS):
            return f"the folder '{part.name}' is kept in step with other computers"
    return ""


def _file_system(folder: Path) -> str:
    try:
        real = os.path.realpath(folder)
        mounts = psutil.disk_partitions(all=True)
    except OSError:
        return ""
    inside = [m for m in mounts if _is_inside(real, m.mountpoint)]
    # Of two mounts at one place the later one is seen.
    best = max(enumerate(inside), key=lambda pair: (len(pair[1].mountpoint), pair[0]), default=None)
    return best[1].fstype.lower() if best else ""


def _is_inside(path: str, mount: str) -> bool:
    mount = mount.rstrip("/\\") or os.sep
    return path == mount or path.startswith(mount if mount == os.sep else mount + os.sep)


def _windows(folder: Path) -> str:
    if str(folder).startswith("\\\\"):
        return "it is on a network share"
    import ctypes

    library = getattr(ctypes, "windll", None)
    if library is not None and library.kernel32.GetDriveTypeW(folder.anchor) == _REMOTE_DRIVE:
        return f"the drive {folder.drive} is on a network"
    return ""
