"""The demonstration: a network learns digits, its gradient is right, and a number of it opens."""

from __future__ import annotations

import importlib
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from chainrule import grad, gradcheck
from chainrule.cli import app, digits
from chainrule.errors import MissingExtraError
from chainrule.train import Adam

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def said():
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_network_reads_digits(said):
    assert "1,437 to learn from, 360 kept aside" in said
    assert "64 → 64 → 32 → 10" in said
    assert float(re.search(r"test accuracy (\S+):", said)[1]) >= 0.96


def test_outside_of_a_terminal_it_is_a_page_of_plain_text(said):
    assert "\x1b" not in said
    assert "\r" not in said
    assert len(said.splitlines()) < 60
    assert max(map(len, said.splitlines())) <= 100
    assert len(re.findall(r"epoch \d+/40 .* loss .* accuracy .* examples/s", said)) == 4


def test_the_gradient_is_checked(said):
    found = float(re.search(r"largest relative difference (\S+)", said)[1])
    assert 0 < found < 1e-5


def test_one_weight_of_the_last_layer_is_opened_term_by_term(said):
    assert re.search(r"∂loss/∂W3\[\d+, \d+\] through example \d+ of 40", said)
    factors = [float(x) for x in re.findall(r"∂.*/∂.* =\s+(\S+).*digits\.py:\d+", said)]
    product = float(re.search(r"product\s+=\s+(\S+)", said)[1])
    assert len(factors) == 4
    assert np.prod(factors) == pytest.approx(product, rel=2e-3)
    assert product == float(re.search(r"sum of the routes\s+=\s+(\S+)", said)[1])


def test_the_same_seed_gives_the_same_page_but_for_the_speed():
    def page(seed):
        result = CliRunner().invoke(app, ["demo", "--epochs", "2", "--seed", seed])
        return re.sub(r"[\d,]+ examples/s", "", result.output)

    assert page("3") == page("3") != page("4")


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r'pip install "chainrule\[sklearn\]"'):
        digits.load()


def test_the_split_is_fixed():
    data = digits.load()
    assert data.X.shape == (1437, 64)
    assert data.X_test.shape == (360, 64)
    again = digits.load()
    np.testing.assert_array_equal(data.y_test, again.y_test)


def test_a_traced_step_is_a_walked_step():
    data = digits.load()
    data = data._replace(X=data.X[:50], y=data.y[:50])
    start = digits.initial_parameters(np.random.default_rng(0))
    (epoch,) = digits.training(start, data, 1, np.random.default_rng(1))
    optimiser, order = Adam(digits.LEARNING_RATE), np.random.default_rng(1).permutation(50)
    parameters, state = start, optimiser.init(start)
    for chosen in (order[: digits.BATCH], order[digits.BATCH :]):
        gradient = grad(digits.loss)(parameters, data.X[chosen], data.y[chosen])
        parameters, state = optimiser.update(parameters, gradient, state)
    for name, x in parameters.items():
        np.testing.assert_allclose(epoch.parameters[name], x, rtol=0, atol=1e-12)


def test_the_network_passes_the_check_entry_by_entry():
    rng = np.random.default_rng(0)
    small = {
        f"{kind}{k}": rng.normal(size=shape)
        for k, (n, m) in enumerate([(4, 3), (3, 3), (3, 2)], start=1)
        for kind, shape in (("W", (n, m)), ("b", m))
    }
    check = gradcheck(digits.loss, (small, rng.normal(size=(5, 4)), np.array([0, 1, 1, 0, 1])))
    assert check.compared == sum(x.size for x in small.values()) + 20
