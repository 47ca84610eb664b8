"""From a graph to a plan: what is computed together, in what order, in which memory."""

from chainrule.compile.explain import explain
from chainrule.compile.fuse import Grouping, Loop
from chainrule.compile.lifetimes import placed_parts
from chainrule.compile.memory import Place
from chainrule.compile.plan import Plan, Step, plan
from chainrule.compile.reading import Reading

__all__ = [
    "Grouping",
    "Loop",
    "Place",
    "Plan",
    "Reading",
    "Step",
    "explain",
    "placed_parts",
    "plan",
]
