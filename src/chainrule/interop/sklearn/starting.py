"""The first weights."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.initialise import initial

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["first_weights"]


def first_weights(
    sizes: Sequence[int], activations: Sequence[Any], initialiser: Any, rng: Any, dtype: Any
) -> tuple[list[Any], list[Any]]:
    """Draw weights of shape (in, out) and (out,) for each layer.

    Parameters
    ----------
    sizes
        Numbers of units, features first.
    activations
        Of each layer; the sigmoid wants smaller weights.
    initialiser
        None for scikit-learn's: weights and intercepts uniform within ±√(6 / (in + out)), of the
        sigmoid ±√(2 / (in + out)) (Glorot and Bengio, 2010). A name of
        `chainrule.nn.INITIALISERS`, or a function of the generator and the shape (out, in), for
        the weights; then intercepts are uniform within ±1/√in.
    rng
        A RandomState.
    dtype
        Of the weights.

    Raises
    ------
    SettingError
        If the function returns something else.
    """
    coefs, intercepts = [], []
    for (inputs, units), activation in zip(itertools.pairwise(sizes), activations, strict=True):
        if initialiser is None:
            bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (inputs + units))
            coef = rng.uniform(-bound, bound, (inputs, units))
        else:
            coef = _drawn(initialiser, (units, inputs), rng).T
            bound = 1 / np.sqrt(inputs)
        coefs.append(np.ascontiguousarray(coef, dtype))
        intercepts.append(rng.uniform(-bound, bound, units).astype(dtype, copy=False))
    return coefs, intercepts


def _drawn(initialiser: Any, shape: tuple[int, int], rng: Any) -> Any:
    """Return weights of shape (out, in), by a name or by a function of the user's."""
    if isinstance(initialiser, str):
        return initial(initialiser, shape, rng)
    drawn = np.asarray(initialiser(rng, shape))
    if drawn.shape != shape:
        raise SettingError(
            f"initialiser needs to return weights of shape {shape}, (out, in), got {drawn.shape}.",
            advice="It is called as initialiser(rng, shape): rng.normal(size=shape) fits.",
        )
    if drawn.dtype.kind not in "fiu" or not np.all(np.isfinite(drawn)):
        raise SettingError(
            f"initialiser needs to return finite numbers, got {drawn.dtype} with "
            f"{drawn.ravel()[:3].tolist()}, …",
            advice="It is called as initialiser(rng, shape): rng.normal(size=shape) fits.",
        )
    return drawn
