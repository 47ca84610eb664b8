"""Gradients by inputs, weights from and to scikit-learn, going on, and examples of every kind."""

import numpy as np
import pytest
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss

from chainrule import MLPClassifier, MLPRegressor, nn
from chainrule.errors import DataError, ExportError, InputTypeError, LabelError, SettingError
from chainrule.interop.sklearn import examples

# Few epochs are enough to see what a setting does.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, labels = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NAMES = np.array(["setosa", "versicolor", "virginica"])[labels]
rng = np.random.default_rng(0)
SHORT = {"random_state": 0, "max_iter": 30, "learning_rate_init": 0.02, "batch_size": 50}


# ------------------------------------------------------------------------ gradients, exchange


def differences(function, X, step=1e-6):
    columns = [
        (function(X + step * e) - function(X - step * e)) / (2 * step) for e in np.eye(X.shape[1])
    ]
    return np.stack(columns, axis=-1)


SMOOTH = SHORT | {"activation": "tanh"}


def test_gradients_of_probabilities_are_differences():
    model = MLPClassifier(**SMOOTH).fit(X, NAMES)
    every = differences(model.predict_proba, X)
    chosen = model.predict_proba(X).argmax(axis=1)
    found = model.input_gradients(X)
    np.testing.assert_allclose(found, every[np.arange(150), chosen], atol=1e-8)
    np.testing.assert_allclose(model.input_gradients(X, label="virginica"), every[:, 2], atol=1e-8)
    with pytest.raises(LabelError, match="tulip"):
        model.input_gradients(X, label="tulip")


def test_gradients_of_two_classes_are_opposite():
    two = labels < 2
    model = MLPClassifier(**SMOOTH).fit(X[two], NAMES[two])
    every = differences(model.predict_proba, X[two])
    for k, name in enumerate(model.classes_):
        found = model.input_gradients(X[two], label=name)
        np.testing.assert_allclose(found, every[:, k], atol=1e-8)


def test_gradients_of_losses_are_those_of_each_example():
    model = MLPClassifier(**SMOOTH).fit(X, NAMES)

    def losses(X):
        return -model.predict_log_proba(X)[np.arange(150), labels]

    np.testing.assert_allclose(model.input_gradients(X, NAMES), differences(losses, X), atol=1e-7)


def test_gradients_of_numbers_are_differences():
    y = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)
    model = MLPRegressor(**SMOOTH).fit(X, y)
    every = differences(model.predict, X)
    np.testing.assert_allclose(model.input_gradients(X), every, atol=1e-7)
    np.testing.assert_allclose(model.input_gradients(X, output=1), every[:, 1], atol=1e-7)
    with pytest.raises(SettingError, match="2 outputs"):
        model.input_gradients(X, output=2)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_of_a_loss_are_of_an_example_by_itself(reduction):
    """Whatever the loss makes of a batch: a sum, or a mean weighted by classes."""
    square = {"mean": np.mean, "sum": np.sum}[reduction]
    model = MLPRegressor(lambda out, y: square((out - y) ** 2), **SMOOTH).fit(X[:, :3], X[:, 3])
    losses = lambda x: (model.predict(x) - X[:, 3]) ** 2
    found = model.input_gradients(X[:, :3], X[:, 3])
    np.testing.assert_allclose(found, differences(losses, X[:, :3]), atol=1e-7)
    model = MLPClassifier(**SMOOTH).fit(X, NAMES)
    model.set_params(loss=nn.CrossEntropyLoss(weight=np.array([1.0, 5.0, 2.0])))
    losses = lambda x: -model.predict_log_proba(x)[np.arange(150), labels]
    np.testing.assert_allclose(model.input_gradients(X, NAMES), differences(losses, X), atol=1e-7)


def test_what_gradients_are_asked_of():
    model = MLPClassifier(**SHORT).fit(X, NAMES)
    for label in (["setosa", "virginica"], 1, "tulip"):
        with pytest.raises(LabelError, match="label needs to be one of the classes"):
            model.input_gradients(X, label=label)
    model = MLPRegressor(**SHORT).fit(X, X[:, :2])
    for output in (2, -3, 1.0, "a", True):
        with pytest.raises(SettingError, match="2 outputs"):
            model.input_gradients(X, output=output)
    with pytest.raises(DataError, match="150 rows"):
        MLPRegressor(**SHORT).fit(X, labels).input_gradients(X, 1.0)
    many = np.eye(3, dtype=int)[labels][:, :2]
    model = MLPClassifier(**SHORT).fit(X, many)
    thin = model.input_gradients(X, sparse.csr_array(many))
    assert np.array_equal(thin, model.input_gradients(X, many))


@pytest.mark.parametrize("target", [labels, (labels > 0).astype(int), np.eye(3, dtype=int)[labels]])
def test_weights_go_to_scikit_learn_and_back(target):
    model = MLPClassifier(**SHORT, dropout=0.1, solver="adamw").fit(X, target)
    theirs = model.to_sklearn()
    assert isinstance(theirs, neural_network.MLPClassifier)
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), rtol=1e-12)
    assert np.array_equal(theirs.predict(X), model.predict(X))
    theirs.partial_fit(X, target)  # it can go on
    back = MLPClassifier.from_sklearn(theirs)
    np.testing.assert_allclose(back.predict_proba(X), theirs.predict_proba(X), rtol=1e-12)
    assert back.partial_fit(X, target).t_ == theirs.t_ + 150


def test_a_regressor_goes_to_scikit_learn_and_back():
    theirs = neural_network.MLPRegressor("poisson", max_iter=5).fit(X, labels)
    model = MLPRegressor.from_sklearn(theirs)
    np.testing.assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-12)
    np.testing.assert_allclose(model.to_sklearn().predict(X), theirs.predict(X), rtol=1e-12)


def test_a_model_of_one_class_is_not_taken():
    theirs = neural_network.MLPClassifier(max_iter=2).fit(X, np.zeros(150))
    assert theirs.predict_proba(X).shape == (150, 2)  # of which the second is made up
    with pytest.raises(LabelError, match=r"one class, 0\.0"):
        MLPClassifier.from_sklearn(theirs)


class Patient(MLPClassifier):
    """A user's own kind."""


def test_a_kind_of_the_users_own_goes_to_scikit_learn_and_back():
    model = Patient(**SHORT).fit(X, NAMES)
    theirs = model.to_sklearn()
    assert type(theirs) is neural_network.MLPClassifier
    back = Patient.from_sklearn(theirs)
    assert type(back) is Patient
    assert np.array_equal(back.predict_proba(X), model.predict_proba(X))


def test_labels_that_were_sparse_are_predicted_sparse_on_both_sides():
    many = sparse.csr_matrix(np.eye(3, dtype=int)[labels])
    model = MLPClassifier(**SHORT).fit(X, many)
    theirs = model.to_sklearn()
    for found in (model, theirs, MLPClassifier.from_sklearn(theirs)):
        assert sparse.issparse(found.predict(X))
        assert (found.predict(X) != model.predict(X)).nnz == 0
    fitted = neural_network.MLPClassifier(max_iter=2).fit(X, many)
    assert sparse.issparse(fitted.predict(X))


def test_what_scikit_learn_cannot_say_is_an_error():
    with pytest.raises(ExportError, match="one activation"):
        MLPClassifier((3, 3), ["tanh", "relu"], **SHORT).fit(X, labels).to_sklearn()
    with pytest.raises(ExportError, match="loss 'huber'"):
        MLPRegressor("huber", **SHORT).fit(X, labels).to_sklearn()
    with pytest.raises(InputTypeError, match="MLPRegressor"):
        MLPClassifier.from_sklearn(neural_network.MLPRegressor())


def test_partial_fit_goes_on_with_new_parameters():
    one = MLPClassifier((4,), random_state=0).partial_fit(X, labels, classes=[0, 1, 2])
    two = MLPClassifier((4,), random_state=0).partial_fit(X, labels, classes=[0, 1, 2])
    theirs = neural_network.MLPClassifier((4,), random_state=0)
    theirs.partial_fit(X, labels, classes=[0, 1, 2])
    one.set_params(alpha=50.0).partial_fit(X, labels)
    two.alpha = theirs.alpha = 50.0
    two.partial_fit(X, labels)
    theirs.partial_fit(X, labels)
    np.testing.assert_allclose(one.coefs_[0], theirs.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(two.coefs_[0], theirs.coefs_[0], rtol=1e-9)
    one.set_params(solver="sgd").partial_fit(X, labels)  # without the memory of Adam
    assert np.all(np.isfinite(one.coefs_[0]))


def test_weights_that_a_user_changes_are_those_that_are_used():
    model = MLPClassifier((4,), random_state=0).partial_fit(X, labels, classes=[0, 1, 2])
    model.coefs_[1][...] = 0
    model.intercepts_[1][...] = [0, 0, 5]
    assert np.all(model.predict(X) == 2)
    model.partial_fit(X, labels)
    assert np.max(np.abs(model.coefs_[1])) < 0.01  # one step from 0


# ---------------------------------------------------------------------------- sparse, and large


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
@pytest.mark.parametrize("limit", [1 << 28, 10])
def test_sparse_examples_are_the_dense_ones(kind, limit, monkeypatch):
    monkeypatch.setattr(examples, "_DENSE", limit)  # from where on they stay sparse
    data = np.where(np.abs(X) > 0.5, X, 0)
    weights = rng.uniform(0.5, 1.5, 150)
    settings = SHORT | {"early_stopping": True}
    dense = MLPClassifier(**settings, dropout=0.2).fit(data, labels, weights)
    thin = MLPClassifier(**settings, dropout=0.2).fit(kind(data), labels, weights)
    np.testing.assert_allclose(thin.coefs_[0], dense.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(thin.predict_proba(kind(data)), dense.predict_proba(data))
    assert thin.loss_ == pytest.approx(dense.loss_)


def test_many_rows_are_predicted_by_machine_code_and_give_the_same():
    model = MLPClassifier(**SHORT).fit(X, labels)
    many = np.tile(X, (120, 1))
    found = model.predict_proba(many)
    assert len(found) == 18000
    np.testing.assert_allclose(found[-150:], model.predict_proba(X), rtol=1e-9, atol=1e-12)
    assert log_loss(np.tile(labels, 120), found) < 0.3
