"""What the settings of a training method may be, and one error where one is something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import SettingError
from chainrule.graph import Value

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BETAS",
    "COUNT",
    "FRACTION",
    "NOT_NEGATIVE",
    "PORTION",
    "POSITIVE",
    "WHOLE",
    "Rule",
    "require",
]


class Rule(NamedTuple):
    """What a setting has to be: in words for the reader of the error, and as a question."""

    words: str
    holds: Callable[[Any], bool]


def _is_number(x: Any) -> bool:
    """Return whether x is one finite real number, of Python's or of NumPy's."""
    if not isinstance(x, int | float | np.number | np.ndarray):
        return False
    number = np.asarray(x)
    return number.shape == () and number.dtype.kind in "fiu" and bool(np.isfinite(number))


def _is_fraction(x: Any) -> bool:
    return _is_number(x) and bool(0 <= x < 1)


NOT_NEGATIVE = Rule("a finite number of at least 0", lambda x: _is_number(x) and x >= 0)
POSITIVE = Rule("a finite number above 0", lambda x: _is_number(x) and x > 0)
FRACTION = Rule("a number from 0 to below 1", _is_fraction)
PORTION = Rule("a number from 0 to 1", lambda x: _is_number(x) and 0 <= x <= 1)
WHOLE = Rule(
    "a whole number of at least 0",
    lambda x: isinstance(x, int | np.integer) and not isinstance(x, bool) and bool(x >= 0),
)
COUNT = Rule(
    "a whole number of at least 1",
    lambda x: isinstance(x, int | np.integer) and _is_number(x) and bool(x >= 1),
)
BETAS = Rule(
    "a pair of numbers from 0 to below 1",
    lambda x: isinstance(x, tuple | list) and len(x) == 2 and all(map(_is_fraction, x)),
)


def require(owner: Any, **rules: Rule) -> None:
    """Check the settings of an object, or the arguments of a function, by their names.

    Parameters
    ----------
    owner
        The object that has the settings as attributes, or a pair of the name of a function and
        the dictionary of its arguments.
    **rules
        The rule for each setting. What is traced has no number yet and is taken as it is.

    Raises
    ------
    SettingError
        For the first setting that breaks its rule.

    Examples
    --------
    >>> require(("clip", {"limit": -1.0}), limit=POSITIVE)
    Traceback (most recent call last):
        ...
    chainrule.errors.SettingError: CR303 SettingError: clip needs limit to be a finite number
    above 0, got -1.0.
      ...
    """
    name, settings = owner if isinstance(owner, tuple) else (type(owner).__name__, vars(owner))
    for setting, rule in rules.items():
        x = settings[setting]
        if not isinstance(x, Value) and not rule.holds(x):
            raise SettingError(f"{name} needs {setting} to be {rule.words}, got {x!r}.")
