"""onnxruntime: prediction alone, of a model written with ONNX's own helper."""

from __future__ import annotations

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.threads import threads

NAME = "onnxruntime"
OPSET, IR = 17, 9
"""Versions that every release since 2023 reads."""


def predict_row(network):
    """Return a function from one row to the outputs, NumPy on both sides."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model_of(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = ["y"]
    run = session.run
    return lambda x: run(names, {"x": x})[0]


def model_of(network):
    """Return the network as ONNX."""
    nodes, constants, last = [], [], "x"
    function = {"relu": "Relu", "tanh": "Tanh"}[network.activation]
    layers = network.parameters()
    for i, (W, b) in enumerate(layers):
        constants += [numpy_helper.from_array(W, f"W{i}"), numpy_helper.from_array(b, f"b{i}")]
        end = i == len(layers) - 1
        name = "y" if end else f"z{i}"
        nodes.append(helper.make_node("Gemm", [last, f"W{i}", f"b{i}"], [name]))
        if not end:
            nodes.append(helper.make_node(function, [name], [f"h{i}"]))
        last = f"h{i}"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, network.sizes[0]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, network.sizes[-1]])
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
