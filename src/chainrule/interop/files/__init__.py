"""Hand-written backward passes in a user's file: found, imported apart, and checked."""

from chainrule.interop.files.inputs import read_shapes_option
from chainrule.interop.files.outside import check_file
from chainrule.interop.files.report import Report, record_of

__all__ = ["Report", "check_file", "read_shapes_option", "record_of"]
