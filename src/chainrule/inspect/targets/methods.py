"""A method that returns a loss and its gradients by the parameters of its object.

``net.loss(X, y) → (loss, grads)`` with the parameters in ``net.params``: forward and backward are
one body of code, as in a closure, and what is differentiated lies on the object.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.targets.closures import Closure
from chainrule.inspect.targets.held import Held, held_of, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MethodClosure", "has_parameters", "method_of"]


@dataclass
class MethodClosure(Held, Closure):
    """One method with two results, of an object that is copied for each run."""


def has_parameters(target: Any) -> bool:
    """Return whether something is a method of an object that holds arrays.

    Examples
    --------
    >>> class Line:
    ...     def __init__(self):
    ...         self.params = {"w": np.ones(3)}
    ...
    ...     def loss(self, x):
    ...         return x @ self.params["w"], {"w": x}
    >>> has_parameters(Line().loss), has_parameters(len)
    (True, False)
    """
    owner = getattr(target, "__self__", None)
    if owner is None or isinstance(owner, type | ModuleType) or not hasattr(owner, "__dict__"):
        return False
    return any(np.ndim(x) for _, x in parts_of(owner))


def method_of(method: Callable[..., Any], arguments: Sequence[Any]) -> MethodClosure:
    """Return a method that returns (loss, gradients) in the form that is run."""
    owner: Any = getattr(method, "__self__")  # noqa: B009 - of a method that is not known
    name = method.__name__
    held = held_of(owner, (name, name), arguments)
    fields = {f.name: getattr(held, f.name) for f in dataclasses.fields(held) if f.init}
    target = MethodClosure(**{**fields, "kind": "closure", "name": name})
    target.renew()
    return target
