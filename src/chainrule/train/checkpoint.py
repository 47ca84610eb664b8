"""Checkpoints: containers of arrays, numbers and text in one safetensors file, bit for bit.

`write_checkpoint` puts a container into a file, `read_checkpoint` gives it back. Arrays are the
tensors of the file, named by their place (``weights.W1``), so other programs can read them; the
containers around them and everything else are JSON in its header. There is nothing in the file
that could run. A checksum over all of it tells a file that was changed from one that was not.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import optree
from safetensors import SafetensorError, TensorSpec, safe_open, serialize

from chainrule.errors import (
    CheckpointError,
    FileAccessError,
    ForeignFileError,
    NewerFileError,
    StateError,
    UnsavableError,
)
from chainrule.graph import describe
from chainrule.train.description import DEPTH, described, restored
from chainrule.train.replacement import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

_KEY = "chainrule"
_FORMAT, _VERSION = "chainrule checkpoint", 1
_HEADER = 100_000_000  # bytes: the limit of the safetensors format
_DIGITS = 20  # of an integer in JSON; larger integers are hexadecimal, which is read in O(n)
_DTYPES = {
    "BOOL",
    *(f"{kind}{bits}" for kind in "IU" for bits in (8, 16, 32, 64)),
    *(f"F{bits}" for bits in (16, 32, 64)),
}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes
    ----------
    arrays
        Containers of arrays and numbers: parameters, the state of an optimiser.
    meta
        Everything else: settings, the epoch, the state of a random generator.
    """

    arrays: Any
    meta: Any

    def arrays_like(self, like: Any) -> Any:
        """Return the arrays in the containers of others that are made afresh.

        Parameters
        ----------
        like
            What was written, in structure, shapes and dtypes, such as the parameters and the
            optimiser's state before the first step. Its named tuples are made again.

        Returns
        -------
        container
            Of the structure of `like`, with the arrays of the checkpoint.

        Raises
        ------
        StateError
            The arrays of the checkpoint do not fit; each that does not is named.

        Examples
        --------
        >>> checkpoint = Checkpoint({"w": np.ones(2), "state": (7, np.zeros(2))}, None)
        >>> checkpoint.arrays_like({"w": np.zeros(2), "state": (0, np.zeros(2))})
        {'w': array([1., 1.]), 'state': (7, array([0., 0.]))}
        """
        wanted, structure = _leaves(like)
        found, _ = _leaves(self.arrays)
        wrong = [
            f"{'.'.join(map(str, place))}: {expected} expected, {got} found"
            for place in {**wanted, **found}
            if (expected := _kind(wanted, place)) != (got := _kind(found, place))
        ]
        if wrong:
            raise StateError(
                f"the checkpoint does not fit in {len(wrong)} places.",
                *wrong,
                advice="Make the model and the optimiser as they were when it was written.",
            )
        return optree.tree_unflatten(structure, [found[place] for place in wanted])


def write_checkpoint(path: str | os.PathLike[str], arrays: Any, meta: Any = None) -> None:
    """Write a checkpoint, in place of the one that the file held.

    Until all of it is on the disk the file keeps its old contents, so a process or a machine that
    stops on the way leaves the old checkpoint or the new one, never a part.

    Parameters
    ----------
    path
        The file; its folder must exist. By custom it ends in ``.safetensors``.
    arrays, meta
        Arrays of integers, booleans and floats of up to 64 bits, NumPy scalars, bool, int, float,
        str, None, and dict (with str keys), list and tuple of these. A named tuple becomes a
        tuple. Arrays are stored in C order and the machine's byte order; their values, every NaN
        and every sign of zero are kept.

    Raises
    ------
    UnsavableError
        A value is none of these.
    FileAccessError
        The folder or the disk refuses; the file is as it was.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/model.safetensors"
    ...     write_checkpoint(path, {"W": np.ones((2, 3)), "step": 7}, {"seed": 2**100})
    ...     checkpoint = read_checkpoint(path)
    >>> checkpoint.arrays["W"].shape, checkpoint.arrays["step"], checkpoint.meta
    ((2, 3), 7, {'seed': 1267650600228229401496703205376})
    """
    path = os.fspath(path)
    data = _packed(arrays, meta)
    try:
        replace_file(Path(path), data)
    except OSError as error:
        raise _refused("written", path, error) from error


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    A file from anywhere may be read: it runs no code, every array is checked against the size of
    the file before there is memory for it, and what does not fit is an error.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Checkpoint
        Equal to what was written, in dtype, shape and every bit. The arrays are writable.

    Raises
    ------
    FileAccessError
        There is no such file, or it cannot be read.
    ForeignFileError
        It is a safetensors file and not a checkpoint.
    NewerFileError
        It was written by a later release.
    CheckpointError
        It is damaged, or no safetensors file.
    """
    path = os.fspath(path)
    try:
        return _read(path)
    except CheckpointError as error:
        raise error.located(f"file: {path}") from None
    except OSError as error:
        raise _refused("read", path, error) from error
    except (SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(
            "The file is no checkpoint, or a damaged one.",
            f"file: {path}",
            f"found: {_first_line(error)}",
            "expected: a whole safetensors file as write_checkpoint wrote it",
        ) from error


def _leaves(tree: Any) -> tuple[dict[tuple[Any, ...], Any], Any]:
    """Return arrays and numbers by their places, and the containers around them."""
    places, leaves, structure = optree.tree_flatten_with_path(tree, none_is_leaf=True)
    return dict(zip(places, leaves, strict=True)), structure


def _kind(leaves: dict[tuple[Any, ...], Any], place: tuple[Any, ...]) -> str:
    if place not in leaves:
        return "nothing"
    leaf = leaves[place]
    return describe(leaf) if hasattr(leaf, "dtype") else type(leaf).__name__


def _read(path: str) -> Checkpoint:
    if not stat.S_ISREG(Path(path).stat().st_mode):  # a pipe would wait forever
        raise OSError(errno.EINVAL, "Not a regular file", path)
    # Not mapped into memory: a file that another program shortens would end this process.
    with safe_open(path, "np", backend="pread") as file:
        document = _document(file.metadata() or {})
        tensors = dict(_tensors(file))
    if document.pop("crc32", None) != _checksum(document, tensors):
        raise ValueError("its checksum is that of other contents")
    if document.keys() != {"format", "version", "arrays", "meta"}:
        raise ValueError(f"its description has the parts {', '.join(document)[:100]}")
    checkpoint = Checkpoint(
        restored(document["arrays"], tensors), restored(document["meta"], tensors)
    )
    if tensors:
        raise ValueError(f"it has arrays without a place: {', '.join(sorted(tensors))[:100]}")
    return checkpoint


def _refused(done: str, path: str, error: OSError) -> FileAccessError:
    refusal = FileAccessError(
        f"The checkpoint cannot be {done}: {error.strerror or error}.",
        f"file: {path}",
        *(["a checkpoint that was there before is still there"] if done == "written" else []),
    )
    refusal.errno, refusal.filename = error.errno, path
    return refusal


def _first_line(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return f"containers in more than {DEPTH} containers"
    return str(error).partition("\n")[0][:200]


def _packed(arrays: Any, meta: Any) -> bytes:
    """Return a checkpoint as the bytes of a safetensors file."""
    tensors: dict[str, np.ndarray] = {}
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "arrays": described(arrays, (), tensors),
        "meta": described(meta, ("meta",), tensors),
    }
    document["crc32"] = _checksum(document, tensors)
    specs = {
        name: TensorSpec(
            dtype=array.dtype.name,
            shape=array.shape,
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in tensors.items()
    }
    # One entry: the order of several would differ from run to run, and so would the file.
    text = json.dumps(document, separators=(",", ":"))
    if len(text) < _HEADER:
        data: bytes = serialize(specs, {_KEY: text})
        if int.from_bytes(data[:8], "little") <= _HEADER:
            return data
    raise UnsavableError(
        f"What is not an array may fill {_HEADER // 10**6} MB of a checkpoint, not more.",
        f"the description of this one has {len(text) / 1e6:.0f} MB",
        advice="Make arrays of the long lists in it.",
    )


def _checksum(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> int:
    """Return the CRC-32 of everything that a checkpoint says."""
    shapes = [[name, array.dtype.str, array.shape] for name, array in sorted(arrays.items())]
    checksum = zlib.crc32(json.dumps([document, shapes]).encode())
    for _, array in sorted(arrays.items()):
        checksum = zlib.crc32(array.reshape(-1).view(np.uint8).data, checksum)
    return checksum


def _document(metadata: dict[str, str]) -> dict[str, Any]:
    """Return the description in a header, if it is one that this release understands."""
    if _KEY not in metadata:
        raise ForeignFileError(
            "This is a safetensors file, but no checkpoint of chainrule.",
            f"found: a header with {', '.join(sorted(metadata))[:200] or 'no metadata'}",
            f"expected: a header with {_KEY}",
        )
    document = json.loads(
        metadata[_KEY], parse_int=_integer, parse_constant=_no_number, object_pairs_hook=_unique
    )
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ForeignFileError(
            f"The metadata {_KEY} of this safetensors file are not a checkpoint's.",
            f"found: {metadata[_KEY][:60]}",
            f"expected: the format {_FORMAT}",
        )
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"its version is {str(version)[:50]}")
    if version > _VERSION:
        raise NewerFileError(
            f"This checkpoint has version {version}, and this release reads up to {_VERSION}."
        )
    return document


def _tensors(file: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and arrays; that they are no larger than the file is checked by safetensors."""
    for name in file.keys():  # noqa: SIM118 - not a dict
        dtype = file.get_slice(name).get_dtype()
        if dtype not in _DTYPES:
            raise ValueError(f"the array {name[:50]!r} has the dtype {dtype}")
        array: np.ndarray = file.get_tensor(name)
        if dtype == "BOOL" and array.size and array.view(np.uint8).max() > 1:
            raise ValueError(f"the array {name[:50]!r} has booleans that are neither 0 nor 1")
        yield name, array


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"its description has an integer of {len(digits)} digits")
    return int(digits)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"its description has the number {name}, which JSON does not have")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parts = dict(pairs)
    if len(parts) < len(pairs):
        raise ValueError("its description names something twice")
    return parts
