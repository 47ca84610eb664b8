"""Threads that run a shared plan together with the one that calls.

They are Python's threads, each waiting for work in a queue of its own; while it runs machine
code, a thread does without the interpreter. Where they wait for each other is the code's business
(`meeting`), at the end of a run, too.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["cores", "let_run", "rest_address"]

_lock = threading.Lock()
_queues: list[SimpleQueue[Callable[[], Any]]] = []
_LATER = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD")
    if hasattr(signal, name)
]
"""Signals that wait until a run is over."""


def let_run(jobs: Sequence[Callable[[], Any]]) -> Any:
    """Run jobs at the same time, the first here, and return what it returns.

    The first ends when all others have: the code sees to that.
    """
    with _lock, _undisturbed():  # two teams at once would wait for each other's members
        while len(_queues) < len(jobs) - 1:
            _queues.append(_hired())
        for queue, job in zip(_queues, jobs[1:], strict=False):
            queue.put(job)
        return jobs[0]()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals wait: an exception between two jobs would leave a team that waits for ever."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hired() -> SimpleQueue[Callable[[], Any]]:
    """Return the queue of a new thread."""
    queue: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def work() -> None:
        if hasattr(signal, "pthread_sigmask"):  # signals are the caller's
            signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)
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


def rest_address() -> int:
    """Return the address of a function that rests for some microseconds, or gives up the core."""
    if sys.platform == "win32":
        function = ctypes.windll.kernel32.SwitchToThread
    else:
        function = ctypes.CDLL(None).usleep
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)
