"""What fits no column, no model and no file: refused before anything is read wrong or lost."""

import importlib
import os
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule.errors import (
    CheckpointError,
    ColumnError,
    DataError,
    FileAccessError,
    MissingExtraError,
    SettingError,
    StateError,
)
from chainrule.interop.data import (
    fit_preprocessing,
    open_table,
    read_model,
    require_writable,
    train_table,
)

N = 60


def frame(**columns):
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "x": rng.normal(size=N),
            "c": rng.choice(["a", "b"], N),
            "day": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 29), eager=True),
            "y": ["no", "yes"] * (N // 2),
            **columns,
        }
    )


@pytest.fixture(scope="module")
def model():
    return train_table(frame(), "y", dates="parts", epochs=1).model


# ------------------------------------------------------------------------- kinds of columns


@pytest.mark.parametrize(
    ("column", "instead", "says"),
    [
        ("x", frame()["day"], "column 'x' needs numbers, and holds Date"),
        ("x", [[1.0, 2.0]] * N, "column 'x' needs numbers, and holds List"),
        ("c", [{"a": 1}] * N, "column 'c' needs text, and holds Struct"),
        ("day", [20_000.0] * N, "column 'day' needs dates, and holds Float64"),
    ],
)
def test_a_column_of_another_kind_is_never_made_into_numbers(model, column, instead, says):
    with pytest.raises(ColumnError) as caught:
        model.predict(frame(**{column: instead}))
    assert says in str(caught.value)


def test_a_column_without_values_is_missing(model):
    """It has no type of its own: each of its values is what a missing one is."""
    known = model.predict(frame().with_columns(x=pl.lit(None, pl.Float64)))
    assert model.predict(frame(x=[None] * N)).equals(known)
    notes = fit_preprocessing(open_table(frame(x=[None] * N)), "y").notes
    assert "'x' is left out: it has no values" in notes


def test_numbers_that_are_categories_and_not_finite_are_values_of_their_own():
    x = np.array([1.0, np.nan, np.inf, 2.5] * (N // 4))
    made = fit_preprocessing(open_table(frame(x=x), categorical=["x"]), "y").preprocessing
    (found,) = (c for c in made.categories if c.name == "x")
    assert found.values == ["1", "2.5", "NaN", "inf"]
    assert not found.indicator


# ------------------------------------------------------------------------- names and settings


@pytest.mark.parametrize("target", [None, 2, "Y"])
def test_a_target_that_is_no_name_of_a_column(target):
    with pytest.raises(ColumnError, match=f"no column {target!r}"):
        train_table(frame(), target)


@pytest.mark.parametrize("option", ["features", "drop"])
def test_a_target_has_one_part_alone(option):
    with pytest.raises(ColumnError, match="'y' is also named as a"):
        train_table(frame(), "y", **{option: ["x", "y"]})


@pytest.mark.parametrize("setting", [{"hidden": 8}, {"clip_norm": -1.0}, {"seed": 2**63}])
def test_settings_are_refused_before_the_table_is_read(setting):
    with pytest.raises(SettingError, match=next(iter(setting))):
        train_table("a file that is not there.csv", "y", **setting)


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([1.5] * N, "is 1.5 in all 60 rows"),
        ([f"v{k}" for k in range(N // 2)] * 2, ""),
        ([f"v{k}" for k in range(N - 1)] + ["v0"], "take more rows."),
    ],
)
def test_advice_for_a_target_of_text_names_no_regression(y, says):
    if not says:
        assert fit_preprocessing(open_table(frame(y=y)), "y").rows == 54
        return
    with pytest.raises(ColumnError) as caught:
        train_table(frame(y=y), "y")
    assert says in str(caught.value)
    assert "--task regression" not in str(caught.value)
    with pytest.raises(ColumnError, match="in the only row"):
        train_table(frame(y=y)[:1], "y")


# ------------------------------------------------------------------------- files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with pipes that have names")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "t.csv"
    os.mkfifo(path)
    with pytest.raises(DataError, match="is a pipe or a device"):
        open_table(path)


def test_a_stream_of_arrow_is_named(tmp_path):
    path = tmp_path / "t.arrow"
    frame().write_ipc_stream(path)
    with pytest.raises(DataError, match="is a stream of Arrow IPC") as caught:
        open_table(path)
    assert "read_ipc_stream" in caught.value.advice


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_bytes_that_were_changed_are_an_error_with_a_code(tmp_path, compression):
    """polars says it with OSError, as if the system had refused."""
    path = tmp_path / "t.arrow"
    pl.DataFrame({"x": np.arange(50_000.0) % 977}).write_ipc(path, compression=compression)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    source = open_table(path)
    with pytest.raises(DataError, match="is damaged"):
        source.frame(source.blocks[0], ["x"])


def test_a_file_that_went_away_is_said_to_be_gone(tmp_path):
    path = tmp_path / "t.parquet"
    frame().write_parquet(path)
    source = open_table(path)
    path.unlink()
    with pytest.raises(FileAccessError, match="No such file"):
        source.frame(source.blocks[0], ["x"])


def test_an_array_of_one_axis_has_a_name(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(3.0))
    assert list(open_table(tmp_path / "t.npy").kinds) == ["0"]


def test_nothing_is_written_over_what_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = Path("t.csv")
    table.write_text("x\n1\n")
    Path("link.csv").symlink_to(table)
    for out in (tmp_path / "t.csv", Path("link.csv"), Path("folder/../t.csv")):
        with pytest.raises(SettingError, match="it is also read"):
            require_writable(out, inputs=[table])
    with pytest.raises(SettingError, match="two outputs"):
        require_writable(Path("m"), None, tmp_path / "m", inputs=[table])
    require_writable(Path("m"), Path("m.png"), None, inputs=[table])


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device")
def test_a_device_is_no_place_for_a_model():
    with pytest.raises(FileAccessError, match="it is no regular file"):
        require_writable(Path("/dev/null"))


def test_a_model_that_is_not_there_or_none_is_called_a_model(tmp_path):
    with pytest.raises(FileAccessError, match="the model cannot be read: No such file"):
        read_model(tmp_path / "m")
    (tmp_path / "m").write_text("x,y\n1,2\n")
    with pytest.raises(CheckpointError, match="is no model, or a damaged one") as caught:
        read_model(tmp_path / "m")
    assert "chainrule train" in caught.value.advice


# ------------------------------------------------------------------------- without polars


@pytest.mark.parametrize(
    ("package", "name", "extra"),
    [
        ("polars", "open_table", "data"),
        ("narwhals", "train_table", "data"),
        ("sklearn", "fit_preprocessing", "data"),
        ("matplotlib", "draw_training", "plot"),
    ],
)
def test_without_a_package_the_error_names_the_extra(monkeypatch, package, name, extra):
    absent = [package, *(x for x in sys.modules if x.startswith(f"{package}."))]
    data = importlib.import_module("chainrule.interop.data")
    for module in [x for x in sys.modules if x.startswith("chainrule.interop.data.")]:
        # What is imported anew becomes an attribute of the package; this puts it back as well.
        monkeypatch.setattr(data, module.rpartition(".")[2], sys.modules[module], raising=False)
        monkeypatch.delitem(sys.modules, module)
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match="not installed") as caught:
        getattr(data, name)
    assert f'pip install "chainrule[{extra}]"' in caught.value.advice


@pytest.mark.parametrize("memory", [1, 256])
def test_a_checkpoint_of_other_options_names_them(tmp_path, monkeypatch, memory):
    monkeypatch.setattr("chainrule.interop.data.training._MEGABYTE", 500)
    options = {"checkpoint": tmp_path / "c", "epochs": 1, "memory": memory}
    assert train_table(frame(), "y", **options).streamed is (memory == 1)
    with pytest.raises(StateError) as caught:
        train_table(frame(), "y", **options, resume=True, seed=3, batch_size=8)
    assert {"seed: 0 then, 3 now", "batch_size: 32 then, 8 now"} <= set(caught.value.facts)
    assert not any("validation" in fact or "optimiser" in fact for fact in caught.value.facts)
    train_table(frame(), "y", **options, resume=True)
