"""Examples: what a training is given, as arrays that fit each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import SettingError, ShapeError
from chainrule.graph import describe

__all__ = ["Batch", "checked", "kept_aside"]


class Batch(NamedTuple):
    """Examples, what they should give, and how much each counts (None: all alike)."""

    X: Any
    y: Any
    weights: Any = None

    @property
    def size(self) -> int:
        """How many examples there are."""
        return len(optree.tree_leaves(self.X)[0])

    @property
    def inputs(self) -> tuple[Any, ...]:
        """What the model is called with: a tuple as several inputs."""
        return self.X if type(self.X) is tuple else (self.X,)

    def at(self, rows: Any) -> Batch:
        """Return the examples of some rows."""
        return Batch(*[optree.tree_map(lambda x: x[rows], part) for part in self])


def checked(data: Batch) -> Batch:
    """Return data as arrays, all with as many examples; a list is one array."""
    parts: list[Any] = [np.asarray(part) if isinstance(part, list) else part for part in data]
    arrays = Batch(*[optree.tree_map(np.asarray, part) for part in parts])
    tree: Any = tuple(arrays)
    leaves = optree.tree_leaves(tree)
    lengths = {np.shape(x)[:1] for x in leaves}
    if len(lengths) != 1 or () in lengths or (0,) in lengths:
        raise ShapeError(
            "fit needs as many targets as examples, and some.",
            *[describe(x) for x in leaves],
            advice="Examples lie along the first axis of X, y and sample_weight.",
        )
    if any(x.dtype.kind not in "fiub" for x in leaves):
        raise SettingError(
            "fit needs numbers.",
            *[describe(x) for x in leaves],
            advice="np.unique(labels, return_inverse=True) makes class numbers of words.",
        )
    return arrays


def kept_aside(data: Batch, validation: Any, seed: int) -> tuple[Batch, Batch | None]:
    """Return what to train on and what to validate on."""
    if validation is None:
        return data, None
    if isinstance(validation, tuple) and len(validation) in {2, 3}:
        return data, checked(Batch(*validation))
    n = data.size
    is_fraction = isinstance(validation, float) and 0 < validation < 1
    count = round(n * validation) if is_fraction else 0
    if not 0 < count < n:
        raise SettingError(
            f"validation has to be a fraction that leaves examples on both sides of {n}, or "
            f"(X, y) or (X, y, weights), got {validation!r}."
        )
    order = np.random.default_rng([seed, 1]).permutation(n)
    return data.at(np.sort(order[count:])), data.at(np.sort(order[:count]))
