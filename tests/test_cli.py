"""The command line: exit codes, plain text, and what importing the package costs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from chainrule import __version__, cli
from chainrule.errors import GradientError


def run(*arguments, code):
    """Run a command as a user would, and return what it printed."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, *arguments], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def exit_code(monkeypatch, *arguments):
    """Return the exit code of the command in this process."""
    monkeypatch.setattr(sys, "argv", ["chainrule", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code


def test_the_module_is_the_command():
    assert run("-m", "chainrule", "--version", code=0) == f"chainrule {__version__}\n"


def test_help_lists_the_commands_in_plain_text(monkeypatch, capsys):
    assert exit_code(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    assert "demo" in text
    assert text.isascii()


@pytest.mark.parametrize(
    "arguments", [(), ("nothing",), ("demo", "--epochs", "0"), ("demo", "--seed", "x")]
)
def test_wrong_use_exits_with_2(monkeypatch, capsys, arguments):
    assert exit_code(monkeypatch, *arguments) == 2
    assert "Usage" in "".join(capsys.readouterr())


def raising(error):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    return app


def test_an_error_of_ours_is_text_and_exits_with_1(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", raising(GradientError("it differs.", "x: 1", advice="Look.")))
    assert exit_code(monkeypatch) == 1
    said = capsys.readouterr().err
    assert said.startswith("CR601 GradientError: it differs.\n  x: 1\n")
    assert "Traceback" not in said


def test_an_interrupted_run_exits_with_130(monkeypatch):
    monkeypatch.setattr(cli, "app", raising(KeyboardInterrupt()))
    assert exit_code(monkeypatch) == 130


def test_importing_the_package_loads_nothing_heavy_and_no_command():
    code = (
        "import sys, chainrule; chainrule.gradcheck; chainrule.open\n"
        "heavy = {'scipy', 'llvmlite', 'sklearn', 'rich', 'typer', 'chainrule.cli'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert run("-W", "error", "-c", code, code=0) == "[]\n"
