"""Is a hand-written backward pass right, and if it is not, which mistake is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.inspect.diagnose import diagnose
from chainrule.inspect.targets import probes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainrule.inspect.finding import Finding

__all__ = ["check"]


def check(
    target: Any,
    inputs: Any,
    *,
    shapes: Mapping[str, str] | None = None,
    seed: int = 0,
    loss: Callable[..., Any] | None = None,
) -> list[Finding]:
    """Return what is wrong with a hand-written backward pass, and which mistake made it so.

    Its parameters are those of `chainrule.check`, which takes what other packages made, too.

    Examples
    --------
    >>> import numpy as np
    >>> def forward(X, W):
    ...     Z = X @ W
    ...     return np.mean(Z * Z), (X, Z)
    >>> def backward(cache):
    ...     X, Z = cache
    ...     dZ = 2 * Z / len(Z)
    ...     return {"W": X.T @ dZ}
    >>> X, W = np.arange(6.0).reshape(3, 2), np.ones((2, 4))
    >>> found = check((forward, backward), (X, W), shapes={"X": "n d", "W": "d k"})
    >>> [(f.cause, f.tensor) for f in found]
    [('number of outputs', 'Z')]
    """
    probes, findings = probes_of(target, inputs, shapes=shapes, seed=seed, loss=loss)
    found = diagnose(probes)
    if any(f.severity == "error" for f in found):  # which says why it raises on other shapes, too
        findings = [f for f in findings if f.code not in {"CD101", "CD103"}]
    return [*findings, *found]
