"""What a training tells of itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainrule.train import Epoch

__all__ = ["EpochReport", "Listener"]


@dataclass(frozen=True)
class EpochReport:
    """How a training stands after an epoch.

    Attributes
    ----------
    epoch, step
        Epochs and steps so far.
    loss, validation_loss
        The mean over the rows of the epoch, and over those kept aside (NaN for none).
    learning_rate, gradient_norm
        Of the last step, and the largest of a step; NaN where it was not measured.
    seconds, examples_per_second
        How long it took.
    layers
        The norm of the gradient of each layer, after the epoch, on the same rows each time;
        empty where it was not measured.
    """

    epoch: int
    step: int
    loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    examples_per_second: float
    layers: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Epoch, rows: int, layers: dict[str, float] | None = None) -> EpochReport:
        """Return a report of a row of a history, of so many examples."""
        rate = rows / row.seconds if row.seconds else 0.0
        return cls(*row, examples_per_second=rate, layers=layers or {})


class Listener:
    """Is told how a training goes; this one says nothing."""

    def reading(self, name: str) -> None:
        """Hear that a table is gone through for the first time."""

    def note(self, text: str) -> None:
        """Hear what a user should know."""

    def begin(self, epochs: int, rows: int) -> None:
        """Hear how much there is to do."""

    def share(self, epoch: int, share: float, loss: float) -> None:
        """Hear how much of an epoch is done, and its loss so far."""

    def epoch(self, report: EpochReport) -> None:
        """Hear how an epoch went."""
