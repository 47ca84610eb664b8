"""When two arrays are the same number for number."""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE = 1e-9


def differences(ours: list[Any], theirs: list[Any]) -> str:
    """Say how two lists of arrays differ, or return an empty text.

    The rule is ``max |a - b| <= 1e-9 * max(1, max |b|)`` over the finite elements of
    each array; what is infinite or not a number must be so in both, alike.
    """
    if len(ours) != len(theirs):
        return f"{len(ours)} arrays, expected {len(theirs)}"
    pairs = zip(ours, theirs, strict=True)
    said = [f"array {i}: {text}" for i, pair in enumerate(pairs) if (text := difference(*pair))]
    return "; ".join(said)


def difference(ours: Any, theirs: Any) -> str:
    """Say how two arrays differ, or return an empty text."""
    ours, theirs = (np.asarray(x, dtype=np.float64) for x in (ours, theirs))
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, expected {theirs.shape}"
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return f"{ours[~finite][:3]} where {theirs[~finite][:3]} is expected"
    if not np.isfinite(ours[finite]).all():
        return f"{np.sum(~np.isfinite(ours[finite]))} elements are not finite and should be"
    largest = np.max(np.abs(ours[finite] - theirs[finite]), initial=0.0)
    scale = max(1.0, np.max(np.abs(theirs[finite]), initial=0.0))
    return "" if largest <= TOLERANCE * scale else f"off by {largest:.3g} at a scale of {scale:.3g}"
