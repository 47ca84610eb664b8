"""The corrected line: the gradient of a value, as NumPy and as a formula, in the user's terms.

Two things are not in the graph and have to be put back: a division by 91 was one by the lengths
of two axes, and where a backward pass hands on gradients of single examples, the 1/m comes in
with the gradient of each parameter.
"""

from __future__ import annotations

import ast
import itertools
import re
from typing import TYPE_CHECKING

from chainrule.explain import gradient
from chainrule.inspect.diagnose.outputs import of_outputs
from chainrule.inspect.diagnose.watched import per_example
from chainrule.inspect.finding import Fix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.inspect.diagnose.account import Account

__all__ = ["fix_for"]

_MADE_UP = re.compile(r"\bd?[cv]\d+\b|# a sum of")
_LONGEST = 200
_DIVISOR = re.compile(r"/ (\d+)\b")


def fix_for(account: Account, value: int) -> Fix | None:
    """Return how the gradient of a value is computed, in the user's names."""
    used = _ancestors(account)
    names = [
        account.name(i) if account.is_named(i) and used[i] else ""
        for i in range(len(account.graph.nodes))
    ]
    for index, name in enumerate(names):  # of two values of one name, the later one keeps it
        if name and index != value and name in names[index + 1 :]:
            names[index] = ""
    leads = [index in account.true for index in range(len(names))]
    found = gradient(account.graph, value, names, account.relevant, wanted=leads)
    made_up = set(_MADE_UP.findall(found.numpy)) - {*names, *[f"d{name}" for name in names]}
    if made_up or len(found.numpy) > _LONGEST:
        return None  # a line in names that nobody has is no help
    letters = _letters(account)
    numpy = _DIVISOR.sub(lambda match: f"/ {letters.get(int(match[1]), match[1])}", found.numpy)
    latex = found.latex
    if account.probe.above:
        return of_outputs(account, names, Fix(numpy, latex))
    if per_example(account):
        numpy, latex = _of_examples(account, value, names, numpy, latex)
    return Fix(numpy, latex)


def _ancestors(account: Account) -> list[bool]:
    """Return for each node whether the output is computed from it; a closure goes on after it."""
    found = [False] * len(account.graph.nodes)
    found[account.probe.output] = True
    for index in range(account.probe.output, -1, -1):
        if found[index]:
            for i in account.graph.nodes[index].inputs:
                found[i] = True
    return found


def _letters(account: Account) -> Mapping[int, str]:
    """Return what the product of some lengths is in the letters of the shapes."""
    sizes = {letter: n for letter, n in account.probe.sizes.items() if n > 1}
    found = {n: letter for letter, n in sizes.items()}
    for (a, n), (b, k) in itertools.combinations(sizes.items(), 2):
        found.setdefault(n * k, f"({a} * {b})")
    return found


def _of_examples(
    account: Account, value: int, names: list[str], numpy: str, latex: str
) -> tuple[str, str]:
    """Return the formulas where what stands between is the gradient of single examples."""
    *before, last = numpy.split("\n")
    left, _, right = last.partition(" = ")
    m = {n: letter for letter, n in account.probe.sizes.items()}.get(account.batch or 0, "m")
    head, _, tail = latex.partition(" = ")
    if account.graph.nodes[value].op is None:
        right = f"{_bracketed(right)} / {m}"
        tail = rf"\frac{{1}}{{{m}}} \left( {tail} \right)"
    elif not any(name and re.search(rf"\bd{re.escape(name)}\b", right) for name in names):
        right = f"{m} * {_bracketed(right)}"
        tail = rf"{m} \left( {tail} \right)"
    return "\n".join([*before, f"{left} = {right}"]), f"{head} = {tail}"


def _bracketed(text: str) -> str:
    """Return an expression that a factor may stand beside."""
    try:
        body = ast.parse(text, mode="eval").body
    except SyntaxError:
        return f"({text})"
    loose = isinstance(body, ast.BinOp) and isinstance(body.op, ast.Add | ast.Sub)
    return f"({text})" if loose or isinstance(body, ast.UnaryOp | ast.Compare) else text
