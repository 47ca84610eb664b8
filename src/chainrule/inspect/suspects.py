"""The set-up of a gradient check, looked at before a derivative is blamed.

What draws random numbers, and which inputs are one array: said beside an error, so that nobody
looks for a mistake in a rule that is right.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.targets.frozen import referred
from chainrule.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["drawing", "sharing"]


def drawing(func: Callable[..., Any]) -> list[str]:
    """Return a line for each thing that a function refers to and that draws random numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> drawing(lambda x: x * rng.normal())
    ['rng is a Generator, which draws on at each call']
    """
    around = {"it": func} if isinstance(func, Module) else referred(func)
    return [line for name, x in around.items() for line in _lines(name, x)]


def _lines(name: str, x: Any) -> Iterator[str]:
    if isinstance(x, np.random.Generator | np.random.RandomState | random.Random):
        yield f"{name} is a {type(x).__name__}, which draws on at each call"
    elif isinstance(x, Module):
        for path, part in x.named_modules():
            if part.training and hasattr(part, "draws"):
                place = f"{name}.{path}" if path else name
                yield f"{place} is a {type(part).__name__} in training: call {name}.eval() first"
    elif getattr(x, "__name__", "") in {"random", "numpy.random"}:
        yield f"{name} draws from the state that all of the program shares"


def sharing(names: Sequence[str], xs: Sequence[Any]) -> list[str]:
    """Return a line for each two inputs that share memory.

    Examples
    --------
    >>> x = np.ones(3)
    >>> sharing(["a", "b"], [x, x[:2]])
    ['a and b share memory: each is moved while the other stands still']
    """
    pairs = itertools.combinations(zip(names, xs, strict=True), 2)
    return [
        f"{a} and {b} share memory: each is moved while the other stands still"
        for (a, x), (b, y) in pairs
        if np.may_share_memory(x, y)
    ]
