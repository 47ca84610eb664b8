"""Products of matrices and tensors."""

from __future__ import annotations

import itertools
import string

import numpy as np

from chainrule.errors import NoOpError, ShapeError
from chainrule.graph import REQUIRED, Case, Composite, Product, Written, describe
from chainrule.ops.batching import aligned
from chainrule.ops.declare import bilinear, called_by
from chainrule.ops.readable import as_signed_product
from chainrule.ops.shapes import one_axis


def _matmul_shape(a, b):
    if a.ndim < 2 or b.ndim < 2:
        raise ShapeError(f"matmul needs matrices, got {a.ndim} and {b.ndim} axes.")
    if a.shape[-1] != b.shape[-2]:
        fits = "Did you mean a @ b.T?" if a.shape[-1] == b.shape[-1] else ""
        raise ShapeError(
            f"matmul needs a's last axis to equal b's last but one, got {a.shape[-1]} and "
            f"{b.shape[-2]}.",
            advice=fits,
        )
    try:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"matmul needs leading axes that broadcast, got {list(a.shape[:-2])} and "
            f"{list(b.shape[:-2])}."
        ) from None
    return (*lead, a.shape[-2], b.shape[-1])


@bilinear(
    lambda g, b: g @ b.mT,
    lambda g, a: a.mT @ g,
    shape=_matmul_shape,
    batch=aligned(2),
    form=Product(),
    latex=r"<a>\,<b>",
    written=Written("<a> @ <b>", simpler=as_signed_product),
    onnx="MatMul",
    cost=lambda a, b, y: 2.0 * y.size * a.shape[-1],
    cases=[
        Case((2, 3), (3, 4)),
        Case((5, 2, 3), (3, 4)),
        Case((2, 1, 2, 3), (5, 3, 2)),
    ],
)
def matmul(a, b):
    """The product of two matrices, or of stacks of matrices."""
    if np.ndim(a) < 2 or np.ndim(b) < 2:
        raise ValueError("an operand is a vector")  # which NumPy would take, and the rules not
    return np.matmul(a, b)


@called_by(np.matmul, np.linalg.matmul)
def _matmul_of(a, b):
    """The matrix product; a vector on the left is a row, one on the right a column."""
    a_ndim, b_ndim = np.ndim(a), np.ndim(b)
    if a_ndim > 1 and b_ndim > 1:
        return matmul(a, b)
    if a_ndim == 0 or b_ndim == 0:
        raise ShapeError("matmul needs arrays with axes, got a number.", advice="Write a * b.")
    rows = np.reshape(a, (1, -1)) if a_ndim == 1 else a
    columns = np.reshape(b, (-1, 1)) if b_ndim == 1 else b
    y = matmul(rows, columns)
    shape = y.shape[:-2] + y.shape[-2 : -1 if a_ndim > 1 else -2]
    shape += y.shape[-1:] if b_ndim > 1 else ()
    return np.reshape(y, shape)


@called_by(np.dot)
def dot(a, b):
    """NumPy's dot: matrix product, inner product of vectors, or scaling by a number."""
    a_ndim, b_ndim = np.ndim(a), np.ndim(b)
    if a_ndim == 2 and b_ndim == 2:
        return matmul(a, b)
    if a_ndim == 0 or b_ndim == 0:
        return np.multiply(a, b)
    if b_ndim <= 2:
        return _matmul_of(a, b)
    return tensordot(a, b, ([a_ndim - 1], [b_ndim - 2]))


@called_by(np.inner)
def inner(a, b):
    """The sum of products over the last axis of both."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return tensordot(a, b, ([np.ndim(a) - 1], [np.ndim(b) - 1]))


@called_by(np.outer, np.linalg.outer)
def outer(a, b):
    """All products of a number of a and one of b."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@called_by((np.multiply, "outer"))
def _multiply_outer(a, b):
    """All products of a number of a and one of b, with the axes of both."""
    return np.reshape(a, (*np.shape(a), *[1] * np.ndim(b))) * b


@called_by(np.vdot)
def vdot(a, b):
    """The sum of products of all numbers."""
    return np.sum(np.ravel(a) * np.ravel(b))


@called_by(np.vecdot, np.linalg.vecdot)
def vecdot(a, b, axis=-1):
    """The sum of products along an axis."""
    return np.sum(a * b, axis=axis)


@called_by("matvec")  # a ufunc since NumPy 2.2
def matvec(a, b):
    """The product of matrices and vectors."""
    return np.squeeze(a @ np.expand_dims(b, -1), -1)


@called_by("vecmat")
def vecmat(a, b):
    """The product of vectors and matrices."""
    return np.squeeze(np.expand_dims(a, -2) @ b, -2)


@called_by(np.tensordot, np.linalg.tensordot)
def tensordot(a, b, axes=2):
    """The sum of products over pairs of axes, as one matrix product."""
    a_ndim, b_ndim = np.ndim(a), np.ndim(b)
    if isinstance(axes, int | np.integer):
        axes = (list(range(a_ndim - axes, a_ndim)), list(range(axes)))
    over_a, over_b = (
        [one_axis(k, n) for k in np.atleast_1d(np.asarray(ks, int))]
        for ks, n in zip(axes, (a_ndim, b_ndim), strict=True)
    )
    a_shape, b_shape = np.shape(a), np.shape(b)
    if [a_shape[k] for k in over_a] != [b_shape[k] for k in over_b]:
        raise ShapeError(
            f"tensordot needs equal lengths, got axes {over_a} of {list(a_shape)} and {over_b} "
            f"of {list(b_shape)}."
        )
    free_a = [k for k in range(a_ndim) if k not in over_a]
    free_b = [k for k in range(b_ndim) if k not in over_b]
    summed = int(np.prod([a_shape[k] for k in over_a], dtype=int))
    left_shape, right_shape = [a_shape[k] for k in free_a], [b_shape[k] for k in free_b]
    left = np.reshape(np.transpose(a, free_a + over_a), (_size(left_shape), summed))
    right = np.reshape(np.transpose(b, over_b + free_b), (summed, _size(right_shape)))
    return np.reshape(left @ right, (*left_shape, *right_shape))


def _size(shape):
    return int(np.prod(shape, dtype=int))


@called_by(np.linalg.multi_dot)
def multi_dot(arrays):
    """The product of several matrices from the left."""
    y = arrays[0]
    for x in arrays[1:]:
        y = np.dot(y, x)
    return y


@called_by(np.kron)
def kron(a, b):
    """The Kronecker product."""
    ndim = max(np.ndim(a), np.ndim(b))
    a = np.reshape(a, (1,) * (ndim - np.ndim(a)) + np.shape(a))
    b = np.reshape(b, (1,) * (ndim - np.ndim(b)) + np.shape(b))
    spaced_a = np.reshape(a, [m for n in a.shape for m in (n, 1)])
    spaced_b = np.reshape(b, [m for n in b.shape for m in (1, n)])
    return np.reshape(
        spaced_a * spaced_b, tuple(n * m for n, m in zip(a.shape, b.shape, strict=True))
    )


@called_by(np.cross, np.linalg.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """The vector product along axes of length 3: one for a, b and the result, or one for all."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(f"cross needs axes of length 3, got {a.shape[-1]} and {b.shape[-1]}.")
    turned = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.stack(turned, axis=axisc)


# ---------------------------------------------------------------- einsum


def _terms(subscripts):
    left, _, right = subscripts.partition("->")
    return left.split(","), right


def _settled_subscripts(*xs, subscripts):
    """Return subscripts with an explicit output and letters for the ellipsis."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(xs):
        raise ShapeError(f"einsum {subscripts!r} has {len(terms)} terms for {len(xs)} arrays.")
    free = (letter for letter in string.ascii_letters if letter not in text)
    widths = [x.ndim - len(t.replace("...", "")) for t, x in zip(terms, xs, strict=True)]
    dots = "".join(itertools.islice(free, max(w for w in (*widths, 0))))
    if any(w < 0 or (w > 0 and "..." not in t) for t, w in zip(terms, widths, strict=True)):
        raise ShapeError(f"einsum {subscripts!r} does not fit {[list(x.shape) for x in xs]}.")
    terms = [t.replace("...", dots[len(dots) - w :]) for t, w in zip(terms, widths, strict=True)]
    if arrow:
        right = right.replace("...", dots)
    else:
        letters = "".join(terms)
        right = dots + "".join(
            c for c in sorted(set(letters)) if letters.count(c) == 1 and c not in dots
        )
    return {"subscripts": f"{','.join(terms)}->{right}"}


def _lengths(xs, terms):
    """Return the length of each letter; 1 gives way to another."""
    lengths = {}
    for x, term in zip(xs, terms, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if 1 not in {n, lengths.get(letter, n)} and lengths.get(letter, n) != n:
                raise ShapeError(f"einsum: axis {letter!r} has lengths {lengths[letter]} and {n}.")
            lengths[letter] = max(n, lengths.get(letter, n))
    return lengths


def _einsum_shape(*xs, subscripts):
    terms, right = _terms(subscripts)
    lengths = _lengths(xs, terms)
    if not lengths.keys() >= set(right):
        raise ShapeError(f"einsum {subscripts!r} has a letter in its result that no array has.")
    return tuple(lengths[letter] for letter in right)


def _einsum_transpose(g, xs, k, subscripts):
    """Return the einsum of the cotangent with all other operands that gives operand k's.

    A letter that only operand k has at full length is spread by ones, and a letter that it has
    twice, a diagonal, is put back onto it by an identity matrix.
    """
    terms, right = _terms(subscripts)
    lengths = _lengths(xs, terms)
    others = [(t, x) for j, (t, x) in enumerate(zip(terms, xs, strict=True)) if j != k]
    sources = [(right, g), *others]
    free = (letter for letter in string.ascii_letters if letter not in subscripts)
    target = ""
    for letter in terms[k]:
        if letter in target:
            fresh = next(free)
            sources.append((letter + fresh, np.eye(lengths[letter], dtype=g.dtype)))
            target += fresh
        else:
            target += letter
    for letter in dict.fromkeys(terms[k]):
        n = lengths[letter]
        if not any(letter in t and x.shape[t.index(letter)] == n for t, x in sources):
            sources.append((letter, np.ones(n, g.dtype)))
    texts, arrays = zip(*sources, strict=True)
    y = einsum(*arrays, subscripts=f"{','.join(texts)}->{target}")
    shape = xs[k].shape
    narrow = tuple(a for a, (n, m) in enumerate(zip(shape, y.shape, strict=True)) if n < m)
    return np.sum(y, axis=narrow, keepdims=True) if narrow else y


def _as_product(xs, terms, right):
    """Return the einsum of one or two arrays as sums, a matrix product and other axes.

    None for what these cannot say: more arrays, diagonals, axes of length 1 that are repeated.
    """
    if len(xs) > 2 or any(len(set(term)) < len(term) for term in terms):
        return None
    lengths = _lengths(xs, terms)
    if any(x.shape != tuple(lengths[c] for c in t) for x, t in zip(xs, terms, strict=True)):
        return None
    xs, terms = list(xs), list(terms)
    for k, term in enumerate(terms):
        needed = set(right).union(*[t for j, t in enumerate(terms) if j != k])
        gone = tuple(axis for axis, letter in enumerate(term) if letter not in needed)
        if gone:
            xs[k] = np.sum(xs[k], axis=gone)
            terms[k] = "".join(letter for letter in term if letter in needed)
    if len(xs) == 1:
        return np.transpose(xs[0], [terms[0].index(letter) for letter in right])
    a, b = terms
    shared = [letter for letter in a if letter in b and letter in right]
    summed = [letter for letter in a if letter in b and letter not in right]
    rows, columns = ([c for c in t if c not in other] for t, other in ((a, b), (b, a)))
    left = _as_matrices(xs[0], a, shared, rows, summed)
    y = left @ _as_matrices(xs[1], b, shared, summed, columns)
    order = [*shared, *rows, *columns]
    y = np.reshape(y, tuple(lengths[letter] for letter in order))
    return np.transpose(y, [order.index(letter) for letter in right])


def _as_matrices(x, term, lead, rows, columns):
    """Return an array as a stack of matrices with the given letters."""
    turned = np.transpose(x, [term.index(letter) for letter in (*lead, *rows, *columns)])
    shape = turned.shape
    first = len(lead)
    last = first + len(rows)
    return np.reshape(turned, (*shape[:first], _size(shape[first:last]), _size(shape[last:])))


def _einsum_batch(op, n, xs, batched, attributes):
    terms, right = _terms(attributes["subscripts"])
    letter = next(c for c in string.ascii_letters if c not in attributes["subscripts"])
    terms = [letter + t if b else t for t, b in zip(terms, batched, strict=True)]
    return op(*xs, subscripts=f"{','.join(terms)}->{letter}{right}")


@bilinear(
    _einsum_transpose,
    shape=_einsum_shape,
    settle=_settled_subscripts,
    batch=_einsum_batch,
    form=Composite(lambda *xs, subscripts: _as_product(xs, *_terms(subscripts))),
    latex=r"\mathrm{einsum}(<xs>)",
    written=Written(
        "np.einsum(<subscripts>, <xs>)",
        latex=lambda *xs, subscripts: r"\mathrm{einsum}_{<subscripts>}(<xs>)",
    ),
    onnx=lambda e, *xs, subscripts: e.Einsum(*xs, equation=subscripts),
    cost=lambda *xs, y, subscripts: (
        2.0 * float(np.prod(list(_lengths(xs, _terms(subscripts)[0]).values()), dtype=float))
    ),
    cases=[
        Case((2, 3), (3, 4), subscripts="ij,jk->ik"),
        Case((3, 3), subscripts="ii->i"),
        Case((2, 3), subscripts="ij->j"),
        Case((2, 3), (3,), (2,), subscripts="ij,j,i->"),
        Case((4, 2, 3), (4, 3, 2), subscripts="...ij,...ji"),
    ],
)
def einsum(*xs, subscripts=REQUIRED):
    """Sums of products of numbers that share letters (Einstein's convention)."""
    return np.einsum(subscripts, *xs, optimize=len(xs) > 2)


@called_by(np.einsum)
def _einsum_of(subscripts, *xs, optimize=False):
    """Sums of products of numbers that share letters (Einstein's convention)."""
    if not isinstance(subscripts, str):
        raise NoOpError(
            f"np.einsum is traced with its subscripts as text, got {describe(subscripts)}.",
            advice="Write np.einsum('ij,jk->ik', a, b) for np.einsum(a, [0, 1], b, [1, 2]).",
        )
    return einsum(*xs, subscripts=subscripts)
