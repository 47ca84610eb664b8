"""What users' code keeps around itself is put back, and arrays of a trace do not stay in it."""

from __future__ import annotations

import math
import random

import numpy as np

from chainrule.inspect.targets import probes_of
from chainrule.inspect.targets.drawing import like, read_shapes, sizes_for
from chainrule.inspect.targets.frozen import Frozen, referred
from chainrule.inspect.targets.handing import handed
from chainrule.inspect.targets.handwritten import Forward
from chainrule.inspect.targets.several import pair_of
from chainrule.inspect.targets.stage import Stage

TABLE = {"rows": np.arange(3.0), "list": [1, 2]}
COUNT = 0
DATA = np.arange(6.0).reshape(2, 3)


def dirty(x):
    global COUNT  # noqa: PLW0603 - that is what is put back
    COUNT += 1
    TABLE["rows"] += 1
    TABLE["new"] = x
    TABLE["list"].append(3)
    return x * TABLE["rows"]


def test_globals_and_their_contents_are_put_back():
    rows = TABLE["rows"]
    stage = Stage(pair_of(dirty, lambda dout: dout, (np.ones(3),)))
    with stage.set():
        dirty(np.ones(3))
        assert sorted(stage.changed()) == ["COUNT", "TABLE"]
    assert COUNT == 0
    assert list(TABLE) == ["rows", "list"]
    assert TABLE["rows"] is rows
    np.testing.assert_array_equal(rows, np.arange(3.0))
    assert TABLE["list"] == [1, 2]


def test_a_trace_leaves_no_value_in_globals_nor_another_numpy():
    numpy, python = np, math
    kept = DATA

    def loss(w):
        d = DATA.dot(w) - math.sqrt(2)
        out = np.zeros(2)
        for i in range(2):
            out[i] = d[i] ** 2
        return out.sum(), 2 * DATA.T.dot(d)

    probes, findings = probes_of(loss, np.ones(3))
    assert not findings
    assert probes[0].walk is not None
    assert np is numpy
    assert math is python
    assert DATA is kept
    assert type(DATA) is np.ndarray


def test_every_generator_that_functions_reach_is_found_and_put_back():
    generator = np.random.default_rng(1)
    old = np.random.RandomState(2)
    box = {"deep": [random.Random(3)]}

    def draws(x, by=generator):
        return x + by.normal() + old.normal() + box["deep"][0].random() + np.random.rand()  # noqa: NPY002

    frozen = Frozen([draws])
    assert len(frozen.generators) == 3
    with frozen.held():
        first = draws(0.0)
    with frozen.held():
        assert draws(0.0) == first
    assert referred(draws)["box"] is box


def test_what_is_drawn_is_of_the_kind_that_was_given():
    rng = np.random.default_rng(0)

    def drawn(x, shape=None):
        return like(np.asarray(x), shape or np.shape(x), rng, 5, said=shape is not None)

    rows = drawn(np.eye(4)[[0, 2, 2]], (7, 5))
    assert set(np.unique(rows)) == {0.0, 1.0}
    np.testing.assert_array_equal(rows.sum(axis=1), 1)
    columns = drawn(np.eye(3)[:, [0, 2, 2, 1]])
    np.testing.assert_array_equal(columns.sum(axis=0), 1)
    shares = drawn(np.array([[0.2, 0.8], [0.5, 0.5]]), (6, 3))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert set(np.unique(drawn((rng.random((9, 9)) < 0.5) / 0.8))) == {0.0, 1.25}
    labels = drawn(np.array([0, 3, 9]), (40,))
    assert labels.dtype.kind == "i"
    assert labels.min() >= 0
    assert labels.max() < 5
    assert np.all(drawn(np.array([1e-3, 2.0, 500.0])) > 0)
    zeros = drawn(np.zeros(50))
    assert 0.2 < np.std(zeros) < 0.9
    assert np.std(drawn(1e6 * rng.normal(size=100))) < 3
    assert drawn(0.5) == 0.5


def test_sizes_are_distinct_and_fixed_ones_stay():
    shapes = read_shapes({"X": "n d", "W": "d h", "b": "h 1"})
    for seed in range(20):
        sizes = sizes_for(shapes, np.random.default_rng(seed), {"d": 5})
        assert sizes["d"] == 5
        assert len({*sizes.values(), 1}) == 4


def test_backward_is_handed_what_its_parameters_ask_for():
    ran = Forward("out", ("cache",), ())

    def asked(backward, rest=("cache",), labels=None, **inputs):
        call = handed(backward, Forward("out", rest, ()), "g", inputs, labels)
        return call.arguments, call.takes_cotangent

    assert asked(lambda dout, cache: 0) == (["g", "cache"], True)
    assert asked(lambda cache: 0) == (["cache"], False)
    assert asked(lambda dout: 0) == (["g"], True)
    assert asked(lambda c: 0, rest=()) == (["g"], True)
    assert asked(lambda c: 0) == (["cache"], False)
    assert asked(lambda dout, x: 0, x="input") == (["g", "cache"], True)
    assert asked(lambda x, y, c: 0, x=1, y=2) == ([1, 2, "cache"], False)
    assert asked(lambda out, cache, Y: 0, labels="Y") == (["out", "cache", "Y"], False)
    assert asked(lambda d, a, b: 0, rest=("a", "b")) == (["g", "a", "b"], True)
    assert asked(lambda d, c: 0, rest=("a", "b")) == (["g", ("a", "b")], True)
    assert asked(lambda *everything: 0) == (["g", "cache"], True)
    assert asked(lambda x, w: 0, rest=(), x=1, w=2) == ([1, 2], False)
    assert ran.rest == ("cache",)
