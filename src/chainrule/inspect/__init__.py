"""What happened, and is it right: derivatives against differences, gradients term by term."""

from chainrule.inspect.gradcheck import Check, gradcheck
from chainrule.inspect.opened import Leaf, Walk, walk
from chainrule.inspect.routes import Route, Routes, Step, routes

__all__ = ["Check", "Leaf", "Route", "Routes", "Step", "Walk", "gradcheck", "routes", "walk"]
