"""Layers for images: convolutions and pooling, by the patches that a window sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import ops
from chainrule.errors import SettingError, ShapeError
from chainrule.graph import describe
from chainrule.nn.given import is_whole, numbers, size
from chainrule.nn.initialise import fans, generator, initial
from chainrule.nn.module import Module
from chainrule.nn.parameters import Parameter

if TYPE_CHECKING:
    from numpy.random import Generator

    Pair = int | tuple[int, int]

__all__ = ["AvgPool2d", "Conv2d", "MaxPool2d"]


def _pair(x: Any, name: str, least: int = 1) -> tuple[int, int]:
    """Return a number for each of height and width."""
    pair = (x, x) if isinstance(x, int | np.integer) else tuple(x) if np.iterable(x) else ()
    if len(pair) != 2 or not all(
        is_whole(n) or (least == 0 and type(n) is int and n == 0) for n in pair
    ):
        sign = "positive integer" if least else "integer of at least 0"
        raise SettingError(f"{name} has to be a {sign} or two of them, got {x!r}.")
    return int(pair[0]), int(pair[1])


class _Window(Module):
    """What slides over images: a kernel, its steps, and what stands beyond the edge."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: Any
    dilation: tuple[int, int] = (1, 1)
    beyond: float = 0.0

    def _patches(self, x: Any) -> tuple[Any, tuple[int, ...]]:
        """Return patches (N, C, places in the kernel, patches), and the output's shape but C."""
        sides = self._sides()
        x = (
            np.pad(x, ((0, 0), (0, 0), *sides), constant_values=self.beyond)
            if any(map(any, sides))
            else x
        )
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        if any(n < r for n, r in zip(x.shape[2:], reach, strict=True)):
            raise ShapeError(
                f"{type(self).__name__} reaches over {reach} places, more than the padded image "
                f"has: {list(x.shape[2:])}."
            )
        columns = ops.unfold(x, self.kernel_size, dilation=self.dilation, stride=self.stride)
        lengths = [
            (n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, self.stride, strict=True)
        ]
        places = self.kernel_size[0] * self.kernel_size[1]
        patches = np.reshape(columns, (*x.shape[:2], places, columns.shape[-1]))
        return patches, tuple(lengths)

    def _sides(self) -> list[tuple[int, int]]:
        """Return how much stands before and after, for height and width."""
        if self.padding == "same":
            beyond = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            return [(n // 2, n - n // 2) for n in beyond]
        return [(n, n) for n in self.padding]

    def _images(self, x: Any, channels: int | None = None) -> Any:
        """Return images (N, C, H, W), from one image (C, H, W) too."""
        name = type(self).__name__
        x = numbers(x, f"the input of {name}")
        if x.ndim not in {3, 4} or channels not in {None, x.shape[-3]}:
            c = "C" if channels is None else channels
            raise ShapeError(
                f"{name} needs images of shape (N, {c}, H, W), or one of shape ({c}, H, W), got "
                f"{describe(x)}."
            )
        return x if x.ndim == 4 else x[None]


class Conv2d(_Window):
    """Each output channel is a sum of products of a kernel with the patches of the input.

    y[n, o, p] = Σ over c, k of W[o, c, k] x[n, c, p + k] + b[o] (a cross-correlation, as in all
    frameworks), where p runs over places and k over the kernel.

    Parameters
    ----------
    in_channels, out_channels
        C before and after.
    kernel_size, stride, dilation
        A number, or one for each of height and width.
    padding
        Zeros around the image: as many on each side, or "valid" for none, or "same" for as
        many as keep the image's size.
    groups
        Into how many parts the channels are divided that do not see each other.
    bias
        Whether there is a b.
    initialiser
        A name of `chainrule.nn.INITIALISERS` for W; b is uniform within ±1/√fan_in.
    seed
        A number or generator that the weights are drawn from.

    Examples
    --------
    >>> layer = Conv2d(1, 4, 3, padding=1, seed=0)
    >>> layer(np.ones((2, 1, 8, 8))).shape
    (2, 4, 8, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        initialiser: str = "fan_in_uniform",
        seed: int | Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        self.in_channels = size(in_channels, "in_channels")
        self.out_channels = size(out_channels, "out_channels")
        self.groups = size(groups, "groups")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise SettingError(
                f"groups has to divide the channels, {in_channels} and {out_channels}, got "
                f"{groups}."
            )
        self.kernel_size = _pair(kernel_size, "kernel_size")
        self.stride = _pair(stride, "stride")
        self.dilation = _pair(dilation, "dilation")
        if isinstance(padding, str):
            if padding not in {"same", "valid"} or (padding == "same" and self.stride != (1, 1)):
                raise SettingError(
                    'padding has to be a number, "valid", or "same" with a stride of 1, got '
                    f"{padding!r} with a stride of {stride}."
                )
            self.padding: Any = (0, 0) if padding == "valid" else padding
        else:
            self.padding = _pair(padding, "padding", least=0)
        rng = generator(seed)
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(initial(initialiser, shape, rng, dtype))
        self.bias: Any = None
        if bias:
            bound = 1 / np.sqrt(fans(shape)[0])
            self.bias = Parameter(rng.uniform(-bound, bound, self.out_channels).astype(dtype))

    def forward(self, x: Any) -> Any:
        """Return x of shape (N, in, H, W) as (N, out, H', W'); the N may be missing."""
        images = self._images(x, self.in_channels)
        patches, lengths = self._patches(images)
        count, groups = images.shape[0], self.groups
        columns = np.reshape(patches, (count, groups, -1, patches.shape[-1]))
        kernels = np.reshape(self.weight, (groups, self.out_channels // groups, -1))
        y = np.reshape(kernels @ columns, (count, self.out_channels, *lengths))
        if self.bias is not None:
            y = y + np.reshape(self.bias, (-1, 1, 1))
        return y if x.ndim == 4 else y[0]

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}"
        )


class _Pool(_Window, ABC):
    """A window over each channel on its own; by default windows stand side by side."""

    def __init__(self, kernel_size: Pair, stride: Pair | None, padding: Pair) -> None:
        self.kernel_size = _pair(kernel_size, "kernel_size")
        self.stride = _pair(kernel_size if stride is None else stride, "stride")
        self.padding = _pair(padding, "padding", least=0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise SettingError(
                f"padding has to be at most half of the kernel {self.kernel_size}, got {padding}."
            )

    def forward(self, x: Any) -> Any:
        """Return x of shape (N, C, H, W) as (N, C, H', W'); the N may be missing."""
        images = self._images(x)
        patches, lengths = self._patches(images)
        y = np.reshape(self._pooled(patches, images), (*images.shape[:2], *lengths))
        return y if x.ndim == 4 else y[0]

    @abstractmethod
    def _pooled(self, patches: Any, images: Any) -> Any:
        """Return one number for each patch."""

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool):
    """The largest number that a window sees; equal ones share the gradient.

    Parameters
    ----------
    kernel_size, dilation
        A number, or one for each of height and width.
    stride
        The steps of the window; the kernel size, if it is not said.
    padding
        How much stands around the image, where nothing counts: at most half of the kernel.

    Examples
    --------
    >>> MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """

    beyond = -np.inf

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.dilation = _pair(dilation, "dilation")

    def _pooled(self, patches: Any, images: Any) -> Any:  # noqa: ARG002 - the largest needs no count
        """Return the largest of each patch."""
        return np.max(patches, axis=2)


class AvgPool2d(_Pool):
    """The mean of what a window sees.

    Parameters
    ----------
    kernel_size
        A number, or one for each of height and width.
    stride
        The steps of the window; the kernel size, if it is not said.
    padding
        Zeros around the image: at most half of the kernel.
    count_include_pad
        Whether these zeros count.
    divisor_override
        What to divide the sums by in place of the count.

    Examples
    --------
    >>> AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        *,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def _pooled(self, patches: Any, images: Any) -> Any:
        """Return the mean of each patch."""
        if self.divisor_override is not None:
            return np.sum(patches, axis=2) / self.divisor_override
        if self.count_include_pad:
            return np.mean(patches, axis=2)
        inside, _ = self._patches(np.ones((1, 1, *images.shape[2:]), images.dtype))
        return np.sum(patches, axis=2) / np.sum(inside, axis=2)
