"""A table larger than memory as examples in random order: blocks at random, then rows.

Each epoch goes through the blocks in an order of its own. What comes of them, one after the
other, is cut into fills of as many rows as memory is meant to hold, and each fill is shuffled.
A fill follows from seed, epoch and number alone, so a training that was interrupted goes on in
the middle of an epoch with the rows that it would have had.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.interop.data.ahead import ahead
from chainrule.interop.data.model import inputs_of, place_in
from chainrule.interop.data.preprocessing import Encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from chainrule.interop.data.fitting import Fitted
    from chainrule.interop.data.source import Block, Source

__all__ = ["Examples", "Fill", "Shuffled", "row_bytes"]


class Examples(NamedTuple):
    """Encoded rows, and their targets."""

    encoded: Encoded
    y: NDArray[Any]

    @property
    def inputs(self) -> Any:
        """What a network is called with: an array, or a tuple of them."""
        arrays = inputs_of(self.encoded)
        return arrays if len(arrays) > 1 else arrays[0]

    def at(self, rows: Any) -> Examples:
        """Return some of the rows."""
        return Examples(Encoded(self.encoded.X[rows], self.encoded.codes[rows]), self.y[rows])

    def room(self, rows: int) -> Examples:
        """Return arrays like these for so many rows, which are written to."""
        X, codes, y = (
            np.empty((rows, *x.shape[1:]), x.dtype)
            for x in (self.encoded.X, self.encoded.codes, self.y)
        )
        return Examples(Encoded(X, codes), y)

    def write(self, start: int, rows: Examples) -> None:
        """Write rows from a place on."""
        places = slice(start, start + len(rows.y))
        self.encoded.X[places] = rows.encoded.X
        self.encoded.codes[places] = rows.encoded.codes
        self.y[places] = rows.y


class Fill(NamedTuple):
    """Rows that lie in memory together, and the order in which they come."""

    examples: Examples
    order: NDArray[np.int64]


class Shuffled:
    """The rows of a table that are trained on, in random order.

    Parameters
    ----------
    source
        The table, which was scanned.
    fitted
        What becomes of its columns, and which rows are kept aside.
    rows
        In a fill.
    seed
        Of the order.
    """

    def __init__(self, source: Source, fitted: Fitted, rows: int, seed: int) -> None:
        self._source, self._fitted, self._seed = source, fitted, seed
        self.fill_rows = rows
        self._sizes = np.array(
            [b.rows - np.count_nonzero(fitted.split.aside(b)) for b in source.blocks], np.int64
        )
        self.rows = int(np.sum(self._sizes))
        self._last: tuple[int, Examples] | None = None

    @property
    def fills(self) -> int:
        """How many fills an epoch has."""
        return -(-self.rows // self.fill_rows)

    def block(self, number: int) -> Examples:
        """Return the rows of a block that are trained on, as they lie."""
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        (examples,) = self._read([number])
        self._last = number, examples
        return examples

    def _read(self, numbers: Sequence[int]) -> Iterator[Examples]:
        """Yield blocks; one is parsed and one encoded while the one before is used."""
        blocks = [self._source.blocks[number] for number in numbers]
        made = self._fitted.preprocessing
        columns = [*made.columns, made.target.name]
        frames = ahead((block, self._source.frame(block, columns)) for block in blocks)
        return ahead(itertools.starmap(self._encoded, frames))

    def _encoded(self, block: Block, frame: pl.DataFrame) -> Examples:
        made, where = self._fitted.preprocessing, place_in(self._source, block)
        examples = Examples(made.encode(frame, where), made.encode_target(frame, where))
        aside = self._fitted.split.aside(block)
        return examples.at(~aside) if np.any(aside) else examples

    def in_order(self) -> Examples:
        """Return all rows as they lie."""
        whole = self.block(0).room(self.rows)
        start = 0
        for size, examples in zip(self._sizes, self._read(range(len(self._sizes))), strict=True):
            whole.write(start, examples)
            start += int(size)
        return whole

    def room(self) -> Examples:
        """Return arrays for the rows of a fill, which are written to."""
        return self.block(0).room(min(self.fill_rows, self.rows))

    def where(self, place: int, epoch: int | None = None) -> str:
        """Return where a row stands in the table.

        Parameters
        ----------
        place
            Its number among those that are trained on: as they lie, or in an epoch, before
            fills are shuffled.
        epoch
            Which epoch.
        """
        order = np.arange(len(self._sizes)) if epoch is None else self._order(epoch)
        ends = np.cumsum(self._sizes[order])
        k = int(np.searchsorted(ends, place, "right"))
        block = self._source.blocks[int(order[k])]
        kept = np.flatnonzero(~self._fitted.split.aside(block))
        return self._source.where(block.start + int(kept[place - ends[k]]))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the order of blocks in an epoch."""
        return np.random.default_rng([self._seed, 2, epoch]).permutation(len(self._sizes))

    def fill(self, epoch: int, number: int) -> Fill:
        """Return a fill of an epoch."""
        order = self._order(epoch)
        ends = np.cumsum(self._sizes[order])
        first, last = number * self.fill_rows, min((number + 1) * self.fill_rows, self.rows)
        a, b = np.searchsorted(ends, [first, last - 1], "right")
        places = slice(a, b + 1)
        starts = (ends - self._sizes[order])[places]
        whole: Examples | None = None
        for start, examples in zip(starts, self._chosen(order[places].tolist()), strict=True):
            whole = examples.room(last - first) if whole is None else whole
            chosen = examples.at(slice(max(first - start, 0), last - start))
            whole.write(max(start - first, 0), chosen)
        rng = np.random.default_rng([self._seed, 3, epoch, number])
        if whole is None:
            raise AssertionError(f"the epoch has no fill {number}")
        return Fill(whole, rng.permutation(last - first))

    def _chosen(self, numbers: Sequence[int]) -> Iterator[Examples]:
        """Yield blocks, the first of which may be the last of the fill before."""
        kept = self._last
        if kept is not None and kept[0] == numbers[0]:
            yield kept[1]
            numbers = numbers[1:]
        for number, examples in zip(numbers, self._read(numbers), strict=True):
            self._last = number, examples
            yield examples

    def fills_from(self, epoch: int, position: int) -> Iterator[Fill]:
        """Yield the fills of an epoch from that on which an example is in, each read ahead."""
        if position >= self.rows:
            return
        yield from ahead(
            self.fill(epoch, number) for number in range(position // self.fill_rows, self.fills)
        )


def row_bytes(fitted: Fitted) -> int:
    """Return the memory that an encoded row takes."""
    made = fitted.preprocessing
    return 4 * len(made.features) + 8 * len(made.embedded) + 8
