"""Backward passes by hand, right and wrong on purpose, to examine the diagnosis with."""
