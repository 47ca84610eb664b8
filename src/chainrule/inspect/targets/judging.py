"""Whether the claims of a probe are the derivatives of its walk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.transform import pull_back

if TYPE_CHECKING:
    from chainrule.inspect.probe import Probe

__all__ = ["agree", "agrees_with_walk", "expected_of"]

TOLERANCE = 1e-6
"""Of the largest entry."""


def expected_of(probe: Probe) -> dict[str, Any]:
    """Return the derivative for each claimed argument, as far as it is known."""
    walk = probe.walk
    if walk is None:
        return dict(probe.differences)
    start = np.asarray(probe.cotangent, float)[()]
    found = pull_back(walk.graph, walk.numbers, walk.active, {probe.output: start})
    return {
        claim.name: found.get(claim.node, np.zeros(np.shape(walk.numbers[claim.node])))
        for claim in probe.claims.values()
        if claim.node is not None and claim.kind == "argument"
    }


def agree(claimed: Any, expected: Any) -> bool:
    """Return whether two gradients are the same but for rounding."""
    if np.shape(claimed) != np.shape(expected):
        return False
    scale = float(np.max(np.abs(expected), initial=0.0)) or 1.0
    return bool(np.max(np.abs(claimed - expected), initial=0.0) <= TOLERANCE * scale)


def agrees_with_walk(probe: Probe) -> bool:
    """Return whether all claimed arguments are what the chain rule, or differences, give."""
    return all(agree(probe.claims[name].array, x) for name, x in expected_of(probe).items())
