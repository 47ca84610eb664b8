"""scikit-learn's callbacks follow a fit, see its weights, and may end it."""

import numpy as np
import pytest
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule import MLPClassifier, MLPRegressor

# Few epochs are enough to be followed.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)
SETTINGS = {"max_iter": 20, "learning_rate_init": 0.02, "random_state": 0, "batch_size": 30}


def test_a_progress_bar_and_a_monitor_follow_the_epochs(capsys):
    monitor = ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**SETTINGS).set_callbacks(monitor, ProgressBar()).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == model.n_iter_ == 20
    assert rows[-1]["accuracy"] == model.score(X, y)
    assert rows[0]["accuracy"] < rows[-1]["accuracy"]
    assert "MLPClassifier" in capsys.readouterr().out


def test_a_monitor_follows_lbfgs():
    monitor = ScoringMonitor(scoring="r2")
    model = MLPRegressor(solver="lbfgs", max_iter=8, random_state=0).set_callbacks(monitor)
    model.fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(rows) == model.n_iter_
    assert rows[-1]["r2"] == pytest.approx(model.score(X, y))


class Enough:
    """Asks for the end after three epochs."""

    def setup(self, estimator, context):
        self.ends = 0

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.ends += 1
        return context.task_name == "epoch" and context.task_id == 2

    def teardown(self, estimator, context):
        pass


def test_a_callback_ends_a_fit():
    model = MLPClassifier(**SETTINGS).set_callbacks(Enough()).fit(X, y)
    assert model.n_iter_ == 3


class Impatient(Enough):
    """Is the user who presses Ctrl-C after two epochs."""

    def on_fit_task_end(self, estimator, context):
        if context.task_id == 1 and context.task_name == "epoch":
            raise KeyboardInterrupt


def test_ctrl_c_leaves_what_was_learned():
    model = MLPClassifier(**SETTINGS).set_callbacks(Impatient())
    with pytest.warns(match="interrupted by user") as seen:
        model.fit(X, y)
    assert seen[0].filename == __file__
    short = MLPClassifier(**SETTINGS | {"max_iter": 2}).fit(X, y)
    assert np.array_equal(model.coefs_[0], short.coefs_[0])


def test_callbacks_reach_into_a_search_and_a_pipeline():
    monitor = ScoringMonitor(scoring="accuracy")
    model = make_pipeline(StandardScaler(), MLPClassifier(**SETTINGS).set_callbacks(monitor))
    GridSearchCV(model, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2).fit(X, y)
    assert len(monitor.get_logs(select="all")) >= 1
