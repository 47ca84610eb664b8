"""A training as a picture: losses, and the gradient of each layer, over the epochs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import MissingExtraError
from chainrule.interop.data.writing import whole_file

try:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "drawing a training needs matplotlib, which is not installed.",
        advice='Run: pip install "chainrule[plot]"',
    ) from error

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from chainrule.interop.data.listening import EpochReport

__all__ = ["draw_training"]

_BLUE, _ORANGE = "#1f5fa8", "#d1701a"


def draw_training(history: Sequence[EpochReport], path: str | os.PathLike[str]) -> None:
    """Write a PNG of the losses and of the gradient norm of each layer over a training.

    Parameters
    ----------
    history
        A report for each epoch.
    path
        The file.

    Raises
    ------
    FileAccessError
        The folder or the disk refuses.
    """
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    losses, gradients = figure.subplots(1, 2)
    epochs = [report.epoch for report in history]
    _draw_losses(losses, epochs, history)
    _draw_gradients(gradients, history)
    for axes in (losses, gradients):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    with whole_file(Path(path)) as file:
        file.write(data.getvalue())


def _draw_losses(axes: Any, epochs: list[int], history: Sequence[EpochReport]) -> None:
    curves = {
        "training": (_BLUE, [report.loss for report in history]),
        "validation": (_ORANGE, [report.validation_loss for report in history]),
    }
    axes.set_title("Loss")
    for name, (colour, values) in curves.items():
        if np.any(np.isfinite(values)):
            axes.plot(epochs, values, color=colour, label=name, **_mark(epochs))


def _draw_gradients(axes: Any, history: Sequence[EpochReport]) -> None:
    axes.set_title("Norm of the gradient of each layer")
    measured = [report for report in history if report.layers]
    epochs = [report.epoch for report in measured]
    names = measured[0].layers if measured else {}
    norms = {name: [report.layers[name] for report in measured] for name in names}
    for k, (name, values) in enumerate(norms.items()):
        shade = 0.15 + 0.7 * k / max(len(norms) - 1, 1)
        axes.plot(epochs, values, color=_shaded(shade), label=name, **_mark(epochs))
    if any(x > 0 for values in norms.values() for x in values):
        axes.set_yscale("log")


def _mark(epochs: list[int]) -> dict[str, Any]:
    """Return how few points are seen, which have hardly a line between them."""
    return {"marker": "o", "markersize": 3} if len(epochs) < 30 else {}


def _shaded(share: float) -> tuple[float, float, float]:
    """Return a colour between dark blue for the first layer and orange for the last."""
    first, last = np.array([0.07, 0.2, 0.45]), np.array([0.88, 0.5, 0.12])
    return tuple(float(x) for x in first + (last - first) * share)  # type: ignore[return-value]
