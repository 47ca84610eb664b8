"""Replacing a file so that at every moment the old or the new one is there, whole.

The new bytes go to a temporary file in the same folder, are flushed to the disk, and take the
name in one step. A process that dies on the way leaves its temporary behind; the next one that
writes into the folder removes it. Who is alive is told by a lock on the temporary, which the
system drops with its process; process numbers would lie across containers and machines.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replace_file", "sweep"]

_PREFIX, _SUFFIX = ".chainrule-", ".tmp"
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
"""What file systems answer that know no flushing of folders."""


def replace_file(path: Path, data: bytes) -> None:
    """Give a file new contents, entirely or not at all.

    Parameters
    ----------
    path
        The file, which need not exist; its folder must. A link is followed.
    data
        The new contents. Mode and owner of an existing file are kept.

    Raises
    ------
    OSError
        The folder or the disk refuses. The old file is unchanged and no temporary is left.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "numbers"
    ...     replace_file(path, b"1 2 3")
    ...     replace_file(path, b"4 5 6")
    ...     path.read_bytes(), len(list(Path(folder).iterdir()))
    (b'4 5 6', 1)
    """
    path = path.resolve()
    old = _status(path)
    sweep(path.parent)
    temporary, descriptor = _locked_temporary(path.parent, 0o666 if old is None else 0o600)
    try:
        try:
            if old is not None:
                _keep_permissions(descriptor, old)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            if sys.platform != "win32":  # under the lock, so that nobody sweeps it
                temporary.replace(path)
        finally:
            os.close(descriptor)
        if sys.platform == "win32":  # which renames no file that is open
            temporary.replace(path)
    except BaseException:  # also Ctrl-C
        with suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(path.parent)


def sweep(folder: Path) -> int:
    """Remove the temporaries of processes that died while they wrote into a folder.

    Parameters
    ----------
    folder
        The folder; one that cannot be listed is left alone.

    Returns
    -------
    int
        How many were removed.
    """
    removed = 0
    with suppress(OSError):
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            with suppress(OSError):
                _remove_unlocked(path)
                removed += 1
    return removed


def _remove_unlocked(path: Path) -> None:
    """Remove a temporary whose writer is dead, else raise `OSError`."""
    if sys.platform == "win32":  # where a file that is open cannot be removed
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()  # by its name: if its writer has just renamed it, nothing is there
    finally:
        os.close(descriptor)


def _locked_temporary(folder: Path, mode: int) -> tuple[Path, int]:
    """Make a file that no sweep removes while this process lives and keeps it open."""
    while True:
        path = folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, mode)
        if sys.platform == "win32":
            return path, descriptor
        # Where locks are not supported, a sweep cannot lock either, and removes nothing.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
        os.close(descriptor)  # swept between its creation and its lock


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a file that may be replaced, None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        # Renaming over a device would destroy it.
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return status


def _keep_permissions(descriptor: int, old: os.stat_result) -> None:
    if sys.platform != "win32":
        with suppress(PermissionError):  # only an administrator may give files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _flush_folder(folder: Path) -> None:
    """Make the renaming survive a loss of power, where the system can."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder may be writable and not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
