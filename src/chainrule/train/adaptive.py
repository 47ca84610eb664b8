"""Optimisers that divide a gradient by its usual size, for each parameter's entry by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chainrule.train.optimisers import Optimiser
from chainrule.train.settings import BETAS, FRACTION, NOT_NEGATIVE, require

if TYPE_CHECKING:
    from chainrule.train.rates import Rate

__all__ = ["Adagrad", "Adam", "AdamW", "RMSprop"]


@dataclass(frozen=True)
class Adagrad(Optimiser):
    """Adagrad: steps that shrink with all the gradients seen, for rare features.

    Parameters
    ----------
    lr
        The learning rate, or a schedule of it.
    lr_decay
        The rate is divided by 1 + this times the number of steps taken.
    weight_decay
        The L2 penalty: this times the parameter is added to the gradient.
    initial_accumulator_value
        What the sum of squares starts from.
    eps
        Added to its root, against division by 0.

    Notes
    -----
    With gradient g, and t steps taken::

        s ← s + g²
        θ ← θ - lr / (1 + t · lr_decay) · g / (√s + ε)

    Duchi, Hazan and Singer, *Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization*, JMLR 12, 2011, with a diagonal matrix.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = Adagrad(lr=0.1)
    >>> w = np.array([1.0, 2.0])
    >>> w, state = optimiser.update(w, np.array([3.0, -0.5]), optimiser.init(w))
    >>> w.round(6)
    array([0.9, 2.1])
    """

    lr: Rate = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self,
            lr_decay=NOT_NEGATIVE,
            weight_decay=NOT_NEGATIVE,
            initial_accumulator_value=NOT_NEGATIVE,
            eps=NOT_NEGATIVE,
        )

    def remembers(self) -> dict[str, float]:
        """Return the sum of the squares of the gradients."""
        return {"sum": self.initial_accumulator_value}

    def numbers(self, step: Any, lr: Any) -> tuple[Any, ...]:
        """Return the rate after decay."""
        return (lr / (1 + (step - 1) * self.lr_decay) if self.lr_decay else lr,)

    def move(
        self, p: Any, g: Any, memory: dict[str, Any], *numbers: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return one parameter and its memory after a step with gradient g."""
        (lr,) = numbers
        if self.weight_decay:
            g = g + self.weight_decay * p
        s = memory["sum"] + g * g
        return p - lr * g / (np.sqrt(s) + self.eps), {"sum": s}


@dataclass(frozen=True)
class RMSprop(Optimiser):
    """RMSprop: the gradient divided by the root of the running mean of its square.

    Parameters
    ----------
    lr
        The learning rate, or a schedule of it.
    alpha
        How much of the running means is kept each step.
    eps
        Added to the root, against division by 0.
    weight_decay
        The L2 penalty: this times the parameter is added to the gradient.
    momentum
        How much of the last step's direction is kept.
    centered
        Whether to divide by the standard deviation: the root of the mean square minus the
        squared mean.

    Notes
    -----
    With gradient g::

        v ← α v + (1 - α) g²         centred: m ← α m + (1 - α) g,  v - m² in place of v
        b ← momentum · b + g / (√v + ε)
        θ ← θ - lr · b

    Tieleman and Hinton, *Neural Networks for Machine Learning*, lecture 6.5, 2012; centred as in
    Graves, *Generating Sequences With Recurrent Neural Networks*, 2013, equations 38 to 41, with
    ε as PyTorch adds it.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = RMSprop(lr=0.1)
    >>> w = np.array([1.0, 2.0])
    >>> w, state = optimiser.update(w, np.array([3.0, -0.5]), optimiser.init(w))
    >>> w.round(6)  # a first step of lr / √(1 - alpha)
    array([0., 3.])
    """

    lr: Rate = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self, alpha=FRACTION, eps=NOT_NEGATIVE, weight_decay=NOT_NEGATIVE, momentum=FRACTION
        )

    def remembers(self) -> dict[str, float]:
        """Return the mean square, and where they are used the mean and the direction."""
        names = ["square", *["mean"] * self.centered, *["direction"] * bool(self.momentum)]
        return dict.fromkeys(names, 0.0)

    def move(
        self, p: Any, g: Any, memory: dict[str, Any], *numbers: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return one parameter and its memory after a step with gradient g."""
        (lr,) = numbers
        if self.weight_decay:
            g = g + self.weight_decay * p
        v = self.alpha * memory["square"] + (1 - self.alpha) * (g * g)
        kept = {"square": v}
        if self.centered:
            m = self.alpha * memory["mean"] + (1 - self.alpha) * g
            kept["mean"] = m
            v = np.maximum(v - m * m, 0.0)  # rounding can leave it below 0
        b = g / (np.sqrt(v) + self.eps)
        if self.momentum:
            b = self.momentum * memory["direction"] + b
            kept["direction"] = b
        return p - lr * b, kept


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam: steps of about equal size for every parameter, whatever its gradient's scale.

    Parameters
    ----------
    lr
        The learning rate, or a schedule of it: about the size of a step.
    betas
        How much of the running means of the gradient and of its square is kept each step.
    eps
        Added to the root of the mean square, against division by 0.
    weight_decay
        The L2 penalty: this times the parameter is added to the gradient. `AdamW` takes it from
        the parameter instead.
    amsgrad
        Whether to divide by the root of the largest mean square so far.

    Notes
    -----
    With gradient g at step t::

        m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
        θ ← θ - lr · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)

    Kingma and Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015, algorithm 1; AMSGrad
    by Reddi, Kale and Kumar, *On the Convergence of Adam and Beyond*, ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = Adam(lr=0.1)
    >>> w = {"w": np.array([1.0, -2.0])}
    >>> w, state = optimiser.update(w, {"w": np.array([10.0, -0.5])}, optimiser.init(w))
    >>> w["w"].round(6)  # the first step has the size lr in each entry
    array([ 0.9, -1.9])
    """

    lr: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False

    is_decoupled: ClassVar[bool] = False
    """Whether the decay is taken from the parameter, and so is not divided."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, betas=BETAS, eps=NOT_NEGATIVE, weight_decay=NOT_NEGATIVE)

    def remembers(self) -> dict[str, float]:
        """Return the means of the gradient and of its square, and the largest of the latter."""
        return dict.fromkeys(["mean", "square", *["largest"] * self.amsgrad], 0.0)

    def numbers(self, step: Any, lr: Any) -> tuple[Any, ...]:
        """Return rate and ε with the corrections in them, and what decay leaves of a parameter.

        The corrections act on these numbers so that no pass over the arrays is theirs.
        """
        to_mean, to_square = self.betas
        root = np.sqrt(1 - to_square**step)
        return lr * root / (1 - to_mean**step), self.eps * root, 1 - lr * self.weight_decay

    def move(
        self, p: Any, g: Any, memory: dict[str, Any], *numbers: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return one parameter and its memory after a step with gradient g."""
        rate, floor, left = numbers
        to_mean, to_square = self.betas
        if self.weight_decay and self.is_decoupled:
            p = p * left
        elif self.weight_decay:
            g = g + self.weight_decay * p
        m = to_mean * memory["mean"] + (1 - to_mean) * g
        v = to_square * memory["square"] + (1 - to_square) * (g * g)
        kept = {"mean": m, "square": v}
        if self.amsgrad:
            kept["largest"] = np.maximum(memory["largest"], v)
        return p - rate * m / (np.sqrt(kept.get("largest", v)) + floor), kept


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with a weight decay that is not divided by the gradient's size.

    Parameters
    ----------
    lr, betas, eps, amsgrad
        As in `Adam`.
    weight_decay
        How much of each parameter is taken away a step, times the learning rate.

    Notes
    -----
    ``θ ← (1 - lr · weight_decay) θ``, then the step of Adam without decay. Loshchilov and Hutter,
    *Decoupled Weight Decay Regularization*, ICLR 2019, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = AdamW(lr=0.1, weight_decay=0.5)
    >>> w = np.array([1.0, -2.0])
    >>> w, state = optimiser.update(w, np.array([10.0, -0.5]), optimiser.init(w))
    >>> w.round(6)  # 0.95 of it, then a step of 0.1
    array([ 0.85, -1.8 ])
    """

    weight_decay: float = 0.01

    is_decoupled: ClassVar[bool] = True
