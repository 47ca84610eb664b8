"""A mistake inside a loop over time is one finding: at every turn, not at each."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph import Spec, trace
from chainrule.inspect.diagnose.turns import inner_turns, turns_of

RIGHT = """
def forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    hs = np.zeros((N, T, h0.shape[1]))
    h = h0
    for t in range(T):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        hs[:, t] = h
    return hs, (x, h0, Wx, Wh, hs)

def backward(dhs, cache):
    x, h0, Wx, Wh, hs = cache
    N, T, H = dhs.shape
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(H)
    dh = np.zeros((N, H))
    for t in reversed(range(T)):
        prev = hs[:, t - 1] if t else h0
        da = (dhs[:, t] + dh) * (1 - hs[:, t]**2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += prev.T @ da
        db += da.sum(axis=0)
        dh = da @ Wh.T
    return dx, dh, dWx, dWh, db
"""


def checked(text, tmp_path, turns=4):
    """Return the findings for a program, which lies in a file so that its lines can be read."""
    path = tmp_path / "recurrent.py"
    path.write_text(text)
    scope = {"np": np}
    exec(compile(text, str(path), "exec"), scope)  # noqa: S102 - the program above
    rng = np.random.default_rng(0)
    n, d, h = 2, 3, 5
    shapes = [(n, turns, d), (n, h), (d, h), (h, h), (h,)]
    inputs = tuple(rng.normal(size=shape) for shape in shapes)
    return cr.check((scope["forward"], scope["backward"]), inputs)


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_a_right_loop_has_no_finding(turns, tmp_path):
    assert checked(RIGHT, tmp_path, turns) == []


@pytest.mark.parametrize(
    ("right", "wrong", "code", "tensor"),
    [
        ("(dhs[:, t] + dh) *", "-(dhs[:, t] + dh) *", "CD201", "a"),
        ("dh = da @ Wh.T", "dh = da @ Wh", "CD207", "h"),
        ("db += da.sum(axis=0)", "db += da.mean(axis=0)", "CD213", "b"),
        ("* (1 - hs[:, t]**2)", "", "CD214", "a"),
        ("(1 - hs[:, t]**2)", "(1 - np.tanh(hs[:, t])**2)", "CD215", "a"),
        ("(1 - hs[:, t]**2)", "hs[:, t] * (1 - hs[:, t])", "CD216", "a"),
        ("(dhs[:, t] + dh)", "dhs[:, t]", "CD238", "h"),
        ("prev.T @ da", "hs[:, t].T @ da", "CD242", "Wh"),
        ("(1 - hs[:, t]**2)", "(1 - hs[:, t])", "CD244", "a"),
    ],
)
@pytest.mark.parametrize("turns", [3, 5])
def test_a_mistake_at_every_turn_is_one_finding(right, wrong, code, tensor, turns, tmp_path):
    assert right in RIGHT
    (finding,) = checked(RIGHT.replace(right, wrong), tmp_path, turns)
    assert (finding.code, finding.tensor) == (code, tensor)
    assert finding.severity == "error"


def test_a_mistake_at_every_turn_says_so_and_where(tmp_path):
    (finding,) = checked(RIGHT.replace("dh = da @ Wh.T", "dh = da @ Wh"), tmp_path)
    assert finding.where == "recurrent.py:23"
    assert finding.message.startswith("A factor was turned, at every turn of the loop.")
    assert "wrong with it: b, Wh, Wx, h0, x." in finding.message
    assert finding.fix is None  # no line would say which turn each name is of


def test_a_mistake_outside_of_the_loop_is_where_it_is(tmp_path):
    (finding,) = checked(RIGHT.replace("return dx, dh,", "return dx, -dh,"), tmp_path)
    assert (finding.code, finding.tensor) == ("CD201", "h0")


def test_a_line_of_a_loop_has_one_slot_and_what_it_starts_with_the_turn_before():
    def f(x, w):
        h = np.exp(x)
        for _ in range(3):
            a = h @ w
            h = np.tanh(a) + a
        return np.sum(h)

    graph = trace(f, Spec((2, 2)), Spec((2, 2)))
    turns = turns_of(graph)
    assert {len({at.turn for at in turns.values() if at.slot == slot}) for slot in (3, 4)} == {3}
    (start,) = [i for i, at in turns.items() if at.turn == -1]
    assert graph.nodes[start].op.name == "exp"
    inner = inner_turns(graph, turns, {1})
    assert {turns[i].turn for i in inner} == {1}
    assert inner_turns(graph, turns, set()) == set()
