"""PyTorch with the model and its loss compiled, and its fused Adam; needs a C++ compiler."""

from __future__ import annotations

import torch

from benchmarks.peers.torch_eager import model_of

NAME = "torch.compile"


def adam_step(network):
    """Return one step on one batch."""
    model = model_of(network)
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    compiled = torch.compile(lambda X, y: torch.nn.functional.cross_entropy(model(X), y))
    X, y = map(torch.from_numpy, network.data())

    def step():
        optimiser.zero_grad()
        value = compiled(X, y)
        value.backward()
        optimiser.step()
        return value.detach()

    return step
