"""Learning rates that change: functions of the number of steps already taken.

A schedule takes the step as an integer, an array or a traced value, and returns the rate, so it
can be part of a traced training step. The first step is step 0. Rates that are made of other
rates are in `rates`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.train.settings import (
    COUNT,
    NOT_NEGATIVE,
    PORTION,
    POSITIVE,
    require,
)

__all__ = ["Constant", "Cosine", "OneCycle", "Step"]


@dataclass(frozen=True)
class Constant:
    """The same learning rate at every step.

    Parameters
    ----------
    lr
        The learning rate.

    Examples
    --------
    >>> Constant(0.1)(1000)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        require(self, lr=NOT_NEGATIVE)

    def __call__(self, step: Any) -> Any:
        """Return the rate."""
        del step
        return self.lr


@dataclass(frozen=True)
class Step:
    """A learning rate that falls by a factor every so many steps.

    Parameters
    ----------
    lr
        The rate at the start.
    step_size
        After how many steps it falls.
    gamma
        The factor.

    Notes
    -----
    ``lr · gammaᵏ`` with k = ⌊step / step_size⌋, as PyTorch's ``StepLR``.

    Examples
    --------
    >>> schedule = Step(0.1, step_size=10, gamma=0.5)
    >>> schedule(9), schedule(10), schedule(20)
    (0.1, 0.05, 0.025)
    """

    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        require(self, lr=NOT_NEGATIVE, step_size=COUNT, gamma=NOT_NEGATIVE)

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step."""
        return self.lr * self.gamma ** (step // self.step_size)


@dataclass(frozen=True)
class Cosine:
    """A learning rate that falls along half a cosine wave, and then stays.

    Parameters
    ----------
    lr
        The rate at the start.
    total_steps
        The step at which the end is reached.
    min_lr
        The rate at the end.

    Notes
    -----
    ``min_lr + (lr - min_lr) · (1 + cos(π · t / total_steps)) / 2`` with
    t = min(step, total_steps). Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with
    Warm Restarts*, ICLR 2017, equation 5, without the restarts.

    Examples
    --------
    >>> schedule = Cosine(0.2, total_steps=100)
    >>> [round(float(schedule(step)), 6) for step in (0, 50, 100, 101)]
    [0.2, 0.1, 0.0, 0.0]
    """

    lr: float
    total_steps: int
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        require(self, lr=NOT_NEGATIVE, total_steps=COUNT, min_lr=NOT_NEGATIVE)

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step."""
        return _wave(self.lr, self.min_lr, np.minimum(step, self.total_steps) / self.total_steps)


@dataclass(frozen=True)
class OneCycle:
    """A learning rate that rises to its largest value and falls far below where it began.

    Parameters
    ----------
    max_lr
        The largest rate.
    total_steps
        The number of steps of the whole training; after them the rate stays.
    pct_start
        The portion of the steps in which it rises.
    div_factor
        The first rate is ``max_lr / div_factor``.
    final_div_factor
        The last is the first divided by this.

    Notes
    -----
    Both ways are half a cosine wave, as in PyTorch's ``OneCycleLR``: up until step
    ``pct_start · total_steps - 1``, down until step ``total_steps - 1``. The momentum stays as
    it is. Smith and Topin, *Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates*, 2018.

    Examples
    --------
    >>> schedule = OneCycle(1.0, total_steps=100)
    >>> [round(float(schedule(step)), 6) for step in (0, 29, 99)]
    [0.04, 1.0, 4e-06]
    """

    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        require(
            self,
            max_lr=NOT_NEGATIVE,
            total_steps=COUNT,
            pct_start=PORTION,
            div_factor=POSITIVE,
            final_div_factor=POSITIVE,
        )

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step."""
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        end = self.total_steps - 1
        top = min(max(self.pct_start * self.total_steps - 1, 0.0), end)
        t = np.minimum(step, end)
        # Each part is wanted on its side of the top alone, and may have no steps at all.
        rise = _wave(first, self.max_lr, np.minimum(t / top, 1.0)) if top else self.max_lr
        fall = _wave(self.max_lr, last, (t - top) / (end - top)) if end > top else rise
        return np.where(t <= top, rise, fall)[()]


def _wave(start: float, end: float, portion: Any) -> Any:
    """Return what lies between start and end on half a cosine wave."""
    return end + (start - end) * ((1 + np.cos(math.pi * portion)) / 2)
