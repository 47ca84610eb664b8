"""Whether each estimator of the installed scikit-learn uses the gradient of its own loss.

Every activation, with and without a penalty and weights of examples, for each loss, each way to
train and one to five outputs: the gradient that scikit-learn computes is projected on the
derivative of its loss. What differs is given to `check`, which names the cause.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sklearn

from chainrule.interop.audit.estimators import target_of
from chainrule.interop.audit.network import Network, Problem
from chainrule.interop.checking import check_foreign
from chainrule.transform import value_and_grad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chainrule.inspect.finding import Finding

__all__ = ["Audit", "Row", "audit_sklearn"]

OUTPUTS = (1, 2, 3, 4, 5)
EXAMPLES, FEATURES, HIDDEN = 11, 4, (6, 5)
TOLERANCE = 1e-9


class Family(NamedTuple):
    """What estimators have in common that a row of the audit is about."""

    estimator: str
    loss: str
    output: str


_FAMILIES = (
    Family("MLPRegressor", "squared_error", "identity"),
    Family("MLPRegressor", "poisson", "exp"),
    Family("MLPClassifier", "log_loss", "softmax"),
    Family("MLPClassifier", "log_loss", "logistic"),
)
_SOLVERS = ("lbfgs", "adam")
_WAYS = {"lbfgs": "lbfgs", "adam": "sgd, adam"}


@dataclass(frozen=True)
class Row:
    """A family with a way to train and a number of outputs.

    Attributes
    ----------
    estimator, loss, output, solver
        What was asked; the solvers that share a way are named together.
    outputs
        How many.
    compared
        In how many configurations.
    ratios
        The least and the largest ratio of scikit-learn's gradient to the derivative of its loss,
        without a penalty.
    penalised
        The same with a penalty, whose own part may be right where the rest is not.
    residual
        How far the gradient is at most from that multiple of the derivative, relative to it,
        without a penalty.
    loss_error
        How far scikit-learn's loss is at most from ours, relative to it.
    """

    estimator: str
    loss: str
    output: str
    solver: str
    outputs: int
    compared: int
    ratios: tuple[float, float]
    penalised: tuple[float, float]
    residual: float
    loss_error: float

    @property
    def is_right(self) -> bool:
        """Whether the gradient is the derivative of the loss."""
        off = max(abs(r - 1) for r in (*self.ratios, *self.penalised))
        return max(off, self.residual, self.loss_error) <= TOLERANCE


@dataclass(frozen=True)
class Audit:
    """What was found in a release of scikit-learn.

    Attributes
    ----------
    version
        Of scikit-learn.
    rows
        A table.
    findings
        What is wrong, with its cause; each with the configuration that it is about.
    """

    version: str
    rows: list[Row]
    findings: list[tuple[str, Finding]]

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "package": "scikit-learn",
            "version": self.version,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "findings": [{"about": title, **dataclasses.asdict(f)} for title, f in self.findings],
        }


def audit_sklearn(seed: int = 0, progress: Callable[[str], None] | None = None) -> Audit:
    """Compare the gradients of scikit-learn's perceptrons with the derivatives of their losses.

    Parameters
    ----------
    seed
        Of data and weights.
    progress
        Called with what comes next.

    Returns
    -------
    Audit
        A table and findings.

    Examples
    --------
    >>> found = audit_sklearn()
    >>> row = found.rows[2]
    >>> row.estimator, row.loss, row.outputs, [round(ratio, 6) for ratio in row.ratios]
    ('MLPRegressor', 'squared_error', 3, [3.0, 3.0])
    >>> sorted({f.cause for _, f in found.findings})
    ['number of outputs']
    """
    rows: list[Row] = []
    findings: list[tuple[str, Finding]] = []
    for family, solver in itertools.product(_FAMILIES, _SOLVERS):
        if progress is not None:
            progress(f"{family.estimator}, {family.loss}, {_WAYS[solver]}")
        own = [_row(family, solver, k, seed) for k in OUTPUTS if _exists(family, k)]
        rows += own
        findings += _findings(family, solver, own, seed)
    return Audit(sklearn.__version__, rows, findings)


def _exists(family: Family, outputs: int) -> bool:
    """Return whether there is such a network: one of two classes has one output, logistic."""
    return family.output != "softmax" or outputs > 2


def _problems(family: Family, solver: str) -> Iterator[Problem]:
    """Iterate over activations, with and without a penalty, with and without weights."""
    kind = "classifier" if family.estimator == "MLPClassifier" else "regressor"
    choices = itertools.product(("identity", "logistic", "tanh", "relu"), (0.0, 0.3), (False, True))
    for activation, alpha, weighted in choices:
        yield Problem(kind, activation, family.output, family.loss, alpha, solver, weighted)


def _arrays(problem: Problem, outputs: int, seed: int) -> list[Any]:
    """Return data and weights that a problem is at home with."""
    rng = np.random.default_rng([seed, outputs])
    X = rng.normal(size=(EXAMPLES, FEATURES))
    if problem.output == "softmax":
        y = np.eye(outputs)[rng.integers(0, outputs, EXAMPLES)]
    elif problem.output == "logistic":
        y = (rng.random((EXAMPLES, outputs)) < 0.5).astype(float)
    elif problem.output == "exp":
        y = rng.uniform(0.5, 3.0, (EXAMPLES, outputs))
    else:
        y = rng.normal(size=(EXAMPLES, outputs))
    arrays = [X, y]
    if problem.weighted:
        arrays.append(rng.uniform(0.5, 2.0, EXAMPLES))
    for a, b in itertools.pairwise((FEATURES, *HIDDEN, outputs)):
        arrays += [rng.normal(0.0, 0.5, (a, b)), rng.normal(0.0, 0.5, b)]
    return arrays


class _Compared(NamedTuple):
    """A gradient beside a derivative."""

    penalised: bool
    ratio: float
    residual: float
    loss_error: float


def _compared(problem: Problem, arrays: list[Any]) -> _Compared:
    network = Network(problem)
    loss, gradients, _ = network.theirs(arrays)
    places = tuple(range(network.data, len(arrays)))

    def objective(*xs: Any) -> Any:
        return network.forward(*xs)[0]

    ours, derivatives = value_and_grad(objective, argnums=places)(*arrays)
    got, right = (np.concatenate([np.ravel(g) for g in gs]) for gs in (gradients, derivatives))
    ratio = float(got @ right / (right @ right))
    residual = float(np.linalg.norm(got - ratio * right) / np.linalg.norm(right))
    return _Compared(problem.alpha > 0, ratio, residual, abs(loss / float(ours) - 1))


def _row(family: Family, solver: str, outputs: int, seed: int) -> Row:
    problems = list(_problems(family, solver))
    found = [_compared(problem, _arrays(problem, outputs, seed)) for problem in problems]
    plain = [c for c in found if not c.penalised]
    ratios, penalised = (
        (min(c.ratio for c in some), max(c.ratio for c in some))
        for some in (plain, [c for c in found if c.penalised])
    )
    return Row(
        *family,
        _WAYS[solver],
        outputs,
        len(found),
        ratios,
        penalised,
        max(c.residual for c in plain),
        max(c.loss_error for c in found),
    )


def _findings(
    family: Family, solver: str, rows: list[Row], seed: int
) -> Iterator[tuple[str, Finding]]:
    """Iterate over what `check` says, once of one output and once of several."""
    title = f"{family.estimator}, {family.loss}, {_WAYS[solver]}"
    problem = next(
        p
        for p in _problems(family, solver)
        if p.activation == "tanh" and p.alpha and not p.weighted
    )
    for some in ([r for r in rows if r.outputs == 1], [r for r in rows if r.outputs > 1]):
        if some:
            arrays = _arrays(problem, some[-1].outputs, seed)
            target = target_of(problem, arrays, family.estimator)
            for f in check_foreign(target, seed=seed):
                yield title, dataclasses.replace(f, evidence=(*f.evidence, _measured(rows)))


def _measured(rows: list[Row]) -> str:
    """Return the ratios of the table in words: sizes that a check draws are others."""
    counts = ", ".join(str(row.outputs) for row in rows)
    ratios = ", ".join(f"{row.ratios[1]:.6g}" for row in rows)
    return f"without alpha: {ratios} for {counts} outputs"
