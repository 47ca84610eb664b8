"""Bad input: an error that says what, where, what was expected and what to do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import DataConversionWarning, NotFittedError

from chainrule import MLPClassifier, MLPRegressor, errors, nn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, labels = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[labels]
SHORT = {"max_iter": 2, "random_state": 0, "hidden_layer_sizes": (4,), "batch_size": 50}


def raised(call, code, *words):
    """Return the error of a call, after a look at its code and its words."""
    with pytest.raises(errors.ChainruleError) as caught:
        call()
    error = caught.value
    assert isinstance(error, ValueError)  # as scikit-learn's checks want it
    assert error.code == code
    for word in words:
        assert word in str(error), str(error)
    assert error.advice
    return error


def spoilt(value, *places):
    data = X.copy()
    for place in places:
        data[place] = value
    return data


def test_missing_numbers_are_named_by_row_and_column():
    bad = spoilt(np.nan, (3, 1), (70, 2))
    words = "Input X contains NaN", "nan in row 3, column 1", "nan in row 70, column 2"
    raised(lambda: MLPClassifier(**SHORT).fit(bad, labels), "CR953", *words, "SimpleImputer")
    frame = pd.DataFrame(bad, columns=list("abcd"))
    raised(lambda: MLPClassifier(**SHORT).fit(frame, labels), "CR953", "column 1 ('b')")
    model = MLPClassifier(**SHORT).fit(X, labels)
    raised(lambda: model.predict(bad), "CR953", "row 3, column 1")
    raised(lambda: model.input_gradients(bad), "CR953", "row 3, column 1")


def test_infinite_numbers_and_many_of_them():
    bad = spoilt(np.inf, *[(k, 0) for k in range(20)])
    raised(
        lambda: MLPRegressor(**SHORT).fit(bad, labels),
        "CR953",
        "contains infinity",
        "and 15 more, in 20 rows in all",
    )
    raised(lambda: MLPClassifier(**SHORT).fit(sparse.csr_array(bad), labels), "CR953", "row 0")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_targets_that_are_not_finite_are_named_by_row(value):
    y = labels.astype(float)
    y[11] = value
    for model in (MLPRegressor(**SHORT), MLPClassifier(**SHORT)):
        raised(lambda m=model: m.fit(X, y), "CR953", "Input y", "row 11", "X and y alike")
    y2 = np.stack([y, y], axis=1)
    raised(lambda: MLPRegressor(**SHORT).fit(X, y2), "CR953", "row 11, column 1")


def test_a_single_class():
    one = np.full(150, "setosa")
    words = "one class, 'setosa'", "at least two classes", "stratify=y"
    raised(lambda: MLPClassifier(**SHORT).fit(X, one), "CR304", *words)
    kept = (labels == 1).astype(float)  # weights leave one class
    raised(lambda: MLPClassifier(**SHORT).fit(X, labels, kept), "CR304", "one class, 1")
    call = lambda: MLPClassifier(**SHORT).partial_fit(X, one, classes=["setosa"])
    raised(call, "CR304", "one class")


def test_other_features_than_before():
    model = MLPClassifier(**SHORT).fit(X, labels)
    words = "X has 3 features", "expecting 4 features", "in their order"
    raised(lambda: model.predict(X[:, :3]), "CR952", *words)
    raised(lambda: model.partial_fit(X[:, :3], labels), "CR952", "X has 3 features")
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = MLPClassifier(**SHORT).fit(frame, labels)
    raised(lambda: model.predict(frame[list("abdc")]), "CR952", "same order", "feature_names_in_")
    raised(lambda: model.predict(frame.rename(columns={"a": "e"})), "CR952", "- e")


def test_words_where_numbers_belong():
    table = np.array([["1", "red"], ["2", "blue"]], dtype=object)
    raised(lambda: MLPClassifier(**SHORT).fit(table, [0, 1]), "CR951", "red", "OneHotEncoder")
    raised(lambda: MLPClassifier(**SHORT).fit(X, np.linspace(0, 1, 150)), "CR951", "MLPRegressor")
    raised(lambda: MLPClassifier(**SHORT).fit(X * 1j, labels), "CR951", "Complex", "real numbers")


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, np.array(["a", None, "b"] * 50, dtype=object), "None in row 1"),
        (X, np.array([np.nan, "a", "b"] * 50, dtype=object), "nan in row 0"),
        (X, pl.Series(["a", "b", None] * 50), "None in row 2"),
        (X, pd.Series(["a", "b", pd.NA] * 50, dtype=object), "row 2"),
        (X, labels.astype(object), "y.astype(int)"),
        (X, np.array([b"a", b"b", b"c"])[labels], "y.astype(str)"),
        (X, 1, "one target for each row"),
        (X, {"a": 1}, "one target for each row"),
        (X, [[1, 2], [1]] * 75, "of one length"),
        (pl.DataFrame(X).lazy(), labels, "X.collect()"),
        (pd.DataFrame({"a": pd.date_range("2020", periods=150), "b": 1.0}), labels, "of dates"),
        (pd.DataFrame(X, columns=[0, "a", 1, "b"]), labels, "X.columns.astype(str)"),
    ],
)
def test_tables_and_targets_of_another_kind(x, y, words):
    with pytest.raises((errors.DataError, errors.InputTypeError)) as caught:
        MLPClassifier(**SHORT).fit(x, y)
    assert words in str(caught.value)
    assert str(caught.value).startswith("CR")


@pytest.mark.parametrize("y", [NAMES, sparse.csr_array(np.eye(3)[labels])])
def test_targets_that_are_no_numbers(y):
    raised(lambda: MLPRegressor(**SHORT).fit(X, y), "CR951", "y ")
    model = MLPRegressor(**SHORT).fit(X, labels)
    raised(lambda: model.input_gradients(X, y), "CR951", "y ")


def test_a_message_does_not_print_the_table():
    assert len(str(raised(lambda: MLPRegressor().fit(X * 1j, labels), "CR951"))) < 400
    assert len(str(raised(lambda: MLPRegressor().fit(X[:, 0], labels), "CR951"))) < 500


def test_numbers_beyond_single_precision_are_named_as_such():
    single = MLPRegressor(**SHORT, dtype="float32")
    raised(lambda: single.fit(X * 1e39, labels), "CR953", "single precision", "3.4e+38", "row 0")
    single.fit(X, labels)
    raised(lambda: single.predict(X * 1e39), "CR953", "dtype='float64'")


def test_lengths_that_do_not_fit():
    raised(lambda: MLPClassifier(**SHORT).fit(X, labels[:-1]), "CR951", "[150, 149]")
    raised(lambda: MLPRegressor(**SHORT).fit(X[0], labels[:4]), "CR951", "reshape(-1, 1)")
    raised(lambda: MLPRegressor(**SHORT).fit(X[:0], labels[:0]), "CR951", "minimum of 1")
    raised(lambda: MLPRegressor(**SHORT).fit(X, None), "CR951", "target y is None")
    model = MLPRegressor(**SHORT).fit(X, labels)
    raised(lambda: model.input_gradients(X, labels[:3]), "CR951", "150 rows")


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.zeros(150), "at least one non-zero number"),
        (-np.ones(150), "at least 0, got -1.0 in row 0"),
        (np.full(150, np.nan), "Input sample_weight contains NaN"),
        (np.ones(3), "(3,)"),
        (np.full(150, None), "None in row 0"),
        (["much"] * 150, "could not convert"),
    ],
)
def test_weights(weights, words):
    with pytest.raises(errors.DataError) as caught:
        MLPClassifier(**SHORT).fit(X, labels, weights)
    assert words in str(caught.value)
    assert words == "(3,)" or caught.value.advice.startswith("0 leaves an example out")


def test_classes_of_partial_fit():
    model = MLPClassifier(**SHORT)
    raised(lambda: model.partial_fit(X, labels), "CR304", "first call to partial_fit")
    model.partial_fit(X, labels, classes=[0, 1, 2])
    raised(lambda: model.partial_fit(X, labels + 2), "CR304", "3, 4", "row 50")
    raised(lambda: model.partial_fit(X, labels, classes=[0, 1]), "CR304", "not the same")
    two = np.stack([labels, labels], axis=1)
    raised(lambda: MLPClassifier(**SHORT).fit(X, two), "CR304", "Multioutput")


def test_a_warm_start_on_something_else():
    model = MLPClassifier(**SHORT, warm_start=True).fit(X, labels)
    raised(lambda: model.fit(X, labels + 1), "CR304", "same classes", "[1 2 3]")
    raised(lambda: model.set_params(hidden_layer_sizes=9).fit(X, labels), "CR303", "[9]", "[4]")
    model = MLPRegressor(**SHORT, warm_start=True).fit(X, labels)
    raised(lambda: model.fit(X, X[:, :2]), "CR951", "1 column")
    two = MLPClassifier(**SHORT, warm_start=True).fit(X, labels > 0)
    pairs = np.eye(3, dtype=int)[labels][:, :2]
    raised(lambda: two.fit(X, pairs), "CR304", "[150, 2]", "clone(model)")
    raised(lambda: two.partial_fit(X, pairs), "CR304", "[150, 2]", "clone(model)")
    together = MLPClassifier(**SHORT, warm_start=True).fit(X, pairs)
    raised(lambda: together.partial_fit(X, labels > 0), "CR304", "2 labels", "clone(model)")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": (4.5,)}, "whole numbers"),
        ({"activation": "rleu"}, "Did you mean 'relu'?"),
        ({"activation": ["relu", "tanh"]}, "2 entries for 1 hidden layers"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"dropout": [0.1, 0.1]}, "2 entries"),
        ({"solver": "adamax"}, "Did you mean 'adam'?"),
        ({"solver": "lbfgs", "dropout": 0.1}, "no dropout in it"),
        ({"solver": "lbfgs", "clip_norm": 1.0}, "no clip_norm"),
        ({"loss": "mse"}, "loss needs to be one of"),
        ({"learning_rate": "fast"}, "learning_rate needs to be one of"),
        ({"learning_rate_init": 0}, "above 0"),
        ({"initialiser": "he"}, "Did you mean 'he_"),
        ({"dtype": "int64"}, "float32"),
        ({"dtype": "floaty"}, "dtype"),
        ({"max_iter": 0}, "whole number of at least 1"),
        ({"batch_size": "all"}, "'auto'"),
        ({"n_iter_no_change": 0}, "or inf"),
        ({"threads": 0}, "threads"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"early_stopping": 1}, "True or False"),
        ({"early_stopping": True, "scoring": "goodness"}, "goodness"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "validation set is too small"),
    ],
)
def test_parameters_that_cannot_be(settings, words):
    with pytest.raises(ValueError, match=r"^CR\d\d\d") as caught:
        MLPClassifier(**SHORT | settings).fit(X, labels)
    assert words in str(caught.value)


class Gate(nn.Module):
    """An activation with something to learn."""

    def __init__(self):
        self.slope = nn.Parameter(np.ones(1))

    def forward(self, x):
        return x * self.slope


def test_an_activation_that_would_learn_is_refused():
    call = lambda: MLPClassifier(**SHORT, activation=Gate()).fit(X, labels)
    raised(call, "CR303", "nothing to learn")


def test_counts_below_zero():
    raised(lambda: MLPRegressor("poisson", **SHORT).fit(X, labels - 1), "CR951", "in row 0")


def test_no_partial_fit_where_there_are_no_steps():
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    call = lambda: MLPRegressor(**SHORT, early_stopping=True).partial_fit(X, labels)
    raised(call, "CR303", "partial_fit does not support early_stopping=True")


def test_predicting_before_fitting():
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)
    with pytest.raises(NotFittedError):
        MLPRegressor().to_sklearn()


def test_numbers_too_large_to_learn_from():
    call = lambda: MLPRegressor(**SHORT).fit(X * 1e300, labels)
    raised(call, "CR305", "non-finite", "StandardScaler")


def test_a_column_as_target_is_taken_with_a_warning():
    with pytest.warns(DataConversionWarning, match="ravel") as seen:
        MLPClassifier(**SHORT).fit(X, labels[:, None])
    assert seen[0].filename == __file__
