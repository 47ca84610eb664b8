"""What happened in a training: a row an epoch, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Epoch", "History"]


class Epoch(NamedTuple):
    """How a training stands after one pass over the examples.

    Attributes
    ----------
    epoch
        Its number, from 1.
    step
        The steps taken since the start.
    loss
        The mean loss over the epoch's examples, each as it was when it was used; their sum for a
        loss that is one.
    validation_loss
        The loss on the examples kept aside; NaN without them.
    learning_rate
        Of the last step.
    gradient_norm
        The largest norm of a step's gradient, before it was clipped.
    seconds
        How long the epoch took.
    """

    epoch: int
    step: int
    loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float


@dataclass
class History:
    """The rows of a training, and how it ended.

    Attributes
    ----------
    rows
        An `Epoch` for each pass; its fields are arrays of the history: ``history.loss``.
    best_epoch
        The epoch whose weights the model has, where early stopping chose; else the last.
    stopped
        Why the training ended before its last epoch; empty if it did not.
    recorded
        Whether a step was recorded once and then run as a program; a model that branches on
        numbers is walked anew each time.
    first_loss
        The loss of the first step, before anything was learned; None if no step was taken.
    diverged
        The step whose numbers were not finite, and what of it; empty if none was.
    settings
        What was asked for: ``batch_size``, ``shuffle``, ``optimiser`` and the like.

    Examples
    --------
    >>> history = History([Epoch(1, 10, 0.5, 0.6, 1e-3, 2.0, 0.1)])
    >>> history.loss
    array([0.5])
    """

    rows: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = ""
    recorded: bool = True
    first_loss: float | None = None
    diverged: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name in Epoch._fields:
            return np.array([getattr(row, name) for row in self.rows])
        raise AttributeError(f"a history has {', '.join(Epoch._fields)}, not {name!r}")

    def __len__(self) -> int:
        return len(self.rows)
