"""JAX: the step jitted with donated buffers, the epoch as one ``lax.scan``.

Calls are dispatched synchronously, which for a caller who waits for each is the faster way.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

NAME = "JAX jit"

jax.config.update("jax_cpu_enable_async_dispatch", False)


def outputs(parameters, X, activation):
    """Return the outputs of the last layer."""
    function = {"relu": jax.nn.relu, "tanh": jnp.tanh}[activation]
    for W, b in parameters[:-1]:
        X = function(X @ W + b)
    W, b = parameters[-1]
    return X @ W + b


def mean_loss(parameters, X, y, activation):
    """Return the mean cross-entropy."""
    logs = jax.nn.log_softmax(outputs(parameters, X, activation))
    return -jnp.mean(jnp.take_along_axis(logs, y[:, None], 1))


def adam(loss, state, *batch):
    """Return the loss and the state after one step."""
    p, m, v, t = state
    value, g = jax.value_and_grad(loss)(p, *batch)
    t += 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    rate, scale = 1e-3 / (1 - 0.9**t), 1 / (1 - 0.999**t)
    p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v * scale) + 1e-8), p, m, v)
    return (p, m, v, t), value


def start(parameters):
    """Return the state before the first step."""
    p = jax.tree.map(jnp.array, parameters)
    return p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), jnp.float32(0)


def stepping(loss, parameters, X, y):
    """Return one step on one batch."""
    jitted = jax.jit(functools.partial(adam, loss), donate_argnums=0)
    state = start(parameters)
    X, y = jnp.asarray(X), jnp.asarray(y)

    def step():
        nonlocal state
        state, value = jitted(state, X, y)
        return value.block_until_ready()

    return step


def adam_step(network):
    """Return one step on one batch."""
    loss = functools.partial(mean_loss, activation=network.activation)
    return stepping(loss, network.parameters(), *network.data())


def epoch(network, X, y):
    """Return an epoch in a given order; batches are gathered inside, a shorter one comes last."""
    size, whole = network.batch, len(X) // network.batch
    loss = functools.partial(mean_loss, activation=network.activation)

    @functools.partial(jax.jit, donate_argnums=0)
    def run_all(state, X, y, order):
        def one(state, part):
            return adam(loss, state, X[part], y[part])

        state, losses = jax.lax.scan(one, state, order[: whole * size].reshape(whole, size))
        total = size * jnp.sum(losses)
        rest = order[whole * size :]
        if len(rest):
            state, value = one(state, rest)
            total += len(rest) * value
        return state, total / len(order)

    state = start(network.parameters())
    X, y = jnp.asarray(X), jnp.asarray(y)

    def run(order):
        nonlocal state
        state, value = run_all(state, X, y, order.astype(np.int32))
        return value.block_until_ready()

    return run


def predict_row(network):
    """Return a function from one row to the outputs, NumPy on both sides."""
    parameters = jax.tree.map(jnp.array, network.parameters())
    jitted = jax.jit(lambda x: outputs(parameters, x, network.activation))
    return lambda x: np.asarray(jitted(x))


def derivatives(network):
    """Return functions for the gradient, a Hessian-vector product and a Jacobian."""
    X, y = map(jnp.asarray, network.data())
    p = jax.tree.map(jnp.array, network.parameters())
    direction = jax.tree.map(jnp.array, network.directions())

    def loss(p, X, y):
        return mean_loss(p, X, y, network.activation)

    gradient = jax.jit(jax.grad(loss))
    product = jax.jit(lambda p, d, X, y: jax.jvp(lambda p: jax.grad(loss)(p, X, y), (p,), (d,))[1])
    jacobian = jax.jit(jax.jacrev(lambda p, x: outputs(p, x, network.activation)))
    x = X[0]
    return {
        "gradient": lambda: jax.block_until_ready(gradient(p, X, y)),
        "hvp": lambda: jax.block_until_ready(product(p, direction, X, y)),
        "jacobian": lambda: jax.block_until_ready(jacobian(p, x)),
    }
