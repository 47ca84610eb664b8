"""Losses: their formulas, weights of examples, derivatives, and what they refuse."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import InputTypeError, LabelError, SettingError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
T = RNG.normal(size=(6, 3))
P = RNG.random((6, 3))
Y = np.array([0, 2, 1, 1, 0, 2])
W = np.array([1.0, 0.5, 2.0, 0.0, 3.0, 1.0])
ROWS = P / P.sum(axis=1, keepdims=True)
FACTORS = np.array([0.5, 2.0, 3.0])


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def log_softmax(x):
    return x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))


def entropy(x, t):
    return -np.sum(t * log_softmax(x), axis=1)


def huber(x, t, delta=0.7):
    d = np.abs(x - t)
    return np.where(d <= delta, d**2 / 2, delta * (d - delta / 2))


def binary(x, t):
    s = 1 / (1 + np.exp(-x))
    return -t * np.log(s) - (1 - t) * np.log(1 - s)


def stirling(x, t):
    more = t * np.log(t) - t + np.log(2 * np.pi * t) / 2
    return np.exp(x) - t * x + np.where(t > 1, more, 0)


COUNTS = np.array([[1.0, 2, 3]] * 3 + [[5.0, 1, 4]] * 3)
HOT = np.eye(3)[Y]

# name: the module, its input and target, and the loss of each entry by a plain formula
LOSSES = {
    "mse": (nn.MSELoss, {}, X, T, (X - T) ** 2),
    "l1": (nn.L1Loss, {}, X, T, np.abs(X - T)),
    "huber": (nn.HuberLoss, {"delta": 0.7}, X, T, huber(X, T)),
    "poisson": (nn.PoissonNLLLoss, {}, X, COUNTS, np.exp(X) - COUNTS * X),
    "poisson in full": (nn.PoissonNLLLoss, {"full": True}, X, COUNTS, stirling(X, COUNTS)),
    "poisson of rates": (
        nn.PoissonNLLLoss,
        {"log_input": False},
        P,
        COUNTS,
        P - COUNTS * np.log(P + 1e-8),
    ),
    "binary": (nn.BCEWithLogitsLoss, {}, X, P, binary(X, P)),
    "binary, weighed": (
        nn.BCEWithLogitsLoss,
        {"weight": FACTORS},
        X,
        P,
        binary(X, P) * FACTORS,
    ),
    "binary, rare": (
        nn.BCEWithLogitsLoss,
        {"pos_weight": FACTORS},
        X,
        P,
        P * FACTORS * np.log(1 + np.exp(-X)) + (1 - P) * np.log(1 + np.exp(X)),
    ),
    "labels": (nn.CrossEntropyLoss, {}, X, Y, entropy(X, HOT)),
    "smooth": (
        nn.CrossEntropyLoss,
        {"label_smoothing": 0.1},
        X,
        Y,
        entropy(X, 0.9 * HOT + 0.1 / 3),
    ),
    "probabilities": (nn.CrossEntropyLoss, {}, X, ROWS, entropy(X, ROWS)),
    "smooth probabilities": (
        nn.CrossEntropyLoss,
        {"label_smoothing": 0.1, "weight": FACTORS},
        X,
        ROWS,
        entropy(X, FACTORS * (0.9 * ROWS + 0.1 / 3)),
    ),
    "nll": (nn.NLLLoss, {}, log_softmax(X), Y, entropy(X, HOT)),
}
IGNORED = np.array([0, -100, 1, -100, 2, 2])
# the same, where the mean is not over all losses alike
UNEVEN = {
    "classes": (nn.CrossEntropyLoss, {"weight": FACTORS}, X, Y, FACTORS[Y] * entropy(X, HOT)),
    "ignored": (
        nn.CrossEntropyLoss,
        {"weight": FACTORS, "label_smoothing": 0.1},
        X,
        IGNORED,
        np.where(
            IGNORED >= 0,
            entropy(X, FACTORS * (0.9 * np.eye(3)[np.maximum(IGNORED, 0)] + 0.1 / 3)),
            0,
        ),
    ),
    "nll of classes": (
        nn.NLLLoss,
        {"weight": FACTORS, "ignore_index": 1},
        log_softmax(X),
        Y,
        np.where(Y == 1, 0, FACTORS[Y] * entropy(X, HOT)),
    ),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
and_uneven = pytest.mark.parametrize("name", LOSSES | UNEVEN)


def made(name, **more):
    kind, options, x, t, losses = (LOSSES | UNEVEN)[name]
    return kind(**options, **more), x, t, losses


@every_loss
def test_the_formula(name):
    loss, x, t, losses = made(name, reduction="none")
    close(loss(x, t), losses)
    loss, x, t, losses = made(name, reduction="sum")
    close(loss(x, t), losses.sum())
    loss, x, t, losses = made(name)
    close(loss(x, t), losses.mean())
    close(loss(x.tolist(), t.tolist()), losses.mean())


@every_loss
def test_weights_of_examples(name):
    loss, x, t, losses = made(name)
    weights = W.reshape((6,) + (1,) * (losses.ndim - 1))
    over = np.broadcast_to(weights, losses.shape)
    close(loss(x, t, weights=W), np.sum(losses * weights) / np.sum(over))
    close(loss(x, t, weights=over), np.sum(losses * weights) / np.sum(over))
    loss, *_ = made(name, reduction="sum")
    close(loss(x, t, weights=W), np.sum(losses * weights))
    loss, *_ = made(name, reduction="none")
    close(loss(x, t, weights=W), losses * weights)


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_one_change_nothing(name, reduction):
    loss, x, t, _ = made(name, reduction=reduction)
    plain = loss(x, t)
    g = np.ones(np.shape(plain))
    slope = loss.backward(g)
    close(loss(x, t, weights=np.ones(6)), plain)
    close(loss.backward(g), slope)


@every_loss
def test_a_weight_of_two_is_the_row_twice(name):
    loss, x, t, _ = made(name)
    weights = np.ones(6)
    weights[2] = 2
    close(loss(x, t, weights=weights), loss(*[np.concatenate([a, a[2:3]]) for a in (x, t)]))


@every_loss
def test_derivatives(name):
    for reduction, weights in (("mean", None), ("mean", W), ("sum", W)):
        loss, x, t, _ = made(name, reduction=reduction)
        cr.gradcheck(lambda x, loss=loss, w=weights: loss(x, t, weights=w), (x,))  # noqa: B023
        loss(x, t, weights=weights)
        slope = loss.backward()
        close(slope, cr.grad(lambda x, loss=loss, w=weights: loss(x, t, weights=w))(x))  # noqa: B023
        assert slope.shape == x.shape


@every_loss
def test_traced_on_shapes(name):
    loss, x, t, _ = made(name)
    graph = cr.trace(
        lambda x, t, w: loss(x, t, weights=w),
        cr.Spec(x.shape),
        cr.Spec(t.shape, t.dtype),
        cr.Spec((6,)),
    )
    close(graph.evaluate(x, t, W)[0], loss(x, t, weights=W))


@every_loss
def test_single_precision_stays_single(name):
    loss, x, t, _ = made(name)
    x = x.astype(np.float32)
    assert loss(x, t, weights=W).dtype == np.float32
    assert loss.backward().dtype == np.float32


@every_loss
def test_nothing_but_numbers(name):
    loss, x, t, _ = made(name)
    for wrong in ("abc", x * 1j, None, [[1, 2], [3]]):
        with pytest.raises(InputTypeError):
            loss(wrong, t)
        with pytest.raises(InputTypeError):
            loss(x, wrong)


# ------------------------------------------------------------------ classes


def test_factors_of_classes_divide_the_mean():
    losses = entropy(X, HOT)
    loss = nn.CrossEntropyLoss(FACTORS)
    close(loss(X, Y), np.sum(FACTORS[Y] * losses) / np.sum(FACTORS[Y]))
    close(loss(X, Y, weights=W), np.sum(W * FACTORS[Y] * losses) / np.sum(W * FACTORS[Y]))
    close(nn.nll_loss(log_softmax(X), Y, weight=FACTORS), loss(X, Y))
    assert list(loss.state_dict()) == ["weight"]
    assert not list(loss.parameters())


@pytest.mark.parametrize("ignored", [-100, 1, -1, 7])
@pytest.mark.parametrize("weight", [None, FACTORS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_ignored_labels_do_not_count(ignored, weight, smoothing):
    y = np.where(np.arange(6) % 2, ignored, Y)
    there = y != ignored
    options = {"weight": weight, "label_smoothing": smoothing}
    loss = nn.CrossEntropyLoss(ignore_index=ignored, **options)
    close(loss(X, y), nn.cross_entropy(X[there], y[there], **options))
    slope = loss.backward()
    np.testing.assert_array_equal(slope[~there], 0)
    if not smoothing:
        close(
            nn.nll_loss(log_softmax(X), y, ignore_index=ignored, weight=weight),
            nn.cross_entropy(X[there], y[there], weight=weight),
        )


def test_classes_lie_along_the_second_axis():
    x, y = RNG.normal(size=(2, 3, 4, 5)), RNG.integers(0, 3, (2, 4, 5))
    flat = np.moveaxis(x, 1, -1).reshape(-1, 3)
    close(nn.cross_entropy(x, y), nn.cross_entropy(flat, y.ravel()))
    close(nn.cross_entropy(x[0, :, 0, 0], y[0, 0, 0]), entropy(flat[:1], np.eye(3)[y[0, 0, :1]])[0])
    close(nn.cross_entropy(x, y, weights=np.array([1.0, 0])), nn.cross_entropy(x[:1], y[:1]))
    close(nn.cross_entropy(x, y, weights=np.ones((2, 4, 5))), nn.cross_entropy(x, y))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, bool])
def test_labels_of_any_whole_type(dtype):
    y = (Y > 0).astype(dtype)
    close(nn.cross_entropy(X, y), nn.cross_entropy(X, (Y > 0).astype(int)))


def test_nothing_overflows():
    x = np.array([[1e4, -1e4], [-1e4, 1e4]])
    close(nn.cross_entropy(x, np.array([0, 0])), 1e4)
    close(nn.binary_cross_entropy_with_logits(x, np.array([[1, 0], [1, 1]])), 2500)
    loss = nn.BCEWithLogitsLoss(pos_weight=np.array(2.0))
    close(loss(x, np.array([[1, 0], [1, 1]])), 5000)
    assert np.all(np.isfinite(loss.backward()))


# ------------------------------------------------------------------ parts of a batch


@and_uneven
@pytest.mark.parametrize("weights", [None, W, np.ones(6)])
@pytest.mark.parametrize("places", [[1, 4], [2], [3, 5]])
def test_losses_of_parts_make_up_that_of_the_whole(name, weights, places):
    loss, x, t, losses = made(name)
    whole = loss(x, t, weights=weights)
    parts = [slice(a, b) for a, b in zip([0, *places], [*places, 6], strict=True)]
    shares, values = [], []
    for k in parts:
        w = None if weights is None else weights[k]
        shares.append(loss.share(t[k], weights=w))
        values.append(loss(x[k], t[k], weights=w) if shares[-1] else 0.0)
    close(np.dot(shares, values) / np.sum(shares), whole)
    close(loss.share(t, weights), np.sum(shares))
    over = 1 if weights is None else weights.reshape((6,) + (1,) * (losses.ndim - 1))
    close(whole * np.sum(shares), np.sum(losses * over))


def test_what_a_batch_counts():
    assert nn.MSELoss().share(T) == 18
    assert nn.MSELoss().share(T.tolist(), weights=[1, 0, 2, 0, 0, 0]) == 9
    assert nn.MSELoss(reduction="sum").share(T) == 1
    assert nn.MSELoss().share(T, weights=np.zeros(6)) == 0
    loss = nn.CrossEntropyLoss(FACTORS)
    assert loss.share(Y) == FACTORS[Y].sum()
    assert loss.share(Y.reshape(2, 3), weights=np.array([1.0, 2])) == np.dot(
        FACTORS[Y], [1, 1, 1, 2, 2, 2]
    )
    assert loss.share(ROWS) == 6
    assert loss.share(ROWS[0]) == 1
    assert loss.share(np.full(6, -100)) == 0
    assert nn.BCEWithLogitsLoss(FACTORS).share(P) == 18
    with pytest.raises(InputTypeError, match="labels are integers"):
        nn.NLLLoss().share(ROWS)
    with pytest.raises(LabelError, match="got 3 in row 1"):
        loss.share(np.array([0, 3]))
    with pytest.raises(ShapeError, match=r"got \[5\]"):
        loss.share(Y, weights=np.ones(5))
    with pytest.raises(SettingError, match="row 0"):
        loss.share(Y, weights=-W)


@and_uneven
def test_a_program_in_which_nothing_counts_gives_zero(name):
    loss, x, t, _ = made(name)

    def both(x, t, w):
        return cr.value_and_grad(lambda x: loss(x, t, weights=w))(x)

    graph = cr.trace(both, cr.Spec(x.shape), cr.Spec(t.shape, t.dtype), cr.Spec((6,)))
    value, slope = graph.evaluate(x, t, np.zeros(6))
    assert value == 0
    np.testing.assert_array_equal(slope, np.zeros(x.shape))
    value, _ = graph.evaluate(x, t, W)
    close(value, loss(x, t, weights=W))


@pytest.mark.parametrize(
    "loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(FACTORS), nn.NLLLoss()]
)
def test_a_program_in_which_all_labels_are_ignored_gives_zero(loss):
    both = cr.value_and_grad(loss)
    graph = cr.trace(both, cr.Spec(X.shape), cr.Spec((6,), int))
    value, slope = graph.evaluate(X, np.full(6, -100))
    assert value == 0
    np.testing.assert_array_equal(slope, np.zeros(X.shape))
    close(graph.evaluate(X, IGNORED)[1], both(X, IGNORED)[1])


# ------------------------------------------------------------------ what they refuse

SHAPED = [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.BCEWithLogitsLoss(), nn.PoissonNLLLoss()]


@pytest.mark.parametrize("loss", SHAPED)
@pytest.mark.parametrize("traced", [False, True])
def test_a_vector_beside_a_column_is_not_broadcast(loss, traced):
    column, vector = np.ones((5, 1)), np.ones(5)
    for x, t, way in ((column, vector, "target[:, None]"), (vector, column, "target[:, 0]")):
        with pytest.raises(ShapeError) as caught:
            cr.grad(lambda x, t=t: loss(x, t))(x) if traced else loss(x, t)
        assert f"input {list(x.shape)} and target {list(t.shape)}" in caught.value.what
        assert way in caught.value.advice
    with pytest.raises(ShapeError, match=r"\[5\] and target \[3\]"):
        loss(vector, np.ones(3))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_labels_that_name_no_class(loss):
    with pytest.raises(LabelError, match=r"from 0 to 2, got 3 in row 1 and -1 in row 4\."):
        loss(X, np.array([0, 3, 1, 1, -1, 2]))
    with pytest.raises(LabelError, match="and 2 more") as caught:
        loss(X, np.full(6, 9))
    assert "row 3" in str(caught.value)
    with pytest.raises(LabelError) as caught:
        loss(X, Y + 1)
    assert "labels - 1" in caught.value.advice
    with pytest.raises(LabelError, match="in row 0, 1"):
        loss(np.ones((1, 3, 2)), np.array([[0, 5]]))
    with pytest.raises(LabelError, match="all 6 labels are -100"):
        loss(X, np.full(6, -100))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_labels_that_do_not_fit(loss):
    for y, way in (
        (Y[:, None], "target[:, 0]"),
        (Y.astype(float), "target.astype(int)"),
        (Y[:5], "one for each example"),
        (HOT.astype(int), "target.astype(float)"),
    ):
        with pytest.raises(ShapeError) as caught:
            loss(X, y)
        assert way in caught.value.advice
        assert str(list(y.shape)) in caught.value.what
        assert "[6, 3]" in caught.value.what
    with pytest.raises(ShapeError):
        loss(np.float64(1), np.int64(0))
    with pytest.raises(ShapeError):
        loss(np.ones((3, 0)), np.zeros(3, int))


def test_targets_that_are_no_probabilities():
    with pytest.raises(LabelError, match=r"between 0 and 1, got 2.0 in row 0, 0"):
        nn.binary_cross_entropy_with_logits(np.ones((1, 1)), np.array([[2]]))
    with pytest.raises(LabelError, match=r"got nan in row 1"):
        nn.binary_cross_entropy_with_logits(np.ones(2), np.array([1, np.nan]))
    for wrong in (-0.5, np.nan, np.inf):
        rows = ROWS.copy()
        rows[2, 1] = rows[4, 0] = wrong
        says = f"probabilities .* at least 0, got {wrong} in row 2, 1 and {wrong} in row 4, 0"
        with pytest.raises(LabelError, match=says):
            nn.cross_entropy(X, rows)
    with pytest.raises(LabelError, match=r"counts have to be at least 0, got -1\.0 in row 1"):
        nn.poisson_nll_loss(np.ones(2), np.array([1, -1]))


@pytest.mark.parametrize(
    ("weights", "kind", "says"),
    [
        (np.ones(5), ShapeError, r"\[6\], or for each loss, \[6, 3\]; got \[5\]"),
        (np.ones((6, 1)), ShapeError, r"got \[6, 1\]"),
        (-W, SettingError, r"got -1\.0 in row 0, -0\.5 in row 1, -2\.0 in row 2"),
        (W * np.nan, SettingError, "finite"),
        (0 * W, SettingError, "all 0"),
        ("w", InputTypeError, "weights"),
    ],
)
def test_weights_that_do_not_fit(weights, kind, says):
    with pytest.raises(kind, match=says):
        nn.mse_loss(X, T, weights=weights)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.MSELoss(reduction="average"), "reduction needs to be one of"),
        (lambda: nn.mse_loss(X, T, reduction="avg"), "reduction needs to be one of"),
        (lambda: nn.HuberLoss(delta=0), "delta"),
        (lambda: nn.huber_loss(X, T, delta=-1), "delta"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=1.0), "label_smoothing"),
        (lambda: nn.cross_entropy(X, Y, label_smoothing=-0.1), "label_smoothing"),
        (lambda: nn.binary_cross_entropy_with_logits(X, P, weight=W), "broadcast to the input"),
        (lambda: nn.binary_cross_entropy_with_logits(P[0], P[0], weight=P), "broadcast"),
    ],
)
def test_settings_that_are_not_possible(make, says):
    with pytest.raises(SettingError, match=says):
        make()


@pytest.mark.parametrize("loss", [nn.cross_entropy, nn.nll_loss])
def test_nothing_counts_by_weights_and_classes_together(loss):
    with pytest.raises(SettingError, match="sum to 0"):
        loss(X, Y, weight=np.array([0.0, 1, 1]), weights=(Y == 0).astype(float))


def test_factors_need_one_for_each_class():
    with pytest.raises(ShapeError, match="each of 3 classes"):
        nn.cross_entropy(X, Y, weight=np.ones(2))


def test_the_mean_of_nothing():
    with pytest.raises(ShapeError, match="at least one example"):
        nn.mse_loss(np.ones((0, 2)), np.ones((0, 2)))
    assert nn.mse_loss(np.ones((0, 2)), np.ones((0, 2)), reduction="sum") == 0
