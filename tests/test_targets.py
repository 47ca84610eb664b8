"""From what users hand over to probes: every form, and what stands in the probes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hand_written import (
    CHAIN,
    CORRECT,
    ROWS,
    ROWS_SHAPES,
    XOR,
    Columns,
    chain_backward,
    chain_forward,
    flat,
    rows_backward,
    rows_forward,
)

from chainrule import nn
from chainrule.errors import InputTypeError, SettingError
from chainrule.inspect.targets import probes_of
from chainrule.inspect.targets.differences import difference
from chainrule.transform import pull_back


def derivatives(probe):
    """Return the derivative of each claimed value by the chain rule."""
    walk, start = probe.walk, np.asarray(probe.cotangent, float)[()]
    found = pull_back(walk.graph, walk.numbers, walk.active, {probe.output: start})
    return {c.name: found[c.node] for c in probe.claims.values()}


def assert_agrees(probe, kind="argument"):
    expected = derivatives(probe)
    claims = [c for c in probe.claims.values() if c.kind == kind]
    assert claims
    for claim in claims:
        np.testing.assert_allclose(claim.array, expected[claim.name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_backward_becomes_probes_whose_claims_are_the_derivatives(name):
    target, inputs, options = CORRECT[name]
    probes, findings = probes_of(target, inputs, **options)
    assert len(probes) == 3
    assert all(f.severity == "note" for f in findings)
    for probe in probes:
        assert_agrees(probe)
        assert probe.given == (probe is probes[0] and "shapes" not in options)


def test_findings_of_the_matrix_calculus_are_one_note_that_names_the_line():
    _, (finding,) = probes_of((rows_forward, rows_backward), ROWS)
    assert (finding.code, finding.severity, finding.tensor) == ("CD114", "note", "probs")
    assert "hand_written.py:" in finding.where
    assert "second backward pass" in finding.message


def test_intermediate_gradients_find_their_values_by_name():
    (probe, *_), _ = probes_of((rows_forward, rows_backward), ROWS)
    assert_agrees(probe, "intermediate")
    assert probe.claims["y2"].node == probe.claims["scores"].node
    assert probe.claims["W1"].key == "dW1"
    assert probe.walk.graph.nodes[probe.claims["h1"].node].op.name == "relu"


def test_sizes_are_distinct_primes_and_labels_stay_labels():
    probes, _ = probes_of((rows_forward, rows_backward), ROWS, shapes=ROWS_SHAPES)
    for probe in probes:
        lengths = list(probe.sizes.values())
        assert len(set(lengths)) == 4
        assert all(n in {3, 5, 7, 11, 13} for n in lengths)
        assert probe.batch == probe.sizes["n"]
        assert probe.claims["W1"].array.shape == (probe.sizes["d"], probe.sizes["h"])
    assert len({tuple(p.sizes.values()) for p in probes}) > 1


def test_a_seed_repeats_to_the_last_bit_and_another_draws_anew():
    def run(seed):
        return probes_of((chain_forward, chain_backward), CHAIN, seed=seed)[0]

    for a, b in zip(run(1), run(1), strict=True):
        for name, claim in a.claims.items():
            np.testing.assert_array_equal(claim.array, b.claims[name].array)
    assert not np.array_equal(run(1)[1].claims["x"].array, run(2)[1].claims["x"].array)


def test_upstream_gradients_are_drawn_and_another_batch_ran_before():
    (probe, *_), _ = probes_of((chain_forward, chain_backward), CHAIN)
    assert np.shape(probe.cotangent) == (5, 3)
    assert np.std(probe.cotangent) > 0.1
    x = probe.before.graph.inputs[0]
    assert not np.array_equal(probe.before.numbers[x], CHAIN[0])


def test_lines_of_backward_are_watched_and_whoever_watched_goes_on():
    def outer(*_):
        return None

    before = sys.gettrace()
    sys.settrace(outer)
    try:
        (probe, *_), _ = probes_of((rows_forward, rows_backward), ROWS)
        assert sys.gettrace() is outer
    finally:
        sys.settrace(before)
    texts = {(seen.name, seen.text) for seen in probe.observed}
    assert ("dy2", "dy2 /= N") in texts
    assert ("dW1", "dW1 = X.T.dot(dy1)") in texts
    last = [seen for seen in probe.observed if seen.name == "dW2"][-1]
    np.testing.assert_array_equal(last.array, probe.claims["W2"].array)


def test_inputs_states_and_random_generators_are_left_as_they_were():
    kept = [x.copy() for x in ROWS]
    state = np.random.get_state()  # noqa: NPY002 - what users draw from
    probes_of((chain_forward, chain_backward), CHAIN)
    probes_of((rows_forward, rows_backward), ROWS)
    assert np.array_equal(np.random.get_state()[1], state[1])  # noqa: NPY002 - see above
    for x, y in zip(ROWS, kept, strict=True):
        np.testing.assert_array_equal(x, y)
    network = Columns()
    weights = network.params["W1"].copy()
    probes_of(network, XOR)
    np.testing.assert_array_equal(network.params["W1"], weights)


def test_what_cannot_be_traced_is_differentiated_by_differences():
    def forward(x, w):
        return np.asarray([float(a) * float(b) ** 2 for a, b in zip(x, w, strict=True)]), (x, w)

    def backward(dout, cache):
        x, w = cache
        return dout * w**2, 2 * dout * x * w

    x = np.array([0.5, -1.0, 2.0])
    (probe, *_), (note,) = probes_of((forward, backward), (x, x + 1))
    assert probe.walk is None
    assert (note.code, note.severity) == ("CD127", "note")
    for name, gradient in probe.differences.items():
        np.testing.assert_allclose(probe.claims[name].array, gradient, rtol=1e-9)


def test_a_closure_whose_backward_cannot_be_traced_is_still_open():
    def loss(w):
        value = np.sum(np.sin(w))
        gradient = np.array([float(x) for x in np.cos(w)])
        return value, gradient

    (probe, *_), findings = probes_of(loss, np.array([0.3, 1.0]))
    assert not findings
    assert_agrees(probe)


def test_in_place_closures_name_their_values_in_the_graph():
    (probe, *_), _ = probes_of(flat, (np.linspace(-1, 1, 43), ROWS[0], ROWS[1], 0.1))
    assert {"y1", "h1", "y2"} <= set(probe.walk.names())


@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "linear"])
@pytest.mark.parametrize("units", [1, 3])
def test_the_dense_network_of_the_texts_passes_without_a_finding(layout, output, units):
    if output == "softmax" and units == 1:
        units = 2
    rng = np.random.default_rng(3)
    network = nn.DNN([4, 5, units], hidden="tanh", output=output, layout=layout, seed=1)
    X, Y = rng.normal(size=(7, 4)), rng.random((7, units))
    if output != "linear":
        Y = (Y < 0.5).astype(float) if output == "sigmoid" else rng.integers(0, units, 7)
    if layout == "columns":
        X, Y = X.T.copy(), Y.T.copy()
    probes, findings = probes_of(network, (X, Y))
    assert not findings
    for probe in probes:
        assert_agrees(probe)
        factor = 7 if layout == "columns" else 1
        np.testing.assert_allclose(probe.claims["Z1"].array, factor * derivatives(probe)["Z1"])


def test_a_loss_that_is_given_is_the_one_that_is_differentiated():
    def loss(out, Y):
        return np.sum((out - Y) ** 2) / 2

    network = Columns()
    (probe, *_), findings = probes_of(network, XOR, loss=loss)
    assert not findings
    X, Y = XOR
    value = np.sum((network.forward(X)[0] - Y) ** 2) / 2
    np.testing.assert_allclose(probe.walk.numbers[probe.output], value)
    assert not np.allclose(probe.claims["W3"].array, derivatives(probe)["W3"])


def test_a_loss_that_fits_none_of_the_usual_ones_is_said():
    class Odd(Columns):
        def compute_gradients(self, out, cache, Y):
            return {"W3": 0.3 * super().compute_gradients(out, cache, Y)["W3"]}

    _, findings = probes_of(Odd(), XOR)
    assert [f.code for f in findings if f.severity == "note"] == ["CD125"]


class Written(nn.Module):
    def __init__(self, inputs, outputs, *, turned=False):
        self.weight = nn.Parameter(np.random.default_rng(1).normal(size=(outputs, inputs)))
        self.bias = nn.Parameter(np.zeros(outputs))
        self.turned = turned

    def forward(self, x):
        self.out = np.tanh(x @ self.weight.T + self.bias)
        return self.out

    def backward(self, g):
        (x,) = self.last_input
        d = g * (1 - self.out**2)
        self.grad["weight"] = x.T @ d if self.turned else d.T @ x
        self.grad["bias"] = d.sum(axis=0)
        return d @ self.weight

    def jvp(self, tangents, inputs):
        dx, dw, db = tangents
        (x,) = inputs
        d = dx @ self.weight.T + x @ dw.T + (0 if self.turned else db)
        return (1 - np.tanh(x @ self.weight.T + self.bias) ** 2) * d


def test_a_module_is_checked_at_inputs_and_parameters_and_in_forward_mode():
    probes, findings = probes_of(Written(4, 3), np.random.default_rng(0).normal(size=(5, 4)))
    assert not findings
    for probe in probes:
        assert list(probe.claims) == ["x", "weight", "bias"]
        assert probe.batch == 5
        assert_agrees(probe)
    _, (finding,) = probes_of(Written(4, 3, turned=True), np.ones((5, 4)))
    assert (finding.code, finding.severity) == ("CD128", "error")


def test_of_a_chain_the_first_wrong_module_is_probed():
    chain = nn.Sequential(Written(4, 3, turned=True), nn.Linear(3, 3), Written(3, 2))
    probes, _ = probes_of(chain, np.random.default_rng(0).normal(size=(5, 4)))
    assert list(probes[0].claims) == ["0.x", "0.weight", "0.bias"]
    assert probes[0].claims["0.weight"].array.shape == (4, 3)
    kept = chain[0].get_parameter("weight")
    assert kept.grad is None


def test_a_module_without_a_backward_of_its_own_is_refused():
    with pytest.raises(InputTypeError, match="no backward that somebody wrote"):
        probes_of(nn.Linear(2, 2), np.ones((3, 2)))
    with pytest.raises(InputTypeError, match="somebody wrote"):
        probes_of(3, np.ones(3))
    with pytest.raises(SettingError, match="letters and integers"):
        probes_of((rows_forward, rows_backward), ROWS, shapes={"X": "n-d"})


def test_differences_are_exact_to_ten_digits_at_any_scale():
    x = np.array([1e-3, 1.0, 1e4])
    found = difference(lambda x: np.sum(np.sin(x)), [x], 0)
    np.testing.assert_allclose(found.gradient[:2], np.cos(x[:2]), rtol=1e-10)
    found = difference(lambda x: np.sum(np.log(x)), [x], 0)
    np.testing.assert_allclose(found.gradient, 1 / x, rtol=1e-4)
    assert difference(np.sum, [np.ones(5000)], 0) is None
