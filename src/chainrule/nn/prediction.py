"""What a model says of many examples, as machine code and in bounded memory."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import optree

from chainrule.errors import BranchError, SettingError, ShapeError
from chainrule.execute import Repeated
from chainrule.graph import Spec, describe, trace
from chainrule.nn.module import Module, functional_call
from chainrule.transform import simplify

__all__ = ["predict"]

_PROGRAMS: WeakKeyDictionary[Module, dict[Any, _Program | None]] = WeakKeyDictionary()


class _Program:
    """A model on so many examples at once.

    Attributes
    ----------
    repeated
        Its inputs are parts of the examples and the model's own arrays.
    results
        The structure of what the model returns.
    shapes
        Of its results, for one batch.
    """

    def __init__(self, model: Module, parts: list[Any], form: Any, threads: int | None) -> None:
        names, own = zip(*model.named_state(), strict=True) if _has_state(model) else ((), ())
        found: list[Any] = []

        def outputs(*values: Any) -> list[Any]:
            inputs = optree.tree_unflatten(form, values[: len(parts)])
            state = dict(zip(names, values[len(parts) :], strict=True))
            y, _ = functional_call(model, state, *inputs)
            leaves, structure = optree.tree_flatten(y)
            found.append(structure)
            return leaves

        specs = [Spec(x.shape, x.dtype) for x in (*parts, *[p.data for p in own])]
        graph = simplify(trace(outputs, *specs))
        self.results = found[0]
        self.shapes = [graph.nodes[i].shape for i in graph.outputs]
        self.repeated = Repeated(graph, {}, advancing=range(len(parts)), threads=threads)


def predict(model: Module, *inputs: Any, batch_size: int = 1024, threads: int | None = None) -> Any:
    """Return what a model says of examples, in evaluation.

    Parameters
    ----------
    model
        Any module whose examples lie along the first axis of its inputs and outputs. It stays in
        the mode it is in.
    *inputs
        Arrays, or containers of arrays, with as many examples each: one, or a million.
    batch_size
        How many examples go through the model together; memory beside inputs and outputs grows
        with it.
    threads
        How many threads share a batch; as many as the work is worth, if it is not said.

    Returns
    -------
    array
        The outputs, one after the other; a container of them if the model returns one.

    Raises
    ------
    ShapeError
        If the inputs differ in their number of examples, or there are none.

    Notes
    -----
    The model is recorded once for a batch of each shape, and the program kept with it: further
    calls run at once. It is recorded anew when its text or the shapes of its parameters change. A
    model that branches on numbers, or whose outputs have no first axis of examples, is called as
    it is.

    Examples
    --------
    >>> from chainrule import nn
    >>> model = nn.MLP([2, 8, 3], seed=0)
    >>> predict(model, np.ones((5, 2))).shape
    (5, 3)
    """
    counts: dict[str, Any] = {
        "batch_size": batch_size,
        "threads": 1 if threads is None else threads,
    }
    for name, x in counts.items():
        if not isinstance(x, int | np.integer) or x < 1:
            raise SettingError(f"predict needs {name} to be a whole number from 1 on, got {x!r}.")
    if not isinstance(model, Module):
        raise SettingError(f"predict needs an nn.Module, got {describe(model)}.")
    tree: Any = inputs
    leaves, form = optree.tree_flatten(tree)
    arrays = [np.ascontiguousarray(x) for x in leaves]
    lengths = {x.shape[:1] for x in arrays}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ShapeError(
            "predict needs as many examples in each input, and some.",
            *[describe(x) for x in arrays],
            advice="Examples lie along the first axis; one row is X[None].",
        )
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return _predicted(model, arrays, form, batch_size, threads)
    finally:
        for module, mode in modes:
            module.training = mode


def _predicted(
    model: Module, arrays: list[Any], form: Any, batch_size: int, threads: int | None
) -> Any:
    """Return the outputs of a model in evaluation."""
    n = len(arrays[0])
    outputs: list[Any] = []
    structure: Any = None
    start = 0
    while start < n:
        size = min(batch_size, n - start)
        count = (n - start) // size
        parts = [x[start : start + size * count] for x in arrays]
        program = _program(model, [x[:size] for x in parts], form, threads)
        if program is None:
            inputs: Any = optree.tree_unflatten(form, arrays)
            return model(*inputs)
        if not outputs:
            structure = program.results
            outputs = [
                np.empty((n, *shape[1:]), dtype)
                for shape, dtype in zip(program.shapes, program.repeated.dtypes, strict=True)
            ]
        own = [p.data for _, p in model.named_state()]
        written = [y[start : start + size * count] for y in outputs]
        program.repeated([*parts, *[np.ascontiguousarray(x) for x in own]], written, count)
        start += size * count
    return optree.tree_unflatten(structure, outputs)


def _program(model: Module, parts: list[Any], form: Any, threads: int | None) -> _Program | None:
    """Return the program for a batch, or None where there cannot be one."""
    known = _PROGRAMS.setdefault(model, {})
    own = tuple((name, p.shape, p.dtype) for name, p in model.named_state())
    key = (repr(model), form, tuple((x.shape, x.dtype) for x in parts), own, threads)
    if key not in known:
        try:
            made: _Program | None = _Program(model, parts, form, threads)
        except BranchError:
            made = None
        size = len(parts[0])
        if made is not None and any(shape[:1] != (size,) for shape in made.shapes):
            made = None
        known[key] = made
    return known[key]


def _has_state(model: Module) -> bool:
    return any(True for _ in model.named_state())
