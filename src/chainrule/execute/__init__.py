"""From a graph to numbers."""

from chainrule.execute.function import Prepared
from chainrule.execute.numpy import Program, run

__all__ = ["Prepared", "Program", "run"]
