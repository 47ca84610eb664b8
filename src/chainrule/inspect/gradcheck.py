"""Derivatives against finite differences: reverse mode and forward mode, each entry, aloud.

The function is run anew for each step, so it may branch on numbers. Where a step of the
difference quotient could cross a kink (by the ops' own word) or takes another branch, nothing
can be compared: those entries are skipped, and the result says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import GradientError, InputTypeError, OutputError
from chainrule.graph import describe, user_line
from chainrule.inspect.opened import Walk, walk
from chainrule.transform import jvp, vjp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Check", "gradcheck"]

LARGEST_FULL = 4096
"""Entries of a Jacobian; a larger one is checked along random directions."""

DIRECTIONS = 4
"""Random directions for each input of a large Jacobian, and draws for one off all kinks."""

_MARGIN = 2.0
"""How many steps away a kink must be."""


@dataclass(frozen=True)
class Check:
    """What a gradient check found, when it found no fault.

    Attributes
    ----------
    largest_absolute
        The largest difference of a derivative from its difference quotient.
    largest_relative
        The largest difference over the larger of the two numbers (or over ``atol``, where both
        are smaller).
    compared, skipped
        How many entries were compared, and how many not, because the function has no
        derivative there.
    directions
        Whether an entry is one number of the Jacobian (False) or its product with a random
        direction (True), as it is when the Jacobian is large.
    kinks
        Where the derivative does not exist: op and line.
    """

    largest_absolute: float
    largest_relative: float
    compared: int
    skipped: int
    directions: bool = False
    kinks: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = "random directions" if self.directions else "entries"
        text = (
            f"{self.compared} {what} by reverse and forward mode agree with central differences: "
            f"largest difference {self.largest_absolute:.1e}, relative {self.largest_relative:.1e}."
        )
        if self.skipped:
            text += f" {self.skipped} not differentiable here, skipped: {', '.join(self.kinks)}."
        return text


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    cast: bool = False,
    seed: int = 0,
) -> Check:
    """Compare the derivatives of a function, in both modes, with finite differences.

    Parameters
    ----------
    func
        A function of arrays, or containers of arrays, that returns such. It is run anew for
        every step, so it may branch on numbers; it has to give the same result each time.
    inputs
        The tuple of its arguments, or its one argument. Arrays of integers are constants.
    eps
        The step of the central differences.
    atol, rtol
        A derivative d passes beside a difference quotient q if |d - q| ≤ atol + rtol |q|.
    cast
        Whether to check in float64 where the inputs are of a smaller type.
    seed
        Of the random directions that stand for the entries of a large Jacobian.

    Returns
    -------
    Check
        The largest differences, and how many entries were compared and skipped.

    Raises
    ------
    GradientError
        With the input, the entry, both numbers and their ratio.
    InputTypeError
        If there is nothing to differentiate by, or the numbers are too short for differences.

    Notes
    -----
    The quotient (f(x + εv) - f(x - εv)) / 2ε differs from the derivative by ε²/6 times the
    third derivative, and by about 1e-16 |f| / ε from rounding (Nocedal and Wright, *Numerical
    Optimization*, 2006, section 8.1), which leaves about ten digits in float64 and none in
    float32.

    Examples
    --------
    >>> import numpy as np
    >>> check = gradcheck(lambda w, x: np.tanh(x @ w), (np.ones(3), np.eye(2, 3)))
    >>> check.compared, check.largest_relative < 1e-7
    (18, True)
    >>> print(gradcheck(np.abs, np.array([0.0, 1.0])))  # doctest: +ELLIPSIS
    2 entries by ... 2 not differentiable here, skipped: absolute at ...
    """
    target = _Target(func, _arguments(inputs), cast)
    comparison = _Comparison(target, eps, atol, rtol)
    _require_determinism(target)
    if target.base_size * sum(x.size for x in target.xs) <= LARGEST_FULL:
        steps, is_projected = _each_entry(target.xs), False
    else:
        steps, is_projected = _random_directions(target.xs, np.random.default_rng(seed)), True
    comparison.run(steps, None if not is_projected else np.random.default_rng(seed + 1))
    return comparison.verdict()


def _arguments(inputs: Any) -> tuple[Any, ...]:
    return tuple(inputs) if type(inputs) in {tuple, list} else (inputs,)
