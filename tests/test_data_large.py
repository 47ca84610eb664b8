"""A CSV of 2 GB trains in less than 1 GB of memory, and is read as fast as polars scans it."""

import os
import shutil
import statistics
import sys
import time

import numpy as np
import polars as pl
import pytest

from chainrule.interop.data import fit_preprocessing, open_table, read_model
from chainrule.interop.data.streaming import Shuffled

SIZE = 2_000_000_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "wait4"), reason="asks the system for the peak of a child"),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Write numbers, two columns of categories and a class that follows from them."""
    folder = tmp_path_factory.mktemp("large")
    if shutil.disk_usage(folder).free < 3 * SIZE:
        pytest.skip("needs 6 GB on the disk")
    path = folder / "t.csv"
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        while file.tell() < SIZE:
            frame = _rows(rng, 400_000)
            file.write(frame.write_csv(include_header=not file.tell()).encode())
    yield path
    path.unlink()


def _rows(rng, count):
    x = np.round(rng.normal(size=(count, 15)), 6)
    town = rng.integers(0, 100, count)
    colour = rng.integers(0, 3, count)
    y = x[:, 0] + x[:, 1] * x[:, 2] + (town % 7 - 3) / 3 + (colour == 1) > 0
    numbers = {f"x{k}": x[:, k] for k in range(15)}
    colours = np.array(["red", "green", "blue"])[colour]
    towns = np.char.add("t", town.astype(str))
    return pl.DataFrame({**numbers, "colour": colours, "town": towns, "y": y.astype(int)})


def test_it_trains_in_bounded_memory(table, tmp_path, record_property):
    model = tmp_path / "m"
    command = [sys.executable, "-m", "chainrule", "train", str(table), "--target", "y"]
    command += ["--out", str(model), "--epochs", "1", "--batch-size", "512"]
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, used = os.wait4(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    record_property("peak MB", peak / 1e6)
    assert peak < 1e9
    about = read_model(model).about
    assert about["rows"] > 10_000_000
    assert about["metrics"]["accuracy"] > 0.9


def test_it_is_read_at_half_the_speed_of_a_scan_at_least(table, record_property):
    """In turns, so that what else the machine does slows both."""
    source = open_table(table)
    fitted = fit_preprocessing(source, "y")
    stream = Shuffled(source, fitted, 500_000, 0)
    everything = pl.col(pl.Float64).sum(), pl.col(pl.String).n_unique()
    ratios = []
    for _ in range(5):
        start = time.perf_counter()
        pl.scan_csv(table).select(*everything).collect(engine="streaming")
        scan, start = time.perf_counter() - start, time.perf_counter()
        rows = sum(len(fill.order) for fill in stream.fills_from(0, 0))
        ratios.append(scan / (time.perf_counter() - start))
    assert rows == fitted.rows
    record_property("speed beside polars", ratios)
    assert statistics.median(ratios) > 0.5
