"""A pass over a call of each op: gradients as vjp has them, one local map, text that is there."""

from __future__ import annotations

import numpy as np
import pytest
from every_op import every_call, name_of

import chainrule
from chainrule import vjp

CALLS = [call for call in every_call() if call.places and call.op.differentiable]


@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_an_op_is_opened(call):
    def f(*xs):
        return call.function(*xs)

    y, pull = vjp(f, *call.xs)
    g = np.random.default_rng(0).normal(size=np.shape(y)).astype(y.dtype)
    opened = chainrule.open(f, *call.xs, output=g)
    for k, expected in enumerate(pull(g[()])):
        np.testing.assert_array_equal(opened.gradients[f"%{k}"], expected)
        local = opened.local["output", f"%{k}"]
        np.testing.assert_array_equal(local.pull(g), expected)
        dx = np.random.default_rng(1).normal(size=local.by_shape)
        np.testing.assert_allclose(
            np.vdot(g, local.push(dx)), np.vdot(expected, dx), rtol=1e-9, atol=1e-11
        )
        found = opened.paths("output", f"%{k}")
        np.testing.assert_allclose(found.total, expected)
        made = opened.needs(f"%{k}")
        assert all(need.name in opened.values or need.is_gradient for need in made)
        for text in (opened.explain(f"%{k}"), opened.chain(f"%{k}"), found):
            assert max(map(len, str(text).splitlines())) <= 100
        assert opened.chain(f"%{k}").latex().count("\\begin{aligned}") == 1
