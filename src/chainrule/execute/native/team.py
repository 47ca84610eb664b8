"""Threads that run a shared plan together with the one that calls.

They are Python's threads, each waiting for work in a queue of its own; while it runs machine
code, a thread does without the interpreter. Where they wait for each other inside a run is the
code's business (`meeting`).
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cores", "let_run", "yield_address"]

_lock = threading.Lock()
_queues: list[SimpleQueue[Callable[[], Any]]] = []


def let_run(jobs: list[Callable[[], Any]]) -> Any:
    """Run jobs at the same time, the first here, and return what it returns.

    The jobs meet by themselves at the end: when the first is done, nothing that is still to do in
    another touches more than its own.
    """
    with _lock:  # two teams at once would wait for each other's members
        while len(_queues) < len(jobs) - 1:
            _queues.append(_hired())
        for queue, job in zip(_queues, jobs[1:], strict=False):
            queue.put(job)
        return jobs[0]()


def _hired() -> SimpleQueue[Callable[[], Any]]:
    """Return the queue of a new thread."""
    queue: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def work() -> None:
        while True:
            queue.get()()

    threading.Thread(target=work, name="chainrule", daemon=True).start()
    return queue


def _forget() -> None:
    """Start anew in a child process, which has none of its parent's threads."""
    global _lock  # noqa: PLW0603 - the parent may have held it
    _lock = threading.Lock()
    _queues.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def yield_address() -> int:
    """Return the address of the function that gives the core to another thread."""
    if sys.platform == "win32":
        function = ctypes.windll.kernel32.SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)
