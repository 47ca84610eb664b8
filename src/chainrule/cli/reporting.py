"""How a command ends: what is printed of an error, for readers and for machines, and the code."""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from chainrule.errors import ChainruleError, CheckedFileError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["print_json", "reported", "silence"]


@contextmanager
def reported(*, debug: bool, as_json: bool) -> Iterator[None]:
    """Turn an error inside into text and an exit code: 2 for settings, 1 for all else.

    Parameters
    ----------
    debug
        Whether to print the traceback as well.
    as_json
        Whether to print the error as a JSON object.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:  # whoever read the output has seen enough
        silence()
        raise typer.Exit(1) from None
    except Exception as error:
        _say(error, debug=debug, as_json=as_json)
        is_use = isinstance(error, SettingError | CheckedFileError)
        raise typer.Exit(2 if is_use else 1) from error


def _say(error: Exception, *, debug: bool, as_json: bool) -> None:
    """Print an error; where the object cannot be printed, as text."""
    if debug:
        traceback.print_exc()
    if as_json:
        try:
            print_json({"error": _record(error)})
        except OSError:
            silence()
        else:
            return
    if not debug:
        typer.echo(_text(error), err=True)


def silence() -> None:
    """Print nothing more: nobody reads it, or there is no room for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(record: Any) -> None:
    """Print an object for machines; JSON has no NaN, so what is missing is null."""
    typer.echo(json.dumps(_plain(record), ensure_ascii=False))


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: _plain(value) for name, value in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(value) for value in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def _record(error: Exception) -> dict[str, Any]:
    if not isinstance(error, ChainruleError):
        return {"code": "", "kind": type(error).__name__, "what": str(error)}
    return {
        "code": error.code,
        "kind": type(error).__name__,
        "what": error.what,
        "facts": list(error.facts),
        "advice": error.advice,
    }


def _text(error: Exception) -> str:
    """Return an error as text; the line of the program is left out, since it is ours."""
    if isinstance(error, ChainruleError):
        head = f"{error.code} {type(error).__name__}: {error.what}"
        return "\n  ".join([head, *error.facts, *error.advice.splitlines()])
    said = str(error).splitlines()[0] if str(error) else "no more is known"
    advice = "--debug shows where it happened."
    if isinstance(error, MemoryError):
        advice = "Take fewer units (--hidden), fewer columns or a smaller --batch-size."
    return f"{type(error).__name__}: {said}\n  {advice}"
