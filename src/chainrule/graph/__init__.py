"""What a program is: ops, nodes, graphs, the values and traces that make them, their text."""

from chainrule.graph.capture import captured
from chainrule.graph.dispatch import NUMPY, answer
from chainrule.graph.form import (
    Composite,
    Counted,
    Each,
    Fold,
    Form,
    Gathered,
    Layout,
    Placed,
    Product,
    Scattered,
    Viewed,
)
from chainrule.graph.graph import REAL, Graph, Node, Origin, Spec, Where, describe, owned
from chainrule.graph.naming import name
from chainrule.graph.notation import constants, literal, write
from chainrule.graph.op import OPS, REQUIRED, Case, Derivative, Op, Written
from chainrule.graph.reading import read
from chainrule.graph.trace import (
    ShapeTracer,
    Tracer,
    called,
    lower,
    outputs_of,
    parameter_names,
    returned_by,
    trace,
)
from chainrule.graph.value import Value
from chainrule.graph.where import user_line

__all__ = [
    "NUMPY",
    "OPS",
    "REAL",
    "REQUIRED",
    "Case",
    "Composite",
    "Counted",
    "Derivative",
    "Each",
    "Fold",
    "Form",
    "Gathered",
    "Graph",
    "Layout",
    "Node",
    "Op",
    "Origin",
    "Placed",
    "Product",
    "Scattered",
    "ShapeTracer",
    "Spec",
    "Tracer",
    "Value",
    "Viewed",
    "Where",
    "Written",
    "answer",
    "called",
    "captured",
    "constants",
    "describe",
    "literal",
    "lower",
    "name",
    "outputs_of",
    "owned",
    "parameter_names",
    "read",
    "returned_by",
    "trace",
    "user_line",
    "write",
]
