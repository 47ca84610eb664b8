"""For tests: a hand-written backward pass has to be right, or the test fails with the reason."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from chainrule.errors import GradientError, SettingError
from chainrule.interop.checking import check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SEED_VARIABLE", "assert_gradients"]

SEED_VARIABLE = "CHAINRULE_SEED"
"""The environment variable that has the seed, where the call does not say it."""


def assert_gradients(
    target: Any,
    inputs: Any,
    *,
    shapes: Mapping[str, str] | None = None,
    seed: int | None = None,
    loss: Callable[..., Any] | None = None,
    warnings: bool = True,
) -> None:
    """Raise an error that says what is wrong with a hand-written backward pass, if anything is.

    Parameters
    ----------
    target, inputs, shapes, loss
        As `chainrule.check` takes them.
    seed
        Of the numbers that are drawn. If it is not said, the environment variable
        ``CHAINRULE_SEED``, and else 0. An error names it.
    warnings
        Whether a warning is an error. Notes never are.

    Raises
    ------
    GradientError
        With all findings in its text; it is an ``AssertionError``.
    SettingError
        If ``CHAINRULE_SEED`` is no whole number.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.testing import assert_gradients
    >>> def forward(X, W):
    ...     return X @ W, (X, W)
    >>> def backward(dout, cache):
    ...     X, W = cache
    ...     return dout @ W.T, X.T @ dout
    >>> assert_gradients((forward, backward), (np.ones((3, 2)), np.eye(2)))
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    seed = _seed() if seed is None else seed
    findings = check(target, inputs, shapes=shapes, seed=seed, loss=loss)
    counted = ("error", "warning") if warnings else ("error",)
    wrong = [f for f in findings if f.severity in counted]
    if not wrong:
        return
    about = ", ".join(dict.fromkeys(f.tensor for f in wrong if f.tensor))
    raise GradientError(
        f"the backward pass is wrong{f' in {about}' if about else ''}, with seed {seed}.",
        *[line for f in wrong for line in str(f).splitlines()],
        advice=f"Again with the same numbers: seed={seed}, or {SEED_VARIABLE}={seed}.",
        where=wrong[0].where,
    )


def _seed() -> int:
    text = os.environ.get(SEED_VARIABLE, "0")
    if not text.isdecimal():
        raise SettingError(f"{SEED_VARIABLE} has to be a whole number from 0 on, got {text!r}.")
    return int(text)
