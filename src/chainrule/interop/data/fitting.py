"""The first pass over a table: what its columns are, their means, scales and categories.

Everything is gathered block by block, so a table larger than memory costs no more of it than a
small one. Means and scales are those of scikit-learn's `StandardScaler`, fed by `partial_fit`;
a table of one block gives what `fit` gives. Only rows that are trained on count: what is kept
aside for validation is checked, kept, and not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import ColumnError, DataError, MissingExtraError
from chainrule.interop.data.ahead import ahead
from chainrule.interop.data.choosing import Choice, choose
from chainrule.interop.data.libraries import pl
from chainrule.interop.data.preprocessing import (
    DATE_PARTS,
    Category,
    Numeric,
    Preprocessing,
    Target,
    raw_numbers,
    require_target,
)

try:
    from sklearn.preprocessing import StandardScaler
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "fitting the preprocessing of a table needs scikit-learn, which is not installed.",
        advice='Run: pip install "chainrule[data]"',
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from chainrule.interop.data.source import Block, Source

__all__ = ["Fitted", "Split", "fit_preprocessing"]

ONE_HOT = 16
"""Categories up to which each has a column of zeros and ones."""
MOST = 20_000
"""Categories that are counted; a column with more is left out."""
CLASSES = 20
"""Whole numbers up to which a target is taken for classes."""
ASIDE, ASIDE_VALUES = 100_000, 1 << 24
"""Rows that are kept aside for validation at most, and their values: they lie in memory."""


class Split(NamedTuple):
    """Which rows are kept aside: of each block as many, drawn by the seed."""

    fraction: float
    seed: int

    def aside(self, block: Block) -> NDArray[np.bool_]:
        """Return which rows of a block are kept aside."""
        mask = np.zeros(block.rows, bool)
        if self.fraction:
            count = round(self.fraction * block.rows)
            rng = np.random.default_rng([self.seed, 1, block.start])
            mask[rng.permutation(block.rows)[:count]] = True
        return mask


class Fitted(NamedTuple):
    """What the first pass found.

    Attributes
    ----------
    preprocessing
        What becomes of each column.
    split
        Which rows are kept aside.
    rows
        How many rows are trained on.
    aside
        The rows that are kept aside, with the columns that are used.
    notes
        What a user should hear.
    """

    preprocessing: Preprocessing
    split: Split
    rows: int
    aside: pl.DataFrame
    notes: list[str]


def fit_preprocessing(
    source: Source,
    target: str,
    *,
    task: str = "",
    features: Sequence[str] = (),
    drop: Sequence[str] = (),
    dates: str = "",
    missing: Sequence[str] = (),
    validation: float = 0.1,
    seed: int = 0,
) -> Fitted:
    """Go through a table once and return what becomes of its columns.

    Parameters
    ----------
    source
        The table.
    target
        The column to predict.
    task
        "classification" or "regression"; inferred from the target if it is not said.
    features, drop
        The columns to use (all if none are named) and not to use.
    dates
        "parts" for year, month, day, weekday and hour; else columns of dates are left out.
    missing
        Text that stands for a missing value, for the record.
    validation
        The part of the rows that is kept aside, of very large tables less.
    seed
        Of what is kept aside.

    Raises
    ------
    ColumnError
        The target or a feature is not there, or the target says nothing.
    CellError
        A value cannot be used.
    """
    choice = choose(source, target, features=features, drop=drop, dates=dates)
    most = min(ASIDE, ASIDE_VALUES // (len(choice.columns) + 1))
    split = Split(min(validation, most / max(source.estimate(), 1)), seed)
    pass_ = _Pass(source, choice)
    pass_.go(split)
    return pass_.fitted(split, task, missing)


@dataclass
class _Counts:
    """How often each value of a column occurs; more than `MOST` values are not counted on."""

    values: dict[Any, int]
    missing: int = 0
    overflows: bool = False

    def take(self, column: pl.Series) -> None:
        self.missing += column.null_count()
        if self.overflows:
            return
        counted = column.drop_nulls().value_counts()
        for value, count in counted.iter_rows():
            self.values[value] = self.values.get(value, 0) + count
        self.overflows = len(self.values) > MOST


class _Pass:
    """What is gathered on the way through a table."""

    def __init__(self, source: Source, choice: Choice) -> None:
        self._source, self._choice = source, choice
        self._dates = {name: source.formats.get(name, "") for name in choice.dates}
        self._numeric = [Numeric(name, 0.0, 1.0) for name in choice.numbers]
        self._numeric += [Numeric(n, 0.0, 1.0, part=p) for n in choice.dates for p in DATE_PARTS]
        self._scaler = StandardScaler()
        self._target_scaler = StandardScaler()
        self._nulls = np.zeros(len(self._numeric), np.int64)
        self._categories = {name: _Counts({}) for name in choice.texts}
        self._targets = _Counts({})
        self._range = (np.inf, -np.inf)
        self._whole = True
        self._rows = self._seen = 0  # that are trained on, and all
        self._aside: list[pl.DataFrame] = []

    def go(self, split: Split) -> None:
        """Go through all blocks."""
        columns = [*self._choice.columns, self._choice.target]
        for block, frame in ahead(self._source.scan(columns)):
            where = self._place(block)
            self._check(frame, where)
            self._seen += len(frame)
            self._look_at_target(frame[self._choice.target])
            aside = pl.Series(split.aside(block))
            if aside.any():
                self._aside.append(frame.filter(aside))
                frame = frame.filter(~aside)  # noqa: PLW2901 - the rows that are left
            self._take(frame)

    def _place(self, block: Block) -> Callable[[int], str]:
        return lambda row: self._source.where(block.start + row)

    def _check(self, frame: pl.DataFrame, where: Callable[[int], str]) -> None:
        named = list(self._choice.numbers)
        all_finite = frame.select(pl.col(named).is_finite().all()).row(0) if named else ()
        if not all(all_finite):
            used = tuple(self._numeric)
            target = Target(self._choice.target)
            Preprocessing(used, (), {}, {}, [], target).require_usable(frame, where)
        require_target(frame[self._choice.target], where)

    def _look_at_target(self, target: pl.Series) -> None:
        """Note which targets there are, in all rows: a class that is only kept aside is one."""
        self._targets.take(target)
        if target.dtype.is_float():
            values = target.to_numpy()
            self._range = min(self._range[0], values.min()), max(self._range[1], values.max())
            self._whole = self._whole and bool(np.all(values == np.round(values)))

    def _take(self, frame: pl.DataFrame) -> None:
        self._rows += len(frame)
        if self._numeric and len(frame):
            raw, _ = raw_numbers(self._numeric, frame)
            self._nulls += np.count_nonzero(np.isnan(raw), axis=0)
            with np.errstate(all="ignore"):  # columns without values, and with huge ones
                self._scaler.partial_fit(raw)
        for name, counts in self._categories.items():
            counts.take(frame[name])
        target = frame[self._choice.target]
        if target.dtype.is_float() and len(frame):
            with np.errstate(all="ignore"):
                self._target_scaler.partial_fit(target.to_numpy()[:, None])

    # ------------------------------------------------------------------ what it comes to

    def fitted(self, split: Split, task: str, missing: Sequence[str]) -> Fitted:
        """Return what was found."""
        if not self._rows:
            raise DataError(f"{self._source.name} has no rows to train on.")
        left_out = dict(self._choice.left_out)
        numeric = self._standardised(left_out)
        categories = self._encoded(left_out)
        if not numeric and not categories:
            raise ColumnError(
                f"{self._source.name} has no column to predict {self._choice.target!r} from.",
                *[f"{name!r} is left out: {why}" for name, why in left_out.items()],
                advice="Name features that have numbers or categories.",
            )
        target, note = self._target(task)
        kept = {x.name for x in numeric}
        preprocessing = Preprocessing(
            tuple(numeric),
            tuple(categories),
            {name: form for name, form in self._dates.items() if name in kept},
            left_out,
            list(missing),
            target,
        )
        aside = pl.concat(self._aside) if self._aside else pl.DataFrame()
        notes = [note, *(f"{name!r} is left out: {why}" for name, why in left_out.items())]
        if self._choice.wants_dates and not self._choice.dates:
            notes.append("no column has dates, of which parts were asked for")
        return Fitted(preprocessing, split, self._rows, aside, notes)

    def _standardised(self, left_out: dict[str, str]) -> list[Numeric]:
        found = []
        for k, x in enumerate(self._numeric):
            if self._nulls[k] == self._rows:
                left_out[x.name] = "it has no values"
                continue
            mean, scale = _moments(self._scaler, k, x.name)
            if x.part == "hour" and scale == 1.0 and mean == 0.0:  # of dates without a time
                continue
            indicator = bool(self._nulls[k]) and x.part in {"", "year"}
            found.append(Numeric(x.name, mean, scale, indicator, x.part))
        return found

    def _encoded(self, left_out: dict[str, str]) -> list[Category]:
        found = []
        for name, counts in self._categories.items():
            known = len(counts.values)
            if not known:
                left_out[name] = "it has no values"
            elif counts.overflows:
                left_out[name] = f"text with more than {MOST:,} different values"
            elif known > ONE_HOT and known > 0.9 * (self._rows - counts.missing):
                left_out[name] = "text that differs from row to row"
            else:
                found.append(_category(name, counts))
        return found

    def _target(self, task: str) -> tuple[Target, str]:
        """Return what is predicted, and why it is taken for what it is."""
        name, counts = self._choice.target, self._targets
        is_number = self._choice.target_is_number
        self._require_telling_target(is_number)
        known = len(counts.values)
        few = known <= CLASSES and 2 * known <= self._seen and self._whole
        if task == "regression" or (not task and is_number and not few):
            if not is_number:
                raise ColumnError(
                    f"the target {name!r} is text, and a regression needs numbers.",
                    f"values: {', '.join(map(repr, sorted(counts.values)[:5]))}",
                    advice="Train a classification, or name a column of numbers.",
                )
            scaler = self._target_scaler
            low, high = self._range
            words = f"numbers from {low:.6g} to {high:.6g}"
            target = Target(name, [], *_moments(scaler, 0, name))
            hint = "; for classes: --task classification" if self._whole and not task else ""
            return target, f"regression: {name!r} has {words}{hint}"
        if counts.overflows or known > self._seen / 2:
            raise ColumnError(
                f"the target {name!r} has {known:,} classes in {self._seen:,} rows.",
                f"values: {', '.join(map(repr, sorted(counts.values)[:5]))}{', …' * (known > 5)}",
                advice="A class needs several examples: take more rows"
                + (", or train a regression: --task regression." if is_number else "."),
            )
        target = Target(name, sorted(counts.values))
        labels = (" ".join(label.split()) for label in target.labels[:6])
        shown = ", ".join(labels) + (", …" if known > 6 else "")
        hint = "; for numbers: --task regression" if is_number and not task else ""
        return target, f"classification: {name!r} has {known} classes ({shown}){hint}"

    def _require_telling_target(self, is_number: bool) -> None:
        """Refuse a target that is the same in all rows, or a name for each of them."""
        name, counts = self._choice.target, self._targets
        known = len(counts.values)
        if known == 1:
            rows = f"all {self._seen:,} rows" if self._seen > 1 else "the only row"
            raise ColumnError(
                f"the target {name!r} is {next(iter(counts.values))!r} in {rows}: there is "
                "nothing to learn.",
                "expected: at least two classes, or numbers that differ",
                advice="Name another column, or take rows of all classes.",
            )
        low, high = self._range
        is_counter = is_number and self._whole and high - low + 1 == self._seen
        if known == self._seen and self._seen > 2 and (not is_number or is_counter):
            raise ColumnError(
                f"the target {name!r} is different in each of the {self._seen:,} rows, as an "
                "identifier is.",
                f"values: {', '.join(map(repr, sorted(counts.values)[:5]))}, …",
                advice="Name the column that is to be predicted.",
            )


def _moments(scaler: StandardScaler, k: int, name: str) -> tuple[float, float]:
    """Return mean and scale of a column, if there are such numbers."""
    mean, scale = float(scaler.mean_[k]), float(scaler.scale_[k])
    if not np.isfinite([mean, scale, scaler.var_[k]]).all():
        raise ColumnError(
            f"column {name!r} has numbers so large that their spread is not a number.",
            f"mean {mean:.3g}, standard deviation {scale:.3g}",
            advice="Look for numbers that stand for something else, or drop the column.",
        )
    return mean, scale


def _category(name: str, counts: _Counts) -> Category:
    """Return how a column of categories is encoded."""
    known = counts.values
    if len(known) <= ONE_HOT:
        return Category(name, sorted(known), bool(counts.missing))
    # Values that occurred once share a row with those that never did, so that one is learned too.
    often = sorted((v for v, n in known.items() if n > 1), key=lambda v: (-known[v], v))
    width = min(50, round(1.6 * len(known) ** 0.56))
    return Category(name, often, bool(counts.missing), width)
