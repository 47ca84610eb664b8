"""Products: everything that is linear in each of its factors."""

from __future__ import annotations

from typing import Any

import numpy as np

from peers.words.axes import at_least_one_axis
from peers.words.table import enter_word, word

enter_word("dot", np.dot)
enter_word("vdot", np.vdot)
enter_word("mm", np.matmul)
enter_word("mv", np.matmul)
enter_word("bmm", np.matmul)
enter_word("matmul", np.matmul)
enter_word("outer", np.outer)
enter_word("inner", np.inner)
enter_word("kron", np.kron)
enter_word("linalg.multi_dot", np.linalg.multi_dot)
enter_word("linalg.matrix_power", np.linalg.matrix_power)


@word("__rmatmul__")
def rmatmul(input: Any, other: Any) -> Any:
    return other @ input


@word("einsum")
def einsum(operands: Any, equation: str) -> Any:
    return np.einsum(equation.replace(" ", ""), *operands)


@word("tensordot")
def tensordot(input: Any, other: Any, dims: Any) -> Any:
    return np.tensordot(input, other, axes=dims)


@word("addmm", "addmm/decomposed", "addmv", "baddbmm")
def add_product(input: Any, left: Any, right: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    return beta * input + alpha * (left @ right)


@word("addbmm")
def addbmm(input: Any, left: Any, right: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    return beta * input + alpha * np.sum(left @ right, axis=0)


@word("addr")
def addr(input: Any, left: Any, right: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    return beta * input + alpha * np.outer(left, right)


@word("cross", "linalg.cross")
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The vector product; PyTorch's older word looks for the first axis of length 3."""
    if dim is None:
        dim = input.shape.index(3)
    return np.cross(input, other, axis=dim)


@word("linalg.vecdot")
def vecdot(input: Any, other: Any, dim: int = -1) -> Any:
    return np.vecdot(input, other, axis=dim)


@word("nn.functional.linear")
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    product = input @ weight.T
    return product if bias is None else product + bias


@word("nn.functional.bilinear")
def bilinear(left: Any, right: Any, weight: Any, bias: Any = None) -> Any:
    product = np.einsum("...i,oij,...j->...o", left, weight, right)
    return product if bias is None else product + bias


@word("linalg.vander")
def vander(input: Any, N: int | None = None) -> Any:
    input = at_least_one_axis(input)
    columns = input.shape[-1] if N is None else N
    return np.stack([input**power for power in range(columns)], axis=-1)
