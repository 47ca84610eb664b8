"""Which columns of a table are used, and which not and why."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from chainrule.errors import ColumnError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chainrule.interop.data.source import Source

__all__ = ["Choice", "choose", "require_known"]


class Choice(NamedTuple):
    """The columns that are used, by kind, and those that are not, each with the reason."""

    target: str
    target_is_number: bool
    numbers: list[str]
    texts: list[str]
    dates: list[str]
    left_out: dict[str, str]
    wants_dates: bool = False

    @property
    def columns(self) -> list[str]:
        """All features."""
        return [*self.numbers, *self.texts, *self.dates]


def choose(
    source: Source, target: str, *, features: Sequence[str], drop: Sequence[str], dates: str
) -> Choice:
    """Return which columns of a table are used; see `fit_preprocessing`.

    Raises
    ------
    ColumnError
        A column that is named is not there; it says which names are near.
    """
    require_known([target], source, "target")
    require_known(features, source, "feature")
    require_known(drop, source, "column to drop")
    for names, what in ((features, "a feature"), (drop, "a column to drop")):
        if target in names:
            raise ColumnError(
                f"the target {target!r} is also named as {what}.",
                advice="Name it as the target alone.",
            )
    kind = source.kinds[target]
    if kind not in {"number", "text"}:
        raise ColumnError(
            f"the target {target!r} is a column of {kind}s, where numbers or classes were "
            "expected.",
            advice="Name a column of numbers or of text.",
        )
    left_out = {}
    by_kind: dict[str, list[str]] = {"number": [], "text": [], "date": []}
    for name in source.kinds:
        found = source.kinds[name]
        if name == target:
            continue
        if name in drop:
            left_out[name] = "dropped"
        elif features and name not in features:
            left_out[name] = "not among the features"
        elif found == "date" and dates != "parts":
            left_out[name] = "dates; --dates parts uses year, month, day, weekday and hour"
        elif found == "other":
            left_out[name] = "neither numbers nor text nor dates"
        else:
            by_kind[found].append(name)
    return Choice(
        target,
        kind == "number",
        by_kind["number"],
        by_kind["text"],
        by_kind["date"],
        left_out,
        wants_dates=bool(dates),
    )


def require_known(names: Iterable[str], source: Source, what: str) -> None:
    """Refuse names that no column has, with the nearest that one has."""
    known = list(source.kinds)
    for name in names:
        if name in known:
            continue
        lower = {other.lower(): other for other in reversed(known)}
        near = difflib.get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)
        raise ColumnError(
            f"{source.name} has no column {name!r}, which was named as {what}.",
            f"columns: {', '.join(map(repr, known[:12]))}{', …' if len(known) > 12 else ''}",
            advice="Did you mean " + " or ".join(repr(lower[x]) for x in near) + "?"
            if near
            else "Name one of these columns.",
        )
