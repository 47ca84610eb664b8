"""What the lengths of axes count: examples, outputs, or something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.graph import Graph

__all__ = ["Symbol", "batch_of", "symbols"]

_BATCH = frozenset({"n", "m", "N", "M", "B", "b", "batch", "examples"})


class Symbol(NamedTuple):
    """A number that a factor may be, and how it is called."""

    key: str
    number: float
    words: str


def batch_of(graph: Graph, relevant: Sequence[bool], sizes: Mapping[str, int]) -> int | None:
    """Return how many examples there are: the length that all layers have, on the same axis.

    Parameters
    ----------
    graph
        The forward pass.
    relevant
        For each node, whether it depends on what is differentiated by.
    sizes
        The lengths behind letters, which may say which of them counts examples.
    """
    shapes = [
        node.shape
        for node, mixed, used in zip(graph.nodes, _mixed(graph), relevant, strict=True)
        if mixed and used and node.op is not None and len(node.shape) >= 2
    ]
    found = []
    for axis in (0, -1):
        lengths = {shape[axis] for shape in shapes}
        lengths -= {1} if len(lengths) > 1 else set()
        if len(lengths) == 1:
            found.append(lengths.pop())
    if not shapes:
        found = _of_vectors(graph, relevant)
    given = [graph.nodes[i].shape for i in graph.inputs]
    found.sort(key=lambda length: sum(length in shape for shape in given))  # parameters lack it
    letters = {length: letter for letter, length in sizes.items()}
    said = [length for length in found if letters.get(length) in _BATCH]
    best = said or found
    return best[0] if best else None


def _of_vectors(graph: Graph, relevant: Sequence[bool]) -> list[int]:
    """Return the one length of what is computed, where each example is one number."""
    known = {n for i in graph.inputs for n in graph.nodes[i].shape if relevant[i]}
    lengths = {
        node.shape[0]
        for node, mixed, used in zip(graph.nodes, _mixed(graph), relevant, strict=True)
        if mixed and used and node.op is not None and len(node.shape) == 1
    }
    return list(lengths) if len(lengths) == 1 and not lengths & known else []


def _mixed(graph: Graph) -> list[bool]:
    """Return for each node whether two arrays or more meet in it or before it."""
    given = [i for i in (*graph.inputs, *graph.constants) if graph.nodes[i].shape]
    sources: list[frozenset[int]] = []
    for index, node in enumerate(graph.nodes):
        own = frozenset({index}) if index in given else frozenset[int]()
        sources.append(own.union(*[sources[i] for i in node.inputs]))
    return [len(found) > 1 for found in sources]


def symbols(
    m: int | None, k: int | None, sizes: Mapping[str, int], lengths: set[int]
) -> list[Symbol]:
    """Return the numbers that a wrong factor may be.

    Parameters
    ----------
    m, k
        How many examples and outputs there are, where that is known.
    sizes
        The lengths behind letters.
    lengths
        Those of axes, where there are no letters.
    """
    named: list[tuple[str, int, str]] = []
    if k and k > 1 and (k != m or not sizes):
        named.append(("k", k, f"the number of outputs, {k}"))
    if sizes:
        named += [
            (s, n, f"the size {s}, {n}") for s, n in sizes.items() if n > 1 and n not in {m, k}
        ]
    else:
        named += [(str(n), n, f"a size, {n}") for n in sorted(lengths - {m, k, 0, 1, 2})]
    found = [Symbol("-1", -1.0, "-1"), Symbol("0", 0.0, "0")]
    found += [Symbol("2", 2.0, "2"), Symbol("1/2", 0.5, "½")]
    for key, n, words in named:
        found += [Symbol(key, n, words), Symbol(f"1/{key}", 1 / n, f"one over {words}")]
    if m and m > 1:
        found += _of_examples(m, named)
    return found


def _of_examples(m: int, named: Sequence[tuple[str, int, str]]) -> list[Symbol]:
    """Return the factors with the number of examples in them."""
    words = f"the number of examples, {m}"
    found = [
        Symbol("m", m, words),
        Symbol("1/m", 1 / m, f"one over {words}"),
        Symbol("m-1", m / (m - 1), f"m over m - 1, for m = {m} examples"),
        Symbol("2m", 2.0 * m, f"twice {words}"),
        Symbol("1/(2m)", 0.5 / m, f"one over twice {words}"),
        Symbol("2/m", 2 / m, f"2 over {words}"),
        Symbol("m/2", m / 2, f"half of {words}"),
        Symbol("m²", float(m * m), f"the square of {words}"),
        Symbol("1/m²", 1.0 / (m * m), f"one over the square of {words}"),
    ]
    for key, n, what in named:
        found += [
            Symbol(f"m*{key}", m * n, f"m times {what}, for m = {m} examples"),
            Symbol(f"1/(m*{key})", 1 / (m * n), f"one over m times {what}, for m = {m} examples"),
            Symbol(f"m/{key}", m / n, f"m = {m}, the number of examples, over {what}"),
            Symbol(f"{key}/m", n / m, f"{what}, over m = {m}, the number of examples"),
        ]
    return found
