"""Which executor runs a graph: machine code where it can be had, else NumPy."""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.execute.numpy import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.graph import Graph

__all__ = ["Runner", "native"]

_CHOICES = ("native", "numpy")


def native(graph: Graph) -> Any:
    """Return the package that makes machine code, or None where NumPy runs a graph.

    NumPy does so where there is no LLVM, where ``CHAINRULE_EXECUTOR=numpy`` asks for it, and
    where an array of the graph has no elements.
    """
    wanted = os.environ.get("CHAINRULE_EXECUTOR", "native")
    if wanted not in _CHOICES:
        raise SettingError(
            f"the environment variable CHAINRULE_EXECUTOR has to be one of "
            f"{', '.join(_CHOICES)}, got {wanted!r}."
        )
    if wanted == "numpy" or any(0 in node.shape for node in graph.nodes):
        return None
    return _package()


@functools.cache
def _package() -> Any:
    """Return the package, which is loaded when it is first needed: LLVM is not small."""
    try:
        return importlib.import_module("chainrule.execute.native.program")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("chainrule"):
            raise
        return None


class Runner:
    """A graph that is ready to run, by machine code if it can be.

    Parameters
    ----------
    graph
        Not specialised.
    held
        The arrays of the last inputs, which are the same in all calls and read anew in each.
    threads
        How many threads share a run; as many as the work is worth, if it is not said.

    Attributes
    ----------
    plan
        What runs as machine code; None if NumPy runs the graph as it is.
    start
        What runs it; it returns None where NumPy has to say what is wrong with the inputs.
    """

    def __init__(self, graph: Graph, held: Sequence[Any] = (), threads: int | None = None) -> None:
        self.graph = graph
        self.held = tuple(held)
        package = native(graph)
        self._native = (
            None if package is None else package.NativeProgram(graph, held=held, threads=threads)
        )
        self.plan = None if self._native is None else self._native.plan
        self.start = None if self._native is None else self._native.quick() or self._native

    @functools.cached_property
    def _numpy(self) -> Program:
        return Program(self.graph)

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        """Return the outputs; where something is wrong with the inputs, NumPy says what."""
        if self.start is not None:
            y = self.start(arrays)
            if y is not None:
                return y  # type: ignore[no-any-return]
        return self.by_numpy(arrays)

    def by_numpy(self, arrays: Sequence[Any]) -> list[Any]:
        """Return the outputs as NumPy computes them, node by node."""
        with np.errstate(all="ignore"):
            return self._numpy(*arrays, *self.held)
