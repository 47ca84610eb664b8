"""A few steps made to see: whether a loss falls on one batch, and at which learning rates."""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.inspect.finding import Finding, cause
from chainrule.inspect.lints.targets import far_from
from chainrule.train import Adam, rate_at
from chainrule.train.data import Batch
from chainrule.train.progress import Progress
from chainrule.train.step import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chainrule.inspect.trainings.course import Course
    from chainrule.nn import Module
    from chainrule.train import Optimiser

__all__ = ["TRIAL_RULES", "Trial"]

_EXAMPLES = 32
"""How many examples are learned by heart."""

_STEPS = 60
"""How many steps each trial takes."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What trials are made of; nothing of the model changes.

    Attributes
    ----------
    model, loss, X, y
        As in `fit`.
    optimiser
        As in `fit`; Adam if it was not said.
    """

    model: Module
    loss: Callable[..., Any]
    X: Any
    y: Any
    optimiser: Optimiser | None = None

    @property
    def rate(self) -> float | None:
        """The learning rate that was asked for; None of a schedule."""
        lr: Any = (self.optimiser or Adam()).lr
        return float(lr) if isinstance(lr, int | float) else None

    @cached_property
    def batch(self) -> tuple[Any, Any]:
        """Some examples, spread over all of them."""
        n = len(optree.tree_leaves(self.X)[0])
        rows = np.linspace(0, n - 1, min(n, _EXAMPLES)).astype(np.int64)
        parts: list[Any] = [
            optree.tree_map(lambda x: np.asarray(x)[rows], part) for part in (self.X, self.y)
        ]
        return parts[0], parts[1]

    @cached_property
    def far_targets(self) -> list[Finding]:
        """What is said of targets that the outputs are far from; nothing else says much then."""
        model = copy.deepcopy(self.model).eval()
        x, y = self.batch
        with np.errstate(all="ignore"):
            output = model(x)
        is_array = all(isinstance(part, np.ndarray) for part in (output, y))
        return list(far_from(output, y)) if is_array else []

    def losses(self, optimiser: Optimiser) -> Any:
        """Return the losses of steps on the one batch, up to the first that is not finite.

        The steps are walked: so few are over before a program for them would be compiled.
        """
        recipe = Recipe(copy.deepcopy(self.model).train(), self.loss, optimiser, None, None, None)
        batch = Batch(*self.batch)
        recipe.checked_on(batch)
        learned, found = Progress.start(recipe.model, recipe, 0).learned, []
        for number in range(_STEPS):
            with np.errstate(all="ignore"):
                key, lr = np.array([0, number]), rate_at(optimiser.lr, number)
                value, norm, check, learned = recipe.step(learned, key, np.float64(lr), batch)
            found.append(float(value))
            if not np.isfinite(value + norm + check):
                found.append(math.inf)
                break
        return np.array(found)

    def at_rate(self, factor: float) -> Any:
        """Return the losses at another learning rate than the one that was asked for."""
        optimiser = self.optimiser or Adam()
        rate = (self.rate or 1e-3) * factor
        return self.losses(dataclasses.replace(optimiser, lr=rate))


def _end(losses: Any) -> float:
    """Return what a trial came to: the mean of its last steps."""
    return float(np.mean(losses[-5:]))


@cause("CD411", "loss does not fall on one batch", "error")
def stuck(trial: Trial, course: Course | None) -> Iterator[Finding]:
    """A network that cannot learn even a few examples by heart.

    It takes 60 steps on 32 examples with Adam at 1e-3, 1e-2 and 1e-1, from a copy of the model,
    and sees that none of them lowers the loss by 2 %.

    It matters because a network with more weights than examples can, whatever they are: if it does
    not, something is broken, and no setting of the training will help.

    For example a gradient that is cut, all units dead, a loss that compares shapes that broadcast,
    or targets shuffled against a loss that ignores them.

    Run `chainrule.lint` on the model with this batch, and `chainrule.check` on backward passes of
    your own.
    """
    tried = {rate: trial.losses(Adam(lr=rate)) for rate in (1e-3, 1e-2, 1e-1)}
    start = float(tried[1e-3][0])
    ends = {rate: _end(losses) for rate, losses in tried.items()}
    best = min(ends.values())
    if (
        _learned(course)
        or _spoilt(course)
        or not math.isfinite(start)
        or best < start - 0.02 * abs(start)
    ):
        return
    if abs(start) < 1e-8:  # there is nothing to learn
        return
    yield Finding.of(
        "CD411",
        message=f"60 steps on {len(optree.tree_leaves(trial.batch[0])[0])} examples leave the loss "
        f"at {best:.4g}; it was {start:.4g}.",
        evidence=tuple(f"Adam(lr={rate:g}): {end:.4g}" for rate, end in ends.items()),
        advice="Run chainrule.lint on the model with this batch.",
    )


@cause("CD412", "another learning rate learns faster", "warning")
def other_rate(trial: Trial, course: Course | None) -> Iterator[Finding]:
    """A learning rate from which factors of 10 make all the difference.

    It takes 60 steps on 32 examples at the rate that was asked for. If the loss blows up or does
    not fall by 2 %, it tries powers of 10 below or above, each from a copy of the model, and names
    the smallest rate that comes near the best of them, if that one lowers the loss by 10 % (where
    the rate was too large) or 20 % (where it was too small) more.

    It matters because the learning rate is the one setting that a training lives or dies by
    (Bengio, *Practical recommendations for gradient-based training of deep architectures*, 2012).

    For example SGD with lr=10, or with lr=1e-5.

    Use the rate that is named, and try factors of 3 around it.
    """
    if trial.rate is None or _learned(course):
        return
    here = trial.at_rate(1.0)
    if not np.isfinite(here[0]) or here[0] <= 0 or _fall(here) >= 0.02:
        return
    is_large = _blows_up(here)
    powers = (0.1, 0.01, 0.001) if is_large else (10.0, 100.0, 1e3, 1e4)
    falls = {factor: _fall(trial.at_rate(factor)) for factor in powers}
    most = max(falls.values())
    best = min(factor for factor, fall in falls.items() if fall >= 0.9 * most)
    if most > max(_fall(here), 0) + (0.1 if is_large else 0.2):
        start, rate = float(here[0]), trial.rate
        yield Finding.of(
            "CD412",
            message=f"At a learning rate of {rate:g}, {_STEPS} steps on one batch take the loss "
            f"from {start:.4g} to {_end(here):.4g}; at {rate * best:g} to "
            f"{start * (1 - falls[best]):.4g}.",
            advice=f"Try lr={rate * best:g}.",
        )


def _fall(losses: Any) -> float:
    """Return by which share of its start a loss fell; -∞ if it is not finite."""
    end = _end(losses)
    return 1 - end / float(losses[0]) if math.isfinite(end) else -math.inf


def _learned(course: Course | None) -> bool:
    """Return whether the model has learned already, so that its loss is low by now."""
    return course is not None and bool(
        course.finite.size and course.finite[-1] < 0.5 * course.start
    )


def _spoilt(course: Course | None) -> bool:
    """Return whether the training left the model worse than it was, so that trials say little."""
    return course is not None and bool(
        course.finite.size and course.finite[-1] > 1.5 * abs(course.start)
    )


def _blows_up(losses: Any) -> bool:
    return (
        not np.all(np.isfinite(losses)) or bool(_end(losses) > 1.02 * losses[0]) or _swings(losses)
    )


def _swings(losses: Any) -> bool:
    """Return whether a loss goes up as often as down, by more than 5 % of itself."""
    steps = np.diff(losses)
    return bool(np.mean(steps > 0.05 * np.abs(losses[:-1])) > 0.25)


TRIAL_RULES = (stuck, other_rate)
