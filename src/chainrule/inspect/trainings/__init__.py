"""The rules that look at a training: at its records, and at a few steps made to see."""

from chainrule.inspect.trainings.course import Course
from chainrule.inspect.trainings.records import RECORD_RULES
from chainrule.inspect.trainings.trials import TRIAL_RULES, Trial

__all__ = ["RECORD_RULES", "TRIAL_RULES", "Course", "Trial"]
