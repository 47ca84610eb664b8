"""One place at which routes to the loss end, and what would pass there with other operands."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.reasons.birth import acts_alone
from chainrule.inspect.reasons.culprits import computed
from chainrule.inspect.reasons.reason import Reason, reason_at
from chainrule.inspect.scene import Spot, pulled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainrule.inspect.reasons.cuts import Cut
    from chainrule.inspect.scene import Scene

__all__ = ["Stop"]


@dataclass(frozen=True)
class Stop:
    """One cut, with what is needed to tell what kind it is.

    Attributes
    ----------
    scene
        All that is known of the run.
    cut
        Where routes end.
    """

    scene: Scene
    cut: Cut

    @property
    def node(self) -> Any:
        """The node that passes nothing on."""
        return self.scene.nodes[self.cut.node]

    @property
    def spot(self) -> Spot:
        """The first of the entries at which it does."""
        return Spot(self.cut.source, int(self.cut.entries[0]))

    def passes(
        self, *, own: bool = False, other: int | None = None, by: float = 0.0, wide: bool = False
    ) -> bool:
        """Return whether some of the entries would pass a gradient with other operands.

        Either its own operand is drawn anew, also between and beside the others (the bounds of a
        clip); or another one is, also where it is of whole numbers; or its own moves a little; or
        all are of a wider type.
        """
        rng = np.random.default_rng(1)
        k = self.cut.k
        xs = self.scene.operands(self.cut.node)
        if own:
            return any(
                self._lets_through([*xs[:k], drawn.astype(xs[k].dtype), *xs[k + 1 :]])
                for drawn in self._draws(rng, xs)
            )
        if other is not None:
            dtype = xs[other].dtype if xs[other].dtype.kind == "f" else self.node.dtype
            xs[other] = rng.uniform(0.5, 1.5, xs[other].shape).astype(dtype)
        if by:
            xs[k] = xs[k] + np.asarray(by, xs[k].dtype)
        if wide:
            xs = [x.astype(np.longdouble) if x.dtype.kind == "f" else x for x in xs]
        return self._lets_through(xs, np.longdouble if wide else None)

    def _lets_through(self, xs: Sequence[Any], dtype: Any = None) -> bool:
        """Return whether a random gradient passes at some of the entries, of these operands."""
        node = self.node
        g = np.random.default_rng(2).uniform(0.5, 1.5, node.shape).astype(dtype or node.dtype)
        try:
            y = computed(node, xs)
        except TypeError:  # LAPACK has no wider type
            return False
        found = np.ravel(pulled(node, self.cut.k, g, xs, y))[self.cut.entries]
        return bool(np.any(found != 0))

    def _draws(self, rng: np.random.Generator, xs: Sequence[Any]) -> Iterator[Any]:
        """Iterate over other numbers for its own operand: anywhere, and near to the others."""
        node, k = self.node, self.cut.k
        low, high = node.op.domain[min(k, len(node.op.domain) - 1)]
        yield rng.uniform(low, high, xs[k].shape)
        if not acts_alone(node):
            return
        levels = []
        for i, x in enumerate(xs):
            if i != k and x.dtype.kind in "fiu" and np.all(np.isfinite(x)) and x.size:
                same = x.shape in {(), xs[k].shape}
                levels.append(np.broadcast_to(x if same else np.mean(x), xs[k].shape))
        for level in levels:
            step = rng.uniform(0.1, 0.2, xs[k].shape) * np.maximum(np.abs(level), 1e-3)
            yield level + step
            yield level - step
        for a, b in itertools.combinations(levels, 2):
            yield a + rng.uniform(0.25, 0.75, xs[k].shape) * (b - a)

    def outputs(self) -> Any:
        """Return what the node makes of the entries, where it acts on each alone; else nothing."""
        y = np.asarray(self.scene.walk.numbers[self.cut.node])
        same = y.shape == np.shape(self.scene.walk.numbers[self.cut.source])
        return np.ravel(y)[self.cut.entries] if same else np.zeros(0)

    def operands(self) -> Any:
        """Return the operands at the entries."""
        return np.ravel(self.scene.walk.numbers[self.cut.source])[self.cut.entries]

    def examples(self) -> list[int]:
        """Return the examples of the entries."""
        source = self.cut.source
        found = {self.scene.example(Spot(source, int(at))) for at in self.cut.entries}
        return sorted(n for n in found if n is not None)

    def count(self) -> str:
        """Return ``all 12 examples``, ``3 of 12 examples (0, 4, 7)`` or the entries."""
        examples, total = self.examples(), self.scene.examples
        if not examples or total is None:
            n = len(self.cut.entries)
            return f"{n} entr{'y' if n == 1 else 'ies'} of {self.scene.names[self.cut.source]}"
        if len(examples) == total:
            return f"all {total} examples"
        shown = ", ".join(map(str, examples[:6])) + (", …" if len(examples) > 6 else "")
        return f"{len(examples)} of {total} examples ({shown})"

    def told(self, code: str, message: str, *evidence: str, **more: Any) -> Reason:
        """Return the reason."""
        examples = self.examples()
        more.setdefault("example", examples[0] if len(examples) == 1 else None)
        line = self.scene.line(self.cut.node if self.cut.node >= 0 else self.cut.source)
        return reason_at(self.scene, code, self.spot, message, evidence, line=line, **more)
