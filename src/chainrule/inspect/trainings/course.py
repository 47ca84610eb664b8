"""The course of a training as numbers: losses, norms and rates by epoch, and what was asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import InputTypeError
from chainrule.graph import describe
from chainrule.train import History

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Course", "course_of"]


@dataclass(frozen=True, eq=False)
class Course:
    """The records of a training.

    Attributes
    ----------
    losses
        By epoch.
    validation
        By epoch; NaN without one.
    norms
        The largest norm of the gradient, by epoch; NaN if not recorded.
    rates
        The learning rate, by epoch; NaN if not recorded.
    first_loss
        Of the first step; that of the first epoch if it was not recorded.
    diverged
        What was not finite, and at which step; empty if all was.
    best_epoch
        Whose weights the model has, from 1; 0 if not recorded.
    settings
        What was asked for.
    target
        What the outputs should be; None if it was not given.
    """

    losses: Array
    validation: Array
    norms: Array
    rates: Array
    first_loss: float
    diverged: str = ""
    best_epoch: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    target: Any = None

    @property
    def finite(self) -> Array:
        """The losses before the first that is not finite."""
        bad = np.flatnonzero(~np.isfinite(self.losses))
        return self.losses[: bad[0]] if bad.size else self.losses

    @property
    def start(self) -> float:
        """The loss that the training began with."""
        if math.isfinite(self.first_loss):
            return self.first_loss
        return float(self.finite[0]) if self.finite.size else math.nan


_COLUMNS = {
    "losses": "loss",
    "validation": "validation_loss",
    "norms": "gradient_norm",
    "rates": "learning_rate",
}


def course_of(records: Any, target: Any = None) -> Course:
    """Return the course that `fit` recorded, or that a sequence of losses tells.

    Raises
    ------
    InputTypeError
        If it is neither.
    """
    if isinstance(records, History):
        rows = len(records)
        empty = np.full(rows, math.nan)
        columns: dict[str, Any] = {
            ours: np.asarray(getattr(records, theirs), np.float64) if rows else empty
            for ours, theirs in _COLUMNS.items()
        }
        first = records.first_loss
        return Course(
            **columns,
            first_loss=math.nan if first is None else first,
            diverged=records.diverged,
            best_epoch=records.best_epoch,
            settings=records.settings,
            target=target,
        )
    losses = np.asarray(records, np.float64) if _is_numbers(records) else None
    if losses is None or losses.ndim != 1:
        raise InputTypeError(
            f"a training is known by its History or its losses, got {describe(records)}.",
            advice="Pass what fit returned; of a DivergenceError, its history.",
        )
    nothing = np.full(len(losses), math.nan)
    first = float(losses[0]) if len(losses) else math.nan
    return Course(losses, nothing, nothing, nothing, first, target=target)


def _is_numbers(x: Any) -> bool:
    try:
        return np.asarray(x).dtype.kind in "fiu"
    except (ValueError, TypeError):
        return False
