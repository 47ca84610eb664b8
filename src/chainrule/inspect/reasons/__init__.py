"""The reasons of numbers: why one is zero, not finite, huge or tiny; each a declared cause."""
