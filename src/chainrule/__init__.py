"""Backpropagation with the lid off: derivatives of NumPy code, open at every step."""

from chainrule import nn, ops, train
from chainrule.execute import compile  # noqa: A004 - the field's own word
from chainrule.graph import Graph, Spec, Value, trace
from chainrule.inspect import gradcheck, routes
from chainrule.ops import stop_gradient
from chainrule.transform import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp, vmap

__version__ = "0.1.0"

__all__ = [
    "Graph",
    "Spec",
    "Value",
    "compile",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "nn",
    "ops",
    "routes",
    "stop_gradient",
    "trace",
    "train",
    "value_and_grad",
    "vjp",
    "vmap",
]
