"""What the estimators reach on real data beside scikit-learn's, and how long they take.

Both are used as they come: every setting at its default, the same five seeds for the split and the
weights, examples standardised. A score is the accuracy, or R² of a regression, on examples kept
aside; its spread is the standard deviation over the seeds.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import chainrule
from benchmarks.bars import Judgement
from benchmarks.keel import keel
from benchmarks.report import store

if TYPE_CHECKING:
    from benchmarks.options import Options

KINDS = {"chainrule": chainrule, "scikit-learn": neural_network}
SETS = {
    **{
        name: getattr(datasets, f"load_{name.replace(' ', '_')}")
        for name in ("iris", "wine", "breast cancer", "digits", "diabetes")
    },
    **dict.fromkeys(("letter", "satimage", "magic")),
}
SEEDS = range(5)


def main(options: Options) -> None:
    """Fit, print and store."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs are not always enough
    rows = []
    print(f"\n{'':<14}{'score, ours':>20}{'scikit-learn':>20}{'fit, ours':>12}{'theirs':>12}")
    for name in SETS:
        scores, seconds = measured(name, SEEDS[:2] if options.quick else SEEDS)
        row = {"data": name, "scores": scores, "seconds": seconds}
        rows.append(row)
        said = "".join(f"{np.mean(s):>11.3f} ± {np.std(s):.3f}" for s in scores.values())
        took = "".join(f"{np.median(t):>10.2f} s" for t in seconds.values())
        print(f"{name:<14}{said}{took}")
    if not options.quick:
        store("scores-1", {"rows": rows}, [judged(rows)])


def judged(rows) -> Judgement:
    """Hold each mean of ours at theirs, less the spread of theirs."""
    worse = []
    for row in rows:
        ours, theirs = (row["scores"][name] for name in KINDS)
        if np.mean(ours) < np.mean(theirs) - np.std(theirs):
            worse.append(row["data"])
    found = f"{len(rows) - len(worse)} of {len(rows)} sets" + "".join(f", not {x}" for x in worse)
    return Judgement("score ≥ scikit-learn's − its spread over five seeds", found, not worse)


def measured(name, seeds):
    """Return scores and seconds of both, a number for each seed; they take turns."""
    X, y = SETS[name](return_X_y=True) if SETS[name] is not None else keel(name)
    kind = "MLPRegressor" if name == "diabetes" else "MLPClassifier"
    scores, seconds = {k: [] for k in KINDS}, {k: [] for k in KINDS}
    for seed in seeds:
        train, test, y_train, y_test = train_test_split(X, y, random_state=seed)
        scale = StandardScaler().fit(train)
        for library, package in KINDS.items():
            model = getattr(package, kind)(random_state=seed)
            start = time.perf_counter()
            model.fit(scale.transform(train), y_train)
            seconds[library].append(time.perf_counter() - start)
            scores[library].append(float(model.score(scale.transform(test), y_test)))
    return scores, seconds
