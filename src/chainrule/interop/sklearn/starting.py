"""The first weights."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

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
    """
    coefs, intercepts = [], []
    for (inputs, units), activation in zip(itertools.pairwise(sizes), activations, strict=True):
        if initialiser is None:
            bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (inputs + units))
            coef = rng.uniform(-bound, bound, (inputs, units))
        else:
            shape = (units, inputs)
            drawn = initial(initialiser, shape, rng) if isinstance(initialiser, str) else None
            coef = np.asarray(initialiser(rng, shape) if drawn is None else drawn).T
            bound = 1 / np.sqrt(inputs)
        coefs.append(np.ascontiguousarray(coef, dtype))
        intercepts.append(rng.uniform(-bound, bound, units).astype(dtype, copy=False))
    return coefs, intercepts
