"""PyTorch as it comes, with its fused Adam."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.threads import threads

NAME = "PyTorch"

torch.set_num_threads(threads())


def model_of(network):
    """Return the network with its first parameters."""
    function = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[network.activation]
    layers = []
    for W, b in network.parameters():
        layer = torch.nn.Linear(*W.shape)
        layer.load_state_dict({"weight": torch.from_numpy(W.T.copy()), "bias": torch.from_numpy(b)})
        layers += [layer, function()]
    return torch.nn.Sequential(*layers[:-1])


def stepper(network):
    """Return a function that takes one step on a batch."""
    model = model_of(network)
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    loss = torch.nn.CrossEntropyLoss()

    def step(X, y):
        optimiser.zero_grad()
        value = loss(model(X), y)
        value.backward()
        optimiser.step()
        return value.detach()

    return step


def adam_step(network):
    """Return one step on one batch."""
    X, y = map(torch.from_numpy, network.data())
    step = stepper(network)
    return lambda: step(X, y)


def epoch(network, X, y):
    """Return an epoch in a given order, without a data loader, which would cost more."""
    step = stepper(network)
    X, y = torch.from_numpy(X), torch.from_numpy(y)

    def run(order):
        parts = torch.from_numpy(order).split(network.batch)
        return sum(len(part) * float(step(X[part], y[part])) for part in parts) / len(order)

    return run


def predict_row(network):
    """Return a function from one row to the outputs, NumPy on both sides."""
    model = model_of(network).eval()

    @torch.inference_mode()
    def predict(x):
        return model(torch.from_numpy(x)).numpy()

    return predict


def derivatives(network):
    """Return functions for the gradient, a Hessian-vector product and a Jacobian."""
    X, y = map(torch.from_numpy, network.data())
    model = model_of(network)
    # The names alternate weight, bias as the layers do; PyTorch's weights are (out, in).
    flat = [np.ascontiguousarray(d.T) for layer in network.directions() for d in layer]
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    direction = dict(zip(parameters, map(torch.from_numpy, flat), strict=True))

    def output(p, X):
        return torch.func.functional_call(model, p, X)

    def loss(p):
        return torch.nn.functional.cross_entropy(output(p, X), y)

    gradient = torch.func.grad(loss)
    jacobian = torch.func.jacrev(output)

    def layers(found):
        return [x.transpose(-1, -2) if "weight" in name else x for name, x in found.items()]

    return {
        "gradient": lambda: layers(gradient(parameters)),
        "hvp": lambda: layers(torch.func.jvp(gradient, (parameters,), (direction,))[1]),
        "jacobian": lambda: layers(jacobian(parameters, X[0])),
    }
