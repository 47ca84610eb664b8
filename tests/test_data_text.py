"""Text files as people write them: quotes, spaces, decimal commas, dates, and what is no table."""

import csv
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.errors import CellError, DataError
from chainrule.interop.data import fit_preprocessing, open_table, write_predictions
from chainrule.interop.data.dialect import unpadded


def whole(path):
    source = open_table(path)
    return source, pl.concat([frame for _, frame in source.scan(list(source.kinds))])


def written(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


ROWS = "".join(f"{k},pipe,{k % 2}\n" for k in range(20))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'x,c,y\n{ROWS}7,5" pipe,1\n{ROWS}', "line 22 of"),
        (f'x,c,y\n{ROWS}7,5" pipe,1\n8,6" pipe,0\n', "line 22 of"),
        (f'x,c,y\n7,"pipe,1\n{ROWS}', "line 2 of"),
        (f'x,c,y\n{ROWS}7,"pipe" and more,1\n{ROWS}', "line 22 of"),
        (f'x,c,y\n7,"pi""pe\nor",1\n{ROWS}7,"pipe,1\n8,"tube",0\n', "line 24 of"),
    ],
)
def test_a_quotation_mark_that_encloses_nothing_is_named_with_its_line(tmp_path, text, says):
    with pytest.raises(DataError, match="quotation mark that does not enclose") as caught:
        whole(written(tmp_path, text))
    assert says in str(caught.value)
    assert "pipe" in caught.value.facts[0]


@pytest.mark.parametrize(
    ("text", "says", "advice"),
    [
        ("x,y\r1,2\r3,4\r", "end with \\r alone", "tr '\\r' '\\n'"),
        (b"\x1f\x8b\x08\x08abc\nde", "compressed by gzip", "gunzip"),
        ("x,y\n1,2\n".encode("utf-16"), "is not UTF-8", "iconv -f utf-16"),
        ("x,y\n1,ü\n".encode("latin-1"), "line 2 of", "iconv -f latin1"),
        (",x,y\n0,1,2\n1,3,4\n", "column 1 of", "to_csv(index=False)"),
        ("x,y\n1,2\n\n3,4\n", "line 3 of", "grep -v"),
        ("x\ry,z\n1,2\n", "the first line of", "names of the columns"),
        ("", "is empty", "copied whole"),
    ],
)
def test_the_way_out_fits_what_is_wrong(tmp_path, text, says, advice):
    with pytest.raises(DataError) as caught:
        whole(written(tmp_path, text))
    assert says in str(caught.value)
    assert advice in caught.value.advice


def test_spaces_beside_separators_are_not_read(tmp_path):
    path = written(tmp_path, 'x, c , "d, e"\n 1.5, a b , "q, r" \n  2, c, s\n')
    source, frame = whole(path)
    assert source.kinds == {"x": "number", "c": "text", "d, e": "text"}
    assert frame.rows() == [(1.5, "a b", "q, r"), (2.0, "c", "s")]
    assert source.notes == ["spaces beside commas are not read"]
    source, frame = whole(written(tmp_path, "x | c\n1 | a\n2 | b\n"))
    assert frame.rows() == [(1.0, "a"), (2.0, "b")]


def test_spaces_in_text_are_text(tmp_path):
    source, frame = whole(written(tmp_path, "x,c\n1, a\n2,b\n3,c \n"))
    assert frame["c"].to_list() == [" a", "b", "c "]
    assert source.notes == []


FIELD = st.text(st.sampled_from('ab,; "\n'), max_size=6).filter(lambda text: text.strip() == text)


@given(st.lists(st.lists(FIELD, min_size=2, max_size=2), min_size=1, max_size=9), st.data())
def test_what_stands_between_quotes_keeps_its_spaces(rows, data):
    def line(fields):
        quoted = ('"' + field.replace('"', '""') + '"' for field in fields)
        pads = (" " * data.draw(st.integers(0, 2)) for _ in range(4))
        return ",".join(next(pads) + field + next(pads) for field in quoted) + "\n"

    text = unpadded("".join(map(line, rows)).encode(), ",").decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows


def test_decimal_commas_are_found_and_not_mixed_up_with_points(tmp_path):
    source, frame = whole(written(tmp_path, "x;n;c\n1,5;3;a\n-2,25e1;4;b\n"))
    assert frame.rows() == [(1.5, 3.0, "a"), (-22.5, 4.0, "b")]
    assert source.notes[1] == "numbers are written with a decimal comma"
    source, frame = whole(written(tmp_path, "x;n\n1.5;3\n2.5;4\n"))
    assert frame["x"].to_list() == [1.5, 2.5]
    assert source.notes == ["fields are separated by semicolons"]
    rows = "".join(f"{k},5;a\n" for k in range(20_000))
    with pytest.raises(CellError, match="text on line 20002") as caught:
        whole(written(tmp_path, f"x;c\n{rows}?;a\n"))
    assert caught.value.facts == ("line 20002: '?'",)


@pytest.mark.parametrize("shown", ["1,234.50", "5 %", "$3", "7,25"])
def test_numbers_that_are_read_as_text_are_said(tmp_path, shown):
    source, _ = whole(written(tmp_path, f'x,y\n"{shown}",1\n"{shown}",0\n'))
    assert source.kinds["x"] == "text"
    assert source.notes == [f"'x' is read as text: {shown!r} is not written as a number"]


@pytest.mark.parametrize("form", ["2024-02-{:02}", "{:02}.02.2024", "2024-02-{:02}T10:00:00Z"])
def test_one_bad_date_is_an_error_and_no_category(tmp_path, form):
    rows = [form.format(1 + k % 28) for k in range(40)]
    path = written(tmp_path, "\n".join(["d,x,y", *(f"{d},{len(d)},{d[-1]}" for d in rows)]) + "\n")
    source, frame = whole(path)
    assert source.kinds["d"] == "date"
    assert frame["d"].dt.day().to_list() == [1 + k % 28 for k in range(40)]
    path.write_text(path.read_text() + f"{form.format(99)},1,0\n")
    with pytest.raises(CellError, match="line 42 has"):
        whole(path)


def test_parts_of_dates_that_are_not_there_are_said(tmp_path):
    path = written(tmp_path, "x,y\n" + "".join(f"{k},{k % 2}\n" for k in range(30)))
    notes = fit_preprocessing(open_table(path), "y", dates="parts").notes
    assert notes[-1] == "no column has dates, of which parts were asked for"


def test_dates_in_text_are_dates_in_every_format(tmp_path):
    """Else the same table would have other features in a frame than in a CSV."""
    days = [f"2024-{1 + k % 12:02}-{1 + k % 28:02}" for k in range(59)]
    frame = pl.DataFrame({"d": [*days, "-"], "c": ["a", "b"] * 30, "y": [0, 1, 1] * 20})
    for ending in ("npz", "csv", "parquet"):
        write_predictions([frame], tmp_path / f"t.{ending}")
    found = [
        fit_preprocessing(open_table(table, missing=["-"]), "y", dates="parts").preprocessing
        for table in (frame, *(tmp_path / f"t.{ending}" for ending in ("csv", "parquet", "npz")))
    ]
    assert found[0].dates == {"d": "%Y-%m-%d"}
    assert [made == found[0] for made in found] == [True] * 4
    assert open_table(frame, missing=["-"], categorical=["d"]).kinds["d"] == "text"
