"""A table from what a user has: a path, or a data frame."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.errors import DataError, FileAccessError
from chainrule.interop.data.columnar import ColumnarSource, as_polars, from_array_file
from chainrule.interop.data.libraries import pl
from chainrule.interop.data.pages import require_sound_pages
from chainrule.interop.data.text import TextSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.interop.data.source import Source

__all__ = ["ENDINGS", "open_table"]

ENDINGS = {
    ".csv": "CSV",
    ".tsv": "TSV",
    ".tab": "TSV",
    ".txt": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".arrow": "Arrow IPC",
    ".ipc": "Arrow IPC",
    ".feather": "Arrow IPC",
    ".npy": "NPY",
    ".npz": "NPZ",
}
"""The ends of names, and the formats that they say."""


def open_table(
    table: Any, *, missing: Sequence[str] = (), categorical: Sequence[str] = ()
) -> Source:
    """Return a table that is read in blocks.

    Parameters
    ----------
    table
        The path of a CSV, TSV, Parquet, Arrow IPC, NPY or NPZ file, by the end of its name; or a
        data frame of polars, pandas or another library that narwhals knows.
    missing
        Text that stands for a missing value, beside the empty field; "NaN" also says it of
        numbers that are NaN.
    categorical
        Columns whose numbers are names of categories.

    Returns
    -------
    Source
        With the names and kinds of the columns.

    Raises
    ------
    DataError
        It is empty, damaged, of no known format, or its columns have no names of their own.
    FileAccessError
        The file cannot be read.
    MissingExtraError
        polars or narwhals is not installed.

    Examples
    --------
    >>> import polars as pl
    >>> open_table(pl.DataFrame({"age": [31.0, 52.0], "town": ["Ulm", "Bonn"]})).kinds
    {'age': 'number', 'town': 'text'}
    """
    if not isinstance(table, str | os.PathLike):
        frame = as_polars(table).lazy()
        return ColumnarSource(frame, "the data frame", missing=missing, categorical=categorical)
    path = Path(table)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(
            f"{path} has a name that does not say its format.",
            f"expected: a name that ends in one of {', '.join(ENDINGS)}",
            advice="Give the file the end of its format.",
        )
    try:
        return _opened(path, ENDINGS[ending], missing, categorical)
    except OSError as error:
        refusal = FileAccessError(
            f"the table cannot be read: {error.strerror or error}.", f"file: {path}"
        )
        refusal.errno, refusal.filename = error.errno, str(path)
        raise refusal from error


def _opened(path: Path, form: str, missing: Sequence[str], categorical: Sequence[str]) -> Source:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(
            f"{path} is a pipe or a device, which can be read once and in order only.",
            advice="Write what it says into a file first: cat PIPE > FILE",
        )
    with path.open("rb") as file:  # what the system refuses, in its own words and before all else
        begin = file.read(8)
    if not begin:
        raise DataError(f"{path} is empty.", advice="Check that it was written and copied whole.")
    if form == "Arrow IPC" and begin.startswith(b"\xff\xff\xff\xff"):
        raise DataError(
            f"{path} is a stream of Arrow IPC, where a file of Arrow IPC was expected.",
            advice="Write it anew: polars.read_ipc_stream(OLD).write_ipc(NEW)",
        )
    if form in {"CSV", "TSV"}:
        return TextSource(path, missing=missing, categorical=categorical)
    if form in {"NPY", "NPZ"}:
        return from_array_file(path, missing=missing, categorical=categorical)
    if form == "Parquet":
        require_sound_pages(path)
    lazy = pl.scan_parquet(path) if form == "Parquet" else pl.scan_ipc(path)
    return ColumnarSource(lazy, str(path), missing=missing, categorical=categorical)
