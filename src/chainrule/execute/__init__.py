"""From a graph to numbers."""

from chainrule.execute.numpy import Program, run

__all__ = ["Program", "run"]
