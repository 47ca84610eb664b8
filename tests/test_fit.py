"""Training: exact to the bit, and what stops it says where."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from chainrule import grad, nn, ops, train, vmap
from chainrule.errors import (
    DivergenceError,
    FileAccessError,
    ForeignFileError,
    LabelError,
    SettingError,
    ShapeError,
    StateError,
)
from chainrule.train import Adam, EarlyStopping, fit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 6))
LABELS = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


def cross_entropy(output, labels, weights=None):
    losses = ops.softmax_cross_entropy(output, labels)
    return np.average(losses, weights=weights)


def squared_error(output, target):
    return np.mean((output - target) ** 2)


def dense(seed=0):
    return nn.MLP([6, 16, 3], activation="tanh", seed=seed)


def with_dropout():
    return nn.MLP([6, 16, 16, 3], dropout=0.3, seed=1)


def chain_with_shortcut():
    inside = nn.Sequential(nn.Linear(6, 6, seed=2), nn.GELU())
    return nn.Sequential(nn.Residual(inside), nn.Linear(6, 3, seed=3)).astype(np.float32)


NETWORKS = [dense, with_dropout, chain_with_shortcut]


def weights_of(model):
    return {name: x.tobytes() for name, x in model.state_dict().items()}


def trained(build, epochs=4, **options):
    model = build()
    x = X.astype(next(model.parameters()).dtype)
    history = fit(
        model, x, LABELS, loss=cross_entropy, optimiser=Adam(0.01), epochs=epochs, **options
    )
    return model, history


@pytest.mark.parametrize("build", NETWORKS)
def test_a_run_repeats_bit_for_bit(build):
    (a, first), (b, second) = trained(build), trained(build)
    assert weights_of(a) == weights_of(b)
    assert first.loss.tobytes() == second.loss.tobytes()
    assert weights_of(a) != weights_of(trained(build, seed=1)[0])


@pytest.mark.parametrize("build", NETWORKS)
def test_training_lowers_the_loss(build):
    _, history = trained(build, epochs=20)
    assert history.loss[-1] < 0.7 * history.loss[0]


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"averaging": train.EMA(0.9)},
        {"validation": 0.2, "early_stopping": EarlyStopping(patience=2)},
    ],
    ids=["plain", "averages", "early stopping"],
)
def test_a_resumed_run_is_the_uninterrupted_one(build, options, tmp_path):
    path = tmp_path / "run.safetensors"
    whole, history = trained(build, epochs=5, **options)
    trained(build, epochs=2, checkpoint=path, **options)
    resumed, rest = trained(build, epochs=5, checkpoint=path, resume=True, **options)
    assert weights_of(resumed) == weights_of(whole)
    assert rest.loss.tobytes() == history.loss.tobytes()


def test_interrupted_anywhere_and_resumed_is_the_uninterrupted_run(tmp_path, capsys):
    path = tmp_path / "run.safetensors"
    model = dense()
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    options = {"loss": cross_entropy, "optimiser": Adam(0.01), "checkpoint": path}
    with pytest.raises(KeyboardInterrupt, match="interrupted after step"):
        fit(model, X, LABELS, epochs=100_000, **options)
    assert "interrupted after step" in capsys.readouterr().err
    assert np.isfinite(model(X)).all()
    reached = train.read_checkpoint(path).meta["epoch"] + 2
    resumed, _ = trained(dense, epochs=reached, checkpoint=path, resume=True)
    assert weights_of(resumed) == weights_of(trained(dense, epochs=reached)[0])


def test_ctrl_c_ends_a_program_with_130(tmp_path):
    program = (
        "import numpy as np\n"
        "from chainrule import nn\n"
        "from chainrule.train import fit\n"
        "x = np.ones((64, 4))\n"
        "print('started', flush=True)\n"
        "fit(nn.MLP([4, 4, 1], seed=0), x, x[:, :1], epochs=10**9,\n"
        f"    loss=lambda p, t: np.mean((p - t) ** 2), checkpoint={str(tmp_path / 'c')!r})\n"
    )
    run = subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout.readline() == "started\n"
    time.sleep(0.7)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=30)
    assert run.returncode in {130, -signal.SIGINT}  # a shell reports the signal as 130
    assert "the model has these weights" in said
    assert train.read_checkpoint(tmp_path / "c").meta["step"] > 0


@pytest.mark.parametrize("build", [dense, chain_with_shortcut])
def test_weights_of_one_are_no_weights(build):
    a, _ = trained(build)
    b, _ = trained(build, sample_weight=np.ones(len(X)))
    tolerance = 1e-12 if build is dense else 1e-5
    for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=tolerance * np.abs(q).max())


def objective(model, rows, weights=None):
    def loss(parameters):
        output, _ = nn.functional_call(model, parameters, X[rows])
        return cross_entropy(output, LABELS[rows], weights)

    return loss


def parameters_of(model):
    return {name: p.data for name, p in model.named_parameters()}


def test_a_weight_of_two_is_the_row_twice():
    model = dense()
    rows = np.arange(50)
    weights = np.ones(50)
    weights[7] = 2
    a = grad(objective(model, rows, weights))(parameters_of(model))
    b = grad(objective(model, np.append(rows, 7)))(parameters_of(model))
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-12 * np.abs(b[name]).max())


def test_the_mean_of_per_example_gradients_is_the_batch_gradient():
    model = dense()

    def loss(parameters, x, label):
        output, _ = nn.functional_call(model, parameters, x)
        return ops.softmax_cross_entropy(output, label)

    each = vmap(grad(loss), (None, 0, 0))(parameters_of(model), X, LABELS)
    whole = grad(objective(model, np.arange(len(X))))(parameters_of(model))
    for name in whole:
        difference = np.abs(each[name].mean(0) - whole[name]).max()
        assert difference <= 1e-12 * np.abs(whole[name]).max()


def test_a_batch_in_parts_is_the_batch():
    a, _ = trained(dense, batch_size=50)
    b, _ = trained(dense, batch_size=50, accumulate=3)
    for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=1e-11)


def test_a_sum_in_parts_is_the_sum():
    class Sum:
        reduction = "sum"

        def __call__(self, output, labels):
            return np.sum(ops.softmax_cross_entropy(output, labels))

    options = {"loss": Sum(), "optimiser": train.SGD(1e-3), "batch_size": 50}
    whole, parts = dense(), dense()
    fit(whole, X, LABELS, **options)
    fit(parts, X, LABELS, accumulate=3, **options)
    for p, q in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=1e-11)


def test_early_stopping_gives_back_the_best_weights():
    model = dense()
    aside = (X[100:], LABELS[100:])
    seen = {}

    def remember(row):
        seen[row.epoch] = weights_of(model)

    history = fit(
        model,
        X[:100],
        LABELS[:100],
        loss=cross_entropy,
        optimiser=Adam(0.05),
        epochs=200,
        validation=aside,
        early_stopping=EarlyStopping(patience=3),
        callbacks=[remember],
    )
    best = int(np.argmin(history.validation_loss)) + 1
    assert "no better loss for 3 epochs" in history.stopped
    assert history.best_epoch == best == len(history) - 3
    assert weights_of(model) == seen[best]


def test_a_callback_sees_each_epoch_and_may_end_the_training():
    rows = []

    def until_third(row):
        rows.append(row)
        return row.epoch == 3

    _, history = trained(dense, epochs=10, callbacks=[until_third])
    assert [row.epoch for row in rows] == [1, 2, 3]
    assert history.stopped == "a callback asked for it"
    assert history.step.tolist() == [5, 10, 15]


def test_schedules_clipping_and_averages_act():
    model = dense()
    history = fit(
        model, X, LABELS, loss=cross_entropy, optimiser=train.SGD(1.0), epochs=3, clip_norm=1e-6
    )
    assert history.gradient_norm.min() > 1e-3
    before = dense().state_dict()
    moved = sum(np.sum((p - before[name]) ** 2) for name, p in model.state_dict().items())
    assert 0 < np.sqrt(moved) <= 1e-6 * history.step[-1]
    plateau = train.ReduceOnPlateau(3.0, patience=1)
    history = fit(dense(), X, LABELS, loss=cross_entropy, optimiser=train.SGD(plateau), epochs=60)
    assert history.learning_rate[-1] < history.learning_rate[0]
    averaged, _ = trained(dense, averaging=train.EMA(0.99))
    assert weights_of(averaged) != weights_of(trained(dense)[0])


@pytest.mark.parametrize("build", NETWORKS)
def test_a_bad_row_is_found_and_the_weights_stay_finite(build):
    model = build()
    x = X.astype(next(model.parameters()).dtype)
    x[77, 3] = np.nan
    with pytest.raises(DivergenceError) as caught:
        fit(model, x, LABELS, loss=cross_entropy, epochs=3)
    text = str(caught.value)
    assert "the input X" in text
    assert "row 77 of X" in text
    assert re.search(r"the loss of step \d is not finite", text)
    assert all(np.isfinite(p).all() for p in model.state_dict().values())


def test_an_overflow_is_found_at_its_line():
    def exponential(output, labels):
        return np.mean(np.exp(output[:, 0] * 1e3))  # the line that overflows

    with pytest.raises(DivergenceError) as caught:
        fit(dense(), 10 * X, LABELS, loss=exponential, epochs=3)
    line = exponential.__code__.co_firstlineno + 1
    assert f"exp at test_fit.py:{line}" in str(caught.value)
    assert re.search(r"example: row \d+ of X", str(caught.value))


def test_learning_rates_that_diverge_stop_at_the_last_finite_weights():
    model = nn.Sequential(nn.Linear(6, 1, seed=0))
    with pytest.raises(DivergenceError, match="learning rate"):
        fit(model, X, X[:, :1], loss=squared_error, optimiser=train.SGD(1e3), epochs=500)
    assert all(np.isfinite(p).all() for p in model.state_dict().values())


def test_a_model_that_branches_on_numbers_is_walked():
    class Branching(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones((6, 3)))

        def forward(self, x):
            y = x @ self.weight
            return y if np.sum(y) > 0 else 2 * y

    history = fit(Branching(), X, LABELS, loss=cross_entropy, epochs=3)
    assert history.loss[-1] < history.loss[0]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"epochs": 0}, SettingError),
        ({"batch_size": -1}, SettingError),
        ({"batch_size": 2.5}, SettingError),
        ({"validation": 1.5}, SettingError),
        ({"validation": 1e-9}, SettingError),
        ({"validation": (X, LABELS[:-1])}, ShapeError),
        ({"sample_weight": np.ones(3)}, ShapeError),
        ({"early_stopping": 5}, SettingError),
        ({"callbacks": print}, SettingError),
    ],
)
def test_settings_out_of_range_are_refused(options, error):
    with pytest.raises(error):
        fit(dense(), X, LABELS, loss=cross_entropy, **options)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    trained(dense, epochs=1, checkpoint=path)
    with pytest.raises(StateError, match="does not fit"):
        trained(with_dropout, checkpoint=path, resume=True)


# ---------------------------------------------------------------- what a fresh pair of eyes found


def normalised():
    return nn.Sequential(
        nn.Linear(6, 8, seed=1),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(8, 3, seed=2),
    )


FULL = {
    "validation": 0.2,
    "batch_size": 16,
    "drop_last": True,
    "averaging": train.EMA(0.9),
    "clip_norm": 1.0,
    "sample_weight": np.linspace(0.5, 1.5, len(X)),
}


@pytest.mark.parametrize(
    "options",
    [
        FULL,
        FULL | {"shuffle": False},
        FULL | {"accumulate": 3},
        FULL | {"optimiser": Adam(train.ReduceOnPlateau(0.01, patience=1))},
        FULL | {"optimiser": train.Lion(1e-3)},
    ],
    ids=["full", "no shuffle", "parts", "plateau", "lion"],
)
def test_every_option_resumes_bit_for_bit(options, tmp_path):
    options = {"loss": cross_entropy, "optimiser": Adam(0.01)} | options
    path = tmp_path / "run.safetensors"
    whole, parts = normalised(), normalised()
    history = fit(whole, X, LABELS, epochs=6, **options)
    fit(normalised(), X, LABELS, epochs=2, checkpoint=path, **options)
    fit(normalised(), X, LABELS, epochs=4, checkpoint=path, resume=True, **options)
    rest = fit(parts, X, LABELS, epochs=6, checkpoint=path, resume=True, **options)
    assert weights_of(parts) == weights_of(whole)
    for name in ("loss", "validation_loss", "learning_rate", "gradient_norm"):
        assert getattr(rest, name).tobytes() == getattr(history, name).tobytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"averaging": None}, "average"),
        ({"optimiser": train.AdamW(0.01)}, "optimiser: 'Adam' then, 'AdamW' now"),
        ({"seed": 1}, "seed: 0 then, 1 now"),
        ({"batch_size": 10}, "batch_size: 16 then, 10 now"),
        ({"validation": None}, "validation"),
        ({"drop_last": False}, "drop_last"),
    ],
)
def test_a_training_with_other_settings_is_not_resumed(change, says, tmp_path):
    options = {"loss": cross_entropy, "optimiser": Adam(0.01), "checkpoint": tmp_path / "c"} | FULL
    fit(normalised(), X, LABELS, epochs=1, **options)
    with pytest.raises(StateError, match=says):
        fit(normalised(), X, LABELS, epochs=2, resume=True, **options | change)


def test_a_checkpoint_of_something_else_and_a_missing_folder_are_said_at_once(tmp_path):
    path = tmp_path / "c"
    train.write_checkpoint(path, dense().state_dict())
    with pytest.raises(ForeignFileError):
        trained(dense, checkpoint=path, resume=True)
    with pytest.raises(FileAccessError, match="does not exist"):
        trained(dense, checkpoint=tmp_path / "nowhere" / "c")
    with pytest.raises(SettingError, match="needs checkpoint"):
        trained(dense, resume=True)


@pytest.mark.parametrize("label", [-1, 3, 99])
def test_a_label_that_names_no_class_is_an_error_with_its_row(label):
    labels = LABELS.copy()
    labels[42] = label
    with pytest.raises(LabelError, match="42"):
        fit(dense(), X, labels, loss=nn.CrossEntropyLoss(), epochs=1)


def test_a_batch_in_which_nothing_counts_changes_nothing():
    labels = np.where(np.arange(len(X)) < 32, -100, LABELS)
    history = fit(dense(), X, labels, loss=nn.CrossEntropyLoss(), shuffle=False, epochs=3)
    assert np.isfinite(history.loss).all()
    with pytest.raises(LabelError):
        fit(dense(), X, np.full(len(X), -100), loss=nn.CrossEntropyLoss(), epochs=1)


def test_parts_are_exact_with_class_weights_and_ignored_labels():
    labels = np.where(np.arange(len(X)) % 7 == 0, -100, LABELS)
    loss = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 5.0]))
    whole, parts = dense(), dense()
    fit(whole, X, labels, loss=loss, batch_size=50, epochs=2)
    fit(parts, X, labels, loss=loss, batch_size=50, epochs=2, accumulate=4)
    for p, q in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=1e-11)


def test_parts_have_dropout_of_their_own():
    with_parts, without = (
        trained(with_dropout, accumulate=k, batch_size=len(X), epochs=1)[0] for k in (2, 1)
    )
    assert weights_of(with_parts) != weights_of(without)


def test_a_validation_loss_that_is_not_finite_stops_training():
    aside = X[:20].copy()
    aside[3] = np.nan
    with pytest.raises(DivergenceError, match="validation loss") as caught:
        trained(dense, validation=(aside, LABELS[:20]), early_stopping=EarlyStopping(2))
    assert len(caught.value.history) == 0


def test_an_update_that_is_not_finite_is_not_taken():
    model = nn.Sequential(nn.Linear(6, 1, seed=0))
    with pytest.raises(DivergenceError, match="update of step 0"):
        fit(model, X, X[:, :1], loss=nn.L1Loss(reduction="sum"), epochs=1, batch_size=200,
            optimiser=train.SGD(1e308))  # fmt: skip
    assert all(np.isfinite(p).all() for p in model.state_dict().values())
    with pytest.raises(DivergenceError, match="learning rate of step 2"):
        fit(model, X, X[:, :1], loss=nn.MSELoss(), epochs=1,
            optimiser=train.SGD(lambda step: np.nan if step == 2 else 1e-3))  # fmt: skip


def test_no_example_is_blamed_for_a_weight():
    model = nn.MLP([6, 32, 3], seed=0)
    model.get_parameter("0.weight").data[9, 1] = np.inf
    with pytest.raises(DivergenceError) as caught:
        fit(model, X, LABELS, loss=cross_entropy, epochs=1)
    assert "0.weight" in str(caught.value)
    assert "example" not in str(caught.value).replace("Look at the example", "")


def test_validation_judges_the_averages_that_the_model_gets():
    model = dense()
    aside = (X[100:], LABELS[100:])
    history = fit(
        model, X[:100], LABELS[:100], loss=cross_entropy, epochs=3, validation=aside,
        averaging=train.EMA(0.99),
    )  # fmt: skip
    assert cross_entropy(model(aside[0]), aside[1]) == pytest.approx(history.validation_loss[-1])


def test_a_model_trains_in_training_and_is_left_ready_to_predict():
    model = normalised().eval()
    fit(model, X, LABELS, loss=cross_entropy, epochs=2)
    assert model[1].num_batches_tracked == 10
    assert not any(module.training for module in model.modules())
    before = weights_of(model)
    np.testing.assert_array_equal(model(X), model(X))
    assert weights_of(model) == before


def test_a_sum_is_a_sum_however_many_rows():
    X_many, y_many = np.tile(X, (10, 1)), np.tile(LABELS, 10)
    history = fit(
        dense(), X, LABELS, loss=nn.CrossEntropyLoss(reduction="sum"), optimiser=train.SGD(0.0),
        epochs=1, validation=(X_many, y_many),
    )  # fmt: skip
    assert history.validation_loss[0] == pytest.approx(10 * history.loss[0])


def test_several_inputs_lists_and_weights_of_validation():
    class Sum(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(6, 3, seed=0)

        def forward(self, a, b):
            return self.layer(a + b)

    both = fit(Sum(), (X, X), LABELS, loss=cross_entropy, epochs=2)
    doubled = nn.Sequential(nn.Linear(6, 3, seed=0))
    assert (
        both.loss.tolist()
        == fit(doubled, 2 * X, LABELS, loss=cross_entropy, epochs=2).loss.tolist()
    )
    lists = fit(dense(), X.tolist(), LABELS.tolist(), loss=cross_entropy, epochs=1,
                validation=(X, LABELS, np.ones(len(X))))  # fmt: skip
    assert np.isfinite(lists.validation_loss).all()


@pytest.mark.parametrize(
    "options",
    [
        {"optimiser": Adam},
        {"optimiser": "adam"},
        {"loss": nn.CrossEntropyLoss},
        {"loss": "mse"},
        {"averaging": 0.9},
        {"callbacks": None},
        {"validation": "x"},
        {"seed": -1},
        {"seed": None},
    ],
)
def test_arguments_of_another_kind_are_refused(options):
    with pytest.raises(SettingError):
        fit(dense(), X, LABELS, **{"loss": cross_entropy} | options)
    with pytest.raises(SettingError):
        fit(nn.DNN([6, 3]), X, LABELS, loss=cross_entropy)
    with pytest.raises(SettingError, match="return_inverse"):
        fit(dense(), X, np.array(["a", "b"] * 75), loss=cross_entropy)


def test_ctrl_c_in_a_callback_is_not_lost():
    with pytest.raises(KeyboardInterrupt) as caught:
        trained(dense, epochs=1, callbacks=[lambda _: os.kill(os.getpid(), signal.SIGINT)])
    assert len(caught.value.history) == 1
