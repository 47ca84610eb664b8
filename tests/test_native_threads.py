"""Threads share a plan: the same numbers to rounding, the same bits each time."""

import ctypes
import itertools
import signal
import threading
from contextlib import suppress
from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, train
from chainrule.errors import DivergenceError
from chainrule.execute import Program
from chainrule.execute.native import code, sharing, team
from chainrule.execute.native.code import threads_for
from chainrule.execute.native.program import NativeProgram
from chainrule.execute.native.sharing import share
from chainrule.graph import Spec, trace
from chainrule.transform import simplify

THREADS = (2, 3)


@pytest.fixture(autouse=True)
def _small_steps_are_shared(monkeypatch):
    monkeypatch.setattr(sharing, "_WORTH", 4096)
    code._known.clear()
    yield
    code._known.clear()


def loss_and_gradient(sizes, n, dtype, activation=np.tanh):
    def loss(parameters, X, y):
        h = X
        for W, b in parameters[:-1]:
            h = activation(h @ W + b)
        W, b = parameters[-1]
        z = h @ W + b
        z = z - np.max(z, axis=1, keepdims=True)
        logs = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
        return -np.mean(np.sum(logs * y, axis=1))

    shapes = [[Spec((a, b), dtype), Spec((b,), dtype)] for a, b in itertools.pairwise(sizes)]
    given = shapes, Spec((n, sizes[0]), dtype), Spec((n, sizes[-1]), dtype)
    return simplify(trace(cr.value_and_grad(loss), *given))


def arrays_for(graph, seed=0):
    rng = np.random.default_rng(seed)
    nodes = [graph.nodes[i] for i in graph.inputs]
    return [(0.3 * rng.normal(size=node.shape)).astype(node.dtype)[()] for node in nodes]


def agree(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.max(np.abs(b)))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("sizes", "n"),
    [((20, 64, 48, 5), 64), ((33, 50, 7), 61), ((4, 3, 2), 5), ((300, 3), 200), ((3, 400, 2), 3)],
)
def test_gradients_are_those_of_one_thread(sizes, n, dtype, threads):
    graph = loss_and_gradient(sizes, n, dtype)
    arrays = arrays_for(graph)
    shared = NativeProgram(graph, threads=threads)
    first = shared(arrays)
    expected = Program(graph)(*arrays)
    if dtype == "float64":
        agree(first, expected, 1e-12)
    else:
        wide = Program(loss_and_gradient(sizes, n, "float64"))
        true = wide(*[x.astype(np.float64) for x in arrays])
        for a, b, c in zip(first, expected, true, strict=True):
            assert a.dtype == np.float32
            assert np.max(np.abs(a - c)) <= 4 * np.max(np.abs(b - c)) + 1e-7 * np.max(np.abs(c))
    for _ in range(5):
        for a, b in zip(shared(arrays), first, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(
    "function",
    [
        np.sum,
        lambda x: np.max(x * x),
        lambda x: np.sum(x, axis=0),
        lambda x: np.mean(x, axis=1) * 2,
        lambda x: np.prod(1 + x * 1e-3, axis=0),
        lambda x: x / np.sum(np.exp(x), axis=0),
        lambda x: (x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + 1e-5),
        lambda x: np.concatenate([x, x * 2, x.T.reshape(x.shape)]),
        lambda x: np.pad(x, 2)[2:-2, ::-1].T @ x[:, :9],
        lambda x: x[np.arange(200) % 7, :].sum(0) + x[::-1].cumsum(0)[3],
        lambda x: np.stack([x @ x.T[:, :9], x @ x.T[:, 9:18]]),
    ],
)
def test_functions_of_an_array(function, threads):
    x = np.random.default_rng(0).normal(size=(200, 130))
    shared = cr.compile(function, threads=threads)
    np.testing.assert_allclose(shared(x), function(x), rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(shared(x), shared(x))


@pytest.mark.parametrize("size", [2048, 5000, 100_001])
def test_an_array_with_one_axis(size):
    x = np.random.default_rng(0).normal(size=size).astype(np.float32)
    both = cr.compile(lambda x: (np.sum(np.astype(x, np.float64) ** 2), np.tanh(x)), threads=2)
    total, y = both(x)
    np.testing.assert_allclose(total, np.sum(x.astype(np.float64) ** 2), rtol=1e-12)
    np.testing.assert_allclose(y, np.tanh(x), rtol=3e-7)


def test_training_on_threads_repeats_and_agrees_with_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 40))
    y = np.argmax(X[:, :3], axis=1)

    def trained(threads):
        model = nn.MLP([40, 64, 64, 3], dropout=0.2, seed=0)
        history = train.fit(
            model, X, y, loss=nn.CrossEntropyLoss(), epochs=3, batch_size=64, threads=threads
        )
        return model.state_dict(), history.loss

    weights, losses = trained(2)
    again, _ = trained(2)
    alone, losses_alone = trained(1)
    for name, w in weights.items():
        np.testing.assert_array_equal(w, again[name])
        np.testing.assert_allclose(w, alone[name], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(losses, losses_alone, rtol=1e-11)


def test_a_loss_that_is_not_finite_stops_all_threads_with_the_weights_intact():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(128, 40))
    X[100, 3] = np.inf
    model = nn.MLP([40, 64, 3], seed=0)
    with pytest.raises(DivergenceError, match="row 100 of X"):
        train.fit(
            model, X, np.zeros(128, int), loss=nn.CrossEntropyLoss(), batch_size=64, threads=2
        )
    assert all(np.all(np.isfinite(w)) for w in model.state_dict().values())


def test_a_place_out_of_range_in_the_part_of_one_thread_is_an_error():
    x, places = np.ones((300, 70)), np.arange(200)
    taken = cr.compile(lambda x, places: x[places] * 2, threads=2)
    np.testing.assert_array_equal(taken(x, places), 2 * x[places])
    for wrong in (0, 199):
        bad = places.copy()
        bad[wrong] = 300
        with pytest.raises(IndexError):
            taken(x, bad)


@pytest.mark.parametrize("size", [(100_000, 1), (1, 50_000), (512, 96)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_of_single_precision_over_everything(size, keepdims):
    x = np.random.default_rng(0).normal(size=size).astype(np.float32)
    for axis in (None, (0, 1), int(np.argmax(size))):
        found = cr.compile(lambda x, axis=axis: np.sum(x, axis=axis, keepdims=keepdims), threads=2)
        expected = np.sum(x.astype(np.float64), axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(found(x), expected, rtol=1e-5, atol=1e-3)


def test_runs_one_after_the_other_keep_out_of_each_others_way():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(64 * 5, 64)), rng.normal(size=(64 * 5, 1))

    def trained(threads):
        going = train.Trainer(nn.MLP([64, 64, 64, 1], seed=0), loss=nn.MSELoss(), threads=threads)
        for _ in range(60):
            going.epoch(X, y, 64)
        return dict(going.parameters)

    alone = trained(1)
    for threads in (2, 4):
        for name, w in trained(threads).items():
            np.testing.assert_allclose(w, alone[name], rtol=1e-6, atol=1e-8)


class StopError(Exception):
    """Raised by the handler of a signal."""


def stop(*_):
    raise StopError


@pytest.fixture
def alarmed():
    """Let an alarm raise an error, in a process that has another thread which can take it."""
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    over.set()
    other.join()


@pytest.mark.usefixtures("alarmed")
def test_a_signal_during_a_run_waits_for_its_end():
    shared = cr.compile(lambda x: np.sum(np.tanh(x) @ x), threads=2)
    x = np.random.default_rng(0).normal(size=(200, 200))
    expected, stopped = shared(x), 0
    for k in range(200):
        with suppress(StopError):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + (k % 17) * 3e-5)
                for _ in range(5):
                    shared(x)
            except StopError:
                stopped += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
    assert stopped
    assert shared(x) == expected


@pytest.mark.usefixtures("alarmed")
def test_a_signal_between_the_jobs_of_a_team_waits_until_all_have_theirs(monkeypatch):
    class Member:
        def prepare(self, *_):
            return partial(ctypes.CDLL(None)["raise"], int(signal.SIGALRM))

    done = []
    monkeypatch.setattr(team, "_members", [Member(), Member()])
    with pytest.raises(StopError):
        team.let_run([partial(done.append, k) for k in range(3)])
    assert done == [0]  # the caller's, without which the others would wait for ever


def test_two_callers_of_shared_programs_do_not_wait_for_each_other_for_ever():
    graph = loss_and_gradient((30, 64, 5), 64, "float64")
    arrays = arrays_for(graph)
    shared = NativeProgram(graph, threads=2)
    expected, found = shared(arrays), []

    def call():
        found.extend([shared(arrays) for _ in range(20)])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(found) == 80
    for results in found:
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_small_work_is_not_shared_and_numpys_steps_are_not_either():
    small = NativeProgram(loss_and_gradient((4, 3, 2), 5, "float64"))
    assert small.threads == 1
    hosted = trace(lambda x: np.linalg.inv(x) @ x, Spec((600, 600)))
    assert NativeProgram(hosted, threads=2).threads == 1
    assert threads_for(small.plan, 3) == 3


def test_where_nothing_is_worth_it_one_thread_does_all(monkeypatch):
    monkeypatch.setattr(sharing, "_WORTH", 5e4)
    assert NativeProgram(loss_and_gradient((4, 3, 2), 5, "float64"), threads=2).threads == 1


def test_rows_that_a_thread_wrote_itself_need_no_meeting():
    graph = loss_and_gradient((64, 64, 64, 64, 8), 64, "float64")
    shared = share(NativeProgram(graph, threads=2).plan, 2)
    forward = shared.items[:6]
    assert all(item.rows == 64 and not item.waits for item in forward)
    assert sum(item.waits for item in shared.items) <= 12
