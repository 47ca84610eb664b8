"""Every format and frame gives the same table, in blocks that end with a row."""

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.interop.data import open_table, train_table, write_predictions
from chainrule.interop.data.text import TextSource

FRAME = pl.DataFrame(
    {
        "age": [31.0, None, 47.5, 18.0],
        "rooms": [1, 2, 3, 2],
        "town": ["Ulm", "Bonn", None, 'a "b", c\nd'],
        "day": pl.Series(["2024-01-31", "2023-06-01", None, "2024-02-29"]).str.to_date(),
    }
)


def whole(source):
    """Return all columns of a source, read block by block in order and then again backwards."""
    names = list(source.kinds)
    frames = [(block, frame) for block, frame in source.scan(names)]
    again = [source.frame(block, names) for block in reversed(source.blocks)]
    assert pl.concat([frame for _, frame in frames]).equals(pl.concat(again[::-1]))
    assert [block.start for block, _ in frames] == np.cumsum(
        [0, *[block.rows for block, _ in frames]]
    )[:-1].tolist()
    return pl.concat([frame for _, frame in frames])


EXPECTED = FRAME.select(
    "age",
    pl.col("rooms").cast(pl.Float64),
    "town",
    pl.col("day").cast(pl.Datetime("us")),
)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "arrow", "feather"])
def test_a_file_gives_numbers_text_and_dates(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    write_predictions([FRAME], path)
    source = open_table(path)
    assert source.kinds == {"age": "number", "rooms": "number", "town": "text", "day": "date"}
    assert whole(source).equals(EXPECTED)
    assert source.rows == 4


@pytest.mark.parametrize(
    "made",
    [
        lambda: FRAME,
        FRAME.lazy,
        lambda: nw.from_native(FRAME),
        lambda: pd.DataFrame({name: FRAME[name].to_list() for name in FRAME.columns}).astype(
            {"day": "datetime64[us]"}
        ),
    ],
    ids=["polars", "polars lazy", "narwhals", "pandas"],
)
def test_a_data_frame_gives_the_same(made):
    assert whole(open_table(made())).equals(EXPECTED)


def test_columns_of_pandas_by_their_kinds():
    frame = pd.DataFrame(
        {
            "x": pd.array([1, None, 3], dtype="Int64"),
            "c": pd.Categorical(["u", None, "u"]),
            "b": [True, False, True],
            "f": np.array([1, np.nan, 3], np.float32),
        }
    )
    found = whole(open_table(frame))
    assert found["x"].to_list() == [1.0, None, 3.0]
    assert found["c"].to_list() == ["u", None, "u"]
    assert found["b"].to_list() == ["true", "false", "true"]
    assert found["f"].to_list() == [1.0, None, 3.0]
    frame = pd.DataFrame({0: [1, 2], "t": pd.to_timedelta([1, 2]), "o": [{1}, {2}]})
    assert open_table(frame).kinds == {"0": "number", "t": "other", "o": "other"}


def test_arrays_become_columns(tmp_path):
    X, y = np.arange(6.0).reshape(3, 2), np.array(["a", "b", "a"])
    np.savez(tmp_path / "t.npz", X=X, y=y)
    found = whole(open_table(tmp_path / "t.npz"))
    assert found.to_dict(as_series=False) == {
        "X.0": [0, 2, 4],
        "X.1": [1, 3, 5],
        "y": ["a", "b", "a"],
    }
    np.save(tmp_path / "t.npy", X)
    assert whole(open_table(tmp_path / "t.npy")).columns == ["0", "1"]
    rows = np.array([(1.5, 2)], dtype=[("size", "f4"), ("count", "u1")])
    np.save(tmp_path / "s.npy", rows)
    assert whole(open_table(tmp_path / "s.npy")).row(0) == (1.5, 2.0)


def test_numbers_can_be_categories(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("zip,code\n01234,1\n89073,2\n")
    assert whole(open_table(path, categorical=["zip"]))["zip"].to_list() == ["01234", "89073"]
    for frame in (pl.DataFrame({"zip": [1.0, 2.5]}), pl.DataFrame({"zip": [1, 2]})):
        assert whole(open_table(frame, categorical=["zip"]))["zip"][0] == "1"


def test_only_the_empty_field_is_missing_unless_more_is_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('x,c\n1,NA\n,\n3,-\n4,""\n5,a\n')
    assert whole(open_table(path))["c"].to_list() == ["NA", None, "-", None, "a"]
    path.write_text("x,c\n1,NA\n,\n-,-\n4,a\n5,a\n")
    found = whole(open_table(path, missing=["NA", "-"]))
    assert found["c"].to_list() == [None, None, None, "a", "a"]
    assert found["x"].to_list() == [1, None, None, 4, 5]


def test_the_dialect_is_found(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbf"a;1";b\r\n1;x\r\n2;"y\r\nz"\r\n')
    source = open_table(path)
    assert source.notes == ["fields are separated by semicolons"]
    assert whole(source).to_dict(as_series=False) == {"a;1": [1.0, 2.0], "b": ["x", "y\r\nz"]}


def test_nan_is_missing_where_it_is_said(tmp_path):
    x = np.array([1.0, np.nan])
    np.savez(tmp_path / "t.npz", x=x)
    pl.DataFrame({"x": x}).write_parquet(tmp_path / "t.parquet")
    pl.DataFrame({"x": x}).write_csv(tmp_path / "t.csv")
    for ending in ("npz", "parquet", "csv"):
        path = tmp_path / f"t.{ending}"
        assert np.isnan(whole(open_table(path))["x"][1])
        assert whole(open_table(path, missing=["NaN"]))["x"].to_list() == [1.0, None]


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (np.ones(2, np.float16), "number"),
        (np.ones(2, ">f8"), "number"),
        (np.ones(2, bool), "text"),
        (np.array(["2020-01-01"] * 2, "datetime64[D]"), "date"),
        (np.ones(2, complex), "other"),
        (np.ones(2, "timedelta64[s]"), "other"),
        (np.array([b"a", b"b"]), "other"),
    ],
    ids=lambda x: str(getattr(x, "dtype", x)),
)
def test_kinds_of_arrays(tmp_path, x, kind):
    np.savez(tmp_path / "t.npz", x=x)
    source = open_table(tmp_path / "t.npz")
    assert source.kinds == {"x": kind}
    if kind != "other":
        assert len(whole(source)) == 2


TEXT = st.text(st.sampled_from('ab,;"\n \t'), min_size=1, max_size=6).filter(
    lambda text: text.strip() == text
)


@given(st.lists(st.tuples(st.integers(0, 99), TEXT), min_size=1, max_size=40), st.integers(1, 40))
def test_blocks_of_any_size_end_with_a_row(tmp_path_factory, rows, size):
    """Quotes, separators and line breaks in text, and blocks that end in the middle of all."""
    path = tmp_path_factory.mktemp("blocks") / "t.csv"
    frame = pl.DataFrame({"x": [x for x, _ in rows], "c": [c for _, c in rows]})
    frame.write_csv(path, quote_style="non_numeric")
    source = TextSource(path, block=1 << 20, categorical=["c"])
    source._block = size
    found = whole(source)
    assert found["x"].to_list() == [float(x) for x, _ in rows]
    assert found["c"].to_list() == [c for _, c in rows]
    text = path.read_text()
    for k in range(len(rows)):
        line = int(source.where(k).removeprefix("line "))
        assert text.splitlines()[line - 1].startswith(f"{rows[k][0]},")


def test_a_last_line_without_an_end_and_empty_lines_after_it(tmp_path):
    path = tmp_path / "t.csv"
    for end in ("", "\n", "\n\n\n", "\r\n\r\n"):
        path.write_bytes(f"x,c\n1,a\n2,b{end}".encode())
        assert whole(open_table(path))["c"].to_list() == ["a", "b"]


def test_a_table_of_one_column_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x\n1\n2\n")
    assert whole(open_table(path))["x"].to_list() == [1.0, 2.0]


def test_a_model_reads_other_formats_than_it_was_trained_on(tmp_path):
    """Dates are text in CSV and dates in Parquet; whole numbers are floats or not."""
    rng = np.random.default_rng(0)
    n = 120
    day = pl.date_range(pl.date(2023, 1, 1), pl.date(2023, 4, 30), eager=True)
    frame = pl.DataFrame(
        {"day": day, "k": rng.integers(0, 5, n), "t": rng.choice(["1", "2"], n)}
    ).with_columns(y=pl.col("k") * 2 + pl.col("day").dt.month())
    for ending in ("csv", "parquet"):
        write_predictions([frame], tmp_path / f"t.{ending}")
    options = {"dates": "parts", "categorical": ["t"], "epochs": 2, "task": "regression"}
    for ending in ("csv", "parquet"):
        made = train_table(tmp_path / f"t.{ending}", "y", **options).model
        a, b = (made.predict(tmp_path / f"t.{other}") for other in ("csv", "parquet"))
        assert a.equals(b)
        one = frame[:1].with_columns(day=pl.lit(None, pl.Date))
        one.write_csv(tmp_path / "one.csv")
        assert np.isfinite(made.predict(tmp_path / "one.csv")["y"][0])
