"""What the commands for tables print, and what happens where it cannot be printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from table_commands import here, rows

from chainrule.interop.data import read_model, train_table, write_predictions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a table and a model."""
    folder = tmp_path_factory.mktemp("tables")
    write_predictions([rows(200)], folder / "t.csv")
    train_table(folder / "t.csv", "y", epochs=1).model.save(folder / "m")
    return folder


def command(*arguments, **options):
    """Run the command in a process of its own, and return its code and what it said of errors."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-W", "error", "-m", "chainrule", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
        **options,
    )
    return done.returncode, done.stderr


# ------------------------------------------------------------------------- nobody reads, no room


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_for_the_output_is_no_traceback(folder, options):
    with Path("/dev/full").open("w") as full:
        code, said = command("evaluate", folder / "m", folder / "t.csv", *options, stdout=full)
    assert code == 1
    assert said.splitlines()[0] == "OSError: [Errno 28] No space left on device"
    assert "Traceback" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_training_goes_on_where_its_log_is_full(folder, tmp_path):
    options = [folder / "t.csv", "--target", "y", "--out", tmp_path / "m", "--epochs", "3"]
    with Path("/dev/full").open("w") as full:
        code, said = command("train", *options, stdout=full)
    assert said == "No space left on device: nothing more is printed\n"
    assert code == 0
    assert len(read_model(tmp_path / "m").about["history"]) == 3


def test_a_training_goes_on_when_nobody_reads_any_more(folder, tmp_path):
    """As in: chainrule train … | head -1."""
    options = [folder / "t.csv", "--target", "y", "--out", tmp_path / "m", "--epochs", "20"]
    reading, writing = os.pipe()
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "chainrule", "train", *map(str, options)],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert len(read_model(tmp_path / "m").about["history"]) == 20


# ------------------------------------------------------------------------- files and options


def test_what_is_read_is_never_written_over(folder, tmp_path, monkeypatch, capsys):
    table, model = tmp_path / "t.csv", tmp_path / "m.csv"
    table.write_bytes((folder / "t.csv").read_bytes())
    model.write_bytes((folder / "m").read_bytes())
    before = table.read_bytes(), model.read_bytes()
    train = ["train", table, "--target", "y", "--epochs", "1"]
    for arguments, says in (
        ([*train, "--out", table], "it is also read"),
        ([*train, "--out", tmp_path / "n", "--plot", table], "it is also read"),
        ([*train, "--out", tmp_path / "n", "--plot", tmp_path / "n"], "two outputs"),
        (["predict", model, table, "--out", table], "it is also read"),
        (["predict", model, table, "--out", model], "it is also read"),
    ):
        _, said = here(monkeypatch, capsys, *arguments, code=2)
        assert said.startswith("CR303 SettingError: ")
        assert says in said
    assert (table.read_bytes(), model.read_bytes()) == before
    assert sorted(x.name for x in tmp_path.iterdir()) == ["m.csv", "t.csv"]


def test_a_dash_is_a_value_among_several(tmp_path, monkeypatch, capsys):
    """As the guide has it: --missing NA -."""
    table, model = tmp_path / "t.csv", tmp_path / "m"
    lines = [f"{'NA' if k % 5 == 0 else '-' if k % 5 == 1 else k},{k % 2}" for k in range(60)]
    table.write_text("\n".join(["x,y", *lines]) + "\n")
    options = ["train", table, "--target", "y", "--out", model, "--epochs", "1"]
    here(monkeypatch, capsys, *options, "--missing", "NA", "-", "--seed", "1")
    made = read_model(model)
    assert made.preprocessing.missing == ["NA", "-"]
    assert made.preprocessing.numeric[0].indicator
    assert made.about["settings"]["seed"] == 1


def test_help_says_what_each_option_takes(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    out, _ = here(monkeypatch, capsys, "train", "--help")
    for text in ("--hidden UNITS...", "come after FILE", "--resume", "130 after Ctrl-C"):
        assert text in out
    assert "<" not in out.split("Options:")[1]


# ------------------------------------------------------------------------- words


def test_words_for_rows_losses_and_means(tmp_path, monkeypatch, capsys):
    table, model = tmp_path / "t.csv", tmp_path / "m"
    lines = [f'{k - 70},"{"no" if k % 2 else "yes"}\nsir"' for k in range(60)]
    table.write_text("\n".join(["x,y", *lines]) + "\n")
    options = ["train", table, "--target", "y", "--out", model, "--epochs", "1"]
    out, _ = here(monkeypatch, capsys, *options, "--validation", "0")
    assert "classification: 'y' has 2 classes (no sir, yes sir)" in out
    assert "On the 60 rows it was trained on:" in out
    assert "\n  yes sir  " in out
    out, _ = here(monkeypatch, capsys, "show", model)
    assert "  x  (x + 40.5) / 17.3181\n" in out
    out, _ = here(monkeypatch, capsys, *options, "--validation", "0.02")
    assert "On 1 row kept aside:" in out


def test_ctrl_c_before_the_first_step_is_said(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("chainrule.interop.data.training.fit_preprocessing", interrupted)
    options = [folder / "t.csv", "--target", "y", "--out", tmp_path / "m"]
    _, said = here(monkeypatch, capsys, "train", *options, code=130)
    assert said.strip() == "interrupted; nothing was written"
    assert list(tmp_path.iterdir()) == []


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_an_error_of_memory_says_what_to_take_less_of(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("chainrule.interop.data.training.TableNetwork", too_large)
    options = [folder / "t.csv", "--target", "y", "--out", tmp_path / "m"]
    _, said = here(monkeypatch, capsys, "train", *options, code=1)
    assert said.splitlines()[1].strip().startswith("Take fewer units (--hidden)")
    out, _ = here(monkeypatch, capsys, "train", *options, "--json", code=1)
    assert json.loads(out)["error"]["kind"] == "MemoryError"


def too_large(*_, **__):
    raise MemoryError("Unable to allocate 7 TiB")


@pytest.mark.parametrize("options", [["--features", "age", "town"], ["--hidden", "4", "2"]])
def test_a_file_behind_an_option_of_several_values_is_noticed(folder, options, monkeypatch, capsys):
    arguments = ["train", *options, folder / "t.csv", "--target", "y", "--out", folder / "n"]
    _, said = here(monkeypatch, capsys, *arguments, code=2)
    assert "Files stand before options that take several values." in said
    _, said = here(monkeypatch, capsys, "train", *options, "--out", folder / "n", code=2)
    assert "Files stand before" not in said


def test_events_that_could_not_be_written_are_said_before_the_table_is_read(
    folder, tmp_path, monkeypatch, capsys
):
    options = [folder / "t.csv", "--target", "y", "--out", tmp_path / "m"]
    out, said = here(
        monkeypatch, capsys, "train", *options, "--tensorboard", folder / "t.csv", code=1
    )
    assert said.startswith("CR904 FileAccessError: the file cannot be written")
    assert out == ""
