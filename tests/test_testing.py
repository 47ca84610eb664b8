"""`assert_gradients` in a test: silent when right, and a failure that says the reason."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from chainrule.errors import GradientError, SettingError
from chainrule.testing import SEED_VARIABLE, assert_gradients

rng = np.random.default_rng(0)
X, W = rng.normal(size=(6, 3)), rng.normal(size=(3, 3))
SHAPES = {"X": "n d", "W": "d h"}


def forward(X, W):
    Z = X @ W
    H = np.maximum(0, Z)
    return np.mean(H * H), (X, W, Z, H)


def right(cache):
    X, W, Z, H = cache
    dZ = 2 * H * (Z > 0) / H.size
    return dZ @ W.T, X.T @ dZ


def transposed(cache):
    X, W, Z, H = cache
    dZ = 2 * H * (Z > 0) / H.size
    return dZ @ W, X.T @ dZ


def half(cache):
    X, W, Z, H = cache
    dZ = H * (Z > 0) / H.size
    return {"X": dZ @ W.T, "W": X.T @ dZ}


@pytest.mark.parametrize("options", [{}, {"shapes": SHAPES}, {"seed": 7}])
def test_a_right_one_passes(options):
    assert_gradients((forward, right), (X, W), **options)


def test_a_wrong_one_fails_with_findings_line_and_seed():
    with pytest.raises(GradientError) as caught:
        assert_gradients((forward, half), (X, W), shapes=SHAPES, seed=3)
    text = str(caught.value)
    assert isinstance(caught.value, AssertionError)
    assert text.startswith("CR601 GradientError: the backward pass is wrong in Z, with seed 3.\n")
    assert "CD202 constant factor" in text
    assert "test_testing.py:" in text
    assert f"seed=3, or {SEED_VARIABLE}=3" in text


def test_a_square_matrix_does_not_hide_a_transpose_once_shapes_are_said():
    with pytest.raises(GradientError, match="wrong in X"):
        assert_gradients((forward, transposed), (X, W))
    with pytest.raises(GradientError) as caught:
        assert_gradients((forward, transposed), (X, W), shapes=SHAPES)
    assert "CD101" in str(caught.value) or "CD207" in str(caught.value)


def test_the_seed_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv(SEED_VARIABLE, "12")
    with pytest.raises(GradientError, match="with seed 12"):
        assert_gradients((forward, half), (X, W))
    with pytest.raises(GradientError, match="with seed 1"):
        assert_gradients((forward, half), (X, W), seed=1)
    monkeypatch.setenv(SEED_VARIABLE, "twelve")
    with pytest.raises(SettingError, match="'twelve'"):
        assert_gradients((forward, half), (X, W))


def overwriting(cache):
    X, W, Z, H = cache
    H *= 2 * (Z > 0) / H.size
    return H @ W.T, X.T @ H


def test_a_note_does_not_fail():
    assert_gradients((forward, overwriting), (X, W))


def unused(X, W, c):
    return np.mean((X @ W) ** 2), (X, W, c)


def of_unused(cache):
    X, W, c = cache
    dZ = 2 * (X @ W) / (len(X) * W.shape[1])
    return dZ @ W.T, X.T @ dZ, np.zeros_like(c)


def test_a_warning_fails_unless_it_is_said_not_to():
    with pytest.raises(GradientError, match="CD118"):
        assert_gradients((unused, of_unused), (X, W, np.ones(2)))
    assert_gradients((unused, of_unused), (X, W, np.ones(2)), warnings=False)


def test_pytest_shows_the_line_of_the_test(run_pytest):
    out = run_pytest(
        "from chainrule.testing import assert_gradients\n"
        "def loss(w):\n    return w * w, {'w': w}\n"
        "def test_loss():\n    assert_gradients(loss, (3.0,), seed=2)\n"
    )
    assert "test_loss.py:5: GradientError" in out
    assert "CD202 constant factor: w" in out
    assert "src/chainrule/testing.py" not in out


@pytest.fixture
def run_pytest(tmp_path):
    """Run pytest on a file, and return what it prints."""

    def run(text):
        (tmp_path / "test_loss.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_loss.py"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        return done.stdout

    return run
