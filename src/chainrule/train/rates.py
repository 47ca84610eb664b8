"""Learning rates of every kind: a number, a schedule, and what is made of them.

`WarmUp` puts a rise before another rate. `ReduceOnPlateau` also needs to know how well the
training goes, so it has a state. `rate_at` asks any of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from chainrule.errors import SettingError
from chainrule.train.settings import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    PORTION,
    Rule,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Rate: TypeAlias = "float | Callable[[Any], Any] | ReduceOnPlateau"

__all__ = ["LEARNING_RATE", "PlateauState", "ReduceOnPlateau", "WarmUp", "rate_at"]


@dataclass(frozen=True)
class WarmUp:
    """A learning rate that rises along a line before another schedule begins.

    Parameters
    ----------
    schedule
        What follows: a rate or a schedule, which counts its steps from the end of the warm-up.
    steps
        The number of steps of the warm-up.
    start_factor
        The portion of the schedule's first rate to begin with.

    Notes
    -----
    ``schedule(0) · (s + (1 - s) · step / steps)`` with s = ``start_factor`` while step < steps,
    then ``schedule(step - steps)``: PyTorch's ``LinearLR`` and what follows it.

    Examples
    --------
    >>> from chainrule.train import Step
    >>> schedule = WarmUp(Step(0.8, step_size=2, gamma=0.5), steps=4, start_factor=0.25)
    >>> [round(float(schedule(step)), 6) for step in range(8)]
    [0.2, 0.35, 0.5, 0.65, 0.8, 0.8, 0.4, 0.4]
    """

    schedule: float | Callable[[Any], Any]
    steps: int
    start_factor: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.schedule, ReduceOnPlateau):
            raise SettingError(
                "WarmUp needs a schedule that is known before the training, got ReduceOnPlateau.",
                advice="Put it the other way round: ReduceOnPlateau(WarmUp(lr, steps)).",
            )
        require(self, schedule=LEARNING_RATE, steps=COUNT, start_factor=PORTION)

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step."""
        portion = np.minimum(step, self.steps) / self.steps
        rising = rate_at(self.schedule, 0) * (self.start_factor + (1 - self.start_factor) * portion)
        after = rate_at(self.schedule, np.maximum(step - self.steps, 0))
        return np.where(step < self.steps, rising, after)[()]


class PlateauState(NamedTuple):
    """What `ReduceOnPlateau` remembers.

    Attributes
    ----------
    scale
        What the learning rate is multiplied by: the product of the reductions so far.
    best
        The best metric so far.
    waited
        How many metrics in a row were no better.
    resting
        How many more metrics do not count, after a reduction.
    """

    scale: Any
    best: Any
    waited: Any
    resting: Any


@dataclass(frozen=True)
class ReduceOnPlateau:
    """A learning rate that falls when a metric no longer gets better.

    Parameters
    ----------
    lr
        The rate before any reduction, or a schedule of it.
    factor
        What the rate is multiplied by.
    patience
        How many metrics in a row may be no better before that happens.
    threshold
        By how much a metric has to be better, to count as better.
    threshold_mode
        ``"rel"`` for a portion of the best metric, ``"abs"`` for a difference.
    cooldown
        How many metrics after a reduction do not count.
    min_lr
        The rate does not fall below this.
    mode
        ``"min"`` if smaller metrics are better, ``"max"`` if larger ones are.

    Notes
    -----
    As PyTorch's ``ReduceLROnPlateau``, but for its ``eps``: reductions are never too small to
    be made. A metric that is not a number is no better.

    Examples
    --------
    >>> schedule = ReduceOnPlateau(0.1, factor=0.5, patience=1)
    >>> state = schedule.init()
    >>> for loss in (1.0, 0.8, 0.8, 0.8):
    ...     state = schedule.update(state, loss)
    >>> schedule.rate(4, state)
    np.float64(0.05)
    """

    lr: float | Callable[[Any], Any]
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    mode: str = "min"

    def __post_init__(self) -> None:
        require(
            self,
            lr=LEARNING_RATE,
            factor=FRACTION,
            patience=NOT_NEGATIVE,
            threshold=NOT_NEGATIVE,
            threshold_mode=_one_of("rel", "abs"),
            cooldown=NOT_NEGATIVE,
            min_lr=NOT_NEGATIVE,
            mode=_one_of("min", "max"),
        )

    def init(self) -> PlateauState:
        """Return the state before the first metric."""
        worst = np.inf if self.mode == "min" else -np.inf
        return PlateauState(np.float64(1), np.float64(worst), np.int64(0), np.int64(0))

    def update(self, state: PlateauState, metric: Any) -> PlateauState:
        """Return the state after one more metric."""
        is_better = self._is_better(float(metric), float(state.best))
        best = np.float64(metric) if is_better else state.best
        waited = 0 if is_better else int(state.waited) + 1
        resting = int(state.resting)
        if resting:
            resting, waited = resting - 1, 0
        if waited > self.patience:
            return PlateauState(
                state.scale * self.factor, best, np.int64(0), np.int64(self.cooldown)
            )
        return PlateauState(state.scale, best, np.int64(waited), np.int64(resting))

    def _is_better(self, metric: float, best: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel" and math.isfinite(best):
            return sign * metric < sign * best * (1 - sign * self.threshold)
        return sign * metric < sign * best - self.threshold

    def rate(self, step: Any, state: PlateauState) -> Any:
        """Return the learning rate at a step, in this state."""
        return np.maximum(rate_at(self.lr, step) * state.scale, self.min_lr)


def _one_of(*names: str) -> Rule:
    return Rule(" or ".join(map(repr, names)), lambda x: x in names)


LEARNING_RATE = Rule(
    "a finite number of at least 0, or a schedule",
    lambda x: callable(x) or isinstance(x, ReduceOnPlateau) or NOT_NEGATIVE.holds(x),
)


def rate_at(lr: Rate, step: Any, state: PlateauState | None = None) -> Any:
    """Return the learning rate at a step, whatever kind of rate it is.

    Parameters
    ----------
    lr
        A number, a function of the step such as the schedules here, or a `ReduceOnPlateau`.
    step
        The number of steps already taken.
    state
        The state of a `ReduceOnPlateau`.

    Returns
    -------
    number
        The rate.

    Raises
    ------
    SettingError
        If a `ReduceOnPlateau` is asked without its state.

    Examples
    --------
    >>> from chainrule.train import Step
    >>> rate_at(0.1, 5), rate_at(Step(0.1, step_size=5), 5)
    (0.1, 0.010000000000000002)
    """
    if isinstance(lr, ReduceOnPlateau):
        if state is None:
            raise SettingError(
                "ReduceOnPlateau needs its state to give a learning rate: it depends on a metric.",
                advice="Pass the rate: update(parameters, gradient, state, lr=plateau.rate(step, "
                "plateau_state)).",
            )
        return lr.rate(step, state)
    return lr(step) if callable(lr) else lr
