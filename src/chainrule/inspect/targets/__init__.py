"""From what a user hands over to be checked to probes, and to what is wrong before any number is.

A pair of functions, an object, a closure, a module: `probes_of` runs it on numbers, and returns
what the diagnosis reads.
"""

from chainrule.inspect.targets.making import probes_of

__all__ = ["probes_of"]
