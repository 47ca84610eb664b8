"""What an estimator's parameters may be, and one error where one is something else."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state

from chainrule.errors import SettingError
from chainrule.interop.sklearn.network import function_of
from chainrule.interop.sklearn.solvers import STOCHASTIC
from chainrule.nn import ACTIVATIONS, INITIALISERS, Dropout, Module
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

__all__ = ["Layers", "generator_of", "layers_of", "require_settings", "takes"]

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

    @property
    def functions(self) -> list[Callable[[Any], Any]]:
        """The activations as functions of arrays and traced values alike."""
        return [function_of(x) for x in self.activations]


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
    _require_functions(estimator, losses)
    if not (estimator.dtype is None or _is_type(estimator.dtype)):
        raise SettingError(
            f"dtype needs to be 'float32', 'float64' or None, got {estimator.dtype!r}."
        )
    layers = _layers(estimator, _sizes_of(estimator.hidden_layer_sizes))
    steps = [name for name in ("clip_norm", "clip_value") if settings[name] is not None]
    steps += ["dropout"] * any(layers.dropout)
    if steps and _is("lbfgs", estimator.solver):
        raise SettingError(
            f"solver='lbfgs' minimises one function of all examples: there is no "
            f"{' and no '.join(steps)} in it.",
            advice="Take solver='adam', or leave them out.",
        )
    return layers


def _require_functions(estimator: Any, losses: Iterable[str]) -> None:
    """Check the parameters that may be a name or a function."""
    loss, scoring = estimator.loss, estimator.scoring
    if isinstance(loss, type):
        raise SettingError(
            f"loss needs to be a name or a function, got the class {loss.__name__}.",
            advice=f"Make one of it: loss={loss.__name__}().",
        )
    if not callable(loss):
        chosen("loss", loss, losses)
    if not (estimator.initialiser is None or callable(estimator.initialiser)):
        chosen("initialiser", estimator.initialiser, INITIALISERS)
    if isinstance(scoring, str):
        chosen("scoring", scoring, ("loss", *get_scorer_names()))
    elif not (scoring is None or callable(scoring)):
        raise SettingError(
            f"scoring needs to be one name, a function of (model, X, y) or None, got {scoring!r}.",
            advice="Early stopping goes by one number, such as scoring='balanced_accuracy'.",
        )


def _is_type(x: Any) -> bool:
    """Return whether x says single or double precision."""
    try:
        return np.dtype(x) in {np.dtype(np.float32), np.dtype(np.float64)}
    except TypeError:
        return False


def takes(function: Callable[..., Any], name: str) -> bool:
    """Return whether a function can be given an argument of a name."""
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a built-in function, which does not say
        return True
    return name in known or any(p.kind is p.VAR_KEYWORD for p in known.values())


def generator_of(random_state: Any) -> np.random.RandomState:
    """Return what an estimator draws from.

    Raises
    ------
    SettingError
        If ``random_state`` is neither None, a seed nor a RandomState.
    """
    try:
        found: np.random.RandomState = check_random_state(random_state)
    except ValueError as error:
        raise SettingError(
            f"random_state needs to be None, a whole number from 0 to 2³² - 1 or a RandomState, "
            f"got {random_state!r}.",
            advice="random_state=0 is the same training each time.",
        ) from error
    return found


def layers_of(estimator: Any) -> Layers:
    """Return what the hidden layers of a fitted estimator are.

    Their sizes are those of its weights, whatever ``hidden_layer_sizes`` was set to since.
    """
    return _layers(estimator, [len(b) for b in estimator.intercepts_[:-1]])


def _sizes_of(hidden_layer_sizes: Any) -> list[int]:
    """Return the numbers of units of the hidden layers."""
    sizes = _each(hidden_layer_sizes, None)
    for size in sizes:
        if not COUNT.holds(size):
            raise SettingError(
                f"hidden_layer_sizes must be > 0, whole numbers of units, got {sizes}.",
                advice="(100, 50) is two hidden layers, () none.",
            )
    return [int(n) for n in sizes]


def _layers(estimator: Any, sizes: list[int]) -> Layers:
    """Return hidden layers of these sizes, each with its activation and dropout."""
    activations = _each(estimator.activation, len(sizes), "activation")
    for activation in activations:
        _require_activation(activation)
    dropout = _each(estimator.dropout, len(sizes), "dropout")
    for p in dropout:
        require((type(estimator).__name__, {"dropout": p}), dropout=FRACTION)
    return Layers(sizes, activations, [float(p) for p in dropout])


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
    if isinstance(activation, Module) and not _is_plain(activation):
        raise SettingError(
            f"activation needs to be a function of its input alone, got {activation!r}.",
            advice="For dropout say dropout=0.2; train a network with layers that draw or "
            "remember with chainrule.train.fit.",
        )
    if not callable(activation) or isinstance(activation, type):
        chosen("activation", activation, ACTIVATIONS)


def _is_plain(module: Module) -> bool:
    """Return whether a module neither draws random numbers nor remembers any."""
    drops = any(isinstance(part, Dropout) for part in module.modules())
    return not drops and not any(True for _ in module.buffers())


def _is(word: str, x: Any) -> bool:
    return isinstance(x, str) and x == word
