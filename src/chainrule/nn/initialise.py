"""Initial weights, by name.

Each is a function of a generator, a shape ``(out, in, …)`` and a dtype. With fan_in the
inputs of a unit and fan_out the units that an input goes to, the bound of a uniform
distribution of variance v is √(3 v).
"""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    Initialiser = Callable[[np.random.Generator, tuple[int, ...]], Any]

__all__ = ["INITIALISERS", "fans", "generator", "initial"]


def generator(seed: int | np.random.Generator | None) -> np.random.Generator:
    """Return a generator from a seed; a generator is itself, None a new one."""
    return seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return fan_in and fan_out of weights of shape (out, in, kernel…).

    Examples
    --------
    >>> fans((10, 3, 5, 5))
    (75, 250)
    """
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _uniform(variance: Callable[[int, int], float]) -> Initialiser:
    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        bound = math.sqrt(3 * variance(*fans(shape)))
        return rng.uniform(-bound, bound, shape)

    return draw


def _normal(variance: Callable[[int, int], float]) -> Initialiser:
    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        return rng.normal(0.0, math.sqrt(variance(*fans(shape))), shape)

    return draw


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw rows or columns that are orthonormal (Saxe, McClelland and Ganguli, 2014)."""
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))  # so that each orthogonal matrix is equally likely
    return (q if rows >= columns else q.T).reshape(shape)


INITIALISERS: dict[str, Initialiser] = {
    "fan_in_uniform": _uniform(lambda i, _: 1 / (3 * i)),  # ±1/√fan_in, PyTorch's for Linear
    "glorot_uniform": _uniform(lambda i, o: 2 / (i + o)),  # Glorot and Bengio, 2010
    "glorot_normal": _normal(lambda i, o: 2 / (i + o)),
    "he_uniform": _uniform(lambda i, _: 2 / i),  # He, Zhang, Ren and Sun, 2015
    "he_normal": _normal(lambda i, _: 2 / i),
    "lecun_normal": _normal(lambda i, _: 1 / i),  # LeCun, Bottou, Orr and Müller, 1998
    "orthogonal": _orthogonal,
    "zeros": lambda _, shape: np.zeros(shape),
}
"""Every initialiser by its name."""


def initial(
    name: str, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any = np.float64
) -> Any:
    """Return initial weights.

    Parameters
    ----------
    name
        A key of `INITIALISERS`.
    shape
        ``(out, in, kernel…)``.
    rng
        What they are drawn from.

    Raises
    ------
    SettingError
        If there is no initialiser of that name, with the nearest one.
    """
    if name not in INITIALISERS:
        near = difflib.get_close_matches(name, INITIALISERS, n=1, cutoff=0.0)[0]
        raise SettingError(
            f"there is no initialiser {name!r}.",
            f"there are {', '.join(INITIALISERS)}",
            advice=f"Did you mean {near!r}?",
        )
    return INITIALISERS[name](rng, shape).astype(dtype)
