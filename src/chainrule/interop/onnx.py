"""A graph as an ONNX model, for whoever runs networks elsewhere.

How an op is said in ONNX stands in the op's own record (``onnx=``): the name of an ONNX
operator, or a function that says it with several through an `Emitter`. Here is only what all
of them share: names, dtypes, constants, and the model around the nodes.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import ExportError, MissingExtraError, SpecialisedError
from chainrule.graph import Graph, Spec, trace
from chainrule.transform import simplify

try:
    import onnx
    import onnx.checker
    import onnx.defs
    import onnx.helper
    import onnx.numpy_helper
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "exporting to ONNX needs the package onnx, which is not installed.",
        advice='Run: pip install "chainrule[onnx]"',
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chainrule.graph import Node, Op

__all__ = ["OPSET", "Emitter", "Handle", "to_onnx"]

OPSET = 21
"""The version of ONNX's operators: of 2024, so that most runtimes know it by now."""

_ONNX_NAMES = {"float64": "double", "float32": "float"}
_NUMPY_NAMES = {onnx_name: name for name, onnx_name in _ONNX_NAMES.items()}


def to_onnx(
    function_or_graph: Callable[..., Any] | Graph, *specs: Any, path: str | Path | None = None
) -> onnx.ModelProto:
    """Return a function or a graph as an ONNX model.

    Parameters
    ----------
    function_or_graph
        A function of arrays, or a graph, such as `chainrule.transform.reverse` makes of one.
    *specs
        For a function: a `Spec` for each array that it takes, or an array, of which the shape
        and dtype count; containers of them too. The model takes arrays of these shapes alone.
    path
        Where to save the model as well, if anywhere.

    Returns
    -------
    onnx.ModelProto
        Simplified and checked. Inputs have the names of the function's parameters
        (``params_W1`` for ``params["W1"]``), the outputs are ``output``, or ``output_0``, …; a
        node is named after its op and says in its documentation which line it comes from.

    Raises
    ------
    ExportError
        If ONNX has no words for an op, or not for its dtype.
    SpecialisedError
        If the graph branched on the numbers that it was traced with.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.graph import Spec
    >>> model = to_onnx(lambda x: np.tanh(x) * 2, Spec((3,)))
    >>> [node.op_type for node in model.graph.node]
    ['Tanh', 'Mul', 'Identity']

    It computes what the function does:

    >>> from onnx.reference import ReferenceEvaluator
    >>> ReferenceEvaluator(model).run(None, {"x": np.array([0.0, 1.0, -1.0])})
    [array([ 0.        ,  1.52318831, -1.52318831])]
    """
    if isinstance(function_or_graph, Graph):
        graph, name = function_or_graph, "graph"
    else:
        shapes = [optree.tree_map(_spec, tree, is_leaf=_is_spec) for tree in specs]
        graph = trace(function_or_graph, *shapes)
        name = getattr(function_or_graph, "__name__", type(function_or_graph).__name__)
    if graph.specialised:
        raise SpecialisedError(
            "this graph branched on the numbers it was traced with, so it holds for them alone.",
            advice="Trace on shapes (chainrule.Spec) and use np.where.",
        )
    model = _model(simplify(graph), _identifier(name))
    if path is not None:
        onnx.save(model, path)
    return model


def _is_spec(x: Any) -> bool:
    return type(x) is Spec


def _spec(x: Any) -> Any:
    """Return the shape and dtype of an array; anything else stays what it is."""
    return Spec(x.shape, x.dtype) if isinstance(x, np.ndarray | np.generic) else x


def _model(graph: Graph, name: str) -> onnx.ModelProto:
    """Return the checked model of a graph."""
    emitter = Emitter()
    handles: dict[int, Handle] = {}
    for i in graph.inputs:
        node = graph.nodes[i]
        handles[i] = Handle(emitter.free_name(node.name or "x"), node.dtype, node.shape)
    inputs = [_declared(handles[i]) for i in graph.inputs]
    for i, node in enumerate(graph.nodes):
        if i in graph.constants:
            handles[i] = emitter.array(graph.constants[i])
        elif node.op is not None:
            handles[i] = emitter.say(node.op, node, [handles[k] for k in node.inputs], i)
    outputs = []
    for k, i in enumerate(graph.outputs):
        # An identity gives every output a name of its own, also an input that is one.
        emitter.begin("output" if len(graph.outputs) == 1 else f"output_{k}")
        outputs.append(_declared(emitter.Identity(handles[i])._replace(shape=handles[i].shape)))
    body = onnx.helper.make_graph(
        emitter.nodes, name, inputs, outputs, list(emitter.initializers.values())
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    model: onnx.ModelProto = onnx.helper.make_model(
        body,
        producer_name="chainrule",
        opset_imports=[opset],
        ir_version=onnx.helper.find_min_ir_version_for([opset]),
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class Handle(NamedTuple):
    """What stands for an array in a model.

    Attributes
    ----------
    name
        Of the array in the model.
    dtype, shape
        Of the array; the shape is not known of what stands between an op's operands and its
        output.
    number
        The array itself, if it is a constant.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...] | None = None
    number: np.ndarray[Any, Any] | None = None


def _declared(x: Handle) -> onnx.ValueInfoProto:
    """Return the declaration of an input or output."""
    return onnx.helper.make_tensor_value_info(x.name, Emitter.type(x.dtype), x.shape)


class Emitter:
    """Collects the nodes and constants of a model; an op says itself through it.

    A capitalised attribute is an ONNX operator: ``e.Relu(x)`` adds a node and returns the
    handle of its output.

    Attributes
    ----------
    nodes
        In execution order.
    initializers
        The constants that nodes use, by name.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._arrays: dict[Any, Handle] = {}
        self._names: set[str] = set()
        self._name = "node"
        self._node: Node | None = None

    def __getattr__(self, op_type: str) -> Callable[..., Handle]:
        """Return the function that adds a node of this operator."""
        if not op_type[0].isupper():
            raise AttributeError(op_type)
        return functools.partial(self.emit, op_type)

    # ------------------------------------------------------------------ nodes

    def begin(self, name: str, node: Node | None = None) -> None:
        """Let what follows be named so, and be blamed on this node of the graph."""
        self._name, self._node = name, node

    def say(self, op: Op, node: Node, operands: Sequence[Handle], index: int) -> Handle:
        """Add what a node of a graph is in ONNX and return its output.

        Operands with a derivative are brought to the dtype of the output first, in which NumPy
        computes: ONNX promotes nothing, and its quotient of integers is an integer.
        """
        self.begin(f"{op.name}_{index}", node)
        if op.onnx is None:
            raise self._refusal(f"{op.name} cannot be said in ONNX.")
        if op.differentiable:
            operands = [
                x if op.is_flat(k) else self.Cast(x, to=self.type(node.dtype))
                for k, x in enumerate(operands)
            ]
        if isinstance(op.onnx, str):
            y = self.emit(op.onnx, *operands)
        else:
            y = op.onnx(self, *operands, **node.attributes)
        return self.Cast(y, to=self.type(node.dtype))._replace(shape=node.shape)

    def emit(self, op_type: str, *inputs: Handle, output: int = 0, **attributes: Any) -> Handle:
        """Add a node and return the handle of one of its outputs.

        Inputs that ONNX wants of one type get NumPy's common one, and a cast to the type that
        an array has is left out.

        Parameters
        ----------
        op_type
            An operator of ONNX's standard, in version `OPSET`.
        *inputs
            Handles.
        output
            Which output to return, where there are several.
        **attributes
            As ONNX names them. Numbers that are not integers become single precision.
        """
        if op_type == "Cast" and attributes["to"] == self.type(inputs[0].dtype):
            return inputs[0]
        schema = self._schema(op_type)
        allowed = {t.type_param_str: t.allowed_type_strs for t in schema.type_constraints}
        arrays, bound = self._unified(schema, inputs, allowed)
        for x in arrays:
            if x.number is not None and x.name not in self.initializers:
                self.initializers[x.name] = onnx.numpy_helper.from_array(x.number, x.name)
        names = [self.free_name(self._name) for _ in range(output + 1)]
        self.nodes.append(
            onnx.helper.make_node(
                op_type,
                [x.name for x in arrays],
                names,
                name=names[0],
                doc_string=str(self._node.where) if self._node else None,
                **attributes,
            )
        )
        if "to" in attributes:
            return Handle(names[-1], onnx.helper.tensor_dtype_to_np_dtype(attributes["to"]))
        kind = schema.outputs[output].type_str
        known = bound[kind] if kind in bound else _dtype(allowed.get(kind, [kind])[0])
        return Handle(names[-1], known)

    def _unified(
        self, schema: onnx.defs.OpSchema, inputs: Sequence[Handle], allowed: dict[str, Any]
    ) -> tuple[list[Handle], dict[str, np.dtype[Any]]]:
        """Return the inputs in types that the operator takes, and what its type names stand for."""
        formal = schema.inputs
        kinds = [formal[min(k, len(formal) - 1)].type_str for k in range(len(inputs))]
        bound = {
            kind: np.result_type(
                *[x.dtype for x, other in zip(inputs, kinds, strict=True) if other == kind]
            )
            for kind in kinds
        }
        for kind, dtype in bound.items():
            if f"tensor({_onnx_name(dtype)})" not in allowed.get(kind, [kind]):
                raise self._refusal(f"ONNX's {schema.name} does not take {dtype}.")
        cast = [
            self.Cast(x, to=self.type(bound[kind])) for x, kind in zip(inputs, kinds, strict=True)
        ]
        return cast, bound

    def _schema(self, op_type: str) -> onnx.defs.OpSchema:
        """Return what ONNX says of an operator."""
        try:
            return onnx.defs.get_schema(op_type, OPSET)
        except onnx.defs.SchemaError:
            raise self._refusal(f"ONNX has no operator {op_type} in version {OPSET}.") from None

    def _refusal(self, what: str) -> ExportError:
        """Return an error that names the op and the line at fault."""
        node = self._node
        if node is None or node.op is None:
            return ExportError(what)
        facts = [f"op: {node.op.name}{node.op.signature}"]
        if node.origin:
            facts.append(f"from the derivative: {node.origin.rule}")
        return ExportError(what, *facts, where=str(node.where))

    # ------------------------------------------------------------------ constants

    def array(self, number: Any) -> Handle:
        """Return a constant; equal ones are one."""
        number = np.asarray(number)
        key = (number.dtype.str, number.shape, number.tobytes())
        if key not in self._arrays:
            name = self.free_name("constant")
            self._arrays[key] = Handle(name, number.dtype, number.shape, number)
        return self._arrays[key]

    def number(self, value: float, like: Handle) -> Handle:
        """Return a number without axes, in the dtype of another array."""
        return self.array(np.asarray(value, like.dtype))

    def zeros(self, shape: Sequence[int], like: Handle) -> Handle:
        """Return zeros in the dtype of another array, which take no room in the model."""
        return self.Expand(self.number(0, like), self.integers(shape))

    def integers(self, sequence: Any) -> Handle:
        """Return integers along one axis, such as a shape or axes."""
        return self.array(np.array(list(sequence), np.int64))

    def integer(self, n: int) -> Handle:
        """Return an integer without axes."""
        return self.array(np.int64(n))

    # ------------------------------------------------------------------ shared phrases

    @staticmethod
    def type(dtype: Any) -> int:
        """Return ONNX's number for a dtype or its name."""
        return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    @staticmethod
    def holds(x: Handle, *numbers: float) -> bool:
        """Return whether attributes, which are single precision, are exact enough for x."""
        return x.dtype.itemsize <= 4 or all(float(np.float32(n)) == n for n in numbers)

    def reduce(self, op_type: str, x: Handle, axis: Sequence[int], keepdims: bool) -> Handle:
        """Return a reduction over axes; over none it is x, where ONNX would take them all."""
        return self.emit(op_type, x, self.integers(axis), keepdims=int(keepdims)) if axis else x

    def reshape(self, x: Handle, shape: Sequence[int]) -> Handle:
        """Return the same numbers under another shape."""
        if x.shape == tuple(shape):
            return x
        return self.Reshape(x, self.integers(shape), allowzero=int(0 in shape))

    def places(self, indices: Sequence[Handle]) -> Handle:
        """Return arrays of places, broadcast, as one array of rows: what GatherND takes."""
        numbers = [x.number for x in indices if x.number is not None]
        if len(numbers) == len(indices):
            stacked = np.stack(np.broadcast_arrays(*numbers), axis=-1)
            return self.array(stacked.astype(np.int64))
        shape = np.broadcast_shapes(*[x.shape or () for x in indices])
        columns = []
        for x in indices:
            column = self.Cast(x, to=self.type("int64"))
            column = column if x.shape == shape else self.Expand(column, self.integers(shape))
            columns.append(self.Unsqueeze(column, self.integers([-1])))
        return columns[0] if len(columns) == 1 else self.Concat(*columns, axis=-1)

    def free_name(self, wanted: str) -> str:
        """Return a name that no array has yet, the wanted one if it is free."""
        name = wanted = _identifier(wanted)
        k = 0
        while name in self._names:
            k += 1
            name = f"{wanted}_{k}"
        self._names.add(name)
        return name


def _identifier(name: str) -> str:
    """Return a name as ONNX wants it: letters, digits and _, no digit in front."""
    name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "x"
    return f"x{name}" if name[0].isdigit() else name


def _onnx_name(dtype: np.dtype[Any]) -> str:
    return _ONNX_NAMES.get(dtype.name, dtype.name)


def _dtype(kind: str) -> np.dtype[Any]:
    """Return the dtype of ``tensor(double)``."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return np.dtype(_NUMPY_NAMES.get(name, name))
