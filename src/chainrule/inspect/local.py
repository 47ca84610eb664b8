"""Local derivatives: how one value of a pass changes with another that it is computed from.

The derivative of any value by any of its ancestors is a linear map. It is kept as what it does
(`push` a change forward, `pull` a gradient back), both of which walk the graph between the two;
as a matrix it is written out where somebody asks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import AxisError, SettingError, ShapeError, StructureError
from chainrule.graph import REAL, Graph, describe
from chainrule.transform import pull_back, push_forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from chainrule.inspect.walking import Walk

    Array = NDArray[Any]

__all__ = ["LARGEST", "Local", "local_derivative"]

LARGEST = 1 << 24
"""Entries of a matrix that is written out without being asked twice: 128 MB in double precision."""


class Local:
    """The derivative of one value by another: a linear map, entries by entries.

    Attributes
    ----------
    of, by
        The names of the two values: this is ∂of/∂by.
    of_shape, by_shape
        Their shapes.
    shape
        That of the matrix: entries of the one × entries of the other.

    Notes
    -----
    ``local @ dx`` pushes a change of ``by`` forward, ``g @ local`` pulls a gradient at ``of``
    back, and ``first @ second`` is the chain rule: the map that does one after the other.
    """

    __array_ufunc__ = None  # so that array @ local asks this class

    def __init__(
        self,
        of: str,
        by: str,
        of_like: Array,
        by_like: Array,
        push: Callable[[Any], Any],
        pull: Callable[[Any], Any],
        axes: tuple[int | None, int | None] = (None, None),
    ) -> None:
        self.of, self.by = of, by
        self._of, self._by = of_like, by_like
        self._push, self._pull = push, pull
        self._axes = axes

    @property
    def of_shape(self) -> tuple[int, ...]:
        """The shape of the value that changes."""
        return self._of.shape

    @property
    def by_shape(self) -> tuple[int, ...]:
        """The shape of the value that it changes with."""
        return self._by.shape

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        return math.prod(self.of_shape), math.prod(self.by_shape)

    def push(self, dx: Any) -> Array:
        """Return how ``of`` changes where ``by`` changes by dx, of its shape."""
        return np.array(self._push(_fitting(dx, self._by, f"a change of {self.by}")))

    def pull(self, g: Any) -> Array:
        """Return the gradient at ``by`` for the gradient g at ``of``, of its shape."""
        return np.array(self._pull(_fitting(g, self._of, f"a gradient at {self.of}")))

    def __matmul__(self, other: Any) -> Any:
        """Return a change pushed forward, or this map after another."""
        if not isinstance(other, Local):
            return self.push(other)
        if other.of_shape != self.by_shape:
            raise ShapeError(
                f"∂{self.of}/∂{self.by} after ∂{other.of}/∂{other.by}: {self.by} has the shape "
                f"{list(self.by_shape)}, {other.of} {list(other.of_shape)}."
            )
        return Local(
            self.of,
            other.by,
            self._of,
            other._by,
            lambda dx: self._push(other.push(dx)),
            lambda g: other.pull(self._pull(g)),
            (self._axes[0], other._axes[1]),
        )

    def __rmatmul__(self, g: Any) -> Array:
        """Return a gradient pulled back."""
        return self.pull(g)

    def matrix(self, limit: int | None = LARGEST) -> Array:
        """Return the Jacobian: a row for each entry of ``of``, a column for each of ``by``.

        Parameters
        ----------
        limit
            The most entries that it may have; None for any number.

        Returns
        -------
        array
            Shape (entries of ``of``, entries of ``by``), both counted row by row.

        Raises
        ------
        SettingError
            If it would have more.

        Notes
        -----
        It takes as many walks as the smaller side has entries.
        """
        rows, columns = self.shape
        if limit is not None and rows * columns > limit:
            size = rows * columns * self._of.dtype.itemsize
            raise SettingError(
                f"∂{self.of}/∂{self.by} as a matrix has {rows:,} × {columns:,} entries, "
                f"{_memory(size)}.",
                advice="Use push(dx) and pull(g), which need no matrix, or of_example(k) for one "
                "example; matrix(limit=None) makes it however large.",
            )
        found = np.empty((rows, columns), self._of.dtype)
        for k, unit in enumerate(_units(self._of if rows <= columns else self._by)):
            if rows <= columns:
                found[k] = np.ravel(self._pull(unit))
            else:
                found[:, k] = np.ravel(self._push(unit))
        return found

    def of_example(
        self, example: int, *, axis: int | tuple[int, int | None] | None = None
    ) -> Array:
        """Return the Jacobian for one example, where examples do not mix.

        For a layer h' = σ(W h + b) it is diag(σ'(a)) W of that example (out × in).

        Parameters
        ----------
        example
            Which one.
        axis
            The axis of ``of`` and ``by`` along which examples lie, where it cannot be seen; or
            that of each, None for a ``by`` without examples.

        Returns
        -------
        array
            A row for each number that the example has in ``of``, a column for each that it has
            in ``by``; of a ``by`` without examples, such as weights, a column for each entry.

        Raises
        ------
        StructureError
            If ``of`` has no examples, or if another example's numbers depend on this one.
        """
        of_axis, by_axis = self._axes_of_examples(axis)
        if of_axis is None:
            raise StructureError(
                f"{self.of} has no axis along which examples are known to lie.",
                f"{self.of}: {describe(self._of)}",
                advice="Say axis=, or use matrix() for all of it.",
            )
        _require_example(example, self._of, of_axis, self.of)
        mine = np.zeros(self.of_shape, bool)
        _at(mine, of_axis)[example] = True
        if by_axis is None:
            return np.stack([np.ravel(self._pull(u)) for u in _units(self._of, np.ravel(mine))])
        _require_example(example, self._by, by_axis, self.by)
        inside = np.zeros(self.by_shape, bool)
        _at(inside, by_axis)[example] = True
        columns = []
        for unit in _units(self._by, np.ravel(inside)):
            dy = np.broadcast_to(self._push(unit), self.of_shape)
            if np.any(dy[~mine]):
                raise StructureError(
                    f"examples mix between {self.by} and {self.of}: {self.of} of other examples "
                    f"changes with {self.by} of example {example}.",
                    advice="Use matrix() for all of it.",
                )
            columns.append(dy[mine])
        return np.stack(columns, axis=1)

    def _axes_of_examples(
        self, axis: int | tuple[int, int | None] | None
    ) -> tuple[int | None, int | None]:
        """Return the axes along which examples lie: as said, as seen, or of equal lengths."""
        if isinstance(axis, tuple):
            return axis
        if axis is not None:
            return axis, axis
        if self._axes[0] is not None:
            return self._axes
        for end in (0, -1):
            if self.of_shape and self.by_shape and self.of_shape[end] == self.by_shape[end]:
                return end, end
        return None, None

    def __repr__(self) -> str:
        rows, columns = self.shape
        return (
            f"∂{self.of}/∂{self.by}: from {list(self.by_shape)} to {list(self.of_shape)}, "
            f"a matrix of {rows} × {columns}"
        )


def local_derivative(
    walk: Walk, of: int, by: int, axes: tuple[int | None, int | None] = (None, None)
) -> Local:
    """Return the derivative of one node of a walk by another, over all routes between them.

    Raises
    ------
    StructureError
        If the one is not computed from the other.
    """
    graph, names = walk.graph, walk.naming.labels
    depends = graph.dependents([by])
    if not depends[of]:
        other_way = graph.dependents([of])[by]
        raise StructureError(
            f"{names[of]} is not computed from {names[by]}, so it has no derivative by it.",
            advice=f"It is the other way round: local[{names[by]!r}, {names[of]!r}]."
            if other_way
            else "Ask for a value and one that it is computed from.",
        )
    between = [
        d and (node.op is None or node.op.differentiable)
        for d, node in zip(depends, graph.nodes, strict=True)
    ]
    until = Graph(nodes=graph.nodes[: of + 1])
    of_like, by_like = (np.asarray(walk.numbers[i]) for i in (of, by))

    def push(dx: Any) -> Any:
        with np.errstate(all="ignore"):
            found = push_forward(until, walk.numbers, {by: dx})
        return found[of] if of in found else np.zeros_like(of_like)

    def pull(g: Any) -> Any:
        with np.errstate(all="ignore"):
            found = pull_back(graph, walk.numbers, between, {of: g})
        return found[by] if by in found else np.zeros_like(by_like)

    return Local(names[of], names[by], of_like, by_like, push, pull, axes)


def _units(like: Array, wanted: Any = None) -> Any:
    """Iterate over the unit vectors of a space, or over those wanted."""
    for k in range(like.size) if wanted is None else np.flatnonzero(wanted):
        unit = np.zeros(like.shape, like.dtype)
        unit.flat[k] = 1
        yield unit[()]


def _at(x: Array, axis: int) -> Array:
    return np.moveaxis(x, axis, 0)


def _require_example(example: int, x: Array, axis: int, name: str) -> None:
    count = x.shape[axis] if -x.ndim <= axis < x.ndim else 0
    if not -count <= example < count:
        raise AxisError(f"{name} has no example {example}: it has {count} along axis {axis}.")


def _fitting(x: Any, like: Array, what: str) -> Any:
    """Return an array of the shape and dtype of another; a flat one is given that shape."""
    x = np.asarray(x)
    if x.dtype.kind not in REAL or x.shape not in {like.shape, (like.size,)}:
        raise ShapeError(f"{what} has its shape {list(like.shape)}, got {describe(x)}.")
    return x.reshape(like.shape).astype(like.dtype, copy=False)[()]


def _memory(size: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"
