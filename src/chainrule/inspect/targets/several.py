"""A pair with several outputs and as many gradients from above, such as a step of an LSTM.

``forward`` returns ``(h, c, cache)``, and ``backward(dh, dc, cache)`` takes a gradient for each of
the two. Everything after this knows one output, so the outputs are laid end to end, and the
gradient from above is cut into theirs: the sum of what each output does is one number either way.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.targets.handing import is_upstream, positional
from chainrule.inspect.targets.handwritten import Forward
from chainrule.inspect.targets.pairs import Pair, argument_names, slots_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Several", "outputs_of", "pair_of"]

_GRADIENT = re.compile(r"^(d_?|grad_?|delta_?|g_)(?!rop)")


@dataclass
class Several(Pair):
    """Two functions, the first of which has several outputs.

    Attributes
    ----------
    outputs
        How many there are.
    """

    outputs: int = field(default=2)

    def forward(self, values: Sequence[Any]) -> Forward:
        """Run forward, and lay its outputs end to end."""
        y = self.run_forward(*self.together(values)[: self.taken])
        parts, rest = y[: self.outputs], y[self.outputs :]
        shapes = tuple(np.shape(part) for part in parts)
        joined = np.concatenate([np.reshape(part, -1) for part in parts])
        return Forward(joined, rest, values, shapes=shapes)

    def above(self, ran: Forward) -> dict[str, tuple[slice, tuple[int, ...]]]:
        """Return where the gradient of each output lies, by the names of backward's parameters."""
        ends = [0, *itertools.accumulate(int(np.prod(shape)) for shape in ran.shapes)]
        entries = itertools.starmap(slice, itertools.pairwise(ends))
        names = inspect.signature(self.run_backward).parameters
        return dict(zip(names, zip(entries, ran.shapes, strict=True), strict=False))

    def called(self, ran: Forward) -> Callable[..., Any]:
        """Return a backward pass that takes the gradients from above as one array."""
        places = self.above(ran).values()

        def backward(upstream: Any, *arguments: Any, **options: Any) -> Any:
            above = [upstream[entries].reshape(shape) for entries, shape in places]
            return self.run_backward(*above, *arguments, **options)

        signature = inspect.signature(self.run_backward)
        first, *others = signature.parameters.values()
        backward.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[first, *others[self.outputs - 1 :]]
        )
        return backward


def pair_of(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    names: Sequence[str] | None = None,
) -> Pair:
    """Return two functions in the form that is run.

    Parameters
    ----------
    forward, backward
        The functions.
    arguments
        What forward is called with, and after that what backward alone takes, such as labels.
    names
        What the arguments are called; as forward's parameters, if it is not said.
    """
    taken, said = argument_names(forward, backward, arguments, names)
    outputs = outputs_of(forward, backward)
    kind: Any = functools.partial(Several, outputs=outputs) if outputs > 1 else Pair
    pair: Pair = kind(
        "pair",
        getattr(backward, "__name__", "backward"),
        slots_of(arguments, said),
        [forward, backward],
        run_forward=forward,
        run_backward=backward,
        arguments=tuple(arguments),
        names=tuple(said),
        taken=taken,
    )
    return pair


def outputs_of(forward: Callable[..., Any], backward: Callable[..., Any]) -> int:
    """Return how many outputs of forward have a gradient among the parameters of backward.

    Examples
    --------
    >>> def forward(x, w):
    ...     h, s = np.tanh(x @ w), x @ w
    ...     return h, s, (x, w)
    >>> outputs_of(forward, lambda dh, ds, cache: None)
    2
    >>> outputs_of(forward, lambda dh, cache: None)
    1
    """
    returned = _returned(forward)
    parameters = (positional(backward) or ([], []))[0]
    count = 0
    for name, parameter in zip(returned, parameters, strict=False):
        if not is_upstream(parameter) or not _is_of(parameter, name):
            break
        count += 1
    return max(count, 1)


def _is_of(parameter: str, name: str) -> bool:
    """Return whether a gradient is called after a result: dh or dnext_h after next_h."""
    of = _GRADIENT.sub("", parameter)
    return of != parameter and bool(set(of.split("_")) & set(name.split("_")))


def _returned(function: Callable[..., Any]) -> list[str]:
    """Return the names of what a function returns at its end, as far as they are variables."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return []
    last = next(iter(tree.body), None)
    end = last.body[-1] if isinstance(last, ast.FunctionDef) else None
    if not isinstance(end, ast.Return) or not isinstance(end.value, ast.Tuple):
        return []
    names = (x.id if isinstance(x, ast.Name) else "" for x in end.value.elts)
    return list(itertools.takewhile(bool, names))
