"""What can be opened, in one form: a function, a module with its loss, the dense network.

A `Program` is a function to walk, its arguments, and what is known of their names. Parameters
and buffers of a module become leaves by their paths, those of a dense network by their keys.
What a module returns is told to whoever walks, with the path of the module.
"""

from __future__ import annotations

import copy
import inspect
import itertools
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import InputTypeError, SettingError
from chainrule.graph import Value, describe, parameter_names
from chainrule.inspect.modules import Modules, Told, modules_in, parts
from chainrule.inspect.restoring import restoring
from chainrule.inspect.walking import require_plain
from chainrule.nn import DNN, Module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Program", "program_of"]


class Program(NamedTuple):
    """A function to walk.

    Attributes
    ----------
    run
        The function; what it returns may be a container.
    args
        Its arguments.
    names
        What they are called.
    held
        The positions of those that are not differentiated by, such as labels.
    title
        What the result is called.
    told
        Filled while it runs: values, their names, and the rank of these.
    data
        The positions of the arguments that hold examples; None if that is not known.
    axis
        The axis that examples lie along: 0, or -1 where they are columns.
    buffers
        The paths of arrays of its modules that are not learned.
    """

    run: Callable[..., Any]
    args: tuple[Any, ...]
    names: list[str]
    held: tuple[int, ...]
    title: str
    told: Told
    data: tuple[int, ...] | None
    axis: int = 0
    buffers: frozenset[str] = frozenset()


def program_of(subject: Any, inputs: tuple[Any, ...], loss: Any, target: Any) -> Program:
    """Return what `open` was given as a program; its run leaves the user's objects as they are.

    Raises
    ------
    InputTypeError
        If it is neither a module nor a network nor a function.
    SettingError
        If there is a target and nothing to compare it with.
    """
    program = _program_of(subject, inputs, loss, target)
    return program._replace(run=restoring(program.run, subject, inputs, loss))


def _program_of(subject: Any, inputs: tuple[Any, ...], loss: Any, target: Any) -> Program:
    if isinstance(subject, DNN):
        return _of_network(subject, inputs, loss, target)
    if target is not None and loss is None:
        raise SettingError(
            "there is a target and no loss that compares the output with it.",
            advice="Say which, as in loss=nn.CrossEntropyLoss().",
        )
    if isinstance(subject, Module):
        return _of_module(subject, inputs, loss, target)
    if not callable(subject):
        raise InputTypeError(
            f"only a function, a module or a DNN can be opened, got {describe(subject)}.",
            advice="Pass the function itself and its arguments: open(f, x), not open(f(x)).",
        )
    return _of_function(subject, inputs, loss, target)


def _of_function(f: Callable[..., Any], inputs: tuple[Any, ...], loss: Any, target: Any) -> Program:
    """Return a function of arrays; a loss is applied to what it returns.

    Modules that it calls give it another argument: their parameters.
    """
    modules = Modules(modules_in(f))
    told: Told = []
    values = modules.values()
    first = (values,) if values else ()

    def run(*args: Any) -> Any:
        start = len(first)
        with modules.standing(args[0] if first else {}, told):
            y = f(*args[start : start + len(inputs)])
            return _compared(y, loss, args[start + len(inputs) :], told)

    title = getattr(f, "__name__", "f")
    names = [name or f"argument {k}" for k, name in enumerate(_parameters(f, len(inputs)))]
    args, names, held = _with_target(inputs, names, target)
    end = len(first) + len(args)
    return Program(
        run,
        (*first, *args),
        ["parameters"] * len(first) + names,
        tuple(k + len(first) for k in held),
        "loss" if loss is not None else "f" if title == "<lambda>" else title,
        told,
        None if loss is None else tuple(range(len(first) + len(inputs) - 1, end)),
        buffers=modules.buffers,
    )


def _of_module(model: Module, inputs: tuple[Any, ...], loss: Any, target: Any) -> Program:
    """Return a module as a function of its parameters and buffers, and of its inputs."""
    modules = Modules({"": model})
    told: Told = []

    def run(values: dict[str, Any], *args: Any) -> Any:
        with modules.standing(values, told):
            y = model(*args[: len(inputs)])
            return _compared(y, loss, args[len(inputs) :], told)

    forward = parameter_names(model.forward, len(inputs))
    words = ["input"] if len(inputs) == 1 else [f"input {k}" for k in range(len(inputs))]
    names = [name or word for name, word in zip(forward, words, strict=True)]
    args, names, held = _with_target(tuple(_as_array(x) for x in inputs), names, target)
    return Program(
        run,
        (modules.values(), *args),
        ["parameters", *names],
        tuple(k + 1 for k in held),
        "output" if loss is None else "loss",
        told,
        tuple(range(1, 1 + len(args))),
        buffers=modules.buffers,
    )


def _of_network(network: DNN, inputs: tuple[Any, ...], loss: Any, target: Any) -> Program:
    """Return a dense network as a function of its parameters and of X, named as its cache is."""
    if len(inputs) == 2 and target is None:  # as in network.forward(X, Y)
        *inputs_alone, target = inputs
        inputs = tuple(inputs_alone)
    if len(inputs) != 1:
        raise InputTypeError(f"a DNN is opened with X and a target, got {len(inputs)} inputs.")
    told: Told = []
    require_plain(inputs[0], "X")
    X = np.asarray(inputs[0])

    def run(parameters: dict[str, Any], X: Any, *targets: Any) -> Any:
        opened = copy.copy(network)
        opened.parameters = dict(parameters)
        out, cache = opened.forward(X, *(targets if loss is None else ()))
        for key, x in cache.items():
            told.extend(parts(x, key))
        if not targets:
            return out
        if loss is None:
            value = opened.loss(out, None, cache)
            told.extend(parts(value, "loss"))
            return value
        return _compared(out, loss, targets, told)

    dtype = next(iter(network.parameters.values())).dtype
    values = OrderedDict(
        (f"{letter}{layer}", network.parameters[f"{letter}{layer}"])
        for layer, letter in itertools.product(range(1, network.depth + 1), "WB")
    )
    is_number = X.dtype.kind in "fiub"
    args, names, held = _with_target((X.astype(dtype) if is_number else X,), ["X"], target, "Y")
    return Program(
        run,
        (values, *args),
        ["parameters", *names],
        tuple(k + 1 for k in held),
        "output" if target is None else "loss",
        told,
        tuple(range(1, 1 + len(args))),
        axis=-1 if network.layout == "columns" else 0,
    )


def _parameters(f: Callable[..., Any], count: int) -> list[str]:
    """Return the names of the first parameters of a function, or of an object that is called."""
    names = parameter_names(f, count)
    if any(names):
        return names
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # of a function that is not Python's
        return names
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    known = [parameter.name for parameter in parameters if parameter.kind in kinds]
    return (known + [""] * count)[:count]


def _with_target(
    inputs: tuple[Any, ...], names: Sequence[str], target: Any, name: str = "target"
) -> tuple[tuple[Any, ...], list[str], tuple[int, ...]]:
    """Return arguments, their names, and the positions of those that are held."""
    if target is None:
        return inputs, list(names), ()
    return (*inputs, _as_array(target)), [*names, name], (len(inputs),)


def _compared(y: Any, loss: Any, targets: Sequence[Any], told: Told) -> Any:
    """Return the loss of an output, or the output where there is none."""
    if loss is None:
        return y
    if not callable(loss):
        raise InputTypeError(
            f"a loss is a function of output and target, got {describe(loss)}.",
            advice="Make one of a class, as in nn.MSELoss().",
        )
    told.extend(parts(y, "output"))
    value = loss(y, *targets)
    told.extend(parts(value, "loss"))
    return value


def _as_array(x: Any) -> Any:
    """Return a list of numbers as an array."""
    return np.asarray(x) if type(x) is list and not any(type(part) is Value for part in x) else x
