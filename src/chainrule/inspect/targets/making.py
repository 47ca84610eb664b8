"""The way from a target and its inputs to probes and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import InputTypeError
from chainrule.inspect.kinks import distances
from chainrule.inspect.targets.drawing import drawn, lengths_of, read_shapes, sizes_for
from chainrule.inspect.targets.examining import Examination, Stop
from chainrule.inspect.targets.handwritten import as_arrays
from chainrule.inspect.targets.judging import agrees_with_walk
from chainrule.inspect.targets.modules import forward_mode_differs, written_in
from chainrule.inspect.targets.recognise import recognised
from chainrule.inspect.targets.running import Draw, outcome_of
from chainrule.inspect.targets.stage import Stage, copied
from chainrule.inspect.targets.tracing import traced
from chainrule.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.inspect.finding import Finding
    from chainrule.inspect.probe import Probe
    from chainrule.inspect.targets.handwritten import Handwritten
    from chainrule.inspect.targets.running import Outcome

__all__ = ["probes_of"]

NEAR = 1e-3
"""From a kink; numbers that are drawn nearer are drawn again."""
TRIES = 5


def probes_of(
    target: Any,
    inputs: Any,
    *,
    shapes: Mapping[str, str | Sequence[Any]] | None = None,
    seed: int = 0,
    loss: Callable[..., Any] | None = None,
    argnames: Sequence[str] | None = None,
    count: int = 3,
) -> tuple[list[Probe], list[Finding]]:
    """Run a hand-written backward pass on several draws.

    Parameters
    ----------
    target
        What is checked.
    inputs
        The tuple of forward's arguments, or the one argument.
    shapes
        The axes of arguments by letters, to draw them in sizes that are distinct primes.
    seed
        Of everything that is drawn.
    loss
        ``(out, Y) → number``, where the target has no loss of its own.
    argnames
        What the arguments are called; their names in forward, if it is not said.
    count
        How many probes.

    Returns
    -------
    probes
        None of them where running makes no sense.
    findings
        What is the matter with the set-up.

    Examples
    --------
    >>> def loss(w):
    ...     return np.sum(w**2), 2 * w
    >>> probes, findings = probes_of(loss, np.array([1.0, 2.0]))
    >>> probes[0].claims["w"].array, findings
    (array([2., 4.]), [])
    """
    arguments = as_arrays(tuple(inputs) if type(inputs) in {tuple, list} else (inputs,))
    said = read_shapes(shapes or {})
    if isinstance(target, Module):
        return _of_modules(target, arguments, seed, count)
    made = recognised(target, arguments, argnames=argnames)
    made.say_loss(loss, target)
    return _of_one(made, said, seed, count)


def _of_one(
    made: Handwritten, said: Mapping[str, tuple[str | int, ...]], seed: int, count: int
) -> tuple[list[Probe], list[Finding]]:
    """Return the probes and findings of a target in the form that is run."""
    stage = Stage(made)
    rng = np.random.default_rng(seed)
    examination = Examination(stage)
    try:
        given = Draw(examination.given(), given=True)
        examination.before_probes(given)
        outcomes: list[Outcome] = []
        if said:
            fixed = _fixed(examination, said)
            outcomes = _outcomes(examination, given, rng, said, count, fixed)
        outcomes = outcomes or _outcomes(examination, given, rng, {}, count)
        examination.after_probes(outcomes)
    except Stop:
        return [], examination.findings
    finally:
        stage.restore()
    return [outcome.probe for outcome in outcomes], examination.findings


def _of_modules(
    module: Module, arguments: tuple[Any, ...], seed: int, count: int
) -> tuple[list[Probe], list[Finding]]:
    """Return those of the first module that is wrong, in the order of backward; else of all.

    A module that is wrong spoils what the modules before it get, which are not to be blamed.
    """
    probes: list[Probe] = []
    findings: list[Finding] = []
    if not any(part.writes_backward for part in module.modules()):
        raise InputTypeError(
            f"{type(module).__name__} has no backward that somebody wrote, nor has a module in it.",
            advice="Write backward(self, *gradwrtoutput) in a subclass of nn.Module; what follows "
            "from forward is right by itself.",
        )
    for made in written_in(module, arguments):
        own, found = _of_one(made, {}, seed, count)
        stage = Stage(made)
        walked = traced(stage, [slot.given for slot in made.slots])
        if walked is not None:
            differs = forward_mode_differs(made, walked, np.random.default_rng(seed))
            found += [differs] if differs is not None else []
        if any(f.severity == "error" for f in found) or not all(map(agrees_with_walk, own)):
            return own, [*findings, *found]
        probes, findings = own, [*findings, *found]
    return probes, findings


def _outcomes(
    examination: Examination,
    given: Draw,
    rng: np.random.Generator,
    said: Mapping[str, tuple[str | int, ...]],
    count: int,
    fixed: Mapping[str, int] | None = None,
) -> list[Outcome]:
    """Run on the given numbers and on others like them, or in the sizes that are said."""
    stage = examination.stage
    outcomes: list[Outcome] = []
    for number in range(count):
        draw = given if not said and not number else _drawn(stage, rng, said, fixed)
        other = Draw(drawn(stage.target.slots, rng, said, draw.sizes), draw.sizes)
        before = other if _runs(stage, other) else None if said else given
        with examination.of(draw):
            outcomes.append(outcome_of(stage, draw, before, rng))
    return outcomes


def _runs(stage: Stage, draw: Draw, *, backward: bool = False) -> bool:
    """Return whether forward runs on a draw and gives finite numbers, and backward after it."""
    target = stage.target
    try:
        with stage.set(), np.errstate(all="ignore"):
            ran = target.forward(copied(draw.values))
            is_finite = bool(np.all(np.isfinite(ran.output)))
            if backward:
                target.backward(ran, np.ones(np.shape(ran.output))[()])
    except Exception:  # noqa: BLE001 - the user's code may raise anything; the caller says it
        return False
    return is_finite


def _fixed(examination: Examination, said: Mapping[str, tuple[str | int, ...]]) -> dict[str, int]:
    """Return the letters that forward cannot take another length of, with the one they have.

    An object whose parameters are not in shapes goes on having those, and so the lengths of them.
    """
    stage = examination.stage
    slots = stage.target.slots
    lengths = lengths_of(slots, said)
    has_own = not all(slot.name in said for slot in slots if slot.is_array)
    rng = np.random.default_rng(0)
    fixed = {}
    for letter in lengths:
        others = {name: n for name, n in lengths.items() if name != letter}
        sizes = sizes_for(said, rng, others)
        if sizes[letter] == lengths[letter]:
            sizes = sizes_for(said, rng, {**others, "": lengths[letter]})
        draw = Draw(drawn(slots, rng, said, sizes), sizes)
        if not _runs(stage, draw):
            fixed[letter] = lengths[letter]
            if not has_own:
                examination.fails(draw)
        elif has_own and not _runs(stage, draw, backward=True):
            fixed[letter] = lengths[letter]  # that of labels, say, which backward alone reads
    return fixed


def _drawn(
    stage: Stage,
    rng: np.random.Generator,
    said: Mapping[str, tuple[str | int, ...]],
    fixed: Mapping[str, int] | None = None,
) -> Draw:
    """Return new numbers, off the kinks if a few draws lead there."""
    best: tuple[float, Draw] | None = None
    draw = Draw([])
    for _ in range(TRIES):
        sizes = sizes_for(said, rng, fixed)
        draw = Draw(drawn(stage.target.slots, rng, said, sizes), sizes)
        if not _runs(stage, draw):
            continue
        found = traced(stage, draw.values)
        apart = distances(found.walk).values() if found is not None else ()
        least = min((float(np.min(np.abs(d))) for d in apart if np.size(d)), default=np.inf)
        if best is None or least > best[0]:
            best = least, draw
        if least > NEAR:
            break
    return best[1] if best is not None else draw
