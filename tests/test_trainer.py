"""Steps one by one and epochs in one call give what `fit` gives."""

import numpy as np
import pytest

import chainrule
import chainrule.train.engine as engine_module
import chainrule.train.recorded as recorded_module
from chainrule import nn, train
from chainrule.errors import DivergenceError, ShapeError
from chainrule.interop.sklearn.settings import layers_of
from chainrule.interop.sklearn.solvers import recordings_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6))
LABELS = np.argmax(X[:, :3], axis=1)


def network(**options):
    return nn.MLP([6, 16, 3], seed=0, **options)


def trainer(model=None, **options):
    options = {"loss": nn.CrossEntropyLoss(), **options}
    return train.Trainer(network() if model is None else model, **options)


def weights(model):
    return model.state_dict()


def same(a, b):
    assert a.keys() == b.keys()
    for name, x in a.items():
        np.testing.assert_array_equal(x, b[name])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_an_epoch_is_the_epoch_of_fit(dropout):
    by_fit = network(dropout=dropout)
    history = train.fit(
        by_fit, X, LABELS, loss=nn.CrossEntropyLoss(), epochs=3, batch_size=32, shuffle=False
    )
    by_epochs = trainer(network(dropout=dropout))
    losses = [by_epochs.epoch(X, LABELS, 32) for _ in range(3)]
    same(weights(by_fit), weights(by_epochs.give_back()))
    np.testing.assert_array_equal(losses, history.loss)


def test_the_loss_of_an_epoch_does_not_depend_on_how_many_steps_come_at_once(monkeypatch):
    def losses(at_once):
        monkeypatch.setattr(engine_module.Engine, "count", lambda *_: at_once)
        one = trainer()
        return [one.epoch(X, LABELS, 3) for _ in range(3)]

    assert losses(1) == losses(7) == losses(100)


def test_weights_of_classes():
    of_classes = np.array([1.0, 5.0, 0.5])
    loss = nn.CrossEntropyLoss(weight=of_classes)
    by_fit = network()
    train.fit(by_fit, X, LABELS, loss=loss, epochs=2, batch_size=32, shuffle=False)
    by_epochs = trainer(loss=loss)
    for _ in range(2):
        by_epochs.epoch(X, LABELS, 32)
    same(weights(by_fit), weights(by_epochs.give_back()))


def test_steps_are_the_steps_of_an_epoch():
    by_steps, by_epoch = trainer(), trainer()
    losses = [by_steps.step(X[k : k + 32], LABELS[k : k + 32]) for k in (0, 32, 64)]
    mean = by_epoch.epoch(X, LABELS, 32)
    np.testing.assert_allclose(np.dot(losses, [32, 32, 6]) / 70, mean, rtol=1e-12)
    for name, w in by_steps.parameters.items():
        np.testing.assert_allclose(w, by_epoch.parameters[name], rtol=1e-12, atol=1e-15)


def test_the_order_says_which_examples_come():
    order = np.random.default_rng(1).permutation(70)[:64]
    by_order, by_steps = trainer(), trainer()
    by_order.epoch(X, LABELS, 32, order)
    for k in (0, 32):
        by_steps.step(X[order[k : k + 32]], LABELS[order[k : k + 32]])
    for name, w in by_steps.parameters.items():
        np.testing.assert_allclose(w, by_order.parameters[name], rtol=1e-12, atol=1e-15)


def test_lists_weights_and_schedules():
    a = trainer(optimiser=train.SGD(train.Step(0.1, step_size=2)))
    b = trainer(optimiser=train.SGD(0.1))
    for _ in range(2):
        one = a.step(X[:8].tolist(), LABELS[:8].tolist())
        assert one == pytest.approx(b.step(X[:8], LABELS[:8], np.ones(8)), rel=1e-12)
    np.testing.assert_allclose(a.step(X[:8], LABELS[:8]), b.step(X[:8], LABELS[:8]), rtol=1e-12)
    assert not np.allclose(a.step(X[:8], LABELS[:8]), b.step(X[:8], LABELS[:8]), rtol=1e-9)


def test_the_model_is_as_it_was_until_it_is_given_back():
    model = network()
    before = weights(model)
    going = trainer(model)
    going.step(X, LABELS)
    same(before, weights(model))
    assert model.training
    assert not going.give_back().training
    assert not np.array_equal(before["0.weight"], weights(model)["0.weight"])


def test_a_loss_that_is_not_finite_leaves_the_weights():
    going = trainer()
    going.step(X, LABELS)
    before = {name: w.copy() for name, w in going.parameters.items()}
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(DivergenceError, match="loss or gradient of step 1"):
        going.step(bad, LABELS)
    same(before, dict(going.parameters))
    assert np.isfinite(going.step(X, LABELS))


@pytest.mark.parametrize("copies", ["from the start", "from a copy"])
def test_an_update_that_overflows_in_an_epoch_is_taken_back(monkeypatch, copies):
    if copies == "from a copy":
        monkeypatch.setattr(engine_module, "_FIRST", 0.0)
        monkeypatch.setattr(engine_module, "_COPIES", 0)

    def rate(step):
        return 1e-2 if step < 5 else 1e308

    options = {"loss": nn.CrossEntropyLoss(), "optimiser": train.SGD(rate), "batch_size": 16}
    model, until = network(), network()
    with pytest.raises(DivergenceError, match="update of step 5"):
        train.fit(model, X * 100, LABELS, epochs=3, shuffle=False, **options)
    good = train.Trainer(until, loss=options["loss"], optimiser=train.SGD(1e-2))
    good.epoch(X * 100, LABELS, 16, np.arange(70))
    same(weights(good.give_back()), weights(model))


def test_labels_out_of_range_in_a_later_batch_are_an_error():
    going = trainer()
    going.step(X, LABELS)
    wrong = LABELS.copy()
    wrong[5] = 7
    with pytest.raises(IndexError):
        going.step(X, wrong)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError):
        trainer().step(X, LABELS[:-1])


def test_without_machine_code_the_steps_are_the_same_to_rounding(monkeypatch):
    native = trainer()
    losses = [native.epoch(X, LABELS, 32) for _ in range(3)]
    monkeypatch.setenv("CHAINRULE_EXECUTOR", "numpy")
    plain = trainer()
    np.testing.assert_allclose([plain.epoch(X, LABELS, 32) for _ in range(3)], losses, rtol=1e-10)
    assert np.isfinite(plain.step(X, LABELS))


def test_weights_of_examples_in_an_epoch_are_those_of_fit():
    weights_of_examples = RNG.uniform(0.5, 2.0, size=70)
    by_fit, by_epochs = network(), network()
    history = train.fit(
        by_fit,
        X,
        LABELS,
        loss=nn.CrossEntropyLoss(),
        epochs=2,
        sample_weight=weights_of_examples,
        shuffle=False,
    )
    going = trainer(by_epochs)
    losses = [going.epoch(X, LABELS, 32, sample_weight=weights_of_examples) for _ in range(2)]
    np.testing.assert_allclose(losses, history.loss, rtol=1e-12)
    same(weights(going.give_back()), weights(by_fit))


def test_trainings_that_share_recordings_are_apart(monkeypatch):
    recordings = {}
    shared = [trainer(recordings=recordings), trainer(recordings=recordings)]
    alone = trainer()
    other = X[::-1].copy()
    shared[0].epoch(X, LABELS, 35)
    before = {name: x.copy() for name, x in shared[0].parameters.items()}
    monkeypatch.setattr(recorded_module, "trace", None)  # nothing is recorded any more
    shared[1].epoch(other, LABELS, 35)
    monkeypatch.undo()
    alone.epoch(other, LABELS, 35)
    same(before, shared[0].parameters)
    same(weights(shared[1].give_back()), weights(alone.give_back()))
    assert len(recordings) == 1


def test_an_update_of_another_module_of_ours_goes_through_flat_arrays():
    """An optimiser declared outside of train, in the package, has its parameters in one walk."""
    estimator = chainrule.MLPClassifier((4,), max_iter=1, random_state=0)
    with pytest.warns(match="converged"):
        estimator.fit(X, LABELS)
    step = next(iter(recordings_of(estimator, layers_of(estimator)).values()))
    sizes = [step.graph.nodes[i].shape for i in step.graph.inputs[:3]]
    assert sizes[0] == sizes[1] == sizes[2]  # parameters, and the two means of Adam
    assert len(sizes[0]) == 1
