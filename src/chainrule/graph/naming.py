"""Calling a value by a name of one's own."""

from __future__ import annotations

from typing import TypeVar

from chainrule.errors import SettingError
from chainrule.graph.value import Value

__all__ = ["name"]

X = TypeVar("X")


def name(value: X, text: str) -> X:
    """Call a value by a name while a function is traced, and return the value.

    The open pass (`chainrule.open`) then finds it under that name, before any other that it
    could have. A plain array passes through, so that the function runs as it did.

    Parameters
    ----------
    value
        An array or a traced value.
    text
        What to call it; no brackets at its end, which mean an entry.

    Returns
    -------
    array
        The value itself.

    Raises
    ------
    SettingError
        If the text is empty or no text.

    Notes
    -----
    Every transform lets it through. Inside of `vmap` and `compile` a function is a program of
    its own, whose names are not seen from outside.

    Examples
    --------
    >>> import numpy as np
    >>> import chainrule
    >>> def loss(x):
    ...     return np.sum(chainrule.name(np.tanh(x), "hidden") ** 2)
    >>> chainrule.open(loss, np.zeros(3)).values["hidden"]
    array([0., 0., 0.])
    """
    if type(text) is not str or not text.strip() or text.endswith("]"):
        raise SettingError(
            f"a value is called by a text that is not empty and ends in no bracket, got {text!r}."
        )
    level: object = value
    while type(level) is Value:
        level.tracer.label(level.index, text)
        level = level.number
    return value
