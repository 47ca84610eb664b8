"""Modules: the chain, derived and hand-written backward passes, state, and copies."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import (
    BackwardError,
    InPlaceError,
    InputTypeError,
    NoRuleError,
    NotScalarError,
    OutputError,
    SettingError,
    ShapeError,
    StateError,
    StructureError,
)
from chainrule.execute import Prepared
from chainrule.graph import describe


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


# ------------------------------------------------------------------ modules of a user


class Affine(nn.Module):
    """Writes its backward and hands on by itself; returns nothing."""

    def __init__(self, inputs, outputs, seed=0):
        rng = np.random.default_rng(seed)
        self.W = nn.Parameter(rng.normal(size=(outputs, inputs)))
        self.b = nn.Parameter(rng.normal(size=outputs))

    def forward(self, *input):  # noqa: A002 - as the text has it
        (x,) = input
        return x @ self.W.T + self.b

    def backward(self, *gradwrtoutput):
        (x,), (g,) = self.last_input, gradwrtoutput
        self.grad["W"] = g.T @ x
        self.grad["b"] = np.sum(g, axis=0)
        self.propagate_gradient(g @ self.W)


class Cube(nn.Module):
    """Returns its gradient; one that nobody would derive, so that it is seen who uses it."""

    def forward(self, x):
        return x**3

    def backward(self, g):
        return 7 * g * self.last_input[0] ** 2


class InPlace(nn.Module):
    """A rectifier that writes in place, and keeps a mask from forward."""

    def forward(self, x):
        self.mask = x > 0
        return np.where(self.mask, x, 0)

    def backward(self, g):
        g[np.logical_not(self.mask)] = 0
        return g


class Gate(nn.Module):
    """Two inputs and a parameter."""

    def __init__(self):
        self.a = nn.Parameter(np.array([2.0, -1.0]))

    def forward(self, x, z):
        return self.a * x * z

    def backward(self, g):
        x, z = self.last_input
        self.grad["a"] = np.sum(g * x * z, axis=0)
        return g * self.a * z, g * self.a * x


class Inner(nn.Module):
    """Calls the modules inside and their backward passes."""

    def __init__(self, p=0.0):
        self.first = nn.Linear(2, 3, seed=0)
        self.drop = nn.Dropout(p)
        self.second = Affine(3, 2)

    def forward(self, x):
        return self.second(self.drop(np.tanh(self.first(x))))

    def backward(self, g):
        g = self.drop.backward(self.second.backward(g))
        h = np.tanh(self.first(self.last_input[0]))
        return self.first.backward(g * (1 - h**2))


class Square(nn.Module):
    """Writes a forward mode too."""

    def __init__(self):
        self.w = nn.Parameter(np.array([3.0, 4.0]))

    def forward(self, x):
        return self.w * x * x

    def backward(self, g):
        (x,) = self.last_input
        self.grad["w"] = np.sum(g * x * x, axis=0)
        return 2 * g * self.w * x

    def jvp(self, tangents, inputs):
        (dx, dw), (x,) = tangents, inputs
        return dw * x * x + 2 * self.w * x * dx


X = np.random.default_rng(1).normal(size=(5, 2))
G = np.random.default_rng(2).normal(size=(5, 2))


def through_engine(module, *xs, g=G):
    """Return the gradients at the inputs and of the parameters, by `grad`."""

    def loss(parameters, *xs):
        return np.sum(nn.functional_call(module, parameters, *xs)[0] * g)

    own = {name: p.data for name, p in module.named_parameters()}
    gradients = cr.grad(loss, tuple(range(len(xs) + 1)))(own, *xs)
    return gradients[1:], gradients[0]


# ------------------------------------------------------------------ the chain


def test_the_chain_of_the_text():
    first, second, third = Affine(2, 4, 1), nn.Tanh(), Affine(4, 2, 2)
    second.previous_module, third.previous_module = first, second
    y = third(second(first(X)))
    found = third.backward(G)
    assert isinstance(first.last_input, tuple)
    np.testing.assert_array_equal(first.last_input[0], X)
    h = np.tanh(X @ first.W.T + first.b)
    at_h = (G @ third.W) * (1 - h**2)
    close(y, h @ third.W.T + third.b)
    close(found, at_h @ first.W)
    close(third.grad["W"], G.T @ h)
    close(first.grad["W"], at_h.T @ X)
    close(first.grad["b"], at_h.sum(axis=0))


def test_sequential_is_the_chain():
    chain = nn.Sequential(Affine(2, 4, 1), nn.Tanh(), Affine(4, 2, 2))
    first, second, third = chain
    assert (first.previous_module, second.previous_module) == (None, first)
    assert len(chain) == 3
    assert chain[2] is third
    chain(X)
    by_hand = chain.backward(G)
    (at_x,), gradients = through_engine(chain, X)
    close(by_hand, at_x)
    for name, gradient in chain.gradients().items():
        close(gradient, gradients[name])


def test_nothing_propagates_twice():
    calls = []

    class Counting(nn.Module):
        def forward(self, x):
            return x

        def backward(self, g):
            calls.append(self)
            self.propagate_gradient(g)
            return g

    chain = nn.Sequential(Counting(), nn.Sequential(Counting(), Counting()), Counting())
    chain(X)
    np.testing.assert_array_equal(chain.backward(G), G)
    assert len(calls) == len(set(map(id, calls))) == 4


def test_a_chain_in_a_chain_hands_on():
    modules = [Affine(2, 3, 1), nn.Tanh(), Affine(3, 4, 2), nn.Sigmoid(), Affine(4, 2, 3)]
    flat = nn.Sequential(*copy.deepcopy(modules))
    nested = nn.Sequential(modules[0], nn.Sequential(*modules[1:4]), modules[4])
    flat(X)
    nested(X)
    np.testing.assert_array_equal(flat.backward(G), nested.backward(G))
    for a, b in zip(flat.gradients().values(), nested.gradients().values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_chain_with_a_forward_of_its_own_is_derived_from_that():
    class Doubled(nn.Sequential):
        def forward(self, x):
            return 2 * super().forward(x) + x

    chain = nn.Sequential(nn.Tanh(), Doubled(nn.Sigmoid(), nn.Linear(2, 2, seed=0)))
    for mode in (True, False):
        chain.train(mode)(X)
        by_hand = chain.backward(G)
        (at_x,), gradients = through_engine(chain, X)
        close(by_hand, at_x)
        for name, gradient in chain.gradients().items():
            close(gradient, gradients[name])


def test_a_part_of_a_chain_is_a_chain_beside_it():
    chain = nn.Sequential(nn.Linear(2, 3, seed=0), nn.Tanh(), nn.Linear(3, 2, seed=1))
    part = chain[:2]
    chain(X)
    expected = chain.backward(G)
    close(part(2 * X), np.tanh(2 * X @ chain[0].weight.T + chain[0].bias))
    part.backward(np.ones((5, 3)))
    np.testing.assert_array_equal(chain.backward(G), expected)
    assert part[0] is chain[0]


def test_a_chain_grows_at_its_end():
    first, last = nn.Linear(2, 3, seed=0), nn.Linear(3, 2, seed=1)
    chain = nn.Sequential()
    assert chain.append(first) is chain
    chain.append(nn.Tanh()).append(last)
    whole = nn.Sequential(nn.Linear(2, 3, seed=0), nn.Tanh(), nn.Linear(3, 2, seed=1))
    assert first.previous_module is None
    assert last.previous_module is chain[1]
    np.testing.assert_array_equal(chain(X), whole(X))
    np.testing.assert_array_equal(chain.backward(G), whole.backward(G))
    same(chain.gradients(), whole.gradients())
    chain.append(chain[0])
    with pytest.raises(BackwardError, match="before forward"):
        chain.backward(G)
    chain(X)
    assert chain.backward(np.ones((5, 3))).shape == X.shape
    assert len(list(chain.parameters())) == 4


def test_an_empty_chain_is_the_identity():
    chain = nn.Sequential()
    np.testing.assert_array_equal(chain(X), X)
    np.testing.assert_array_equal(chain.backward(G), G)


def test_several_outputs_go_on_as_several_inputs():
    class Both(nn.Module):
        def forward(self, x):
            return np.sin(x), np.cos(x)

    chain = nn.Sequential(Both(), Gate())
    chain(X)
    a = chain[1].a
    close(chain.backward(G), G * a * (np.cos(X) ** 2 - np.sin(X) ** 2))


# ------------------------------------------------------------------ used twice, shared


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2, seed=3), lambda: Affine(2, 2, 3)])
@pytest.mark.parametrize("mode", [True, False])
def test_a_module_used_twice_adds_once(make, mode):
    layer = make()
    chain = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), layer).train(mode)
    assert len(list(chain.parameters())) == 2
    chain(X)
    by_hand = chain.backward(G)
    (at_x,), gradients = through_engine(chain, X)
    close(by_hand, at_x)
    for name, gradient in chain.gradients().items():
        close(gradient, gradients[name])
    first = {name: g.copy() for name, g in chain.gradients().items()}
    np.testing.assert_array_equal(chain.backward(G), by_hand)
    same(first, chain.gradients())


@pytest.mark.parametrize("nested", [False, True])
def test_shared_parameters_add_once(nested):
    a, b = nn.Linear(2, 2, seed=0), nn.Linear(2, 2, seed=1)
    b.weight = a.get_parameter("weight")
    chain = nn.Sequential(a, nn.Sequential(nn.Tanh(), b)) if nested else nn.Sequential(a, b)
    chain(X)
    chain.backward(G)
    _, gradients = through_engine(chain, X)
    assert len(gradients) == 3
    for name, gradient in chain.gradients().items():
        close(gradient, gradients[name])


def test_a_module_in_two_chains_keeps_a_memory_for_each():
    shared, a, b = nn.Linear(2, 2, seed=0), nn.Tanh(), nn.Sigmoid()
    one, two = nn.Sequential(a, shared), nn.Sequential(b, shared)
    one(X)
    two(2 * X)
    close(one.backward(G), (G @ shared.weight) * (1 - np.tanh(X) ** 2))
    s = 1 / (1 + np.exp(-2 * X))
    close(two.backward(G), (G @ shared.weight) * s * (1 - s))
    shared.train(False)
    assert not any(m.training for m in one.modules() if m is shared)


def test_a_chain_inside_and_after_itself():
    layer = nn.Linear(2, 2, seed=0)
    chain = nn.Sequential(nn.Sequential(layer), layer)
    chain(X)
    close(chain.backward(G), G @ layer.weight @ layer.weight)


# ------------------------------------------------------------------ nothing accumulates


def test_two_backward_calls_give_the_same_bits():
    chain = nn.Sequential(nn.Linear(2, 8, seed=0), nn.GELU(), nn.Dropout(0.5), Affine(8, 2))
    chain(X)
    first = chain.backward(G), {n: g.copy() for n, g in chain.gradients().items()}
    np.testing.assert_array_equal(chain.backward(G), first[0])
    same(first[1], chain.gradients())


def test_gradients_accumulate_only_when_asked():
    chain = nn.Sequential(nn.Linear(2, 3, seed=0), Affine(3, 2))
    chain(X)
    chain.backward(G)
    once = {n: g.copy() for n, g in chain.gradients().items()}
    chain.zero_grad()
    assert all(g is None for g in chain.gradients().values())
    with nn.accumulating():
        for _ in range(2):
            chain(X)
            chain.backward(G)
    for name, gradient in chain.gradients().items():
        close(gradient, 2 * once[name])
    chain.backward(G)
    same(once, chain.gradients())


def test_gradients_that_were_handed_out_do_not_change():
    layer = nn.Linear(2, 2, seed=0)
    layer(X)
    layer.backward(G)
    kept = layer.grad["weight"]
    before = kept.copy()
    layer.backward(2 * G)
    np.testing.assert_array_equal(kept, before)


# ------------------------------------------------------------------ arrays of the user


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2, seed=0), lambda: Affine(2, 2)])
def test_an_input_that_changes_after_forward_does_not_matter(make, mode):
    layer, x, g = make().train(mode), X.copy(), G.copy()
    layer(X)
    expected = layer.backward(G), layer.gradients()
    layer(x)
    x[...] = 0
    np.testing.assert_array_equal(layer.backward(g), expected[0])
    same(layer.gradients(), expected[1])
    np.testing.assert_array_equal(g, G)


def test_parameters_that_change_while_training_do_not_matter():
    layer = nn.Linear(2, 2, seed=0)
    weight = layer.weight.copy()
    layer(X)
    layer.weight = 0 * weight
    np.testing.assert_array_equal(layer.backward(G), G @ weight)
    layer.eval()
    layer(X)
    layer.weight = weight
    np.testing.assert_array_equal(layer.backward(G), G @ weight)  # those of now, as stated


@pytest.mark.parametrize("module", [nn.Identity(), nn.Flatten(), nn.Sequential(nn.Identity())])
@pytest.mark.parametrize("mode", [True, False])
def test_an_output_that_is_written_to_does_not_matter(module, mode):
    y = module.train(mode)(X)
    y[...] = np.nan
    np.testing.assert_array_equal(module.last_input[0], X)
    np.testing.assert_array_equal(module.backward(G), G)


def test_a_gradient_written_in_place_is_a_copy():
    chain, g = nn.Sequential(nn.Tanh(), InPlace()), G.copy()
    chain(X)
    chain.backward(g)
    np.testing.assert_array_equal(g, G)


# ------------------------------------------------------------------ evaluation


def test_in_evaluation_nothing_is_kept_and_backward_works():
    chain = nn.Sequential(nn.Linear(2, 3, seed=0), nn.Dropout(0.5), nn.BatchNorm1d(3), Affine(3, 2))
    chain(X)
    buffers = {n: b.data.copy() for n, b in chain.named_buffers()}
    chain.eval()
    chain(X)
    assert chain[0]._memory.pull is None
    by_hand = chain.backward(G)
    (at_x,), _ = through_engine(chain, X)
    close(by_hand, at_x)
    chain.train()  # backward goes back in the mode of the call
    np.testing.assert_array_equal(chain.backward(G), by_hand)
    same(buffers, {n: b.data for n, b in chain.named_buffers()})
    assert chain[2].training


def test_a_part_that_trains_inside_one_that_does_not():
    class Net(nn.Module):
        def __init__(self):
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(x)

    net = Net()
    net.training = False
    y = net(np.ones(100))
    np.testing.assert_array_equal(net.backward(np.ones(100)), y)


# ------------------------------------------------------------------ written backward passes


@pytest.mark.parametrize(
    ("module", "xs"),
    [(Affine(2, 2), (X,)), (Gate(), (X, X + 1)), (Inner(), (X,)), (Square(), (X,))],
)
def test_a_written_backward_is_the_same_alone_and_in_the_engine(module, xs):
    module(*xs)
    alone = module.backward(G)
    kept = {n: g.copy() for n, g in module.gradients().items()}
    at_inputs, gradients = through_engine(module, *xs)
    for a, b in zip(alone if isinstance(alone, tuple) else (alone,), at_inputs, strict=True):
        close(a, b)
    assert kept.keys() == gradients.keys()
    for name, gradient in gradients.items():
        close(kept[name], gradient)
    same(kept, module.gradients())  # the engine leaves nothing behind
    assert module.last_input[0] is not None
    again = module.backward(G)
    np.testing.assert_array_equal(*(y[0] if isinstance(y, tuple) else y for y in (alone, again)))


def test_the_written_one_is_used_everywhere():
    expected = 7 * X**2
    module = Cube()
    module(X)
    close(module.backward(np.ones(X.shape)), expected)
    close(cr.grad(lambda x: np.sum(module(x)))(X), expected)
    close(cr.vjp(module, X)[1](np.ones(X.shape))[0], expected)
    x = X[0]
    close(cr.jacobian(lambda x: np.sum(module(x)))(x), 7 * x**2)
    close(cr.jacobian(module)(x), np.diag(7 * x**2))
    close(cr.hessian(lambda x: np.sum(module(x)))(x), np.diag(14 * x))
    chain = nn.Sequential(nn.Identity(), module)
    chain(X)
    close(chain.backward(np.ones(X.shape)), expected)
    residual = nn.Residual(module)
    residual(X)
    close(residual.backward(np.ones(X.shape)), expected + 1)
    graph = cr.trace(module, cr.Spec((3,)))
    assert [node.op.name for node in graph.nodes if node.op] == ["Cube"]
    graph = cr.trace(cr.grad(lambda x: np.sum(module(x))), cr.Spec((3,)))
    close(graph.evaluate(np.arange(3.0))[0], 7 * np.arange(3.0) ** 2)


def test_one_in_place_runs_on_arrays_wherever_it_is():
    module = InPlace()
    expected = (X > 0).astype(float)
    close(cr.grad(lambda x: np.sum(module(x)))(X), expected)
    close(cr.jacobian(module)(X[0]), np.diag(expected[0]))
    graph = cr.trace(cr.grad(lambda x: np.sum(module(x))), cr.Spec(X.shape))
    close(graph.evaluate(X)[0], expected)
    assert "InPlace_backward" in str(graph)
    _, pull = cr.vjp(module, X)
    np.testing.assert_array_equal(pull(G)[0], pull(G)[0])


def test_one_in_place_has_no_second_derivative():
    module = InPlace()
    with pytest.raises(NoRuleError, match="cannot be differentiated again") as caught:
        cr.hessian(lambda x: np.sum(module(x) ** 2))(X[0])
    assert "without in-place steps" in caught.value.advice


def test_a_recordable_one_has_second_derivatives_by_reverse_mode():
    module = Inner().eval()

    def plain(x):
        h = np.tanh(x @ module.first.weight.T + module.first.bias)
        return np.sum(h @ module.second.W.T + module.second.b)

    # Reverse over reverse: forward mode does not pass through a node that has none.
    slope = cr.grad(lambda x: np.sum(module(x)))
    close(
        cr.grad(lambda x: np.sum(slope(x) ** 2))(X),
        cr.grad(lambda x: np.sum(cr.grad(plain)(x) ** 2))(X),
    )


def test_forward_mode_only_where_it_is_written():
    module, direction = Square(), np.array([1.0, 2.0])
    _, dy = cr.jvp(module, (X[0],), (direction,))
    close(dy, 2 * module.w * X[0] * direction)
    parameters = {"w": module.w.copy()}

    def f(p, x):
        return nn.functional_call(module, p, x)[0]

    _, dy = cr.jvp(f, (parameters, X[0]), ({"w": np.ones(2)}, direction))
    close(dy, X[0] ** 2 + 2 * module.w * X[0] * direction)
    with pytest.raises(NoRuleError, match="Cube writes its own backward pass"):
        cr.jvp(Cube(), (X,), (X,))

    class Wrong(Square):
        def jvp(self, tangents, inputs):
            return np.zeros(7)

    with pytest.raises(BackwardError, match=r"jvp returns float64\[7\]"):
        cr.jvp(Wrong(), (X[0],), (direction,))


def test_a_written_one_may_call_the_derived_one():
    class Clipped(nn.Linear):
        def backward(self, g):
            return super().backward(np.clip(g, -0.1, 0.1))

    layer = Clipped(2, 2, seed=0)
    layer(X)
    close(layer.backward(G), np.clip(G, -0.1, 0.1) @ layer.weight)
    close(layer.grad["bias"], np.clip(G, -0.1, 0.1).sum(axis=0))


def test_a_subclass_inherits_a_written_one():
    class Shifted(Affine):
        def forward(self, x):
            return super().forward(x) + 1

        def backward(self, g):
            return super().backward(2 * g)

    chain = nn.Sequential(nn.Tanh(), Shifted(2, 2))
    chain(X)
    close(chain.backward(G), 2 * (G @ chain[1].W) * (1 - np.tanh(X) ** 2))
    close(cr.grad(lambda x: np.sum(chain(x) * G))(X), chain.backward(G))


def test_a_parameter_without_a_gradient_has_zero():
    class Half(Affine):
        def backward(self, g):
            self.grad["b"] = np.sum(g, axis=0)
            return g @ self.W

    layer = Half(2, 2)
    layer.get_parameter("W").grad = np.ones((2, 2))  # of a pass before
    layer(X)
    layer.backward(G)
    np.testing.assert_array_equal(layer.grad["W"], np.zeros((2, 2)))
    np.testing.assert_array_equal(through_engine(layer, X)[1]["W"], np.zeros((2, 2)))


def test_random_layers_inside_a_written_one_draw_once():
    module = Inner(p=0.5)
    x = np.random.default_rng(0).normal(size=(50, 2))
    y, pull = cr.vjp(lambda x: nn.functional_call(module, {}, x, key=[5])[0], x)
    again, _ = nn.functional_call(module, {}, x, key=[5])
    np.testing.assert_array_equal(y, again)
    g = np.ones(y.shape)
    (first,) = pull(g)
    np.testing.assert_array_equal(first, pull(g)[0])
    derived = np.zeros(x.shape)
    for i in range(2):
        dx = np.zeros(x.shape)
        dx[:, i] = 1e-6
        up, down = (nn.functional_call(module, {}, x + s * dx, key=[5])[0] for s in (1, -1))
        derived[:, i] = np.sum((up - down) / 2e-6, axis=1)
    np.testing.assert_allclose(first, derived, atol=1e-6)


@pytest.mark.parametrize("second", [False, True])
def test_a_key_may_be_traced_through_a_written_one(second):
    module = nn.Sequential(Inner(p=0.5), Around())

    def f(x, key):
        slope = cr.grad(lambda x: np.sum(nn.functional_call(module, {}, x, key=key)[0]))
        return cr.grad(lambda x: np.sum(slope(x) ** 2))(x) if second else slope(x)

    graph = cr.trace(f, cr.Spec(X.shape), cr.Spec((2,), np.int64))
    for key in (np.array([1, 2]), np.array([3, 4])):
        close(graph.evaluate(X, key)[0], f(X, key))
    assert np.any(f(X, np.array([1, 2])) != f(X, np.array([3, 4])))


class Around(nn.Module):
    """A chain inside a module that writes its own backward."""

    def __init__(self):
        self.inside = nn.Sequential(nn.Linear(2, 3, seed=0), nn.Tanh(), nn.Linear(3, 2, seed=1))

    def forward(self, x):
        return self.inside(x)

    def backward(self, g):
        return self.inside.backward(g)


def test_a_chain_inside_a_written_one():
    module = Around()
    module(X)
    close(module.backward(G), through_engine(module.inside, X)[0][0])
    close(through_engine(module, X)[0][0], through_engine(module.inside, X)[0][0])
    x = X[0]
    close(
        cr.hessian(lambda x: np.sum(module(x) ** 2))(x),
        cr.hessian(lambda x: np.sum(module.inside(x) ** 2))(x),
    )


def test_buffers_of_a_written_one_are_new_where_they_can_be():
    class Counting(nn.Module):
        def __init__(self):
            self.calls = nn.Buffer(np.zeros(()))

        def forward(self, x):
            self.calls = self.calls + 1
            return x * 2

        def backward(self, g):
            return 2 * g

    module = Counting()
    module(X)
    module.backward(G)
    assert module.calls == 1
    _, buffers = nn.functional_call(module, {}, X)
    assert buffers == {"calls": 2}
    _, buffers = cr.value_and_grad(lambda x: _summed(module, x), has_aux=True)(X)[0]
    assert buffers == {"calls": 2}
    chain = nn.Sequential(module, module)
    chain(X)
    chain.backward(G)
    assert module.calls == 3
    with pytest.raises(InPlaceError, match="assigns to buffers"):
        cr.trace(module, cr.Spec((2, 2)))
    walked = Prepared(cr.grad(lambda x: _summed(module, x), has_aux=True), fall_back=True)
    slope, buffers = walked(X)
    np.testing.assert_array_equal(slope, np.full(X.shape, 2.0))
    assert buffers == {"calls": 4}


def _summed(module, x):
    y, buffers = nn.functional_call(module, {}, x)
    return np.sum(y), buffers


# ------------------------------------------------------------------ wrong ones


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda g: None, "returned nothing"),
        (lambda g: (g, g), "passes on 2 gradients for 1 inputs"),
        (lambda g: g[:1], r"leaves float64\[1, 2\] as the gradient of input 0"),
        (lambda g: g.sum(), r"leaves float64\[\] as"),
        (lambda g: g > 0, r"leaves bool\[5, 2\] as"),
        (lambda g: g.astype(complex), r"leaves complex128\[5, 2\] as"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_wrong_gradient_at_the_input_is_not_made_to_fit(returned, says, inside):
    class Wrong(nn.Module):
        def forward(self, x):
            return 2 * x

        def backward(self, g):
            return returned(np.array(g))

    module = Wrong()
    nn.Sequential(nn.Tanh(), module)(X)
    with pytest.raises(BackwardError, match=says):
        cr.grad(lambda x: np.sum(module(x)))(X) if inside else module.backward(G)


@pytest.mark.parametrize("shape", [(5,), (1, 3), (3, 1), ()])
def test_a_wrong_gradient_of_a_parameter_is_not_made_to_fit(shape):
    class Wrong(nn.Module):
        def __init__(self):
            self.w = nn.Parameter(np.ones(3))

        def forward(self, x):
            return x * self.w

        def backward(self, g):
            self.grad["w"] = np.ones(shape)
            return g

    module = Wrong()
    module(np.ones((5, 3)))
    with pytest.raises(BackwardError, match="as the gradient of w"):
        module.backward(np.ones((5, 3)))
    with pytest.raises(BackwardError, match="as the gradient of w"):
        cr.grad(lambda x: np.sum(module(x)))(np.ones((5, 3)))


def test_a_parameter_that_is_not_there_is_named():
    layer = nn.Linear(2, 2)
    with pytest.raises(BackwardError, match="no parameter 'wieght'"):
        layer.grad["wieght"] = np.ones((2, 2))


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), lambda: Affine(2, 2), nn.Sequential])
def test_backward_before_forward(make):
    with pytest.raises(BackwardError, match="backward before forward"):
        make().backward(G)


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), lambda: Affine(2, 2), nn.Sequential])
@pytest.mark.parametrize("mode", [True, False])
def test_a_gradient_that_does_not_fit_the_output(make, mode):
    module = make().train(mode)
    module(X)
    for g in (np.ones(2), np.ones((5, 1)), 1.0, "g", G.astype(complex)):
        with pytest.raises(ShapeError, match="gradient at its output"):
            module.backward(g)
    with pytest.raises(BackwardError, match="a gradient for each output"):
        module.backward(G, G)
    with pytest.raises(BackwardError, match="a gradient for each output"):
        module.backward()


def test_one_node_has_one_output():
    class Both(nn.Module):
        def forward(self, x):
            return x, x

        def backward(self, a, b):
            return a + b

    module = Both()
    module(X)
    close(module.backward(G, G), 2 * G)
    with pytest.raises(OutputError, match="one array"):
        cr.grad(lambda x: np.sum(module(x)[0]))(X)


def test_a_chain_takes_modules():
    with pytest.raises(InputTypeError, match="place 1"):
        nn.Sequential(nn.ReLU(), nn.ReLU)
    chain = nn.Sequential(nn.ReLU())
    with pytest.raises(InputTypeError, match="place 1"):
        chain.append(np.tanh)
    for inside in (chain, nn.Residual(chain)):
        with pytest.raises(SettingError, match="inside itself, as it would in place 1"):
            chain.append(inside)
    assert len(chain) == 1
    with pytest.raises(ShapeError, match="shape of its input"):
        nn.Residual(nn.Linear(2, 3))(X)


# ------------------------------------------------------------------ traced, pure


def test_a_module_on_traced_values_records():
    chain = nn.Sequential(nn.Linear(2, 3, seed=0), nn.Tanh())
    graph = cr.trace(chain, cr.Spec((5, 2)))
    names = [node.op.name for node in graph.nodes if node.op]
    assert names == ["matmul", "add", "tanh"]
    assert chain.last_input == ()
    close(graph.evaluate(X)[0], chain(X))


def test_a_functional_call_changes_nothing():
    chain = nn.Sequential(nn.Linear(2, 3, seed=0), nn.BatchNorm1d(3), nn.Dropout(0.5))
    before = chain.state_dict()
    other = {name: x + 1 for name, x in before.items()}
    y, buffers = nn.functional_call(chain, other, X, key=np.array([1]))
    same(chain.state_dict(), before)
    assert set(buffers) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert buffers["1.num_batches_tracked"] == 2
    again, _ = nn.functional_call(chain, other, X, key=np.array([1]))
    np.testing.assert_array_equal(y, again)
    different, _ = nn.functional_call(chain, other, X, key=np.array([2]))
    assert np.any(y != different)
    assert chain.last_input == ()


def test_two_random_layers_of_one_call_draw_apart():
    chain = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    y, _ = nn.functional_call(chain, {}, np.ones(1000), key=[0])
    assert 0.15 < np.mean(y == 4) < 0.35


def test_what_a_functional_call_does_not_know():
    with pytest.raises(StateError, match="no parameter wieght"):
        nn.functional_call(nn.Linear(2, 2), {"wieght": np.ones((2, 2))}, X)
    with pytest.raises(StateError, match=r"shape \[2, 2\], got \[2\]"):
        nn.functional_call(nn.Linear(2, 2), {"weight": np.ones(2)}, X)


def test_buffers_are_updated_once_a_call():
    chain = nn.Sequential(nn.BatchNorm1d(2), nn.Residual(nn.BatchNorm1d(2)))
    chain(X)
    assert [int(b.data) for n, b in chain.named_buffers() if "tracked" in n] == [1, 1]
    chain.backward(G)
    chain.backward(G)
    assert [int(b.data) for n, b in chain.named_buffers() if "tracked" in n] == [1, 1]
    norm = nn.BatchNorm1d(2, affine=False)

    class Twice(nn.Module):
        def __init__(self):
            self.norm = norm

        def forward(self, x):
            return self.norm(self.norm(x) + 3)

    Twice()(X)
    assert norm.num_batches_tracked == 2
    close(norm.running_mean, 0.9 * 0.1 * X.mean(axis=0) + 0.1 * 3)


# ------------------------------------------------------------------ parameters and state


class Net(nn.Module):
    def __init__(self):
        self.layers = [nn.Linear(2, 3, seed=0), nn.Tanh()]
        self.heads = {"a": nn.Linear(3, 2, seed=1)}
        self.scale = nn.Parameter(np.ones(2))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.heads["a"](x) * self.scale


def test_modules_in_lists_and_dictionaries_are_found():
    net = Net()
    names = ["scale", "layers.0.weight", "layers.0.bias", "heads.a.weight", "heads.a.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    net.layers.append(nn.Linear(3, 3, seed=2))
    assert "layers.2.weight" in net.state_dict()
    net(X)
    net.backward(G)
    assert all(g is not None for g in net.gradients().values())
    net.eval()
    assert not net.layers[2].training
    with pytest.raises(StateError, match="list of parameters"):
        net.more = [nn.Parameter(np.ones(2))]


def test_what_is_right_inside_has_a_name():
    chain = nn.Sequential(nn.Residual(nn.Tanh()), nn.ReLU())
    assert list(chain.named_children()) == [("0", chain[0]), ("1", chain[1])]
    assert list(chain[0].named_children()) == [("inside", chain[0].inside)]
    assert [m for _, m in Net().named_children()] != []
    assert list(chain.children()) == [m for _, m in chain.named_children()]


@pytest.mark.parametrize("kind", [nn.Parameter, nn.Buffer])
def test_a_parameter_copies_what_it_is_made_of(kind):
    array = np.ones(3)
    array.flags.writeable = False
    a, b = kind(array), kind(array)
    a.write(np.zeros(3))
    assert (array == 1).all()
    assert (b.data == 1).all()
    assert b.data.dtype == np.float64
    assert kind(array.astype(np.float32)).dtype == np.float32


def test_assigning_copies_and_none_removes():
    layer, weight = nn.Linear(2, 2), np.ones((2, 2))
    parameter = layer.get_parameter("weight")
    layer.weight = weight
    weight[...] = 0
    assert layer.get_parameter("weight") is parameter
    np.testing.assert_array_equal(layer.weight, np.ones((2, 2)))
    layer.weight -= 1.0
    np.testing.assert_array_equal(layer.weight, np.zeros((2, 2)))
    with pytest.raises(StructureError, match=r"\[2, 2\], got \[3\]"):
        layer.weight = np.ones(3)
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]
    del layer.weight
    assert not layer.state_dict()
    with pytest.raises(AttributeError, match="weight"):
        _ = layer.weight
    with pytest.raises(StateError, match="no parameter 'weight'"):
        layer.get_parameter("weight")
    with pytest.raises(InputTypeError):
        nn.Parameter(["a"])


def test_train_and_eval_reach_everything():
    net = nn.Sequential(nn.Residual(nn.Dropout(0.5)), nn.Sequential(nn.Dropout(0.5)))
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())


def test_state_goes_and_comes():
    a, b = Net(), Net()
    b.load_state_dict({name: x + 1 for name, x in a.state_dict().items()})
    close(b.scale, a.scale + 1)
    state = b.state_dict()
    state["scale"][...] = 0
    assert np.all(b.scale == 2)


def test_a_state_that_does_not_fit_is_told_in_full_and_not_loaded():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = net.state_dict()
    state = {name: x + 1 for name, x in before.items()}
    del state["0.bias"], state["1.running_var"]
    state |= {"extra": np.ones(2), "0.weight": np.ones((3, 3)), "1.bias": np.array(["a"] * 3)}
    state["1.weight"] = [[1], [1, 2]]
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state)
    assert caught.value.facts == (
        "missing: 0.bias [3]",
        "missing: 1.running_var [3]",
        "unexpected: extra",
        "misshapen: 0.weight needs [3, 2], got [3, 3]",
        f"no array of real numbers: 1.weight, got {describe([[1], [1, 2]])}",
        "no array of real numbers: 1.bias, got <U1[3]",
    )
    same(net.state_dict(), before)


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("0.weight", np.full((2, 2), 1e300), "1e+300 would become inf in float32"),
        ("1.num_batches_tracked", 2.7, "2.7 would become 2 in int64"),
        ("1.num_batches_tracked", 1e20, "1e+20 would become "),
        ("1.num_batches_tracked", np.nan, "nan would become "),
    ],
)
def test_a_state_that_the_type_cannot_hold_is_not_loaded(name, wrong, says):
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).astype(np.float32)
    before = net.state_dict()
    state = {n: x + 1 for n, x in before.items()} | {name: wrong}
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state)
    (fact,) = caught.value.facts
    assert fact.startswith(f"out of range: {name}, {says}")
    same(net.state_dict(), before)
    net.load_state_dict(
        {n: x.astype(np.float64) / 3 for n, x in before.items()} | {name: before[name]}
    )
    net.load_state_dict(before | {"1.num_batches_tracked": 4.0, "1.running_mean": [np.nan, np.inf]})
    assert net[1].num_batches_tracked == 4


def test_what_is_no_state_and_no_type():
    net = nn.Linear(2, 2)
    for state in (None, [1]):
        with pytest.raises(StateError, match="dictionary of arrays"):
            net.load_state_dict(state)
    with pytest.raises(SettingError, match="floating-point"):
        net.astype(int)
    with pytest.raises(InputTypeError, match=r"parameter Linear\.bias"):
        net.bias = ["a", "b"]


@pytest.mark.parametrize("mode", [True, False])
def test_single_precision_stays_single(mode):
    net = nn.Sequential(
        nn.Linear(2, 4, seed=0), nn.BatchNorm1d(4), nn.GELU(), nn.LayerNorm(4), nn.Dropout(0.5),
        nn.ELU(), Affine(4, 3), nn.LogSoftmax(),
    ).train(mode)  # fmt: skip
    assert net.astype(np.float32) is net
    x = X.astype(np.float32)
    y = net(x)
    assert y.dtype == np.float32
    assert net.backward(np.ones((5, 3))).dtype == np.float32
    assert {g.dtype for g in net.gradients().values()} == {np.dtype(np.float32)}
    dtypes = {n: b.dtype for n, b in net.named_buffers()}
    assert dtypes["1.running_mean"] == np.float32
    assert dtypes["1.num_batches_tracked"] == np.int64


def test_copies_share_nothing():
    net = nn.Sequential(nn.Linear(2, 2, seed=0), nn.BatchNorm1d(2), Affine(2, 2))
    net(X)
    net.backward(G)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301 - our own
        same(other.state_dict(), net.state_dict())
        with pytest.raises(BackwardError):
            other.backward(G)
        own = {id(p) for _, p in net.named_state()}
        assert not any(id(p) in own for _, p in other.named_state())
        before = net.state_dict()
        other(X)
        np.testing.assert_array_equal(other.backward(G), net.backward(G))
        other[0].weight = np.zeros((2, 2))
        same(net.state_dict(), before)
        assert other[1].previous_module is other[0]


def test_a_copied_chain_still_shares_inside():
    layer = nn.Linear(2, 2, seed=0)
    other = copy.deepcopy(nn.Sequential(layer, nn.Tanh(), layer))
    assert len(list(other.parameters())) == 2
    other(X)
    by_hand = other.backward(G)
    close(by_hand, through_engine(other, X)[0][0])


def test_the_text_of_a_module():
    assert repr(nn.Sequential(nn.Linear(2, 3, bias=False), nn.Residual(nn.ReLU()))) == (
        "Sequential(\n  (0): Linear(2, 3, bias=False)\n  (1): Residual(\n"
        "    (inside): ReLU()\n  )\n)"
    )
    assert repr(nn.Parameter(np.ones((2, 3)))) == "Parameter(float64[2, 3])"
    net = Net()
    net.heads["self"] = net
    assert "(…)" in repr(net)


def test_a_module_says_whether_it_mixes_examples():
    net = nn.Sequential(nn.Linear(2, 2), nn.Residual(nn.BatchNorm1d(2)))
    assert net.mixes_examples
    assert not net.eval().mixes_examples
    assert not nn.MLP([2, 2], seed=0).mixes_examples


def test_running_numbers_inside_a_written_one():
    class Normal(nn.Module):
        def __init__(self):
            self.norm = nn.BatchNorm1d(2)

        def forward(self, x):
            return self.norm(x)

        def backward(self, g):
            return self.norm.backward(g)

    module, plain = Normal(), nn.BatchNorm1d(2)
    plain(X)
    _, buffers = nn.functional_call(module, {}, X)
    np.testing.assert_array_equal(buffers["norm.running_mean"], plain.running_mean)
    assert module.norm.num_batches_tracked == 0
    module(X)
    close(module.backward(G), plain.backward(G))
    np.testing.assert_array_equal(module.norm.running_var, plain.running_var)
    close(through_engine(module, X)[0][0], plain.backward(G))


def test_a_forward_that_cannot_be_traced_is_run():
    class Filled(nn.Module):
        def forward(self, x):
            y = np.empty(x.shape)
            y[...] = x * 2
            return y

        def backward(self, g):
            return 2 * g

    module = Filled()
    graph = cr.trace(cr.grad(lambda x: np.sum(module(x) ** 2)), cr.Spec(X.shape))
    close(graph.evaluate(X)[0], 8 * X)


def test_what_a_forward_pass_left_behind_is_not_copied():
    class Keeping(Cube):
        def forward(self, x):
            self.kept = [x]
            return super().forward(x)

    class Outer(nn.Module):
        def __init__(self):
            self.inside = Keeping()

        def forward(self, x):
            self.kept = x
            return self.inside(np.sin(x))

    module = Outer()
    for _ in range(2):
        close(cr.grad(lambda x: np.sum(module(x)))(X), 7 * np.sin(X) ** 2 * np.cos(X))
    module.inside.kept = module.kept
    close(cr.grad(lambda x: np.sum(module(x)))(X), 7 * np.sin(X) ** 2 * np.cos(X))


def test_an_input_without_derivative_needs_no_gradient():
    class Rows(nn.Module):
        def __init__(self):
            self.table = nn.Parameter(np.arange(6.0).reshape(3, 2))

        def forward(self, x, indices):
            return x * self.table[indices]

        def backward(self, g):
            x, indices = self.last_input
            slope = np.zeros(self.table.shape)
            np.add.at(slope, indices, g * x)
            self.grad["table"] = slope
            return g * self.table[indices], None

    module, indices = Rows(), np.array([0, 2, 2, 1, 0])
    module(X, indices)
    at_x, at_indices = module.backward(G)
    assert at_indices is None
    close(at_x, G * module.table[indices])
    kept = module.grad["table"].copy()
    close(cr.grad(lambda x: np.sum(module(x, indices) * G))(X), at_x)
    gradient = cr.grad(lambda p: np.sum(nn.functional_call(module, p, X, indices)[0] * G))(
        {"table": module.table}
    )
    close(gradient["table"], kept)


def test_options_go_along_without_a_gradient():
    class Power(nn.Module):
        def forward(self, x, *, by=1):
            self.by = by
            return x**by

        def backward(self, g):
            return g * self.by * self.last_input[0] ** (self.by - 1)

    class Derived(nn.Module):
        def forward(self, x, *, by=1):
            return x**by

    for module in (Power(), Derived(), Derived().eval()):
        module(X, by=3)
        close(module.backward(G), 3 * G * X**2)
        close(cr.grad(lambda x, m=module: np.sum(m(x, by=3)))(X), 3 * X**2)
        y, _ = nn.functional_call(module, {}, X, by=2)
        close(y, X**2)


def test_a_module_without_inputs():
    class Constant(nn.Module):
        def __init__(self):
            self.c = nn.Parameter(np.ones(3))

        def forward(self):
            return self.c * 2

    module = Constant()
    module()
    assert module.backward(np.ones(3)) == ()
    np.testing.assert_array_equal(module.grad["c"], 2 * np.ones(3))


def test_a_loss_ends_the_chain():
    model, loss = nn.MLP([2, 4, 2], seed=0), nn.MSELoss()
    loss.previous_module = model
    value = loss(model(X), G)
    close(value, np.mean((model(X) - G) ** 2))
    at_x = loss.backward()
    close(at_x, cr.grad(lambda x: nn.mse_loss(model(x), G))(X))
    none = nn.MSELoss(reduction="none")
    none(X, G)
    with pytest.raises(NotScalarError, match="needs the gradient at each"):
        none.backward()
    close(none.backward(np.ones(X.shape)), 2 * (X - G))
