"""Structural lint: a program that is right and will hardly train, and why, before it is trained.

A model or function is run once on some examples and differentiated. Rules then look at what was
computed, at its structure and its numbers, and each names one thing that is the matter.
"""

from __future__ import annotations

import dataclasses
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import LabelError, OutputError, SettingError, TraceError
from chainrule.graph import Value, user_line
from chainrule.inspect.finding import Finding
from chainrule.inspect.lints import RULES, Subject
from chainrule.inspect.lints.targets import labels_outside
from chainrule.inspect.noticing import Noticed
from chainrule.inspect.programs import program_of
from chainrule.inspect.reasons.nonfinite import why_not_finite
from chainrule.inspect.scene import Spot, scene_of
from chainrule.inspect.walking import walk
from chainrule.nn import DNN, Dropout, Module, functional_call
from chainrule.transform import pull_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chainrule.inspect.programs import Program
    from chainrule.inspect.walking import Walk

__all__ = ["lint", "subject_of"]


def lint(
    program: Module | Callable[..., Any],
    *inputs: Any,
    loss: Callable[..., Any] | None = None,
    target: Any = None,
) -> list[Finding]:
    """Return what keeps a model or a function from training well, as far as it can be seen.

    Parameters
    ----------
    program
        An `nn.Module`, an `nn.DNN`, or a function whose arguments are parameters (containers, or
        arrays) and then examples.
    *inputs
        What it is called with: a batch of examples along the first axis, some tens at least.
    loss
        ``loss(output, target)``. Without one, a function that returns a number is a loss itself;
        else the rules that need a loss are left out.
    target
        What the outputs should be.

    Returns
    -------
    list of Finding
        Codes CD3xx, errors and warnings before notes; empty if nothing is the matter. Where the
        result is not finite, the one reason that `why` gives.

    Raises
    ------
    OutputError
        If the program returns nothing that depends on its inputs.
    SettingError
        If there is a loss that compares with a target, and no target; or a target and nothing
        that it is compared with.

    Notes
    -----
    Nothing is found by the name of an op: a softmax is an array of probabilities, a sigmoid one
    that equals the sigmoid of another, a layer a product with parameters. Dropout is off
    meanwhile; batch norm takes the statistics of the batch. Nothing of the model changes.

    Examples
    --------
    >>> from chainrule import nn
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(32, 4)), rng.integers(0, 3, 32)
    >>> lint(nn.MLP([4, 16, 3], seed=0), X, loss=nn.CrossEntropyLoss(), target=y)
    []
    >>> model = nn.Sequential(nn.Linear(4, 3, seed=0), nn.Softmax())
    >>> [found.code for found in lint(model, X, loss=nn.CrossEntropyLoss(), target=y)]
    ['CD301']
    """
    _require_pair(program, loss, target)
    early = _labels(program, inputs, loss, target)
    if early:
        return early
    subject = subject_of(program, *inputs, loss=loss, target=target)
    with np.errstate(all="ignore"):
        broken = _not_finite(subject)
        if broken is not None:
            return [broken]
        found = [finding for rule in RULES for finding in rule(subject)]
    return sorted(found, key=lambda finding: finding.severity == "note")


def _require_pair(program: Any, loss: Any, target: Any) -> None:
    """Raise where a loss has no target to compare with, or a target no loss."""
    if isinstance(program, DNN):
        return
    if loss is None and target is not None:
        raise SettingError(
            "there is a target and no loss that compares the output with it.",
            advice="Say which, as in loss=nn.CrossEntropyLoss().",
        )
    if callable(loss) and target is None and not _takes_one(loss):
        raise SettingError(
            "there is a loss that compares the output with a target, and no target.",
            advice="Say what the outputs should be: target=y.",
        )


def _takes_one(loss: Callable[..., Any]) -> bool:
    """Return whether a function may be called with one argument, as far as it says so."""
    try:
        inspect.signature(loss.forward if isinstance(loss, Module) else loss).bind(None)
    except TypeError:
        return False
    except ValueError:  # it does not say
        return True
    return True


def _not_finite(subject: Subject) -> Finding | None:
    """Return why the result is no number, where that is so; nothing else is said then."""
    scene = subject.scene
    bad = np.flatnonzero(~np.isfinite(np.ravel(subject.number(scene.output))))
    if not bad.size:
        return None
    spot = Spot(scene.output, int(bad[0]))
    about = f"value of {scene.label(spot)}"
    return dataclasses.replace(why_not_finite(scene, spot), about=about, number=scene.number(spot))


def _labels(program: Any, inputs: tuple[Any, ...], loss: Any, target: Any) -> list[Finding]:
    """Return what is wrong with labels, before a loss meets them."""
    if target is None or loss is None or isinstance(program, DNN):
        return []
    with prepared(program), np.errstate(all="ignore"):
        output = _call(program, inputs)
        found = list(labels_outside(output, target))
        if found:
            return found
        try:
            loss(output, target)
        except LabelError as error:
            return [Finding.of("CD316", tensor="target", message=str(error.what))]
    return []


def subject_of(
    program: Any, *inputs: Any, loss: Callable[..., Any] | None = None, target: Any = None
) -> Subject:
    """Return what the rules look at; the parameters are those of `lint`."""
    known = program_of(program, inputs, loss, None if _compares_nothing(program, loss) else target)
    made = _walked(program, known)
    last = next((y for y in reversed(made.outputs) if type(y) is Value), None)
    if last is None:
        raise OutputError("what is linted has to return something that depends on its inputs.")
    with np.errstate(all="ignore"):
        adjoints = pull_back(made.graph, made.numbers, made.active, {last.index: _start(last)})
    told = tuple(Noticed(y.index, name, rank) for y, name, rank in known.told)
    made = dataclasses.replace(made, title=known.title, noticed=(*told, *made.noticed))
    outputs = [y.index for y, name, _ in known.told if name == _output_of(program)]
    return Subject(
        scene_of(made, last.index, adjoints, known),
        outputs[-1] if outputs else None if not last.shape else last.index,
        target,
        has_loss=not last.shape,
        called=str(user_line()) if isinstance(program, Module | DNN) else "",
    )


def _walked(program: Any, known: Program) -> Walk:
    """Walk a program, through modules with a backward of their own as through any others.

    The lint looks at what forward computes. Where that cannot be traced, such a module is one node.
    """
    for is_open in (True, False):
        known.told.clear()
        with prepared(program, is_open=is_open), np.errstate(all="ignore"):
            try:
                return walk(
                    known.run, known.args, keep_flat=True, names=known.names, held=known.held
                )
            except TraceError:
                if not is_open:
                    raise
    raise AssertionError("the second walk returns or raises")


def _compares_nothing(program: Any, loss: Any) -> bool:
    return loss is None and not isinstance(program, DNN)


def _output_of(program: Any) -> str:
    """Return what the output is called that a loss gets."""
    return f"A{program.depth}" if isinstance(program, DNN) else "output"


def _start(last: Value) -> Any:
    """Return the gradient to start from: 1 of a loss, a random sum of other outputs."""
    if not last.shape:
        return last.dtype.type(1)
    return np.random.default_rng(0).normal(size=last.shape).astype(last.dtype)


def _call(program: Any, inputs: tuple[Any, ...]) -> Any:
    if isinstance(program, Module):
        return functional_call(program, {}, *inputs, key=np.array([0, 0]))[0]
    return program(*inputs)


@contextmanager
def prepared(program: Any, *, is_open: bool = False) -> Iterator[None]:
    """Let a model train inside, but for dropout, and then be as it was.

    Open, it is differentiated through its forward passes even where it has a backward of its own.
    """
    modules = list(program.modules()) if isinstance(program, Module) else []
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = not isinstance(module, Dropout)
            if is_open:
                module.__dict__["writes_backward"] = False
        yield
    finally:
        for module, mode in zip(modules, before, strict=True):
            module.training = mode
            module.__dict__.pop("writes_backward", None)
