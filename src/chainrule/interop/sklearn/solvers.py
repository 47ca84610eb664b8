"""Ways downhill under scikit-learn's names and with its meaning.

They differ from those of `chainrule.train` where scikit-learn differs from PyTorch: Adam adds ε to
the root before its correction (Kingma and Ba, the end of section 2), and momentum remembers steps,
with the learning rate in them, and not gradients.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainrule.train import Adam, AdamW, Optimiser, RMSprop

if TYPE_CHECKING:
    from chainrule.execute import Repeated
    from chainrule.interop.sklearn.settings import Layers
    from chainrule.train.rates import Rate

__all__ = ["STOCHASTIC", "Pace", "optimiser_of", "recordings_of"]

STOCHASTIC = ("adam", "adamw", "rmsprop", "sgd")


@dataclass(frozen=True)
class _UncorrectedAdam(Adam):
    """θ ← θ - lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)."""

    def numbers(self, step: Any, lr: Any) -> tuple[Any, ...]:
        """Return what all parameters share, with ε as it is."""
        rate, _, left = super().numbers(step, lr)
        return rate, self.eps, left


@dataclass(frozen=True)
class _Momentum(Optimiser):
    """v ← μ v - lr g, θ ← θ + v; with Nesterov's momentum θ ← θ + μ v - lr g."""

    momentum: float = 0.9
    nesterov: bool = True

    def remembers(self) -> dict[str, float]:
        """Return the last step."""
        return {"velocity": 0.0}

    def move(
        self, p: Any, g: Any, memory: dict[str, Any], *numbers: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return one parameter and its memory after a step with gradient g."""
        (lr,) = numbers
        v = self.momentum * memory["velocity"] - lr * g
        return p + (self.momentum * v - lr * g if self.nesterov else v), {"velocity": v}


class Pace:
    """A learning rate that is set from outside, between epochs.

    Attributes
    ----------
    rate
        Of the next steps.
    """

    def __init__(self, rate: float) -> None:
        self.rate = float(rate)

    def __call__(self, step: int) -> float:
        """Return the rate after so many steps."""
        del step
        return self.rate


def optimiser_of(estimator: Any, rate: Rate) -> Optimiser:
    """Return the optimiser that an estimator's parameters describe.

    Parameters
    ----------
    estimator
        With ``solver``, ``beta_1``, … as attributes.
    rate
        The learning rate.
    """
    solver = estimator.solver
    if isinstance(solver, Optimiser):
        return solver
    betas = (estimator.beta_1, estimator.beta_2)
    if solver == "adam":
        return _UncorrectedAdam(rate, betas, estimator.epsilon)
    if solver == "adamw":
        return AdamW(rate, betas, estimator.epsilon, estimator.weight_decay)
    if solver == "rmsprop":
        return RMSprop(rate, eps=estimator.epsilon)
    return _Momentum(rate, estimator.momentum, estimator.nesterovs_momentum)


_RECORDINGS: OrderedDict[Any, dict[Any, Repeated]] = OrderedDict()
_KINDS = 32
"""Kinds of estimators whose steps are remembered."""
_SHAPES = 64
"""Shapes of examples for each of them, from which on it begins anew."""


def recordings_of(estimator: Any, layers: Layers) -> dict[Any, Repeated] | None:
    """Return the recorded steps of estimators of the same kind, so that a search records once.

    Parameters
    ----------
    estimator
        With its parameters as attributes, and its targets looked at.
    layers
        Its hidden layers.

    Returns
    -------
    dictionary
        To be shared by trainings with the same code in their steps; None where a function of the
        user's is in them, which may do something else next time.
    """
    e = estimator
    names = [*layers.activations, e.loss, e.solver]
    if not all(isinstance(name, str) for name in names):
        return None
    numbers = (e.beta_1, e.beta_2, e.epsilon, e.weight_decay, e.momentum, e.nesterovs_momentum)
    kind = (e.out_activation_, *layers.dropout, *[(x.shape, x.dtype) for x in e.coefs_])
    key = (*names, *map(repr, numbers), *map(repr, (e.clip_norm, e.clip_value)), kind)
    found = _RECORDINGS.pop(key, {})
    if len(found) > _SHAPES:
        found = {}
    _RECORDINGS[key] = found
    while len(_RECORDINGS) > _KINDS:
        _RECORDINGS.popitem(last=False)
    return found
