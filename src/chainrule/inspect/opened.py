"""Opening a function or a network: one forward and one backward walk on concrete numbers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import InPlaceError
from chainrule.graph import Value
from chainrule.inspect.noticing import Noticed, Rank
from chainrule.inspect.outputs import start_of
from chainrule.inspect.passes import Pass
from chainrule.inspect.programs import program_of
from chainrule.inspect.walking import walk
from chainrule.transform import pull_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.outputs import Start
    from chainrule.inspect.programs import Program
    from chainrule.inspect.walking import Walk

__all__ = ["open"]


def open(  # noqa: A001 - the field's own word: the pass is opened
    f_or_model: Any, *inputs: Any, loss: Any = None, target: Any = None, output: Any = None
) -> Pass:
    """Walk forward and backward once, and keep everything for questions.

    Parameters
    ----------
    f_or_model
        A function of arrays or containers of arrays; an `nn.Module`; an `nn.DNN`. Nothing of
        it is changed.
    *inputs
        What it is called with. Arrays of a floating-point type are differentiated by; others,
        such as labels, are kept as they are. The parameters and buffers of a module or network
        are differentiated by, too; of a module that a function calls, under its variable.
    loss
        A function of (output, target), or of the output alone if there is no target. A `DNN`
        has its own, which is computed from its last Z; with ``loss=network.loss`` it is
        computed from its last A.
    target
        What the loss compares with. It is not differentiated by.
    output
        What to differentiate, where the result is not one number: the index of an entry, as
        ``3`` or ``(0, 3)``, after the key where the result is a container, as ``("scores", 0,
        3)``; or the gradient at the result, as an array of its shape.

    Returns
    -------
    Pass
        With ``values``, ``gradients``, ``local``, ``needs``, ``paths`` and ``chain``.

    Raises
    ------
    NotScalarError
        If the result is not one number and ``output`` does not say which.

    Notes
    -----
    Gradients are derivatives of the result, such as the mean loss. (The ``Z`` and ``A`` of
    `DNN.compute_gradients` in columns are m times that.) Random layers draw from a fixed key,
    so that two passes over equal numbers are equal; buffers keep their numbers.

    Values are called, in this order: as `chainrule.name` said; by argument, by the key of a
    container of arguments, by the path of a parameter, of a module for its output, by the key
    of a DNN's cache; by the key of a dictionary of the program; by a variable of it, in the
    function itself or in one that it calls. All names of a value lead to it. The second value
    of a name is ``h_2``, the next ``h_3``. What has no name is called by its op and a number,
    ``exp_1``, and everything by the number of its node, ``%7``.

    Examples
    --------
    >>> import numpy as np
    >>> import chainrule
    >>> def loss(W, x):
    ...     h = np.tanh(W @ x)
    ...     return np.sum(h * h)
    >>> opened = chainrule.open(loss, np.eye(2), np.array([0.5, -1.0]))
    >>> opened.values["h"]
    array([ 0.46211716, -0.76159416])
    >>> opened.gradients["h"]
    array([ 0.92423431, -1.52318831])
    >>> opened.local["h", "x"].matrix()
    array([[0.78644773, 0.        ],
           [0.        , 0.41997434]])
    """
    program = program_of(f_or_model, inputs, loss, target)
    with np.errstate(all="ignore"):
        walked, result = _walked(program)
        start = start_of(result, output, walked.leaves)
        adjoints = pull_back(walked.graph, walked.numbers, walked.active, dict(start.cotangents))
    told = [
        Noticed(value.index, name, rank)
        for value, name, rank in map(_outermost, program.told)
        if value.tracer.graph is walked.graph
    ]
    told += [*_of_result(result), *_of_concrete(walked), *_of_start(walked, start)]
    walked = dataclasses.replace(walked, title=program.title, noticed=(*told, *walked.noticed))
    return Pass(walked, start, adjoints, program)


def _walked(program: Program) -> tuple[Walk, Any]:
    """Walk forward; return the walk and the result, whose leaves are values of it.

    A function that writes to its arrays runs a second time, and its writes are followed.
    """
    results: list[Any] = []

    def run(*args: Any) -> Any:
        results.append(program.run(*args))
        return results[-1]

    try:
        walked = walk(run, program.args, names=program.names, held=program.held)
    except InPlaceError:
        program.told.clear()
        walked = walk(run, program.args, names=program.names, held=program.held, in_place=True)
    return walked, results[-1]


def _outermost(told: tuple[Value, str, int]) -> tuple[Value, str, int]:
    value, name, rank = told
    while type(value.number) is Value:
        value = value.number
    return value, name, rank


def _of_result(y: Any, name: str = "") -> Iterator[Noticed]:
    """Iterate over the names that the keys of a result give."""
    if isinstance(y, dict):
        for key, part in y.items():
            yield from _of_result(part, str(key))
    elif isinstance(y, tuple | list):
        for part in y:
            yield from _of_result(part)
    elif type(y) is Value and name:
        yield Noticed(y.index, name, Rank.KEY)


def _of_start(walked: Walk, start: Start) -> Iterator[Noticed]:
    """Iterate over what the value that is differentiated can be called in any pass."""
    if walked.graph.nodes[start.node].op is not None:
        if not walked.graph.nodes[start.node].shape:
            yield Noticed(start.node, "loss", Rank.ROLE)
        yield Noticed(start.node, "output", Rank.ROLE)


def _of_concrete(walked: Walk) -> Iterator[Noticed]:
    """Iterate over the constants that are arguments, such as labels, as they are or one-hot."""
    for leaf in walked.leaves:
        if leaf.index is None and np.size(leaf.concrete) > 1:
            alike = [
                index
                for index, x in walked.graph.constants.items()
                if np.array_equal(np.ravel(x), np.ravel(leaf.concrete))
            ]
            if not alike:
                labels = np.asarray(leaf.concrete)
                alike = [i for i, x in walked.graph.constants.items() if _is_one_hot(x, labels)]
            for index in alike:
                yield Noticed(index, leaf.key or leaf.name, Rank.PATH)


def _is_one_hot(x: Any, labels: Any) -> bool:
    """Return whether an array has a row or a column for each label, which is 1 at its place."""
    x = np.asarray(x)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or x.ndim != 2:
        return False
    for rows in (x, x.T):
        classes = np.arange(rows.shape[1])
        if len(classes) > 1 and np.array_equal(rows, labels[:, None] == classes):
            return True
    return False
