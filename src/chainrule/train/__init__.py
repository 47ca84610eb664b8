"""From gradients to parameters."""

from chainrule.train.optimisers import Optimiser, adam

__all__ = ["Optimiser", "adam"]
