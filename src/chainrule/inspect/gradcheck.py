"""Derivatives against finite differences: reverse mode and forward mode, each entry, aloud.

The function is run anew for each step, so it may branch on numbers. Where a step of the
difference quotient could cross a kink (by the ops' own word) or takes another branch, nothing
can be compared: those entries are skipped, and the result says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import GradientError, InputTypeError, OutputError
from chainrule.graph import describe
from chainrule.inspect.kinks import distances, kink_between
from chainrule.inspect.suspects import drawing, sharing
from chainrule.inspect.walking import Walk, walk
from chainrule.transform import jvp, vjp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Check", "gradcheck"]

LARGEST_FULL = 2048
"""Entries of a Jacobian; a larger one is checked along random directions."""

DIRECTIONS = 4
"""Random directions for each input of a large Jacobian, and draws for one off the kinks."""


@dataclass(frozen=True)
class Check:
    """What a gradient check found, when it found no fault.

    Attributes
    ----------
    largest_absolute
        The largest difference of a derivative from its difference quotient.
    largest_relative
        The largest difference over the larger of the two numbers (or over ``atol``, where both
        are smaller).
    compared, skipped
        How many entries were compared, and how many not, because the function has no
        derivative there.
    directions
        Whether an entry is one number of the Jacobian (False) or its product with a random
        direction (True), as it is when the Jacobian is large.
    kinks
        Where the derivative does not exist: op and line.
    """

    largest_absolute: float
    largest_relative: float
    compared: int
    skipped: int
    directions: bool = False
    kinks: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = "random directions" if self.directions else "entries"
        text = (
            f"{self.compared} {what} by reverse and forward mode agree with central differences: "
            f"largest difference {self.largest_absolute:.1e}, relative {self.largest_relative:.1e}."
        )
        if self.skipped:
            text += f" {self.skipped} not differentiable here, skipped: {', '.join(self.kinks)}."
        return text


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    cast: bool = False,
    seed: int = 0,
) -> Check:
    """Compare the derivatives of a function, in both modes, with finite differences.

    Parameters
    ----------
    func
        A function of arrays, or containers of arrays, that returns such. It is run anew for
        every step, so it may branch on numbers; it has to give the same result each time.
    inputs
        The tuple of its arguments, or its one argument. Arrays of integers are constants.
    eps
        The step of the central differences at numbers up to 1; at larger ones it is so many
        times the number.
    atol, rtol
        A derivative d passes beside a difference quotient q if |d - q| ≤ atol + rtol |q|.
    cast
        Whether to check in float64 where the inputs are of a smaller type.
    seed
        Of the random directions that stand for the entries of a large Jacobian.

    Returns
    -------
    Check
        The largest differences, and how many entries were compared and skipped.

    Raises
    ------
    GradientError
        With the input, the entry, both numbers and their ratio.
    InputTypeError
        If there is nothing to differentiate by, or the numbers are too short for differences.

    Notes
    -----
    The step at a number x is h = ε max(1, |x|), so that it keeps its digits beside a large x.
    The quotient (f(x + hv) - f(x - hv)) / 2h differs from the derivative by h²/6 times the
    third derivative, and by about 1e-16 |f| / h from rounding (Nocedal and Wright, *Numerical
    Optimization*, 2006, section 8.1), which leaves about ten digits in float64 and none in
    float32.

    Examples
    --------
    >>> import numpy as np
    >>> check = gradcheck(lambda w, x: np.tanh(x @ w), (np.ones(3), np.eye(2, 3)))
    >>> check.compared, check.largest_relative < 1e-7
    (18, True)
    >>> print(gradcheck(np.abs, np.array([0.0, 1.0])))  # doctest: +ELLIPSIS
    2 entries by ... 2 not differentiable here, skipped: absolute at ...
    """
    target = _Target(func, inputs, cast)
    count = sum(x.size for x in target.xs)
    is_large = count * sum(y.size for y in target.ys) > LARGEST_FULL
    measure = _along_directions(target, eps, seed) if is_large else _each_entry(target, eps)
    found = list(measure)
    compared = [entry for entry in found if not entry.kink]
    _require_agreement(compared, atol, rtol, sharing(target.names, target.xs))
    differences = [np.abs(e.derivatives - e.quotient) for e in compared]
    relative = [
        d / np.maximum(np.maximum(np.abs(e.derivatives), np.abs(e.quotient)), atol)
        for d, e in zip(differences, compared, strict=True)
    ]
    return Check(
        largest_absolute=max((float(np.max(d, initial=0.0)) for d in differences), default=0.0),
        largest_relative=max((float(np.max(r, initial=0.0)) for r in relative), default=0.0),
        compared=sum(entry.quotient.size for entry in compared),
        skipped=sum(entry.quotient.size for entry in found if entry.kink),
        directions=is_large,
        kinks=tuple(dict.fromkeys(entry.kink for entry in found if entry.kink)),
    )


class _Compared(NamedTuple):
    """Derivatives along one direction: of every output, or of one random sum of them."""

    along: str
    """The input and entry, as text."""
    quotient: Array
    derivatives: Array
    """Two rows: by reverse mode, by forward mode."""
    outputs: Sequence[str]
    kink: str
    """The kink that the step may cross, as text; empty where there is none."""


class _Target:
    """A function as one of its float64 arrays alone, which are the leaves xs."""

    def __init__(self, func: Callable[..., Any], inputs: Any, cast: bool) -> None:
        self.func = func
        args: Any = tuple(inputs) if type(inputs) in {tuple, list} else (inputs,)
        self._leaves: list[Any]
        self._leaves, self._structure = optree.tree_flatten(args)
        if cast:
            self._leaves = [_as_float64(x) for x in self._leaves]
        self.base = walk(func, self._together(self._leaves), keep_flat=True)
        leaves = self.base.leaves
        self._places = [k for k, leaf in enumerate(leaves) if leaf.index is not None]
        self.names = [leaves[k].name for k in self._places]
        self.xs = [np.asarray(self._leaves[k]) for k in self._places]
        self._require_float64()
        self._kept = [k for k, y in enumerate(self.base.results()) if y.dtype.kind == "f"]
        self.ys = self.numbers(self.base)
        self._require_clean_outputs()
        self.distances = distances(self.base)

    def walk(self, xs: Sequence[Array]) -> Walk:
        """Run the function anew and keep everything."""
        return walk(self.func, self._arguments(xs), keep_flat=True)

    def numbers(self, run: Walk) -> list[Array]:
        """Return the outputs that have a derivative."""
        results = run.results()
        return [results[k] for k in self._kept]

    def __call__(self, *xs: Any) -> tuple[Any, ...]:
        """Return the same from arrays or values, for the transforms."""
        leaves = optree.tree_leaves(self.func(*self._arguments(xs)))
        return tuple(leaves[k] for k in self._kept)

    def _arguments(self, xs: Sequence[Any]) -> Any:
        leaves = list(self._leaves)
        for k, x in zip(self._places, xs, strict=True):
            leaves[k] = x
        return self._together(leaves)

    def _together(self, leaves: list[Any]) -> Any:
        return optree.tree_unflatten(self._structure, leaves)

    def _require_float64(self) -> None:
        if not self.xs:
            given = ", ".join(describe(x) for x in self._leaves) or "no arrays"
            raise InputTypeError(
                f"gradcheck found nothing to differentiate by: it needs float64, got {given}.",
                advice="Pass numbers as floats: x.astype(float), 2.0 for 2.",
            )
        for name, x in zip(self.names, self.xs, strict=True):
            if x.dtype != np.float64:
                raise InputTypeError(
                    f"gradcheck needs float64, and {name} is {describe(x)}: its "
                    f"{np.finfo(x.dtype).precision} digits are lost in the difference of two "
                    "numbers that are a step of 1e-6 apart.",
                    advice="Pass x.astype(float), or say cast=True to check in float64.",
                )

    def _require_clean_outputs(self) -> None:
        if not self.ys:
            raise OutputError(
                "gradcheck needs a function that returns floating-point numbers, got "
                f"{', '.join(describe(y) for y in self.base.results()) or 'nothing'}."
            )
        for y in self.ys:
            if not np.all(np.isfinite(y)):
                raise GradientError(
                    f"the function is not finite here, so it has no derivative: {y}.",
                    advice="Check it inside its domain.",
                )
            if y.dtype != np.float64:
                raise InputTypeError(
                    f"the function makes {describe(y)} of float64 inputs, and differences of "
                    "such short numbers show nothing.",
                    advice="Let it keep the type of its inputs; look for astype and dtype= in it.",
                )
        for y, again in zip(self.ys, self.numbers(self.walk(self.xs)), strict=True):
            if y.shape != again.shape or not np.array_equal(y, again):
                raise GradientError(
                    "the function returned different numbers for the same inputs, so "
                    "differences say nothing about its derivative.",
                    *drawing(self.func),
                    advice="Make its random generator inside it, from a fixed seed.",
                )


def _as_float64(x: Any) -> Any:
    is_short = hasattr(x, "dtype") and np.issubdtype(x.dtype, np.floating)
    return x.astype(np.float64) if is_short else x


# ------------------------------------------------------------------ what is compared


def _each_entry(target: _Target, eps: float) -> Iterator[_Compared]:
    """Compare every entry of the Jacobian, a column at a time."""
    _, pull = vjp(target, *target.xs)
    rows = [pull(tuple(part)) for part in _unit_vectors(target.ys)]
    ordinals = [f"output {k}" if len(target.ys) > 1 else "output" for k in range(len(target.ys))]
    outputs = [_at(o, e) for o, y in zip(ordinals, target.ys, strict=True) for e in _entries(y)]
    for k, x in enumerate(target.xs):
        for i, entry in enumerate(_entries(x)):
            direction = np.zeros(x.size)
            direction[i] = 1.0
            step = eps * max(1.0, abs(float(x.flat[i])))
            quotient, kink = _quotient(target, k, direction.reshape(x.shape), step)
            pushed = _push(target, k, direction.reshape(x.shape))
            pulled = np.array([np.ravel(row[k])[i] for row in rows])
            name = _at(target.names[k], entry)
            yield _Compared(name, quotient, np.stack([pulled, pushed]), outputs, kink)


def _along_directions(target: _Target, eps: float, seed: int) -> Iterator[_Compared]:
    """Compare random sums of outputs along random directions, for each input.

    A direction has ±1 at numbers up to 1 and ± the number at larger ones, as steps are.
    """
    rng = np.random.default_rng(seed)
    _, pull = vjp(target, *target.xs)
    for k, x in enumerate(target.xs):
        for _ in range(DIRECTIONS):
            for _ in range(DIRECTIONS):
                direction = rng.choice([-1.0, 1.0], x.shape) * np.maximum(1.0, np.abs(x))
                quotient, kink = _quotient(target, k, direction, eps)
                if not kink:
                    break
            weights = [rng.choice([-1.0, 1.0], y.shape) for y in target.ys]
            u = _joined(weights)
            pulled = np.sum(pull(tuple(weights))[k] * direction)
            both = np.array([[pulled], [u @ _push(target, k, direction)]])
            name = f"{target.names[k]} along a random direction"
            yield _Compared(name, np.array([u @ quotient]), both, ["a random sum"], kink)


def _quotient(target: _Target, k: int, direction: Array, eps: float) -> tuple[Array, str]:
    """Return the central difference along a direction of one input, and the kink in its way."""
    runs = []
    for step in (eps, -eps):
        xs = list(target.xs)
        xs[k] = xs[k] + step * direction
        with np.errstate(all="ignore"):
            runs.append(target.walk(xs))
    kink = kink_between(target.base, target.distances, runs)
    if kink:  # another branch may even return other shapes
        return np.full(sum(y.size for y in target.ys), np.nan), kink
    ahead, behind = (_joined(target.numbers(run)) for run in runs)
    finite = np.isfinite(ahead) & np.isfinite(behind)
    kink = "" if np.all(finite) else "not finite one step away, the edge of its domain"
    return np.where(finite, ahead - behind, np.nan) / (2 * eps), kink


def _push(target: _Target, k: int, direction: Array) -> Array:
    dxs = [np.zeros(x.shape) for x in target.xs]
    dxs[k] = direction
    return _joined(jvp(target, target.xs, dxs)[1])


def _joined(parts: Sequence[Any]) -> Array:
    return np.concatenate([np.ravel(part) for part in parts])


def _unit_vectors(ys: Sequence[Array]) -> Iterator[list[Array]]:
    for k, y in enumerate(ys):
        for i in range(y.size):
            parts = [np.zeros(other.shape) for other in ys]
            parts[k].flat[i] = 1.0
            yield parts


def _at(name: str, entry: str) -> str:
    return f"{name}[{entry}]" if entry else name


def _entries(x: Array) -> list[str]:
    return [", ".join(map(str, entry)) for entry in np.ndindex(x.shape)]


# ------------------------------------------------------------------ the verdict


def _require_agreement(
    compared: Sequence[_Compared], atol: float, rtol: float, suspects: Sequence[str]
) -> None:
    """Raise for the worst disagreement, if there is one; with what is odd about the inputs."""
    worst, worst_mode = 0.0, ""
    facts: tuple[str, ...] = ()
    failed = total = 0
    for entry in compared:
        q, ds = entry.quotient, entry.derivatives
        excess = np.abs(ds - q) - (atol + rtol * np.abs(q))
        wrong = ~(excess <= 0)
        failed += int(np.sum(np.any(wrong, axis=0)))
        total += q.size
        excess[np.isnan(excess)] = np.inf
        if np.any(wrong) and np.max(excess) > worst:
            row, j = (int(i) for i in np.unravel_index(np.argmax(excess), excess.shape))
            worst, worst_mode = float(np.max(excess)), ("reverse mode", "forward mode")[row]
            facts = _facts(entry, j, float(ds[row, j]))
    if failed:
        raise GradientError(
            f"{worst_mode} differs from central differences in {failed} of {total} entries.",
            *facts,
            *suspects,
            advice="If an op of yours is in it, look at its rule; a ratio of -1, 2 or 1/n says "
            "what it misses.\nIf the function jumps or bends here, check it elsewhere.",
        )


def _facts(entry: _Compared, j: int, derivative: float) -> tuple[str, ...]:
    """Return the lines of an error that name the entry and show both numbers."""
    q = float(entry.quotient[j])
    ratio = f"{derivative / q:.6g}" if q else "undefined"
    return (
        f"the worst: {entry.outputs[j]} by {entry.along}",
        f"  derivative  {derivative:.10g}",
        f"  difference  {q:.10g}",
        f"  ratio       {ratio}",
    )
