"""What an estimator's parameters may be, and one error where one is something else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import get_scorer_names

from chainrule.errors import SettingError
from chainrule.interop.sklearn.solvers import STOCHASTIC
from chainrule.nn import ACTIVATIONS, INITIALISERS, Module
from chainrule.nn.given import chosen
from chainrule.train import Optimiser
from chainrule.train.settings import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    PORTION,
    POSITIVE,
    Rule,
    require,
)

__all__ = ["Layers", "layers_of", "require_settings"]

_FLAG = Rule("True or False", lambda x: isinstance(x, bool | np.bool_))
_PATIENCE = Rule(
    "a whole number of at least 1, or inf",
    lambda x: COUNT.holds(x) or (isinstance(x, Real) and x == math.inf),
)
_BATCH = Rule("'auto' or a whole number of at least 1", lambda x: _is("auto", x) or COUNT.holds(x))
_LOUD = Rule("True, False or a whole number", lambda x: isinstance(x, bool | np.bool_ | Integral))
_RULES = {
    "alpha": NOT_NEGATIVE,
    "batch_size": _BATCH,
    "learning_rate_init": POSITIVE,
    "power_t": NOT_NEGATIVE,
    "max_iter": COUNT,
    "shuffle": _FLAG,
    "tol": NOT_NEGATIVE,
    "verbose": _LOUD,
    "warm_start": _FLAG,
    "momentum": PORTION,
    "nesterovs_momentum": _FLAG,
    "early_stopping": _FLAG,
    "validation_fraction": FRACTION,
    "beta_1": FRACTION,
    "beta_2": FRACTION,
    "epsilon": POSITIVE,
    "n_iter_no_change": _PATIENCE,
    "max_fun": COUNT,
    "weight_decay": NOT_NEGATIVE,
}
_OPTIONAL = {"clip_norm": POSITIVE, "clip_value": POSITIVE, "threads": COUNT}


class Layers(NamedTuple):
    """What the hidden layers are, each with its own.

    Attributes
    ----------
    sizes
        The numbers of units.
    activations
        Names or functions.
    dropout
        Probabilities.
    """

    sizes: list[int]
    activations: list[Any]
    dropout: list[float]


def require_settings(estimator: Any, losses: Iterable[str]) -> Layers:
    """Check an estimator's parameters, and return what its hidden layers are.

    Parameters
    ----------
    estimator
        With its parameters as attributes.
    losses
        The names of losses that it knows.

    Raises
    ------
    SettingError
        For the first parameter that cannot be.
    """
    name, settings = type(estimator).__name__, vars(estimator)
    require((name, settings), **_RULES)
    given = {key: rule for key, rule in _OPTIONAL.items() if settings[key] is not None}
    require((name, settings), **given)
    if not isinstance(estimator.solver, Optimiser):
        chosen("solver", estimator.solver, (*STOCHASTIC, "lbfgs"))
    chosen("learning_rate", estimator.learning_rate, ("constant", "invscaling", "adaptive"))
    if not callable(estimator.loss):
        chosen("loss", estimator.loss, losses)
    if not (estimator.initialiser is None or callable(estimator.initialiser)):
        chosen("initialiser", estimator.initialiser, INITIALISERS)
    if estimator.dtype is not None:
        chosen("dtype", getattr(estimator.dtype, "__name__", str(estimator.dtype)), _TYPES)
    if isinstance(estimator.scoring, str):
        chosen("scoring", estimator.scoring, ("loss", *get_scorer_names()))
    layers = layers_of(estimator)
    steps = [name for name in ("clip_norm", "clip_value") if settings[name] is not None]
    steps += ["dropout"] * any(layers.dropout)
    if steps and _is("lbfgs", estimator.solver):
        raise SettingError(
            f"solver='lbfgs' minimises one function of all examples: there is no "
            f"{' and no '.join(steps)} in it.",
            advice="Take solver='adam', or leave them out.",
        )
    return layers


_TYPES = ("float32", "float64")


def layers_of(estimator: Any) -> Layers:
    """Return what the hidden layers of an estimator are."""
    sizes = _each(estimator.hidden_layer_sizes, None)
    for size in sizes:
        if not COUNT.holds(size):
            raise SettingError(
                f"hidden_layer_sizes must be > 0, whole numbers of units, got {sizes}.",
                advice="(100, 50) is two hidden layers, () none.",
            )
    activations = _each(estimator.activation, len(sizes), "activation")
    for activation in activations:
        _require_activation(activation)
    dropout = _each(estimator.dropout, len(sizes), "dropout")
    for p in dropout:
        require(("dropout", {"dropout": p}), dropout=FRACTION)
    return Layers([int(n) for n in sizes], activations, [float(p) for p in dropout])


def _each(x: Any, count: int | None, name: str = "") -> list[Any]:
    """Return a setting for each layer; what is no list is the same for all."""
    several = isinstance(x, Iterable) and not isinstance(x, str | Callable)
    if not several:
        return [x] * (1 if count is None else count)
    found = list(x)
    if count is not None and len(found) != count:
        raise SettingError(
            f"{name} has {len(found)} entries for {count} hidden layers.",
            f"{name}: {found}",
            advice="Give one for each hidden layer, or one for all.",
        )
    return found


def _require_activation(activation: Any) -> None:
    if isinstance(activation, Module) and any(True for _ in activation.parameters()):
        raise SettingError(
            f"activation needs to have nothing to learn, got {activation!r}.",
            advice="Its parameters would be in none of coefs_ and intercepts_; train such a "
            "network with chainrule.train.fit.",
        )
    if not callable(activation) or isinstance(activation, type):
        chosen("activation", activation, ACTIVATIONS)


def _is(word: str, x: Any) -> bool:
    return isinstance(x, str) and x == word
