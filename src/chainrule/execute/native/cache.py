"""A folder of machine code that later processes load instead of compiling.

What comes out is run, so an entry is believed only if it is the user's own, complete and the one
that was asked for. Everything that can go wrong with a folder (absent, read-only, full, foreign,
damaged) means the same: nothing is there, and the caller compiles.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LIMIT", "folder", "read", "write"]

LIMIT: Final = 256 * 2**20  # bytes of all entries together

_MAGIC: Final = b"chainrule cache\x01"
_LENGTH: Final = 8
_DIGEST: Final = 32
_HEADER: Final = len(_MAGIC) + _LENGTH + _DIGEST
# The folder may be one that holds the user's own files: what has not this suffix is not ours.
_SUFFIX: Final = ".chainrule"
_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)


def folder() -> Path | None:
    r"""Where entries are kept; `None` if the cache is off.

    Returns
    -------
    Path or None
        `$CHAINRULE_CACHE` if it is set, and `None` if it is set to nothing; else
        `$XDG_CACHE_HOME/chainrule`; else what the platform has for this: `~/.cache/chainrule`,
        `~/Library/Caches/chainrule` or `%LOCALAPPDATA%\chainrule\cache`. It may not exist yet.

    Examples
    --------
    >>> import os
    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, CHAINRULE_CACHE="here"):
    ...     folder().name
    'here'
    >>> with patch.dict(os.environ, CHAINRULE_CACHE=""):
    ...     folder() is None
    True
    """
    ours = os.environ.get("CHAINRULE_CACHE")
    if ours == "":
        return None
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if ours:
            return Path(ours).expanduser()
        # The standard says that a relative path is to be ignored.
        return shared / "chainrule" if shared.is_absolute() else _usual()
    except RuntimeError:  # a user without a home
        return None


def _usual() -> Path:
    """Where the platform keeps what can be made again."""
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        place = (Path(local) if local else Path.home() / "AppData/Local") / "chainrule" / "cache"
    elif sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches" / "chainrule"
    else:
        place = Path.home() / ".cache" / "chainrule"
    return place


def read(name: str) -> bytes | None:
    """Return what was written under a name, and mark it as used just now.

    Parameters
    ----------
    name
        As in `write`.

    Returns
    -------
    bytes or None
        `None` if there is no such entry, if it is damaged (it is removed) or if it is not the
        user's own.

    Examples
    --------
    >>> read("a-name-that-nobody-wrote") is None
    True
    """
    place = folder()
    if place is None or not _is_own_folder(place):
        return None
    path = place / (name + _SUFFIX)
    content = _content(path)
    if content is None:
        return None
    data = _unpacked(name, content)
    with contextlib.suppress(OSError):  # another process was quicker, or the folder is read-only
        if data is None:
            path.unlink()
        else:
            os.utime(path)
    return data


def write(name: str, data: bytes) -> None:
    """Keep data under a name, or do nothing where that is impossible.

    The entry appears at once and complete, whatever other processes do: it is written beside
    its place and moved there. The least recently used entries go when there are too many.

    Parameters
    ----------
    name
        A file name without separators, such as a hash in hexadecimal digits.
    data
        Any bytes.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest.mock import patch
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with patch.dict(os.environ, CHAINRULE_CACHE=place):
    ...         write("name", b"content")
    ...         read("name")
    b'content'
    """
    place = folder()
    if place is None or len(data) + _HEADER > LIMIT:
        return
    with contextlib.suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_own_folder(place):
            _put(place / (name + _SUFFIX), _packed(name, data))
            _prune(place)


def _packed(name: str, data: bytes) -> bytes:
    """Return an entry: a header that says what and how much follows, and the data."""
    return b"".join([_MAGIC, len(data).to_bytes(_LENGTH, "little"), _digest(name, data), data])


def _unpacked(name: str, content: bytes) -> bytes | None:
    """Return the data of an entry, `None` unless it is whole and was written under this name."""
    data = content[_HEADER:]
    return data if content[:_HEADER] == _packed(name, data)[:_HEADER] else None


def _digest(name: str, data: bytes) -> bytes:
    """Return a checksum that an entry renamed to another name does not have."""
    return blake2b(data, digest_size=_DIGEST, key=blake2b(name.encode()).digest()).digest()


def _content(path: Path) -> bytes | None:
    """Return the bytes of a file that is the user's own, `None` if there is none."""
    try:
        # What is looked at has to be what is read: hence the open file, not the path.
        with open(os.open(path, os.O_RDONLY | _BINARY | _NO_LINK), "rb") as file:  # noqa: PTH123
            return file.read() if _is_own_file(os.fstat(file.fileno())) else None
    except OSError:
        return None


def _is_own_file(status: os.stat_result) -> bool:
    """Whether nobody else can have written what is in a file."""
    if not stat.S_ISREG(status.st_mode) or status.st_size > LIMIT:
        return False
    # On Windows a user's folders are closed to others.
    return sys.platform == "win32" or (
        status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _is_own_folder(place: Path) -> bool:
    """Whether a folder exists and belongs to the user."""
    try:
        status = place.stat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and (
        sys.platform == "win32" or status.st_uid == os.geteuid()
    )


def _put(path: Path, content: bytes) -> None:
    """Write a file that others see complete or not at all."""
    part = path.with_name(f".{path.stem}.{os.getpid()}-{os.urandom(6).hex()}{_SUFFIX}")
    try:
        new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
        with open(os.open(part, new, 0o600), "wb") as file:  # noqa: PTH123 - a private file
            file.write(content)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _prune(place: Path) -> None:
    """Remove the least recently used entries, and parts left behind, beyond the limit."""
    entries = sorted(_entries(place), key=lambda entry: entry.used)
    size = sum(entry.size for entry in entries)
    for entry in entries:
        if size <= LIMIT:
            break
        size -= entry.size
        with contextlib.suppress(OSError):
            entry.path.unlink()


class _Entry(NamedTuple):
    path: Path
    size: int
    used: int


def _entries(place: Path) -> Iterator[_Entry]:
    """Walk over what this module wrote into a folder."""
    with os.scandir(place) as files:
        for file in files:
            if not file.name.endswith(_SUFFIX):
                continue
            with contextlib.suppress(OSError):  # gone since the folder was listed
                status = file.stat(follow_symlinks=False)
                yield _Entry(Path(file.path), status.st_size, status.st_mtime_ns)
