"""What happened, and is it right: derivatives against differences, gradients term by term."""

from chainrule.inspect.gradcheck import Check, gradcheck
from chainrule.inspect.opened import Leaf, Walk, walk

__all__ = ["Check", "Leaf", "Walk", "gradcheck", "walk"]
