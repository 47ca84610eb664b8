"""Steps downhill: by hand, on arrays and traced, in each dtype, and what clips and averages."""

import numpy as np
import optree
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import chainrule as cr
from chainrule.errors import (
    DivergenceError,
    InputTypeError,
    SettingError,
    ShapeError,
    StructureError,
)
from chainrule.execute import Program
from chainrule.graph import Spec, trace
from chainrule.train import (
    EMA,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Cosine,
    Lion,
    RMSprop,
    WeightedSum,
    clip_by_global_norm,
    clip_by_value,
    global_norm,
    minimise,
)

optimisers = [
    SGD(0.1),
    SGD(0.1, momentum=0.9, weight_decay=0.1),
    SGD(0.1, momentum=0.9, dampening=0.5),
    SGD(0.1, momentum=0.9, nesterov=True),
    Adagrad(0.5),
    Adagrad(0.5, lr_decay=0.01, weight_decay=0.1, initial_accumulator_value=0.1),
    RMSprop(0.01),
    RMSprop(0.003, momentum=0.5, centered=True, weight_decay=0.1),
    Adam(0.05),
    Adam(0.05, amsgrad=True, weight_decay=0.1),
    AdamW(0.05),
    AdamW(Cosine(0.05, 300)),
    Lion(Cosine(0.1, 300)),
    Lion(0.02, weight_decay=0.1),
]
every_optimiser = pytest.mark.parametrize("optimiser", optimisers, ids=repr)


def bowl(parameters):
    """A quadratic with its bottom at w = 1, b = -2, and slopes of different sizes."""
    w, b = parameters["w"], parameters["b"]
    return np.sum((w - 1) ** 2 * np.array([[1, 4], [2, 0.5]], w.dtype)) + (b + 2) ** 2


def start(dtype=np.float64):
    w = np.array([[0.0, 3.0], [-1.0, 2.0]], dtype)
    return {"w": w, "b": dtype(1)}


def steps(optimiser, parameters, count, update=None):
    update = update or optimiser.update
    state = optimiser.init(parameters)
    for _ in range(count):
        gradient = cr.grad(bowl)(parameters)
        parameters, state = update(parameters, gradient, state)
    return parameters, state


class TestByHand:
    """Two steps from 1 with the gradients 2 and -1, worked out with pencil and paper."""

    def two(self, optimiser):
        w = np.array([1.0])
        w1, state = optimiser.update(w, np.array([2.0]), optimiser.init(w))
        w2, state = optimiser.update(w1, np.array([-1.0]), state)
        assert state.step == 2
        return [float(w1[0]), float(w2[0])]

    @pytest.mark.parametrize(
        ("optimiser", "expected"),
        [
            (SGD(0.1), [0.8, 0.9]),
            (SGD(0.1, weight_decay=0.5), [0.75, 0.8125]),
            (SGD(0.1, momentum=0.5), [0.8, 0.8]),
            (SGD(0.1, momentum=0.5, dampening=0.5), [0.8, 0.75]),
            (SGD(0.1, momentum=0.5, nesterov=True), [0.7, 0.8]),
            (Adagrad(0.1, eps=0.0), [0.9, 0.9 + 0.1 / 5**0.5]),
            (Adagrad(0.1, lr_decay=1.0, eps=0.0), [0.9, 0.9 + 0.05 / 5**0.5]),
            (Adagrad(0.1, initial_accumulator_value=5.0, eps=0.0), [0.93333333333333333, 0.964956]),
            (RMSprop(0.1, alpha=0.75, eps=0.0), [0.8, 0.8 + 0.1]),
            (RMSprop(0.1, alpha=0.75, eps=1.0), [0.9, 0.95]),
            (RMSprop(0.1, alpha=0.75, eps=0.0, momentum=0.5), [0.8, 0.8]),
            (
                RMSprop(0.1, 0.75, 0.0, centered=True),
                [1 - 0.2 / 0.75**0.5, 1 - 0.2 / 0.75**0.5 + 0.1 / 0.984375**0.5],
            ),
            (Adam(0.1, betas=(0.5, 0.75), eps=0.0), [0.9, 0.9]),
            (Adam(0.1, betas=(0.5, 0.75), eps=0.5), [0.92, 0.92]),
            (AdamW(0.1, betas=(0.5, 0.75), eps=0.0, weight_decay=0.5), [0.85, 0.8075]),
            (Lion(0.1, betas=(0.5, 0.75)), [0.9, 1.0]),
            (Lion(0.1, betas=(0.5, 0.75), weight_decay=0.5), [0.85, 0.9075]),
        ],
        ids=repr,
    )
    def test_two_steps(self, optimiser, expected):
        assert_allclose(self.two(optimiser), expected, rtol=1e-6)

    def test_adam_keeps_the_largest_square_where_asked(self):
        # v: 1, then 0.75 + 0.25; with gradients 2, 0 it falls to 0.75 and 1 stays the largest
        w, optimiser = np.array([1.0]), Adam(0.1, (0.5, 0.75), eps=0.0, amsgrad=True)
        w, state = optimiser.update(w, np.array([2.0]), optimiser.init(w))
        w, state = optimiser.update(w, np.array([0.0]), state)
        assert_allclose(state.memory["square"], [0.75])
        assert_allclose(state.memory["largest"], [1.0])
        assert_allclose(w, [0.9 - 0.1 * (0.5 / 0.75) * np.sqrt(1 - 0.75**2)])

    def test_lion_is_the_papers_update(self):
        """100 steps of algorithm 2, written out.

        Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023.
        """
        rng = np.random.default_rng(0)
        gradients = rng.normal(size=(100, 5))
        theta = expected = rng.normal(size=5)
        optimiser = Lion(0.01, betas=(0.9, 0.99), weight_decay=0.3)
        state, m = optimiser.init(theta), np.zeros(5)
        for g in gradients:
            theta, state = optimiser.update(theta, g, state)
            c = 0.9 * m + (1 - 0.9) * g
            expected = expected - 0.01 * (np.sign(c) + 0.3 * expected)
            m = 0.99 * m + (1 - 0.99) * g
        assert_allclose(theta, expected, rtol=1e-12)


class TestEveryOptimiser:
    @every_optimiser
    def test_gets_to_the_bottom(self, optimiser):
        before = bowl(start())
        after = bowl(steps(optimiser, start(), 300)[0])
        decay = getattr(optimiser, "weight_decay", 0)
        assert after < (0.05 if decay else 0.005) * before

    @every_optimiser
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_traced_on_shapes_is_the_same(self, optimiser, dtype):
        program, flatten = traced(optimiser, dtype)

        def update(*args):
            return optree.tree_unflatten(flatten(*args)[1], program(*flatten(*args)[0]))

        plain, state = steps(optimiser, start(dtype), 5)
        ours, traced_state = steps(optimiser, start(dtype), 5, update)
        for x, y in zip(
            optree.tree_leaves((plain, state)),
            optree.tree_leaves((ours, traced_state)),
            strict=True,
        ):
            assert x.dtype == y.dtype
            assert_array_equal(x, y)

    @every_optimiser
    def test_single_precision_stays(self, optimiser):
        parameters, state = steps(optimiser, start(np.float32), 3)
        assert {x.dtype for x in optree.tree_leaves((parameters, state.memory))} == {
            np.dtype("float32")
        }
        assert type(state.step) is np.int64
        program, _ = traced(optimiser, np.float32)
        wide = [n for n in program.graph.nodes if n.dtype == np.float64 and n.shape]
        assert not wide

    @every_optimiser
    def test_writes_nothing_in_place(self, optimiser):
        parameters = start()
        state = optimiser.init(parameters)
        for x in optree.tree_leaves((parameters, state)):
            if isinstance(x, np.ndarray):
                x.flags.writeable = False
        steps(optimiser, parameters, 1)
        moved, _ = optimiser.update(parameters, parameters, state)
        for p, q in zip(*map(optree.tree_leaves, (parameters, moved)), strict=True):
            assert not np.shares_memory(p, q)

    @every_optimiser
    def test_a_rate_that_is_given_is_the_one_used(self, optimiser):
        w = start(np.float32)
        g = cr.grad(bowl)(w)
        given = optimiser.update(w, g, optimiser.init(w), lr=np.asarray(0.125))[0]
        made = type(optimiser)(**{**vars(optimiser), "lr": 0.125})
        expected = made.update(w, g, made.init(w))[0]
        for x, y in zip(optree.tree_leaves(given), optree.tree_leaves(expected), strict=True):
            assert x.dtype == np.float32
            assert_allclose(x, y, rtol=1e-6)
        still = optimiser.update(w, g, optimiser.init(w), lr=0.0)[0]
        assert_array_equal(still["w"], w["w"])

    @every_optimiser
    def test_what_is_not_finite_passes_on_without_a_warning(self, optimiser):
        w = np.ones(3)
        g = np.array([np.nan, np.inf, 1e300])
        after, _ = optimiser.update(w, g, optimiser.init(w))
        assert np.isnan(after[0])

    @every_optimiser
    def test_two_dtypes_stay_apart(self, optimiser):
        mixed = {"w": np.ones((2, 2), np.float32), "b": np.float64(1)}
        after, state = steps(optimiser, mixed, 2)
        for tree in (after, *state.memory.values()):
            assert (tree["w"].dtype, tree["b"].dtype) == (np.float32, np.float64)
        wide = {name: np.ones(np.shape(x)) for name, x in mixed.items()}
        after, _ = optimiser.update(mixed, wide, optimiser.init(mixed))
        assert after["w"].dtype == np.float32


def traced(optimiser, dtype):
    """An update as a program of arrays, and how its arguments become arrays."""

    def flatten(parameters, gradient, state):
        leaves = optree.tree_leaves((parameters, gradient, state))
        return leaves, optree.tree_structure((parameters, state))

    example = (start(dtype), start(dtype), optimiser.init(start(dtype)))
    leaves, structure = optree.tree_flatten(example)
    graph = trace(
        lambda *xs: optimiser.update(*optree.tree_unflatten(structure, xs)),
        *[Spec(np.shape(x), x.dtype) for x in leaves],
    )
    return Program(graph), flatten


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: SGD(-0.1),
            lambda: SGD(np.nan),
            lambda: SGD(np.inf),
            lambda: SGD("fast"),
            lambda: SGD(True),
            lambda: SGD(np.array([0.1, 0.2])),
            lambda: SGD(0.1, momentum=-0.5),
            lambda: SGD(0.1, momentum=1.0),
            lambda: SGD(0.1, weight_decay=-1),
            lambda: SGD(0.1, nesterov=True),
            lambda: SGD(0.1, momentum=0.9, dampening=0.1, nesterov=True),
            lambda: Adagrad(lr_decay=-0.5),
            lambda: Adagrad(eps=-1e-9),
            lambda: RMSprop(alpha=1.0),
            lambda: RMSprop(momentum=-1.0),
            lambda: Adam(betas=(1.0, 0.9)),
            lambda: Adam(betas=(0.9,)),
            lambda: Adam(betas=0.9),
            lambda: AdamW(eps=np.nan),
            lambda: Lion(betas=(0.9, -0.1)),
            lambda: EMA(1.0),
            lambda: clip_by_value([np.ones(2)], 0.0),
            lambda: clip_by_global_norm([np.ones(2)], -1.0),
            lambda: minimise(bowl, start(), max_iter=0),
        ],
    )
    def test_an_impossible_setting(self, make):
        with pytest.raises(SettingError, match=r"needs|nesterov"):
            make()

    def test_says_what_was_expected(self):
        with pytest.raises(SettingError) as caught:
            Adam(betas=(0.9, 1.0))
        assert str(caught.value).startswith(
            "CR303 SettingError: Adam needs betas to be a pair of numbers from 0 to below 1, "
            "got (0.9, 1.0)."
        )

    @pytest.mark.parametrize(
        ("gradient", "error"),
        [
            ({"w": np.ones(3)}, StructureError),
            ({"w": np.ones(3), "c": np.float64(1)}, StructureError),
            ([np.ones(3), np.float64(1)], StructureError),
            ({"w": np.ones((3, 1)), "b": np.float64(1)}, ShapeError),
            ({"w": np.ones(1), "b": np.float64(1)}, ShapeError),
        ],
    )
    def test_a_gradient_of_something_else(self, gradient, error):
        parameters = {"w": np.ones(3), "b": np.float64(1)}
        optimiser = SGD(0.1)
        with pytest.raises(error, match="gradient"):
            optimiser.update(parameters, gradient, optimiser.init(parameters))

    def test_a_state_of_another_optimiser(self):
        w = np.ones(3)
        with pytest.raises(
            StructureError, match="remembers mean, square, got a state that holds d"
        ):
            Adam().update(w, w, SGD(0.1, momentum=0.9).init(w))
        with pytest.raises(StructureError, match="the state's mean"):
            Adam().update({"w": w}, {"w": w}, Adam().init({"v": w}))

    @pytest.mark.parametrize("parameter", [np.arange(3), 1.0, "w", np.ones(2, np.complex128)])
    def test_what_is_not_floating_point(self, parameter):
        with pytest.raises(InputTypeError, match="floating-point numbers"):
            SGD(0.1).init({"w": parameter})
        with pytest.raises(InputTypeError, match="floating-point numbers"):
            minimise(bowl, {"w": parameter})


class TestClipping:
    def test_shrinks_to_the_norm_and_keeps_the_direction(self):
        gradient = {"w": np.array([[3.0, 0.0]]), "b": np.array([-4.0])}
        clipped = clip_by_global_norm(gradient, 2.5)
        assert_allclose(clipped["w"], [[1.5, 0.0]], rtol=1e-15)
        assert_allclose(clipped["b"], [-2.0], rtol=1e-15)

    def test_leaves_what_is_small_enough_alone(self):
        gradient = {"w": np.array([[3.0, 0.0]]), "b": np.array([-4.0])}
        clipped = clip_by_global_norm(gradient, 5.0)
        assert_array_equal(clipped["w"], gradient["w"])
        zeros = clip_by_global_norm([np.zeros(3), np.zeros((0, 2))], 1.0)
        assert_array_equal(zeros[0], 0)
        assert clip_by_global_norm({}, 1.0) == {}

    @pytest.mark.parametrize("size", [1e-200, 1.0, 1e200, 1e308])
    def test_neither_overflows_nor_underflows(self, size):
        gradient = [size * np.array([0.6]), size * np.array([0.8])]
        assert_allclose(global_norm(gradient), size, rtol=1e-15)
        limit = 1e-3 * size
        clipped = clip_by_global_norm(gradient, limit)
        assert_allclose(clipped, [[0.6 * limit], [0.8 * limit]], rtol=1e-14)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_hides_no_failure(self, bad):
        gradient = [np.array([bad, 1.0]), np.array([1.0])]
        assert not np.isfinite(clip_by_global_norm(gradient, 1.0)[0][0])
        assert not np.isfinite(global_norm(gradient))
        assert_array_equal(clip_by_value([np.array([np.nan, 9])], 1.0), [[np.nan, 1.0]])

    @pytest.mark.parametrize("clip", [clip_by_global_norm, clip_by_value])
    def test_traced_in_each_dtype(self, clip):
        for dtype in (np.float32, np.float64):
            w, b = np.array([[3, 0]], dtype), np.array([-4], dtype)
            specs = [Spec(x.shape, x.dtype) for x in (w, b)]
            program = Program(trace(lambda w, b: clip([w, b], 2.5), *specs))
            for x, y in zip(program(w, b), clip([w, b], 2.5), strict=True):
                assert x.dtype == y.dtype == dtype
                assert_array_equal(x, y)


class TestAveraging:
    def test_is_the_weighted_sum_of_all_parameters(self):
        ema = EMA(0.9)
        xs = np.random.default_rng(0).normal(size=(20, 3))
        average = ema.init({"w": xs[0]})
        for x in xs[1:]:
            average = ema.update(average, {"w": x})
        weights = 0.1 * 0.9 ** np.arange(19, -1, -1)
        weights[0] = 0.9**19
        assert_allclose(average["w"], weights @ xs, rtol=1e-13)
        assert ema.init({"w": xs})["w"] is not xs

    def test_keeps_single_precision_and_refuses_other_containers(self):
        ema = EMA()
        average = ema.init([np.ones(2, np.float32)])
        assert ema.update(average, [np.zeros(2, np.float32)])[0].dtype == np.float32
        with pytest.raises(StructureError):
            ema.update(average, {"w": np.ones(2)})
        with pytest.raises(ShapeError):
            ema.update(average, [np.ones(1)])

    @pytest.mark.parametrize("sizes", [(64,), (16, 16, 16, 16), (40, 1, 23)])
    def test_parts_of_a_batch_are_the_batch(self, sizes):
        rng = np.random.default_rng(1)
        X, y, w = rng.normal(size=(64, 5)), rng.normal(size=64), {"w": rng.normal(size=5)}

        def loss(w, X, y):
            return np.mean((np.tanh(X @ w["w"]) - y) ** 2)

        whole = cr.value_and_grad(loss)(w, X, y)
        parts = WeightedSum.zero(whole)
        for rows in np.split(np.arange(64), np.cumsum(sizes)[:-1]):
            parts = parts.add(cr.value_and_grad(loss)(w, X[rows], y[rows]), len(rows))
        assert_allclose(parts.mean()[0], whole[0], rtol=1e-12)
        assert_allclose(parts.mean()[1]["w"], whole[1]["w"], rtol=1e-12)

    def test_accumulates_inside_a_trace_in_single_precision(self):
        def total(a, b, n):
            return WeightedSum.zero([a]).add([a], n).add([b], 1).mean()

        f32 = np.dtype("float32")
        specs = [Spec((2,), f32), Spec((2,), f32), Spec((), np.dtype("int64"))]
        (mean,) = Program(trace(total, *specs))(
            np.array([1, 2], f32), np.array([5, 6], f32), np.int64(3)
        )
        assert mean.dtype == f32
        assert_array_equal(mean, [2, 3])


def valley(x):
    return np.sum((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2)


class TestMinimise:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_finds_the_bottom_in_the_parameters_own_dtypes(self, dtype):
        best, minimum = minimise(bowl, start(dtype))
        assert_allclose(best["w"], 1, atol=1e-4)
        assert_allclose(best["b"], -2, atol=1e-4)
        assert best["w"].dtype == best["b"].dtype == dtype
        assert minimum.value == minimum.values[-1] == bowl(best)
        assert len(minimum.values) == minimum.steps
        assert (np.diff(minimum.values) <= 0).all()

    def test_says_when_it_ran_out_of_steps(self):
        x, minimum = minimise(valley, -np.ones(6), max_iter=3)
        assert (minimum.steps, minimum.converged) == (3, False)
        x, minimum = minimise(valley, -np.ones(6), gtol=1e-8, ftol=0.0)
        assert minimum.converged
        assert_allclose(x, 1, rtol=1e-6)

    def test_passes_data_on(self):
        rng = np.random.default_rng(2)
        X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
        w, _ = minimise(lambda w, X, y: np.sum((X @ w - y) ** 2), np.zeros(4), X, y, gtol=1e-10)
        assert_allclose(w, np.linalg.lstsq(X, y)[0], atol=1e-6)

    def test_compiled_it_takes_the_same_way(self):
        plain, walked = minimise(valley, -np.ones(6))
        fast, compiled = minimise(valley, -np.ones(6), compiled=True, threads=1)
        assert walked.steps == compiled.steps
        assert_allclose(fast, plain, rtol=1e-6)

    def test_compiled_or_not_a_branch_on_numbers_is_walked(self):
        def halves(x):
            return np.sum(x * x) if x[0] > 0 else np.sum(2 * x * x)

        x, _ = minimise(halves, np.array([3.0, -1.0]), compiled=True)
        assert_allclose(x, 0, atol=1e-4)

    def test_ends_after_so_many_evaluations(self):
        _, minimum = minimise(valley, -np.ones(6), max_fun=10)
        assert not minimum.converged
        assert 10 <= minimum.evaluations < 20  # it ends after the step that it is in
        with pytest.raises(SettingError, match="max_fun"):
            minimise(valley, -np.ones(6), max_fun=0)

    def test_after_each_step_it_may_be_asked_to_end(self):
        seen = []
        x, minimum = minimise(
            valley, -np.ones(6), after_step=lambda x: seen.append(valley(x)) or len(seen) == 4
        )
        assert minimum.steps == len(seen) == 4
        assert_allclose(seen, minimum.values)
        assert not minimum.converged
        assert valley(x) == minimum.value

    def test_turns_back_where_the_function_ends(self):
        x, minimum = minimise(lambda x: np.sum(x - np.log(x)), np.array([10.0, 3.0, 0.1]))
        assert minimum.converged
        assert minimum.evaluations < 30
        assert_allclose(x, 1, atol=1e-4)

    def test_refuses_to_start_where_there_is_no_number(self):
        with pytest.raises(DivergenceError, match="not finite"):
            minimise(lambda x: np.sum(np.log(x)), -np.ones(2))
        with pytest.raises(StructureError, match="at least one"):
            minimise(lambda x: 0.0, {})
