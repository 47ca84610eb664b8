"""``chainrule check``: files that do not run, and how findings are printed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from checked_files import CALCULUS, LAYERS, MODULES, UNKNOWN, import_here, line_of, said, written

from chainrule.errors import CheckedFileError
from chainrule.interop.files import check_file


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """Return an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(apart, monkeypatch):
    """Return such a folder, whose files are imported in this process."""
    import_here(monkeypatch)
    return apart


# ------------------------------------------------------------------ files that do not run

BROKEN = {
    "def f(:\n": "net.py:1: it is not Python",
    "x = 1\nimport nothere\n": "net.py:2: it imports nothere, which is not installed here",
    "x = {}\n\nx['a']\n": "net.py:3: it raises KeyError on import: 'a'",
    "import sys\nsys.exit(4)\n": "net.py:2: it leaves Python on import, with sys.exit(4)",
    "x = 1\n": "net.py: there is no backward pass in it",
    "": "net.py: there is no backward pass in it",
}
ENDED = {
    "import os\nos._exit(3)\n": "net.py: Python ended with code 3, on import",
    "import os\nos.kill(os.getpid(), 9)\n": "net.py: Python ended by signal 9, on import",
    "name = input('Name: ')\n": "net.py:1: it raises EOFError on import",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_that_does_not_import_is_one_message(folder, capsys, monkeypatch, text):
    out = said(capsys, monkeypatch, written(folder, text), code=2)
    assert out.startswith(f"CR603 CheckedFileError: {BROKEN[text]}")


@pytest.mark.parametrize("text", ENDED)
def test_a_file_that_ends_python_is_one_message(apart, capsys, monkeypatch, text):
    out = said(capsys, monkeypatch, written(apart, text), code=2)
    assert out.startswith(f"CR603 CheckedFileError: {ENDED[text]}")


@pytest.mark.parametrize("path", ["nowhere.py", "."])
def test_what_is_no_file_is_said(apart, capsys, monkeypatch, path):
    assert f"CheckedFileError: {path}: " in said(capsys, monkeypatch, path, code=2)


def test_a_file_that_takes_too_long_is_stopped_and_so_is_what_it_started(apart):
    text = """
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print("waiting")
        time.sleep(60)
    """
    with pytest.raises(CheckedFileError, match="stopped after 1 s, on import") as caught:
        check_file(written(apart, text), timeout=1)
    assert caught.value.facts == ("it printed:", "  waiting") or not caught.value.facts


@pytest.mark.slow
def test_what_hangs_while_it_is_checked_is_named(apart):
    text = "def loss(w):\n    while True: pass\n    return 0.0, grad\n\ninputs = (1.0,)\n"
    with pytest.raises(CheckedFileError, match=r"net\.py:1: .* while loss was checked"):
        check_file(written(apart, text), timeout=4)


def test_a_file_sees_its_own_folder_and_no_terminal(apart):
    (apart / "sub").mkdir()
    (apart / "sub" / "beside.py").write_text("K = 2.0\n")
    text = """
        import sys
        from beside import K

        assert __name__ != "__main__" and not sys.stdin.isatty()
        print("what it prints is not in the way")


        def loss(w):
            return K * w, {"w": K}


        inputs = (3.0,)
    """
    path = apart / "sub" / "random.py"  # the name of a module of Python's
    path.write_text(textwrap.dedent(text))
    report = check_file(path)
    assert report.checked == ["loss"]
    assert report.printed == "what it prints is not in the way\n"


def test_a_class_that_needs_arguments_is_a_warning(folder, capsys, monkeypatch):
    text = MODULES.replace("inputs=4, outputs=3", "inputs, outputs") + CALCULUS
    out = said(capsys, monkeypatch, written(folder, text), code=1)
    assert "CD131 cannot be made without arguments. Affine was not checked" in out
    assert "Make one in the file: affine = Affine(…)" in out


def test_without_inputs_it_says_what_to_add(folder, capsys, monkeypatch):
    out = said(capsys, monkeypatch, written(folder, UNKNOWN), code=2)
    assert out.startswith("net.py:6: CD130 no inputs to check it on.")
    assert "nothing says what X and W are" in out
    assert 'forward_shapes = {"X": "…", "W": "…"}' in out
    assert "Not checked: forward, backward." in out


def test_shapes_and_arrays_come_from_the_command_line_too(folder, capsys, monkeypatch):
    path = written(folder, UNKNOWN)
    out = said(capsys, monkeypatch, path, "--shapes", "X:n d,W:d h", code=0)
    assert out == "Nothing is wrong. Checked forward, backward.\n"
    np.savez(folder / "arrays.npz", X=np.ones((3, 2)), W=np.eye(2))
    said(capsys, monkeypatch, path, "--inputs", "arrays.npz", code=0)
    out = said(capsys, monkeypatch, path, "--inputs", "none.npz", code=2)
    assert "there is no file none.npz" in out


def test_what_is_said_for_nothing_is_wrong_use(folder, capsys, monkeypatch):
    path = written(folder, UNKNOWN)
    out = said(capsys, monkeypatch, path, "--shapes", "X:n d,V:d h", code=2)
    assert "has an argument called V" in out
    assert "Arguments are: X, W." in out
    (folder / "arrays.npz").write_text("no archive")
    np.save(folder / "one.npy", np.ones(3))
    for file in ("arrays.npz", "one.npy"):
        out = said(capsys, monkeypatch, path, "--inputs", file, code=2)
        assert f"{file} holds no arrays by names" in out


def test_text_in_another_encoding_is_said(folder, capsys, monkeypatch):
    (folder / "net.py").write_bytes("x = 'Köln'\n".encode("latin-1"))
    out = said(capsys, monkeypatch, "net.py", code=2)
    assert out.startswith("CR603 CheckedFileError: net.py:1: it is not Python")
    (folder / "net.py").write_bytes("# coding: latin-1\nx = 'Köln'\n".encode("latin-1"))
    assert "no backward pass" in said(capsys, monkeypatch, "net.py", code=2)


# ------------------------------------------------------------------ how it is said


def test_it_reports_like_a_linter(folder, capsys, monkeypatch):
    text = CALCULUS.replace("    dy2 /= N\n", "").replace("dy2 = probs\n", "dy2 = probs.copy()\n")
    out = said(capsys, monkeypatch, written(folder, text), code=1).splitlines()
    line = line_of(text, "dy2[range(N), y] -= 1")
    assert out[0].startswith(f"net.py:{line}: CD222 the loss's own 1/m is missing: y2.")
    assert "  write: dy2 = " in "\n".join(out)
    assert out[-1] == "1 error. Checked forward, backward."
    assert not any("\x1b" in one for one in out)


def test_notes_do_not_fail_and_quiet_leaves_them_out(folder, capsys, monkeypatch):
    path = written(folder, CALCULUS)
    out = said(capsys, monkeypatch, path, code=0)
    assert "CD114 cache overwritten" in out
    assert out.endswith("Nothing is wrong; 2 notes. Checked forward, backward.\n")
    assert said(capsys, monkeypatch, path, "--quiet", code=0) == ""


def test_codes_are_selected(folder, capsys, monkeypatch):
    path = written(folder, CALCULUS.replace("    dy2 /= N\n", ""))
    assert "CD222" not in said(capsys, monkeypatch, path, "--select", "CD1", code=0)
    assert "CD114" not in said(capsys, monkeypatch, path, "--select", "CD2,CD3", code=1)


def test_json_is_one_object(folder, capsys, monkeypatch):
    path = written(folder, CALCULUS.replace("    dy2 /= N\n", ""))
    found = json.loads(said(capsys, monkeypatch, path, "--json", code=1))
    assert found["file"] == "net.py"
    assert found["checked"] == ["forward, backward"]
    (wrong,) = [f for f in found["findings"] if f["severity"] == "error"]
    assert (wrong["code"], wrong["tensor"]) == ("CD222", "y2")
    assert wrong["fix"]["numpy"].startswith("dy2 = ")
    error = json.loads(said(capsys, monkeypatch, "nowhere.py", "--json", code=2))["error"]
    assert error["code"] == "CR603"


def test_the_same_seed_gives_the_same_report(folder):
    path = written(folder, LAYERS.replace("dx /= N", "dx /= 2 * N"))
    first, again = (check_file(path, seed=5) for _ in range(2))
    assert first.findings == again.findings != []


def test_it_runs_as_a_command_without_a_terminal(apart):
    path = written(apart, LAYERS)
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-W", "error", "-m", "chainrule", "check", f"{path}:relu"],
        capture_output=True, text=True, encoding="utf-8", check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Nothing is wrong. Checked relu_forward, relu_backward.\n"
