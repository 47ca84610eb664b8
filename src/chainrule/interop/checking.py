"""``check`` for whatever a user has: also what scikit-learn and PyTorch made.

The check itself knows of no other package. What comes from one is put into the form that is run
by the one file that knows it, which is loaded when something of that package is checked.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.checking import check as check_ours
from chainrule.inspect.targets.methods import has_parameters, method_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainrule.inspect.finding import Finding
    from chainrule.interop.foreign import Foreign

__all__ = ["check", "check_foreign"]

_ADAPTERS = {
    "sklearn": ("chainrule.interop.audit.estimators", "estimator_target"),
    "torch": ("chainrule.interop.torch", "torch_target"),
}


def check(
    target: Any,
    inputs: Any,
    *,
    shapes: Mapping[str, str] | None = None,
    seed: int = 0,
    loss: Callable[..., Any] | None = None,
) -> list[Finding]:
    """Return what is wrong with a hand-written backward pass, and which mistake made it so.

    Parameters
    ----------
    target
        What to check: a module that writes its own ``backward``; a pair ``(forward, backward)``
        of functions, or an object with both, where ``forward(*inputs)`` returns the output or
        loss and a cache, and ``backward([dout,] cache)`` gradients as a tuple in the order of
        the arguments or as a dictionary keyed ``W1`` or ``dW1``; several outputs with a gradient
        each, ``forward → (h, c, cache)`` and ``backward(dh, dc, cache)``; an object with
        ``forward`` and
        ``compute_gradients``; a closure ``loss(…) → (loss, gradients)``, also as a method of an
        object that has the parameters; a ``MLPClassifier`` or ``MLPRegressor`` of scikit-learn;
        a ``torch.autograd.Function``, or a ``torch.nn.Module`` that uses one.
    inputs
        The arguments of the forward pass, as a tuple; their numbers are the first that are
        tried. For an estimator (X, y) or (X, y, sample_weight).
    shapes
        The axes of arguments by letters, ``{"X": "n d", "W1": "d h"}``: with it, other numbers
        are drawn in shapes whose letters are pairwise distinct primes, so that a factor of 7
        is the batch and nothing else, and no square matrix hides a transpose.
    seed
        Of what is drawn.
    loss
        The loss of an object that has none, as ``loss(out, Y)``; without it the usual ones are
        tried.

    Returns
    -------
    list of Finding
        Empty if all gradients are right. Else what comes first in the backward pass comes
        first: errors, warnings, and notes on what is right and worth knowing.

    Raises
    ------
    InputTypeError
        If there is no backward pass that somebody wrote.
    MissingExtraError
        If the package that made the target is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import chainrule
    >>> def forward(X, W):
    ...     return X @ W, (X, W)
    >>> def backward(dout, cache):
    ...     X, W = cache
    ...     return dout @ W.T, -X.T @ dout
    >>> X, W = np.ones((3, 2)), np.eye(2)
    >>> for finding in chainrule.check((forward, backward), (X, W)):
    ...     print(finding.code, finding.cause, finding.tensor)
    CD201 wrong sign W
    """
    foreign = _adapted(target, inputs)
    if foreign is not None:
        return check_foreign(foreign, shapes=shapes, seed=seed)
    if has_parameters(target):
        arguments = tuple(inputs) if type(inputs) in {tuple, list} else (inputs,)
        target = method_of(target, arguments)
    with np.errstate(all="ignore"):  # what overflows is said as a finding
        return check_ours(target, inputs, shapes=shapes, seed=seed, loss=loss)


def check_foreign(
    foreign: Foreign, *, shapes: Mapping[str, str] | None = None, seed: int = 0
) -> list[Finding]:
    """Check what an adapter made; findings are about the line that it names."""
    said = {**foreign.shapes, **(shapes or {})}
    with np.errstate(all="ignore"):
        found = check_ours(foreign.target, foreign.inputs, shapes=said or None, seed=seed)
    return [
        dataclasses.replace(f, where=foreign.where or f.where)
        for f in found
        if f.code not in foreign.expected
    ]


def _adapted(target: Any, inputs: Any) -> Foreign | None:
    """Return something of another package in the form that is run; None if it is of none."""
    classes = target.__mro__ if isinstance(target, type) else type(target).__mro__
    packages = [c.__module__.partition(".")[0] for c in classes]
    home = next((_ADAPTERS[p] for p in packages if p in _ADAPTERS), None)
    if home is None:
        return None
    arguments = tuple(inputs) if type(inputs) in {tuple, list} else (inputs,)
    adapt: Callable[..., Foreign] = getattr(importlib.import_module(home[0]), home[1])
    return adapt(target, arguments)
