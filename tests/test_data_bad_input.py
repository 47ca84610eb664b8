"""Tables that cannot be used: each is an error that says what, where, expected and what to do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from chainrule.errors import (
    CellError,
    CheckpointError,
    ColumnError,
    DataError,
    FileAccessError,
    ForeignFileError,
    NewerFileError,
    SettingError,
)
from chainrule.interop.data import (
    fit_preprocessing,
    open_table,
    read_model,
    train_table,
    write_predictions,
)
from chainrule.train import read_checkpoint, write_checkpoint

GOOD = "age,town,y\n31,Ulm,yes\n52,Bonn,no\n47,Ulm,yes\n18,Bonn,no\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a model of age and town, and its file."""
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"age": rng.normal(40, 9, 60), "town": ["Ulm", "Bonn", "Kiel"] * 20})
    frame = frame.with_columns(
        y=pl.when(pl.col("age") > 40).then(pl.lit("old")).otherwise(pl.lit("new"))
    )
    made = train_table(frame, "y", epochs=2).model
    made.save(path)
    return made, path


def table(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def many(row, count=30, head="age,town,y\n"):
    """Return a table of many good rows and the one in question."""
    good = "".join(
        f"{20 + k},{'Ulm' if k % 3 else 'Bonn'},{'yes' if k % 2 else 'no'}\n" for k in range(count)
    )
    return head + good + row


def complaint(kind, path, target="y", **options):
    with pytest.raises(kind) as caught:
        train_table(path, target, epochs=1, **options)
    error = caught.value
    assert type(error) is kind
    assert error.advice
    return str(error)


# ------------------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n1,2\n", "the first line of"),
        ("age,town,y\n", "names of columns and no rows"),
        ("age,town,y", "names of columns and no rows"),
        ("age,y,age\n1,2,3\n", "columns of the same name: 'age'"),
        ("age,,y\n1,2,3\n", "column 2 of"),
        ("1,2,3\n4,5,6\n", "is numbers, where names of columns were expected"),
        (many("31,Ulm\n"), "line 32 of"),
        (many("31,Ulm\n22,Bonn,no\n"), "has 2 fields, where the first line names 3 columns"),
        (many("31,Ulm,yes,1\n22,Bonn,no\n"), "has 4 fields"),
        (many('31,"Ulm\nam See",yes\n31,Ulm\n'), "line 34 of"),
        (many("31,Ulm,yes\n\n22,Bonn,no\n"), "line 33 of"),
        (many("31,Köln,yes\n").encode("latin-1"), "line 32 of"),
        ("age,Größe,y\n1,2,3\n".encode("latin-1"), "line 1 of"),
        (GOOD.encode("utf-16"), "is not UTF-8"),
        (b"\x1f\x8b\x08\x00\x00\x00", "is not UTF-8"),
    ],
)
def test_a_text_file_that_is_no_table(tmp_path, text, says):
    said = complaint(DataError, table(tmp_path, text))
    assert said.startswith("CR951 DataError: ")
    assert says in said
    assert "t.csv" in said


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.npy", "t.npz"])
def test_a_file_of_another_format_than_its_name_says(tmp_path, name):
    assert "is damaged, or not of the format" in complaint(DataError, table(tmp_path, GOOD, name))


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.npy", "t.npz"])
def test_a_file_that_ends_in_the_middle(tmp_path, name):
    path = tmp_path / name
    write_predictions([pl.DataFrame({"x": np.arange(500.0), "y": np.arange(500.0) % 2})], path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is damaged, or not of the format" in complaint(DataError, path)


@pytest.mark.parametrize("ending", ["csv", "npy", "npz"])  # see docs/decisions/0020 for the others
def test_a_file_with_wrong_bytes_is_read_or_refused(tmp_path, ending):
    rng = np.random.default_rng(0)
    classes = rng.choice(["u", "v"], 50)
    path = tmp_path / f"t.{ending}"
    write_predictions([pl.DataFrame({"x": rng.normal(size=50), "c": classes, "y": classes})], path)
    whole = path.read_bytes()
    refused = 0
    for k in range(60):
        damaged = bytearray(whole[: len(whole) if k % 4 else rng.integers(len(whole))])
        for place in rng.integers(max(len(damaged), 1), size=3):
            damaged[place : place + 1] = bytes([rng.integers(256)])
        path.write_bytes(damaged)
        try:
            fit_preprocessing(open_table(path), "y")
        except DataError:  # and nothing else
            refused += 1
    assert refused > 20


def test_an_array_with_python_objects_is_refused(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    assert "holds Python objects, which are not read" in complaint(DataError, path)
    np.savez(tmp_path / "t.npz", x=np.array(["a", None], dtype=object))
    assert "holds Python objects, which are not read" in complaint(DataError, tmp_path / "t.npz")


def test_arrays_that_do_not_fit_each_other(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, X=np.ones((4, 2)), y=np.ones(5))
    assert "differ in their number of rows" in complaint(DataError, path)
    np.savez(path, X=np.ones((4, 2, 2)), y=np.ones(4))
    assert "has 3 axes" in complaint(DataError, path)


def test_a_file_that_cannot_be_read(tmp_path):
    assert "No such file" in complaint(FileAccessError, tmp_path / "none.csv")
    assert "Is a directory" in complaint(FileAccessError, table_folder(tmp_path))
    assert "does not say its format" in complaint(DataError, table(tmp_path, GOOD, "t.xyz"))


def table_folder(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    return tmp_path / "folder.csv"


def test_data_frames_that_are_no_tables():
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert "columns of the same name: 'a'" in complaint(DataError, frame)
    assert "has no columns" in complaint(DataError, pd.DataFrame())
    assert "has no rows" in complaint(DataError, pl.DataFrame({"x": [], "y": []}))


def test_what_is_no_table_at_all():
    assert "cannot be a builtins.int" in complaint(DataError, 7)


# ------------------------------------------------------------------------- columns


def test_a_target_that_is_not_there_names_the_nearest(tmp_path):
    said = complaint(ColumnError, table(tmp_path, GOOD.replace("town", "Town")), "twon")
    assert "has no column 'twon', which was named as target" in said
    assert "Did you mean 'Town'?" in said
    assert "columns: 'age', 'Town', 'y'" in said


def test_features_that_are_not_there(tmp_path):
    path = table(tmp_path, GOOD)
    assert "named as feature" in complaint(ColumnError, path, features=["ages"])
    assert "named as column to drop" in complaint(ColumnError, path, drop=["ages"])
    assert "named as categorical" in complaint(ColumnError, path, categorical=["ages"])


@pytest.mark.parametrize(("column", "shown"), [("same", "'a'"), ("one", "7.0")])
def test_a_constant_target(tmp_path, column, shown):
    rows = "".join(f"{k},a,7\n" for k in range(20))
    said = complaint(ColumnError, table(tmp_path, f"x,same,one\n{rows}"), column)
    assert f"is {shown} in all 20 rows" in said


@pytest.mark.parametrize("column", ["name", "number"])
def test_a_target_that_is_different_in_each_row(tmp_path, column):
    rows = "".join(f"{k % 7},n{k},{k + 100}\n" for k in range(20))
    said = complaint(ColumnError, table(tmp_path, f"x,name,number\n{rows}"), column)
    assert "is different in each of the 20 rows, as an identifier is" in said


def test_a_target_with_hardly_two_rows_a_class(tmp_path):
    rows = "".join(f"{k % 7},n{k // 2 if k < 8 else k}\n" for k in range(20))
    assert "classes in 20 rows" in complaint(ColumnError, table(tmp_path, f"x,y\n{rows}"))


def test_a_regression_on_text(tmp_path):
    said = complaint(ColumnError, table(tmp_path, many("")), task="regression")
    assert "is text, and a regression needs numbers" in said


def test_a_target_of_dates(tmp_path):
    rows = "".join(f"{k},2024-01-{k + 1:02}\n" for k in range(20))
    assert "is a column of dates" in complaint(ColumnError, table(tmp_path, f"x,y\n{rows}"))


def test_nothing_to_predict_from(tmp_path):
    said = complaint(ColumnError, table(tmp_path, many("")), drop=["age", "town"])
    assert "has no column to predict 'y' from" in said
    assert "'town' is left out: dropped" in said


# ------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("NaN,Ulm,yes\n", "line 32 has nan"),
        ("inf,Ulm,yes\n", "line 32 has inf"),
        ("-Infinity,Ulm,yes\n", "line 32 has -inf"),
        ("old,Ulm,yes\n", "text on line 32"),
        ("1e999,Ulm,yes\n", "line 32 has inf"),
        ("31;5,Ulm,yes\n", "line 32: '31;5'"),
        ("31,Ulm,\n", "column 'y' needs a target in each row; line 32 has nothing"),
    ],
)
def test_a_value_that_cannot_be_used(tmp_path, row, says):
    said = complaint(CellError, table(tmp_path, many(row)))
    assert said.startswith("CR953 CellError: column ")
    assert says in said


def test_text_behind_line_breaks_between_quotes_is_found_on_its_line(tmp_path):
    said = complaint(CellError, table(tmp_path, many('31,"Ulm\n\nam See",yes\nold,Ulm,no\n')))
    assert "text on line 35" in said
    assert "--missing 'old'" in said


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_target_that_is_not_finite(number):
    y = np.linspace(0, 1, 50)
    y[[7, 20]] = number
    said = complaint(CellError, pl.DataFrame({"x": np.arange(50.0), "y": y}))
    assert "column 'y' needs finite numbers; row 7 has" in said
    assert "row 20: " in said


def test_nan_in_a_frame_of_polars_is_not_missing():
    x = np.arange(50.0)
    x[3] = np.nan
    said = complaint(CellError, pl.DataFrame({"x": x, "y": np.arange(50) % 2}))
    assert "column 'x' needs finite numbers; row 3 has nan" in said


def test_numbers_that_have_no_spread():
    frame = pl.DataFrame({"x": [1e300, -1e300] * 20, "z": [1.0, 2.0] * 20, "y": [0, 1] * 20})
    assert "column 'x' has numbers so large" in complaint(ColumnError, frame)
    frame = pl.DataFrame({"z": np.arange(40.0), "y": np.linspace(-1, 1, 40) * 1e300})
    assert "column 'y' has numbers so large" in complaint(ColumnError, frame, task="regression")


def test_a_date_that_is_none(tmp_path):
    rows = "".join(f"2024-01-{k + 1:02},{k % 2}\n" for k in range(20))
    path = table(tmp_path, f"day,y\n{rows}", "a.csv")
    made = train_table(path, "y", epochs=1, dates="parts").model
    later = table(tmp_path, "day\n2024-02-01\n2024-02-30\n", "b.csv")
    with pytest.raises(CellError, match="needs dates, written as %Y-%m-%d; line 3"):
        made.predict(later)


def test_settings_that_are_not_possible(tmp_path):
    path = table(tmp_path, many(""))
    for options in (
        {"activation": "rleu"},
        {"optimiser": "adma"},
        {"dropout": 1.0},
        {"hidden": (0,)},
        {"learning_rate": -1.0},
        {"validation": 1.5},
        {"task": "clustering"},
        {"dates": "piece"},
    ):
        complaint(SettingError, path, **options)


# ------------------------------------------------------------------------- prediction


def test_a_column_that_the_model_needs_is_not_there(model):
    with pytest.raises(ColumnError, match="lacks 'town', which the model needs"):
        model[0].predict(pl.DataFrame({"age": [1.0]}))
    with pytest.raises(ColumnError, match="lacks 'y'"):
        model[0].evaluate(pl.DataFrame({"age": [1.0], "town": ["Ulm"]}))


def test_order_and_further_columns_do_not_matter(model):
    frame = pl.DataFrame({"age": [25.0, 60.0], "town": ["Ulm", "Kiel"]})
    wide = frame.select(pl.lit(1).alias("more"), "town", "age")
    reading = model[0].open(wide)
    assert pl.concat(list(model[0].predictions(reading))).equals(model[0].predict(frame))
    assert reading.notes == ["columns that the model does not use: 'more'"]


def test_categories_that_were_not_there_are_said(model):
    reading = model[0].open(pl.DataFrame({"age": [25.0, 60.0], "town": ["Rom", "Kiel"]}))
    (frame,) = model[0].predictions(reading)
    assert np.isfinite(frame["probability of new"].to_numpy()).all()
    assert "'town' has 1 values that were not there in training" in reading.notes[0]


def test_text_in_a_numeric_column_at_prediction(model, tmp_path):
    path = table(tmp_path, "age,town\n31,Ulm\nold,Ulm\nold,Ulm\nold,Ulm\n")
    with pytest.raises(CellError, match="text on line 3"):
        model[0].predict(path)
    with pytest.raises(CellError, match="row 1"):
        model[0].predict(pl.DataFrame({"age": ["31", "old"], "town": ["Ulm", "Ulm"]}))


def test_a_class_that_the_model_does_not_know(model):
    frame = pl.DataFrame({"age": [25.0], "town": ["Ulm"], "y": ["ancient"]})
    with pytest.raises(CellError, match="needs one of new, old; row 0 has 'ancient'"):
        model[0].evaluate(frame)


def test_numbers_that_are_far_from_all_others(model):
    frame = pl.DataFrame({"age": [25.0, 1e300, -1e300], "town": ["Ulm"] * 3})
    with pytest.raises(CellError, match="needs numbers of about 40; row 1 has 1e") as caught:
        model[0].predict(frame)
    assert "row 2: -1e+300" in caught.value.facts


# ------------------------------------------------------------------------- the model file


def test_a_model_file_that_is_cut_off_foreign_or_newer(model, tmp_path):
    whole = model[1].read_bytes()
    path = tmp_path / "m.safetensors"
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_model(path)
    write_checkpoint(path, {"W": np.ones(3)})
    with pytest.raises(ForeignFileError, match="not a model of a table"):
        read_model(path)
    found = read_checkpoint(model[1])
    write_checkpoint(path, found.arrays, found.meta | {"table version": 2})
    with pytest.raises(NewerFileError, match="reads up to 1"):
        read_model(path)
    arrays = {n: x for n, x in found.arrays.items() if n != "layers.0.weight"}
    write_checkpoint(path, arrays, found.meta)
    with pytest.raises(CheckpointError, match="do not fit"):
        read_model(path)
    with pytest.raises(FileAccessError, match="No such file"):
        read_model(tmp_path / "none")


@pytest.mark.parametrize("part", ["preprocessing", "architecture", "about"])
@pytest.mark.parametrize("instead", [None, {}, [1], "x", {"numeric": 3}])
def test_a_model_file_with_other_parts(model, tmp_path, part, instead):
    found = read_checkpoint(model[1])
    path = tmp_path / "m.safetensors"
    write_checkpoint(path, found.arrays, found.meta | {part: instead})
    with pytest.raises(CheckpointError):
        read_model(path)


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("old")

    def frames():
        yield pl.DataFrame({"y": [1.0]})
        raise CellError("it broke.")

    with pytest.raises(CellError):
        write_predictions(frames(), path)
    assert path.read_text() == "old"
    assert [x.name for x in tmp_path.iterdir()] == ["p.csv"]
    assert open_table(table(tmp_path, GOOD)).kinds["age"] == "number"
