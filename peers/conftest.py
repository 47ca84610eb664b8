"""What pytest prints at the end: how much was compared."""

from __future__ import annotations

from typing import Any

import torch

from peers.derivatives import CHECKS

# The samples are small, and one thread gives the same bits in every run.
torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the counts of everything that was compared in this run."""
    from peers.comparison import compare  # noqa: PLC0415 - only when something was compared

    reports = [
        r for key in ("passed", "failed", "skipped") for r in terminalreporter.stats.get(key, [])
    ]
    if names := names_of(reports):
        print_counts(terminalreporter, compare, names)


def names_of(reports: list[Any]) -> list[str]:
    """Return the records that the reported tests were about."""
    opened = (r.nodeid.partition("test_a_record_agrees[")[2] for r in reports)
    return sorted({text.rstrip("]").rpartition("-")[0] for text in opened if text})


def print_counts(reporter: Any, compare: Any, names: list[str]) -> None:
    """Print one line a check."""
    found = [compare(name) for name in names]
    for check in CHECKS:
        compared = sum(one.compared[check] for one in found)
        differ = sum(len(one.failures[check]) for one in found)
        without = sum(not one.compared[check] for one in found)
        reporter.write_line(
            f"PyTorch, {check}: {compared} comparisons over {len(found) - without} records, "
            f"{differ} differ; {without} records have none"
        )
