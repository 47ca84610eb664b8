"""Numbers to run something on: as the file has them, or drawn in the shapes that it says.

For each argument, in this order: what the user named on the command line; the variables
``inputs`` and ``NAME_inputs`` of the file; a variable of the file that is called like the
argument; its default; numbers drawn in the shape that the file says.
"""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.inspect.targets.handing import CACHES, LABELS, OUTPUTS
from chainrule.interop.files.found import BACKWARDS
from chainrule.interop.files.words import shapes_said

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from types import ModuleType

    from chainrule.interop.files.found import Found

__all__ = ["Chosen", "Missing", "Wishes", "chosen_for", "parameters_of", "read_shapes_option"]

_GENERAL = ("inputs", "example_inputs", "check_inputs")
_BATCH = ("n", "N", "m", "M", "batch", "B")
_PRIMES = (7, 5, 3, 4, 6, 11, 13, 17, 19, 23)


@dataclass(frozen=True)
class Wishes:
    """What the user said on the command line.

    Attributes
    ----------
    arrays
        By the names of arguments.
    shapes
        By the names of arguments.
    seed
        Of what is drawn.
    """

    arrays: Mapping[str, Any]
    shapes: Mapping[str, str]
    seed: int


@dataclass(frozen=True)
class Chosen:
    """What something is run on.

    Attributes
    ----------
    inputs
        The arguments.
    shapes
        Their axes by letters, where they are known.
    """

    inputs: tuple[Any, ...]
    shapes: dict[str, str]


class Missing(Exception):  # noqa: N818 - it becomes a finding
    """Arguments that nothing in the file tells.

    Attributes
    ----------
    names, wanted
        Of all the arguments; of those that are not known.
    shapes
        As far as the file says them.
    """

    def __init__(self, names: list[str], wanted: list[str], shapes: dict[str, str]) -> None:
        super().__init__()
        self.names, self.wanted, self.shapes = names, wanted, shapes


def read_shapes_option(text: str) -> dict[str, str]:
    """Return the shapes of ``X:n d,W1:d h``.

    Examples
    --------
    >>> read_shapes_option("X:n d, W1: d h, b1:h")
    {'X': 'n d', 'W1': 'd h', 'b1': 'h'}

    Raises
    ------
    SettingError
        If it is not of that form.
    """
    found = {}
    for part in text.replace(";", ",").split(","):
        name, colon, axes = (piece.strip() for piece in part.partition(":"))
        if not colon or not name.isidentifier() or not all(map(str.isalnum, axes.split())):
            raise SettingError(
                f"--shapes needs names and axes, got {part.strip()!r}.",
                advice="Write --shapes 'X:n d,W1:d h,b1:h'.",
            )
        found[name] = axes
    return found


def chosen_for(
    found: Found, module: ModuleType, tree: ast.Module, source: str, wishes: Wishes
) -> Chosen:
    """Return what something is run on.

    Raises
    ------
    Missing
        If an argument is not known.
    """
    parameters = parameters_of(found)
    names = [p.name for p in parameters]
    wished = {n: s for n, s in wishes.shapes.items() if n in names or found.bound}
    said = _said(found, module, names) | wished
    words = _in_words(found, tree, source, names)
    shapes = words | said
    given = _given(found, module, parameters)
    if isinstance(given, tuple) and not wishes.arrays:
        return Chosen(given, _fitting(words, dict(zip(names, given, strict=False))) | said)
    known = dict(zip(names, given, strict=False)) if isinstance(given, tuple) else dict(given)
    known |= wishes.arrays
    drawn = _Drawing(shapes, np.random.default_rng(wishes.seed), _indices(tree))
    values: list[Any] = []
    missing: list[str] = []
    for p in parameters:
        if p.name in known:
            values.append(known[p.name])
        elif _is_value(vars(module).get(p.name)):
            values.append(copy.deepcopy(vars(module)[p.name]))
        elif p.default is not p.empty and p.name not in wishes.shapes:
            values.append(p.default)
        elif p.name in shapes:
            values.append(drawn.array(p.name))
        else:
            missing.append(p.name)
    if missing:
        raise Missing(names, missing, shapes)
    values_by_name = dict(zip(names, values, strict=True))
    return Chosen(tuple(values), _fitting(words, values_by_name) | said)


def parameters_of(found: Found) -> list[inspect.Parameter]:
    """Return the parameters of forward, and of backward those that are labels."""
    if found.kind == "estimator":
        return [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in "Xy"]
    function = found.forward
    parameters = list(inspect.signature(function).parameters.values()) if function else []
    own = [p for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD][int(found.bound) :]
    return own + _of_backward(found, {p.name for p in own})


def _of_backward(found: Found, own: Collection[str]) -> list[inspect.Parameter]:
    """Return the labels that only backward takes.

    A parameter called y may be the cache of ``tanh_backward(dout, y)``: it is labels where
    backward is handed something else that it knows by name, or nothing else at all.
    """
    if found.kind == "pair":
        backward = found.target[1]
    elif found.kind in {"object", "class"}:
        backward = next(
            (getattr(found.target, n, None) for n in BACKWARDS if hasattr(found.target, n)), None
        )
    else:
        backward = None
    if backward is None:
        return []
    wanted = [p for p in inspect.signature(backward).parameters.values() if p.default is p.empty]
    known = CACHES | OUTPUTS | set(own)
    is_known = any(p.name in known for p in wanted) or (found.bound and len(wanted) == 1)
    return [p for p in wanted if p.name in LABELS and p.name not in own and is_known]


def _is_value(x: Any) -> bool:
    """Return whether a variable of the file may be an argument: numbers, or containers of them."""
    if isinstance(x, dict):
        return bool(x) and all(_is_value(part) for part in x.values())
    if isinstance(x, list | tuple):
        return bool(x) and all(_is_value(part) for part in x)
    return isinstance(x, np.ndarray | np.generic | int | float) or type(x).__name__ == "Tensor"


# ------------------------------------------------------------------ what the file gives


def _called(found: Found, ending: str) -> Iterator[str]:
    for alias in found.aliases:
        yield from (f"{alias}_{ending}", f"{alias.lower()}_{ending}", f"{alias}_{ending}".upper())


def _given(
    found: Found, module: ModuleType, parameters: list[inspect.Parameter]
) -> tuple[Any, ...] | dict[str, Any]:
    """Return the inputs that the file has for something: in their order, or by name."""
    least = sum(p.default is p.empty for p in parameters)
    own = list(_called(found, "inputs"))
    for name in [*own, *_GENERAL, *(general.upper() for general in _GENERAL)]:
        x = vars(module).get(name)
        if inspect.isfunction(x) and name not in found.aliases:
            x = x()
        if isinstance(x, dict) and (name in own or {p.name for p in parameters} & set(x)):
            return x
        if isinstance(x, list):
            x = tuple(x)
        if isinstance(x, np.ndarray) and least <= 1:
            x = (x,)
        if isinstance(x, tuple) and (name in own or least <= len(x) <= len(parameters)):
            return x
    return {}


def _said(found: Found, module: ModuleType, names: list[str]) -> dict[str, str]:
    """Return the axes of arguments that a dictionary of the file says."""
    for name in [*_called(found, "shapes"), "shapes", "SHAPES"]:
        x = vars(module).get(name)
        if isinstance(x, dict) and set(x) & set(names):
            texts = {k: v if isinstance(v, str) else " ".join(map(str, v)) for k, v in x.items()}
            return {k: v for k, v in texts.items() if k in names or found.bound}
    return {}


def _in_words(found: Found, tree: ast.Module, source: str, names: list[str]) -> dict[str, str]:
    """Return the axes of arguments that annotations, docstrings and comments say."""
    if found.forward is None:
        return {}
    owner = found.forward.__qualname__.split(".")[0] if found.bound else ""
    return shapes_said(source, tree, found.forward.__name__, names, owner)


def _fitting(shapes: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """Return the shapes, if they agree with the arrays and with each other; else none."""
    lengths: dict[str, int] = {}
    for name, text in shapes.items():
        if name not in values:
            continue
        axes, given = text.split(), np.shape(values[name])
        if len(axes) != len(given):
            return {}
        for axis, length in zip(axes, given, strict=True):
            if lengths.setdefault(axis, length) != length or axis not in {axis, str(length)}:
                return {}
            if axis.isdecimal() and int(axis) != length:
                return {}
    return dict(shapes)


# ------------------------------------------------------------------ what is drawn


def _indices(tree: ast.Module) -> set[str]:
    """Return the names that a file uses as an index, as in ``probs[range(N), y]``."""
    return {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        for name in ast.walk(node.slice)
        if isinstance(name, ast.Name)
    }


class _Drawing:
    """Draws arrays of given shapes; labels where a name is used as an index."""

    def __init__(
        self, shapes: Mapping[str, str], rng: np.random.Generator, index: set[str]
    ) -> None:
        self._shapes, self._rng, self._index = shapes, rng, index
        letters = dict.fromkeys(a for text in shapes.values() for a in text.split())
        free = [a for a in letters if not a.isdecimal()]
        primes = itertools.chain(_PRIMES, itertools.count(25))
        self._lengths = dict(zip(free, primes, strict=False))

    def array(self, name: str) -> Any:
        """Return an array for an argument."""
        axes = self._shapes[name].split()
        shape = tuple(int(a) if a.isdecimal() else self._lengths[a] for a in axes)
        if name in LABELS and name in self._index:
            return self._rng.integers(0, min(self._lengths.values()), shape)
        if name in LABELS and len(axes) == 2:
            return self._one_hot(axes, shape)
        return self._rng.normal(size=shape)

    def _one_hot(self, axes: list[str], shape: tuple[int, ...]) -> Any:
        """Return targets that are right for any loss: one class an example."""
        classes = 0 if axes[1] in _BATCH else 1
        if shape[classes] == 1:
            return (self._rng.random(shape) < 0.5).astype(float)
        places = self._rng.integers(0, shape[classes], shape[1 - classes])
        rows = np.eye(shape[classes])[places]
        return rows.T if classes == 0 else rows
