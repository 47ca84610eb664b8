"""``chainrule check``: the backward passes in a file, reported as a linter does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli import findings
from chainrule.cli.reporting import print_json, reported
from chainrule.interop import files

__all__ = ["check"]


def check(
    file: Annotated[
        str, typer.Argument(metavar="FILE.py[:NAME]", help="A file, or one thing in it.")
    ],
    inputs: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Arrays by the names of arguments.")
    ] = None,
    shapes: Annotated[
        str, typer.Option(metavar="'X:n d,W:d h'", help="Axes of arguments, by letters.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the numbers that are drawn.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds that it may take.")] = 60.0,
    select: Annotated[str, typer.Option(metavar="CD2,CD1", help="Report these codes alone.")] = "",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and warnings, nothing else.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Find the hand-written backward passes in a file, and say what is wrong with them.

    Exit code 0 if nothing is, 1 for errors and warnings, 2 if nothing could be checked.
    """
    with reported(debug=debug, as_json=as_json):
        path, name = _split(file)
        found = files.check_file(
            path, name, arrays=inputs, shapes=files.read_shapes_option(shapes) if shapes else None,
            seed=seed, timeout=timeout,
        ).selected(tuple(code.strip() for code in select.split(",") if code.strip()))  # fmt: skip
        if as_json:
            print_json(found.to_record())
        else:
            findings.report(found, quiet=quiet)
        if not found.checked:
            raise typer.Exit(2)
        raise typer.Exit(0 if found.is_clean else 1)


def _split(file: str) -> tuple[str, str]:
    """Return the path and the name of ``FILE.py:NAME``.

    Examples
    --------
    >>> _split("net.py:Affine"), _split("net.py")
    (('net.py', 'Affine'), ('net.py', ''))
    """
    path, colon, name = file.rpartition(":")
    if colon and path.endswith(".py") and not Path(file).exists():
        return path, name
    return file, ""
