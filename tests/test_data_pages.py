"""Parquet files whose page headers were changed, and those that only look odd."""

import random

import numpy as np
import polars as pl
import pytest

from chainrule.errors import DataError
from chainrule.interop.data import open_table
from chainrule.interop.data.pages import require_sound_pages

N = 3000


def frame():
    text = [None if k % 7 == 0 else f"t{k % 50}" for k in range(N)]
    return pl.DataFrame({"x": np.arange(float(N)), "c": text, "b": [True, False] * (N // 2)})


def zigzag(x):
    """Return a number as Thrift's compact protocol writes it; two bytes for 64 ≤ |x| < 8192."""
    x = x << 1 ^ (x >> 63)
    return bytes([x & 0x7F | 0x80, x >> 7])


@pytest.mark.parametrize("claim", [N + 1, 8000, -N, -1000])
def test_a_page_that_claims_more_than_there_is_ends_no_process(tmp_path, claim):
    """polars 2.1 asks for 2 ** 61 bytes where a count is negative, and aborts."""
    path = tmp_path / "t.parquet"
    frame().select("x").write_parquet(path, compression="uncompressed", statistics=False)
    data = bytearray(path.read_bytes())
    field = b"\x2c\x15" + zigzag(N)  # of a page's header, the first: the number of its values
    at = data.index(field, 4)
    assert at < 24
    data[at : at + 4] = b"\x2c\x15" + zigzag(claim)
    path.write_bytes(data)
    with pytest.raises(DataError, match="claims more values than its column has") as caught:
        open_table(path)
    assert caught.value.facts == (f"the part of the column begins at byte 4, and has {N} values",)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "lz4", "uncompressed", "brotli"])
@pytest.mark.parametrize("options", [{}, {"row_group_size": 700, "data_page_size": 500}])
def test_whole_files_are_read(tmp_path, compression, options):
    path = tmp_path / "t.parquet"
    nested = frame().with_columns(l=pl.lit([1, 2, 3]), s=pl.struct("x", "c"), n=pl.lit(None))
    nested.write_parquet(path, compression=compression, **options)
    require_sound_pages(path)
    source = open_table(path)
    assert source.frame(source.blocks[0], ["x"])["x"].to_list() == frame()["x"].to_list()


def test_what_is_not_understood_is_left_to_polars(tmp_path):
    """Any bytes are gone through, and nothing else than this error is raised."""
    path = tmp_path / "t.parquet"
    frame().write_parquet(path)
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    draw = random.Random(0)
    refused = []
    for fill in (b"\xff", b"\x1c", b"\x19", b"\x00", None):
        for begin, end in ((len(data) - 8 - footer, len(data) - 8), (4, 60)):
            size = end - begin
            body = draw.randbytes(size) if fill is None else fill * size
            path.write_bytes(data[:begin] + body + data[end:])
            try:
                require_sound_pages(path)
            except DataError:
                refused.append(body)
    for k in range(300):  # bytes here and there in the first header: more is understood of it
        body = bytearray(data[:44])
        for _ in range(3):
            body[draw.randrange(4, 44)] = draw.choice([255, 254, 128, draw.randrange(256)])
        path.write_bytes(bytes(body) + data[44:])
        try:
            require_sound_pages(path)
        except DataError:
            refused.append(k)
    assert len([x for x in refused if isinstance(x, bytes)]) == 0
    assert 0 < len(refused) < 100
    path.write_bytes(data[:6])
    require_sound_pages(path)
    with pytest.raises(DataError, match="is damaged, or not of the format"):
        open_table(path)
