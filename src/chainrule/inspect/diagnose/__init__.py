"""Which gradient of a hand-written backward pass is wrong first, and which mistake made it so."""

from chainrule.inspect.diagnose.verdict import diagnose

__all__ = ["diagnose"]
