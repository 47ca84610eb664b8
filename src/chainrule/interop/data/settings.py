"""How a table is trained on: everything that a user may choose, as plain numbers and strings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chainrule.errors import SettingError
from chainrule.nn import ACTIVATIONS
from chainrule.train import SGD, Adagrad, Adam, AdamW, Lion, RMSprop
from chainrule.train.settings import COUNT, FRACTION, NOT_NEGATIVE, POSITIVE, WHOLE, require

if TYPE_CHECKING:
    from chainrule.train import Optimiser

__all__ = ["OPTIMISERS", "Settings"]

OPTIMISERS: dict[str, type[Optimiser]] = {
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "sgd": SGD,
    "lion": Lion,
}

_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Settings:
    """How a network is made and trained.

    Attributes
    ----------
    hidden
        Units of the hidden layers.
    activation, dropout
        Between the layers.
    optimiser, learning_rate
        How it goes downhill, and how far a step.
    epochs, batch_size
        Passes over the rows, and rows a step.
    validation
        The part of the rows that is kept aside.
    patience
        After how many epochs without a better loss to stop, and take the best weights; 0 for
        never.
    clip_norm
        The largest norm of a step's gradient; 0 for any.
    seed
        Of the first weights, the order, dropout and what is kept aside.
    threads
        How many threads share a step; 0 for as many as the work is worth.
    memory
        Megabytes of examples that lie in memory; a larger table is read anew in each epoch.
    """

    hidden: tuple[int, ...] = (64, 32)
    activation: str = "relu"
    dropout: float = 0.0
    optimiser: str = "adam"
    learning_rate: float = 0.001
    epochs: int = 20
    batch_size: int = 32
    validation: float = 0.1
    patience: int = 0
    clip_norm: float = 0.0
    seed: int = 0
    threads: int = 0
    memory: int = 256

    def __post_init__(self) -> None:
        if not isinstance(self.hidden, tuple | list):
            raise SettingError(
                f"hidden has to be a tuple of numbers of units, got {self.hidden!r}.",
                advice="As in hidden=(64, 32); hidden=() for none.",
            )
        require(
            ("a training", asdict(self)),
            dropout=FRACTION,
            learning_rate=POSITIVE,
            epochs=COUNT,
            batch_size=COUNT,
            validation=FRACTION,
            patience=WHOLE,
            clip_norm=NOT_NEGATIVE,
            seed=WHOLE,
            threads=WHOLE,
            memory=COUNT,
        )
        if self.seed > _LARGEST_SEED:
            raise SettingError(f"seed has to be below 2 ** 63, got {self.seed}.")
        for name, x, known in (
            ("activation", self.activation, sorted(ACTIVATIONS)),
            ("optimiser", self.optimiser, list(OPTIMISERS)),
        ):
            if x not in known:
                raise SettingError(f"{name} has to be one of {', '.join(known)}, got {x!r}.")
        for units in self.hidden:
            require(("a network", {"hidden": units}), hidden=COUNT)

    def made_optimiser(self) -> Optimiser:
        """Return the optimiser."""
        return OPTIMISERS[self.optimiser](lr=self.learning_rate)

    def to_record(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        return {**asdict(self), "hidden": list(self.hidden)}

    def decisive(self) -> dict[str, Any]:
        """Return what a training that goes on must have as it was."""
        free = {"epochs", "threads", "memory", "patience"}
        return {name: x for name, x in self.to_record().items() if name not in free}
