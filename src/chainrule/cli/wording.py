"""Models and evaluations as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainrule.interop.data import Preprocessing, TableModel

__all__ = ["columns", "evaluation", "loss", "model", "time_left"]

_SHOWN = 12
"""Classes or columns that are listed."""


def columns(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return rows of text in columns: the first few to the left, numbers to the right.

    Examples
    --------
    >>> columns([["accuracy", "0.97"], ["loss", "12.5"]])
    ['  accuracy  0.97', '  loss      12.5']
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def evaluation(found: Any) -> Iterator[str]:
    """Yield metrics, and a confusion matrix or a summary of residuals."""
    metrics = found.metrics()
    yield from columns([[name, _number(x)] for name, x in metrics.items()])
    yield ""
    details = found.details()
    if "residuals" in details:
        yield "Target minus prediction, from the least to the largest:"
        yield ""
        quantiles = details["residuals"]
        yield from columns([["of the rows", *quantiles], ["", *map(_number, quantiles.values())]])
        return
    labels, confusion = details["classes"], details["confusion"]
    if len(labels) > _SHOWN:
        yield f"Of {len(labels)} classes, those that are most often taken for another:"
        yield ""
        yield from _mistakes(labels, confusion)
        return
    yield "A row a true class, a column a predicted one:"
    yield ""
    head = ["", *[_short(label) for label in labels], "found"]
    body = [
        [_short(label), *map(str, row), _share(row[k], sum(row))]
        for k, (label, row) in enumerate(zip(labels, confusion, strict=True))
    ]
    yield from columns([head, *body])


def _mistakes(labels: list[str], confusion: list[list[int]]) -> list[str]:
    pairs = [
        (count, labels[i], labels[j])
        for i, row in enumerate(confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    shown = sorted(pairs, key=lambda pair: -pair[0])[:_SHOWN]
    rows = [[_short(a), f"taken for {_short(b)}", f"{n:,}"] for n, a, b in shown]
    return columns(rows, left=2) if rows else ["  none"]


def model(trained: TableModel) -> Iterator[str]:
    """Yield what a model is: target, network, preprocessing and training."""
    made, shape = trained.preprocessing, trained.architecture
    target = made.target
    yield f"predicts {target.name!r}"
    if target.classes:
        shown = ", ".join(target.labels[:_SHOWN]) + (", …" if len(target.labels) > _SHOWN else "")
        yield f"  one of {len(target.labels)} classes: {shown}"
    else:
        yield f"  a number: {target.mean:.6g} + {target.scale:.6g} × the network's output"
    yield ""
    yield "network"
    yield from columns(list(_layers(trained)), left=2)
    count = sum(p.size for p in trained.network.parameters())
    between = f"; {shape.activation} between the layers" if shape.hidden else ""
    dropout = f", dropout {shape.dropout}" if shape.dropout and shape.hidden else ""
    yield f"  {count:,} parameters{between}{dropout}"
    yield ""
    yield "preprocessing"
    yield from _preprocessing(made)
    yield ""
    yield "training"
    yield from _training(trained.about)


def _layers(trained: TableModel) -> Iterator[list[str]]:
    embedded = iter(trained.preprocessing.embedded)
    parameters = list(trained.network.named_parameters())
    for path, name in trained.network.layer_names().items():
        own = [(n, p) for n, p in parameters if n.rpartition(".")[0] == path]
        shapes = ", ".join(f"{n.rpartition('.')[2]} {list(p.shape)}" for n, p in own)
        what = f" of {next(embedded).name!r}" if path.startswith("embeddings") else ""
        yield [name + what, shapes, f"{sum(p.size for _, p in own):,}"]


def _preprocessing(made: Preprocessing) -> Iterator[str]:
    rows = []
    for x in made.numeric:
        rule = f"(x {'+' if x.mean < 0 else '-'} {abs(x.mean):.6g}) / {x.scale:.6g}" + (
            ", missing: the mean, and a column that says so" if x.indicator else ""
        )
        rows.append([f"{x.name} {x.part}".rstrip(), rule])
    for c in made.categories:
        known = ", ".join(c.values[:6]) + (", …" if len(c.values) > 6 else "")
        way = f"embedded in {c.width} numbers" if c.width else "a column of 0 and 1 for each"
        rule = f"{way} of {len(c.values)} values: {known}"
        rows.append([c.name, rule + (", or missing" if c.indicator else "")])
    rows += [[name, f"left out: {why}"] for name, why in made.left_out.items()]
    yield from columns(rows, left=2)
    if made.missing:
        yield f"  read as missing: the empty field, {', '.join(map(repr, made.missing))}"


def _training(about: dict[str, Any]) -> list[str]:
    settings, history = about["settings"], about["history"]
    rows = [
        ["rows", f"{about['rows']:,} and {about['kept aside']:,} kept aside"],
        ["epochs", f"{len(history)} with batches of {settings['batch_size']}"],
        ["optimiser", f"{settings['optimiser']}, learning rate {settings['learning_rate']:g}"],
        *[[name, _number(x)] for name, x in about["metrics"].items() if name != "rows"],
    ]
    return columns(rows, left=2)


def time_left(seconds: float) -> str:
    """Return a time in words.

    Examples
    --------
    >>> time_left(7), time_left(135), time_left(9000)
    ('7 s', '2 min 15 s', '2 h 30 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _number(x: float) -> str:
    return f"{x:,}" if isinstance(x, int) else f"{x:.4g}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def loss(x: float) -> str:
    """Return a loss in few digits, also one that is small.

    Examples
    --------
    >>> loss(0.61271), loss(0.0000123), loss(12345.678)
    ('0.6127', '1.23e-05', '1.235e+04')
    """
    return f"{x:.4f}" if 0.001 <= x < 1000 else f"{x:.4g}"


def _short(label: str) -> str:
    label = " ".join(label.split())
    return label if len(label) <= 14 else f"{label[:13]}…"
