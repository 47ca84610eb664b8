"""Why a training did not work: from its records, and from a few steps made to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.errors import SettingError
from chainrule.inspect.trainings import RECORD_RULES, TRIAL_RULES, Trial
from chainrule.inspect.trainings.course import course_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.inspect.finding import Finding
    from chainrule.nn import Module
    from chainrule.train import History, Optimiser

__all__ = ["diagnose_training"]


def diagnose_training(
    history: History | Sequence[float] | None = None,
    model: Module | None = None,
    X: Any = None,
    y: Any = None,
    *,
    loss: Callable[..., Any] | None = None,
    optimiser: Optimiser | None = None,
) -> list[Finding]:
    """Return what went wrong in a training, as far as its records and a few steps tell.

    Parameters
    ----------
    history
        What `chainrule.train.fit` returned, the ``history`` of a DivergenceError, or the losses
        by epoch as numbers. It may be left out, to try a model before it is trained.
    model, X, y, loss
        As for `fit`. With them, 60 steps are taken on 32 examples from copies of the model: does
        the loss fall at all, and at which learning rates. Nothing of the model changes.
    optimiser
        As for `fit`: its learning rate is compared with a tenth and ten times of it.

    Returns
    -------
    list of Finding
        Codes CD4xx; empty if nothing is the matter. Where the targets are of another order of
        magnitude than the outputs it is CD317, and no larger learning rate is advised.

    Raises
    ------
    SettingError
        If there is neither a history nor all that a trial needs.
    InputTypeError
        If the history is neither a `History` nor numbers.

    Examples
    --------
    >>> from chainrule.train import Epoch, History
    >>> found = diagnose_training([2.3, 2.9, 2.2, 3.1, 2.4, 3.3, 3.6])
    >>> print(found[0])  # doctest: +ELLIPSIS
    CD402 learning rate too large. The loss ends at 3.6, above the 2.3 that it began with.
      the last losses: 2.9, 2.2, 3.1, 2.4, 3.3, 3.6
      ...
    >>> diagnose_training([2.3, 1.1, 0.6, 0.4, 0.35, 0.33])
    []
    """
    parts = (model, X, y, loss)
    can_try = all(part is not None for part in parts)
    if history is None and not can_try:
        raise SettingError(
            "there is nothing to look at: neither a history, nor model, X, y and loss.",
            advice="Pass what fit returned, or everything that fit takes.",
        )
    course = None if history is None else course_of(history, y)
    found: list[Finding] = []
    if course is not None:
        found += [finding for rule in RECORD_RULES for finding in rule(course)]
    if model is not None and loss is not None and can_try:
        trial = Trial(model, loss, X, y, optimiser)
        if trial.far_targets:
            explained = {"CD405", "CD406"}  # no rate is large enough for such targets
            found = [finding for finding in found if finding.code not in explained]
            found += trial.far_targets
        else:
            found += [finding for rule in TRIAL_RULES for finding in rule(trial, course)]
    return sorted(found, key=lambda finding: finding.severity == "note")
