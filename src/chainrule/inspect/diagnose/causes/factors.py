"""A gradient that is a multiple of the right one: signs, counts, and numbers out of the blue."""

from __future__ import annotations

import numpy as np

from chainrule.inspect.diagnose.guessing import factor
from chainrule.inspect.diagnose.sites import Site


@factor("CD201", "wrong sign", "whole", "edge", "region", rank=6)
def wrong_sign(site: Site, number: str) -> bool:
    """The gradient is the negative of the right one.

    What it sees
        Every entry is −1 times the right number, and so is all that is computed from it.

    Why it matters
        Descent climbs. If only some layers have the sign wrong, the others may hide it for a
        while.

    Example
        ``dZ = Y - A`` in place of ``dZ = A - Y``.

    What to do
        Differentiate the loss once more: of −log a it is −1/a, and of (a − y)² it is 2(a − y).
    """
    del site
    return number == "-1"


@factor("CD202", "constant factor", "whole", "edge", "region", rank=7)
def constant_factor(site: Site, number: str) -> bool:
    """The gradient is a fixed multiple of the right one.

    What it sees
        One number, the same in every entry and for every size of batch and layers: often 2 or
        ½, from a square or its ½.

    Why it matters
        It acts as another learning rate, and makes penalties weigh more or less than they say.

    Example
        ``dA = A - Y`` for a loss ``np.mean((A - Y) ** 2)``, whose derivative has a 2.

    What to do
        Differentiate the loss that the forward pass computes, with all its numbers.
    """
    del site
    return number in {"2", "1/2"} or number == "constant"


@factor("CD222", "the loss's own 1/m is missing", "whole", "edge", "region", rank=2)
def loss_mean_missing(site: Site, number: str) -> bool:
    """The loss is a mean over examples, and its derivative lacks the 1/m.

    What it sees
        The first gradient of the backward pass, and all that follow, are m times too large.

    Why it matters
        The step grows with the batch: a learning rate that works for 32 examples diverges for
        256.

    Example
        ``dscores = probs; dscores[range(N), y] -= 1`` without ``dscores /= N``.

    What to do
        Divide once: where the loss is differentiated, or in each gradient of a parameter, but
        not in both.
    """
    return number == "m" and not site.is_argument and site.kind == "whole" and is_first(site)


@factor("CD203", "the 1/m is missing", "whole", "edge", "region", rank=6)
def mean_missing(site: Site, number: str) -> bool:
    """A gradient is summed over the examples where the loss is their mean.

    What it sees
        The gradient is m times the right one, for each number m of examples.

    Why it matters
        Its step grows with the batch, and no longer fits the steps of the other layers.

    Example
        ``dW1 = dZ1 @ X.T`` beside ``dW2 = dZ2 @ A1.T / m``.

    What to do
        Divide by the number of examples.
    """
    del site
    return number in {"m", "m-1", "m²", "2m", "m/2"}


@factor("CD204", "divided by m twice", "whole", "edge", "region", rank=6)
def mean_twice(site: Site, number: str) -> bool:
    """A gradient is divided by the number of examples once too often.

    What it sees
        The gradient is 1/m of the right one.

    Why it matters
        The larger the batch, the smaller the step, until the layer seems not to learn.

    Example
        ``dscores /= N``, and then ``dW = X.T @ dscores / N``.

    What to do
        Divide once: where the loss is differentiated, or in each gradient of a parameter.
    """
    del site
    return number in {"1/m", "1/m²", "1/(2m)", "2/m"}


@factor("CD205", "number of outputs", "whole", "edge", "region", rank=6)
def number_of_outputs(site: Site, number: str) -> bool:
    """The gradient is off by the number of outputs, or the size of another axis.

    What it sees
        A factor that is the length of an axis that does not count examples: k, or 1/k. The
        loss averages over it and the gradient does not, or the reverse.

    Why it matters
        With one output nothing is wrong, which is where such code is usually tested.

    Example
        ``loss = np.mean((A - Y) ** 2)`` over m × k elements, with ``dA = 2 * (A - Y) / m``.

    What to do
        Divide by what the loss divides by: ``A.size`` for a mean over all elements.
    """
    del site
    if number.startswith("m/"):  # divided by k in place of m
        return number != "m/2"
    if number.endswith("/m") and not number.startswith(("1/", "2/")):  # by m in place of k
        return True
    letters = number.removeprefix("1/")
    return letters.isalnum() and letters not in {"0", "1", "2", "m", "2m", "constant", "norm"}


@factor("CD206", "factor 1/(m k)", "whole", "edge", "region", rank=6)
def all_elements(site: Site, number: str) -> bool:
    """The gradient is off by the number of examples and another size together.

    What it sees
        A factor m·k, 1/(m·k), m/k, k/m, 2m or the like: a mean over all elements where one
        over examples is meant, or the reverse, on top of another division.

    Why it matters
        The step depends on the batch and on the layer.

    Example
        ``dA = 2 * (A - Y) / A.size / m``.

    What to do
        Count the means in the loss, and divide once for each.
    """
    del site
    return (
        "*" in number or (number.endswith("/m") and number not in {"1/m", "2/m"}) or number == "m/k"
    )


@factor("CD223", "mean where a sum is meant", "edge", "whole", rank=6)
def mean_for_sum(site: Site, number: str) -> bool:
    """A sum was taken as a mean.

    What it sees
        A gradient that is a sum over examples is 1/m of the right one.

    Why it matters
        Where the 1/m is already in what comes from above, another mean divides again.

    Example
        ``db = dscores.mean(axis=0)`` where ``dscores`` carries the 1/N.

    What to do
        Write ``.sum(axis=0)``; or leave the 1/N out above and take the mean everywhere.
    """
    return number == "1/m" and (site.is_argument or site.kind == "edge")


@factor("CD213", "bias gradient averaged", "edge", "whole", rank=2)
def bias_averaged(site: Site, number: str) -> bool:
    """The gradient of a bias is the mean over examples where their sum is right.

    What it sees
        The gradient of something that was added to every example is 1/m of the right one.

    Why it matters
        Biases learn m times more slowly than weights.

    Example
        ``db = dscores.mean(axis=0)`` where ``dscores`` carries the 1/N.

    What to do
        Write ``db = dscores.sum(axis=0)``.
    """
    return number == "1/m" and site.is_argument and is_bias(site)


@factor("CD224", "regularisation missing", "edge", "whole", rank=1)
def penalty_missing(site: Site, number: str) -> bool:
    """The loss has a penalty on a parameter, and its gradient has not.

    What it sees
        The gradient is the right one without the part that comes by way of the penalty.

    Why it matters
        The loss that is printed is not the one that is minimised: nothing holds the weights.

    Example
        ``loss = data + 0.5 * lam * np.sum(W ** 2)`` with ``dW = X.T @ dscores`` alone.

    What to do
        Add the derivative of the penalty: ``dW += lam * W``.
    """
    return number == "0" and site.is_penalty


@factor("CD225", "regularisation doubled or halved", "edge", "whole", rank=1)
def penalty_scaled(site: Site, number: str) -> bool:
    """The penalty's part of a gradient is off by a factor.

    What it sees
        The data's part is right, and what comes by way of the penalty is a multiple of what
        it should be: mostly 2 or ½.

    Why it matters
        The penalty weighs otherwise than it says, and its best weight is not what is printed.

    Example
        ``loss += 0.5 * lam * np.sum(W ** 2)`` with ``dW += 2 * lam * W``.

    What to do
        The derivative of ½λw² is λw, and that of λw² is 2λw.
    """
    return number != "0" and site.is_penalty


@factor("CD239", "never set", "whole", "edge", "region", rank=3)
def never_set(site: Site, number: str) -> bool:
    """The gradient is 0 where it should not be.

    What it sees
        Every entry of the claimed gradient is 0, and the right one is not.

    Why it matters
        The parameter stays what it was when it was drawn.

    Example
        A gradient made by ``np.zeros_like(W1)`` that no line fills.

    What to do
        Compute it, by the formula below.
    """
    if number != "0" or site.is_penalty:
        return False
    claimed = [c.array for c in site.account.claims.values() if c.node == site.value]
    is_zero = not any(np.any(array) for array in claimed)  # and not what rounding left of a sum
    return is_zero and (site.kind == "whole" or site.is_argument)


def is_bias(site: Site) -> bool:
    """Return whether a value is added to every example."""
    account = site.account
    edges = [Site(account, "edge", site.value, c) for c in account.consumers.get(site.value, [])]
    return any(edge.was_repeated and bool(np.all(edge.factor == 1)) for edge in edges)


def is_first(site: Site) -> bool:
    """Return whether the gradient of every argument follows from that of this value."""
    account = site.account
    reached = account.spread({site.value: site.true})
    return all(c.node in reached for c in account.claims.values() if c.kind == "argument")
