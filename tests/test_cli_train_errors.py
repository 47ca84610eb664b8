"""What a user of the commands for tables can do wrong, and a disk or a reader as well."""

import json
import os
import subprocess
import sys

import pytest
from table_commands import FULL_DISK, here, rows, run

from chainrule import cli
from chainrule.interop.data import write_predictions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a table in it."""
    folder = tmp_path_factory.mktemp("tables")
    write_predictions([rows()], folder / "t.csv")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--target", "Y", "--out", "m"], 1, "CR952 ColumnError"),
        (["--target", "y"], 2, "--out"),
        (["--out", "m"], 2, "--target"),
        (["--target", "y", "--out", "m", "--epochs", "x"], 2, "--epochs"),
        (["--target", "y", "--out", "m", "--activation", "rleu"], 2, "CR303 SettingError"),
        (["--target", "y", "--out", "m", "--hidden", "64", "x"], 2, "--hidden"),
        (["--target", "y", "--out", "m", "--hidden"], 2, "--hidden"),
        (["--target", "y", "--out", "m", "--learning-rate", "1e30"], 1, "CR305 DivergenceError"),
        (["--target", "y", "--out", "none/m"], 1, "CR904 FileAccessError"),
        (["--target", "y", "--out", "."], 1, "CR904 FileAccessError"),
        (["--target", "y", "--out", "m", "--plot", "none/m.png"], 1, "CR904 FileAccessError"),
    ],
)
def test_exit_codes(arguments, code, says, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, said = here(monkeypatch, capsys, "train", folder / "t.csv", *arguments, code=code)
    assert says in said
    assert list(tmp_path.iterdir()) == []


def test_an_error_for_machines(folder, tmp_path, monkeypatch, capsys):
    options = [folder / "t.csv", "--target", "Y", "--out", tmp_path / "m", "--json"]
    out, _ = here(monkeypatch, capsys, "train", *options, code=1)
    error = json.loads(out)["error"]
    assert (error["code"], error["kind"]) == ("CR952", "ColumnError")
    assert error["advice"] == "Did you mean 'y'?"


def test_debug_prints_the_traceback(folder, tmp_path, monkeypatch, capsys):
    arguments = ["train", folder / "t.csv", "--target", "Y", "--out", tmp_path / "m", "--debug"]
    monkeypatch.setattr(sys, "argv", ["chainrule", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ColumnError: CR952" in said


def test_what_nobody_thought_of_is_a_line_too(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("chainrule.interop.data.training.Settings", lambda **_: 1 / 0)
    options = [folder / "t.csv", "--target", "y", "--out", tmp_path / "m"]
    _, said = here(monkeypatch, capsys, "train", *options, code=1)
    assert said == "ZeroDivisionError: division by zero\n  --debug shows where it happened.\n"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs a system with users")
def test_a_folder_that_cannot_be_written(folder, tmp_path, monkeypatch, capsys):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.geteuid() == 0:  # to whom no folder is closed
        monkeypatch.setattr("tempfile.TemporaryFile", refusing)
    options = [folder / "t.csv", "--target", "y", "--out", closed / "m"]
    _, said = here(monkeypatch, capsys, "train", *options, code=1)
    assert "CR904 FileAccessError: the file cannot be written: Permission denied." in said


def refusing(*_, **__):
    raise PermissionError(13, "Permission denied")


def test_a_full_disk_leaves_old_files_as_they_were(folder, tmp_path, monkeypatch, capsys):
    model, out, picture = tmp_path / "m", tmp_path / "p.csv", tmp_path / "m.png"
    common = ["train", folder / "t.csv", "--target", "y", "--out", model, "--epochs", "2"]
    here(monkeypatch, capsys, *common)
    before = model.read_bytes()
    out.write_text("old")
    _, said = run(*common, "--seed", "1", code=1, program=FULL_DISK)
    assert "CR904 FileAccessError" in said
    assert "File too large" in said
    assert model.read_bytes() == before
    predict = ["predict", model, folder / "t.csv", "--out", out]
    _, said = run(*predict, code=1, program=FULL_DISK)
    assert "CR904 FileAccessError: the file cannot be written: File too large." in said
    assert out.read_text() == "old"
    _, said = run(*common, "--hidden", "2", "--plot", picture, code=1, program=FULL_DISK)
    assert "File too large" in said
    assert sorted(x.name for x in tmp_path.iterdir()) == ["m", "p.csv"]


def test_output_that_nobody_reads_on(folder, tmp_path, monkeypatch, capsys):
    here(monkeypatch, capsys, "train", folder / "t.csv", "--target", "y", "--out", tmp_path / "m")
    command = [sys.executable, "-m", "chainrule", "predict", tmp_path / "m", folder / "t.csv"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    process.wait(60)
    assert said == ""
