"""What a module remembers of a call until its backward pass, and the checks at both ends of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import BackwardError, ShapeError
from chainrule.graph import REAL, Spec, Value, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.nn.parameters import Parameter

__all__ = ["Memory", "apart", "as_gradient", "fitting", "kept", "specs"]


@dataclass(slots=True)
class Memory:
    """One call of a module.

    Attributes
    ----------
    options
        What it was called with by name.
    outputs
        The shape and dtype of each output; None for what is not an array.
    parameters
        The parameters it had, in the order of their gradients.
    pull
        From the gradient at the output to those of (parameters, *inputs); None if it has to be
        computed anew, or if the module writes its own backward pass.
    modes
        Whether each module inside was being trained.
    """

    options: dict[str, Any]
    outputs: list[Spec | None]
    parameters: list[Parameter]
    pull: Callable[[Any], tuple[Any, ...]] | None
    modes: list[bool]


def kept(x: Any) -> Any:
    """Return a copy of an array that its owner may write to; a list of numbers as an array."""
    if type(x) is list and _are_numbers(x):
        return np.asarray(x)
    return x.copy() if type(x) is np.ndarray else x


def _are_numbers(rows: list[Any]) -> bool:
    """Return whether a list holds numbers, or lists of numbers of one length."""
    if all(isinstance(x, int | float | np.number) for x in rows):
        return True
    inner = all(type(x) is list and len(x) == len(rows[0]) and _are_numbers(x) for x in rows)
    return inner and len({np.shape(x) for x in rows}) == 1


def apart(y: Any, inputs: Sequence[Any]) -> Any:
    """Return an output that shares no memory with the inputs that are remembered."""
    if type(y) is tuple:
        return tuple(apart(part, inputs) for part in y)
    shared = type(y) is np.ndarray and any(
        type(x) is np.ndarray and np.may_share_memory(y, x) for x in inputs
    )
    return y.copy() if shared else y


def specs(y: Any) -> list[Spec | None]:
    """Return the shape and dtype of each output."""
    outputs = y if type(y) is tuple else (y,)
    return [Spec(x.shape, x.dtype) if hasattr(x, "dtype") else None for x in outputs]


def fitting(name: str, gradients: tuple[Any, ...], outputs: Sequence[Spec | None]) -> list[Any]:
    """Return the gradients that a backward pass was given, if they fit the outputs.

    Raises
    ------
    BackwardError
        If there are more or fewer than outputs.
    ShapeError
        If one does not have its output's shape.
    """
    if len(gradients) != len(outputs):
        raise BackwardError(
            f"{name}.backward takes a gradient for each output of forward, {len(outputs)}, got "
            f"{len(gradients)}.",
            *[describe(g) for g in gradients],
        )
    return [_like(name, g, spec) for g, spec in zip(gradients, outputs, strict=True)]


def _like(name: str, g: Any, spec: Spec | None) -> Any:
    if spec is None or (g is None and not np.issubdtype(spec.dtype, np.floating)):
        return g
    array = g if type(g) is Value else np.asarray(g)
    if array.dtype.kind not in REAL or array.shape != spec.shape:
        raise ShapeError(
            f"{name}.backward needs the gradient at its output, real numbers of the output's "
            f"shape {list(spec.shape)}, got {describe(array)}.",
            advice="Nothing is broadcast: pass an array of the shape of what forward returned.",
        )
    return array if array.dtype == spec.dtype else array.astype(spec.dtype)


def as_gradient(name: str, what: str, g: Any, x: Any) -> Any:
    """Return what a user's backward says is the gradient of x, if it can be.

    Raises
    ------
    BackwardError
        If it does not have the shape of x, or does not hold floating-point numbers.
    """
    if g is None:
        return np.zeros(x.shape, x.dtype) if np.issubdtype(x.dtype, np.floating) else None
    array = g if type(g) is Value else np.asarray(g)
    if array.shape != x.shape or not np.issubdtype(array.dtype, np.floating):
        raise BackwardError(
            f"{name}.backward leaves {describe(array)} as the gradient of {what}, which is "
            f"{describe(x)}.",
            advice="A gradient has the shape of what it is the gradient of: sum over what "
            "forward repeated, and keep the axes.",
        )
    return array if array.dtype == x.dtype else array.astype(x.dtype)
