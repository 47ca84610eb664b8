"""Value, gradient, forward mode and second derivative of one sample, by both sides.

Both sides pull the same fixed cotangents back, and differentiate the gradient's inner
product with the same fixed probes once more.  Our forward mode pushes the probes, and its
inner product with the cotangents has to be that of PyTorch's gradient with the probes.  A
*finding* is the list of arrays that one side has for one of these checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import chainrule

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.records import Sample

CHECKS = ("value", "gradient", "forward", "second")


def fixed(shapes: list[tuple[int, ...]], seed: int) -> list[np.ndarray]:
    """Return the same normal arrays of these shapes in every run."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) for shape in shapes]


def leaves(tree: Any) -> list[Any]:
    """Return the arrays of a result that may be one array or nested tuples of them."""
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in leaves(branch)]
    return [tree]


def by_torch(record: Any, sample: Sample, *, second: bool) -> dict[str, list[np.ndarray]]:
    """Return PyTorch's findings; of a result with indices in it, the floating part.

    A result of lower precision is left out of ``forward``: the two modes round apart.
    """
    tensors = [torch.tensor(a, requires_grad=record.supports_autograd) for a in sample.arrays]
    outputs = [leaf for leaf in leaves(sample.call_torch(record, tensors)) if torch.is_tensor(leaf)]
    outputs = [leaf for leaf in outputs if leaf.is_floating_point()] or outputs
    cotangents = fixed([tuple(leaf.shape) for leaf in outputs], seed=1)
    pulled = [
        (leaf, torch.tensor(g, dtype=leaf.dtype))
        for leaf, g in zip(outputs, cotangents, strict=True)
        if leaf.requires_grad
    ]
    gradient = pulled_back(pulled, tensors, again=second)
    probes = fixed([a.shape for a in sample.arrays], seed=2)
    total = sum((g * torch.tensor(v)).sum() for g, v in zip(gradient, probes, strict=True))
    found = {"value": outputs, "gradient": gradient}
    if all(leaf.dtype == torch.float64 for leaf in outputs):
        found["forward"] = [total]
    if second:
        steeper = [(total, torch.tensor(1.0, dtype=torch.float64))] if total.requires_grad else []
        found["second"] = pulled_back(steeper, tensors, again=False)
    return {check: [leaf.detach().numpy(force=True) for leaf in found[check]] for check in found}


def pulled_back(
    pairs: list[tuple[torch.Tensor, torch.Tensor]], tensors: list[torch.Tensor], *, again: bool
) -> list[torch.Tensor]:
    """Return PyTorch's gradient of outputs paired with cotangents, zeros where there is none."""
    if not pairs:
        return [torch.zeros_like(tensor) for tensor in tensors]
    outputs, cotangents = zip(*pairs, strict=True)
    return list(
        torch.autograd.grad(
            outputs,
            tensors,
            cotangents,
            create_graph=again,
            allow_unused=True,
            materialize_grads=True,
        )
    )


def as_function(word: Callable[..., Any], sample: Sample) -> Callable[..., Any]:
    """Return a sample's call as a function of its differentiated arrays, truths as numbers."""

    def function(*arrays: Any) -> Any:
        outputs = [1.0 * leaf for leaf in leaves(sample.call(word, arrays))]
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    return function


def by_chainrule(word: Callable[..., Any], sample: Sample) -> dict[str, Callable[[], list[Any]]]:
    """Return how to get each finding of ours; what raises, raises when it is asked for."""
    function = as_function(word, sample)

    def gradient(*arrays: Any) -> tuple[Any, ...]:
        value, pull = chainrule.vjp(function, *arrays)
        cotangents = fixed([np.shape(leaf) for leaf in leaves(value)], seed=1)
        return pull(tuple(cotangents) if isinstance(value, tuple) else cotangents[0])

    def slope(*arrays: Any) -> Any:
        probes = fixed([a.shape for a in sample.arrays], seed=2)
        return sum(np.sum(g * v) for g, v in zip(gradient(*arrays), probes, strict=True))

    def pushed() -> list[Any]:
        probes = fixed([a.shape for a in sample.arrays], seed=2)
        value, tangent = chainrule.jvp(function, sample.arrays, tuple(probes))
        cotangents = fixed([np.shape(leaf) for leaf in leaves(value)], seed=1)
        return [sum(np.sum(g * v) for g, v in zip(cotangents, leaves(tangent), strict=True))]

    everything = tuple(range(len(sample.arrays)))
    return {
        "value": lambda: leaves(chainrule.vjp(function, *sample.arrays)[0]),
        "gradient": lambda: list(gradient(*sample.arrays)),
        "forward": pushed,
        "second": lambda: list(chainrule.grad(slope, argnums=everything)(*sample.arrays)),
    }
