"""What in a user's file can be checked: objects, classes, pairs of functions, closures."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from chainrule.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

__all__ = ["BACKWARDS", "Found", "found_in"]

BACKWARDS = ("compute_gradients", "gradients", "backward", "backprop", "backpropagate", "grad")
"""What the backward method of an object may be called."""
_WORDS = {
    "forward": ("backward", "back", "backprop", "gradients", "compute_gradients"),
    "fwd": ("bwd",),
    "fprop": ("bprop",),
}
"""By what word of its partner's name a word of a name is replaced."""
_LOSSES = ("loss", "cost", "objective", "grad", "criterion", "nll", "likelihood")
"""What is in the name of a function that returns a loss and its gradients."""


@dataclass(frozen=True)
class Found:
    """Something that can be checked.

    Attributes
    ----------
    name
        As it is printed: ``affine_forward, affine_backward``.
    aliases
        By which a user may ask for it, or say its inputs.
    kind
        ``pair``, ``object``, ``class``, ``closure``, ``function`` (of PyTorch) or ``estimator``.
    line
        Where its backward stands, or itself if that is elsewhere.
    target
        What `check` takes; None where it could not be made.
    forward
        The function whose arguments are wanted.
    bound
        Whether the first parameter of the function is given already.
    hindrance
        Why it could not be made.
    """

    name: str
    aliases: tuple[str, ...]
    kind: Literal["pair", "object", "class", "closure", "function", "estimator"]
    line: int
    target: Any
    forward: Callable[..., Any] | None = None
    bound: bool = False
    hindrance: str = ""

    @property
    def variable(self) -> str:
        """What a variable for its inputs may be called, before _inputs."""
        has_stem = self.kind == "pair" and len(self.aliases) > 2
        return self.aliases[2 if has_stem else 0]


def found_in(module: ModuleType, tree: ast.Module) -> list[Found]:
    """Return what can be checked in a file, in the order of its lines.

    Parameters
    ----------
    module
        The imported file.
    tree
        Its parsed text.
    """
    own = {
        name: x
        for name, x in vars(module).items()
        if getattr(x, "__module__", None) == module.__name__ and not name.startswith("__")
    }
    lines = _lines(tree)
    objects = list(_objects(module, lines))
    made = {type(one.target) for one in objects}
    every = [
        *objects,
        *_classes(own, made, tree),
        *_methods(module, own, tree, lines),
        *_pairs({n: f for n, f in own.items() if inspect.isfunction(f)}),
        *_closures(own, tree, _said(module)),
        *_named(module, own, lines),
    ]
    return sorted(_once(every), key=lambda one: one.line)


def _said(module: ModuleType) -> set[str]:
    """Return the names for which a file says inputs or shapes."""
    endings = ("_inputs", "_shapes")
    return {name.removesuffix(e) for name in vars(module) for e in endings if name.endswith(e)}


def _once(every: list[Found]) -> Iterator[Found]:
    """Iterate without what is a part of something else, such as a half of a pair."""
    taken: set[str] = set()
    for one in every:
        if one.kind == "closure" and taken & set(one.aliases):
            continue
        taken |= set(one.aliases)
        yield one


def _lines(tree: ast.Module) -> dict[str, int]:
    """Return the last line on which each name of the file is assigned."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = node.lineno
    return found


# ------------------------------------------------------------------ objects and classes


def _objects(module: ModuleType, lines: Mapping[str, int]) -> Iterator[Found]:
    """Iterate over objects that stand in variables of the file."""
    seen: set[int] = set()
    for name, x in vars(module).items():
        if name not in lines or id(x) in seen or isinstance(x, type):
            continue
        if _package(x) == "sklearn" and hasattr(x, "fit") and hasattr(x, "hidden_layer_sizes"):
            yield Found(name, (name, type(x).__name__), "estimator", lines[name], x)
        elif _is_written(x):
            seen.add(id(x))
            aliases = (name, type(x).__name__)
            line = _backward_line(type(x), module.__file__) or lines[name]
            yield Found(name, aliases, "object", line, x, type(x).forward, bound=True)


def _backward_line(cls: type[Any], file: str | None) -> int:
    """Return the line of the backward of a class, 0 if it stands in another file."""
    for name in BACKWARDS:
        method = inspect.unwrap(getattr(cls, name, None) or len)
        code = getattr(method, "__code__", None)
        if code is not None and code.co_filename == file:
            return int(code.co_firstlineno)
    return 0


def _package(x: Any) -> str:
    return type(x).__module__.partition(".")[0]


def _is_written(x: Any) -> bool:
    """Return whether an object has a forward and a backward that somebody wrote."""
    if isinstance(x, Module):
        return any(part.writes_backward for part in x.modules())
    return not inspect.ismodule(x) and _has_both(type(x))


def _has_both(cls: type[Any]) -> bool:
    has_backward = any(callable(getattr(cls, name, None)) for name in BACKWARDS)
    return callable(getattr(cls, "forward", None)) and has_backward


def _classes(own: Mapping[str, Any], made: set[type[Any]], tree: ast.Module) -> Iterator[Found]:
    """Iterate over classes of which no object stands in a variable."""
    nodes = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    bases = {b for x in own.values() if isinstance(x, type) for b in x.__mro__[1:]}
    for name, cls in own.items():
        if not isinstance(cls, type) or name not in nodes or cls in made:
            continue
        if not _writes(cls) or (cls in bases and _is_abstract(nodes[name])):
            continue
        file = sys.modules[cls.__module__].__file__
        line = _backward_line(cls, file) or nodes[name].lineno
        forward = getattr(cls, "forward")  # noqa: B009 - of a class that is not known
        if "torch" in {c.__module__.partition(".")[0] for c in cls.__mro__}:
            yield Found(name, (name,), "function", line, cls, forward, bound=True)
        elif _is_static(cls):
            yield Found(name, (name,), "class", line, cls, forward)
        else:
            yield _built(name, cls, line)


def _writes(cls: type[Any]) -> bool:
    if issubclass(cls, Module):
        return bool(getattr(cls, "writes_backward", False))
    return _has_both(cls)


def _is_static(cls: type[Any]) -> bool:
    return isinstance(inspect.getattr_static(cls, "forward"), staticmethod | classmethod)


def _is_abstract(node: ast.ClassDef) -> bool:
    """Return whether a method of a class does nothing but refuse."""
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    return any(
        "NotImplementedError" in ast.unparse(m.body[-1]) or isinstance(m.body[-1], ast.Pass)
        for m in methods
        if m.name in {"forward", *BACKWARDS}
    )


def _built(name: str, cls: type[Any], line: int) -> Found:
    forward = getattr(cls, "forward")  # noqa: B009 - of a class that is not known
    try:
        target = cls()
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Found(name, (name,), "class", line, None, forward, bound=True, hindrance=said)
    return Found(name, (name,), "class", line, target, forward, bound=True)


# ------------------------------------------------------------------ functions


def _pairs(functions: Mapping[str, Any]) -> Iterator[Found]:
    """Iterate over functions whose names differ in forward and backward."""
    for name, forward in functions.items():
        for partner in _partners(name):
            if partner in functions:
                both = (forward, functions[partner])
                line = functions[partner].__code__.co_firstlineno
                stem = _stem(name)
                aliases = (name, partner, *([stem] if stem else []))
                yield Found(f"{name}, {partner}", aliases, "pair", line, both, forward)
                break


def _partners(name: str) -> Iterator[str]:
    """Iterate over what the backward function may be called.

    Examples
    --------
    >>> list(_partners("relu_forward"))[:2]
    ['relu_backward', 'relu_back']
    """
    for word, others in _WORDS.items():
        places = (word, word.capitalize(), word.upper())
        for place, other in itertools.product(places, others):
            if place in name:
                as_written = other.capitalize() if place[0].isupper() else other
                yield name.replace(place, as_written)


def _stem(name: str) -> str:
    """Return what is left of a name without forward.

    Examples
    --------
    >>> _stem("affine_forward"), _stem("forward")
    ('affine', '')
    """
    for word in _WORDS:
        name = name.replace(word, "").replace(word.capitalize(), "")
    return name.strip("_")


def _closures(own: Mapping[str, Any], tree: ast.Module, said: set[str]) -> Iterator[Found]:
    """Iterate over functions that return a loss together with gradients."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name not in own:
            continue
        is_meant = node.name in said or any(word in node.name.lower() for word in _LOSSES)
        if _returns_both(node, is_meant=is_meant):
            function = own[node.name]
            yield Found(node.name, (node.name,), "closure", node.lineno, function, function)


def _returns_both(node: ast.FunctionDef, *, is_meant: bool) -> bool:
    """Return whether the last return of a function is ``return loss, gradients``.

    Where the function is meant to, by its name or since inputs are said for it, gradients may be
    any expression but a variable that is called otherwise.
    """
    returns = [n for n in _own_nodes(node) if isinstance(n, ast.Return)]
    value = returns[-1].value if returns else None
    if not isinstance(value, ast.Tuple) or len(value.elts) < 2:
        return False
    first, *rest = value.elts
    return not _is_gradient(first) and all(
        _is_gradient(x) or (is_meant and not isinstance(x, ast.Name)) for x in rest
    )


def _named(module: ModuleType, own: Mapping[str, Any], lines: Mapping[str, int]) -> Iterator[Found]:
    """Iterate over functions in variables for which the file says inputs or shapes."""
    for name in sorted(_said(module)):
        function = own.get(name)
        if inspect.isfunction(function) and name in lines:
            yield Found(name, (name,), "closure", lines[name], function, function)


# ------------------------------------------------------------------ methods


def _methods(
    module: ModuleType, own: Mapping[str, Any], tree: ast.Module, lines: Mapping[str, int]
) -> Iterator[Found]:
    """Iterate over methods that return a loss together with gradients, of objects with arrays."""
    for node in (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name in own):
        cls = own[node.name]
        methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
        for method in methods:
            if not method.args.args or not _returns_both(method, is_meant=False):
                continue
            objects = [name for name in lines if type(vars(module).get(name)) is cls]
            title = f"{node.name}.{method.name}"
            aliases = (*objects, node.name, method.name, title)
            try:
                owner = vars(module)[objects[0]] if objects else cls()
            except Exception as error:  # noqa: BLE001 - the user's code may raise anything
                said = str(error).splitlines()[0] if str(error) else type(error).__name__
                yield Found(title, aliases, "closure", method.lineno, None, hindrance=said)
                continue
            target = getattr(owner, method.name)
            function = getattr(target, "__func__", target)
            yield Found(title, aliases, "closure", method.lineno, target, function, bound=True)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Iterate over the nodes of a function, and not of functions in it, in their order."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _own_nodes(child)


def _is_gradient(node: ast.expr) -> bool:
    """Return whether an expression is called, or looks, like gradients."""
    if isinstance(node, ast.Name):
        name = node.id
        is_short = name.startswith("d") and len(name) > 1 and name[1:2] != "a"
        return "grad" in name.lower() or is_short or name in {"g", "jac"}
    if isinstance(node, ast.Dict):
        return bool(node.values)
    if isinstance(node, ast.Tuple | ast.List):
        return bool(node.elts) and all(map(_is_gradient, node.elts))
    if isinstance(node, ast.Call):
        words = ast.unparse(node).lower()
        return "grad" in words or any(map(_is_gradient, _names_in(node)))
    return any(map(_is_gradient, _names_in(node)))


def _names_in(node: ast.AST) -> list[ast.expr]:
    return [n for n in ast.walk(node) if isinstance(n, ast.Name) and n is not node]
