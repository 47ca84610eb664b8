"""Training in memory and on a stream: the same rows, in random order, and on from a checkpoint."""

import math
import struct

import numpy as np
import polars as pl
import pytest

from chainrule.errors import StateError
from chainrule.interop.data import EventFile, fit_preprocessing, read_model, train_table
from chainrule.interop.data.listening import Listener
from chainrule.interop.data.streaming import Shuffled
from chainrule.interop.data.text import TextSource


def table(tmp_path, count=3000, seed=0):
    """Write a table whose rows can be told apart, and whose classes can be learned."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3))
    town = rng.choice([f"t{k}" for k in range(30)], count)
    y = np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
    path = tmp_path / "t.csv"
    frame = pl.DataFrame({"n": np.arange(count), "a": x[:, 0], "b": x[:, 1], "c": x[:, 2]})
    frame.with_columns(town=pl.Series(town), y=pl.Series(y)).write_csv(path)
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    """Read text in blocks of 16 kB, and let a megabyte be 64 kB."""
    monkeypatch.setattr("chainrule.interop.data.text.BLOCK", 16_000)
    monkeypatch.setattr("chainrule.interop.data.training._MEGABYTE", 64_000)


def shuffled(path, rows, seed=0):
    source = TextSource(path, block=16_000)
    fitted = fit_preprocessing(source, "y", features=["n", "a"], validation=0.1, seed=seed)
    return Shuffled(source, fitted, rows, seed), fitted


def numbers_of(fitted, examples):
    """Return the numbers of rows from the column that has them."""
    (n, _) = fitted.preprocessing.numeric
    return np.round(examples.encoded.X[:, 0].astype(float) * n.scale + n.mean).astype(int)


@pytest.mark.parametrize("rows", [100, 700, 10_000])
def test_an_epoch_has_each_row_once_in_an_order_of_its_own(tmp_path, rows):
    stream, fitted = shuffled(table(tmp_path), rows)
    (kept,) = (set(range(3000)) - set(fitted.aside["n"].cast(int).to_list()),)
    assert stream.rows == len(kept)
    assert abs(len(kept) - 2700) < 5
    epochs = []
    for epoch in range(2):
        seen = []
        for fill in stream.fills_from(epoch, 0):
            seen += numbers_of(fitted, fill.examples)[fill.order].tolist()
        assert sorted(seen) == sorted(kept)
        epochs.append(seen)
    a, b = map(np.array, epochs)
    assert not np.array_equal(a, b)
    assert np.mean(np.abs(np.diff(a)) == 1) < 0.05  # hardly a row beside its neighbour
    if rows > 3000:
        assert abs(np.corrcoef(np.arange(len(a)), a)[0, 1]) < 0.1
    assert list(stream.fills_from(1, stream.rows)) == []
    later = [fill.order for fill in stream.fills_from(1, len(kept) - 50)]
    assert np.array_equal(later[-1], list(stream.fills_from(1, 0))[-1].order)


def test_a_stream_trains_as_well_as_memory(tmp_path, small_blocks):
    path = table(tmp_path)
    options = {"drop": ["n"], "epochs": 8, "batch_size": 32, "learning_rate": 0.01, "threads": 1}
    memory = train_table(path, "y", **options, memory=256)
    stream = train_table(path, "y", **options, memory=1)
    assert (memory.streamed, stream.streamed) == (False, True)
    assert memory.model.preprocessing == stream.model.preprocessing
    for trained in (memory, stream):
        assert trained.evaluation.metrics()["accuracy"] > 0.96
        assert len(trained.history) == 8
        assert all(math.isfinite(row.validation_loss) for row in trained.history)
        assert set(trained.history[0].layers) == {
            *("embedding 1: 31 → 11", "layer 1: 14 → 64", "layer 2: 64 → 32", "layer 3: 32 → 2"),
        }
    assert "read anew in each epoch" in stream.notes[-1]


class Stopping(Listener):
    """Presses Ctrl-C when so much of the training is done."""

    def __init__(self, monkeypatch, at):
        self.at = at
        self.flags = []
        monkeypatch.setattr("chainrule.interop.data.stepping.interruptions", lambda: self)

    def __enter__(self):
        return self.flags

    def __exit__(self, *_):
        pass

    def share(self, epoch, share, loss):
        if epoch + share >= self.at:
            self.flags.append(True)


@pytest.mark.parametrize("at", [0.2, 1.4, 2.0])
def test_a_stream_that_was_interrupted_goes_on_bit_for_bit(tmp_path, small_blocks, monkeypatch, at):
    path, checkpoint = table(tmp_path), tmp_path / "c"
    options = {"epochs": 3, "memory": 1, "dropout": 0.2, "threads": 1, "checkpoint": checkpoint}
    whole = train_table(path, "y", **{**options, "checkpoint": None})
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        train_table(path, "y", **options, listener=Stopping(patched, at))
    again = train_table(path, "y", **options, resume=True)
    a, b = (x.model.network.state_dict() for x in (whole, again))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert whole.history[-1].loss == again.history[-1].loss
    with pytest.raises(StateError, match="of another training"):
        train_table(path, "y", **{**options, "dropout": 0.3}, resume=True)


@pytest.mark.parametrize("memory", [1, 256])
def test_patience_takes_the_best_weights(tmp_path, small_blocks, memory):
    path = table(tmp_path, 400)
    options = {"epochs": 60, "patience": 3, "memory": memory, "learning_rate": 0.03}
    trained = train_table(path, "y", **options, validation=0.3)
    losses = [row.validation_loss for row in trained.history]
    assert len(losses) < 60
    assert len(losses) == 1 + int(np.argmin(losses)) + 3
    judged = trained.evaluation.metrics()["log loss"]
    assert judged == pytest.approx(min(losses), rel=1e-5)


def test_without_rows_aside_it_is_judged_on_those_trained_on():
    frame = pl.DataFrame({"x": np.linspace(-1, 1, 50), "y": ["a", "b"] * 25})
    trained = train_table(frame, "y", epochs=1, validation=0.0)
    assert trained.is_kept_aside is False
    assert trained.evaluation.metrics()["rows"] == 50
    assert math.isnan(trained.history[0].validation_loss)


def test_a_model_file_holds_all_that_prediction_needs(tmp_path):
    path = table(tmp_path)
    trained = train_table(path, "y", epochs=2)
    trained.model.save(tmp_path / "m")
    again = read_model(tmp_path / "m")
    assert again.preprocessing == trained.model.preprocessing
    assert again.predict(path).equals(trained.model.predict(path))
    assert again.evaluate(path).metrics() == trained.model.evaluate(path).metrics()


def test_probabilities_add_up_and_classes_keep_their_type():
    x = np.linspace(-1, 1, 90)
    frame = pl.DataFrame({"x": x, "y": (x > 0).astype(int) + 3})
    found = train_table(frame, "y", epochs=30).model.predict(frame)
    assert found.columns == ["y", "probability of 3", "probability of 4"]
    assert found["y"].dtype == pl.Int64
    assert np.allclose(found.select(pl.sum_horizontal(pl.exclude("y"))).to_numpy(), 1)
    assert np.mean(found["y"].to_numpy() == frame["y"].to_numpy()) > 0.9


# ------------------------------------------------------------------------- events


def records(data):
    """Yield the records of an event file after their lengths."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield data[12 : 12 + length]
        data = data[16 + length :]


def fields(data):
    """Yield the fields of a protocol buffer: number and value."""
    place = 0

    def varint():
        nonlocal place
        x = shift = 0
        while True:
            byte = data[place]
            place += 1
            x |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return x

    while place < len(data):
        number, kind = divmod(varint(), 8)
        size = {0: None, 1: 8, 5: 4}.get(kind, 0)
        if kind == 0:
            yield number, varint()
            continue
        size = varint() if kind == 2 else size
        part, place = data[place : place + size], place + size
        yield number, struct.unpack("<d" if size == 8 else "<f", part)[0] if kind != 2 else part


def test_events_are_read_back_by_their_definition(tmp_path):
    events = EventFile(tmp_path)
    events.scalars(300, {"loss/training": 0.5, "loss/validation": math.nan})
    events.close()
    first, second = records(events.path.read_bytes())
    assert dict(fields(first))[3] == b"brain.Event:2"
    event = dict(fields(second))
    assert event[2] == 300
    ((number, value),) = fields(event[5])
    assert number == 1
    assert dict(fields(value)) == {1: b"loss/training", 2: 0.5}
