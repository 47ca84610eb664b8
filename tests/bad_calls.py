"""Wrong calls, and the check that what they raise says what a user needs.

The line in a message is compared with Python's own traceback: the innermost line of a test in it.
"""

import traceback
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors

__all__ = ["MATRIX", "OTHER", "SQUARE", "VECTOR", "bad", "check", "gradient"]

TESTS = Path(__file__).parent
SQUARE = np.arange(9.0).reshape(3, 3)
MATRIX = np.arange(6.0).reshape(2, 3)  # float64[2, 3]
OTHER = np.ones((4, 5))  # float64[4, 5]
VECTOR = np.ones(3)


def check(call, kind, *says):
    """Call, and return the error after checking that it answers the four questions."""
    with pytest.raises(errors.ChainruleError) as caught:
        call()
    error = caught.value
    assert type(error) is kind
    what, *facts = str(error).splitlines()
    assert what.startswith(f"{kind.code} {kind.__name__}: ")
    assert what.endswith(".")
    assert f"  at {own_line(error)}" in facts
    assert error.advice
    assert facts[-1].strip() == error.advice.splitlines()[-1].strip()
    text = str(error)
    assert [words for words in says if words not in text] == []
    return error


def own_line(error):
    """Return the innermost line of a test that a traceback passes through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == TESTS]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


def gradient(f, *xs):
    """Differentiate the sum of what f returns."""
    return cr.grad(lambda *values: np.sum(f(*values)))(*xs)


def bad(f, *says, x=MATRIX):
    """Return one row of a table: a function of a traced value, and what its error says."""
    name = f.__name__
    if name == "<lambda>":
        line = Path(f.__code__.co_filename).read_text(encoding="utf-8").splitlines()
        name = line[f.__code__.co_firstlineno - 1].partition("lambda v: ")[2].partition(', "')[0]
    return pytest.param(f, x, says, id=name)
