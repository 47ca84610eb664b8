"""Names in formulas: ``W1`` is W₁, its gradient is ``dW1`` and ∂L/∂W₁."""

from __future__ import annotations

import ast
import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.graph import Graph

__all__ = [
    "gradient_latex",
    "gradient_name",
    "is_named",
    "latex_name",
    "place_name",
    "settled",
    "variable",
]

_LETTERS = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau
    upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
"""
_GREEK = frozenset(_LETTERS.split())


def is_named(graph: Graph, index: int, names: Sequence[str]) -> bool:
    """Return whether a node has a name of the user's: one that is neither empty nor its op's."""
    op = graph.nodes[index].op
    anonymous = {"", "constant"} if op is None else {"", op.name}
    return names[index] not in anonymous


_MOST = 24
"""Calls that are written inside a formula for one value without a name, before it is given one."""


def settled(graph: Graph, names: Sequence[str]) -> list[str]:
    """Return the names of the user's, empty for the others, but for some in long chains of them.

    What would be written with very many calls, its own or those of its gradient, is called by its
    place: ``v12``. So a formula stays readable whatever program it comes from.
    """
    found = [name if is_named(graph, i, names) else "" for i, name in enumerate(names)]
    sizes = [0] * len(graph)
    for index, node in enumerate(graph.nodes):
        if node.op is not None and not found[index]:
            sizes[index] = 1 + sum(sizes[i] for i in node.inputs)
            if sizes[index] > _MOST:
                found[index], sizes[index] = place_name(index), 0
    sizes = [0] * len(graph)  # of the gradients, which come from the consumers
    for index in range(len(graph) - 1, -1, -1):
        node = graph.nodes[index]
        if node.op is not None and not found[index] and sizes[index] > _MOST:
            found[index] = place_name(index)
        if node.op is not None:
            for i in node.inputs:
                sizes[i] += 1 + (0 if found[index] else sizes[index])
    return found


def place_name(index: int) -> str:
    """Return what a node without a name is called, where it has to be called something."""
    return f"v{index}"


def gradient_name(name: str) -> str:
    """Return the variable for a gradient.

    Examples
    --------
    >>> gradient_name("W1"), gradient_name("params['W1']"), gradient_name("layers.0.weight")
    ('dW1', "dparams['W1']", 'dlayers_0_weight')
    """
    return f"d{variable(name)}"


def variable(name: str) -> str:
    """Return a name as a Python expression: a module's path as one word.

    Examples
    --------
    >>> variable("p['W1']"), variable("layers.0.weight"), variable("0.bias"), variable("lambda")
    ("p['W1']", 'layers_0_weight', 'v0_bias', 'lambda_')
    >>> variable("x²")  # no letter in Python
    'x'
    """
    if _is_variable(name):
        return name
    plain = "".join(c if f"v{c}".isidentifier() else " " for c in name)
    word = re.sub(r"\W+", "_", plain).strip("_")
    if not word or word[0].isdigit():
        word = f"v{word}"
    return f"{word}_" if keyword.iskeyword(word) else word


def _is_variable(name: str) -> bool:
    """Return whether a name is a variable, or an entry of one."""
    try:
        tree = ast.parse(name, mode="eval").body
    except (SyntaxError, ValueError):
        return False
    while isinstance(tree, ast.Subscript):
        tree = tree.value
    return isinstance(tree, ast.Name) and name == name.strip()


def gradient_latex(name: str, of: str) -> str:
    r"""Return a gradient as a fraction.

    Examples
    --------
    >>> gradient_latex("W1", "L")
    '\\frac{\\partial L}{\\partial W_{1}}'
    """
    return rf"\frac{{\partial {latex_name(of)}}}{{\partial {latex_name(name)}}}"


def latex_name(name: str) -> str:
    r"""Return a name as LaTeX: digits and words behind ``_`` as an index, Greek as letters.

    Examples
    --------
    >>> latex_name("W1"), latex_name("exp_scores"), latex_name("sigma2"), latex_name("h_prev")
    ('W_{1}', '\\mathrm{exp\\_scores}', '\\sigma_{2}', 'h_{\\mathrm{prev}}')
    """
    key = re.fullmatch(r"[^\W\d]\w*\[['\"]([^'\"]*)['\"]\]", name)
    if key:
        return latex_name(key[1])
    plain = re.fullmatch(r"([^\W\d_]+)_?(\d*)((?:_\w+)?)", name)
    if plain is None or (plain[3] and not _is_letter(plain[1])):
        escaped = re.sub(r"([_#&%$ ])", r"\\\1", re.sub(r"[{}\\<>^~]", "", name))
        return rf"\mathrm{{{escaped}}}" if escaped else r"\cdot"
    stem, digits, word = plain.groups()
    letter = rf"\{stem}" if stem in _GREEK else stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
    escaped = word[1:].replace("_", r"\_")
    index = ", ".join(filter(None, [digits, escaped and rf"\mathrm{{{escaped}}}"]))
    return f"{letter}_{{{index}}}" if index else letter


def _is_letter(stem: str) -> bool:
    return len(stem) == 1 or stem in _GREEK
