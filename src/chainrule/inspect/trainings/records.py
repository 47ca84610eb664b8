"""What the records of a training say: divergence, oscillation, over-fitting, a loss at rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.finding import Finding, cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.trainings.course import Course

__all__ = ["RECORD_RULES", "classes_of"]

_FEW = 5
"""Epochs below which a course says little."""

_SMALL_BATCH = 8
"""Examples below which the loss of one batch says little of the mean: of 8 squared errors of
normal numbers it is below a tenth of it once in a thousand times."""


@cause("CD401", "training diverged", "error")
def diverged(course: Course) -> Iterator[Finding]:
    """A loss, gradient or update that was not finite.

    It sees what `chainrule.train.fit` noted when it stopped, or a loss that is NaN or infinite.

    It matters because nothing is learned from then on; `fit` leaves the weights from before.

    For example a learning rate of 10, an example with NaN, a logarithm of 0.

    If the loss grew in the steps before, lower the learning rate or clip the gradient; if it broke
    at once, ask `chainrule.why` for the loss of that batch.
    """
    bad = np.flatnonzero(~np.isfinite(course.losses))
    if not course.diverged and not bad.size:
        return
    what = course.diverged or f"the loss of epoch {int(bad[0]) + 1}"
    seen = course.finite
    grew = seen.size and seen[-1] > 1.5 * min(course.start, float(np.min(seen)))
    before = (f"the loss before: {_listed(seen[-4:])}",) if seen.size else ()
    if not seen.size and math.isfinite(course.first_loss):
        before = (f"the loss of the first step was {course.first_loss:.4g}",)
    yield Finding.of(
        "CD401",
        message=f"{what[0].upper()}{what[1:]} was not finite.",
        evidence=before,
        advice="The loss grew before: lower the learning rate, or clip the gradient."
        if grew
        else "Open that batch and ask chainrule.why(opened, 'loss').",
    )


@cause("CD402", "learning rate too large", "warning")
def rises(course: Course) -> Iterator[Finding]:
    """A loss that rises, or goes up and down, instead of falling.

    It sees, over at least 5 epochs, that the last loss is above the first one, or that the loss
    rose by more than 20 % in a third of the epochs. The loss of an epoch is a mean over all
    examples: with a suitable rate it wobbles by a few per cent. A loss that shot up within the
    first epoch is compared with that of the first step, whose batch may be off by some share:
    it has to end 1 + 5/√(batch size) times above it, after more than 5 times of that, and to have
    risen by 20 % again in its second half: a first batch without any outlier is no such thing.

    It matters because each step goes past the valley to its other side. On a quadratic loss,
    gradient descent goes up from a rate of 2 over the largest curvature on.

    For example SGD with lr=3 where 0.3 learns.

    Divide the learning rate by 3 until the loss falls steadily, and lower it further towards the
    end (`chainrule.train.Cosine`).
    """
    losses = course.finite
    if len(losses) < _FEW or course.diverged:
        return
    rose = losses[1:] > 1.2 * losses[:-1]
    small = max(abs(course.start), float(np.max(np.abs(losses)))) * 0.02
    real = rose & (losses[1:] - losses[:-1] > small)  # a loss near 0 may double
    ends_above = losses[-1] > 1.05 * max(course.start, losses[0]) or _shot_up(course)
    if not ends_above and np.mean(real) < 1 / 3:
        return
    rate = course.rates[-1] if course.rates.size else math.nan
    said = f" at a learning rate of {rate:g}" if math.isfinite(rate) else ""
    words = (
        f"The loss ends at {losses[-1]:.4g}, above the {course.start:.4g} that it began with{said}."
        if ends_above
        else f"The loss rose by more than 20 % in {int(np.sum(real))} of {len(rose)} epochs{said}."
    )
    yield Finding.of(
        "CD402",
        message=words,
        evidence=(f"the last losses: {_listed(losses[-6:])}",),
        advice="Divide the learning rate by 3 until the loss falls steadily.",
    )


def _shot_up(course: Course) -> bool:
    """Return whether a loss rose in the first epochs and never came back to where it began."""
    losses, size = course.finite, course.settings.get("batch_size", 0)
    if size < _SMALL_BATCH or not course.start > 0:
        return False
    above = course.start * (1 + 5 / math.sqrt(min(size, course.settings["examples"])))
    late = losses[len(losses) // 2 - 1 :]
    rises_still = np.any(late[1:] > 1.2 * late[:-1])
    return bool(losses[-1] > above and np.max(losses) > 5 * above and rises_still)


@cause("CD403", "examples are not shuffled", "warning")
def not_shuffled(course: Course) -> Iterator[Finding]:
    """Batches that are the same in every epoch, in an order that follows the labels.

    It sees ``shuffle=False`` in the settings with several batches an epoch. If the targets are
    given, it says so only where they stand in blocks: where neighbours are equal at least twice
    as often as in a random order.

    It matters because each batch then pulls to its own class, and the last one of an epoch wins.

    For example a data set that lists all images of 0 first.

    Leave ``shuffle=True``, which is the default, or shuffle the examples once.
    """
    settings = course.settings
    if settings.get("shuffle", True) or settings["batch_size"] >= settings["examples"]:
        return
    if course.target is None:
        words = "The examples came in the same order in each epoch."
    else:
        found = _blocks(np.asarray(course.target))
        if found is None:
            return
        words = f"The examples came in the order of their targets: {found}."
    yield Finding.of(
        "CD403", message=words, advice="Leave shuffle=True, or shuffle the examples once."
    )


def _blocks(y: Any) -> str | None:
    """Return how much more alike neighbours are than others; None if they are not."""
    y = y.reshape(len(y), -1).astype(np.float64)
    other = y[np.random.default_rng(0).permutation(len(y))]
    if len(np.unique(y, axis=0)) <= max(2, len(y) // 4):  # labels
        near, far = np.mean(np.all(y[1:] == y[:-1], axis=1)), np.mean(np.all(y == other, axis=1))
        if near >= min(2 * far, 0.5 + far / 2):
            return f"{near:.0%} of neighbours have the same one, {far:.0%} of random pairs"
        return None
    near, far = np.mean(np.abs(y[1:] - y[:-1])), np.mean(np.abs(y - other))
    if near <= 0.5 * far:
        return f"neighbours differ by {near:.3g} on average, random pairs by {far:.3g}"
    return None


@cause("CD404", "over-fitting", "warning")
def overfits(course: Course) -> Iterator[Finding]:
    """A validation loss that rises while the training loss goes on falling.

    It sees that the validation loss ends more than 10 % above its lowest, which lies at least 3
    epochs back, while the loss fell since; and that the model does not have the weights of the
    best epoch.

    It matters because the network learns its examples by heart: more epochs make it worse.

    For example thousands of weights for a hundred examples.

    Stop early (``early_stopping=EarlyStopping(patience=10)``, which gives the best weights back),
    use dropout or weight decay, a smaller network, or more examples.
    """
    v = course.validation
    if len(v) < _FEW or not np.all(np.isfinite(v)) or len(course.finite) != len(v):
        return
    best = int(np.argmin(v))
    last = len(v) - 1
    kept_best = 0 < course.best_epoch <= last
    if kept_best or last - best < 3 or v[-1] < 1.1 * v[best]:
        return
    if np.median(v[best + 1 :]) < 1.05 * v[best]:
        return
    if course.losses[-1] < course.losses[best]:
        yield Finding.of(
            "CD404",
            message=f"The validation loss is lowest in epoch {best + 1} ({v[best]:.4g}) and ends "
            f"at {v[-1]:.4g}, while the training loss fell from {course.losses[best]:.4g} to "
            f"{course.losses[-1]:.4g}.",
            advice="Stop early (EarlyStopping), add dropout or weight decay, or more examples.",
        )


@cause("CD405", "loss at rest", "note")
def plateau(course: Course) -> Iterator[Finding]:
    """A loss that hardly falls from some epoch on.

    It sees, over at least 10 epochs, that the last third lowered the loss by less than 0.1 % of
    what it began with, and that at least 10 % of that is left.

    It matters because more epochs of the same kind do nothing: it is at a minimum, or the learning
    rate is too small or, near a narrow valley, too large to go on.

    For example predictions that are the mean of all targets, as a dead network gives.

    Lower the learning rate in steps (`chainrule.train.ReduceOnPlateau`); if the loss stays near
    the start, run `chainrule.lint` on the model.
    """
    losses = course.finite
    if len(losses) < 10 or course.diverged:
        return
    third = losses[-(len(losses) // 3) - 1 :]
    fell = float(np.max(third) - np.min(third))
    if next(too_slow(course), None) is not None:  # which says more
        return
    if fell < 1e-3 * abs(course.start) and losses[-1] > 0.1 * course.start > 0:
        yield Finding.of(
            "CD405",
            message=f"In the last {len(third) - 1} epochs the loss stayed at {losses[-1]:.4g}; it "
            f"began with {course.start:.4g}.",
            advice="Lower the learning rate, or, if the loss is hardly below its start, run lint.",
        )


@cause("CD406", "learning rate too small", "warning")
def too_slow(course: Course) -> Iterator[Finding]:
    """A loss that falls in every epoch, and by next to nothing.

    It sees, over at least 10 epochs, a loss that falls in nine of ten of them, by less than 5 % of
    what it began with in all, and in the second half at least half as fast as in the first.

    It matters because a loss that falls so evenly has not met any limit yet: a larger step would
    go further.

    For example SGD with lr=1e-6.

    Multiply the learning rate by 10 until the loss no longer falls faster.
    """
    losses = course.finite
    if len(losses) < 10 or course.diverged or not course.start > 0:
        return
    steps = losses[:-1] - losses[1:]
    fell = float(losses[0] - losses[-1])
    half = len(steps) // 2
    even = steps[half:].sum() >= 0.5 * steps[:half].sum()
    if np.mean(steps > 0) >= 0.9 and 0 < fell < 0.05 * losses[0] and even:
        yield Finding.of(
            "CD406",
            message=f"The loss fell in {np.mean(steps > 0):.0%} of the epochs and by "
            f"{fell / losses[0]:.2%} in all, as fast at the end as at the start.",
            advice="Multiply the learning rate by 10; if the loss stays, run chainrule.lint.",
        )


@cause("CD407", "gradient grows", "warning")
def gradient_grows(course: Course) -> Iterator[Finding]:
    """A gradient whose largest norm grew by a factor of 100 and more.

    It sees, over at least 3 epochs, a norm above 100 times the median of the first half, and above
    10, while the loss did not fall to a tenth.

    It matters because one such step undoes many: the update is as much larger, but for optimisers
    that divide by the size of gradients.

    For example a recurrent network, or weights that grow at a rate that is too large.

    Clip it (``clip_norm=1.0``), and lower the learning rate.
    """
    norms = course.norms[np.isfinite(course.norms)]
    if len(norms) < 3:
        return
    usual = float(np.median(norms[: (len(norms) + 1) // 2]))
    top = int(np.argmax(norms))
    if norms[top] > max(100 * usual, 10.0) and course.finite[-1] > 0.1 * course.start:
        yield Finding.of(
            "CD407",
            message=f"The norm of the gradient is {norms[top]:.3g} in epoch {top + 1}, and was "
            f"about {usual:.3g} before.",
            advice="Clip the gradient (clip_norm=1.0), or lower the learning rate.",
        )


@cause("CD408", "loss starts too high", "warning")
def starts_high(course: Course) -> Iterator[Finding]:
    """A cross-entropy that begins far above log C, which guessing evenly among C classes gives.

    It sees whole-number targets and a first loss above 2 log C + 1. Logits of standard deviation
    s cost about s²/2 beyond log C: this is s = 2 for three classes and 2.6 for ten, when the
    network is sure before it has seen anything.

    It matters because the first steps only unlearn what the initial weights say.

    For example inputs of 0 … 255, or weights of variance 1.

    Scale the inputs and draw weights by fan-in; `chainrule.lint` says which of the two it is.
    """
    count = classes_of(course.target)
    if count is None or course.first_loss <= 2 * math.log(count) + 1:
        return
    if math.isfinite(course.first_loss):
        yield Finding.of(
            "CD408",
            message=f"The first loss is {course.first_loss:.4g}; guessing among {count} classes "
            f"costs {math.log(count):.3f}.",
            advice="Scale the inputs, and draw weights by fan-in: run chainrule.lint.",
        )


def classes_of(y: Any) -> int | None:
    """Return how many classes whole-number targets name; None if they are something else."""
    if y is None:
        return None
    y = np.asarray(y)
    if y.dtype.kind not in "iu" or y.ndim != 1 or not y.size:
        return None
    count = int(y.max()) + 1
    return count if count > 1 else None


def _listed(losses: Any) -> str:
    return ", ".join(f"{x:.4g}" for x in losses)


RECORD_RULES = (
    diverged,
    rises,
    gradient_grows,
    not_shuffled,
    starts_high,
    overfits,
    too_slow,
    plateau,
)
