"""Whether a small step may cross a point without a derivative, by the ops' own word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.inspect.walking import Walk

__all__ = ["distances", "kink_between"]

_MARGIN = 2.0
"""How many steps away a kink must be."""


def distances(run: Walk) -> dict[int, Any]:
    """Return, for each node whose op has kinks, how far its entries are from the nearest."""
    with np.errstate(all="ignore"):
        return {
            index: np.asarray(
                node.op.kink(*[run.numbers[i] for i in node.inputs], **node.attributes)
            )
            for index, node in enumerate(run.graph.nodes)
            if node.op is not None and node.op.kink is not None
        }


def kink_between(base: Walk, before: Mapping[int, Any], runs: Sequence[Walk]) -> str:
    """Return the kink that may lie between two runs and the one before the step, as text.

    A distance that changes by as much as it is may have vanished on the way; a run that took
    another branch has jumped. The text is empty where there is no kink.
    """
    nodes = base.graph.nodes
    for run in runs:
        others = run.graph.nodes
        for mine, other in zip(nodes, others, strict=False):
            if (mine.op, mine.inputs, mine.shape) != (other.op, other.inputs, other.shape):
                return f"another branch before {other.where}"
        if len(nodes) != len(others):
            return "another branch"
        for index, distance in distances(run).items():
            change = np.abs(distance - before[index])
            op = nodes[index].op
            if op is not None and np.any((change > 0) & (before[index] <= _MARGIN * change)):
                return f"{op.name} at {nodes[index].where}"
    return ""
