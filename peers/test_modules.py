"""Every layer and loss that PyTorch has too agrees with PyTorch's module records.

A record (``ModuleInfo``) is a class with samples of how to make it and call it. A module of ours
is made with the same arguments, takes over the parameters, and has to give the same output and
the same gradients: by its own ``backward``, and by `chainrule.grad` over `functional_call`.
"""

from __future__ import annotations

import inspect
import tomllib
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.testing._internal.common_modules import module_db

import chainrule
from chainrule import nn
from peers.derivatives import fixed
from peers.nearness import differences
from peers.records import seed_everything

if TYPE_CHECKING:
    from collections.abc import Iterator

# Lower these when the list shrinks.
MOST_CLASSES = 85
MOST_SAMPLES = 17

RECORDS = {record.module_cls.__name__: record for record in module_db}
LISTS = tomllib.loads((Path(__file__).parent / "modules_left_out.toml").read_text())
LEFT_OUT = {name: e["reason"] for e in LISTS["left_out"] for name in e["classes"]}
SAMPLES = {
    (name, mode, index): e["reason"]
    for e in LISTS["sample"]
    for name, modes in e["samples"].items()
    for mode, indices in modes.items()
    for index in indices
}
OURS = sorted(RECORDS.keys() - LEFT_OUT.keys())
MODES = ("training", "evaluation")
OPTIONS = {"dim": "axis"}


@cache
def samples(name: str, mode: str) -> list[Any]:
    """Return a record's samples in double precision, the same ones in every run."""
    seed_everything()
    record = RECORDS[name]
    return record.module_inputs_func(
        record,
        device="cpu",
        dtype=torch.float64,
        requires_grad=True,
        training=mode == "training",
    )


def numpy_of(x: Any) -> Any:
    return x.detach().numpy().copy() if isinstance(x, torch.Tensor) else x


def made(name: str, sample: Any) -> tuple[Any, Any]:
    """Return their module and ours, made alike and with the same parameters."""
    arguments, options = sample.constructor_input.args, sample.constructor_input.kwargs
    theirs = RECORDS[name].module_cls(*arguments, **options).double()
    named = inspect.signature(type(theirs).__init__).bind(theirs, *arguments, **options).arguments
    del named["self"]
    ours = getattr(nn, name)(**{OPTIONS.get(k, k): numpy_of(x) for k, x in named.items()})
    ours.load_state_dict({k: numpy_of(x) for k, x in theirs.state_dict().items()})
    return theirs, ours


def each() -> Iterator[Any]:
    for name in OURS:
        for mode in MODES:
            for index, sample in enumerate(samples(name, mode)):
                if (name, mode, index) not in SAMPLES:
                    yield pytest.param(name, mode, index, id=f"{name}-{mode}-{index}{sample.desc}")


@pytest.mark.parametrize(("name", "mode", "index"), each())
def test_a_module_agrees(name: str, mode: str, index: int) -> None:
    assert disagreement(name, mode, index) == ""


@pytest.mark.parametrize(("name", "mode", "index"), SAMPLES)
def test_a_sample_that_agrees_now_is_taken_off_the_list(name: str, mode: str, index: int) -> None:
    try:
        said = disagreement(name, mode, index)
    except Exception as error:  # noqa: BLE001 - whatever is raised keeps it on the list
        said = str(error)
    assert said


def disagreement(name: str, mode: str, index: int) -> str:
    sample = samples(name, mode)[index]
    theirs, ours = made(name, sample)
    theirs.train(mode == "training")
    ours.train(mode == "training")
    tensors = [
        x.detach().clone()
        for x in (*sample.forward_input.args, *sample.forward_input.kwargs.values())
    ]
    for x in tensors:
        x.requires_grad_(x.is_floating_point())
    inputs = [numpy_of(x) for x in tensors]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = by_torch(theirs, tensors)
    said = {
        "backward": differences(by_backward(ours, inputs), expected),
        "grad": differences(by_grad(ours, inputs), expected),
        "buffers": differences(
            [x for _, x in sorted((n, b.data) for n, b in ours.named_buffers())],
            [numpy_of(b) for _, b in sorted(theirs.named_buffers())],
        ),
    }
    return "; ".join(f"{k}: {text}" for k, text in said.items() if text)


def by_torch(module: Any, tensors: list[Any]) -> list[Any]:
    """Return output, gradients at the floating inputs, and those of the parameters by name."""
    y = module(*tensors)
    wanted = [*[x for x in tensors if x.requires_grad], *dict(module.named_parameters()).values()]
    (g,) = fixed([tuple(y.shape)], seed=1)
    gradients = torch.autograd.grad(
        y, wanted, torch.tensor(g), materialize_grads=True, allow_unused=True
    )
    return [numpy_of(y), *[numpy_of(x) for x in gradients]]


def by_backward(module: Any, inputs: list[Any]) -> list[Any]:
    y = module(*inputs)
    (g,) = fixed([np.shape(y)], seed=1)
    found = nn.Module.backward(module, g)  # of a loss, also the gradient at the target
    found = found if isinstance(found, tuple) else (found,)
    return [y, *[x for x in found if x is not None], *module.gradients().values()]


def by_grad(module: Any, inputs: list[Any]) -> list[Any]:
    names = list(dict(module.named_parameters()))
    floating = [k for k, x in enumerate(inputs) if x.dtype == np.float64]

    def f(xs: list[Any], parameters: list[Any]) -> Any:
        given = list(inputs)
        for k, x in zip(floating, xs, strict=True):
            given[k] = x
        y, _ = nn.functional_call(module, dict(zip(names, parameters, strict=True)), *given)
        (g,) = fixed([y.shape], seed=1)
        return np.sum(y * g), y

    own = [p.data for p in module.parameters()]
    arguments = [inputs[k] for k in floating], own
    wanted = tuple(k for k in (0, 1) if arguments[k])
    ((_, y), gradients) = chainrule.value_and_grad(f, wanted, has_aux=True)(*arguments)
    return [y, *[x for part in gradients for x in part]]


# ---------------------------------------------------------------------------- the lists


def test_every_class_is_ours_or_has_a_reason() -> None:
    assert LEFT_OUT.keys() <= RECORDS.keys()
    missing = {name for name in LEFT_OUT if hasattr(nn, name)}
    assert not missing, f"these are here now; take them off the list: {missing}"
    assert all(hasattr(nn, name) for name in OURS)


def test_the_lists_name_each_thing_once() -> None:
    classes = [name for e in LISTS["left_out"] for name in e["classes"]]
    assert len(classes) == len(set(classes))
    assert all(name in OURS and index < len(samples(name, mode)) for name, mode, index in SAMPLES)


def test_the_lists_only_shrink() -> None:
    assert len(LEFT_OUT) <= MOST_CLASSES
    assert len(SAMPLES) <= MOST_SAMPLES


def test_no_class_is_left_out_as_a_whole() -> None:
    for name in OURS:
        listed = sum(key[0] == name for key in SAMPLES)
        assert listed < sum(len(samples(name, mode)) for mode in MODES)
