"""Weights of classes and examples, where they meet losses, metrics and parts of a stream."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.utils.class_weight import compute_class_weight

from chainrule import MLPClassifier, MLPRegressor, nn
from chainrule.errors import LabelError, SettingError
from chainrule.interop.sklearn import examples

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, labels = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NAMES = np.array(["setosa", "versicolor", "virginica"])[labels]
MANY = np.stack([labels > 0, labels == 1], axis=1).astype(int)
SHORT = {"random_state": 0, "max_iter": 4, "hidden_layer_sizes": (5,), "batch_size": 50}
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2, 150)


# ------------------------------------------------------------------------------ of classes


def test_a_class_of_weight_0_is_not_learned_and_keeps_its_column():
    none = {"setosa": 0.0}
    model = MLPClassifier(**SHORT | {"max_iter": 60}, class_weight=none).fit(X, NAMES)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.predict_proba(X).shape == (150, 3)
    assert "setosa" not in model.predict(X)
    assert model.t_ == 60 * 100  # its examples are as good as not there


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_a_batch_of_nothing_but_a_class_of_weight_0_is_no_batch(kind):
    settings = SHORT | {"batch_size": 10, "shuffle": False}
    model = MLPClassifier(**settings, class_weight={0: 0, 1: 1, 2: 1})
    model.partial_fit(kind(X), labels, classes=[0, 1, 2])
    kept = labels > 0
    alone = MLPClassifier(**settings)
    alone.partial_fit(kind(X[kept]), labels[kept], classes=[0, 1, 2])
    np.testing.assert_allclose(model.coefs_[0], alone.coefs_[0], rtol=1e-12)
    assert model.loss_ == pytest.approx(alone.loss_, rel=1e-12)


def test_a_part_of_a_stream_need_not_have_the_classes_that_are_weighted():
    """It is the same as weights of its examples, whatever other classes there are."""
    part = labels < 2
    heavy = MLPClassifier(**SHORT, class_weight={1: 2.0, 2: 3.0})
    heavy.partial_fit(X[part], labels[part], classes=[0, 1, 2])
    plain = MLPClassifier(**SHORT)
    plain.partial_fit(X[part], labels[part], np.array([1.0, 2.0])[labels[part]], classes=[0, 1, 2])
    np.testing.assert_allclose(heavy.coefs_[0], plain.coefs_[0], rtol=1e-12)


def test_balanced_is_counted_over_all_examples():
    some = np.flatnonzero((labels != 2) | (np.arange(150) > 134))
    counts = compute_class_weight("balanced", classes=np.arange(3), y=labels[some])
    even = MLPClassifier(**SHORT, class_weight="balanced").fit(X[some], labels[some])
    said = MLPClassifier(**SHORT).fit(X[some], labels[some], counts[labels[some]])
    np.testing.assert_allclose(even.coefs_[0], said.coefs_[0], rtol=1e-12)
    with pytest.raises(SettingError, match="partial_fit has a part"):
        MLPClassifier(class_weight="balanced").partial_fit(X, labels, classes=[0, 1, 2])


@pytest.mark.parametrize(
    ("weight", "y", "words"),
    [
        ("balnced", labels, "'balanced', a dictionary or None, got 'balnced'"),
        (3, labels, "a dictionary or None, got 3"),
        ({0: -1}, labels, "at least 0"),
        ({0: np.nan}, labels, "finite"),
        ({0: np.inf}, labels, "finite"),
        ({0: "a"}, labels, "does not fit y"),
        ({0: 1, 7: 2}, labels, "does not fit y"),
        ({0: 0, 1: 0, 2: 0}, labels, "leaves nothing to learn from"),
        ([1, 2, 3], labels, "does not fit y"),
        ({0: 1, 1: 2}, MANY, "does not fit y"),
    ],
)
def test_weights_of_classes_that_cannot_be(weight, y, words):
    with pytest.raises(SettingError) as caught:
        MLPClassifier(**SHORT, class_weight=weight).fit(X, y)
    assert words in str(caught.value)
    assert "counts the examples of class 1" in str(caught.value) or "above 0" in str(caught.value)


# ------------------------------------------------------------------------------ of metrics


def rounded(model, X, y):
    return round(model.score(X, y), 3)


@pytest.mark.parametrize(
    ("scoring", "y"),
    [
        (rounded, labels),  # takes no weights, as the documentation says it
        ("neg_max_error", labels),
        (make_scorer(lambda a, b: -float(np.mean((a - b) ** 2))), labels),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_metric_that_knows_no_weights_gets_none(scoring, y):
    kind = MLPClassifier if scoring is rounded else MLPRegressor
    model = kind(**SHORT, early_stopping=True, scoring=scoring).fit(X, y, WEIGHTS)
    assert len(model.validation_scores_) == 4
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_a_metric_that_knows_weights_gets_those_of_the_examples_kept_aside():
    seen = []

    def accuracy(model, X, y, sample_weight=None):
        seen.append(sample_weight)
        return accuracy_score(y, model.predict(X), sample_weight=sample_weight)

    named = MLPClassifier(**SHORT, early_stopping=True, scoring="accuracy")
    own = MLPClassifier(**SHORT, early_stopping=True, scoring=accuracy)
    own.fit(X, labels, WEIGHTS)
    assert own.validation_scores_ == named.fit(X, labels, WEIGHTS).validation_scores_
    assert len(seen[0]) == 15
    assert set(seen[0]) <= set(WEIGHTS)


@pytest.mark.parametrize(
    ("scoring", "words"),
    [
        (3, "got 3"),
        (["accuracy"], "one name"),
        ("roc_auc", "scoring='roc_auc' cannot judge"),
        ("r2", "scoring='r2' cannot judge"),
        (lambda m, X, y: None, "return one number, got None"),
        (lambda m, X, y: "good", "return one number, got 'good'"),
    ],
)
def test_scoring_that_cannot_be(scoring, words):
    with pytest.raises(SettingError) as caught:
        MLPClassifier(**SHORT, early_stopping=True, scoring=scoring).fit(X, NAMES)
    assert words in str(caught.value)


# ------------------------------------------------------------------------------ of losses


def test_a_loss_that_knows_no_weights_says_how_it_would():
    square = lambda output, target: np.mean((output - target) ** 2)
    assert MLPRegressor(square, **SHORT).fit(X, labels).loss_ > 0
    with pytest.raises(SettingError, match="the loss takes none") as caught:
        MLPRegressor(square, **SHORT).fit(X, labels, WEIGHTS)
    assert "loss(output, target, weights=None)" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "y", "words"),
    [
        (MLPClassifier(loss=nn.CrossEntropyLoss()), labels > 0, "nn.BCEWithLogitsLoss()"),
        (MLPClassifier(loss=nn.CrossEntropyLoss()), MANY, "nn.BCEWithLogitsLoss()"),
        (MLPRegressor(nn.CrossEntropyLoss()), labels, "nn.MSELoss()"),
        (MLPClassifier(loss=nn.NLLLoss()), labels, "nn.CrossEntropyLoss()"),
        (MLPClassifier(loss=nn.MSELoss), labels, "loss=MSELoss()"),
    ],
)
def test_a_loss_that_would_be_0_whatever_is_learned_is_refused(model, y, words):
    with pytest.raises(SettingError) as caught:
        model.set_params(**SHORT).fit(X, y)
    assert words in str(caught.value)


@pytest.mark.parametrize("y", [labels > 0, MANY])
def test_the_loss_that_is_named_instead_is_the_one_of_the_estimator(y):
    """Of labels that go together the one is a mean over them, and the other a sum."""
    own = MLPClassifier(**SHORT, loss=nn.BCEWithLogitsLoss(), alpha=0.0).fit(X, y)
    plain = MLPClassifier(**SHORT, alpha=0.0).fit(X, y)
    assert own.loss_curve_[0] * plain.n_outputs_ == pytest.approx(plain.loss_curve_[0], rel=1e-3)


@pytest.mark.parametrize("value", [None, "much"])
def test_a_loss_that_returns_no_number(value):
    with pytest.raises(TypeError, match="the loss needs to return one number"):
        MLPRegressor(lambda output, target: value, **SHORT).fit(X, labels)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_of_an_epoch_is_that_of_its_batches_however_examples_lie(reduction, monkeypatch):
    settings = SHORT | {"batch_size": 40, "loss": nn.MSELoss(reduction=reduction), "alpha": 0.0}
    dense = MLPRegressor(**settings).fit(X, labels)
    monkeypatch.setattr(examples, "_DENSE", 10)  # bytes from where on they stay sparse
    thin = MLPRegressor(**settings).fit(sparse.csr_array(X), labels)
    np.testing.assert_allclose(thin.loss_curve_, dense.loss_curve_, rtol=1e-9)
    still = MLPRegressor(**settings | {"learning_rate_init": 1e-12, "max_iter": 1}).fit(X, labels)
    errors = (still.predict(X) - labels) ** 2
    wanted = np.sum(errors) if reduction == "sum" else np.mean(errors)
    assert still.loss_ == pytest.approx(wanted, rel=1e-9)


# ------------------------------------------------------------------------------ of labels


def test_labels_that_go_together_are_zeros_and_ones():
    with pytest.raises(LabelError, match="zeros and ones, got 2"):
        MLPClassifier(**SHORT).fit(X, MANY * 2)
    with pytest.raises(LabelError, match="zeros and ones, got -1"):
        MLPClassifier(**SHORT).fit(X, MANY * 2 - 1)
    with pytest.raises(LabelError, match="y is sparse"):
        MLPClassifier(**SHORT).fit(X, sparse.csr_array(MANY[:, :1]))


def test_classes_of_labels_that_go_together_may_be_said_both_ways():
    three = np.concatenate([MANY, 1 - MANY[:, :1]], axis=1)
    for classes in ([0, 1], [0, 1, 2]):  # what an entry may be, as of scikit-learn's; the columns
        model = MLPClassifier(**SHORT)
        for _ in range(2):
            model.partial_fit(X, three, classes=classes)
        assert model.t_ == 300
        assert model.predict(X).shape == (150, 3)
    with pytest.raises(LabelError, match="y has 3 labels"):
        MLPClassifier(**SHORT).partial_fit(X, three, classes=[0, 1, 2, 3])
