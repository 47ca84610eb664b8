"""The axes that a loop walks: as few as all of its arrays allow.

Axes that lie behind each other in every array of a loop are one axis, so most loops are a single
long row. How a node reads and writes is said over these axes from here on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainrule.graph import Counted, Fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from chainrule.compile import Loop, Plan, Reading

__all__ = ["Space"]


class Space:
    """The iteration space of a loop, and how its nodes lie over it.

    Parameters
    ----------
    plan
        What the loop belongs to.
    loop
        The loop.
    is_split
        Whether threads share its first axis, which then stays an axis by itself.

    Attributes
    ----------
    lengths
        Of the axes; none for a loop of single numbers.
    readings
        How each node reads its operands, strides over the axes; those of a counted node, which
        reads all of its operands at once, as they were.
    outputs
        The strides of each node's own array over the axes; 0 along what it folds.
    """

    def __init__(self, plan: Plan, loop: Loop, *, is_split: bool) -> None:
        self._graph = plan.graph
        self._grouping = plan.grouping
        self._loop = loop
        self._axes = self._merged(is_split=is_split)
        self.lengths = [math.prod(loop.space[a] for a in axis) for axis in self._axes]
        self.readings = {
            i: [self._reading(i, r) for r in plan.grouping.readings(i)] for i in loop.nodes
        }
        self.outputs = {i: self._over(plan.grouping.output_strides(i)) for i in loop.nodes}

    def _merged(self, *, is_split: bool) -> list[list[int]]:
        """Return groups of axes of the loop that every array walks as one."""
        strides = [self._wide(s) for i in self._loop.nodes for s in self._all_strides(i)]
        groups: list[list[int]] = []
        for axis, n in enumerate(self._loop.space):
            is_apart = is_split and axis == 1
            if groups and not is_apart and all(s[axis - 1] == s[axis] * n for s in strides):
                groups[-1].append(axis)
            else:
                groups.append([axis])
        return groups

    def _all_strides(self, index: int) -> list[tuple[int, ...]]:
        """Return how a node writes, and how it reads what it reads along with the walk."""
        readings = self._grouping.readings(index) if self._walks(index) else []
        return [self._grouping.output_strides(index), *[r.strides for r in readings]]

    def _walks(self, index: int) -> bool:
        """Return whether a node reads all of its operands along with the walk."""
        return not isinstance(self.form(index), Counted)

    def _wide(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Return strides over all axes of the loop: a node once a row does not move along it."""
        return (*strides, *[0] * (len(self._loop.space) - len(strides)))

    def _over(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Return strides over the merged axes."""
        wide = self._wide(strides)
        return tuple(wide[axis[-1]] for axis in self._axes)

    def _reading(self, index: int, reading: Reading) -> Reading:
        if not self._walks(index):
            return reading
        return reading._replace(strides=self._over(reading.strides))

    # ------------------------------------------------------------------ its nodes

    def form(self, index: int) -> Any:
        """Return how a node is computed; None for what is given."""
        op = self._graph.nodes[index].op
        return op.form if op is not None else None

    def dtype(self, index: int) -> np.dtype[Any]:
        """Return the dtype of a node's numbers."""
        return self._graph.nodes[index].dtype

    def is_fold(self, index: int) -> bool:
        """Return whether a node folds."""
        return isinstance(self.form(index), Fold)

    def at(self, time: int, *, once_a_row: bool) -> list[int]:
        """Return the nodes of a pass, or those that are computed once a row at a time."""
        loop = self._loop
        return [i for i in loop.nodes if (i in loop.rows) == once_a_row and loop.times[i] == time]

    def width(self, nodes: Sequence[int], lanes: int, *, masks: bool) -> int:
        """Return the lanes of a pass: a full register of the widest type that most nodes have.

        Parameters
        ----------
        nodes
            Of the pass.
        lanes
            Numbers of 4 bytes in a register.
        masks
            Whether a vector may be longer than the row.
        """
        most = lanes // 2 if min(self.dtype(i).itemsize for i in nodes) == 8 else lanes
        length = self.lengths[-1]
        if length >= most:
            return most
        return 1 << (length - 1).bit_length() if masks else 1 << length.bit_length() - 1
