"""A forward pass that could not be traced, as one that can: by what differences say of it.

Where only the gradient at each argument is known, the function is, as far as its gradient goes,
the linear one with these slopes. Traced, that one has every rule about arguments asked about it:
signs, factors, turned and swapped gradients; what happened inside stays unknown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Value
from chainrule.inspect.diagnose.account import Account
from chainrule.inspect.walking import walk

if TYPE_CHECKING:
    from chainrule.inspect.probe import Probe

__all__ = ["Surrogate"]

BY_DIFFERENCES = 1e-4
"""Of the largest entry: differences of float64 leave about eight digits on smooth functions, and
fewer where the third derivative is large."""


class Surrogate(Account):
    """The gradients of a probe, as differences found them.

    Parameters
    ----------
    probe
        A run with differences, and no traced forward pass.
    """

    tolerance = BY_DIFFERENCES
    is_surrogate = True

    def __init__(self, probe: Probe) -> None:
        names = [name for name in probe.claims if name in probe.differences]
        slopes = [np.asarray(probe.differences[name], dtype=float) for name in names]

        def linear(*xs: Any) -> Any:
            parts = [np.sum(slope * x) for slope, x in zip(slopes, xs, strict=True)]
            return np.positive(sum(parts[1:], parts[0]))

        walked = walk(linear, [np.ones(slope.shape) for slope in slopes])
        nodes = {name: leaf.index for name, leaf in zip(names, walked.leaves, strict=True)}
        (y,) = walked.outputs
        output = y.index if type(y) is Value else len(walked.graph.nodes) - 1
        claims = {n: replace(probe.claims[n], node=nodes[n], kind="argument") for n in names}
        super().__init__(
            replace(probe, walk=walked, output=output, cotangent=np.float64(1.0), claims=claims)
        )
        self.end = walked.graph.nodes[output].inputs[0]
        self.batch = probe.batch or batch_like(probe)

    def name(self, value: int) -> str:
        """Return the name of an argument, and of what all gradients come from."""
        return "the output" if value == self.end else super().name(value)


def batch_like(probe: Probe) -> int | None:
    """Return how many examples there are, if a letter says so."""
    for letter in ("n", "m", "N", "M", "B", "batch"):
        if letter in probe.sizes:
            return probe.sizes[letter]
    return None
