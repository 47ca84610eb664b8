"""Norms, deviations and sums of huge, infinite and missing numbers."""

import math

import numpy as np
import pytest

from chainrule.inspect.sizes import mean_and_deviation, norm, rms, total

ONES = np.array([3.0, -4.0, 0.5])


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-120, 1.0, 1e120, 1e300, 1.7e307])
def test_sizes_scale_with_the_numbers(scale):
    exact = pytest.approx
    tolerance = 1e-2 if scale < 1e-310 else 1e-14  # few digits are left of the smallest
    assert norm(ONES * scale) / scale == exact(np.linalg.norm(ONES), rel=tolerance)
    assert rms(ONES * scale) / scale == exact(np.sqrt(np.mean(ONES**2)), rel=tolerance)
    mean, deviation = mean_and_deviation(ONES * scale)
    assert mean / scale == exact(np.mean(ONES), rel=tolerance, abs=tolerance)
    assert deviation / scale == exact(np.std(ONES), rel=tolerance)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_sizes_of_narrow_types_do_not_overflow(dtype):
    largest = np.finfo(dtype).max
    assert norm(np.full(4, largest, dtype)) == 2 * float(largest)
    assert rms(np.full(4, largest, dtype)) == float(largest)


@pytest.mark.parametrize(
    ("x", "expected"),
    [([], 0.0), ([0.0], 0.0), ([np.inf, -np.inf, 1], np.inf), ([np.nan, np.inf], np.nan)],
)
def test_sizes_of_nothing_and_of_what_is_not_finite(x, expected):
    np.testing.assert_equal(norm(x), expected)
    np.testing.assert_equal(rms(x), expected)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0.1] * 10, 1.0),
        ([1e308, 1e308, -1e308], 1e308),
        ([1e308, 1e308], math.inf),
        ([-1e308, -1e308], -math.inf),
        ([math.inf, 1.0], math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, 1.0], math.nan),
        ([], 0.0),
    ],
)
def test_sums(numbers, expected):
    np.testing.assert_equal(total(numbers), expected)
