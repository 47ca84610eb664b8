"""From an op's record to calls that test it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.graph import OPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.graph import Op

STEP = 1e-6
"""Of central differences; their error is then about 1e-10 of a third derivative of 1."""


class Call(NamedTuple):
    """One op applied to arrays inside its domain and off its kinks."""

    op: Op
    operands: tuple[Any, ...]
    attributes: dict[str, Any]

    @property
    def places(self) -> list[int]:
        """The operands that get a derivative."""
        return [k for k in range(len(self.operands)) if not self.op.is_flat(k)]

    @property
    def xs(self) -> tuple[Any, ...]:
        """Those operands."""
        return tuple(self.operands[k] for k in self.places)

    def function(self, *xs: Any) -> Any:
        """Apply the op to other operands in the places of those."""
        operands = list(self.operands)
        for k, x in zip(self.places, xs, strict=True):
            operands[k] = x
        return self.op(*operands, **self.attributes)

    def as_type(self, dtype: Any) -> Call:
        """Return the call with its floating-point operands and attributes in another type."""
        operands = tuple(
            x.astype(dtype) if np.issubdtype(x.dtype, np.floating) else x for x in self.operands
        )
        attributes = {
            name: np.dtype(dtype) if isinstance(x, np.dtype) and x.kind == "f" else x
            for name, x in self.attributes.items()
        }
        return self._replace(operands=operands, attributes=attributes)


def calls(op: Op, seed: int = 0) -> list[Call]:
    """Return a call for each case of an op."""
    rng = np.random.default_rng(seed)
    return [_call(op, case, rng) for case in op.cases]


def _call(op: Op, case: Any, rng: np.random.Generator) -> Call:
    for _ in range(200):
        operands = tuple(_operand(op, k, x, rng) for k, x in enumerate(case.operands))
        attributes = op.complete(operands, case.attributes)
        if op.kink is None or np.min(op.kink(*operands, **attributes), initial=1.0) > 0.02:
            return Call(op, operands, attributes)
    raise AssertionError(f"{op.name}: no operands off its kinks in 200 draws")


def _operand(op: Op, k: int, x: Any, rng: np.random.Generator) -> Any:
    if isinstance(x, tuple):
        low, high = op.domain[min(k, len(op.domain) - 1)]
        return np.asarray(rng.uniform(low, high, x))[()]
    return np.asarray(x(rng) if callable(x) else x)


def every_call(wanted: Callable[[Op], bool] = lambda _: True) -> list[Any]:
    """Return all calls of all ops that are wanted, with an id for each."""
    return [call for name in sorted(OPS) if wanted(OPS[name]) for call in calls(OPS[name])]


def name_of(call: Call) -> str:
    """Return a short name for a call."""
    shapes = "-".join("x".join(map(str, x.shape)) or "0" for x in call.operands)
    return f"{call.op.name}[{shapes}]"


def directions(call: Call, seed: int = 1) -> tuple[Any, ...]:
    """Return a random direction for the differentiable operands."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=x.shape)[()] for x in call.xs)


def difference(function: Callable[..., Any], xs: tuple[Any, ...], dxs: tuple[Any, ...]) -> Any:
    """Return the derivative along a direction by central differences, extrapolated once."""

    def central(step: float) -> Any:
        ahead = function(*[x + step * dx for x, dx in zip(xs, dxs, strict=True)])
        behind = function(*[x - step * dx for x, dx in zip(xs, dxs, strict=True)])
        return (ahead - behind) / (2 * step)

    coarse, fine = central(1e-3), central(5e-4)
    return (4 * fine - coarse) / 3
