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
from contextlib import suppress
from functools import partial
from operator import call
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["cores", "let_run", "rest_address"]

_lock = threading.Lock()
_members: list[_Member] = []
_LATER = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD")
    if hasattr(signal, name)
]
"""Signals that are for the callers, not for their helpers."""


def let_run(jobs: Sequence[Callable[[], Any]]) -> Any:
    """Run jobs at the same time, the first here, and return what it returns.

    The first ends when all others have: the code sees to that. Each job calls a function that is
    not written in Python.
    """
    with _lock:  # two teams at once would wait for each other's members
        while len(_members) < len(jobs) - 1:
            _members.append(_Member())
        elsewhere, anywhere = _places()
        steps = [
            member.prepare(job, elsewhere, anywhere)
            for member, job in zip(_members, jobs[1:], strict=False)
        ]
        # All at once: a signal's handler, which may raise, runs between two instructions of
        # Python, and none of these is one. After a part of them, a team would wait for ever.
        *_, answer = map(call, [*steps, jobs[0]])
        return answer


class _Member:
    """A thread that waits for jobs."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Callable[[], Any], set[int]]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="chainrule", daemon=True)
        self._thread.start()

    def prepare(
        self, job: Callable[[], Any], elsewhere: set[int], anywhere: set[int]
    ) -> Callable[[], Any]:
        """Return what lets the thread do a job, waking up on a core that the caller is not on.

        Otherwise the system may wake it on the caller's, which does not give that up, and takes
        some milliseconds to see that another core is free.
        """
        thread = self._thread.native_id
        if elsewhere and thread is not None:
            _put_on(thread, elsewhere)
        return partial(self._queue.put, (job, anywhere if elsewhere else set()))

    def _work(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # signals are the caller's
            signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)
        while True:
            job, anywhere = self._queue.get()
            # No function written in Python is called before the job begins: where a debugger or
            # coverage traces threads, CPython 3.11 does not enter one while a signal waits for
            # the main thread, and that waits for this one.
            if anywhere:
                try:  # noqa: SIM105 - `suppress` is such a function
                    os.sched_setaffinity(0, anywhere)
                except OSError:  # it stays where it is
                    pass
            job()
            del job


def _put_on(thread: int, places: set[int]) -> None:
    """Ask for a thread to be on some cores; where the system refuses, it stays where it is."""
    with suppress(OSError):
        os.sched_setaffinity(thread, places)


def _places() -> tuple[set[int], set[int]]:
    """Return the cores that the caller is not on, and all; nothing where that is not known."""
    if _CURRENT_CORE is None:
        return set(), set()
    anywhere = os.sched_getaffinity(0)
    return anywhere - {_CURRENT_CORE()}, anywhere


def _current_core() -> Callable[[], int] | None:
    """Return the system's function for the core that a thread is on, if there is one."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)


_CURRENT_CORE = _current_core()


def _forget() -> None:
    """Start anew in a child process, which has none of its parent's threads."""
    global _lock  # noqa: PLW0603 - the parent may have held it
    _lock = threading.Lock()
    _members.clear()


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
