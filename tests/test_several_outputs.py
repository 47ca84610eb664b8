"""A step of an LSTM: two outputs, and a gradient from above for each."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.inspect.targets.several import outputs_of

rng = np.random.default_rng(0)
N, D, H = 3, 4, 5
INPUTS = (
    *[rng.normal(size=(N, n)) for n in (D, H, H)],
    *[rng.normal(size=(n, 4 * H)) for n in (D, H)],
    rng.normal(size=4 * H),
)

RIGHT = """
def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x @ Wx + prev_h @ Wh + b
    i, f, o = (sigmoid(a[:, k * H : (k + 1) * H]) for k in range(3))
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)

def backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    t = np.tanh(next_c)
    do = dnext_h * t
    dc = dnext_c + dnext_h * o * (1 - t**2)
    df = dc * prev_c
    di = dc * g
    dg = dc * i
    dprev_c = dc * f
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(axis=0)
"""


def checked(text, tmp_path):
    """Return the findings for a program, which lies in a file so that its lines can be read."""
    path = tmp_path / "cell.py"
    path.write_text(text)
    scope = {"np": np, "__file__": str(path)}
    exec(compile(text, str(path), "exec"), scope)  # noqa: S102 - the program above
    return cr.check((scope["forward"], scope["backward"]), INPUTS)


def test_a_right_step_has_no_finding(tmp_path):
    assert checked(RIGHT, tmp_path) == []


@pytest.mark.parametrize(
    ("right", "wrong", "code", "tensor", "line"),
    [
        (
            "dc = dnext_c + dnext_h",
            "dc = dnext_h",
            "CD238",
            "next_c",
            "dnext_c = dnext_c + dnext_h * o * (1 - np.tanh(next_c)**2)",
        ),
        ("(1 - t**2)", "(1 - next_c**2)", "CD215", "next_c", None),
        ("dprev_c = dc * f", "dprev_c = dnext_c * f", "CD240", "prev_c", "dprev_c = dc * f"),
        ("da.sum(axis=0)", "da.mean(axis=0)", "CD213", "b", "db = da.sum(axis=0)"),
        ("dg * (1 - g**2)", "-dg * (1 - g**2)", "CD201", "a", None),
        ("do = dnext_h * t", "do = dnext_h * next_c", "CD242", "o", None),
        ("di = dc * g", "di = dc * i", "CD242", "i", "di = dc * g"),
    ],
)
def test_a_mistake_is_found_where_it_is(right, wrong, code, tensor, line, tmp_path):
    assert right in RIGHT
    (finding,) = checked(RIGHT.replace(right, wrong), tmp_path)
    assert (finding.code, finding.tensor) == (code, tensor)
    if line is not None:
        assert finding.fix.numpy == line
    if code == "CD238":
        assert finding.message.startswith("What comes from above, dnext_c, is missing.")
        assert r"= \mathrm{dnext\_c} + " in finding.fix.latex


def test_an_argument_of_a_function_is_not_taken_for_the_input_of_that_name(tmp_path):
    (finding,) = checked(RIGHT.replace("df * f * (1 - f)", "df * f"), tmp_path)
    assert finding.tensor == "x at cell.py:8"
    assert finding.fix is None


def test_what_is_called_like_a_gradient_may_be_part_of_the_cache():
    def forward(x, w):
        out, drop_mask = x @ w, np.ones(3)
        return out, drop_mask, (x, w)

    assert outputs_of(forward, lambda dout, drop_mask, cache: None) == 1
    assert outputs_of(forward, lambda dout, cache: None) == 1
    assert outputs_of(np.exp, lambda dout, cache: None) == 1
