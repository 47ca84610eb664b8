"""Containers of arrays as JSON beside a table of the arrays, and back.

null, booleans, strings, lists, finite floats and integers of 64 bits are themselves in JSON. An
object has one entry, which says what it stands for: ``{"dict": {...}}``, ``{"tuple": [...]}``,
``{"int": "0x..."}``, ``{"float": "7ff8000000000000"}`` (the bits of what JSON has no number for),
``{"array": name}`` or ``{"scalar": name}``, where the name is that of an array in the table.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from chainrule.errors import UnsavableError

__all__ = ["DEPTH", "described", "restored"]

DEPTH = 100
"""How many containers may be in each other; Python's limit on recursion is not far above."""

_STORABLE = {np.dtype(code) for code in "?bhilqBHILQefd"}  # the real dtypes of up to 64 bits


def described(tree: Any, place: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    """Return a container as JSON, and put its arrays into a table.

    Parameters
    ----------
    tree
        A dict, list or tuple, or what may be in one.
    place
        The keys that lead to it, for names and errors.
    arrays
        The table, which is added to: contiguous arrays of little endian, by name.

    Returns
    -------
    JSON value
        What `restored` takes.

    Raises
    ------
    UnsavableError
        Something in it has no form in JSON and is no array of real numbers.

    Examples
    --------
    >>> table = {}
    >>> described({"W": np.eye(2), "rate": (0.5, float("inf"))}, (), table)
    {'dict': {'W': {'array': 'W'}, 'rate': {'tuple': [0.5, {'float': '7ff0000000000000'}]}}}
    >>> list(table)
    ['W']
    """
    if len(place) > DEPTH:
        raise UnsavableError(
            f"A checkpoint holds at most {DEPTH} containers in each other.",
            f"in it as {'.'.join(place[:3])}...",
            advice="Flatten the container, or look for one that contains itself.",
        )
    if isinstance(tree, (np.ndarray, np.generic)):
        name = _free_name(place, arrays)
        arrays[name] = _storable(tree, place)
        return {"array" if isinstance(tree, np.ndarray) else "scalar": name}
    if isinstance(tree, dict):
        for key in tree:
            if type(key) is not str:
                raise _unsavable(place, f"a dict with the key {key!r:.50}, which is no str")
        return {"dict": {key: described(tree[key], (*place, key), arrays) for key in tree}}
    if isinstance(tree, (list, tuple)):
        parts = [described(part, (*place, str(i)), arrays) for i, part in enumerate(tree)]
        return parts if isinstance(tree, list) else {"tuple": parts}
    return _plain(tree, place)


def _plain(value: Any, place: tuple[str, ...]) -> Any:
    """Return a single value as JSON."""
    kind = type(value)  # exactly: a subclass would come back as another type
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**63 else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
    raise _unsavable(place, f"a value of type {kind.__name__}")


def _storable(array: Any, place: tuple[str, ...]) -> np.ndarray:
    """Return an array of little endian in C order; safetensors writes memory as it lies."""
    if isinstance(array, np.ma.MaskedArray):
        raise _unsavable(place, "a masked array, whose mask would be lost")
    if array.dtype.newbyteorder("=") not in _STORABLE:
        raise _unsavable(place, f"an array of {array.dtype}")
    return np.array(array, dtype=array.dtype.newbyteorder("<"), order="C", copy=None)


def _unsavable(place: tuple[str, ...], what: str) -> UnsavableError:
    return UnsavableError(
        f"A checkpoint cannot hold {what}.", f"in it as: {'.'.join(place) or 'the whole'}"
    )


def _free_name(place: tuple[str, ...], taken: dict[str, np.ndarray]) -> str:
    """Return the name of an array; {"a.b": x} and {"a": {"b": y}} ask for the same one."""
    # Any str is a key in Python, also one that UTF-8 has no bytes for.
    name = ".".join(place).encode("utf-8", "backslashreplace").decode("utf-8") or "array"
    free, number = name, 2
    while free in taken or free == "__metadata__":  # which safetensors has for itself
        free, number = f"{name}~{number}", number + 1
    return free


def restored(part: Any, arrays: dict[str, np.ndarray], depth: int = 0) -> Any:
    """Return the container that JSON describes.

    Parameters
    ----------
    part
        A JSON value from anywhere.
    arrays
        The table; each array leaves it when it takes its place.
    depth
        How many containers are around.

    Returns
    -------
    container
        What was described.

    Raises
    ------
    ValueError
        It does not describe a container of these arrays.
    RecursionError
        More than `DEPTH` containers are in each other.
    """
    if depth > DEPTH:
        raise RecursionError
    if isinstance(part, list):
        return [restored(inner, arrays, depth + 1) for inner in part]
    if not isinstance(part, dict):
        return part
    if len(part) != 1:
        raise ValueError(f"its description has an object of {len(part)} kinds")
    ((kind, value),) = part.items()
    match kind, value:
        case "dict", dict():
            return {key: restored(value[key], arrays, depth + 1) for key in value}
        case "tuple", list():
            return tuple(restored(inner, arrays, depth + 1) for inner in value)
        case "array" | "scalar", str() if value in arrays:
            array = arrays.pop(value)
            return array if kind == "array" else array.reshape(())[()]
        case "int" | "float", str():
            return int(value, 16) if kind == "int" else _float(value)
    raise ValueError(f"its description has an unknown {kind[:50]!r}: {str(value)[:50]}")


def _float(bits: str) -> float:
    try:
        (number,) = struct.unpack(">d", bytes.fromhex(bits))
    except struct.error as error:
        raise ValueError(f"its description has a float of the bits {bits[:50]!r}") from error
    return float(number)
