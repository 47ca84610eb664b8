"""Who ours is timed against: a file a peer, each with the same functions where they make sense.

``adam_step(network)``, ``epoch(network, X, y)``, ``fit(network, X, y, epochs)``,
``predict_row(network)`` and ``derivatives(network)`` prepare everything and return what is timed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PEERS", "gather", "reason"]

PEERS = (
    "numpy_best",
    "jax_jit",
    "jax_flat",
    "torch_eager",
    "torch_compile",
    "sklearn_fit",
    "hips_autograd",
    "mygrad_step",
    "onnx_runtime",
)


def gather(
    task: str,
    arguments: tuple[Any, ...],
    wanted: Callable[[str], bool],
    check: Callable[[Any], object] = lambda _: None,
    finish: Callable[[Any], Contestant] | None = None,
) -> tuple[list[Contestant], dict[str, str]]:
    """Return the peers that can do a task, and why the others cannot.

    Parameters
    ----------
    task
        The name of the function that prepares it.
    arguments
        What that function is called with.
    wanted
        Whether a peer of this module is asked for.
    check
        Called with what the function returned; raises where a peer computes something else.
    finish
        Makes a contestant's ``(run, units)`` of what the function returned.
    """
    found, absent = [], {}
    for module in filter(wanted, PEERS):
        try:
            peer = importlib.import_module(f"benchmarks.peers.{module}")
            prepare = getattr(peer, task, None)
            if prepare is None:
                continue
            prepared = prepare(*arguments)
            check(prepared)
            run, units = finish(prepared) if finish else (prepared, 1)
            found.append(Contestant(peer.NAME, run, units))
        except Exception as error:  # noqa: BLE001 - a peer that fails in any way is reported
            absent[module] = reason(error)
    return found, absent


def reason(error: Exception) -> str:
    """Return an error in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:200]}"
