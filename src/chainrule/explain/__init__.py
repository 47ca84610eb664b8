"""Graphs and their derivatives as formulas: lines of NumPy, and LaTeX."""

from chainrule.explain.derivation import Derivation, Step, derivation
from chainrule.explain.formula import Explainer, Formula, forward, gradient

__all__ = ["Derivation", "Explainer", "Formula", "Step", "derivation", "forward", "gradient"]
