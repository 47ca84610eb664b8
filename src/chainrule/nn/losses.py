"""Losses as modules: called with (input, target) and, by name, ``weights`` of the examples.

``backward()`` without a gradient starts at 1, where the loss is one number, and returns the
gradient at the input alone; set ``previous_module`` to the network, and it goes on through it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.errors import NotScalarError, SettingError
from chainrule.nn.classification import cross_entropy, nll_loss, share_of_labels
from chainrule.nn.given import chosen, numbers
from chainrule.nn.module import Module
from chainrule.nn.parameters import Buffer
from chainrule.nn.reduction import REDUCTIONS, share_of
from chainrule.nn.regression import (
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
)

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "PoissonNLLLoss",
]


class Loss(Module):
    """The base of losses: a module of (input, target).

    Parameters
    ----------
    reduction
        "mean", "sum" or "none".

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import nn
    >>> model, loss = nn.Linear(2, 1, seed=0), nn.MSELoss()
    >>> loss.previous_module = model
    >>> value = loss(model(np.ones((4, 2))), np.zeros((4, 1)))
    >>> loss.backward().shape
    (4, 2)
    """

    writes_backward: ClassVar[bool] = False

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = chosen("reduction", reduction, REDUCTIONS)

    def backward(self, *gradwrtoutput: Any) -> Any:
        """Return the gradient at the input, or what the modules before make of it.

        Parameters
        ----------
        *gradwrtoutput
            The gradient at the loss; 1 if it is not said.
        """
        if not gradwrtoutput:
            (spec,) = self.remembered().outputs
            if spec is not None and spec.shape:
                raise NotScalarError(
                    f"{type(self).__name__} with reduction 'none' has {list(spec.shape)} losses: "
                    "backward needs the gradient at each.",
                    advice="Pass an array of that shape, or take the mean or sum.",
                )
            gradwrtoutput = (1.0,)
        return self.propagate_through(gradwrtoutput, 1)

    def share(self, target: Any, weights: Any = None) -> float:
        """Return how much a batch counts, so that the losses of parts make up that of the whole.

        Parameters
        ----------
        target, weights
            Arrays, as the loss is called with.

        Returns
        -------
        float
            What the mean is divided by: the number of losses, or the sum of what each counts by
            its weight, the weight of its class, and whether its label is ignored. 0 if none
            counts; 1 if the reduction is "sum", where parts add as they are.

        Examples
        --------
        >>> import numpy as np
        >>> loss = CrossEntropyLoss(np.array([1.0, 3.0]))
        >>> x, labels = np.eye(2)[[0, 1, 1, 0, 0]], np.array([0, 1, 0, 0, 1])
        >>> shares = [loss.share(labels[:2]), loss.share(labels[2:])]
        >>> shares
        [4.0, 5.0]
        >>> losses = [loss(x[:2], labels[:2]), loss(x[2:], labels[2:])]
        >>> bool(np.isclose(np.dot(shares, losses) / np.sum(shares), loss(x, labels)))
        True
        """
        return 1.0 if self.reduction == "sum" else self._share(target, weights)

    def _share(self, target: Any, weights: Any) -> Any:
        """Return what the mean is divided by; here each entry of the target has a loss."""
        return share_of(numbers(target, "target").shape, weights)

    def extra_repr(self) -> str:
        """Return the reduction."""
        return f"reduction={self.reduction!r}"


class MSELoss(Loss):
    """The squared error (x - t)², its mean over all elements; see `mse_loss`."""

    def forward(self, input: Any, target: Any, weights: Any = None) -> Any:  # noqa: A002
        """Return the loss of an input beside a target of its shape."""
        return mse_loss(input, target, reduction=self.reduction, weights=weights)


class L1Loss(Loss):
    """The absolute error |x - t|; see `l1_loss`."""

    def forward(self, input: Any, target: Any, weights: Any = None) -> Any:  # noqa: A002
        """Return the loss of an input beside a target of its shape."""
        return l1_loss(input, target, reduction=self.reduction, weights=weights)


class HuberLoss(Loss):
    """Squared for errors up to δ, absolute beyond; see `huber_loss`."""

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not delta > 0:
            raise SettingError(f"delta has to be positive, got {delta}.")
        self.delta = delta

    def forward(self, input: Any, target: Any, weights: Any = None) -> Any:  # noqa: A002
        """Return the loss of an input beside a target of its shape."""
        return huber_loss(
            input, target, delta=self.delta, reduction=self.reduction, weights=weights
        )


class PoissonNLLLoss(Loss):
    """The negative log-likelihood of counts; see `poisson_nll_loss`."""

    def __init__(
        self,
        *,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, weights: Any = None) -> Any:  # noqa: A002
        """Return the loss of an input beside counts of its shape."""
        return poisson_nll_loss(
            input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
            weights=weights,
        )


class BCEWithLogitsLoss(Loss):
    """The cross-entropy of yes or no, on logits; see `binary_cross_entropy_with_logits`."""

    def __init__(
        self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight = None if weight is None else Buffer(weight)
        self.pos_weight = None if pos_weight is None else Buffer(pos_weight)

    def forward(self, input: Any, target: Any, weights: Any = None) -> Any:  # noqa: A002
        """Return the loss of logits beside probabilities of their shape."""
        return binary_cross_entropy_with_logits(
            input,
            target,
            weight=self.weight,
            pos_weight=self.pos_weight,
            reduction=self.reduction,
            weights=weights,
        )


class NLLLoss(Loss):
    """The negative of the log-probability at the label; see `nll_loss`."""

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any, weights: Any = None) -> Any:  # noqa: A002
        """Return the loss of log-probabilities beside labels."""
        return nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            weights=weights,
        )

    def _share(self, target: Any, weights: Any) -> Any:
        return share_of_labels(target, self.weight, self.ignore_index, weights)


class CrossEntropyLoss(Loss):
    """The cross-entropy of classes, on logits; see `cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> loss = CrossEntropyLoss()
    >>> loss(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1])).round(4)
    np.float64(0.41)
    >>> loss.backward().round(3)
    array([[-0.06,  0.06],
           [ 0.25, -0.25]])
    """

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction=reduction)
        if not 0 <= label_smoothing < 1:
            raise SettingError(f"label_smoothing has to lie in 0 ≤ ε < 1, got {label_smoothing}.")
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any, weights: Any = None) -> Any:  # noqa: A002
        """Return the loss of logits beside labels or probabilities."""
        return cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
            weights=weights,
        )

    def _share(self, target: Any, weights: Any) -> Any:
        target = numbers(target, "target")
        if target.dtype.kind != "f":
            return share_of_labels(target, self.weight, self.ignore_index, weights)
        classes = min(1, target.ndim - 1)  # whose probabilities have one loss together
        return share_of((*target.shape[:classes], *target.shape[classes + 1 :]), weights)
