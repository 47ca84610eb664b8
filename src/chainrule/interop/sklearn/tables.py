"""X, y and weights as arrays that can be learned from, or an error that says where they cannot.

scikit-learn looks at shapes, types and names of columns. What is not finite is looked for here,
because the reader of the error wants its column and its row.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import _check_sample_weight, validate_data

from chainrule.errors import CellError, ChainruleError, ColumnError, DataError, InputTypeError
from chainrule.interop.sklearn.warned import warn

__all__ = ["explained", "features", "finite", "weights_of"]

_MOST = 5
"""Places that an error names."""

_ADVICE = {
    "column name types": "Name all columns by words: X.columns = X.columns.astype(str).",
    "feature names": "Pass the columns in the order of fit: X[model.feature_names_in_]; "
    "a Pipeline with a ColumnTransformer picks columns by their names.",
    "features, but": "Pass the columns that fit was given, in their order.",
    "minimum of": "Pass at least one example with at least one feature.",
    "Reshape your data": "One example is X.reshape(1, -1), one feature X.reshape(-1, 1).",
    "inconsistent numbers": "Pass one target, and one weight, for each row of X.",
    "Complex data": "Pass real numbers, such as np.abs(X), or real and imaginary parts as columns.",
    "Unknown label type": "Classes are whole numbers or words (of an array of objects: "
    "y.astype(int) or y.astype(str)); for real numbers take MLPRegressor.",
    "could not convert": "Encode words as numbers first, as with OrdinalEncoder or OneHotEncoder.",
    "argument must be": "Encode words as numbers first, as with OrdinalEncoder or OneHotEncoder.",
    "with a sequence": "Rows need to be of one length; of a lazy frame pass X.collect().",
    "represented as bytes": "Decode them: y.astype(str).",
    "at least 1 dimension": "Pass one target for each row of X.",
    "DateTime64": "Make numbers of dates: year, month and day as columns, or days since a start.",
}
"""What to do about an error of scikit-learn's, by words that are in it."""
_COUNTS = "0 leaves an example out, and 2 counts it twice."
_FILL_IN = {
    "X": "Leave these rows out, or fill them in first, as with a SimpleImputer in a Pipeline.",
    "y": "Leave out the rows whose target is not known, from X and y alike.",
    "sample_weight": _COUNTS,
}
"""What to do about numbers that are missing."""


class explained:  # noqa: N801 - it reads as a word, as suppress does
    """Raise what scikit-learn finds wrong with data as an error with a code and a way out.

    Parameters
    ----------
    advice
        The way out; by the words of the error, if it is not said.
    """

    def __init__(self, advice: str = "") -> None:
        self.advice = advice

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, ValueError | TypeError) or isinstance(error, ChainruleError):
            return
        said = re.sub(r"\[.{80,}\]", "[…]", str(error).strip(), flags=re.DOTALL)
        advice = self.advice or next((x for words, x in _ADVICE.items() if words in said), "")
        if isinstance(error, TypeError):
            raise InputTypeError(said, advice=advice) from error
        about = ColumnError if "features, but" in said or "feature names" in said else DataError
        raise about(said, advice=advice) from error


def features(
    estimator: Any, X: Any, y: Any = None, *, fits: bool, dtype: Any, numeric: bool = False
) -> Any:
    """Return X, and y if there is one, as arrays; X may stay sparse.

    Parameters
    ----------
    estimator
        Whose features are remembered or compared.
    X
        Shape (N, features), of numbers.
    y
        Shape (N,) or (N, outputs).
    fits
        Whether these features are those to remember.
    dtype
        The types that X may keep, and the first of them for what has another.
    numeric
        Whether y has to be of numbers.
    """
    given: dict[str, Any] = {} if y is None else {"y": y, "multi_output": True}
    with explained(), np.errstate(over="ignore"):  # what overflows is named below
        if y is not None:
            finite(y, "y")
            given["y_numeric"] = numeric
        found = validate_data(
            estimator,
            X,
            accept_sparse=["csr", "csc"],
            dtype=dtype,
            order=None if sparse.issparse(X) else "C",
            ensure_all_finite=False,
            reset=fits,
            **given,
        )
    x = found if y is None else found[0]
    finite(x, "X", getattr(estimator, "feature_names_in_", None))
    return x if y is None else (x, _one_axis(found[1]))


def _one_axis(y: Any) -> Any:
    """Return a y of one column with one axis, with the warning that scikit-learn gives."""
    if sparse.issparse(y) or y.ndim != 2 or y.shape[1] != 1:
        return y
    warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of "
        "y to (n_samples,), for example using ravel().",
        DataConversionWarning,
    )
    return y.ravel()


def finite(x: Any, name: str, columns: Any = None) -> None:
    """Refuse numbers that are missing or infinite, with their rows and columns.

    Parameters
    ----------
    x
        An array, sparse or not; what has no floating-point numbers is fine.
    name
        What it is called.
    columns
        The names of its columns.
    """
    numbers = x.data if sparse.issparse(x) else np.asarray(x)
    if numbers.dtype.kind == "O":
        wrong = np.asarray(np.frompyfunc(_is_missing, 1, 1)(numbers), np.bool_)
        if np.any(wrong):
            raise _not_finite(name, np.argwhere(wrong), numbers[wrong], columns)
    if numbers.dtype.kind != "f":
        return
    with np.errstate(all="ignore"):
        if np.isfinite(np.sum(numbers)):  # one walk without a mask, and hardly ever wrong
            return
    wrong = ~np.isfinite(numbers)
    if not np.any(wrong):
        return
    if sparse.issparse(x):
        cells = x.tocoo()
        at = np.stack([cells.row, cells.col], axis=1)[~np.isfinite(cells.data)]
        values = cells.data[~np.isfinite(cells.data)]
    else:
        at, values = np.argwhere(wrong), numbers[wrong]
    raise _not_finite(name, at, values, columns)


def _is_missing(x: Any) -> bool:
    """Return whether an object stands for a number or a word that is not known."""
    return x is None or type(x).__name__ == "NAType" or (isinstance(x, float) and math.isnan(x))


def _not_finite(name: str, at: Any, values: Any, columns: Any) -> CellError:
    what = "infinity"
    if values.dtype.kind == "O" or np.isnan(values).any():
        what = "NaN"
    elif values.dtype == np.float32:
        what += f" in single precision, whose largest number is {np.finfo(np.float32).max:.1e}"
    facts = [
        f"{value} in {_place(place, columns)}"
        for place, value in zip(at[:_MOST], values[:_MOST], strict=True)
    ]
    if len(at) > _MOST:
        facts.append(f"and {len(at) - _MOST} more, in {len(set(at[:, 0].tolist()))} rows in all")
    if at.shape[1] > 1:
        held = sorted({int(k) for k in at[:, 1]})
        facts.append(f"columns: {', '.join(_column(k, columns) for k in held[:_MOST])}")
    return CellError(
        f"Input {name} contains {what}; every number has to be finite.",
        *facts,
        advice="Scale the numbers first, or take dtype='float64'."
        if "single" in what
        else _FILL_IN[name],
    )


def _place(place: Any, columns: Any) -> str:
    row = f"row {int(place[0])}"
    return row if len(place) == 1 else f"{row}, column {_column(int(place[1]), columns)}"


def _column(k: int, columns: Any) -> str:
    return str(k) if columns is None else f"{k} ({columns[k]!r})"


def weights_of(sample_weight: Any, X: Any) -> Any:
    """Return how much each example counts, in the type of X; None if all count alike.

    Raises
    ------
    DataError
        If a weight is negative or not finite, or all are 0.
    """
    if sample_weight is None:
        return None
    with explained(_COUNTS):
        finite(sample_weight, "sample_weight")
        weights = _check_sample_weight(sample_weight, X, dtype=X.dtype)
    if np.any(weights < 0):
        row = int(np.argmin(weights))
        raise CellError(
            f"sample_weight has to be at least 0, got {weights[row]} in row {row}.",
            advice=_COUNTS,
        )
    return weights
