"""PyTorch's optimisers and schedules: 100 steps from the same start, number for number.

The configurations are those of PyTorch's own optimiser records. Each side differentiates the
loss by its own engine, so a difference anywhere would grow along the way.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler, swa_utils
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

import chainrule
from chainrule import train
from chainrule.errors import SettingError
from peers.nearness import TOLERANCE, differences

STEPS = 100
RECORDS = {info.name: info for info in optim_db}
OURS = {name: getattr(train, name) for name in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW")}
LEFT_OUT = {
    "ASGD": "averages in its own way; chainrule averages weights apart from the optimiser",
    "Adadelta": "no counterpart",
    "Adafactor": "no counterpart",
    "Adamax": "no counterpart",
    "LBFGS": "another line search: chainrule's L-BFGS is SciPy's, and both find the same minimum",
    "Muon": "no counterpart",
    "NAdam": "no counterpart",
    "RAdam": "no counterpart",
    "Rprop": "no counterpart",
    "SparseAdam": "sparse gradients, which chainrule does not have",
}
CONFIGURATIONS = [
    pytest.param(name, config.kwargs, id=f"{name}-{config.desc}")
    for name in OURS
    for config in RECORDS[name].optim_inputs_func("cpu")
]


def start() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    return {"w": generator.normal(size=(4, 3)), "b": generator.normal(size=3)}


def data() -> tuple[Any, Any]:
    generator = np.random.default_rng(1)
    return generator.normal(size=(20, 4)), generator.normal(size=(20, 3))


def loss(parameters: dict[str, Any], X: Any, Y: Any, module: Any) -> Any:
    """Return a loss that is curved and bounded in its slopes, for one of the two sides."""
    error = module.tanh(X @ parameters["w"] + parameters["b"]) - Y
    return module.sum(error * error) / len(X)


def ours(optimiser: Any, sign: float = 1.0, lr: Any = None) -> list[Any]:
    """Return the parameters after each step, in one list."""
    parameters = start()
    state, found = optimiser.init(parameters), []
    gradient = chainrule.grad(lambda p, X, Y: sign * loss(p, X, Y, np))
    for step in range(STEPS):
        rate = None if lr is None else lr(step)
        parameters, state = optimiser.update(
            parameters, gradient(parameters, *data()), state, lr=rate
        )
        found += [parameters["w"], parameters["b"]]
    return found


def theirs(make: Any, schedule: Any = None) -> list[Any]:
    """Return what `ours` does, by PyTorch."""
    parameters = {name: torch.tensor(x, requires_grad=True) for name, x in start().items()}
    optimiser = make(list(parameters.values()))
    scheduler = schedule(optimiser) if schedule else None
    X, Y = (torch.tensor(x) for x in data())
    found = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss(parameters, X, Y, torch).backward()
        optimiser.step()
        if scheduler:
            scheduler.step()
        found += [parameters["w"].detach().numpy().copy(), parameters["b"].detach().numpy().copy()]
    return found


def settings(kwargs: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """Return a configuration in our words: to maximise is to minimise the negative."""
    said = {
        name: x.double().numpy() if isinstance(x, torch.Tensor) else x for name, x in kwargs.items()
    }
    return said, -1.0 if said.pop("maximize", False) else 1.0


def test_every_record_is_compared_or_left_out_with_a_reason() -> None:
    assert not OURS.keys() & LEFT_OUT.keys()
    assert OURS.keys() | LEFT_OUT.keys() == RECORDS.keys()
    assert not hasattr(torch.optim, "Lion")  # else it would be a peer too


@pytest.mark.parametrize(("name", "kwargs"), CONFIGURATIONS)
def test_the_trajectory_agrees(name: str, kwargs: dict[str, Any]) -> None:
    said, sign = settings(kwargs)
    if name == "SGD":
        said.setdefault("lr", 1e-3)  # PyTorch's default; here a rate has to be said
    expected = theirs(lambda parameters: getattr(torch.optim, name)(parameters, **kwargs))
    assert not differences(ours(OURS[name](**said), sign), expected)


@pytest.mark.parametrize("name", OURS)
def test_the_defaults_agree(name: str) -> None:
    defaults = inspect.signature(getattr(torch.optim, name)).parameters
    for setting, parameter in inspect.signature(OURS[name]).parameters.items():
        if (name, setting) != ("SGD", "lr"):
            assert parameter.default == defaults[setting].default


REFUSED = [
    pytest.param(name, error.optimizer_error_input.kwargs, id=f"{name}-{error.error_regex}")
    for name in OURS
    for error in RECORDS[name].optim_error_inputs_func("cpu", torch.float64)
    if error.error_on is OptimizerErrorEnum.CONSTRUCTION_ERROR
    and error.optimizer_error_input.params is None
    and not error.optimizer_error_input.kwargs.keys() & {"foreach", "fused", "capturable"}
]


@pytest.mark.parametrize(("name", "kwargs"), REFUSED)
def test_what_pytorch_refuses_is_refused(name: str, kwargs: dict[str, Any]) -> None:
    said, _ = settings(kwargs)
    with pytest.raises(SettingError):
        OURS[name](**said)


SCHEDULES = {
    "step": (
        train.Step(0.1, step_size=7, gamma=0.6),
        lambda o: lr_scheduler.StepLR(o, step_size=7, gamma=0.6),
    ),
    "cosine": (
        train.Cosine(0.1, total_steps=STEPS, min_lr=0.01),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS, eta_min=0.01),
    ),
    "one cycle": (
        train.OneCycle(0.1, total_steps=STEPS + 1, pct_start=0.37, final_div_factor=50),
        lambda o: lr_scheduler.OneCycleLR(
            o, 0.1, total_steps=STEPS + 1, pct_start=0.37, final_div_factor=50, cycle_momentum=False
        ),
    ),
    "warm-up": (
        train.WarmUp(0.1, steps=10, start_factor=0.2),
        lambda o: lr_scheduler.LinearLR(o, start_factor=0.2, total_iters=10),
    ),
    "warm-up, then cosine": (
        train.WarmUp(train.Cosine(0.1, total_steps=STEPS - 10), steps=10, start_factor=0.2),
        lambda o: lr_scheduler.SequentialLR(
            o,
            [
                lr_scheduler.LinearLR(o, start_factor=0.2, total_iters=10),
                lr_scheduler.CosineAnnealingLR(o, T_max=STEPS - 10),
            ],
            milestones=[10],
        ),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_trajectory_under_a_schedule_agrees(name: str) -> None:
    schedule, their_schedule = SCHEDULES[name]
    expected = theirs(lambda p: torch.optim.Adam(p, lr=0.1), their_schedule)
    assert not differences(ours(train.Adam(schedule)), expected)
    given = ours(train.Adam(1.0), lr=lambda step: np.asarray(schedule(step)))
    assert not differences(given, expected)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"factor": 0.5, "patience": 2},
        {"factor": 0.5, "patience": 1, "mode": "max"},
        {"factor": 0.5, "patience": 0, "threshold": 0.05, "threshold_mode": "abs"},
        {"factor": 0.5, "patience": 1, "cooldown": 3, "min_lr": 0.01},
    ],
)
def test_reduce_on_plateau_agrees(kwargs: dict[str, Any]) -> None:
    metrics = np.exp(-np.arange(60) / 9) + 0.1 * np.random.default_rng(3).normal(size=60)
    theirs = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(theirs, **kwargs, eps=0)
    ours = train.ReduceOnPlateau(0.1, **kwargs)
    state = ours.init()
    for step, metric in enumerate(metrics):
        scheduler.step(metric)
        state = ours.update(state, metric)
        expected = theirs.param_groups[0]["lr"]
        assert abs(ours.rate(step, state) - expected) <= TOLERANCE * expected


def test_averaging_agrees() -> None:
    average = swa_utils.get_ema_multi_avg_fn(0.9)
    ema = train.EMA(0.9)
    expected = [torch.tensor(start()["w"])]
    found = ema.init(start()["w"])
    for seed in range(STEPS):
        x = np.random.default_rng(seed).normal(size=(4, 3))
        average(expected, [torch.tensor(x)], torch.tensor(1))
        found = ema.update(found, x)
    assert not differences([found], [expected[0].numpy()])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_clipping_agrees(scale: float) -> None:
    gradient = {name: scale * x for name, x in start().items()}
    tensors = [torch.zeros(x.shape, dtype=torch.float64) for x in gradient.values()]

    def fill() -> None:
        for tensor, g in zip(tensors, gradient.values(), strict=True):
            tensor.grad = torch.tensor(g)

    fill()
    norm = torch.nn.utils.clip_grad_norm_(tensors, 1.5)
    assert not differences([train.global_norm(gradient)], [norm.numpy()])
    # PyTorch divides by the norm plus 1e-6
    ours = train.clip_by_global_norm(gradient, 1.5)
    for g, tensor in zip(ours.values(), tensors, strict=True):
        np.testing.assert_allclose(g, tensor.grad.numpy(), rtol=1e-6)
    fill()
    torch.nn.utils.clip_grad_value_(tensors, 0.7)
    clipped = train.clip_by_value(gradient, 0.7)
    assert not differences(list(clipped.values()), [tensor.grad.numpy() for tensor in tensors])


def test_lbfgs_finds_the_same_minimum() -> None:
    def penalised(parameters: dict[str, Any], X: Any, Y: Any, module: Any) -> Any:
        size = sum(module.sum(p * p) for p in parameters.values())
        return loss(parameters, X, Y, module) + 0.1 * size

    tensors = {name: torch.tensor(x, requires_grad=True) for name, x in start().items()}
    X, Y = data()
    optimiser = torch.optim.LBFGS(
        tensors.values(),
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Any:
        optimiser.zero_grad()
        value = penalised(tensors, torch.tensor(X), torch.tensor(Y), torch)
        value.backward()
        return value

    optimiser.step(closure)
    best, _ = train.minimise(
        lambda p, X, Y: penalised(p, X, Y, np), start(), X, Y, ftol=0.0, gtol=1e-12
    )
    for name, x in best.items():  # a minimum is flat: half the digits of its value
        np.testing.assert_allclose(x, tensors[name].detach().numpy(), rtol=0, atol=1e-7)
