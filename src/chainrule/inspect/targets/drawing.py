"""Numbers like those that a user gave: redrawn, and in other sizes where shapes are said.

What an array means shows in its numbers. One-hot rows stay one-hot, probabilities go on adding
up to 1, masks keep their two values, labels stay labels, what is positive stays positive; the
rest is normal, of about the same scale. Sizes are pairwise distinct primes, so that a factor 1/7
can be one axis alone, and a square matrix cannot hide a transpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.inspect.targets.handwritten import Slot

__all__ = ["drawn", "lengths_of", "like", "read_shapes", "sizes_for"]

PRIMES = (3, 5, 7, 2, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)
SCALES = (0.3, 2.0)
"""Between which the standard deviation of what is drawn is kept."""


def read_shapes(shapes: Mapping[str, str | Sequence[Any]]) -> dict[str, tuple[str | int, ...]]:
    """Return the axes of each name: letters, and integers where a length is fixed.

    Examples
    --------
    >>> read_shapes({"X": "n d", "b": "d 1"})
    {'X': ('n', 'd'), 'b': ('d', 1)}
    """
    read = {}
    for name, text in shapes.items():
        axes = text.replace(",", " ").split() if isinstance(text, str) else list(text)
        read[name] = tuple(int(a) if str(a).isdecimal() else str(a) for a in axes)
        for axis in read[name]:
            if isinstance(axis, str) and not axis.isidentifier():
                raise SettingError(
                    f"shapes needs letters and integers with spaces between, got {text!r} for "
                    f"{name}.",
                    advice='Write shapes={"X": "n d", "W1": "d h", "y": "n"}.',
                )
    return read


def sizes_for(
    shapes: Mapping[str, tuple[str | int, ...]],
    rng: np.random.Generator,
    fixed: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Return a prime length for each letter, all distinct; those that are fixed stay.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sorted(sizes_for({"X": ("n", "d"), "b": ("d", 1)}, rng, {"d": 4}))
    ['d', 'n']
    """
    fixed = fixed or {}
    letters = list(dict.fromkeys(a for axes in shapes.values() for a in axes if isinstance(a, str)))
    free = [letter for letter in letters if letter not in fixed]
    primes = [p for p in PRIMES if p not in fixed.values()]
    if len(free) > len(primes):
        raise SettingError(f"shapes has {len(letters)} letters, and {len(PRIMES)} are enough.")
    some = [p for p in primes if p != 2][: max(len(free), 5)]
    chosen = rng.permutation(some if len(some) >= len(free) else primes)[: len(free)]
    lengths = {letter: int(prime) for letter, prime in zip(free, chosen, strict=True)}
    return {letter: fixed.get(letter, lengths.get(letter, 0)) for letter in letters}


def lengths_of(
    slots: Sequence[Slot], shapes: Mapping[str, tuple[str | int, ...]]
) -> dict[str, int]:
    """Return the length that each letter has in the given arrays."""
    found: dict[str, int] = {}
    for slot in slots:
        given = np.shape(slot.given)
        if slot.name in shapes and len(given) == len(shapes[slot.name]):
            pairs = zip(shapes[slot.name], given, strict=True)
            found |= {axis: n for axis, n in pairs if isinstance(axis, str)}
    return found


def drawn(
    slots: Sequence[Slot],
    rng: np.random.Generator,
    shapes: Mapping[str, tuple[str | int, ...]],
    sizes: Mapping[str, int],
) -> list[Any]:
    """Return new numbers for every slot, of the given shapes or of those that are said."""
    lengths = [
        tuple(sizes[a] if isinstance(a, str) else a for a in shapes[slot.name])
        if slot.name in shapes
        else np.shape(slot.given)
        for slot in slots
    ]
    floating = [
        shape
        for slot, shape in zip(slots, lengths, strict=True)
        if slot.is_array and slot.is_differentiable
    ]
    least = min((n for shape in floating for n in shape if n > 1), default=2)
    return [
        like(slot.given, shape, rng, least, said=slot.name in shapes)
        for slot, shape in zip(slots, lengths, strict=True)
    ]


def like(
    x: Any, shape: tuple[int, ...], rng: np.random.Generator, least: int, *, said: bool = False
) -> Any:
    """Return an array of a shape with numbers of the kind that another has.

    Parameters
    ----------
    x
        What was given. A number without axes, or anything that is no array, stays.
    shape
        Of the new array.
    rng
        Draws it.
    least
        The shortest axis among the arrays, below which labels stay where sizes are new.
    said
        Whether the shape was said, and may differ from that of x.
    """
    if x is None and said:
        return rng.normal(size=shape)
    if not isinstance(x, np.ndarray) or not x.ndim:
        return x
    if x.dtype == bool:
        return rng.random(shape) < 0.5
    if x.dtype.kind in "iu":
        return _labels(x, shape, rng, least, is_new=said).astype(x.dtype)
    if x.dtype.kind != "f" or not x.size:
        return x
    return _numbers(x.astype(float), shape, rng, least, is_new=said)


def _labels(
    x: Any, shape: tuple[int, ...], rng: np.random.Generator, least: int, *, is_new: bool
) -> Any:
    low, high = (int(np.min(x)), int(np.max(x))) if x.size else (0, 0)
    if is_new and low >= 0:
        high = min(max(high, 1), least - 1)
        low = min(low, high)
    return rng.integers(low, high + 1, shape)


def _numbers(
    x: Any, shape: tuple[int, ...], rng: np.random.Generator, least: int, *, is_new: bool
) -> Any:
    two = np.unique(x)
    for axis in (-1, 0) if x.ndim > 1 and len(shape) == x.ndim else ():
        total = np.sum(x, axis=axis)
        if np.min(x) >= 0 and np.allclose(total, 1) and x.shape[axis] > 1:
            if set(two) <= {0.0, 1.0}:
                return _one_hot(shape, axis, rng)
            weights = rng.random(shape) + 0.1
            return weights / np.sum(weights, axis=axis, keepdims=True)
    if len(two) == 2 and two[0] == 0.0:
        return np.where(rng.random(shape) < np.clip(np.mean(x != 0), 0.3, 0.8), two[1], 0.0)
    if len(two) > 1 and np.all(x == np.round(x)) and two[0] >= 0 and two[-1] < 100:
        return _labels(x, shape, rng, least, is_new=is_new).astype(float)
    if len(two) > 1 and two[0] > 0:
        middle = float(np.median(x))
        return np.clip(middle, *SCALES) * np.exp(rng.uniform(-0.7, 0.7, shape))
    scale = float(np.sqrt(np.mean(x * x))) or 0.5
    return rng.normal(0.0, float(np.clip(scale, *SCALES)), shape)


def _one_hot(shape: tuple[int, ...], axis: int, rng: np.random.Generator) -> Any:
    places = rng.integers(
        0, shape[axis], [n for k, n in enumerate(shape) if k != axis % len(shape)]
    )
    return np.moveaxis(np.eye(shape[axis])[places], -1, axis)
