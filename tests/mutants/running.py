"""Forward and backward of a text in plain NumPy, and its differences: an answer without `check`."""

import copy

import numpy as np

from mutants.suite import Network


def made(network: Network, module, sizes):
    """Return what runs: the module, or the object that is built from it."""
    return network.forms["object"](module, sizes) if "object" in network.forms else module


def answers(network: Network, module, seed=0, sizes=None, twice=False):
    """Return loss and gradients on drawn numbers; ``twice``: after another batch."""
    lengths = {**network.sizes, **(sizes or {})}
    runs = made(network, module, lengths)
    if twice:
        network.run(runs, network.inputs(np.random.default_rng(seed + 100), lengths))
    return network.run(runs, copy.deepcopy(network.inputs(np.random.default_rng(seed), lengths)))


def arguments(network: Network, runs, inputs) -> dict[str, np.ndarray]:
    """Return the arrays that gradients are taken by, as they lie, by name."""
    if "object" in network.forms:
        return runs.params
    if isinstance(inputs[0], dict):
        return inputs[0]
    return dict(zip(network.shapes, inputs, strict=False))


def differences(network: Network, module, names, seed=0, step=1e-5):
    """Return central differences of the loss by the arrays of these names, entry by entry."""
    runs = made(network, module, network.sizes)
    inputs = network.inputs(np.random.default_rng(seed), network.sizes)
    by_name = arguments(network, runs, inputs)
    found = {}
    for name in names:
        array = by_name[name]
        slopes = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            at = array[place]
            losses = []
            for moved in (at + step, at - step):
                array[place] = moved
                losses.append(network.run(runs, inputs)[0])
            array[place] = at
            slopes[place] = (losses[0] - losses[1]) / (2 * step)
        found[name] = slopes
    return found


def distance(gradients, right) -> float:
    """Return the largest relative difference of two tables of gradients; of shapes: infinity."""
    worst = 0.0
    for name, expected in right.items():
        got = np.asarray(gradients[name])
        if got.shape != expected.shape:
            return np.inf
        size = float(np.abs(expected).max()) or 1.0  # a layer that is off has a gradient of zero
        worst = max(worst, float(np.abs(got - expected).max()) / size)
    return worst
