"""Predictions into a file, whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DataError, FileAccessError, SettingError
from chainrule.interop.data.libraries import pl
from chainrule.interop.data.opening import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["require_writable", "whole_file", "write_predictions"]


def write_predictions(frames: Iterable[pl.DataFrame], path: str | os.PathLike[str]) -> int:
    r"""Write predictions into a file of the format that its name says.

    Parameters
    ----------
    frames
        Blocks of rows. CSV and TSV are written as they come, the others when all are there.
    path
        The file. Until all of it is on the disk it keeps its old contents.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    DataError
        The name does not say a format.
    FileAccessError
        The folder or the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> frame = pl.DataFrame({"y": [1.5, 2.5]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_predictions([frame, frame], f"{folder}/y.csv")
    ...     Path(folder, "y.csv").read_text()
    4
    'y\n1.5\n2.5\n1.5\n2.5\n'
    """
    path = Path(path)
    form = ENDINGS.get(path.suffix.lower())
    if form is None:
        raise DataError(
            f"{path} has a name that does not say its format.",
            f"expected: a name that ends in one of {', '.join(ENDINGS)}",
            advice="Give the file the end of its format.",
        )
    with whole_file(path) as file:
        if form in {"CSV", "TSV"}:
            return _write_text(frames, file, "\t" if form == "TSV" else ",")
        whole = pl.concat(list(frames))
        _WRITERS[form](whole, file)
        return len(whole)


def require_writable(*paths: Path | None, inputs: Sequence[Path] = ()) -> None:
    """Refuse, before hours of work, files that could not or should not be written after it.

    Parameters
    ----------
    *paths
        The files to write; None for one that is not wanted.
    inputs
        The files that are read.

    Raises
    ------
    FileAccessError
        A folder is not there, or nothing may be written in it.
    SettingError
        A file would be written over one that is read, or two into one.

    Examples
    --------
    >>> require_writable(Path("m.safetensors"), None, inputs=[Path("t.csv")])
    """
    taken = [path.resolve() for path in inputs]
    for path in paths:
        if path is None:
            continue
        if path.resolve() in taken:
            is_input = path.resolve() in taken[: len(inputs)]
            raise SettingError(
                f"{path} cannot be written: "
                + ("it is also read." if is_input else "two outputs have this name."),
                advice="Give what is written a name of its own.",
            )
        taken.append(path.resolve())
        folder = path.absolute().parent
        if not folder.is_dir():
            raise _refused(path, OSError(errno.ENOENT, "its folder is not there"))
        if path.is_dir():
            raise _refused(path, OSError(errno.EISDIR, "it is a folder"))
        if path.exists() and not path.is_file():
            raise _refused(path, OSError(errno.EINVAL, "it is no regular file"))
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise _refused(path, error) from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name when everything in it is on the disk, or never.

    Raises
    ------
    FileAccessError
        The folder or the disk refuses; what the file held before is still there.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.absolute().parent, prefix=".chainrule-", suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        temporary.chmod(mode & 0o777)
        temporary.replace(path)
    except BaseException as error:  # also Ctrl-C
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, FileAccessError):
            raise _refused(path, error) from error
        raise


def _umask() -> int:
    """Return the permissions that new files do not get; asking means setting."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _refused(path: Path, error: OSError) -> FileAccessError:
    refusal = FileAccessError(
        f"the file cannot be written: {error.strerror or error}.", f"file: {path}"
    )
    refusal.errno, refusal.filename = error.errno, str(path)
    return refusal


def _write_text(frames: Iterable[pl.DataFrame], file: IO[bytes], separator: str) -> int:
    rows = 0
    for k, frame in enumerate(frames):
        file.write(frame.write_csv(include_header=not k, separator=separator).encode())
        rows += len(frame)
    return rows


def _write_npz(frame: pl.DataFrame, file: IO[bytes]) -> None:
    np.savez(file, **{name: _array(frame[name]) for name in frame.columns})


def _write_npy(frame: pl.DataFrame, file: IO[bytes]) -> None:
    """Write a structured array, whose fields are the columns."""
    columns = {name: _array(frame[name]) for name in frame.columns}
    dtype: Any = [(name, x.dtype) for name, x in columns.items()]
    rows = np.empty(len(frame), dtype)
    for name, x in columns.items():
        rows[name] = x
    np.save(file, rows, allow_pickle=False)


def _array(column: pl.Series) -> Any:
    x = column.to_numpy()
    return x.astype(str) if x.dtype.kind == "O" else x


_WRITERS: dict[str, Callable[[pl.DataFrame, IO[bytes]], Any]] = {
    "Parquet": lambda frame, file: frame.write_parquet(file),
    "Arrow IPC": lambda frame, file: frame.write_ipc(file),
    "NPZ": _write_npz,
    "NPY": _write_npy,
}
