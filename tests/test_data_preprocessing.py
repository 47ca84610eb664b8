"""The numbers of a network are those that scikit-learn's transformers would make of a table."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from chainrule.interop.data import Preprocessing, fit_preprocessing, open_table, train_table
from chainrule.interop.data.columnar import ColumnarSource


def place(row):
    return f"row {row}"


def fitted(frame, target="y", blocks=None, **options):
    """Return the preprocessing of a frame, read at once or in blocks of so many rows."""
    source = open_table(frame)
    if blocks is not None:
        source.blocks = [
            source.blocks[0]._replace(start=k, rows=min(blocks, len(frame) - k))
            for k in range(0, len(frame), blocks)
        ]
    options = {"validation": 0.0, **options}
    return fit_preprocessing(source, target, **options), source


def encoded(made, source):
    (_, *_), frames = zip(*source.scan(made.columns), strict=True)
    parts = [made.encode(frame, place) for frame in frames]
    return np.concatenate([p.X for p in parts]), np.concatenate([p.codes for p in parts])


def people(count=1000, seed=0):
    """Return a table with everything in it: gaps, a constant, few and many categories."""
    rng = np.random.default_rng(seed)
    gaps = rng.random((3, count)) < 0.1
    age, income = rng.normal(45, 12, count), np.exp(rng.normal(8, 2, count))
    few, many = rng.choice(list("abcd"), count), rng.integers(0, 60, count)
    return pl.DataFrame(
        {
            "age": [None if no else x for no, x in zip(gaps[0], age, strict=True)],
            "income": income,
            "constant": np.full(count, 7.5),
            "few": [None if no else str(x) for no, x in zip(gaps[1], few, strict=True)],
            "many": [None if no else f"m{x}" for no, x in zip(gaps[2], many, strict=True)],
            "y": rng.integers(0, 2, count),
        }
    )


@pytest.mark.parametrize("blocks", [None, 1000, 97])
def test_it_is_what_a_column_transformer_makes(blocks):
    frame = people()
    made, source = fitted(frame, blocks=blocks)
    X, codes = encoded(made.preprocessing, source)
    numeric = make_pipeline(StandardScaler(), SimpleImputer(add_indicator=True))
    # scikit-learn's own indicators for what is missing; its ages and incomes before them.
    reference = ColumnTransformer(
        [
            ("numeric", numeric, ["age", "income", "constant"]),
            ("few", OneHotEncoder(sparse_output=False), ["few"]),
        ]
    ).fit_transform(frame)
    assert X.dtype == np.float32
    assert np.allclose(X, reference.astype(float), atol=1e-6)
    often = [v for v, n in frame["many"].drop_nulls().value_counts().iter_rows() if n > 1]
    ordinal = OrdinalEncoder(categories=[[*made.preprocessing.embedded[0].values]])
    known = frame.filter(pl.col("many").is_in(often))
    expected = ordinal.fit_transform(known[["many"]])[:, 0] + 1
    assert np.array_equal(
        codes[frame["many"].is_in(often).fill_null(False).to_numpy(), 0], expected
    )


def test_blocks_do_not_matter():
    frame = people()
    whole, parts = (fitted(frame, blocks=blocks)[0].preprocessing for blocks in (None, 13))
    for a, b in zip(whole.numeric, parts.numeric, strict=True):
        assert a.name == b.name
        assert a.indicator == b.indicator
        assert a.mean == pytest.approx(b.mean, rel=1e-12)
        assert a.scale == pytest.approx(b.scale, rel=1e-12)
    assert whole.categories == parts.categories
    assert whole.target == parts.target


def test_a_constant_column_has_scale_1_and_features_have_names():
    made = fitted(people())[0].preprocessing
    constant = next(x for x in made.numeric if x.name == "constant")
    assert (constant.mean, constant.scale, constant.indicator) == (7.5, 1.0, False)
    assert made.features == [
        *("age", "income", "constant", "age is missing"),
        *("few = a", "few = b", "few = c", "few = d", "few = missing"),
    ]


def test_a_missing_and_an_unseen_category():
    made, _ = fitted(people())
    made = made.preprocessing
    (many,) = made.embedded
    frame = pl.DataFrame(
        {"age": [45.0] * 3, "income": [1.0] * 3, "constant": [7.5] * 3}
    ).with_columns(few=pl.Series(["a", None, "z"]), many=pl.Series([many.values[0], None, "never"]))
    X, codes = made.encode(frame, place)
    assert X[:, -5:].tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    assert codes[:, 0].tolist() == [1, many.codes - 1, 0]
    assert made.unseen(frame) == {"few": 1, "many": 1}


def test_a_number_that_was_never_missing_is_taken_for_the_mean():
    made = fitted(people())[0].preprocessing
    frame = people(5).with_columns(income=pl.lit(None, pl.Float64))
    assert np.all(made.encode(frame, place).X[:, 1] == 0)


def test_the_record_is_plain_and_reads_back():
    made = fitted(people())[0].preprocessing
    record = json.loads(json.dumps(made.to_record()))
    assert Preprocessing.from_record(record) == made


def test_parts_of_dates():
    day = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 3, 1), interval="7h", eager=True
    )
    frame = pl.DataFrame({"t": day, "y": np.arange(len(day)) % 2})
    made, source = fitted(frame, dates="parts")
    made = made.preprocessing
    assert made.features == ["t year", "t month", "t day", "t weekday", "t hour"]
    X, _ = encoded(made, source)
    parts = [[d.year, d.month, d.day, d.isoweekday(), d.hour] for d in day.to_list()]
    assert np.allclose(X, StandardScaler().fit_transform(parts), atol=1e-6)
    with pytest.raises(Exception, match="no column to predict"):
        fitted(frame)


def test_what_is_left_out_is_said():
    count = 60
    frame = pl.DataFrame(
        {
            "x": np.arange(float(count)),
            "empty": pl.Series([None] * count, dtype=pl.Float64),
            "name": [f"n{k}" for k in range(count)],
            "day": [pl.date(2024, 1, 1)] * 0 + ["2024-01-01"] * count,
            "lists": [[1, 2]] * count,
            "y": np.arange(count) % 3,
        }
    ).with_columns(pl.col("day").str.to_date())
    made = fitted(frame)[0]
    assert made.preprocessing.columns == ["x"]
    assert made.notes == [
        "classification: 'y' has 3 classes (0, 1, 2); for numbers: --task regression",
        "'day' is left out: dates; --dates parts uses year, month, day, weekday and hour",
        "'lists' is left out: neither numbers nor text nor dates",
        "'empty' is left out: it has no values",
        "'name' is left out: text that differs from row to row",
    ]


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["b", "a"] * 20, ["a", "b"]),
        ([True, False] * 20, ["false", "true"]),
        ([3, 1] * 20, [1.0, 3.0]),
        ([0.5, 1.5] * 20, []),
        (list(range(0, 80, 2)), []),
    ],
    ids=["text", "truth", "few whole numbers", "fractions", "many whole numbers"],
)
def test_the_task_follows_from_the_target(y, classes):
    frame = pl.DataFrame({"x": np.arange(40.0) % 7, "y": y})
    assert fitted(frame)[0].preprocessing.target.classes == classes


def test_the_task_can_be_said():
    frame = pl.DataFrame({"x": np.arange(40.0) % 7, "y": [3, 1] * 20})
    target = fitted(frame, task="regression")[0].preprocessing.target
    assert (target.classes, target.mean, target.scale) == ([], 2.0, 1.0)
    frame = pl.DataFrame({"x": np.arange(40.0) % 7, "y": [0.5, 1.5] * 20})
    assert fitted(frame, task="classification")[0].preprocessing.target.classes == [0.5, 1.5]


def test_what_is_kept_aside_is_not_fitted_on():
    frame = people(500)
    made, _ = fitted(frame, validation=0.2, seed=3)
    assert (made.rows, len(made.aside)) == (400, 100)
    left = frame.join(made.aside.select("income"), on="income", how="anti")
    income = next(x for x in made.preprocessing.numeric if x.name == "income")
    assert income.mean == pytest.approx(left["income"].mean(), rel=1e-12)
    assert income.scale == pytest.approx(left["income"].std(ddof=0), rel=1e-12)


def test_a_frame_in_memory_is_not_copied_into_blocks():
    assert isinstance(open_table(people()), ColumnarSource)


def test_categories_are_learned():
    """60 categories with an effect each: a linear model of their rows says all of it."""
    rng = np.random.default_rng(0)
    town = rng.integers(0, 60, 4000)
    effect = rng.normal(size=60)
    frame = pl.DataFrame({"town": [f"t{k}" for k in town], "y": effect[town]})
    trained = train_table(frame, "y", epochs=30, batch_size=64, learning_rate=0.01)
    assert trained.model.architecture.embeddings == ((61, 16),)
    assert trained.evaluation.metrics()["R²"] > 0.99
