"""HIPS autograd, the second peer: gradient and second derivative at random points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import autograd
import autograd.numpy
import autograd.scipy.special
import numpy as np
import pytest

import chainrule
from peers.autograd_cases import CASES, Case
from peers.derivatives import fixed
from peers.nearness import differences

if TYPE_CHECKING:
    from collections.abc import Callable

OUR_SPECIAL = SimpleNamespace(
    erf=chainrule.ops.erf, expit=chainrule.ops.sigmoid, logsumexp=chainrule.ops.logsumexp
)
THEIR_NUMPY = autograd.numpy
THEIR_SPECIAL = autograd.scipy.special


def first_and_second(differentiate: Any, function: Callable[..., Any], xs: list[Any]) -> list[Any]:
    """Return the gradients, and the gradients of their product with fixed probes."""
    everything = tuple(range(len(xs)))
    gradient = differentiate(function, everything)
    probes = fixed([x.shape for x in xs], seed=2)

    def slope(*xs: Any) -> Any:
        pairs = zip(gradient(*xs), probes, strict=True)
        return sum(
            THEIR_NUMPY.sum(g * v) if differentiate is autograd.grad else np.sum(g * v)
            for g, v in pairs
        )

    return [*gradient(*xs), *differentiate(slope, everything)(*xs)]


def scalar(case: Case, module: Any, special: Any) -> Callable[..., Any]:
    """Return the weighted sum of squares of a case's output, for one of the two sides."""

    def function(*xs: Any) -> Any:
        output = case.function(module, special, *xs)
        (weights,) = fixed([np.shape(output)], seed=1)
        return module.sum(weights * output * output)

    return function


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_agrees(case: Case) -> None:
    generator = np.random.default_rng(0)
    xs = [generator.uniform(case.low, case.high, shape) for shape in case.shapes]
    ours = first_and_second(chainrule.grad, scalar(case, np, OUR_SPECIAL), xs)
    theirs = first_and_second(autograd.grad, scalar(case, THEIR_NUMPY, THEIR_SPECIAL), xs)
    assert not differences(ours, theirs)
