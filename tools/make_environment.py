"""Make a virtual environment with this package and some of its extras in it.

Run by the Makefile with the Python that the environment is for. The environment grows in a
temporary folder beside its place and is renamed when it is complete, so a run that is interrupted
leaves none, or the old one. A file ``stamp`` in it holds what it was made from; while that stays
the same, nothing is installed again.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
NO_LLVM = "llvmlite cannot be installed here: everything runs on NumPy"


class InstallError(Exception):
    """pip failed; the message is what it said."""


def main() -> None:
    """Make the environment that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the environment goes")
    parser.add_argument("extras", help="extras of pyproject.toml, separated by commas")
    parser.add_argument("--oldest", action="store_true", help="the lower bounds, exactly")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)

    place = ROOT / options.folder
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    made_from = digest(project, options.extras, oldest=options.oldest)
    # Two runs at once: the second waits here, and then finds the work done.
    with (ROOT / "pyproject.toml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = place / "stamp"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == made_from:
            stamp.touch()
            return
        release = ".".join(map(str, sys.version_info[:3]))
        say(f"making {options.folder} with Python {release}: this takes a minute or two")
        make(place, project, options.extras, made_from, oldest=options.oldest)


def make(
    place: Path, project: dict[str, Any], extras: str, made_from: str, *, oldest: bool
) -> None:
    """Fill a temporary folder and put it in its place."""
    for left_behind in place.parent.glob(f"{place.name}.partial-*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    partial = place.with_name(f"{place.name}.partial-{os.getpid()}")
    try:
        venv.create(partial, with_pip=True, symlinks=True, prompt="chainrule")
        install(partial / "bin" / "python", project, extras, oldest=oldest)
        redirect_scripts(partial, place)
        (partial / "stamp").write_text(made_from, encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        partial.rename(place)
    except (InstallError, subprocess.CalledProcessError) as error:
        sys.exit(f"{place.name} was not made. {error}")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def install(python: Path, project: dict[str, Any], extras: str, *, oldest: bool) -> None:
    """Install the dependencies, the extras and, editable, this package."""
    wanted = [*project["dependencies"], *requirements(project, extras)]
    if oldest:
        bounds = [bound.replace(">=", "==") for bound in project["dependencies"]]
        wanted = [*bounds, *wanted]
    llvm = next(line for line in wanted if line.startswith("llvmlite"))
    try:
        # Built from source it would need LLVM: what has no wheel is not to be had.
        pip(python, "--only-binary=llvmlite", llvm)
        has_llvm = True
    except InstallError:
        wanted = [line for line in wanted if not line.startswith("llvmlite")]
        has_llvm = False
    pip(python, "--only-binary=llvmlite,numba", *wanted)
    pip(python, "--no-deps", "--editable", str(ROOT))
    if not has_llvm:
        say(NO_LLVM)


def requirements(project: dict[str, Any], extras: str) -> list[str]:
    """List what the extras ask for, each reference to a further extra replaced by its list."""
    found = []
    for name in extras.split(","):
        for line in project["optional-dependencies"][name]:
            if line.startswith("chainrule["):
                named = line.removeprefix("chainrule[").removesuffix("]")
                found += requirements(project, named)
            else:
                found.append(line)
    return found


def pip(python: Path, *arguments: str) -> None:
    """Install, silently unless it fails."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError("pip said:\n" + (done.stderr or done.stdout).strip())


def redirect_scripts(partial: Path, place: Path) -> None:
    """Make the first lines of the scripts, and what activates them, name the final place."""
    for script in [partial / "pyvenv.cfg", *(partial / "bin").iterdir()]:
        content = b"" if script.is_symlink() else script.read_bytes()
        if bytes(partial) in content:
            script.write_bytes(content.replace(bytes(partial), bytes(place)))


def digest(project: dict[str, Any], extras: str, *, oldest: bool) -> str:
    """Sum up everything that the content of an environment depends on."""
    parts = [project, extras, oldest, sys.version, str(ROOT), Path(__file__).read_text("utf-8")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest() + "\n"


def leave(number: int, _frame: object) -> NoReturn:
    """Turn a signal into an exit that cleans up on its way."""
    sys.exit(128 + number)


def say(line: str) -> None:
    """Print one line now."""
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
