"""What a program answers to a run; 0 is all that was asked for."""

__all__ = ["OUTSIDE", "REFUSED", "SPOILT", "STOPPED"]

STOPPED = 1
"""A number that guards the second stage is not finite; nothing of it was written."""
REFUSED = 2
"""A label or an index is out of range, or another condition does not hold."""
SPOILT = 3
"""A number that was watched is not finite after everything was written."""
OUTSIDE = 4
"""An address is not in its array; said by checked builds, before it is used."""
