"""The process in which a user's file is imported and checked.

Another process started it and reads what it writes: a line of JSON for each thing that begins or
ends, so that what was going on is known when it is stopped, or ends by itself.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
import tokenize
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.inspect.unchecked import cannot_be_made, no_inputs, refused
from chainrule.interop.checking import check
from chainrule.interop.files.found import found_in
from chainrule.interop.files.inputs import Missing, Wishes, chosen_for, parameters_of
from chainrule.interop.files.report import record_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from chainrule.interop.files.found import Found

    Tell = Callable[..., None]

__all__ = ["main"]


def main(request: dict[str, Any], tell: Tell) -> None:
    """Import a file, check what is in it, and tell.

    Parameters
    ----------
    request
        ``file``, ``name``, ``seed``, ``shapes``, ``arrays`` (a file of NumPy's, or empty).
    tell
        Called with the name of what happened, and its fields.
    """
    path = Path(request["file"])
    try:
        with tokenize.open(path) as file:
            source = file.read()
        tree = ast.parse(source, filename=str(path))
    except SyntaxError as error:
        text = (error.text or "").strip()
        _fail(tell, (error.lineno or 1, text), f"it is not Python: {error.msg}")
        return
    except ValueError as error:  # bytes that are no text
        _fail(tell, (1, ""), f"it is not Python: {error}")
        return
    tell("importing")
    module = _imported(path, tell)
    if module is None:
        return
    every = found_in(module, tree)
    wanted = [one for one in every if not request["name"] or _is_called(one, request["name"])]
    tell("found", names=[one.name for one in every], wanted=[one.name for one in wanted])
    arrays = dict(np.load(request["arrays"])) if request["arrays"] else {}
    wishes = Wishes(arrays, request["shapes"], request["seed"])
    unknown = _unknown(wanted, {*arrays, *request["shapes"]})
    if unknown:
        tell("unknown", **unknown)
        return
    for one in wanted:
        tell("begun", name=one.name, line=one.line)
        _check(one, module, (tree, source), wishes, tell)
    tell("done")


def _unknown(wanted: list[Found], said: set[str]) -> dict[str, list[str]]:
    """Return the names on the command line that nothing has as an argument, and all that are."""
    if any(one.bound for one in wanted):
        return {}  # arrays that lie on an object have names too
    own = [p.name for one in wanted for p in parameters_of(one)]
    others = sorted(said - set(own))
    return {"names": others, "arguments": list(dict.fromkeys(own))} if others and own else {}


def _is_called(one: Found, name: str) -> bool:
    return name == one.name or name in one.aliases or name.replace(",", ", ") == one.name


def _imported(path: Path, tell: Tell) -> ModuleType | None:
    """Return the file as a module, under its own name where that is free."""
    sys.path[0] = str(path.resolve().parent)
    name = path.stem if path.stem not in sys.modules else f"checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        _fail(tell, (1, ""), "it is no file of Python", "Name a file that ends in .py.")
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        what = f"it imports {error.name}, which is not installed here"
        _fail(tell, _line(error, path), what, "Install it in the environment of chainrule.")
    except SystemExit as error:
        what = f"it leaves Python on import, with sys.exit({error.code!r})"
        _fail(tell, _line(error, path), what, "Keep that under if __name__ == '__main__'.")
    except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
        said = f": {str(error).splitlines()[0]}" if str(error) else ""
        what = f"it raises {type(error).__name__} on import{said}".rstrip(".")
        _fail(tell, _line(error, path), what)
    else:
        return module
    return None


def _fail(tell: Tell, at: tuple[int, str], what: str, advice: str = "") -> None:
    """Tell that a file cannot be imported: the line and its text, what happened, what to do."""
    tell("failed", line=at[0], text=at[1], what=what, advice=advice)


def _line(error: BaseException, path: Path) -> tuple[int, str]:
    """Return the last line of the file that an error came through, and its text."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).resolve() == path.resolve()]
    return (own[-1].lineno or 1, own[-1].line or "") if own else (1, "")


def _check(
    one: Found, module: ModuleType, text: tuple[ast.Module, str], wishes: Wishes, tell: Tell
) -> None:
    """Check one thing, and tell what was found."""
    tree, source = text
    where = f"{Path(str(module.__file__)).name}:{one.line}"
    if one.target is None:
        tell("skipped", findings=[record_of(cannot_be_made(one.name, one.hindrance, where))])
        return
    try:
        chosen = chosen_for(one, module, tree, source, wishes)
    except Missing as said:
        found = no_inputs(one.name, one.variable, said.names, said.wanted, said.shapes, where)
        tell("skipped", findings=[record_of(found)])
        return
    try:
        findings = check(one.target, chosen.inputs, shapes=chosen.shapes or None, seed=wishes.seed)
    except ChainruleError as error:
        advice = "\n".join([*error.facts, error.advice])
        tell("skipped", findings=[record_of(refused(one.name, error.what, advice, where))])
        return
    tell("checked", findings=[record_of(f) for f in findings])


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a", encoding="utf-8") as out:

        def write(event: str, **fields: Any) -> None:
            """Write a line at once: this process may be gone in the next moment."""
            out.write(json.dumps({"event": event, **fields}) + "\n")
            out.flush()

        main(json.loads(sys.argv[1]), write)
