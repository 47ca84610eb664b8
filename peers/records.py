"""PyTorch's operator records, cut into samples that plain NumPy can read.

A record (``OpInfo``) is one operator with a generator of sample inputs.  A
``Sample`` is one of those inputs with its tensors taken out: the differentiated
ones as float64 arrays in order, the rest as plain NumPy constants.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DTYPES = {
    torch.float64: np.float64,
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.int64: np.int64,
    torch.int32: np.int32,
    torch.int16: np.int16,
    torch.int8: np.int8,
    torch.uint8: np.uint8,
    torch.bool: np.bool_,
}


@dataclass(frozen=True)
class Slot:
    """The place of one differentiated array inside a sample's arguments."""

    index: int


@dataclass(frozen=True)
class Sample:
    """One call of one operator, its differentiated arrays taken out.

    Parameters
    ----------
    arrays : tuple of ndarray
        The differentiated float64 inputs, in the order of the arguments.
    arguments : tuple
        Positional arguments, with a ``Slot`` wherever an array was taken out.
    options : dict
        Keyword arguments, with slots alike.
    tidy : callable
        What the record does to the operator's result before it is compared.
    """

    arrays: tuple[np.ndarray, ...]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    tidy: Callable[[Any], Any]

    def call(self, function: Callable[..., Any], arrays: Sequence[Any]) -> Any:
        """Call ``function`` on this sample with ``arrays`` in the slots."""
        arguments = fill(self.arguments, arrays, numpy=True)
        options = fill(self.options, arrays, numpy=True)
        return function(*arguments, **options)

    def call_torch(self, record: Any, tensors: Sequence[torch.Tensor]) -> Any:
        """Call the record's own operator with ``tensors`` in the slots."""
        arguments = fill(self.arguments, tensors, numpy=False)
        options = fill(self.options, tensors, numpy=False)
        return self.tidy(record.gradcheck_wrapper(record.get_op(), *arguments, **options))


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to every leaf of nested tuples, lists, dictionaries and slices."""
    if isinstance(tree, slice):
        return slice(*(mapped(function, end) for end in (tree.start, tree.stop, tree.step)))
    if isinstance(tree, tuple):
        return tuple(mapped(function, item) for item in tree)
    if isinstance(tree, list):
        return [mapped(function, item) for item in tree]
    if isinstance(tree, dict):
        return {key: mapped(function, item) for key, item in tree.items()}
    return function(tree)


def fill(tree: Any, arrays: Sequence[Any], *, numpy: bool) -> Any:
    """Put ``arrays`` into the slots of ``tree``; constants become NumPy's if asked."""

    def leaf(item: Any) -> Any:
        if isinstance(item, Slot):
            return arrays[item.index]
        if isinstance(item, torch.Tensor):
            return item.numpy().copy() if numpy else item.clone()
        if isinstance(item, torch.dtype):
            return DTYPES.get(item, item) if numpy else item
        return item

    return mapped(leaf, tree)


def take_out(tree: Any, arrays: list[np.ndarray], *, every: bool) -> Any:
    """Replace each differentiated tensor of ``tree`` by a slot and collect its array.

    An operator without a derivative marks no input, and then ``every`` floating
    tensor is taken out, to see that its derivative here is 0.
    """

    def leaf(item: Any) -> Any:
        if not isinstance(item, torch.Tensor):
            return item
        tensor = item.detach()
        if tensor.dtype != torch.float64 or not (item.requires_grad or every):
            return tensor
        arrays.append(np.array(tensor.numpy()))
        return Slot(len(arrays) - 1)

    return mapped(leaf, tree)


def record_name(record: Any) -> str:
    """The operator's name, with its variant after a slash where it has one."""
    variant = record.variant_test_name
    return f"{record.name}/{variant}" if variant else record.name


RECORDS = {record_name(record): record for record in op_db}


@cache
def samples(name: str) -> tuple[Sample, ...]:
    """All float64 sample inputs of a record, the same ones in every run."""
    record = RECORDS[name]
    seed_everything()
    found = []
    for sample in record.sample_inputs(
        "cpu", torch.float64, requires_grad=record.supports_autograd
    ):
        arrays: list[np.ndarray] = []
        every = not record.supports_autograd
        arguments = take_out((sample.input, *sample.args), arrays, every=every)
        options = take_out(dict(sample.kwargs), arrays, every=every)
        found.append(Sample(tuple(arrays), arguments, options, sample.output_process_fn_grad))
    return tuple(found)


def seed_everything() -> None:
    """Fix every source of randomness that the records draw from."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the records draw from NumPy's global generator
    torch.manual_seed(0)
