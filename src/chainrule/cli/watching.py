"""A training on the screen: a bar in a terminal, lines elsewhere, nothing beside JSON."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from chainrule.cli import wording
from chainrule.cli.reporting import silence
from chainrule.interop import data
from chainrule.interop.data.listening import Listener

if TYPE_CHECKING:
    from pathlib import Path

    from chainrule.interop.data.listening import EpochReport
    from chainrule.interop.data.tensorboard import EventFile

__all__ = ["Watcher", "watcher"]

_LINES = 20
"""Lines that are printed of a training where there is no terminal, at most."""


def watcher(*, as_json: bool, tensorboard: Path | None) -> Watcher:
    """Return what watches a training.

    Parameters
    ----------
    as_json
        Whether nothing is printed.
    tensorboard
        A folder for event files, if they are wanted.
    """
    return Watcher(Console(highlight=False, quiet=as_json), tensorboard)


class Watcher(Listener):
    """Shows how a training goes, as a context that ends with it."""

    def __init__(self, console: Console, folder: Path | None) -> None:
        self._console, self._folder = console, folder
        self._events: EventFile | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[said]}"),
            console=console,
            disable=not console.is_terminal or console.quiet,
            transient=True,
        )
        self._task: TaskID | None = None
        self._epochs, self._rows = 1, 0
        self._first: tuple[int, float] | None = None
        self._begun: tuple[float, float] | None = None
        self._said = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._console.is_terminal and self._said:  # the bar goes, its last words stay
            self._line(f"  {self._said}")
        if self._events is not None:
            self._events.close()

    def _line(self, text: str) -> None:
        """Print a line, if there is still somebody who reads."""
        if self._console.is_terminal:
            self._console.print(text, markup=False, soft_wrap=True)
        elif not self._console.quiet:
            try:
                typer.echo(text)
            except OSError as error:  # a training is worth more than what is said of it
                self._console.quiet = True
                silence()
                if not isinstance(error, BrokenPipeError):
                    typer.echo(f"{error.strerror}: nothing more is printed", err=True)

    def reading(self, name: str) -> None:
        """Say that a table is gone through for the first time."""
        self._line(f"reading {name}")

    def note(self, text: str) -> None:
        """Print what a user should know."""
        self._line(f"  {text}")

    def begin(self, epochs: int, rows: int) -> None:
        """Make the bar, and the file of events."""
        if self._folder is not None:
            self._events = data.EventFile(self._folder)
        self._epochs, self._rows = epochs, rows
        self._task = self._bar.add_task(f"epoch 1/{epochs}", total=epochs, said="")
        self._line("")

    def share(self, epoch: int, share: float, loss: float) -> None:
        """Move the bar within an epoch."""
        if self._task is not None:
            now, place = time.perf_counter(), epoch + share
            if self._begun is None:
                self._begun = now, place
                return
            seconds, done = now - self._begun[0], place - self._begun[1]
            rate = done * self._rows / max(seconds, 1e-9)
            left = (self._epochs - place) * seconds / max(done, 1e-9)
            said = (
                f"loss {wording.loss(loss)}  {rate:,.0f} examples/s  {wording.time_left(left)} left"
            )
            text = f"epoch {epoch + 1}/{self._epochs}"
            self._bar.update(self._task, description=text, completed=place, said=said)

    def epoch(self, report: EpochReport) -> None:
        """Move the bar, or print a line."""
        if self._events is not None:
            self._events.write(report)
        now = time.perf_counter()
        if self._first is None:  # it compiles, and is not a measure of those that follow
            self._first, each = (report.epoch, now), report.seconds
        else:
            each = (now - self._first[1]) / (report.epoch - self._first[0])
        left = (self._epochs - report.epoch) * each
        said = f"loss {wording.loss(report.loss)}"
        if not math.isnan(report.validation_loss):
            said += f"  validation {wording.loss(report.validation_loss)}"
        said += f"  {report.examples_per_second:,.0f} examples/s"
        if report.epoch < self._epochs and (each > 1 or report.epoch > self._first[0]):
            said += f"  {wording.time_left(left)} left"
        text = f"epoch {report.epoch}/{self._epochs}"
        self._said = f"{text}  {said}"
        if self._task is not None:
            self._bar.update(self._task, description=text, completed=report.epoch, said=said)
        every = max(1, -(-self._epochs // _LINES))
        if not self._console.is_terminal and (
            report.epoch % every == 0 or report.epoch in {1, self._epochs}
        ):
            self._line(f"  {text}  {said}")
