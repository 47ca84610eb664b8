"""The causes of a wrong gradient, each a rule of its own, by the step in which they happen."""

from chainrule.inspect.diagnose.causes import (
    activations,
    factors,
    heads,
    masks,
    products,
    routes,
    stale,
    sums,
)

__all__ = ["activations", "factors", "heads", "masks", "products", "routes", "stale", "sums"]
