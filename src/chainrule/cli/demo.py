"""``chainrule demo``: train a network on digits, check its gradient, open one number of it."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from chainrule import ops
from chainrule.cli import digits
from chainrule.inspect import gradcheck
from chainrule.inspect import open as open_pass

if TYPE_CHECKING:
    from chainrule.cli.digits import Array, Digits, Epoch, Parameters
    from chainrule.inspect import Routes

__all__ = ["demo"]

SHOWN = 40
"""Images in the batch whose gradient is checked and opened."""

_SHADES = " ░▒▓█"
_NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def demo(seed: int, epochs: int) -> None:
    """Run the demonstration and print it."""
    console = Console(highlight=False)
    data = digits.load()
    rng = np.random.default_rng(seed)
    parameters = digits.initial_parameters(rng)
    _introduce(console, data, parameters)
    parameters = _train(console, parameters, data, epochs, rng)
    _test(console, parameters, data)
    image = _least_sure(parameters, data)
    first = image - image % SHOWN
    batch = data.X_test[first : first + SHOWN], data.y_test[first : first + SHOWN]
    _check(console, parameters, *batch)
    _open(console, parameters, *batch, image - first, image)


def _say(console: Console, text: str = "", style: str | None = None) -> None:
    """Print a line as it is: no markup in it, no wrapping, no colours where there is no screen."""
    console.print(text, style=style, markup=False, soft_wrap=True)


def _introduce(console: Console, data: Digits, parameters: Parameters) -> None:
    count = sum(x.size for x in parameters.values())
    _say(console, "A network learns to read digits", "bold")
    _say(console)
    _say(
        console,
        f"  data      {len(data.y) + len(data.y_test):,} images of 8 × 8 pixels: "
        f"{len(data.y):,} to learn from, {len(data.y_test)} kept aside",
    )
    _say(
        console,
        f"  network   {' → '.join(map(str, digits.SIZES))} units, ReLU, softmax cross-entropy: "
        f"{count:,} parameters, plain NumPy",
    )
    _say(
        console,
        f"  training  Adam, rate {digits.LEARNING_RATE}, {digits.BATCH} images a step; forward, "
        "backward and Adam run as one graph",
    )
    _say(console)


# ------------------------------------------------------------------ training


def _train(
    console: Console, parameters: Parameters, data: Digits, epochs: int, rng: Any
) -> Parameters:
    """Train with a progress bar, or with a few lines where there is no terminal."""
    columns = "  epoch {task.completed:>2.0f}/{task.total:.0f}", "{task.fields[report]}"
    bar = BarColumn(bar_width=24)
    report = ""
    started = time.perf_counter()
    with Progress(
        TextColumn(columns[0]),
        bar,
        TextColumn(columns[1]),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=epochs, report="")
        for epoch in digits.training(parameters, data, epochs, rng):
            rate = epoch.number * len(data.y) / (time.perf_counter() - started)
            report = _report(epoch, rate)
            progress.update(task, completed=epoch.number, report=report)
            if not console.is_terminal and (epoch.number * 4) % epochs < 4:
                _say(console, f"  epoch {epoch.number:>2}/{epochs}  {report}")
            parameters = epoch.parameters
    return parameters


def _report(epoch: Epoch, rate: float) -> str:
    return (
        f"loss {epoch.loss:.4f}  accuracy {epoch.accuracy:6.2%}  {round(rate, -3):,.0f} examples/s"
    )


def _test(console: Console, parameters: Parameters, data: Digits) -> None:
    right = np.argmax(digits.logits(parameters, data.X_test), axis=1) == data.y_test
    _say(console)
    _say(
        console,
        f"  test accuracy {np.mean(right):.4f}: {np.sum(right)} of the {right.size} images "
        "that were kept aside",
        "bold",
    )


def _least_sure(parameters: Parameters, data: Digits) -> int:
    """Return the test image whose two most likely classes are closest to each other."""
    p = np.sort(ops.softmax(digits.logits(parameters, data.X_test)), axis=1)
    return int(np.argmin(p[:, -1] - p[:, -2]))


# ------------------------------------------------------------------ is the gradient right


def _check(console: Console, parameters: Parameters, X: Array, y: Array) -> None:
    check = gradcheck(digits.loss, (parameters, X, y))
    _say(console)
    _say(console, "Is its gradient right?", "bold")
    _say(console)
    _say(
        console, "  Reverse and forward mode beside (loss(w + εv) - loss(w - εv)) / 2ε in float64,"
    )
    _say(console, f"  ε = 1e-6, along {check.compared} random directions v through all parameters")
    _say(console, f"  and pixels of {len(y)} test images:")
    _say(console)
    _say(console, f"  largest relative difference {check.largest_relative:.1e}", "bold")
    if check.skipped:
        _say(console, f"  {check.skipped} skipped, not differentiable there: {check.kinks[0]}")


# ------------------------------------------------------------------ one number of it


def _open(
    console: Console, parameters: Parameters, X: Array, y: Array, example: int, image: int
) -> None:
    """Show the chain rule of one weight of the last layer for one image."""
    p = ops.softmax(digits.logits(parameters, X))[example]
    unit, digit = _weight(parameters, X[example], int(y[example]), p)
    opened = open_pass(digits.loss, parameters, X, y)
    entry = f"W3[{unit}, {digit}]"
    found = cast("Routes", opened.paths("loss", entry, example=example))
    _say(console)
    _say(console, "Where does a number of it come from?", "bold")
    _say(console)
    for line in _beside(_picture(X[example]), _belief(p, int(y[example]), image)):
        _say(console, line)
    _say(console)
    for line in str(found).splitlines():
        _say(console, f"  {line}".rstrip())
    _say(console)
    for line in _lesson(found, p, int(y[example]), unit, digit):
        _say(console, f"  {line}")


def _weight(parameters: Parameters, x: Array, label: int, p: Array) -> tuple[int, int]:
    """Return the weight of the last layer that this image has most to say about."""
    h1 = np.maximum(0, x @ parameters["W1"] + parameters["b1"])
    h2 = np.maximum(0, h1 @ parameters["W2"] + parameters["b2"])
    excess = p - (np.arange(p.size) == label)
    unit, digit = np.unravel_index(np.argmax(np.abs(np.outer(h2, excess))), (h2.size, p.size))
    return int(unit), int(digit)


def _picture(x: Array) -> list[str]:
    """Return an image as eight lines of text, two signs a pixel."""
    shades = np.minimum((x.reshape(8, 8) * len(_SHADES)).astype(int), len(_SHADES) - 1)
    return ["".join(_SHADES[s] * 2 for s in row) for row in shades]


def _belief(p: Array, label: int, image: int) -> list[str]:
    """Return what the network thinks of an image, most likely first."""
    first, second, third = (int(k) for k in np.argsort(-p)[:3])
    return [
        "",
        f"Test image {image} is the one it is least sure of:",
        f"somebody wrote {_article(label)}, and the network says",
        "",
        *[f"  {_NAMES[k]:<6} {p[k]:6.1%}" for k in (first, second, third)],
    ]


def _article(digit: int) -> str:
    return f"{'an' if digit == 8 else 'a'} {_NAMES[digit]}"


def _beside(left: list[str], right: list[str]) -> list[str]:
    right = right + [""] * (len(left) - len(right))
    return [f"    {a}    {b}".rstrip() for a, b in zip(left, right, strict=True)]


def _lesson(found: Routes, p: Array, label: int, unit: int, digit: int) -> list[str]:
    """Return in words what the numbers of the route say."""
    steps = found.terms[0].steps
    h, slope = steps[0].derivative, p[digit] - (digit == label)
    sign, way = ("negative", "larger") if found.total < 0 else ("positive", "smaller")
    text = (
        f"Hidden unit {unit} is at {h:.4g} for this image: the score of {_NAMES[digit]} grows by "
        f"that much for each 1 added to the weight. The network gives {_article(digit)} "
        f"{p[digit]:.4g} where the label says {int(digit == label)}, so the loss changes by "
        f"{slope:.4g} for each 1 added to the score. The mean divides by {found.examples}. "
        f"The product is {sign}: this image asks for a {way} weight."
    )
    return textwrap.wrap(text, 84)
