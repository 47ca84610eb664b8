"""A check of PyTorch's Functions and modules: what a right one, and each mistake, is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import chainrule
from chainrule.errors import InputTypeError
from chainrule.interop.files import check_file

torch.manual_seed(0)
X, W, B = torch.randn(7, 5), torch.randn(3, 5), torch.randn(3)
SQUARE = torch.randn(5, 5), torch.randn(5, 5), torch.randn(5)


def correct(x: Any, w: Any, y: Any, g: Any) -> Any:
    dz = g * (1 - y * y)
    return dz @ w, dz.t() @ x, dz.sum(0)


def made(backward: Any) -> type[torch.autograd.Function]:
    """Return tanh(x wᵀ + b) with a backward pass."""

    class Affine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
            y = torch.tanh(x @ w.t() + b)
            ctx.save_for_backward(x, w, y)
            return y

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            return backward(*ctx.saved_tensors, *upstream)

    return Affine


def changed(k: int, change: Any) -> Any:
    """Return the correct backward with one gradient changed."""

    def backward(*tensors: Any) -> Any:
        gradients = list(correct(*tensors))
        gradients[k] = change(gradients[k])
        return tuple(gradients)

    return backward


WRONG = {
    "sign": (changed(1, torch.neg), (X, W, B), "CD201", "w"),
    "factor": (changed(2, lambda g: g / 2), (X, W, B), "CD202", "b"),
    "mean": (changed(2, lambda g: g / 7), (X, W, B), "CD204", "b"),
    "transposed": (changed(1, torch.t), (X, W, B), "CD207", "w"),
    "transposed, square": (changed(1, torch.t), SQUARE, "CD207", "w"),
    "order": (lambda *t: tuple(correct(*t)[k] for k in (1, 0, 2)), SQUARE, "CD241", "w"),
    "order of shapes": (
        lambda *t: tuple(correct(*t)[k] for k in (1, 0, 2)), (X, W, B), "CD241", "w",
    ),
    "none": (changed(1, lambda _: None), (X, W, B), "CD239", "w"),
    "not summed": (
        lambda x, w, y, g: (*correct(x, w, y, g)[:2], g * (1 - y * y)), (X, W, B), "CD240", "b",
    ),
    "too few": (lambda *t: correct(*t)[:2], (X, W, B), "CD105", ""),
    "a number": (changed(1, lambda _: 3.0), (X, W, B), "CD240", "w"),
}  # fmt: skip


def test_a_right_function_has_no_finding() -> None:
    assert chainrule.check(made(correct), (X, W, B)) == []
    assert chainrule.check(made(correct), (X.double().numpy(), W, B)) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_is_named(name: str) -> None:
    backward, inputs, code, tensor = WRONG[name]
    found = chainrule.check(made(backward), inputs)
    assert found
    assert found[0].severity == "error"
    assert (found[0].code, found[0].tensor) == (code, tensor), found
    assert found[0].where.startswith("test_functions.py:")


def test_a_missing_activation_is_wrong_in_all() -> None:
    function = made(lambda x, w, y, g: (g @ w, g.t() @ x, g.sum(0)))
    assert {f.tensor for f in chainrule.check(function, (X, W, B))} >= {"b"}


def test_a_context_that_is_set_up_apart_and_settings_that_are_no_tensors() -> None:
    class Power(torch.autograd.Function):
        @staticmethod
        def forward(x: Any, exponent: int) -> Any:
            return x**exponent

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            (x, ctx.exponent) = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * ctx.exponent * x ** (ctx.exponent - 1), None

    assert chainrule.check(Power, (X, 3)) == []


def test_several_outputs_are_compared_together() -> None:
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.sin(x), x.sum()

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * torch.cos(x) + h

    assert chainrule.check(Both, (X,)) == []


class Layer(torch.nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 5))
        self.bias = torch.nn.Parameter(torch.zeros(3))
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function.apply(x, self.weight, self.bias).sum()


def test_a_module_is_checked_with_its_parameters_and_stays_as_it_was() -> None:
    layer = Layer(made(correct))
    before = layer.weight.detach().clone()
    assert chainrule.check(layer, (X,)) == []
    assert layer.weight.dtype == torch.float32
    assert torch.equal(layer.weight, before)
    (f,) = chainrule.check(Layer(made(changed(1, torch.neg))), (X,))
    assert (f.code, f.tensor) == ("CD201", "weight")


def test_a_file_with_a_function_is_checked(tmp_path: Any, monkeypatch: Any) -> None:
    text = """
import torch


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return -2 * g


Double_inputs = (torch.ones(3),)
"""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "function.py").write_text(text)
    report = check_file("function.py")
    assert [(f.code, f.where) for f in report.findings] == [("CD201", "function.py:10")]


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(InputTypeError, match=r"torch\.autograd\.Function"):
        chainrule.check(torch.optim.SGD([torch.nn.Parameter(X)], lr=0.1), (np.ones(3),))
