"""What the command line asks of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How often, against whom, and whether it is only a trial."""

    rounds: int | None = None
    peers: list[str] | None = None
    quick: bool = False

    def wanted(self, module: str) -> bool:
        """Tell whether a peer takes part."""
        return self.peers is None or module in self.peers

    def times(self, usual: int) -> int:
        """Return the number of rounds, an odd one so that a median is one of them."""
        return (self.rounds or (11 if self.quick else usual)) | 1
