"""Where a row of the network's numbers stands in the table, in memory and on a stream."""

import math

import numpy as np
import polars as pl
import pytest

from chainrule.errors import DivergenceError
from chainrule.interop.data import fit_preprocessing, open_table, train_table
from chainrule.interop.data.listening import Listener
from chainrule.interop.data.streaming import Shuffled, row_bytes


@pytest.fixture
def small_blocks(monkeypatch):
    """Read text in blocks of 2 kB, and let a megabyte be 4 kB."""
    monkeypatch.setattr("chainrule.interop.data.text.BLOCK", 2_000)
    monkeypatch.setattr("chainrule.interop.data.training._MEGABYTE", 4_000)


def written(tmp_path, x, y):
    path = tmp_path / "t.csv"
    pl.DataFrame({"x": x, "y": y}).write_csv(path)
    return path


def test_the_place_of_a_row_is_its_line(tmp_path, small_blocks):
    """Each row holds its number, so that the numbers of the network say where they are from."""
    path = written(tmp_path, np.arange(1200.0), np.random.default_rng(0).normal(size=1200))
    source = open_table(path)
    fitted = fit_preprocessing(source, "y", validation=0.2)
    shuffled = Shuffled(source, fitted, 250, 0)
    (x,) = fitted.preprocessing.numeric

    def lines(examples):
        numbers = np.round(examples.encoded.X[:, 0].astype(float) * x.scale + x.mean).astype(int)
        return [f"line {number + 2}" for number in numbers]

    assert len(source.blocks) > 5
    assert [shuffled.where(k) for k in range(shuffled.rows)] == lines(shuffled.in_order())
    for epoch in (0, 3):
        for k, fill in enumerate(shuffled.fills_from(epoch, 0)):
            found = [shuffled.where(250 * k + j, epoch) for j in range(len(fill.order))]
            assert found == lines(fill.examples)


@pytest.mark.parametrize("memory", [1, 256])
def test_a_step_that_is_not_finite_names_the_line_of_the_file(tmp_path, small_blocks, memory):
    """One x is so far from the others that only its output becomes too large to be squared."""
    x = np.random.default_rng(0).normal(size=900)
    x[637] = 4e4
    path = written(tmp_path, x, -x)
    options = {"hidden": (), "optimiser": "sgd", "learning_rate": 3e18, "validation": 0.0}
    with pytest.raises(DivergenceError) as caught:
        train_table(path, "y", **options, epochs=2, batch_size=900, memory=memory)
    error = caught.value
    assert error.what == "the loss of step 1 is not finite; training stopped."
    assert error.facts[0].startswith("loss inf, norm of the gradient ")
    assert error.facts[1:] == ("example: line 639",)
    assert "--learning-rate" in error.advice
    assert [row.epoch for row in error.history.rows] == [1]


def test_a_stream_measures_the_gradient_of_its_steps(tmp_path, small_blocks):
    """Where all rows are one step, order and fills do not matter, and memory gives the same."""
    rng = np.random.default_rng(0)
    path = written(tmp_path, rng.normal(size=900), rng.normal(size=900))
    options = {"epochs": 3, "batch_size": 900, "learning_rate": 0.01, "validation": 0.0}
    stream, memory = (train_table(path, "y", **options, memory=size) for size in (1, 256))
    assert (stream.streamed, memory.streamed) == (True, False)
    for a, b in zip(stream.history, memory.history, strict=True):
        assert a.gradient_norm == pytest.approx(b.gradient_norm, rel=1e-4)
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
    many = train_table(path, "y", **{**options, "batch_size": 16}, memory=1)
    assert all(math.isfinite(row.gradient_norm) and row.gradient_norm > 0 for row in many.history)
    assert many.history[-1].step == 3 * math.ceil(900 / 16)
    assert row_bytes(fit_preprocessing(open_table(path), "y")) == 12


class Notes(Listener):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


@pytest.mark.parametrize("memory", [1, 256])
def test_nothing_left_to_train_is_said(tmp_path, small_blocks, memory):
    rng = np.random.default_rng(0)
    path = written(tmp_path, rng.normal(size=900), rng.normal(size=900))
    options = {"checkpoint": tmp_path / "c", "memory": memory}
    train_table(path, "y", epochs=2, **options)
    notes = Notes()
    again = train_table(path, "y", epochs=2, **options, resume=True, listener=notes)
    assert notes.said[-1] == "nothing was left to train: 2 epochs were done before"
    assert [row.epoch for row in again.history] == [1, 2]
    notes = Notes()
    train_table(path, "y", epochs=3, **options, resume=True, listener=notes)
    assert "nothing was left" not in notes.said[-1]
