"""JAX with all parameters in one array: a call with four arguments instead of a tree of them.

Nobody writes it first, but it makes small networks cheaper, so it has to be among the peers.
"""

from __future__ import annotations

from jax.flatten_util import ravel_pytree

from benchmarks.peers import jax_jit

NAME = "JAX jit, one arena"


def adam_step(network):
    """Return one step on one batch."""
    arena, layers = ravel_pytree(network.parameters())

    def loss(p, X, y):
        return jax_jit.mean_loss(layers(p), X, y, network.activation)

    return jax_jit.stepping(loss, arena, *network.data())
