"""The rules of the lint, each a declared cause that looks at a traced program as a whole."""

from chainrule.inspect.lints.gradients import GRADIENT_RULES
from chainrule.inspect.lints.losses import LOSS_RULES
from chainrule.inspect.lints.numbers import NUMBER_RULES
from chainrule.inspect.lints.subject import Layer, Subject
from chainrule.inspect.lints.targets import TARGET_RULES
from chainrule.inspect.lints.units import UNIT_RULES

__all__ = ["RULES", "TARGET_RULES", "Layer", "Subject"]

RULES = (*LOSS_RULES, *TARGET_RULES, *NUMBER_RULES, *UNIT_RULES, *GRADIENT_RULES)
"""Every rule, in the order in which findings are listed: what breaks a training first."""
