"""Networks with forward and backward written by hand: texts that are edited, then loaded."""
