"""What happened, and is it right: derivatives against differences, gradients term by term."""

from chainrule.inspect.example_norms import example_norms
from chainrule.inspect.gradcheck import Check, gradcheck
from chainrule.inspect.lint import lint
from chainrule.inspect.opened import open  # noqa: A004 - the field's own word
from chainrule.inspect.passes import Pass
from chainrule.inspect.per_example import PerExample
from chainrule.inspect.reasons.reason import Reason
from chainrule.inspect.routes import Route, Routes, Step
from chainrule.inspect.training import diagnose_training
from chainrule.inspect.walking import Leaf, Walk, walk
from chainrule.inspect.why import why

__all__ = [
    "Check",
    "Leaf",
    "Pass",
    "PerExample",
    "Reason",
    "Route",
    "Routes",
    "Step",
    "Walk",
    "diagnose_training",
    "example_norms",
    "gradcheck",
    "lint",
    "open",
    "walk",
    "why",
]
