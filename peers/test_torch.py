"""Every word agrees with PyTorch on every sample, but for the exceptions that are listed."""

from __future__ import annotations

import pytest

from peers.comparison import compare
from peers.derivatives import CHECKS
from peers.lists import EXCEPTIONS
from peers.words import WORDS

NOTHING = {
    "forward": "no result in double precision",
    "second": "PyTorch has no second derivative of it",
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", sorted(WORDS))
def test_a_record_agrees(name: str, check: str) -> None:
    found = compare(name)
    if not found.compared[check]:
        pytest.skip(NOTHING[check])
    failures = found.failures[check]
    expected = EXCEPTIONS.get((name, check), frozenset())
    unlisted = {index: text for index, text in failures.items() if index not in expected}
    assert not unlisted, f"{name}: samples whose {check} differs and is not listed: {unlisted}"
    healed = sorted(expected - failures.keys())
    assert not healed, f"{name}: samples whose {check} agrees now; take them off the list: {healed}"
