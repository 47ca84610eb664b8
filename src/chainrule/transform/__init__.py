"""From graph to graph, and from a function to its derivatives."""

from chainrule.transform.batch import batch, evaluate_batch, vmap
from chainrule.transform.derivatives import grad, jvp, value_and_grad, vjp
from chainrule.transform.forward import forward, push_forward
from chainrule.transform.jacobians import hessian, hvp, jacobian
from chainrule.transform.reverse import pull_back, reverse
from chainrule.transform.simplify import simplify

__all__ = [
    "batch",
    "evaluate_batch",
    "forward",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "pull_back",
    "push_forward",
    "reverse",
    "simplify",
    "value_and_grad",
    "vjp",
    "vmap",
]
