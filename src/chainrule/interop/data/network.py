"""The network of a table: numbers and learned rows of categories, side by side into layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.interop.data.preprocessing import Preprocessing

__all__ = ["Architecture", "TableNetwork"]


@dataclass(frozen=True)
class Architecture:
    """The shape of a network, as plain numbers and strings.

    Attributes
    ----------
    numbers
        The columns of numbers that it takes.
    embeddings
        Rows and width of each table of categories.
    hidden
        Units of the hidden layers.
    outputs
        Classes, or 1.
    activation, dropout
        Between the layers.
    """

    numbers: int
    embeddings: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...]
    outputs: int
    activation: str = "relu"
    dropout: float = 0.0

    @classmethod
    def for_table(
        cls, preprocessing: Preprocessing, hidden: tuple[int, ...], activation: str, dropout: float
    ) -> Architecture:
        """Return the shape that fits a table."""
        return cls(
            len(preprocessing.features),
            tuple((x.codes, x.width) for x in preprocessing.embedded),
            tuple(hidden),
            max(1, len(preprocessing.target.classes)),
            activation,
            dropout,
        )

    @property
    def sizes(self) -> list[int]:
        """The numbers of units, from the first layer's inputs to the outputs."""
        return [
            self.numbers + sum(width for _, width in self.embeddings),
            *self.hidden,
            self.outputs,
        ]

    def to_record(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        record = asdict(self)
        return {
            **record,
            "embeddings": [list(pair) for pair in self.embeddings],
            "hidden": list(self.hidden),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Architecture:
        """Return what `to_record` was made from."""
        pairs = tuple((rows, width) for rows, width in record["embeddings"])
        return cls(**{**record, "embeddings": pairs, "hidden": tuple(record["hidden"])})


class TableNetwork(nn.Module):
    """Dense layers on the numbers of a table and on a learned row for each category.

    Parameters
    ----------
    architecture
        Its shape.
    seed
        Of the first weights and of dropout.
    bound_to
        Numbers that say which preprocessing and settings the weights belong to; they go with the
        weights into every file, so that weights never meet the numbers of another table.

    Examples
    --------
    >>> shape = Architecture(3, ((5, 2),), (8,), 1)
    >>> network = TableNetwork(shape, seed=0)
    >>> network(np.ones((4, 3), np.float32), np.zeros((4, 1), np.int64)).shape
    (4, 1)
    """

    def __init__(
        self, architecture: Architecture, *, seed: int = 0, bound_to: tuple[int, ...] = (0,)
    ) -> None:
        rng = np.random.default_rng(seed)
        self.embeddings = [
            nn.Embedding(rows, width, seed=rng, dtype="float32")
            for rows, width in architecture.embeddings
        ]
        self.layers = nn.MLP(
            architecture.sizes,
            architecture.activation,
            dropout=architecture.dropout,
            seed=rng,
            dtype="float32",
        )
        self._numbers = architecture.numbers
        self.bound_to = nn.Buffer(np.array(bound_to, np.int64))

    def layer_names(self) -> dict[str, str]:
        """Return what each layer is called, by the path of its parameters."""
        names: dict[str, str] = {}
        for name, p in self.named_parameters():
            path, _, part = name.rpartition(".")
            if part == "weight" and path.startswith("embeddings"):
                names[path] = f"embedding {len(names) + 1}: {p.shape[0]} → {p.shape[1]}"
            elif part == "weight":
                number = len(names) - len(self.embeddings) + 1
                names[path] = f"layer {number}: {p.shape[1]} → {p.shape[0]}"
        return names

    def forward(self, *inputs: Any) -> Any:
        """Return the outputs for numbers of shape (N, d) and indices of shape (N, k).

        Of a table without numbers, or without embeddings, there is only the other.
        """
        numbers = list(inputs[: self._numbers > 0])
        learned = [layer(inputs[-1][:, k]) for k, layer in enumerate(self.embeddings)]
        parts = [*numbers, *learned]
        return self.layers(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
