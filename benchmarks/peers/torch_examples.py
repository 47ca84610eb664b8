"""PyTorch's ways to norms of the gradients of single examples, and what is built on it.

``torch.func`` forms every gradient (vmap of grad); BackPACK and Opacus hold hooks in the layers,
and the norms of dense layers follow from what these see. Both are optional: they are timed where
they are installed beside PyTorch.
"""

from __future__ import annotations

import importlib

import torch

from benchmarks.harness import Contestant
from benchmarks.peers import reason
from benchmarks.peers.torch_eager import model_of

VMAP = "torch.func.vmap(grad)"
OPACUS = "Opacus"
BACKPACK = "BackPACK"


def contestants(network, check):
    """Return those that are here, and why the others are not.

    Parameters
    ----------
    network
        What is differentiated.
    check
        Called with the norms that each finds; raises where they are wrong.
    """
    found, absent = [], {}
    for name, prepare in ((VMAP, by_vmap), (BACKPACK, by_backpack), (OPACUS, by_opacus)):
        try:
            run = prepare(network)
            check(run().numpy())
        except Exception as error:  # noqa: BLE001 - a peer that fails in any way is reported
            absent[name] = reason(error)
        else:
            found.append(Contestant(name, run))
    return found, absent


def norm_of(gradients):
    """Return the norm over all parameters of gradients with examples along the first axis."""
    return torch.sqrt(sum((g * g).flatten(1).sum(1) for g in gradients))


def by_vmap(network):
    """Return the norms by a gradient that is mapped over the examples."""
    model = model_of(network)
    p = {name: x.detach() for name, x in model.named_parameters()}
    X, y = map(torch.from_numpy, network.data())

    def loss(p, x, label):
        scores = torch.func.functional_call(model, p, (x[None],))
        return torch.nn.functional.cross_entropy(scores, label[None])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    return lambda: norm_of(each(p, X, y).values())


def by_backpack(network):
    """Return the norms by BackPACK's extension for squared norms, of a sum of losses."""
    backpack = importlib.import_module("backpack")
    squares = importlib.import_module("backpack.extensions").BatchL2Grad()
    model = backpack.extend(model_of(network))
    loss = backpack.extend(torch.nn.CrossEntropyLoss(reduction="sum"))
    X, y = map(torch.from_numpy, network.data())

    def norms():
        model.zero_grad()
        with backpack.backpack(squares):
            loss(model(X), y).backward()
        return torch.sqrt(sum(p.batch_l2 for p in model.parameters()))

    return norms


def by_opacus(network):
    """Return the norms by Opacus's ghost clipping, which does not form the gradients."""
    ghost = importlib.import_module("opacus.grad_sample.grad_sample_module_fast_gradient_clipping")
    module = ghost.GradSampleModuleFastGradientClipping(
        model_of(network), use_ghost_clipping=True, loss_reduction="sum", max_grad_norm=1.0
    )
    X, y = map(torch.from_numpy, network.data())
    loss = torch.nn.CrossEntropyLoss(reduction="sum")

    def norms():
        module.zero_grad()
        loss(module(X), y).backward()
        return module.get_norm_sample().detach()

    return norms
