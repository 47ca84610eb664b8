"""Steps downhill, as pure functions over containers of arrays.

``init`` makes a state from parameters; ``update`` takes parameters, their gradient and the state,
and returns new parameters and a new state. Nothing is written in place, and everything is said
in NumPy's operations on arrays or traced values, so a whole training step (forward, backward,
update) can be traced as one graph. Here are what all optimisers share and those that follow the
gradient itself or its sign; those that divide it by its usual size are in `adaptive`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import SettingError, StructureError
from chainrule.train.matching import (
    leaves_like,
    numbers_in,
    require_floating,
    require_shapes,
)
from chainrule.train.rates import LEARNING_RATE, rate_at
from chainrule.train.settings import BETAS, FRACTION, NOT_NEGATIVE, PORTION, require

if TYPE_CHECKING:
    from chainrule.train.rates import Rate

__all__ = ["SGD", "Lion", "Optimiser", "OptimiserState"]


class OptimiserState(NamedTuple):
    """What an optimiser remembers from step to step.

    Attributes
    ----------
    step
        The number of steps taken.
    memory
        By name, containers of arrays like the parameters, such as running means.
    """

    step: Any
    memory: dict[str, Any]


@dataclass(frozen=True)
class Optimiser(ABC):
    """A way downhill: the part that all optimisers share.

    One of your own is a frozen dataclass that says by name what it `remembers` of each
    parameter, and how one parameter `move`s; `numbers` are computed once a step for all.

    Parameters
    ----------
    lr
        The learning rate, or a schedule of it.
    """

    lr: Rate

    def __post_init__(self) -> None:
        require(self, lr=LEARNING_RATE)

    def init(self, parameters: Any) -> OptimiserState:
        """Return the state before the first step.

        Parameters
        ----------
        parameters
            A container of floating-point arrays, or of values that only have a shape.

        Raises
        ------
        InputTypeError
            If a parameter is not an array of floating-point numbers.
        """
        leaves, structure = optree.tree_flatten(parameters)
        for p in leaves:
            require_floating(p)
        memory = {
            name: optree.tree_unflatten(structure, [_filled(p, start) for p in leaves])
            for name, start in self.remembers().items()
        }
        return OptimiserState(np.int64(0), memory)

    def update(
        self, parameters: Any, gradient: Any, state: OptimiserState, lr: Any = None
    ) -> tuple[Any, OptimiserState]:
        """Go one step.

        Parameters
        ----------
        parameters
            A container of arrays.
        gradient
            The gradient of the loss by them, in the same container.
        state
            What `init` or the step before returned.
        lr
            The learning rate of this step, a number or an array without axes. If it is not
            said, that of the optimiser; of a schedule, the rate after ``state.step`` steps.

        Returns
        -------
        parameters, state
            New ones, with the structure, shapes and dtypes of the old.

        Raises
        ------
        StructureError
            If the containers differ, or the state is another optimiser's.
        ShapeError
            If a gradient does not have its parameter's shape.
        """
        ps, structure = optree.tree_flatten(parameters)
        gs = leaves_like(gradient, parameters, "the gradient")
        require_shapes(ps, gs, "parameter", "gradient")
        kept = self._memory_of(state, parameters)
        step = state.step + 1
        numbers = self.numbers(step, rate_at(self.lr, state.step) if lr is None else lr)
        shared = {dtype: numbers_in(dtype, numbers) for dtype in {p.dtype for p in ps}}
        moved: list[Any] = []
        memory: dict[str, list[Any]] = {name: [] for name in kept}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # NaN passes on
            for k, (p, g) in enumerate(zip(ps, gs, strict=True)):
                known = {name: leaves[k] for name, leaves in kept.items()}
                new, remembered = self.move(p, *numbers_in(p.dtype, [g]), known, *shared[p.dtype])
                moved.append(new)
                for name, x in remembered.items():
                    memory[name].append(x)
        trees = {name: optree.tree_unflatten(structure, xs) for name, xs in memory.items()}
        return optree.tree_unflatten(structure, moved), OptimiserState(step, trees)

    def _memory_of(self, state: OptimiserState, parameters: Any) -> dict[str, list[Any]]:
        """Return by name what a state holds of each parameter, in their order."""
        if state.memory.keys() != self.remembers().keys():
            raise StructureError(
                f"{self!r} remembers {_names(self.remembers())}, got a state that holds "
                f"{_names(state.memory)}.",
                advice="Make the state with init of the same optimiser.",
            )
        return {
            name: leaves_like(tree, parameters, f"the state's {name}")
            for name, tree in state.memory.items()
        }

    def remembers(self) -> dict[str, float]:
        """Return the names of what is remembered of each parameter, and what it starts from."""
        return {}

    def numbers(self, step: Any, lr: Any) -> tuple[Any, ...]:
        """Return the numbers of a step that all parameters share; the first step is step 1."""
        del step
        return (lr,)

    @abstractmethod
    def move(
        self, p: Any, g: Any, memory: dict[str, Any], *numbers: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return one parameter and its memory after a step with gradient g.

        The numbers are those of `numbers`, in the dtype of the parameter.
        """


def _filled(like: Any, number: float) -> Any:
    """Return an array of one number; zeros are memory only once they are written to."""
    if not number:
        return np.zeros(like.shape, like.dtype)[()]
    return np.full(like.shape, number, like.dtype)[()]


def _names(names: Any) -> str:
    return ", ".join(names) or "nothing"


@dataclass(frozen=True)
class SGD(Optimiser):
    """Gradient descent, with momentum if wanted.

    Parameters
    ----------
    lr
        The learning rate, or a schedule of it.
    momentum
        How much of the last step's direction is kept.
    dampening
        How much less than all of a gradient is added to that direction.
    weight_decay
        The L2 penalty: this times the parameter is added to the gradient.
    nesterov
        Whether to look ahead along the direction; needs momentum, and no dampening.

    Notes
    -----
    With gradient g, momentum μ and dampening τ, as PyTorch has it::

        g ← g + weight_decay · θ
        b ← μ b + (1 - τ) g          (b = g at the first step)
        θ ← θ - lr · b               with Nesterov: θ - lr · (g + μ b)

    Sutskever, Martens, Dahl and Hinton, *On the importance of initialization and momentum in
    deep learning*, ICML 2013, with the learning rate outside of b.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = SGD(lr=0.1, momentum=0.9)
    >>> w = np.array([1.0, 2.0])
    >>> state = optimiser.init(w)
    >>> for _ in range(2):
    ...     w, state = optimiser.update(w, np.array([1.0, -1.0]), state)
    >>> w  # 1 - 0.1 - 0.19
    array([0.71, 2.29])
    """

    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, momentum=FRACTION, dampening=PORTION, weight_decay=NOT_NEGATIVE)
        if self.nesterov and (not self.momentum or self.dampening):
            raise SettingError(
                "SGD with nesterov needs a momentum above 0 and a dampening of 0, got "
                f"{self.momentum!r} and {self.dampening!r}.",
                advice="A usual choice: SGD(lr, momentum=0.9, nesterov=True).",
            )

    def remembers(self) -> dict[str, float]:
        """Return the direction, where there is momentum."""
        return {"direction": 0.0} if self.momentum else {}

    def numbers(self, step: Any, lr: Any) -> tuple[Any, ...]:
        """Return the rate, and how much of the gradient is added to the direction."""
        return (lr, np.where(step == 1, 1.0, 1 - self.dampening) if self.dampening else 1.0)

    def move(
        self, p: Any, g: Any, memory: dict[str, Any], *numbers: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return one parameter and its memory after a step with gradient g."""
        lr, share = numbers
        if self.weight_decay:
            g = g + self.weight_decay * p
        if not self.momentum:
            return p - lr * g, {}
        b = self.momentum * memory["direction"] + (share * g if self.dampening else g)
        ahead = g + self.momentum * b if self.nesterov else b
        return p - lr * ahead, {"direction": b}


@dataclass(frozen=True)
class Lion(Optimiser):
    """Lion: steps of the same size for every parameter, by the sign of a running mean.

    Parameters
    ----------
    lr
        The learning rate, or a schedule of it; a tenth to a third of what Adam wants.
    betas
        How much of the running mean is kept for the direction, and how much for the next step.
    weight_decay
        How much of each parameter is taken away a step, times the learning rate; three to ten
        times of what AdamW wants.

    Notes
    -----
    With gradient g::

        θ ← (1 - lr · weight_decay) θ - lr · sign(β₁ m + (1 - β₁) g)
        m ← β₂ m + (1 - β₂) g

    Chen et al., *Symbolic Discovery of Optimization Algorithms*, NeurIPS 2023, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = Lion(lr=0.1)
    >>> w = np.array([1.0, 2.0])
    >>> w, state = optimiser.update(w, np.array([300.0, -0.01]), optimiser.init(w))
    >>> w
    array([0.9, 2.1])
    """

    lr: Rate = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, betas=BETAS, weight_decay=NOT_NEGATIVE)

    def remembers(self) -> dict[str, float]:
        """Return the running mean of the gradients."""
        return {"mean": 0.0}

    def numbers(self, step: Any, lr: Any) -> tuple[Any, ...]:
        """Return the rate, and what decay leaves of a parameter."""
        del step
        return (lr, 1 - lr * self.weight_decay)

    def move(
        self, p: Any, g: Any, memory: dict[str, Any], *numbers: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return one parameter and its memory after a step with gradient g."""
        lr, left = numbers
        to_direction, to_mean = self.betas
        m = memory["mean"]
        direction = np.sign(to_direction * m + (1 - to_direction) * g)
        if self.weight_decay:
            p = p * left
        return p - lr * direction, {"mean": to_mean * m + (1 - to_mean) * g}
