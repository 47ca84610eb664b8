"""train, predict, evaluate, show as a user runs them: every format, Ctrl-C, going on."""

import json
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from table_commands import FORMATS, here, rows, run

from chainrule.interop.data import read_model, write_predictions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the same table in every format."""
    folder = tmp_path_factory.mktemp("tables")
    for ending in FORMATS:
        write_predictions([rows()], folder / f"t.{ending}")
    return folder


# ------------------------------------------------------------------------- as a user would


def test_train_interrupt_resume_evaluate_predict_show(tmp_path, folder, monkeypatch, capsys):
    table, model = folder / "t.csv", tmp_path / "m.safetensors"
    options = [table, "--target", "y", "--out", model, "--hidden", "16", "8", "--batch-size", "4"]
    options += ["--epochs", "60000", "--activation", "tanh", "--dropout", "0.1"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "chainrule", "train", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    for line in process.stdout:
        if line.startswith("  epoch "):
            break
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 130, rest + said
    assert "Traceback" not in said
    assert "the checkpoint is" in said
    assert "--resume" in said
    assert sorted(x.name for x in tmp_path.iterdir()) == ["m.safetensors.checkpoint"]

    told = [text for text in [line, *rest.splitlines()] if text.startswith("  epoch ")]
    done = int(told[-1].split()[1].split("/")[0])
    epochs = done + 4000  # more than were run before the signal came: a line stands for 3000
    out, _ = run("train", *options[:-5], str(epochs), *options[-4:], "--resume")
    first = out.index("  epoch ") + len("  epoch ")
    assert int(out[first:].split("/")[0]) >= done
    assert "On 40 rows kept aside:" in out
    assert [x.name for x in tmp_path.iterdir()] == ["m.safetensors"]
    assert len(read_model(model).about["history"]) == epochs

    out, _ = here(monkeypatch, capsys, "evaluate", model, table, "--json")
    found = json.loads(out)
    assert found["metrics"]["accuracy"] > 0.95
    assert np.sum(found["confusion"]) == 400
    here(monkeypatch, capsys, "predict", model, table, "--out", tmp_path / "p.csv")
    predicted = pl.read_csv(tmp_path / "p.csv")["y"]
    right = (predicted == rows()["y"]).mean()
    assert right == pytest.approx(found["metrics"]["accuracy"])
    out, _ = here(monkeypatch, capsys, "show", model)
    assert "layer 1: 5 → 16" in out
    assert "250 parameters; tanh between the layers, dropout 0.1" in out


def test_a_resumed_training_equals_one_that_was_not_interrupted(
    tmp_path, folder, monkeypatch, capsys
):
    common = ["train", folder / "t.csv", "--target", "y", "--checkpoint-every", "3"]
    here(monkeypatch, capsys, *common, "--out", tmp_path / "a", "--epochs", "6")
    here(monkeypatch, capsys, *common, "--out", tmp_path / "b", "--epochs", "3")
    here(monkeypatch, capsys, *common, "--out", tmp_path / "b", "--epochs", "6", "--resume")
    a, b = (read_model(tmp_path / name).network.state_dict() for name in "ab")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    _, said = here(
        monkeypatch, capsys, *common, "--out", tmp_path / "b", "--resume", "--hidden", "3", code=1
    )
    assert "the network is not what it was" in said
    _, said = here(
        monkeypatch, capsys, *common, "--out", tmp_path / "b", "--resume", "--drop", "town", code=1
    )
    assert "the preprocessing of the table is not what it was" in said


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_is_trained_on_judged_and_written(
    ending, folder, tmp_path, monkeypatch, capsys
):
    model, out = tmp_path / "m", tmp_path / f"p.{ending}"
    common = [folder / f"t.{ending}", "--target", "y", "--epochs", "3"]
    here(monkeypatch, capsys, "train", *common, "--out", model)
    whole, _ = here(monkeypatch, capsys, "evaluate", model, folder / f"t.{ending}", "--json")
    reference, _ = here(monkeypatch, capsys, "evaluate", model, folder / "t.parquet", "--json")
    assert json.loads(whole) == json.loads(reference)
    here(monkeypatch, capsys, "predict", model, folder / f"t.{ending}", "--out", out)
    printed, _ = here(monkeypatch, capsys, "predict", model, folder / f"t.{ending}")
    assert len(printed.splitlines()) == 401
    if ending == "npz":
        with np.load(out) as file:
            found = file["y"].tolist()
    elif ending == "npy":
        found = np.load(out)["y"].tolist()
    elif ending in {"parquet", "arrow"}:
        found = (pl.read_parquet if ending == "parquet" else pl.read_ipc)(out)["y"].to_list()
    else:
        found = pl.read_csv(out, separator="\t" if ending == "tsv" else ",")["y"].to_list()
    assert found == [line.split(",")[0] for line in printed.splitlines()[1:]]


def test_a_regression_for_machines(tmp_path, monkeypatch, capsys):
    table = tmp_path / "t.csv"
    x = np.linspace(-1, 1, 300)
    pl.DataFrame({"x": x, "y": 3 * x + 1}).write_csv(table)
    options = [table, "--target", "y", "--out", tmp_path / "m", "--epochs", "40", "--json"]
    out, err = here(monkeypatch, capsys, "train", *options)
    found = json.loads(out)
    assert err == ""
    assert found["metrics"]["R²"] > 0.99
    assert found["notes"][0] == "regression: 'y' has numbers from -2 to 4"
    assert [row["epoch"] for row in found["history"]] == list(range(1, 41))
    out, _ = here(monkeypatch, capsys, "evaluate", tmp_path / "m", table)
    assert "Target minus prediction" in out
    out, _ = here(monkeypatch, capsys, "predict", tmp_path / "m", table, "--json")
    predicted = [row["y"] for row in json.loads(out)["predictions"]]
    assert np.allclose(predicted, 3 * x + 1, atol=0.3)
    out, _ = here(monkeypatch, capsys, "show", tmp_path / "m", "--json")
    assert json.loads(out)["architecture"]["hidden"] == [64, 32]


def test_a_table_with_everything_is_trained_on_and_shown(tmp_path, monkeypatch, capsys):
    """Gaps, dates, 15 classes, many categories, columns that are left out; --hidden 0 is linear."""
    rng = np.random.default_rng(0)
    n = 900
    k = rng.integers(0, 15, n)
    frame = pl.DataFrame(
        {
            "x": [None if no else float(v) for no, v in zip(rng.random(n) < 0.1, k, strict=True)],
            "day": ["2024-01-31", "2024-02-01", "2023-05-03"] * (n // 3),
            "town": [f"t{v}" for v in rng.integers(0, 20, n)],
            "grade": rng.choice(["A", "-"], n),
            "zip": rng.integers(10, 14, n),
            "note": [f"n{v}" for v in range(n)],
            "y": [f"class {v}" for v in k],
        }
    )
    table, model = tmp_path / "t.csv", tmp_path / "m"
    frame.write_csv(table)
    options = [table, "--target", "y", "--out", model, "--hidden", "0", "--epochs", "2"]
    options += ["--categorical", "zip", "--missing", "-", "--dates", "parts", "--drop", "x", "note"]
    out, _ = here(monkeypatch, capsys, "train", *options)
    assert "'note' is left out: dropped" in out
    assert "Of 15 classes, those that are most often taken for another:" in out
    assert "taken for class" in out
    options[options.index("--drop") :] = ["--features", "x", "town", "day", "grade", "zip"]
    here(monkeypatch, capsys, "train", *options)
    shown, _ = here(monkeypatch, capsys, "show", model)
    for line in (
        "predicts 'y'",
        "one of 15 classes: class 0, class 1, class 10,",
        "embedding 1: 21 → 9 of 'town'",
        "day weekday",
        ", missing: the mean, and a column that says so",
        "a column of 0 and 1 for each of 4 values: 10, 11, 12, 13",
        "a column of 0 and 1 for each of 1 values: A, or missing",
        "embedded in 9 numbers of 20 values: ",
        "left out: not among the features",
        "read as missing: the empty field, '-'",
    ):
        assert line in shown
    architecture = read_model(model).architecture
    assert architecture.sizes == [len(read_model(model).preprocessing.features) + 9, 15]


def test_the_picture_and_the_events_are_written(folder, tmp_path, monkeypatch, capsys):
    options = [folder / "t.csv", "--target", "y", "--out", tmp_path / "m", "--epochs", "3"]
    options += ["--plot", tmp_path / "m.png", "--tensorboard", tmp_path / "events"]
    here(monkeypatch, capsys, "train", *options)
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert len(list((tmp_path / "events").iterdir())) == 1
