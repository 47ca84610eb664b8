"""A plan in words: what runs, where its numbers lie, and why it is not fewer steps.

For users who ask what `compile` made of their function, and for those who look for the place
where time goes. Offsets in work memory are in bytes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chainrule.compile.notation import Notation
from chainrule.graph import OPS, Each, Layout, Placed, Product, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chainrule.compile.fuse import Loop
    from chainrule.compile.memory import Place
    from chainrule.compile.plan import Plan, Step
    from chainrule.graph import Where

__all__ = ["explain"]

_WIDTH = 100
_RIGHT = 54
"""Where the places of results begin."""
_MOST = 6
"""Names in a list; of more, the count says how many there are."""


def explain(plan: Plan, *, lines: bool = True) -> str:
    """Return what a plan does, step by step, and why its steps are not fewer.

    Parameters
    ----------
    plan
        Of any graph.
    lines
        Whether to say which lines of the program a step comes from.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.compile import plan
    >>> from chainrule.graph import Spec, trace
    >>> graph = trace(lambda x, b: np.tanh(x + b).sum(axis=1), Spec((4, 3)), Spec((3,)))
    >>> print(explain(plan(graph), lines=False))
    1 step: 1 loop of 3 nodes
    memory: 0 B of work, 152 B from outside (2 inputs, 1 output)
    operations: 28
    <BLANKLINE>
     1  loop over [4, 3]
        reads x, b
        %4 = sum(tanh(x + b)) of each row                   → float64[4] in output 0
    """
    return "\n".join(_Listing(plan, lines=lines).text())


class _Listing:
    """The lines about one plan."""

    def __init__(self, plan: Plan, *, lines: bool) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.words = Notation(plan)
        self.says_lines = lines
        self.lines = {str(node.where) for node in plan.graph.nodes if node.where.file}
        self.number = {i: k for k, step in enumerate(plan.steps, 1) for i in step.nodes}

    def text(self) -> Iterator[str]:
        """Yield all lines."""
        yield from self._headline()
        stage = 0
        for k, step in enumerate(self.plan.steps, 1):
            yield ""
            if step.stage > stage:
                stage = step.stage
                checks = self._checks() or ["no check"]
                yield from _wrapped("--- now ", [*checks, "and memory of inputs is written"])
                yield ""
            yield from self._step(k, step)
        yield from self._ending(stage)
        yield from self._reasons()

    # ------------------------------------------------------------------ the whole

    def _headline(self) -> Iterator[str]:
        plan, steps = self.plan, self.plan.steps
        looped = sum(len(step.nodes) for step in steps if step.loop)
        loops = _count(sum(step.loop is not None for step in steps), "loop")
        others = (("product", "product"), ("placed", "placement"), ("scatter", "scatter"))
        counts = [
            f"{loops} of {_count(looped, 'node')}" if looped else "",
            *[_counted(steps, kind, word) for kind, word in (*others, ("host", "host step"))],
        ]
        yield f"{_count(len(steps), 'step')}: {', '.join(c for c in counts if c) or 'nothing'}"
        kinds = [(kind, sum(a.kind == kind for a in plan.arrays)) for kind in _OUTSIDE]
        outside = ", ".join(_count(n, kind) for kind, n in kinds if n)
        bytes_ = sum(self._bytes(self._node_of(k)) for k in range(len(plan.arrays)))
        yield f"memory: {_bytes(plan.work)} of work, {_bytes(bytes_)} from outside ({outside})"
        yield f"operations: {_operations(plan.cost)}"
        if self.says_lines and len(self.lines) == 1:
            yield f"all from {next(iter(self.lines))}"

    def _checks(self) -> list[str]:
        """Return what has to hold before the second stage."""
        plan, outputs = self.plan, self.graph.outputs
        truths = [f"{self.words.name(i)} is true" for i in outputs[plan.results :]]
        return [*truths, *[f"{self._output(k)} is finite" for k in plan.guards]]

    def _ending(self, stage: int) -> Iterator[str]:
        plan = self.plan
        lines = [f"copied: {self.words.name(c.node)} into {self._place(c.node, c.target)}"
                 for c in plan.copies]  # fmt: skip
        if not stage and self._checks():
            lines.insert(0, f"checked: {', '.join(self._checks())}")
        lines += [f"checked: {self._output(k)} is finite" for k in plan.watched]
        if lines:
            yield ""
            yield from (f"--- {line}" for line in lines)

    def _output(self, k: int) -> str:
        return f"output {k} ({self.words.name(self.graph.outputs[k])})"

    def _node_of(self, array: int) -> int:
        kind, index = self.plan.arrays[array]
        return self.graph.outputs[index] if kind == "output" else index

    def _bytes(self, index: int) -> int:
        node = self.graph.nodes[index]
        return math.prod(node.shape) * node.dtype.itemsize

    # ------------------------------------------------------------------ a step

    def _step(self, k: int, step: Step) -> Iterator[str]:
        if step.loop is not None:
            yield from self._loop(k, step, step.loop)
        else:
            index = step.nodes[0]
            describes = {"product": self._product, "host": self._host, "placed": self._placed}
            extra = list(describes.get(step.kind, lambda _: [])(index))
            formula = extra.pop(0) if step.kind == "product" else self.words.by_itself(index)
            left = f"{step.kind:<8}{self.words.name(index)} = {formula}"
            yield from _sided(f"{k:>2}  ", left, self._where_to(index, step))
            yield from (f"    {line}" for line in extra)
        if self.says_lines and (origin := self._origin(step.nodes)):
            yield from _wrapped("    from ", origin)

    def _loop(self, k: int, step: Step, loop: Loop) -> Iterator[str]:
        passes = f", {loop.passes} passes over each row" if loop.passes > 1 else ""
        yield f"{k:>2}  loop over {list(loop.space) if loop.space else 'one number'}{passes}"
        reads = [i for i in sorted(step.reads) if self._is_array(i)]
        if reads:
            yield from _wrapped("    reads ", [self._read(i) for i in reads])
        formulas = self.words.lines(loop)
        has_times = loop.passes > 1 or bool(loop.rows)
        last = ""
        for index in sorted(formulas, key=lambda i: (loop.times[i], i)):
            said = _time(loop, index) if has_times else ""
            label = f"    {'' if said == last else said:<10}" if has_times else "    "
            last = said
            left = f"{self.words.name(index)} = {formulas[index]}"
            yield from _sided(label, left, self._where_to(index, step))

    def _is_array(self, index: int) -> bool:
        return math.prod(self.graph.nodes[index].shape) > 1 or index not in self.graph.constants

    def _read(self, index: int) -> str:
        place = self.plan.places[index]
        name = self.words.name(index)
        return f"{name} @{self._offset(index)}" if place.kind == "work" else name

    def _offset(self, index: int) -> int:
        return self.plan.places[index].offset * self.graph.nodes[index].dtype.itemsize

    def _where_to(self, index: int, step: Step) -> str:
        """Return where the numbers of a node go."""
        if index in self.plan.temporaries:
            return "kept for a row"
        if not self.plan.stored(index):
            return "in registers"
        to = self._place(index, self.plan.places[index])
        over = [] if self.plan.places[index].kind != "work" else [
            i for i in step.reads
            if self.plan.places[i].kind == "work" and self._offset(i) == self._offset(index)
        ]  # fmt: skip
        place = f"{to}, in place of {self.words.name(over[0])}" if over else to
        node = self.graph.nodes[index]
        is_like_loop = step.loop is not None and step.loop.space == node.shape
        return f"→ {node.dtype if is_like_loop else describe(node)} in {place}"

    def _place(self, index: int, place: Place) -> str:
        if place.kind == "work":
            return f"work @{self._offset(index)}"
        if place.kind == "output":
            return f"output {self.plan.arrays[place.array].which}"
        outputs = [f" (output {k})" for k, i in enumerate(self.graph.outputs) if i == index]
        given = self.words.name(self._node_of(place.array))
        return f"place of {given}{outputs[0] if outputs else ''}"

    # ------------------------------------------------------------------ steps by themselves

    def _product(self, index: int) -> list[str]:
        """Return a product with its matrices as they lie in memory."""
        node = self.graph.nodes[index]
        names, shapes = [], []
        for i in node.inputs:
            source, layout = self.plan.grouping.places[i]
            whole = math.prod(self.graph.nodes[source].shape)
            part = "" if whole == math.prod(layout.shape) else " in part"
            (m, n), by_rows = layout.shape[-2:], _by_rows(layout)
            names.append(f"{self.words.name(source)}{part}{'' if by_rows else 'ᵀ'}")
            shapes.append(f"{[m, n]}" if by_rows else f"{[n, m]}ᵀ")
        m, n, inner = *node.shape[-2:], self.graph.nodes[node.inputs[0]].shape[-1]
        many = math.prod(node.shape[:-2])
        stack = f"{many} times " if node.shape[:-2] else ""
        work = _operations(2.0 * many * m * n * inner)
        return [" · ".join(names), f"{stack}{[m, n]} = {' '.join(shapes)}, {work} operations"]

    def _placed(self, index: int) -> list[str]:
        """Return which operands were computed where they go."""
        here, node = self.plan.places[index], self.graph.nodes[index]
        form = node.op.form if node.op is not None else None
        if not isinstance(form, Placed):
            return []
        operands = [self.graph.nodes[i] for i in node.inputs]
        parts = form.parts(Layout.contiguous(node.shape), operands, **node.attributes)
        sources = [self.plan.grouping.places[i].source for i in node.inputs]
        there = [
            self.words.name(source)
            for source, part in zip(sources, parts, strict=True)
            if self.plan.places[source] == here._replace(offset=here.offset + part.offset)
        ]
        return [f"computed where it goes: {', '.join(there)}"] if there else []

    def _host(self, index: int) -> list[str]:
        """Return why NumPy has to compute a node."""
        node = self.graph.nodes[index]
        op = node.op
        if op is None:
            return []
        given = ", ".join(describe(self.graph.nodes[i]) for i in node.inputs)
        if OPS.get(op.name) is not op:
            reason = f"{op.name} is a module with a backward pass of its own"
        elif op.form is None:
            reason = f"{op.name} has no form for machine code"
        elif isinstance(op.form, Product):
            reason = f"no matrix product of {given} in machine code"
        elif isinstance(op.form, Each):
            reason = f"the forward rule of {op.name} cannot be written for {given}"
        else:
            reason = f"{op.name} cannot be written for {given}"
        return [f"by NumPy: {reason}"]

    def _origin(self, nodes: Sequence[int]) -> list[str]:
        """Return the lines of the program and the rules of derivatives that nodes come from."""
        found = [self.graph.nodes[i] for i in nodes]
        rules = dict.fromkeys(node.origin.rule for node in found if node.origin)
        if len(self.lines) == 1:  # said once, for all
            return _some(rules)
        return _some(_ranges(node.where for node in found if node.where.file)) + _some(rules)

    # ------------------------------------------------------------------ why

    def _reasons(self) -> Iterator[str]:
        """Yield why arrays that loops make are in memory."""
        groups: dict[str, dict[str, list[str]]] = {}
        for k, step in enumerate(self.plan.steps, 1):
            for source in sorted(step.reads):
                made = self.number.get(source, 0)
                if made and self.plan.steps[made - 1].loop is not None:
                    reason, which = self._reason(source, step)
                    way = f"{self.words.name(source)} {made}→"
                    groups.setdefault(reason, {}).setdefault(way, []).append(f"{k}{which}")
        if groups:
            yield ""
            yield "why arrays of loops are in memory (the step that makes it → those that read it)"
        for reason, ways in groups.items():
            said = [f"{way}{' '.join(readers)}" for way, readers in ways.items()]
            if reason == _NUMBER:
                said = _some(said)
            yield from _wrapped(f"    {reason}: ", said)

    def _reason(self, source: int, step: Step) -> tuple[str, str]:
        """Return why a step is not one with that which makes what it reads, and particulars."""
        grouping, made = self.plan.grouping, self.plan.grouping.loop(source)
        if step.loop is None or made is None:
            return f"read by a {_WORDS[step.kind]}", ""
        refusal = grouping.refusal(source, step.nodes[0])
        if refusal is None:
            return "could be one loop, which was not found", ""
        if not step.loop.space or not made.space:
            return _NUMBER, ""
        if not refusal.nodes:
            return refusal.reason, ""
        if len(refusal.nodes) == 2:
            return refusal.reason, f" ({list(made.space)} and {list(step.loop.space)})"
        (index,) = refusal.nodes
        is_step = grouping.step_of[index] not in map(grouping.step_of.get, (source, step.nodes[0]))
        about = self.number[index] if is_step else self.words.name(index)
        return refusal.reason, f" ({about})"


_NUMBER = "single numbers, which have steps of their own"
_OUTSIDE = ("input", "output", "constant")
_WORDS = {"product": "product", "placed": "placement", "scatter": "scatter", "host": "host step"}


def _time(loop: Loop, index: int) -> str:
    time = loop.times[index]
    if time < 0:
        return "per row"
    return f"after {time // 2 + 1}" if time % 2 else f"pass {time // 2 + 1}"


def _by_rows(layout: Layout) -> bool:
    return layout.strides[-1] == 1 or layout.shape[-1] == 1


def _counted(steps: Iterable[Step], kind: str, word: str) -> str:
    count = sum(step.kind == kind for step in steps)
    return _count(count, word) if count else ""


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} GB"


def _operations(n: float) -> str:
    for unit in ("", " thousand", " million"):
        if n < 999.5:
            return f"{n:.3g}{unit}"
        n /= 1000
    return f"{n:.4g} billion"


def _some(words: Iterable[str]) -> list[str]:
    found = list(words)
    return found[:_MOST] + ([f"{len(found) - _MOST} more"] if len(found) > _MOST else [])


def _ranges(places: Iterable[Where]) -> list[str]:
    """Return lines of files as text, those that follow each other as one: ``model.py:3-5``."""
    runs: list[tuple[Where, Where]] = []
    for place in sorted(set(places)):
        if runs and runs[-1][1] == (place.file, place.line - 1):
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return [str(a) if a == b else f"{a}-{b.line}" for a, b in runs]


def _sided(label: str, left: str, right: str) -> Iterator[str]:
    """Yield a formula and where it goes: side by side, or below each other."""
    line = f"{label}{left}".ljust(_RIGHT) + f"  {right}"
    if len(line) <= _WIDTH:
        yield line
        return
    whole = f"{label}{left}"
    yield whole if len(whole) <= _WIDTH else f"{whole[: _WIDTH - 1]}…"
    yield right.rjust(_WIDTH)


def _wrapped(head: str, words: Sequence[str]) -> Iterator[str]:
    """Yield words after a head, in lines of the width of a terminal."""
    line = head
    for k, word in enumerate(words):
        part = word if k == len(words) - 1 else f"{word}, "
        if len(line) + len(part.rstrip()) > _WIDTH and line.strip():
            yield line.rstrip()
            line = "        "
        line += part
    yield line
