"""Every kind of index, drawn at random and named, against NumPy's own indexing."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import Row, check, table
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule import Spec, grad, jvp, ops, trace, vjp, vmap
from chainrule.errors import AxisError, BranchError, ConversionError, ShapeError
from chainrule.transform import simplify

x34 = ((3, 4),)


@st.composite
def basic_entries(draw, n):
    """An integer or a slice of an axis of length n; steps of both signs, ends beyond the axis."""
    if n and draw(st.booleans()):
        return draw(st.integers(-n, n - 1))
    ends = st.none() | st.integers(-n - 2, n + 2)
    return slice(draw(ends), draw(ends), draw(st.sampled_from([None, 1, 2, 3, -1, -2])))


@st.composite
def indexed_arrays(draw):
    """A shape and an index of integers, slices, None, Ellipsis, arrays, lists and masks."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    front = draw(st.integers(0, len(shape)))
    back = draw(st.integers(front, len(shape)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    arrays = Places(rng, tuple(draw(st.lists(st.integers(1, 3), max_size=2))))
    dots = [] if back == len(shape) and draw(st.booleans()) else [Ellipsis]
    entries = [*draw(entries_for(shape[:front], arrays)), *dots]
    entries += draw(entries_for(shape[back:], arrays))
    for _ in range(draw(st.integers(0, 2))):
        entries.insert(draw(st.integers(0, len(entries))), None)
    if len(entries) == 1 and draw(st.booleans()):
        return shape, entries[0]
    return shape, tuple(entries)


class Places:
    """Arrays of places that broadcast with each other; a mask, which comes first, counts them."""

    def __init__(self, rng, shape):
        self.rng, self.shape, self.is_first = rng, shape, True

    def places(self, n):
        self.is_first = False
        return self.rng.integers(-n, n, self.shape)

    def mask(self, shape):
        mask = self.rng.random(shape) < 0.5
        self.is_first, self.shape = False, (int(mask.sum()),)
        return mask


@st.composite
def entries_for(draw, lengths, arrays):
    """Entries of an index that together speak of axes of these lengths."""
    entries, left = [], list(lengths)
    while left:
        n = left.pop(0)
        kind = draw(st.sampled_from(["basic", "basic", "places", "list", "mask", "wide mask"]))
        if kind in {"mask", "wide mask"} and arrays.is_first:
            wide = kind == "wide mask" and left
            mask = arrays.mask((n, left.pop(0)) if wide else n)
            entries.append(mask.tolist() if not wide and draw(st.booleans()) else mask)
        elif kind in {"places", "list"}:
            places = arrays.places(n)
            entries.append(places.tolist() if kind == "list" else places)
        else:
            entries.append(draw(basic_entries(n)))
    return entries


@given(indexed_arrays())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_index_is_numpys(drawn):
    """Where each number came from is told by indexing an array of consecutive numbers."""
    shape, index = drawn
    x = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    expected = np.asarray(x[index])
    y, pull = vjp(lambda x: x[index], x)
    np.testing.assert_array_equal(y, expected)
    assert y.shape == expected.shape
    u = np.random.default_rng(0).normal(size=expected.shape)
    scattered = np.zeros(x.size)
    np.add.at(scattered, expected.astype(int) - 1, u)
    np.testing.assert_allclose(pull(u)[0], scattered.reshape(shape), atol=1e-14)
    np.testing.assert_array_equal(jvp(lambda x: x[index], (x,), (x,))[1], expected)
    graph = trace(lambda x: x[index], Spec(shape)).check()
    np.testing.assert_array_equal(simplify(graph).evaluate(x)[0], expected)
    both = vmap(lambda x: x[index])(np.stack([x, -x]))
    np.testing.assert_array_equal(both, np.stack([expected, -expected]))


@table(
    Row("x[True]", lambda x: x[True], x34),
    Row("x[False]", lambda x: x[False], x34),
    Row("x[True, 0]", lambda x: x[True, 0], x34),
    Row("x[np.True_, array]", lambda x: x[np.True_, [0, 0]], x34),
    Row("x[[]]", lambda x: x[[]], x34),
    Row("x[:, []]", lambda x: x[:, []], x34),
    Row("x[0-d array]", lambda x: x[np.array(1)], x34),
    Row("x[None, 0-d array]", lambda x: x[None, np.array(1)], x34),
    Row("x[0-d, :, array]", lambda x: x[np.array(1), :, [0, 1]], ((2, 3, 4),)),
    Row("x[int, :, array]", lambda x: x[-1, :, [0, 1]], ((2, 3, 4),)),
    Row("x[array, ..., array]", lambda x: x[[0, 1], ..., [0, 1]], ((2, 3),)),
    Row("x[array, None, array]", lambda x: x[[0, 1], None, [0, 1]], ((2, 3),)),
    Row("x[uint8]", lambda x: x[np.array([2, 0], np.uint8)], x34),
    Row("x[nested tuples]", lambda x: x[(0, 2), (1, 1)], x34),
    Row("x[:, range]", lambda x: x[:, range(1, 3)], x34),
    Row("take flat", lambda x: np.take(x, [[5, -1], [5, 0]]), x34),
    Row("take wrap", lambda x: np.take(x, [5, -7], axis=0, mode="wrap"), x34),
    Row("take clip", lambda x: np.take(x, [5, -7], axis=1, mode="clip"), x34),
    Row("take by position", lambda x: np.take(x, [5, -7], 0, None, "clip"), x34),
    Row("take one", lambda x: np.take(x, 2, axis=-1), x34),
    Row("take_along_axis flat", lambda x: np.take_along_axis(x, np.array([7, 7]), None), x34),
    Row(
        "take_along_axis, spread",
        lambda x: np.take_along_axis(x, np.array([[0], [2]])[:, :, None], axis=1),
        ((2, 3, 4),),
    ),
    Row("compress", lambda x: np.compress([True, False, True], x, axis=1), x34),
    Row("compress flat", lambda x: np.compress(np.arange(9) % 2, x), x34),
    Row("delete", lambda x: np.delete(x, [0, -1], axis=1), x34),
    Row("delete slice flat", lambda x: np.delete(x, slice(1, 9, 3)), x34),
    *[Row(f"diag {k}", lambda x, k=k: np.diag(x, k), x34) for k in (-4, -1, 0, 2)],
    *[Row(f"diag of a vector {k}", lambda x, k=k: np.diag(x, k), ((3,),)) for k in (-2, 0, 1)],
    Row("diagflat", lambda x: np.diagflat(x, 1), ((2, 2),)),
    *[
        Row(f"diagonal {o} of {a}, {b}", lambda x, o=o, a=a, b=b: np.diagonal(x, o, a, b), (s,))
        for o, a, b, s in [
            (0, 0, 1, (3, 4)), (1, 1, 0, (2, 3, 4)), (-1, 0, 2, (2, 3, 4)), (-2, -1, 0, (2, 3, 4))
        ]
    ],
    Row("trace", lambda x: np.trace(x, 1, 2, 0), ((2, 3, 4),)),
    *[Row(f"tril {k}", lambda x, k=k: np.tril(x, k), ((2, 3, 4),)) for k in (-1, 0, 2)],
    *[Row(f"triu {k}", lambda x, k=k: np.triu(x, k), x34) for k in (-1, 0, 2)],
    Row("tril of a vector", np.tril, ((3,),)),
)  # fmt: skip
def test_parts_by_name(row):
    check(row)


def test_repeated_places_add_up_in_every_order():
    places = np.array([0, 2, 2, 2])
    f = lambda x: np.sum(x[places] ** 3)
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(grad(f)(x), [3, 0, 81])
    np.testing.assert_array_equal(grad(lambda x: np.sum(grad(f)(x) ** 2))(x), [36, 0, 8748])


def test_places_that_differ_by_example():
    x = np.arange(12.0).reshape(3, 4)
    places = np.array([3, 0, 0])
    rows = vmap(lambda x, i: x[i])(x, places)
    np.testing.assert_array_equal(rows, x[np.arange(3), places])
    shared = vmap(lambda x, i: ops.take(x, i, axis=1), (None, 0))(x, places)
    np.testing.assert_array_equal(shared, x[:, places].T)
    pairs = vmap(lambda i: ops.take(x, np.stack([i, i + 1]), axis=0), 0)(np.array([0, 1]))
    np.testing.assert_array_equal(pairs, [x[[0, 1]], x[[1, 2]]])
    pick = lambda x, i: grad(lambda x: np.sum(x[i] ** 2))(x)
    np.testing.assert_array_equal(vmap(pick)(x, places), 2 * x * np.eye(4)[places])
    sorted_rows = vmap(lambda x, o: np.take_along_axis(x, o, -1))(x, np.argsort(-x))
    np.testing.assert_array_equal(sorted_rows, -np.sort(-x))
    columns = np.array([[1], [2]])
    both = vmap(lambda x, i: x[i, columns])(np.stack([x, -x]), np.array([2, 0]))
    np.testing.assert_array_equal(both, [x[2, columns], -x[0, columns]])


def test_putting_back_differs_by_example_too():
    x, places = np.arange(6.0).reshape(3, 2), np.array([[0, 0], [1, 3], [3, 3]])
    found = vmap(lambda x, i: ops.scatter_add(x, i, shape=(4,)))(x, places)
    expected = np.zeros((3, 4))
    np.add.at(expected, (np.arange(3)[:, None], places), x)
    np.testing.assert_array_equal(found, expected)
    shared = vmap(lambda i: ops.scatter_add(x[0] + 1, i, shape=(4,)))(places)
    np.testing.assert_array_equal(shared.sum(axis=1), [3, 3, 3])


def test_embedding_and_one_hot():
    table = np.arange(10.0).reshape(5, 2)
    words = np.array([[0, 4, 4], [1, 0, 0]])
    np.testing.assert_array_equal(ops.embedding(table, words), table[words])
    g = grad(lambda t: np.sum(ops.embedding(t, words)))(table)
    np.testing.assert_array_equal(g[:, 0], np.bincount(words.ravel(), minlength=5))
    per_example = vmap(grad(lambda t, w: np.sum(ops.embedding(t, w) ** 2)), (None, 0))(table, words)
    counts = np.stack([np.bincount(w, minlength=5) for w in words])
    np.testing.assert_array_equal(per_example, 2 * table * counts[..., None])
    rows = ops.one_hot(words, 5, np.float32)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, np.eye(5)[words])
    np.testing.assert_array_equal(vmap(lambda w: ops.one_hot(w, 5))(words), rows)
    np.testing.assert_array_equal(ops.one_hot([1, 0], 2), [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("error", "index"),
    [
        (AxisError, 3),
        (AxisError, (0, -5)),
        (AxisError, (0, 0, 0)),
        (AxisError, (Ellipsis, 0, Ellipsis)),
        (AxisError, [0, 3]),
        (AxisError, ([0, 1], [0, 1], [0, 1])),
        (AxisError, np.array([True, False])),
        (AxisError, (slice(None), np.array([True, False, True]))),
        (AxisError, np.ones((4, 3), bool)),
        ((AxisError, ShapeError), ([0, 1], [0, 1, 2])),
        ((AxisError, ShapeError), np.array([0.5])),
    ],
)
def test_what_indexing_refuses(error, index):
    x = np.zeros((3, 4))
    with pytest.raises((IndexError, ValueError)):
        x[index]
    with pytest.raises(error):
        grad(lambda x: np.sum(x[index]))(x)
    if not isinstance(index, list):  # the numbers of places are not known where shapes alone are
        with pytest.raises(error):
            trace(lambda x: np.sum(x[index]), Spec(x.shape))


@pytest.mark.parametrize("index", ["text", 1.5, slice(0.5), object()])
def test_what_is_no_index_is_refused(index):
    for walk in (lambda f: grad(f)(np.ones(3)), lambda f: trace(f, Spec((3,)))):
        with pytest.raises(AxisError):
            walk(lambda x: np.sum(x[index]))
    with pytest.raises(ConversionError):
        grad(lambda x: np.sum(x[: x[0]]))(np.ones(3))
    with pytest.raises(AxisError):
        grad(lambda x: ops.gather(x, np.array(0), np.array(0)))(np.ones(3))
    with pytest.raises(AxisError):
        trace(lambda x: ops.gather(x, np.array(0), np.array(0)), Spec((3,)))


def test_a_mask_of_which_only_the_shape_is_known_is_refused():
    with pytest.raises(BranchError):
        trace(lambda x: x[x > 0], Spec((3,)))
    with pytest.raises(ShapeError):
        grad(lambda x: np.sum(np.take_along_axis(x, np.array([0]), axis=0)))(np.zeros((2, 2)))
