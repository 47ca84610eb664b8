"""ONNX models say what the graphs they come from say, op by op, and their derivatives too."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import onnx
import pytest
from every_op import every_call, name_of
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from chainrule import interop, ops
from chainrule.errors import ChainruleError, ExportError, MissingExtraError, SpecialisedError
from chainrule.graph import OPS, Spec, trace
from chainrule.interop import to_onnx
from chainrule.ops.declare import elementwise
from chainrule.transform import reverse, simplify

TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


class Erf(OpRun):
    """ONNX's own reference computes erf in single precision."""

    op_domain = ""

    def _run(self, x):
        return (np.asarray(ops.erf(x)),)


class Softplus(OpRun):
    """That of ONNX 1.18 stumbles over an array without axes."""

    op_domain = ""

    def _run(self, x):
        return (np.asarray(ops.softplus(x)),)


def run(model, *arrays):
    """Return the outputs of a model for inputs by position."""
    names = [x.name for x in model.graph.input]
    given = {name: np.asarray(x) for name, x in zip(names, arrays, strict=True)}
    return ReferenceEvaluator(model, new_ops=[Erf, Softplus]).run(None, given)


def agree(graph, *arrays, tolerance=1e-12):
    """Require the model of a graph to give what the graph means."""
    model = to_onnx(graph)
    expected = graph.evaluate(*arrays)
    for y, wanted in zip(run(model, *arrays), map(np.asarray, expected), strict=True):
        assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype)
        scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
        np.testing.assert_allclose(y, wanted, rtol=0, atol=tolerance * scale)
    return model


def graph_of(call):
    specs = [Spec(x.shape, x.dtype) for x in call.operands]
    return trace(lambda *operands: call.op(*operands, **call.attributes), *specs)


def can_be_said(op):
    return op.onnx is not None


def has_derivative_in_onnx(call):
    derivative = simplify(reverse(graph_of(call), call.places))
    return all(node.op is None or node.op.onnx is not None for node in derivative.nodes)


DIFFERENTIABLE = [
    call
    for call in every_call(lambda op: can_be_said(op) and op.differentiable)
    if has_derivative_in_onnx(call)
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("call", every_call(can_be_said), ids=name_of)
def test_an_op_in_onnx_is_the_op_in_numpy(call, dtype):
    call = call.as_type(dtype)
    agree(graph_of(call), *call.operands, tolerance=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=name_of)
def test_a_derivative_in_onnx_is_the_derivative_in_numpy(call, dtype):
    call = call.as_type(dtype)
    y = call.op(*call.operands, **call.attributes)
    g = np.random.default_rng(2).normal(size=y.shape).astype(y.dtype)
    derivative = reverse(graph_of(call), call.places)
    agree(derivative, *call.operands, g, tolerance=TOLERANCE[dtype])


def test_few_ops_have_no_words_in_onnx():
    assert {name for name, op in OPS.items() if op.onnx is None} <= {
        *("cholesky", "inv", "solve"),  # ONNX has no systems of equations
        *("uniform", "scrambled"),  # ONNX's random numbers do not follow from a key
    }


# What the cases of the ops leave out.

X = np.random.default_rng(0).normal(size=(4, 5))
SIGNED = np.array([-1.5, -0.0, 0.0, 2.0])
COUNTS = np.array([[-7, 7], [8, -8]])


@pytest.mark.parametrize(
    ("function", "arrays"),
    [
        (lambda x: np.argmax(x, axis=None, keepdims=True), [X]),
        (lambda x: np.sum(x, axis=()), [X]),
        (lambda x: x[None], [np.float64(3.0)]),
        (lambda x: x[..., None, ::-2], [X]),
        (lambda x: x[2:2], [X]),
        (lambda x: np.reshape(x[:0], (0, 5)), [X]),
        (lambda x: ops.embed(x, index=(slice(None, None, -2), 1), shape=(4, 3)), [X[0, :2]]),
        (lambda x: ops.elu(x, alpha=0.3), [X]),
        (np.arctan2, [np.array([[-1.5], [0.0], [2.0]]), np.array([-2.0, 0.0, 1.0])]),
        (np.copysign, [X[:4, :1], SIGNED]),
        (np.signbit, [SIGNED]),
        (lambda a, b: a % b, [COUNTS, np.array([3, -3])]),
        (lambda a, b: a // b, [COUNTS, np.array([3, -3])]),
        (lambda a, b: a / b, [COUNTS, np.array([3, -3])]),
        (lambda a, b: np.sin(a) + b, [COUNTS, X.astype(np.float32)[:2, :2]]),
        (lambda a, b: a > b, [COUNTS, X[:2, :2]]),
        (lambda x, i: x[i], [X, np.array([[0], [3]])]),
        (lambda x, i, j: x[i, j], [X, np.array([[0], [-1]], np.int32), np.array([1, 1, 2])]),
        (lambda x, i: np.take_along_axis(x, i, axis=1), [X, np.argsort(X, axis=1)]),
        (ops.softmax_cross_entropy, [X[0], np.int64(2)]),
        (lambda x: (x, x, np.eye(2)), [X]),
    ],
)
def test_the_corners_of_numpy_are_those_of_the_model(function, arrays):
    with np.errstate(divide="ignore", invalid="ignore"):  # the model divides in both branches
        agree(trace(function, *[Spec(x.shape, x.dtype) for x in arrays]), *arrays)


# Whole programs.


def loss(parameters, inputs, labels):
    hidden = np.maximum(inputs @ parameters["W1"] + parameters["b1"], 0)
    logits = hidden @ parameters["W2"] + parameters["b2"]
    return np.mean(ops.softmax_cross_entropy(logits, labels))


def parameters(dtype):
    rng = np.random.default_rng(1)
    shapes = {"W1": (5, 8), "b1": (8,), "W2": (8, 3), "b2": (3,)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_loss_of_a_network_and_its_gradient(dtype):
    weights, labels = parameters(dtype), np.array([0, 2, 1, 1])
    inputs = X.astype(dtype)
    graph = trace(loss, weights, Spec(inputs.shape, inputs.dtype), Spec((4,), labels.dtype))
    assert graph.specialised is False
    leaves = [weights[name] for name in sorted(weights)]
    agree(graph, *leaves, inputs, labels, tolerance=TOLERANCE[dtype])
    both = reverse(graph, range(len(leaves)))
    one = np.ones((), dtype)[()]
    agree(both, *leaves, inputs, labels, one, tolerance=TOLERANCE[dtype])


def test_inputs_nodes_and_outputs_have_names_to_find_them_by():
    model = to_onnx(loss, parameters("float32"), X.astype(np.float32), np.array([0, 2, 1, 1]))
    assert [x.name for x in model.graph.input] == [
        *("parameters_W1", "parameters_W2", "parameters_b1", "parameters_b2"),
        *("inputs", "labels"),
    ]
    assert [x.name for x in model.graph.output] == ["output"]
    assert model.graph.name == "loss"
    kinds = [node.op_type for node in model.graph.node]
    assert {"MatMul", "Relu", "LogSoftmax", "ReduceMean"} <= set(kinds)
    assert "Cast" not in kinds
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    assert relu.name.startswith("relu_")
    assert relu.doc_string.startswith("test_onnx.py:")


def test_names_are_identifiers_and_differ():
    def program(output, tanh_2):
        return np.tanh(output + tanh_2), output

    model = to_onnx(program, Spec((2,)), Spec((2,)))
    names = [x.name for x in [*model.graph.input, *model.graph.output]]
    names += [name for node in model.graph.node for name in node.output]
    assert all(name.isidentifier() for name in names)
    made = {name for node in model.graph.node for name in node.output}
    assert not made & {x.name for x in model.graph.input}


def test_weights_of_a_closure_become_part_of_the_model(tmp_path):
    weights = np.arange(6.0).reshape(3, 2)
    path = tmp_path / "model.onnx"
    to_onnx(lambda x: x @ weights, Spec((1, 3)), path=path)
    model = onnx.load(path)
    assert [tuple(x.dims) for x in model.graph.initializer] == [(3, 2)]
    np.testing.assert_array_equal(run(model, np.ones((1, 3))), [[[6.0, 9.0]]])


def test_large_zeros_take_no_room():
    graph = trace(lambda x, i: x[i], Spec((100_000, 8)), Spec((2,), np.dtype("int64")))
    assert to_onnx(reverse(graph, [0])).ByteSize() < 10_000


def test_dead_code_is_left_out():
    def program(a):
        np.linalg.inv(a)
        return a + 1

    assert [node.op_type for node in to_onnx(program, Spec((2, 2))).graph.node] == [
        "Add",
        "Identity",
    ]


# Refusals.


def test_an_op_without_words_is_named_with_its_line():
    with pytest.raises(ExportError, match="inv cannot be said in ONNX") as refused:
        to_onnx(lambda a: np.linalg.inv(a) + 1, Spec((2, 2)))
    assert "at test_onnx.py:" in str(refused.value)
    assert refused.value.code == "CR701"


def test_a_derivative_without_words_is_named_with_its_rule():
    with pytest.raises(ExportError, match="inv cannot be said") as refused:
        to_onnx(reverse(trace(ops.log_abs_det, Spec((3, 3)))))
    assert "log_abs_det backward" in str(refused.value)


def test_a_dtype_that_onnx_does_not_take_is_named():
    with pytest.raises(ExportError, match="Floor does not take int64"):
        to_onnx(np.floor, Spec((2,), np.dtype("int64")))


def test_an_operator_that_onnx_does_not_have_is_named():
    @elementwise(1, onnx="Same")
    def the_same(x):
        return np.positive(x)

    try:
        with pytest.raises(ExportError, match="ONNX has no operator Same"):
            to_onnx(the_same, Spec((2,)))
    finally:
        del OPS["the_same"]


def test_a_graph_that_branched_on_numbers_is_refused():
    graph = trace(lambda x: x if x[0] > 0 else -x, np.ones(2))
    with pytest.raises(SpecialisedError, match="branched"):
        to_onnx(graph)


def test_onnx_is_loaded_when_it_is_asked_for_and_named_when_it_is_absent(monkeypatch):
    monkeypatch.delitem(sys.modules, "chainrule.interop.onnx")
    for name in [name for name in sys.modules if name.split(".")[0] == "onnx"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match="not installed") as missing:
        importlib.import_module("chainrule.interop.onnx")
    assert isinstance(missing.value, ChainruleError | ImportError)
    assert 'pip install "chainrule[onnx]"' in str(missing.value)


def test_interop_has_no_other_names():
    with pytest.raises(AttributeError, match="to_onyx"):
        interop.to_onyx  # noqa: B018 - asking is the test
