"""Ctrl-C during a training: noted, and heard at the end of a step."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["interruptions"]


@contextmanager
def interruptions() -> Iterator[list[bool]]:
    """Collect Ctrl-C instead of stopping in the middle of a step; a second one stops at once.

    Yields
    ------
    list
        Empty, until Ctrl-C was pressed.

    Examples
    --------
    >>> with interruptions() as interrupted:
    ...     signal.raise_signal(signal.SIGINT)
    ...     bool(interrupted)
    True
    """
    seen: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = signal.getsignal(signal.SIGINT)
    if before in {None, signal.SIG_IGN}:  # somebody else's, or not wanted, as under nohup
        yield seen
        return

    def note(*_: Any) -> None:
        seen.append(True)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
