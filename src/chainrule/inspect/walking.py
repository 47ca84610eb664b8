"""One walk forward with everything kept: what a function computed, entry by entry, by name.

A `Walk` holds the graph of one run on concrete arrays and the number of every node. The
checks and the open pass of this package read it. Nodes are called what the user's program calls
them, as far as it can be seen (`chainrule.inspect.naming`).
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.errors import ChainruleError, ConversionError, InputTypeError
from chainrule.graph import Graph, Value, describe, parameter_names
from chainrule.inspect.naming import Names, written
from chainrule.inspect.noticing import Instruction, Noticed, Noticing, Rank
from chainrule.inspect.writes import WritingAndNoticing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Leaf", "Walk", "require_plain", "walk"]


@dataclass(frozen=True)
class Leaf:
    """One array among the arguments: where it stands, and the node that it became.

    Attributes
    ----------
    path
        The position of the argument and then the keys within it.
    name
        The same as text: ``params['W1']``.
    index
        The node; None for what is not of a floating-point type and stays concrete.
    concrete
        What stays concrete.
    """

    path: tuple[Any, ...]
    name: str
    index: int | None
    concrete: Any = None

    @property
    def key(self) -> str:
        """The innermost key of a container where it is text, else empty."""
        last = self.path[-1]
        return last if len(self.path) > 1 and isinstance(last, str) else ""


@dataclass(frozen=True, eq=False)
class Walk:
    """One run of a function with everything kept.

    Attributes
    ----------
    graph
        What was computed.
    numbers
        The number of each node.
    active
        For each node, whether it depends on a differentiable argument.
    leaves
        The arrays among the arguments, in optree's order.
    outputs
        The leaves of the result: values of the trace, or what does not depend on it.
    title
        What the function calls itself.
    noticed
        The names that nodes were seen to have while the function ran.
    spots
        The instruction that recorded each node of an op.
    """

    graph: Graph
    numbers: Sequence[Any]
    active: Sequence[bool]
    leaves: tuple[Leaf, ...]
    outputs: tuple[Any, ...]
    title: str
    noticed: tuple[Noticed, ...] = ()
    spots: Mapping[int, Instruction] = field(default_factory=dict)

    def results(self) -> list[Any]:
        """Return the outputs as plain arrays."""
        return [np.asarray(self.numbers[y.index] if type(y) is Value else y) for y in self.outputs]

    @functools.cached_property
    def naming(self) -> Names:
        """The names of the nodes, read from the program when they are first asked for."""
        return Names(self.graph, self._noticed())

    def names(self) -> list[str]:
        """Return what the user's program calls each node; a leaf by its key where that is enough.

        What has no name there is called by its op.

        Examples
        --------
        >>> import numpy as np
        >>> def loss(w, x):
        ...     h = np.tanh(x @ w)
        ...     return np.sum(h)
        >>> walk(loss, (np.ones(2), np.ones((3, 2)))).names()[-2:]
        ['h', 'loss']
        """
        naming = self.naming
        return [
            label if given else node.op.name if node.op else "constant"
            for label, given, node in zip(
                naming.labels, naming.is_given, self.graph.nodes, strict=True
            )
        ]

    def _noticed(self) -> Iterator[Noticed]:
        """Iterate over all names that are known of any node."""
        seen = [*self.noticed, *written(self.graph, self.spots)]
        yield from seen
        words = Counter(name for _, name, _ in dict.fromkeys(seen))
        alone = {index for index, name, _ in seen if words[name] == 1}
        often = Counter(leaf.key for leaf in self.leaves)
        for leaf in self.leaves:
            if leaf.index is not None:
                has_key = bool(leaf.key) and often[leaf.key] == 1
                if has_key:
                    yield Noticed(leaf.index, leaf.key, Rank.PATH)
                has_word = has_key or (len(leaf.path) > 1 and leaf.index in alone)
                yield Noticed(leaf.index, leaf.name, Rank.PLACE if has_word else Rank.PATH)
        if len(self.outputs) == 1:
            yield from self._of_result(self.outputs[0])

    def _of_result(self, y: Any) -> Iterator[Noticed]:
        if type(y) is Value and self.graph.nodes[y.index].op:
            yield Noticed(y.index, self.title, Rank.RESULT)


def walk(
    f: Callable[..., Any],
    args: Sequence[Any],
    *,
    keep_flat: bool = False,
    in_place: bool = False,
    names: Sequence[str] | None = None,
    held: Sequence[int] = (),
) -> Walk:
    """Run a function once on concrete arrays and keep everything.

    Parameters
    ----------
    f
        A function of arrays, or containers of arrays, that returns such.
    args
        Its arguments. Arrays of a floating-point type are followed; the rest stays concrete.
    keep_flat
        Whether ops without a derivative (comparisons, rounding) are kept too.
    in_place
        Whether f may write to its arrays: see `Writing`.
    names
        What the arguments are called, if f does not say it.
    held
        The positions of arguments that are not followed: their arrays stay concrete.

    Raises
    ------
    ConversionError
        If f turns a value that is followed into a plain number, as by writing it into an array.
    InputTypeError
        If an argument is a masked array or an `np.matrix`, whose rules are not an array's.
    """
    tracer = (WritingAndNoticing if in_place else Noticing)(keep_flat=keep_flat)
    tree: Any = tuple(args)
    paths, arrays, structure = optree.tree_flatten_with_path(tree)
    words = parameter_names(f, len(args)) if names is None else names
    leaves: list[Leaf] = []
    inside: list[Any] = []
    for path, x in zip(paths, arrays, strict=True):
        name = _leaf_name(words, path)
        require_plain(x, name)
        if path[0] not in held and _is_floating(x):
            value = tracer.input(np.array(x)[()], name)
            leaves.append(Leaf(path, name, value.index))
            inside.append(value)
        else:
            kept = x.copy() if type(x) is np.ndarray else x  # its owner may write to it
            leaves.append(Leaf(path, name, None, kept))
            inside.append(x)
    try:
        y = f(*optree.tree_unflatten(structure, inside))
    except (ValueError, TypeError) as error:
        if isinstance(error, ChainruleError) or not isinstance(error.__cause__, ChainruleError):
            raise
        raise _of_write(error.__cause__) from None
    finally:
        tracer.close()
    title = getattr(f, "__name__", "f")
    return Walk(
        graph=tracer.graph,
        numbers=tracer.numbers,
        active=tracer.active,
        leaves=tuple(leaves),
        outputs=tuple(optree.tree_leaves(y)),
        title="f" if title == "<lambda>" else title,
        noticed=tuple(tracer.noticed),
        spots=tracer.spots,
    )


def require_plain(x: Any, name: str) -> None:
    """Raise for arrays whose own rules would be lost: masked ones, and `np.matrix`.

    Raises
    ------
    InputTypeError
        If it is one.
    """
    if isinstance(x, np.ma.MaskedArray):
        raise InputTypeError(
            f"the argument {name} is a masked array, whose mask has no derivative.",
            describe(x),
            advice="Pass x.filled(0) and the mask as two arguments, and use np.where.",
        )
    if isinstance(x, np.matrix):
        raise InputTypeError(
            f"the argument {name} is an np.matrix, whose * is the matrix product.",
            describe(x),
            advice="Pass np.asarray(x), and write @ for the matrix product.",
        )


def _of_write(error: ChainruleError) -> ChainruleError:
    """Return our error that NumPy wrapped in its own, as it does where an array is written to."""
    if not isinstance(error, ConversionError):
        return error
    return ConversionError(
        error.what,
        *error.facts,
        advice="For an array that is filled piece by piece (out = np.zeros(3), out[i] = …): "
        "start it as out = x * 0, whose writes are followed, or collect the pieces: "
        "np.stack(pieces).",
        where=error.where,
    )


def _is_floating(x: Any) -> bool:
    if type(x) is Value:
        raise InputTypeError(
            f"this walk needs numbers, got a value that is being traced: {x!r}.",
            advice="Call it outside of grad, vmap and trace.",
        )
    return isinstance(x, float) or (hasattr(x, "dtype") and np.issubdtype(x.dtype, np.floating))


def _leaf_name(names: Sequence[str], path: tuple[Any, ...]) -> str:
    """Return ``params['W1']`` for the leaf W1 of the argument params."""
    argument = names[path[0]] or f"argument {path[0]}"
    return argument + "".join(f"[{key!r}]" for key in path[1:])
