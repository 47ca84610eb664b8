"""The two lists that are checked in: what differs on purpose, and what has no word."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

from peers.derivatives import CHECKS

HERE = Path(__file__).parent


def read_exceptions() -> dict[tuple[str, str], frozenset[int]]:
    """Return the samples that are expected to fail, by record and check."""
    expected: dict[tuple[str, str], frozenset[int]] = {}
    for entry in tomllib.loads((HERE / "exceptions.toml").read_text())["exception"]:
        for record, indices in entry["samples"].items():
            for check in entry["checks"]:
                key = (record, check)
                expected[key] = expected.get(key, frozenset()) | frozenset(indices)
    return expected


def count_exceptions() -> int:
    """Return how many single comparisons are listed, one listed twice counted twice."""
    entries = tomllib.loads((HERE / "exceptions.toml").read_text())["exception"]
    return sum(
        len(indices) * len(entry["checks"])
        for entry in entries
        for indices in entry["samples"].values()
    )


def listed_twice() -> list[tuple[str, str, int]]:
    """Return the comparisons that stand in the list more than once."""
    entries = tomllib.loads((HERE / "exceptions.toml").read_text())["exception"]
    seen = Counter(
        (record, check, index)
        for entry in entries
        for record, indices in entry["samples"].items()
        for check in entry["checks"]
        for index in indices
    )
    return [key for key, times in seen.items() if times > 1]


def read_left_out() -> dict[str, str]:
    """Return the records without a word, each with its reason."""
    groups = tomllib.loads((HERE / "left_out.toml").read_text())["left_out"]
    return {record: group["reason"] for group in groups for record in group["records"]}


EXCEPTIONS = read_exceptions()
LEFT_OUT = read_left_out()

__all__ = ["CHECKS", "EXCEPTIONS", "LEFT_OUT", "count_exceptions", "listed_twice"]
