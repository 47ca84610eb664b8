"""Running formulas, and what has to be true of their text."""

from __future__ import annotations

import re

import numpy as np

from chainrule import ops

SCOPE = {"np": np, "ops": ops}


def run(lines: str, numbers: dict):
    """Run lines and return what the last of them assigns to its left side."""
    known = {**SCOPE, **numbers}
    exec(lines, known)  # noqa: S102 - what is tested is that it runs
    left, _, _ = lines.splitlines()[-1].partition(" = ")
    return known[left]


def require_balanced(latex: str):
    """Require braces, brackets and environments that close, and no place left open."""
    assert not re.search(r"<\w+>", latex), latex
    plain = re.sub(r"\\[{}]", "", latex)
    depth = 0
    for sign in plain:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0, latex
    assert depth == 0, latex
    assert len(re.findall(r"\\left\b", plain)) == len(re.findall(r"\\right\b", plain)), latex
    assert plain.count(r"\begin") == plain.count(r"\end"), latex
    assert plain.count("(") == plain.count(")"), latex
    while "{" in plain:  # from the inside out: an index has no index
        assert not re.search(r"([_^])[\w•]\1", plain), latex
        plain = re.sub(r"\{[^{}]*\}", "•", plain)


def drawn(*shapes):
    rng = np.random.default_rng(4)
    return [rng.uniform(0.1, 0.9, shape) for shape in shapes]


def of_ops(graph, *called):
    """Return names for the nodes: inputs' own, and those of ops as they come: ``("exp", "E")``."""
    names = [node.name for node in graph.nodes]
    waiting = list(called)
    for index, node in enumerate(graph.nodes):
        if node.op is not None and waiting and node.op.name == waiting[0][0]:
            names[index] = waiting.pop(0)[1]
    assert not waiting
    names[graph.outputs[0]] = "loss"
    return names
