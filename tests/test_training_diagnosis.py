"""What is said of a training: from its records, and from a few steps made to see."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import nn, ops, train
from chainrule.errors import DivergenceError, InputTypeError, SettingError
from chainrule.inspect.finding import CAUSES
from chainrule.inspect.training import diagnose_training
from chainrule.train import Epoch, History

CE, MSE = nn.CrossEntropyLoss(), nn.MSELoss()
rng = np.random.default_rng(0)
X = rng.normal(size=(256, 8))
y = np.argmax(X[:, :4] + 0.3 * X[:, 4:], axis=1)


def mlp(*hidden, **options):
    return nn.MLP([8, *hidden, 4], seed=0, **options)


def trained(model=None, X=X, y=y, optimiser=None, epochs=12, **options):
    """Return a model and the history of its training, also of one that diverged."""
    model = mlp(32) if model is None else model
    try:
        return model, train.fit(model, X, y, loss=CE, optimiser=optimiser, epochs=epochs, **options)
    except DivergenceError as error:
        return model, error.history


def codes(found, notes=False):
    return [f.code for f in found if notes or f.severity != "note"]


def of_losses(*losses, validation=None, norms=None, **fields):
    """Return a history with these numbers."""
    n = len(losses)
    validation = [np.nan] * n if validation is None else validation
    norms = [1.0] * n if norms is None else norms
    rows = [
        Epoch(k + 1, 10 * (k + 1), loss, v, 0.01, norm, 0.1)
        for k, (loss, v, norm) in enumerate(zip(losses, validation, norms, strict=True))
    ]
    return History(rows, **{"best_epoch": n, "first_loss": losses[0], **fields})


# ------------------------------------------------------------------ what fit notes


def test_fit_notes_its_settings_and_the_first_loss():
    model = mlp(16)
    before = float(CE(model.eval()(X), y))
    _, history = trained(model, batch_size=256, epochs=2, shuffle=False)
    assert history.settings["shuffle"] is False
    assert (history.settings["batch_size"], history.settings["examples"]) == (256, 256)
    assert history.first_loss == pytest.approx(before, rel=1e-12)
    assert history.diverged == ""


def test_the_first_loss_is_kept_by_a_checkpoint(tmp_path):
    _, whole = trained(mlp(16), epochs=4)
    path = tmp_path / "training.safetensors"
    trained(mlp(16), epochs=2, checkpoint=path)
    _, resumed = trained(mlp(16), epochs=4, checkpoint=path, resume=True)
    assert resumed.first_loss == whole.first_loss
    assert resumed.settings == whole.settings


def test_a_divergence_says_which_step_it_was():
    broken = X.copy()
    broken[77, 3] = np.nan
    _, history = trained(X=broken)
    assert history.diverged.startswith("the loss of step ")
    aside = X[:20].copy()
    aside[3] = np.nan
    _, history = trained(validation=(aside, y[:20]))
    assert history.diverged == "the validation loss after epoch 1"


# ------------------------------------------------------------------ nothing is the matter


@pytest.mark.parametrize(
    "optimiser",
    [
        None,
        train.Adam(1e-2),
        train.SGD(0.1),
        train.SGD(0.05, momentum=0.9),
        train.RMSprop(1e-3),
        train.AdamW(3e-3),
    ],
    ids=lambda o: type(o).__name__,
)
def test_usual_trainings_are_fine(optimiser):
    model, history = trained(optimiser=optimiser, epochs=15, validation=0.2)
    assert codes(diagnose_training(history, model, X, y, loss=CE, optimiser=optimiser)) == []


@pytest.mark.parametrize(
    ("activation", "hidden"),
    [("relu", ()), ("tanh", (16,)), ("sigmoid", (16,)), ("relu", (32, 32))],
)
def test_models_that_can_learn_are_fine_before(activation, hidden):
    model = nn.MLP([8, *hidden, 4], activation, seed=1)
    for optimiser in (None, train.SGD(0.1)):
        assert diagnose_training(None, model, X, y, loss=CE, optimiser=optimiser) == []


def test_early_stopping_is_fine():
    model, history = trained(
        optimiser=train.Adam(1e-2),
        epochs=60,
        validation=0.3,
        early_stopping=train.EarlyStopping(patience=5),
    )
    assert codes(diagnose_training(history, model, X, y, loss=CE)) == []


def test_losses_near_zero_may_wobble():
    losses = [2.0, 0.5, 0.1, 0.01, 0.002, 0.004, 0.001, 0.003, 0.001, 0.002, 0.001]
    assert diagnose_training(losses) == []


def test_a_regression_is_fine():
    target = X[:, :1] * X[:, 1:2]
    model = nn.MLP([8, 32, 1], seed=0)
    history = train.fit(model, X, target, loss=MSE, optimiser=train.Adam(1e-2), epochs=30)
    assert codes(diagnose_training(history, model, X, target, loss=MSE)) == []


# ------------------------------------------------------------------ from the records


def test_a_rate_that_is_too_large_diverges_and_both_are_said():
    _, history = trained(optimiser=train.SGD(1e12))
    (found,) = diagnose_training(history)
    assert found.code == "CD401"
    assert "lower the learning rate" in found.advice


def test_a_nan_in_the_examples_is_not_blamed_on_the_rate():
    broken = X.copy()
    broken[77, 3] = np.nan
    _, history = trained(X=broken)
    (found,) = diagnose_training(history)
    assert found.code == "CD401"
    assert "chainrule.why" in found.advice
    assert f"{history.first_loss:.4g}" in found.evidence[0]


def test_losses_that_are_not_finite_are_divergence_too():
    (found,) = diagnose_training([2.0, 1.9, np.nan, np.nan])
    assert "epoch 3" in found.message


def test_a_loss_that_rises_or_swings():
    _, history = trained(optimiser=train.SGD(30.0))
    assert "CD402" in codes(diagnose_training(history))
    swings = [2.0, 1.0, 1.5, 0.9, 1.4, 0.8, 1.3, 0.7]
    (found,) = diagnose_training(swings)
    assert (found.code, "3 of 7 epochs" in found.message) == ("CD402", True)
    assert diagnose_training([2.0, 1.0, 1.1, 0.9, 1.0, 0.8, 0.9, 0.7]) == []


def test_examples_in_the_order_of_their_labels():
    order = np.argsort(y, kind="stable")
    _, history = trained(X=X[order], y=y[order], shuffle=False)
    assert codes(diagnose_training(history, y=y[order])) == ["CD403"]
    assert codes(diagnose_training(history)) == ["CD403"]
    _, history = trained(shuffle=False)
    assert codes(diagnose_training(history, y=y)) == []  # the order is random already
    _, history = trained(X=X[order], y=y[order], shuffle=False, batch_size=256)
    assert codes(diagnose_training(history, y=y[order])) == []  # one batch has no order


def test_numbers_in_order_are_seen_too():
    target = np.sort(rng.normal(size=256))
    settings = {"shuffle": False, "batch_size": 32, "examples": 256}
    history = of_losses(2.0, 1.5, 1.2, 1.0, 0.9, settings=settings)
    assert codes(diagnose_training(history, y=target)) == ["CD403"]
    assert codes(diagnose_training(history, y=rng.permutation(target))) == []


def test_over_fitting():
    labels = rng.integers(0, 4, 60)
    _, history = trained(X=X[:60], y=labels, epochs=120, optimiser=train.Adam(1e-2), validation=0.3)
    (found,) = diagnose_training(history)
    assert found.code == "CD404"
    best = int(np.argmin(history.validation_loss))
    assert f"epoch {best + 1} ({history.validation_loss[best]:.4g})" in found.message
    stopped = of_losses(*history.loss, validation=history.validation_loss, best_epoch=best + 1)
    assert codes(diagnose_training(stopped)) == []  # it has the best weights


def test_a_loss_at_rest_is_a_note():
    (found,) = diagnose_training([2.3, 1.6] + [1.5] * 12)
    assert (found.code, found.severity) == ("CD405", "note")
    assert diagnose_training(list(2.3 * 0.8 ** np.arange(20))) == []


def test_a_rate_that_is_too_small():
    model, history = trained(optimiser=train.SGD(1e-5))
    assert codes(diagnose_training(history), notes=True) == ["CD406"]
    found = diagnose_training(history, model, X, y, loss=CE, optimiser=train.SGD(1e-5))
    assert codes(found) == ["CD406", "CD412"]
    assert "lr=" in found[1].advice


def test_a_gradient_that_grows():
    norms = [1.0, 1.2, 0.9, 1.1, 500.0, 0.8]
    (found,) = diagnose_training(of_losses(2.0, 1.9, 1.8, 1.8, 2.0, 1.7, norms=norms))
    assert (found.code, "500 in epoch 5" in found.message) == ("CD407", True)
    assert (
        diagnose_training(of_losses(2.0, 1.9, 1.8, 1.8, 1.8, 1.7, norms=[1, 2, 4, 8, 9, 9])) == []
    )


def test_a_loss_that_starts_too_high():
    _, history = trained(X=300 * X)
    (found,) = [f for f in diagnose_training(history, y=y) if f.severity != "note"]
    assert found.code == "CD408"
    assert f"{np.log(4):.3f}" in found.message
    _, history = trained()
    assert diagnose_training(history, y=y) == []


# ------------------------------------------------------------------ from trials


class Cut(nn.Module):
    def __init__(self):
        self.first, self.second = nn.Linear(8, 16, seed=0), nn.Linear(16, 4, seed=1)

    def forward(self, x):
        return ops.stop_gradient(self.second(np.tanh(self.first(x)))) + 0 * self.second(
            self.first(x)
        )


def test_a_network_that_cannot_learn_one_batch():
    model = Cut()
    found = diagnose_training(None, model, X, y, loss=CE)
    assert codes(found) == ["CD411"]
    assert len(found[0].evidence) == 3
    _, history = trained(Cut())
    assert "CD411" in codes(diagnose_training(history, model, X, y, loss=CE))


def test_a_rate_that_blows_up_is_compared_with_a_tenth_of_it():
    optimiser = train.SGD(50.0)
    found = diagnose_training(None, mlp(32), X, y, loss=CE, optimiser=optimiser)
    assert codes(found) == ["CD412"]
    better = float(found[0].advice.split("lr=")[1].rstrip("."))
    assert better < 50
    # the trial was right: the rate that it names learns
    _, history = trained(optimiser=train.SGD(better))
    assert history.loss[-1] < 0.7 * history.loss[0]


def test_trials_leave_the_model_as_it_is():
    model = nn.Sequential(
        nn.Linear(8, 16, seed=0), nn.BatchNorm1d(16), nn.Linear(16, 4, seed=1)
    ).eval()
    before = model.state_dict()
    diagnose_training(None, model, X, y, loss=CE)
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert not model.training


# ------------------------------------------------------------------ what is asked


def test_something_has_to_be_given():
    with pytest.raises(SettingError):
        diagnose_training()
    with pytest.raises(SettingError):
        diagnose_training(None, mlp(8), X, y)
    with pytest.raises(InputTypeError):
        diagnose_training("history")
    with pytest.raises(InputTypeError):
        diagnose_training(np.ones((3, 3)))


def test_an_empty_history_says_nothing():
    assert diagnose_training(History()) == []
    assert diagnose_training([]) == []
    assert diagnose_training([1.0]) == []


def test_the_losses_of_a_dense_network_will_do():
    network = nn.DNN([8, 8, 4], "tanh", "softmax", "rows", seed=0)
    losses = network.fit(X, y, learning_rate=0.5, epochs=50)
    assert diagnose_training(losses) == []


@pytest.mark.parametrize("code", [c for c in CAUSES if c.startswith("CD4")])
def test_each_rule_says_what_it_sees_why_and_what_to_do(code):
    doc = CAUSES[code].doc
    assert "For example" in doc, code
    assert "It matters" in doc, code


# ------------------------------------------------------------------ rates and targets


def linear_task(seed=0):
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(200, 8))
    return inputs, inputs @ draw.normal(size=(8, 1)) + 0.1 * draw.normal(size=(200, 1))


def regression(inputs, target, optimiser):
    model = nn.MLP([8, 16, 1], seed=0)
    history = train.fit(model, inputs, target, loss=MSE, optimiser=optimiser, epochs=20, seed=0)
    return model, history


def test_a_training_that_shot_up_and_ended_worse_than_it_began():
    inputs, target = linear_task()
    _, history = regression(inputs, target, train.Adam(lr=3.0))
    assert history.loss[0] > history.loss[-1] > 2 * history.first_loss
    (found,) = diagnose_training(history)
    assert found.code == "CD402"
    assert f"above the {history.first_loss:.4g} that it began with" in found.message


@pytest.mark.parametrize("batch_size", [1, 8, 32, 200])
def test_a_first_batch_that_happened_to_be_easy_is_no_start(batch_size):
    draw = np.random.default_rng(1)
    settings = {"batch_size": batch_size, "examples": 200, "shuffle": True}
    for _ in range(200):  # squared errors of normal numbers that cannot be predicted
        first = np.mean(draw.normal(size=batch_size) ** 2)
        losses = np.mean(draw.normal(size=(12, 200)) ** 2, axis=1)
        history = of_losses(*np.sort(losses)[::-1], settings=settings, first_loss=first)
        assert "CD402" not in codes(diagnose_training(history))


def test_a_first_batch_without_an_outlier_is_no_start():
    losses = [11641, 11500, 11200, 10900, 10300, 9800, 9100, 8300.0]
    settings = {"batch_size": 16, "examples": 200, "shuffle": True}
    assert codes(diagnose_training(of_losses(*losses, settings=settings, first_loss=819.0))) == []


def test_targets_far_from_the_outputs_are_said_instead_of_a_larger_rate():
    inputs, target = linear_task()
    far = 1e4 * target + 1e6
    optimiser = train.Adam(lr=1e-3)
    model, history = regression(inputs, far, optimiser)
    for tried in (model, nn.MLP([8, 16, 1], seed=0)):
        found = diagnose_training(history, tried, inputs, far, loss=MSE, optimiser=optimiser)
        assert codes(found, notes=True) == ["CD317"]
    scaled = (far - far.mean()) / far.std()
    model, history = regression(inputs, scaled, train.Adam(lr=1e-2))
    assert codes(diagnose_training(history, model, inputs, scaled, loss=MSE)) == []
