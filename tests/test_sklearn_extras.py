"""What the estimators have beyond scikit-learn's, each held to an answer of its own."""

import copy

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.metrics import balanced_accuracy_score

import chainrule.train.recorded as recorded_module
from chainrule import MLPClassifier, MLPRegressor, nn, ops, train
from chainrule.interop.sklearn.examples import identities

# Few epochs are enough to see what a setting does.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, labels = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NAMES = np.array(["setosa", "versicolor", "virginica"])[labels]
rng = np.random.default_rng(0)
SHORT = {"random_state": 0, "max_iter": 30, "learning_rate_init": 0.02, "batch_size": 50}


def line(n=200, outliers=0):
    x = rng.uniform(-1, 1, size=(n, 1))
    y = 3 * x[:, 0] + 1
    y[:outliers] += 100
    return x, y


# ------------------------------------------------------------------------------ solvers, layers


@pytest.mark.parametrize(
    "solver", ["adamw", "rmsprop", train.Lion(lr=0.01), train.Adagrad(lr=0.1), train.Adam(lr=0.02)]
)
def test_every_way_downhill_learns(solver):
    assert MLPClassifier(**SHORT, solver=solver).fit(X, NAMES).score(X, NAMES) > 0.9


def test_adamw_decays_weights_as_train_does():
    """One step of the estimator is one step of `train.AdamW`, of the gradient of its loss."""
    settings = SHORT | {"max_iter": 1, "batch_size": 150, "shuffle": False}
    start = MLPClassifier(**settings, solver=train.SGD(lr=1e-12), alpha=0.0).fit(X, labels)
    model = MLPClassifier(**settings, solver="adamw", weight_decay=0.5, alpha=0.0).fit(X, labels)
    step = 0.02  # the first step of Adam has the size of the rate, or none
    decayed = (1 - 0.02 * 0.5) * start.coefs_[0]
    moved = np.abs(model.coefs_[0] - decayed)
    assert np.all((moved < step * 1.01) & ((moved > step * 0.9) | (moved < 1e-6)))


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("gelu", ops.gelu),
        (np.sin, np.sin),
        (nn.LeakyReLU(0.3), lambda z: np.where(z > 0, z, 0.3 * z)),
        (lambda z: z * z, np.square),
    ],
)
def test_any_activation_is_what_predictions_use(activation, function):
    model = MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, random_state=0)
    model.set_params(activation=activation).fit(X[:, :3], X[:, 3])
    hidden = function(X[:, :3] @ model.coefs_[0] + model.intercepts_[0])
    by_hand = hidden @ model.coefs_[1] + model.intercepts_[1]
    np.testing.assert_allclose(model.predict(X[:, :3]), by_hand[:, 0], rtol=1e-12)


def test_each_layer_has_its_own_activation_and_dropout():
    model = MLPClassifier((6, 5), ["tanh", "relu"], dropout=[0.0, 0.5], **SHORT).fit(X, labels)
    hidden = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    hidden = np.maximum(hidden @ model.coefs_[1] + model.intercepts_[1], 0)
    logits = hidden @ model.coefs_[2] + model.intercepts_[2]
    assert np.array_equal(model.predict(X), logits.argmax(axis=1))


def test_dropout_drops_what_it_says_and_keeps_the_mean():
    """With one unit of weight 1 the training loss tells how often it was dropped."""
    ones = np.ones((4000, 1)) * rng.permutation(4000)[:, None] / 4000 + 1
    model = MLPRegressor(
        "squared_error", (50,), "identity", dropout=0.3, alpha=0.0, random_state=0, batch_size=4000
    ).set_params(solver=train.SGD(lr=1e-300), max_iter=1, initialiser=lambda _, s: np.full(s, 0.02))
    model.fit(ones, np.zeros(4000))
    # Each of 50 terms is 0 or 1/0.7 of itself: Σ² has the mean m² (1 + 0.3 / (0.7 · 50)).
    hidden = ones * 0.02 + model.intercepts_[0]
    terms = hidden * 0.02
    mean, spread = terms.sum(axis=1) + model.intercepts_[1], (terms**2).sum(axis=1) * 0.3 / 0.7
    expected = 0.5 * np.mean(mean**2 + spread)
    assert model.loss_ == pytest.approx(expected, rel=0.01)
    assert model.loss_ != pytest.approx(0.5 * np.mean(mean**2), rel=1e-6)


def test_dropout_belongs_to_the_example_and_not_to_its_place():
    settings = SHORT | {"batch_size": "auto", "max_iter": 5}
    some, twice = np.arange(40, 120), np.repeat(np.arange(40, 120), 2)
    weighted = MLPClassifier(**settings, dropout=0.4).fit(X[some], labels[some], np.full(80, 2.0))
    repeated = MLPClassifier(**settings, dropout=0.4).fit(X[twice], labels[twice])
    np.testing.assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-9)
    other = MLPClassifier(**settings | {"random_state": 1}, dropout=0.4).fit(X[some], labels[some])
    assert not np.allclose(other.loss_, weighted.loss_)


def test_dropout_that_begins_later_follows_the_seed_too():
    start = MLPClassifier(**SHORT).fit(X, labels)
    found = []
    for seed in (1, 1, 2):
        model = copy.deepcopy(start).set_params(dropout=0.5, random_state=seed, shuffle=False)
        found.append(model.partial_fit(X, labels).coefs_[0])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_identities_follow_from_the_row_alone():
    found = identities(X)
    assert np.array_equal(identities(X[[3, 7]]), found[[3, 7]])
    assert np.array_equal(identities(sparse.csr_array(X)), found)
    assert len(set(found.tolist())) == len(np.unique(X, axis=0))
    assert len(set(identities(np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]])).tolist())) == 2


@pytest.mark.parametrize(
    "initialiser", ["he_normal", "orthogonal", lambda rng, s: rng.normal(size=s)]
)
def test_initialisers(initialiser):
    model = MLPClassifier((50,), **SHORT | {"max_iter": 1}, initialiser=initialiser)
    model.set_params(solver=train.SGD(lr=1e-300)).fit(X, labels)
    weights = model.coefs_[0]
    if initialiser == "orthogonal":
        np.testing.assert_allclose(weights @ weights.T, np.eye(4), atol=1e-12)
    else:
        expected = np.sqrt(2 / 4) if initialiser == "he_normal" else 1.0
        assert np.std(weights) == pytest.approx(expected, rel=0.2)


def test_clipping_bounds_a_step():
    settings = SHORT | {"max_iter": 1, "batch_size": 150, "alpha": 0.0, "shuffle": False}
    start = MLPClassifier(**settings, solver=train.SGD(lr=1e-300)).fit(X, labels)
    step = MLPClassifier(**settings, solver=train.SGD(lr=1.0), clip_norm=1e-3).fit(X, labels)
    moved = [a - b for a, b in zip(step.coefs_, start.coefs_, strict=True)]
    moved += [a - b for a, b in zip(step.intercepts_, start.intercepts_, strict=True)]
    assert np.sqrt(sum(np.sum(m**2) for m in moved)) == pytest.approx(1e-3, rel=1e-6)
    step = MLPClassifier(**settings, solver=train.SGD(lr=1.0), clip_value=1e-4).fit(X, labels)
    assert np.max(np.abs(step.coefs_[0] - start.coefs_[0])) == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_type_of_numbers_can_be_said(solver):
    settings = SHORT | {"batch_size": "auto"}
    model = MLPClassifier(**settings, solver=solver, dtype="float32").fit(X, labels)
    assert model.coefs_[0].dtype == np.float32
    assert model.score(X, labels) > 0.9


# -------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("loss", ["huber", "absolute_error", "log_cosh", nn.HuberLoss(delta=0.5)])
def test_robust_losses_pass_over_outliers(loss):
    x, y = line(outliers=20)
    settings = {"hidden_layer_sizes": (), "solver": "lbfgs", "random_state": 0, "alpha": 0.0}
    robust = MLPRegressor(loss, **settings).fit(x, y)
    squared = MLPRegressor(**settings).fit(x, y)
    assert abs(robust.intercepts_[0][0] - 1) < 0.5
    assert abs(squared.intercepts_[0][0] - 1) > 5


def test_log_cosh_and_huber_are_what_their_names_say():
    x, y = line(60)
    settings = {"hidden_layer_sizes": (), "max_iter": 1, "alpha": 0.0, "random_state": 0}
    still = {"solver": train.SGD(lr=1e-300), "batch_size": 60}
    for loss, formula in (
        ("log_cosh", lambda e: np.log(np.cosh(e))),
        ("huber", lambda e: np.where(np.abs(e) < 1, e * e / 2, np.abs(e) - 0.5)),
        ("absolute_error", np.abs),
    ):
        model = MLPRegressor(loss, **settings, **still).fit(x, y)
        assert model.loss_ == pytest.approx(np.mean(formula(model.predict(x) - y)), rel=1e-12)


def test_a_loss_of_ones_own_with_weights():
    def fourth_power(output, target, weights=None):
        power = np.mean((output - target) ** 4, axis=1)
        return np.mean(power) if weights is None else np.sum(weights * power) / np.sum(weights)

    x, y = line(100)
    model = MLPRegressor(fourth_power, (), solver="lbfgs", random_state=0, alpha=0.0, tol=1e-9)
    assert model.fit(x, y).score(x, y) > 0.99
    assert model.fit(x, y, rng.uniform(0.5, 1, 100)).score(x, y) > 0.99


def test_smoothed_labels_by_a_loss_of_nn():
    settings = SHORT | {"max_iter": 200}
    sure = MLPClassifier(**settings).fit(X, labels)
    smooth = MLPClassifier(**settings, loss=nn.CrossEntropyLoss(label_smoothing=0.2)).fit(X, labels)
    assert smooth.score(X, labels) > 0.9
    assert smooth.predict_proba(X).max() < 0.95 < sure.predict_proba(X).max()


def test_class_weights_are_weights_of_examples():
    heavy = MLPClassifier(**SHORT, class_weight={0: 1, 1: 1, 2: 5}).fit(X, labels)
    weighted = MLPClassifier(**SHORT).fit(X, labels, np.where(labels == 2, 5.0, 1.0))
    np.testing.assert_allclose(heavy.coefs_[0], weighted.coefs_[0], rtol=1e-12)
    few = np.flatnonzero((labels != 2) | (np.arange(150) > 144))
    plain = MLPClassifier(**SHORT | {"max_iter": 8}).fit(X[few], NAMES[few])
    even = MLPClassifier(**SHORT | {"max_iter": 8}, class_weight="balanced").fit(X[few], NAMES[few])
    scores = [balanced_accuracy_score(NAMES, m.predict(X)) for m in (plain, even)]
    assert scores[1] > scores[0]


# ------------------------------------------------------------------------------ early stopping


def test_the_validation_loss_has_a_curve():
    model = MLPClassifier(**SHORT, early_stopping=True).fit(X, labels)
    assert len(model.validation_loss_curve_) == len(model.validation_scores_) == model.n_iter_
    assert model.validation_loss_curve_[-1] < model.validation_loss_curve_[0]


@pytest.mark.parametrize(
    "scoring", ["loss", "balanced_accuracy", "neg_log_loss", lambda m, X, y: m.score(X, y)]
)
def test_early_stopping_by_a_metric(scoring):
    model = MLPClassifier(**SHORT, early_stopping=True, scoring=scoring).fit(X, NAMES)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(X, NAMES) > 0.8
    if scoring == "loss":
        assert model.validation_scores_ == [-x for x in model.validation_loss_curve_]


def test_the_best_weights_are_those_of_the_best_score():
    settings = SHORT | {"learning_rate_init": 0.5}
    model = MLPClassifier(**settings, early_stopping=True, validation_fraction=0.3, scoring="loss")
    model.fit(X, labels)
    best = int(np.argmax(model.validation_scores_)) + 1
    short = MLPClassifier(**settings | {"max_iter": best}, early_stopping=True, scoring="loss")
    short.set_params(validation_fraction=0.3).fit(X, labels)
    assert np.array_equal(model.coefs_[0], short.coefs_[0])


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_training_that_diverges_keeps_the_best_weights():
    x, y = line()
    model = MLPRegressor(
        "squared_error", (30,), "identity", solver="sgd", learning_rate_init=0.02, max_iter=40
    ).set_params(early_stopping=True, random_state=0, batch_size=180, momentum=0.0)
    with pytest.warns(match="not finite any more"):
        model.fit(x * 10, y * 10)
    assert np.all(np.isfinite(model.coefs_[0]))
    assert model.best_validation_score_ == max(model.validation_scores_[:3])


# ----------------------------------------------------------------------------- recorded once


def programs(monkeypatch):
    """Return a list that grows with each program that is recorded."""
    made = []
    real = recorded_module.trace
    monkeypatch.setattr(recorded_module, "trace", lambda *a: made.append(a) or real(*a))
    return made


def test_a_search_over_numbers_records_one_step(monkeypatch):
    made = programs(monkeypatch)
    for alpha in (0.0, 0.1, 10.0):
        for rate in (0.01, 0.1):
            settings = SHORT | {"max_iter": 1, "learning_rate_init": rate}
            MLPClassifier((3,), "softsign", **settings, alpha=alpha).fit(X, labels)
    assert len(made) == 1


def test_a_few_examples_more_or_fewer_run_the_same_program(monkeypatch):
    made = programs(monkeypatch)
    scores = []
    for n in (130, 137, 143):
        model = MLPClassifier((5,), "softsign", **SHORT | {"batch_size": 64}).fit(X[:n], labels[:n])
        scores.append(model.loss_)
    assert len(made) == 1
    assert len(set(scores)) == 3
    stream = MLPClassifier((5,), "softsign", random_state=0)
    for n in (50, 55, 53, 49):
        stream.partial_fit(X[:n], labels[:n], classes=[0, 1, 2])
    assert len(made) == 2
    assert stream.t_ == 207


def test_room_counts_for_nothing():
    """The mean of a batch with empty rows is that of a loss that knows of no weights."""
    settings = SHORT | {"batch_size": 64, "max_iter": 4, "activation": "tanh"}
    filled = MLPClassifier(**settings).fit(X, labels)
    exact = MLPClassifier(**settings, loss=nn.CrossEntropyLoss()).fit(X, labels)
    np.testing.assert_allclose(filled.coefs_[0], exact.coefs_[0], rtol=1e-10)
    assert filled.loss_ == pytest.approx(exact.loss_)
