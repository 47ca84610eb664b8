"""A function traced on concrete arguments: where every derivative of it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import InputTypeError, StructureError
from chainrule.graph import (
    REAL,
    Graph,
    Tracer,
    Value,
    called,
    describe,
    owned,
    parameter_names,
)
from chainrule.transform.reverse import pull_back

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LEAF",
    "Argument",
    "Run",
    "front_positions",
    "is_floating",
    "is_of",
    "leaves_like",
    "run_traced",
]


LEAF: Any = optree.treespec_leaf()


class Argument(NamedTuple):
    """One argument inside a trace: its values, and how to put them together again."""

    inside: Any
    leaves: list[Any]
    structure: Any


class Run(NamedTuple):
    """A function after it was traced on its arguments."""

    tracer: Tracer
    arguments: list[Argument]
    y: Any

    @property
    def graph(self) -> Graph:
        """What was recorded."""
        return self.tracer.graph

    def pull(self, cotangents: dict[int, Any]) -> dict[int, Any]:
        """Return the cotangents of all active nodes."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return pull_back(self.graph, self.tracer.numbers, self.tracer.active, cotangents)

    def gradient(self, argument: Argument, found: dict[int, Any], used: set[int]) -> Any:
        """Return the cotangents of an argument, put together as the argument is."""
        leaves = [
            None
            if type(x) is not Value or x.tracer is not self.tracer
            else owned(found[x.index] if x.index in found else np.zeros(x.shape, x.dtype), used)
            for x in argument.leaves
        ]
        if argument.structure is None:
            return leaves[0]
        return optree.tree_unflatten(argument.structure, leaves)


def is_floating(x: Any) -> bool:
    """Return whether an array can change by small steps."""
    return np.issubdtype(x.dtype, np.floating)


def _enter(tracer: Tracer, x: Any, active: bool, name: str, *, lenient: bool = False) -> Argument:
    """Trace the floating-point arrays of an argument; the rest stays as it is.

    An active argument has to be of such arrays alone, unless one is lenient.
    """
    if type(x) is np.ndarray:
        value = _enter_leaf(tracer, x, active, name, lenient=lenient)
        return Argument(value, [value], None)
    if x is None and active and not lenient:  # for a container it would be one without arrays
        _enter_leaf(tracer, x, active, name)
    if type(x) in {int, str, bool, type(None)} and not active:
        return Argument(x, [x], None)
    leaves, structure = optree.tree_flatten(x)
    values = [_enter_leaf(tracer, leaf, active, name, lenient=lenient) for leaf in leaves]
    return Argument(optree.tree_unflatten(structure, values), values, structure)


def _enter_leaf(tracer: Tracer, x: Any, active: bool, name: str, *, lenient: bool = False) -> Any:
    if type(x) is float and active:
        x = np.float64(x)
    if not hasattr(x, "dtype") or not is_floating(x):
        if active and not lenient:
            raise _no_derivative_by(x, name)
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise InputTypeError(
            f"the argument {name or 'given'} is a masked array, whose mask has no derivative.",
            advice="Pass x.filled(0) and the mask as two arguments, and use np.where.",
        )
    number = np.array(x)[()] if isinstance(x, np.ndarray) else x
    return tracer.input(number, name, active=active)


def _no_derivative_by(x: Any, name: str) -> InputTypeError:
    advice = (
        f"Pass {name or 'it'} as float64 (x.astype(float), 2.0 for 2), or differentiate with "
        "respect to another argument (argnums=…)."
    )
    if getattr(x, "dtype", np.dtype(type(x))).kind == "c":
        advice = "Pass the real and the imaginary part as two arguments."
    return InputTypeError(
        f"{f'the argument {name}' if name else 'an argument'} has no derivative: it is "
        f"{describe(x)}, and only real floating-point numbers change by small steps.",
        advice=advice,
    )


def run_traced(
    f: Callable[..., Any],
    args: Sequence[Any],
    options: dict[str, Any],
    argnums: Sequence[int],
    *,
    lenient: bool = False,
) -> Run:
    """Trace f on its arguments, those in argnums as active.

    Lenient, an active argument may hold what has no derivative, too, as a constant.
    """
    tracer = Tracer()
    names = parameter_names(f, len(args))
    arguments = [
        _enter(tracer, x, k in argnums, name, lenient=lenient)
        for k, (x, name) in enumerate(zip(args, names, strict=True))
    ]
    options = {name: _enter(tracer, x, False, name).inside for name, x in options.items()}
    try:
        y = called(f, *[argument.inside for argument in arguments], **options)
    finally:
        tracer.close()
    return Run(tracer, arguments, y)


def front_positions(argnums: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Return argument positions from the front."""
    given: object = (argnums,) if isinstance(argnums, int | np.integer) else argnums
    if not isinstance(given, Sequence) or not all(
        isinstance(k, int | np.integer) and not isinstance(k, bool) and -count <= k < count
        for k in given
    ):
        raise StructureError(
            f"argnums needs positions of arguments, of which the call has {count}, "
            f"got {argnums!r}.",
            advice="Positions count from 0, or from -1 backwards. An argument that is given by "
            "name has none: pass it by position.",
        )
    return tuple(int(k) % count for k in given)


def is_of(run: Run, y: Any) -> bool:
    """Return whether something is a value of this run's trace."""
    return type(y) is Value and y.tracer is run.tracer


def leaves_like(name: str, tree: Any, like: Sequence[Any], structure: Any) -> list[Any]:
    """Return the leaves of a tree that must have this structure and the shapes of these."""
    leaves, given = optree.tree_flatten(tree)
    if given != structure:
        raise StructureError(
            f"{name} needs the structure {_text(structure)} (* is an array), got {_text(given)}.",
            f"got {describe(tree)}",
        )
    checked = []
    for leaf, x in zip(leaves, like, strict=True):
        part = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        shape = getattr(x, "shape", ())
        if part.shape != shape or part.dtype.kind not in REAL:
            raise StructureError(
                f"{name} needs an array of real numbers of shape {list(shape)}, "
                f"got {describe(part)}."
            )
        dtype = getattr(x, "dtype", part.dtype)
        checked.append(part if part.dtype == dtype else part.astype(dtype))
    return checked


def _text(structure: Any) -> str:
    """Return ``(*, {'b': *})`` for ``PyTreeSpec((*, {'b': *}))``."""
    return str(structure).removeprefix("PyTreeSpec(").removesuffix(")")
