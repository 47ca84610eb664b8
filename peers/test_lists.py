"""The lists are complete, name what exists, and do not grow."""

from __future__ import annotations

from peers.lists import CHECKS, EXCEPTIONS, LEFT_OUT, count_exceptions, listed_twice
from peers.records import RECORDS, samples
from peers.words import WORDS

# Lower these when the lists shrink.
MOST_EXCEPTIONS = 485
MOST_LEFT_OUT = 274


def test_every_record_has_a_word_or_a_reason() -> None:
    assert WORDS.keys() | LEFT_OUT.keys() == RECORDS.keys()


def test_no_record_has_both() -> None:
    assert not WORDS.keys() & LEFT_OUT.keys()


def test_no_exception_is_listed_twice() -> None:
    assert not listed_twice()


def test_exceptions_name_records_checks_and_samples_that_exist() -> None:
    for (record, check), indices in EXCEPTIONS.items():
        assert record in WORDS
        assert check in CHECKS
        assert indices <= set(range(len(samples(record))))


def test_no_record_is_an_exception_as_a_whole() -> None:
    for (record, check), indices in EXCEPTIONS.items():
        assert len(indices) < len(samples(record)), f"{record}: every {check} is excepted"


def test_exceptions_only_shrink() -> None:
    assert count_exceptions() <= MOST_EXCEPTIONS


def test_records_left_out_only_shrink() -> None:
    assert len(LEFT_OUT) <= MOST_LEFT_OUT
