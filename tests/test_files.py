"""What is found in a user's file, and on what numbers it is checked."""

from __future__ import annotations

import ast

import pytest
from checked_files import (
    CLEAN,
    LAYERS,
    MODULES,
    NETWORK,
    UNKNOWN,
    import_here,
    line_of,
    written,
)

from chainrule.errors import SettingError
from chainrule.interop.files import check_file, read_shapes_option
from chainrule.interop.files.words import shapes_said


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder, which is the current one, whose files are imported here."""
    monkeypatch.chdir(tmp_path)
    import_here(monkeypatch)
    return tmp_path


# ------------------------------------------------------------------ right and wrong


@pytest.mark.parametrize("name", CLEAN)
def test_a_right_file_has_no_error(folder, name):
    report = check_file(written(folder, CLEAN[name]))
    assert report.is_clean, report.findings
    assert report.checked
    assert not report.skipped


WRONG = [
    ("calculus", "    dy2 /= N\n", "", "CD222", "dy2[range(N), y] -= 1"),
    ("calculus", "X.T.dot(dy1)", "X.T.dot(dh1)", "CD236", "dW1 ="),
    ("calculus", "dW2 = h1.T.dot(dy2)", "dW2 = -h1.T.dot(dy2)", "CD201", "dW2 = -h1.T"),
    ("cached", "A * (1 - A)", "A", "CD216", 'grads[f"Z{l-1}"]'),
    ("layers", "dout.sum(axis=0)", "dout.mean(axis=0)", "CD213", "def affine_backward"),
    ("modules", "gradwrtoutput.T @ self.x", "-gradwrtoutput.T @ self.x", "CD201", "def backward"),
]


@pytest.mark.parametrize(("name", "right", "wrong", "code", "piece"), WRONG)
def test_a_wrong_line_is_named_with_its_cause(folder, name, right, wrong, code, piece):
    assert right in CLEAN[name]
    text = CLEAN[name].replace(right, wrong)
    report = check_file(written(folder, text))
    first = next(f for f in report.findings if f.severity == "error")
    assert first.code == code, report.findings
    assert first.where == f"net.py:{line_of(text, piece)}"


def test_everything_in_a_file_is_found_in_the_order_of_its_lines(folder):
    text = LAYERS + MODULES
    assert check_file(written(folder, text)).checked == [
        "affine_forward, affine_backward",
        "relu_forward, relu_backward",
        "softmax_loss",
        "Affine",
    ]


def test_a_name_chooses_one_thing(folder):
    path = written(folder, LAYERS)
    assert check_file(path, "relu").checked == ["relu_forward, relu_backward"]
    assert check_file(path, "affine_backward").checked == ["affine_forward, affine_backward"]
    with pytest.raises(SettingError, match="'nothing'") as caught:
        check_file(path, "nothing")
    assert "softmax_loss" in caught.value.advice


def test_an_object_and_its_class_are_one(folder):
    text = MODULES + "\naffine = Affine(5, 2)\naffine_inputs = (np.ones((3, 5)),)\n"
    assert check_file(written(folder, text)).checked == ["affine"]


def test_what_only_refuses_is_no_target(folder):
    text = """
        class Layer:
            def forward(self, x):
                raise NotImplementedError

            def backward(self, g):
                raise NotImplementedError


        class Double(Layer):
            def forward(self, x):
                return 2 * x

            def backward(self, g):
                return 2 * g


        Double_shapes = {"x": "n d"}
    """
    assert check_file(written(folder, text)).checked == ["Double"]


def test_static_methods_are_a_pair(folder):
    text = """
        import numpy as np


        class Tanh:
            @staticmethod
            def forward(x):
                y = np.tanh(x)
                return y, y

            @staticmethod
            def backward(dout, cache):
                return dout * (1 - cache)


        inputs = (np.linspace(-1, 1, 5),)
    """
    report = check_file(written(folder, text))
    assert report.checked == ["Tanh"]
    assert [f.severity for f in report.findings] == ["error"]


def test_a_method_that_returns_both_is_a_closure_over_its_object(folder):
    report = check_file(written(folder, NETWORK))
    assert (report.checked, report.is_clean) == (["Net.loss"], True), report.findings
    report = check_file(written(folder, NETWORK.replace("2 * reg * W}", "reg * W}")))
    (wrong,) = [f for f in report.findings if f.severity == "error"]
    assert (wrong.code, wrong.tensor) == ("CD225", "W")


def test_a_function_that_another_one_made_is_checked_if_inputs_are_said(folder):
    text = """
        import numpy as np


        def made(factor):
            def inner(w):
                return w @ w, factor * w

            return inner


        right, wrong, unsaid = made(2), made(-2), made(3)
        right_inputs = (np.array([1.0, 2.0]),)
        wrong_shapes = {"w": "n"}
    """
    report = check_file(written(folder, text))
    assert report.checked == ["right", "wrong"]
    assert [f.severity for f in report.findings] == ["error"]


BACKWARDS = {
    "a cache called y": ("def tanh_forward(x):  # x: (n, d)\n    y = np.tanh(x)\n    return y, y",
        "def tanh_backward(dout, y):\n    return dout * (1 - y * y)"),
    "labels after the cache": (
        "def forward(X, W):  # X: (n, d), W: (d, k)\n    Z = X @ W\n    return Z, (X, Z)",
        "def backward(out, cache, Y):\n    X, Z = cache\n    return {'W': X.T @ (out - Y)}",
        "shapes = {'X': 'n d', 'W': 'd k', 'Y': 'n k'}"),
    "a cache that is all": (
        "def forward(X, y, w):  # (n, d) (n,) (d,)\n    e = X @ w - y\n    return e @ e, (X, e)",
        "def backward(saved):\n    X, e = saved\n    return {'w': 2 * X.T @ e}"),
}  # fmt: skip


@pytest.mark.parametrize("way", BACKWARDS)
def test_what_backward_takes_is_understood(folder, way):
    text = "import numpy as np\n\n\n" + "\n\n\n".join(BACKWARDS[way]) + "\n"
    report = check_file(written(folder, text))
    assert report.is_clean, report.findings
    assert report.checked


# ------------------------------------------------------------------ inputs


SAID = {
    "a dictionary of shapes": 'shapes = {"X": "n d", "W": "d k"}',
    "shapes of this pair": 'forward_shapes = {"X": ("n", "d"), "W": ("d", "k")}',
    "a tuple": "import numpy as np\ninputs = (np.ones((3, 2)), np.eye(2))",
    "a function": "import numpy as np\ndef check_inputs():\n    return np.ones((3, 2)), np.eye(2)",
    "a dictionary": "import numpy as np\nbackward_inputs = {'W': np.eye(2), 'X': np.ones((3, 2))}",
    "variables": "import numpy as np\nX, W = np.ones((3, 2)), np.eye(2)",
}


@pytest.mark.parametrize("way", SAID)
def test_a_file_says_its_inputs_in_many_ways(folder, way):
    assert check_file(written(folder, UNKNOWN + "\n" + SAID[way] + "\n")).checked


@pytest.mark.parametrize("text", ["X", "X:", "X:n-d", "1:n d"])
def test_shapes_that_are_none_are_refused(text):
    if text == "X:":
        assert read_shapes_option(text) == {"X": ""}
        return
    with pytest.raises(SettingError, match="--shapes"):
        read_shapes_option(text)


WORDS = [
    ("def f(X: 'n d', w: 'd'): ...", {"X": "n d", "w": "d"}),
    ("def f(X: Float[Array, 'n d'], w): ...", {"X": "n d"}),
    ("def f(X, w):\n    '''F.\n\n    X : ndarray of shape (n, d)\n    '''", {"X": "n d"}),
    ("def f(X, w):\n    '''F.\n\n    X : ndarray\n        Data, of shape (n, d).\n    '''",
     {"X": "n d"}),
    ("def f(X, w):\n    '''F.\n\n    X: shape n\n    '''", {}),
    ("def f(X,  # (N, D)\n      w,  # (D,)\n      ): ...", {"X": "N D", "w": "D"}),
    ("def f(X, w):  # X (N, D), w: (D,)\n    ...", {"X": "N D", "w": "D"}),
    ("def f(X, w):  # (N, D), (D,)\n    ...", {"X": "N D", "w": "D"}),
    ("def f(X, w):\n    y = X + w  # (N, D) + (D,)", {"X": "N D", "w": "D"}),
    ("def f(X, w):\n    y = X.dot(w)  # (N,D) x (D,C)", {"X": "N D", "w": "D C"}),
    ("X = load()  # (150, 4)\ndef f(X, w): ...", {"X": "150 4"}),
    ("def f(X, w):\n    return X  # (see the notes)", {}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), WORDS)
def test_shapes_are_read_from_words(source, expected):
    assert shapes_said(source, ast.parse(source), "f", ["X", "w"]) == expected


def test_what_the_check_refuses_is_a_warning_and_the_rest_is_checked(folder):
    text = LAYERS + "\nrelu_shapes = {'x': 'n-d'}\nrelu_inputs = (np.ones((3, 2)),)\n"
    report = check_file(written(folder, text))
    assert "relu_forward, relu_backward" in report.skipped
    (found,) = [f for f in report.findings if f.severity == "warning"]
    assert (found.code, len(report.checked)) == ("CD132", 2)
    assert "n-d" in found.message
