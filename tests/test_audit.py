"""scikit-learn's gradients beside its losses: what the audit says, and a check of an estimator."""

from __future__ import annotations

import itertools
import json
import sys

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.neural_network import MLPClassifier, MLPRegressor

import chainrule
from chainrule import cli
from chainrule.errors import InputTypeError, StructureError
from chainrule.interop.audit import audit_sklearn
from chainrule.interop.audit.estimators import estimator_target
from chainrule.interop.audit.network import Network, Problem

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
LOSSES = {
    "squared_error": ("regressor", "identity", "squared_error"),
    "poisson": ("regressor", "exp", "poisson"),
    "softmax": ("classifier", "softmax", "log_loss"),
    "logistic": ("classifier", "logistic", "log_loss"),
}


def made(name, activation="tanh", alpha=0.3, solver="lbfgs", weighted=True, outputs=3):
    kind, output, loss = LOSSES[name]
    problem = Problem(kind, activation, output, loss, alpha, solver, weighted)
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(7, 4)), rng.uniform(0.2, 0.8, (7, outputs))
    y = y / y.sum(axis=1, keepdims=True) if name == "softmax" else y
    arrays = [X, y, rng.uniform(0.5, 2.0, 7)][: 3 if weighted else 2]
    for a, b in itertools.pairwise((4, 5, outputs)):
        arrays += [rng.normal(size=(a, b)), rng.normal(size=b)]
    return Network(problem), arrays


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_our_text_of_the_loss_is_theirs(name, activation, weighted, alpha):
    network, arrays = made(name, activation, alpha, weighted=weighted)
    ours, _ = network.forward(*arrays)
    np.testing.assert_allclose(network.theirs(arrays)[0], ours, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_their_ways_to_train_read_the_same_gradient(name):
    first, second = (made(name, solver=solver) for solver in ("lbfgs", "adam"))
    for a, b in zip(first[0].theirs(first[1])[1], second[0].theirs(second[1])[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", LOSSES)
def test_their_own_loss_by_differences_says_the_same(name):
    """Neither our loss nor our derivative is in this: scikit-learn against itself."""
    network, arrays = made(name, alpha=0.0)
    place = network.data + 2  # W2

    def loss(flat):
        moved = [*arrays[:place], flat.reshape(arrays[place].shape), *arrays[place + 1 :]]
        return network.theirs(moved)[0]

    by_differences = approx_fprime(arrays[place].ravel(), loss, 1e-6)
    gradient = network.theirs(arrays)[1][2].ravel()
    factor = 3 if name == "squared_error" else 1
    np.testing.assert_allclose(gradient, factor * by_differences, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------ the audit


@pytest.fixture(scope="module")
def found():
    return audit_sklearn()


def test_the_squared_error_has_k_times_its_gradient_and_nothing_else_is_wrong(found):
    for row in found.rows:
        factor = row.outputs if row.loss == "squared_error" else 1
        np.testing.assert_allclose(row.ratios, factor, rtol=1e-9)
        assert row.residual < 1e-9
        assert row.loss_error < 1e-12
        assert row.is_right == (factor == 1)
    assert {row.outputs for row in found.rows} == {1, 2, 3, 4, 5}
    assert {row.solver for row in found.rows} == {"lbfgs", "sgd, adam"}


def test_its_cause_is_the_number_of_outputs(found):
    assert [(title, f.code, f.cause, f.tensor) for title, f in found.findings] == [
        (f"MLPRegressor, squared_error, {way}", "CD205", "number of outputs", "Z3")
        for way in ("lbfgs", "sgd, adam")
    ]
    for _, f in found.findings:
        assert "without alpha: 1, 2, 3, 4, 5 for 1, 2, 3, 4, 5 outputs" in f.evidence
        assert f.where.startswith("_multilayer_perceptron.py:")
        assert f.fix.numpy.endswith("/ k")
        assert not f.also


def command(monkeypatch, capsys, *arguments, code):
    monkeypatch.setattr(sys, "argv", ["chainrule", "audit", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    assert left.value.code == code, out + err
    return out + err


@pytest.fixture
def quick(monkeypatch, found):
    """Let the command print what was found already."""
    monkeypatch.setattr("chainrule.interop.audit.audit_sklearn", lambda _: found)


def test_the_command_prints_a_table_and_the_finding(quick, monkeypatch, capsys):
    lines = command(monkeypatch, capsys, "sklearn", code=1).splitlines()
    row = next(line for line in lines if "squared_error" in line and "lbfgs" in line)
    assert row.split()[-5:] == ["1", "2", "3", "4", "5"]
    assert any("CD205 number of outputs: Z3." in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_the_command_prints_json(quick, monkeypatch, capsys):
    record = json.loads(command(monkeypatch, capsys, "sklearn", "--json", code=1))
    assert record["package"] == "scikit-learn"
    assert len(record["rows"]) == 36
    assert [f["code"] for f in record["findings"]] == ["CD205", "CD205"]


def test_only_what_is_known_is_audited(monkeypatch, capsys):
    assert "sklearn" in command(monkeypatch, capsys, "numpy", code=2)


# ------------------------------------------------------------------ one estimator


def data(outputs, count=20):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(count, outputs))
    return rng.normal(size=(count, 4)), y if outputs > 1 else y[:, 0]


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_a_regressor_with_several_outputs_is_found(solver):
    estimator = MLPRegressor(hidden_layer_sizes=(6,), solver=solver, random_state=0)
    (f,) = chainrule.check(estimator, data(3))
    assert (f.code, f.cause, f.tensor) == ("CD205", "number of outputs", "Z2")
    assert not hasattr(estimator, "coefs_")  # a copy was fitted


def test_with_one_output_nothing_is_wrong():
    estimator = MLPRegressor(hidden_layer_sizes=(6, 5), solver="lbfgs", random_state=0)
    assert chainrule.check(estimator, data(1)) == []


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(20) % 2,
        np.array(["a", "b", "c", "d"])[np.arange(20) % 4],
        (np.arange(60).reshape(20, 3) % 7 < 3).astype(int),
    ],
    ids=["binary", "multiclass", "multilabel"],
)
@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_a_classifier_is_right(labels, activation):
    X, _ = data(1)
    estimator = MLPClassifier((6,), activation=activation, random_state=0)
    assert chainrule.check(estimator, (X, labels)) == []
    weights = np.random.default_rng(0).uniform(0.5, 1.5, 20)
    assert chainrule.check(estimator, (X, labels, weights)) == []


def test_a_fitted_estimator_is_checked_at_its_weights():
    X, y = data(2)
    estimator = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=5, random_state=0)
    with pytest.warns(UserWarning, match="max_iter|iterations|converge"):
        estimator.fit(X, y)
    foreign = estimator_target(estimator, (X, y))
    np.testing.assert_array_equal(foreign.inputs[2], estimator.coefs_[0])


def test_what_is_no_network_of_theirs_is_refused():
    with pytest.raises(InputTypeError, match="MLPClassifier and MLPRegressor"):
        chainrule.check(chainrule.MLPRegressor(), data(1))
    with pytest.raises(StructureError, match=r"\(X, y\)"):
        chainrule.check(MLPRegressor(), (np.ones((3, 2)),))
