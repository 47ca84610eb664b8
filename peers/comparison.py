"""Every sample of a record, looked at once: which ones differ, and how."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from peers.derivatives import CHECKS, by_chainrule, by_torch
from peers.nearness import differences
from peers.records import RECORDS, samples
from peers.words import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.records import Sample


@dataclass
class Comparison:
    """What came of one record.

    Parameters
    ----------
    compared : dict
        How many samples each check looked at.
    failures : dict
        For each check, what is wrong with which sample.
    """

    compared: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHECKS, 0))
    failures: dict[str, dict[int, str]] = field(
        default_factory=lambda: {check: {} for check in CHECKS}
    )


@cache
def compare(name: str) -> Comparison:
    """Compare all samples of one record with its word."""
    record, word, found = RECORDS[name], WORDS[name], Comparison()
    second = record.supports_autograd and record.supports_gradgrad
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, sample in enumerate(samples(name)):
            if not sample.arrays:
                continue
            compare_sample(found, index, record, word, sample, second=second)
    return found


def compare_sample(
    found: Comparison, index: int, record: Any, word: Any, sample: Sample, *, second: bool
) -> None:
    """Compare one sample; where PyTorch fails at its own second derivative, that is said."""
    try:
        theirs = by_torch(record, sample, second=second)
    except RuntimeError as error:
        theirs = by_torch(record, sample, second=False)
        found.compared["second"] += 1
        found.failures["second"][index] = f"PyTorch raises: {error}"
    ours = by_chainrule(word, sample)
    for check in theirs:
        found.compared[check] += 1
        if wrong := verdict(ours[check], theirs[check]):
            found.failures[check][index] = wrong


def verdict(ours: Callable[[], list[Any]], theirs: list[np.ndarray]) -> str:
    """Say what is wrong with one finding, or return an empty text."""
    try:
        return differences(ours(), theirs)
    except Exception as error:  # noqa: BLE001 - whatever is raised is a failure of this sample
        return f"{type(error).__name__}: {error}"
