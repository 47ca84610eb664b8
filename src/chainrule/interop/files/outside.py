"""A file is checked in a process of its own, which may take some time and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import CheckedFileError, SettingError
from chainrule.interop.files.report import Report, finding_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ended", "check_file", "run"]

_INSIDE = "chainrule.interop.files.inside"
_SHOWN = 2000
"""Characters of what a file printed before it failed."""


def check_file(
    file: str | Path,
    name: str = "",
    *,
    arrays: str | Path | None = None,
    shapes: Mapping[str, str] | None = None,
    seed: int = 0,
    timeout: float = 60.0,
) -> Report:
    """Check every hand-written backward pass in a file of Python.

    The file is imported in a process of its own, without a terminal.

    Parameters
    ----------
    file
        Its path.
    name
        What in it is to be checked; everything, if it is not said.
    arrays
        A file ``.npz`` with inputs, by the names of arguments.
    shapes
        Axes of arguments by letters, as `chainrule.check` takes them.
    seed
        Of what is drawn.
    timeout
        Seconds that the import and the checks may take together.

    Returns
    -------
    Report
        Findings with their lines.

    Raises
    ------
    CheckedFileError
        If the file cannot be imported, takes too long, or has nothing in it to check.
    SettingError
        If there is no such name in it, or a setting is outside of what is possible.
    """
    path = Path(file)
    if not path.is_file():
        what = "it is a folder." if path.is_dir() else "there is no such file."
        raise CheckedFileError(f"{file}: {what}", advice="Name a file of Python.")
    if timeout <= 0:
        raise SettingError(f"timeout needs a number of seconds above 0, got {timeout:g}.")
    if arrays is not None:
        _require_arrays(Path(arrays))
    request = {
        "file": str(path), "name": name, "seed": seed, "shapes": dict(shapes or {}),
        "arrays": str(arrays or ""),
    }  # fmt: skip
    ended = run(request, timeout)
    return _report(str(file), name, ended, timeout)


def _require_arrays(path: Path) -> None:
    """Raise an error if a file does not hold arrays by names."""
    if not path.is_file():
        raise SettingError(
            f"there is no file {path} to take inputs from.",
            advice="Write one: numpy.savez('arrays.npz', X=X, W=W).",
        )
    try:
        found = dict(np.load(path))
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise SettingError(
            f"{path} holds no arrays by names: {error}.",
            advice="Write them with numpy.savez('arrays.npz', X=X, W=W).",
        ) from error
    if not found:
        raise SettingError(f"{path} holds no array.")


class Ended(NamedTuple):
    """How the process ended.

    Attributes
    ----------
    events
        What it told.
    code
        Its exit code; None if it was stopped.
    printed
        What the file printed.
    """

    events: list[dict[str, Any]]
    code: int | None
    printed: str


def run(request: dict[str, Any], timeout: float) -> Ended:
    """Check a file in a process of its own, for some seconds and no longer."""
    with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
        told = Path(folder) / "events"
        process = subprocess.Popen(  # noqa: S603 - our own module, in the same Python
            [sys.executable, "-m", _INSIDE, json.dumps(request), str(told)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MPLBACKEND": "Agg"},  # a window would wait for somebody
            start_new_session=True,
        )
        code: int | None
        try:
            printed, _ = process.communicate(timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            _stop(process)
            printed, _ = process.communicate()
            code = None
        except BaseException:
            _stop(process)
            raise
        lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return Ended(events, code, printed.decode(errors="replace"))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _report(file: str, name: str, ended: Ended, timeout: float) -> Report:
    report = Report(file, printed=ended.printed)
    now: dict[str, Any] = {}
    for event in ended.events:
        kind = event["event"]
        if kind == "failed":
            raise _failure(file, event, ended)
        if kind == "found":
            _require(file, name, event)
        elif kind == "unknown":
            raise SettingError(
                f"nothing in {file} has an argument called {', '.join(event['names'])}.",
                advice=f"Arguments are: {', '.join(event['arguments'])}.",
            )
        elif kind == "begun":
            now = event
        elif kind in {"checked", "skipped"}:
            (report.checked if kind == "checked" else report.skipped).append(now["name"])
            report.add([finding_of(record) for record in event["findings"]], now["line"])
    if not ended.events or ended.events[-1]["event"] != "done":
        raise _cut_short(file, ended, timeout)
    return report


def _failure(file: str, event: dict[str, Any], ended: Ended) -> CheckedFileError:
    """Return the error for a file that cannot be imported."""
    facts = [f"in: {event['text']}"] if event["text"] else []
    return CheckedFileError(
        f"{file}:{event['line']}: {event['what']}.",
        *facts,
        *_printed(ended),
        advice=event["advice"],
    )


def _printed(ended: Ended) -> list[str]:
    text = ended.printed.strip()[-_SHOWN:]
    return ["it printed:", *[f"  {line}" for line in text.splitlines()[-5:]]] if text else []


def _require(file: str, name: str, event: dict[str, Any]) -> None:
    """Raise an error if there is nothing to check."""
    names = event["names"]
    if name and not event["wanted"]:
        found = ", ".join(names) or "nothing that can be checked"
        raise SettingError(
            f"{file} has nothing to check that is called {name!r}.",
            advice=f"There is: {found}.",
        )
    if not names:
        raise CheckedFileError(
            f"{file}: there is no backward pass in it.",
            advice="Looked for: a class with forward and backward, functions called forward and "
            "backward (or x_forward and x_backward), a function or method that ends in "
            "return loss, gradients.",
        )


def _cut_short(file: str, ended: Ended, timeout: float) -> CheckedFileError:
    """Return the error for a process that did not come to its end."""
    begun = [e for e in ended.events if e["event"] == "begun"]
    during = f"while {begun[-1]['name']} was checked" if begun else "on import"
    where = f"{file}:{begun[-1]['line']}" if begun else file
    if ended.code is None:
        return CheckedFileError(
            f"{where}: it was stopped after {timeout:g} s, {during}.",
            *_printed(ended),
            advice="Keep what takes long under if __name__ == '__main__', or say a longer time.",
        )
    how = f"by signal {-ended.code}" if ended.code < 0 else f"with code {ended.code}"
    return CheckedFileError(f"{where}: Python ended {how}, {during}.", *_printed(ended))
