"""What is said before a gradient is compared: bad input, side effects, randomness, set-up."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hand_written import Columns

from chainrule import nn
from chainrule.inspect.finding import CAUSES
from chainrule.inspect.targets import probes_of

rng = np.random.default_rng(0)
X, W, B = rng.normal(size=(6, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)


def forward(X, W, b):
    A = np.tanh(X @ W + b)
    return A, (X, W, A)


def backward(dout, cache):
    X, W, A = cache
    d = dout * (1 - A * A)
    return d @ W.T, X.T @ d, d.sum(axis=0)


def codes(target, inputs=(X, W, B), **options):
    return [f.code for f in probes_of(target, inputs, **options)[1]]


def only(target, inputs=(X, W, B), **options):
    """Return the one finding, after looking that its cause is declared and documented."""
    _, (finding,) = probes_of(target, inputs, **options)
    cause = CAUSES[finding.code]
    assert finding.cause == cause.name
    assert all(part in cause.doc for part in ("It sees", "Why it matters", "Example", "What to do"))
    return finding


def changed(**swaps):
    """Return a backward whose gradients of some arguments are others."""

    def other(dout, cache):
        gradients = dict(zip("XWb", backward(dout, cache), strict=True))
        return tuple(swaps.get(name, lambda g: g)(g) for name, g in gradients.items())

    return other


def test_a_correct_pair_has_no_finding():
    assert codes((forward, backward)) == []


def test_a_backward_that_raises_is_named_with_its_line_and_the_product_that_would_fit():
    def raises(dout, cache):
        X, W, A = cache
        d = dout * (1 - A * A)
        dW = X @ d
        return d @ W.T, dW, d.sum(axis=0)

    probes, (finding,) = probes_of((forward, raises), (X, W, B))
    assert probes == []
    assert (finding.code, finding.severity) == ("CD101", "error")
    assert finding.where.startswith("test_targets_bad_input.py:")
    assert "in: dW = X @ d" in finding.evidence
    assert finding.fix.numpy == "dW = X.T @ d"


def test_a_backward_that_fits_only_square_sizes_raises_on_primes():
    def square(dout, cache):
        X, W, A = cache
        d = dout * (1 - A * A)
        return (d @ W.T, X @ d, d.sum(axis=0))

    inputs = (rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), B[:1] * np.ones(4))
    finding = only((forward, square), inputs, shapes={"X": "n d", "W": "d h", "b": "h"})
    assert finding.code == "CD101"
    assert ": X.T @ d or d.T @ X would fit" in " ".join(finding.evidence)


def test_a_forward_that_raises_is_said_with_the_shapes_that_went_in():
    finding = only(((lambda X, W, b: (X @ W.T + b, None)), backward))
    assert finding.code == "CD102"
    assert "with: X [6, 4], W [4, 3], b [3]" in finding.evidence


def test_lengths_that_forward_insists_on_are_kept_and_the_others_are_primes():
    def fixed(X, W, b):
        return forward(X.reshape(6, 4), W, b)

    probes, (finding,) = probes_of(
        (fixed, backward), (X, W, B), shapes={"X": "n d", "W": "d h", "b": "h"}
    )
    assert (finding.code, finding.severity) == ("CD103", "warning")
    assert len(probes) == 3
    for probe in probes:
        assert (probe.sizes["n"], probe.sizes["d"]) == (6, 4)
        assert probe.sizes["h"] in {3, 5, 7, 11, 13}


def test_a_backward_that_returns_nothing_is_said_of_functions_and_modules():
    class Silent(nn.Module):
        def forward(self, x):
            return x * 2

        def backward(self, g):
            self.kept = g

    assert only((forward, lambda dout, cache: None)).code == "CD104"
    assert only(Silent(), (X,)).code == "CD104"


def test_the_number_of_gradients():
    finding = only((forward, lambda d, c: (*backward(d, c), 1.0)))
    assert finding.code == "CD105"
    assert "4 gradients for 3 arrays" in finding.message
    assert codes((forward, lambda d, c: backward(d, c)[1:])) == []  # dW, db: shapes tell


def test_what_is_no_array_of_numbers_and_what_has_no_possible_shape_is_not_compared():
    probes, (finding,) = probes_of((forward, changed(X=lambda g: "todo")), (X, W, B))
    assert (finding.code, finding.tensor) == ("CD106", "X")
    assert list(probes[0].claims) == ["W", "b"]
    probes, (finding,) = probes_of((forward, changed(W=lambda g: np.ones((7, 9)))), (X, W, B))
    assert (finding.code, finding.tensor) == ("CD107", "W")
    assert all("W" not in probe.claims for probe in probes)


@pytest.mark.parametrize(
    "turned", [changed(W=lambda g: g.T), changed(b=lambda g: np.ones((6, 1)) * g)]
)
def test_a_shape_that_is_turned_or_not_summed_is_left_to_the_diagnosis(turned):
    probes, findings = probes_of((forward, turned), (X, W, B))
    assert findings == []
    assert list(probes[0].claims) == ["X", "W", "b"]


def test_another_dtype_is_said_and_is_no_wrong_gradient():
    probes, (finding,) = probes_of((forward, changed(W=np.float32)), (X, W, B))
    assert (finding.code, finding.severity) == ("CD108", "note")
    assert "W" in probes[0].claims
    probes, (finding,) = probes_of((forward, changed(W=lambda g: g.astype(int))), (X, W, B))
    assert finding.code == "CD108"
    assert all("W" not in probe.claims for probe in probes)


def test_an_alias_is_a_note():
    finding = only(((lambda x: (x + 1.0, None)), lambda dout, cache: dout), (X,))
    assert (finding.code, finding.severity) == ("CD109", "note")
    assert "the gradient from above" in finding.message


def test_a_key_that_names_nothing_is_a_note_with_what_is_near():
    def renamed(dout, cache):
        return dict(zip(("dX", "dWeight", "db"), backward(dout, cache), strict=True))

    finding = only((forward, renamed))
    assert (finding.code, finding.severity, finding.tensor) == ("CD110", "note", "dWeight")


def test_a_parameter_without_gradient_among_others_is_a_warning():
    def two(X, W1, b1, W2, b2):
        h = np.tanh(X @ W1 + b1)
        return h @ W2 + b2, (X, h, W2)

    def without_b2(dout, cache):
        X, h, W2 = cache
        d = dout @ W2.T * (1 - h * h)
        return {"W1": X.T @ d, "b1": d.sum(axis=0), "W2": h.T @ dout}

    finding = only((two, without_b2), (X, W, B, rng.normal(size=(3, 2)), np.zeros(2)))
    assert (finding.code, finding.severity, finding.tensor) == ("CD111", "warning", "b2")


def test_a_backward_that_writes_to_its_inputs_is_an_error_that_names_the_line():
    def upstream(dout, cache):
        X, W, A = cache
        dout *= 1 - A * A
        return dout @ W.T, X.T @ dout, dout.sum(axis=0)

    def parameter(dout, cache):
        _, W, _ = cache
        dX, dW, db = backward(dout, cache)
        W -= 0.1 * dW
        return dX, dW, db

    def closure(w):
        w -= w.mean()
        return np.sum(w**2), 2 * w

    assert "the gradient from above" in only((forward, upstream)).message
    finding = only((forward, parameter))
    assert (finding.code, finding.severity, finding.tensor) == ("CD112", "error", "W")
    assert finding.where.startswith("test_targets_bad_input.py:")
    assert codes(closure, (B,))[0] == "CD112"
    np.testing.assert_array_equal(X.shape, (6, 4))


def test_a_forward_that_writes_to_its_inputs_is_an_error():
    def centred(X, W, b):
        X -= X.mean(axis=0)
        return forward(X, W, b)

    kept = X.copy()
    assert codes((centred, backward)) == ["CD113"]
    np.testing.assert_array_equal(X, kept)


def test_a_cache_that_is_overwritten_is_a_note():
    def over(dout, cache):
        X, W, A = cache
        A *= -A
        A += 1
        d = dout * A
        return d @ W.T, X.T @ d, d.sum(axis=0)

    finding = only((forward, over))
    assert (finding.code, finding.severity, finding.tensor) == ("CD114", "note", "A")
    assert "second backward pass on it gives other numbers" in finding.message


def test_a_generator_without_seed_is_said_and_one_that_can_be_reached_is_held():
    def unseeded(X, W, b):
        return forward(X, W, b + np.random.default_rng().normal())

    known = np.random.default_rng(4)

    def held(X, W, b):
        drawn = random.choice([1.0, 2.0]) * np.random.rand()  # noqa: NPY002 - as users draw
        mask = (known.random(X.shape) < 0.5) * drawn
        A = np.tanh((X * mask) @ W + b)
        return A, (X, W, A, mask)

    def with_mask(dout, cache):
        X, W, A, mask = cache
        d = dout * (1 - A * A)
        return d @ W.T * mask, (X * mask).T @ d, d.sum(axis=0)

    assert only((unseeded, backward)).code == "CD115"
    state = known.bit_generator.state
    assert codes((held, with_mask)) == []
    assert known.bit_generator.state == state


def test_a_backward_that_draws_anew_is_said():
    def noisy(dout, cache):
        return tuple(g * np.random.default_rng().normal() for g in backward(dout, cache))

    assert only((forward, noisy)).code == "CD116"


STATE = {"step": 0}


def test_state_between_calls_is_said_and_put_back():
    def counting(X, W, b):
        STATE["step"] += 1
        return forward(X, W * STATE["step"], b)

    finding = only((counting, backward))
    assert finding.code == "CD117"
    assert "STATE" in finding.message
    assert STATE == {"step": 0}


def test_an_input_that_nothing_reads_is_a_warning_and_its_gradient_an_error():
    def without(X, W, b):
        A = np.tanh(X @ W)
        return A, (X, W, A)

    finding = only((without, changed(b=np.zeros_like)))
    assert (finding.code, finding.severity, finding.tensor) == ("CD118", "warning", "b")
    probes, (finding,) = probes_of((without, backward), (X, W, B))
    assert (finding.code, finding.severity) == ("CD118", "error")
    assert all("b" not in probe.claims for probe in probes)


GLOBAL = W


def test_arrays_around_both_functions_are_a_note():
    finding = only(((lambda X: (X @ GLOBAL, None)), lambda dout: dout @ GLOBAL.T), (X,))
    assert (finding.code, finding.severity, finding.tensor) == ("CD119", "note", "GLOBAL")


def test_the_set_up_is_said_before_any_code_is_blamed():
    short = tuple(x.astype(np.float32) for x in (X, W, B))
    assert [f.severity for f in probes_of((forward, backward), short)[1]] == ["note"]
    assert codes((forward, backward), short) == ["CD120"]
    with np.errstate(invalid="ignore"):
        assert codes(((lambda X, W, b: (np.log(X), None)), backward)) == ["CD121"]

    def product(a, b):
        return a * b, (a, b)

    def both(dout, cache):
        return dout * cache[1], dout * cache[0]

    assert codes((product, both), (X, X)) == ["CD122"]
    assert "is 2 times a" in only((product, both), (X, 2 * X)).message
    assert codes((product, both), (X, X[::-1].copy())) == []


def test_given_numbers_on_a_kink_are_a_note_and_the_others_are_off_it():
    x = np.array([[0.0, 1.0, -2.0]])
    probes, (finding,) = probes_of(
        ((lambda x: (np.maximum(x, 0), x)), lambda dout, x: dout * (x >= 0)), (x,)
    )
    assert (finding.code, finding.severity) == ("CD123", "note")
    assert "relu" in finding.message
    for probe in probes[1:]:
        assert np.min(np.abs(probe.walk.numbers[0])) > 1e-3


def test_dropout_in_training_is_said_and_not_after_eval():
    class Own(nn.Module):
        def __init__(self):
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(x * 3.0)

        def backward(self, g):
            return 3.0 * self.drop.backward(g)

    finding = only(Own(), (X,))
    assert (finding.code, finding.severity) == ("CD124", "note")
    module = Own()
    module.eval()
    assert codes(module, (X,)) == []


def test_a_network_without_labels_and_a_function_without_gradients_are_errors():
    class Unlabelled(Columns):
        def compute_gradients(self, out, cache):
            return {"Z3": 2 * out}

    assert only(Unlabelled(), (np.ones((2, 3)),)).code == "CD126"
    assert only(lambda w: np.sum(w**2), (B,)).code == "CD129"
