"""From a graph to numbers."""

from chainrule.execute.answers import REFUSED, SPOILT, STOPPED
from chainrule.execute.executor import Runner, native
from chainrule.execute.function import (
    Compiled,
    Prepared,
    compile,  # noqa: A004 - the field's own word
)
from chainrule.execute.numpy import Program, run
from chainrule.execute.repeat import Repeated

__all__ = [
    "REFUSED",
    "SPOILT",
    "STOPPED",
    "Compiled",
    "Prepared",
    "Program",
    "Repeated",
    "Runner",
    "compile",
    "native",
    "run",
]
