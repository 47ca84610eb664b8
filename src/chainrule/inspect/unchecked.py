"""What in a file could not be checked, said as findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.inspect.finding import Finding, cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["cannot_be_made", "no_inputs", "refused"]


@cause("CD130", "no inputs to check it on", "warning")
def no_inputs(
    name: str,
    variable: str,
    arguments: Sequence[str],
    wanted: Sequence[str],
    shapes: Mapping[str, str],
    where: str,
) -> Finding:
    """A backward pass in a file that nothing says how to call.

    It sees functions and classes for whose arguments the file has neither values nor shapes: no
    variable ``inputs`` or ``NAME_inputs``, none that is called like the argument, no default, no
    shape in an annotation, a docstring or a comment.

    Why it matters: it was not checked.

    Example: ``def forward(X, W): return X @ W, (X, W)`` and nothing else.

    What to do: say shapes, ``shapes = {"X": "n d", "W": "d h"}``, or give inputs,
    ``forward_inputs = (X, W)``; or name them on the command line, ``--shapes 'X:n d,W:d h'`` and
    ``--inputs arrays.npz``.
    """
    lines = ", ".join(f'"{n}": "{shapes.get(n, "…")}"' for n in arguments)
    return Finding.of(
        "CD130",
        where=where,
        message=f"{name} was not checked: nothing says what {_listed(wanted)} "
        f"{'is' if len(wanted) == 1 else 'are'}.",
        advice=f"Add the axes to the file, {variable}_shapes = {{{lines}}},\n"
        f"or arguments, {variable}_inputs = ({', '.join(arguments)}{',' * (len(arguments) == 1)}).",
    )


@cause("CD131", "cannot be made without arguments", "warning")
def cannot_be_made(name: str, said: str, where: str) -> Finding:
    """A class in a file of which no object is there, and none can be made without arguments.

    It sees a class with forward and backward that raises when it is called without arguments,
    while no variable of the file holds an object of it.

    Why it matters: it was not checked.

    Example: ``class Affine(nn.Module)`` with ``__init__(self, inputs, outputs)``.

    What to do: make one at the level of the module, ``affine = Affine(4, 3)``, with
    ``affine_inputs = (X,)`` beside it; or give the parameters of ``__init__`` defaults.
    """
    variable = name.lower() if name.lower() != name else f"{name}_example"
    return Finding.of(
        "CD131",
        where=where,
        message=f"{name} was not checked: {name}() raises: {said}",
        advice=f"Make one in the file: {variable} = {name}(…)",
    )


@cause("CD132", "refused", "warning")
def refused(name: str, what: str, advice: str, where: str) -> Finding:
    """Something in a file that looks as if it had a backward pass, and cannot be checked.

    It sees an error of chainrule's own when it is about to be checked: shapes that are none, a
    class of another package that the check does not know, a module without a backward pass.

    Why it matters: it was not checked.

    Example: ``forward_shapes = {"X": "n-d"}``.

    What to do: what the error says.
    """
    return Finding.of(
        "CD132", where=where, message=f"{name} was not checked: {what}", advice=advice
    )


def _listed(names: Sequence[str]) -> str:
    """Return names with an and before the last.

    Examples
    --------
    >>> _listed(["X", "W", "b"])
    'X, W and b'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
