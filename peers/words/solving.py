"""Systems of equations, inverses, determinants, and Cholesky's factor."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from peers.words.table import enter_word, word

enter_word("linalg.det", np.linalg.det)
enter_word("linalg.inv", np.linalg.inv)
enter_word("linalg.inv_ex", np.linalg.inv)
enter_word("linalg.slogdet", lambda input: tuple(np.linalg.slogdet(input)))


@word("logdet")
def logdet(input: Any) -> Any:
    """The determinant's logarithm, which is not a number where it is negative."""
    sign, size = np.linalg.slogdet(input)
    return np.where(sign < 0, np.nan, size)


@word("linalg.solve", "linalg.solve_ex")
def solve(matrix: Any, right: Any) -> Any:
    """Solve for columns; a right side with one axis less is a vector."""
    if right.ndim == matrix.ndim:
        return np.linalg.solve(matrix, right)
    return np.linalg.solve(matrix, right[..., None])[..., 0]


@word("linalg.solve_triangular")
def solve_triangular(
    matrix: Any, right: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    triangle = triangle_of(matrix, upper=upper, unit=unitriangular)
    if left:
        return np.linalg.solve(triangle, right)
    return turn(np.linalg.solve(turn(triangle), turn(right)))


@word("triangular_solve")
def triangular_solve(right: Any, matrix: Any) -> Any:
    """Solve with the lower triangle, which the record cuts out first."""
    return np.linalg.solve(np.tril(matrix), right), np.tril(matrix)


@word("cholesky", "linalg.cholesky", "linalg.cholesky_ex")
def cholesky(input: Any, *, upper: bool = False) -> Any:
    """The factor of the matrix and its transpose together: the record adds them first."""
    factor = np.linalg.cholesky(input + turn(input))
    return turn(factor) if upper else factor


@word("cholesky_inverse")
def cholesky_inverse(input: Any, upper: bool = False) -> Any:
    """The inverse from a factor, on whose diagonal the record puts ones."""
    factor = triangle_of(input, upper=upper, unit=True)
    return np.linalg.inv(turn(factor) @ factor if upper else factor @ turn(factor))


@word("cholesky_solve")
def cholesky_solve(right: Any, factor: Any, upper: bool = False) -> Any:
    factor = triangle_of(factor, upper=upper, unit=False)
    return np.linalg.solve(turn(factor) @ factor if upper else factor @ turn(factor), right)


@word("linalg.tensorinv")
def tensorinv(input: Any, ind: int = 2) -> Any:
    rows = prod(input.shape[:ind])
    inverse = np.linalg.inv(np.reshape(input, (rows, rows)))
    return np.reshape(inverse, input.shape[ind:] + input.shape[:ind])


@word("linalg.tensorsolve")
def tensorsolve(input: Any, right: Any, dims: Any = None) -> Any:
    if dims is not None:
        input = np.moveaxis(input, dims, range(-len(dims), 0))
    found = np.linalg.solve(np.reshape(input, (right.size, right.size)), np.reshape(right, (-1, 1)))
    return np.reshape(found, input.shape[right.ndim :])


def turn(matrix: Any) -> Any:
    """Return the transpose of the last two axes."""
    return np.swapaxes(matrix, -1, -2)


def triangle_of(matrix: Any, *, upper: bool, unit: bool) -> Any:
    """Return one triangle, with ones on the diagonal where PyTorch takes them as given."""
    size = matrix.shape[-1]
    if unit:
        strict = np.triu(matrix, 1) if upper else np.tril(matrix, -1)
        return strict + np.eye(size)
    return np.triu(matrix) if upper else np.tril(matrix)
