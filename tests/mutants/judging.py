"""What `check` said about a mutant, held against what was done to it; and the table of it all."""

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainrule.inspect.checking import check
from mutants.drawing import NETWORKS
from mutants.random_networks import claimed, handed_in, written
from mutants.random_slips import slipped
from mutants.running import distance
from mutants.suite import Mutant, load


@dataclass(frozen=True)
class Verdict:
    """One mutant in one form: what was expected, what came."""

    mutant: Mutant
    form: str
    cause: bool
    tensor: bool
    silent: bool
    got: str

    @property
    def passed(self) -> bool:
        return self.silent if self.mutant.right else self.cause and self.tensor

    @property
    def expected(self) -> str:
        mutant = self.mutant
        if mutant.right:
            return "no error" + (f" (note {mutant.note})" if mutant.note else "")
        return f"{'/'.join(sorted(mutant.codes))} {'/'.join(sorted(mutant.tensors))}"


def named(finding) -> set[str]:
    """Return the codes that a finding stands for: its own, and those of equal numbers."""
    return {finding.code, *(other.split()[0] for other in finding.also)}


def faults(findings) -> list:
    return [finding for finding in findings if finding.severity != "note"]


def told(findings) -> str:
    parts = []
    for found in findings[:3]:
        also = f" or {','.join(other.split()[0] for other in found.also)}" if found.also else ""
        parts.append(f"{found.severity[0]}:{found.code}{also} {found.tensor or '-'}")
    return "; ".join(parts) + (f"; +{len(findings) - 3}" if len(findings) > 3 else "") or "nothing"


def asked(mutant: Mutant, form: str, folder: Path, said: bool, text: str | None = None):
    """Return what `check` finds in a mutant, handed in in one form."""
    network = NETWORKS[mutant.network]
    sizes = {**network.sizes, **mutant.sizes}
    module = load(mutant.applied(text or network.text), folder, network.name)
    inputs = copy.deepcopy(network.inputs(np.random.default_rng(0), sizes))
    shapes = network.shapes if said else None
    target = network.forms[form](module, sizes)
    return check(target, inputs, shapes=shapes, seed=0, loss=said_loss(target))


def said_loss(target):
    """Return the loss of an object, which its backward pass is the gradient of; else None."""
    return target.loss if hasattr(target, "compute_gradients") else None


def judged(mutant: Mutant, form: str, folder: Path, said: bool = True) -> Verdict:
    """Return how `check` did on a mutant in one form."""
    return held_against(mutant, form, lambda: asked(mutant, form, folder, said))


def slip_judged(seed: int, folder: Path, said: bool = True) -> Verdict | None:
    """Return how `check` did on a random slip; None where it leaves the numbers right."""
    network, slip = slipped(seed)
    module = load(network.text, folder, "slipped")
    right = claimed(load(written(seed).text, folder, "right"), network, network.arguments)[1]
    if distance(claimed(module, network, network.arguments)[1], right) < 1e-3:
        return None
    target, inputs, shapes = handed_in(module, network)
    mutant = Mutant(f"random {seed}", slip.kind, (), slip.codes, slip.tensors)
    return held_against(
        mutant,
        network.form,
        lambda: check(target, inputs, shapes=shapes if said else None, loss=said_loss(target)),
    )


def held_against(mutant: Mutant, form: str, ask: Callable[[], list]) -> Verdict:
    """Return a verdict. What `check` raises is its failure, not the end of the examination."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an overflow in a wrong backward
            findings = ask()
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs in the table
        first_line = (str(error).strip().splitlines() or [""])[0]
        said = f"{type(error).__name__}: {first_line}"
        return Verdict(mutant, form, cause=False, tensor=False, silent=False, got=said)
    wrong = faults(findings)
    if mutant.also_setup:
        wrong = [finding for finding in wrong if not finding.code.startswith("CD1")]
    first = wrong[0] if wrong else None
    return Verdict(
        mutant,
        form,
        cause=first is not None and bool(named(first) & mutant.codes),
        tensor=first is not None and first.tensor in mutant.tensors,
        silent=not wrong,
        got=told(findings),
    )


@dataclass(frozen=True)
class Score:
    """The shares that the examination asks for."""

    verdicts: tuple[Verdict, ...]

    @property
    def wrong(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.mutant.right]

    @property
    def cause(self) -> float:
        return share(verdict.cause for verdict in self.wrong)

    @property
    def tensor(self) -> float:
        return share(verdict.tensor for verdict in self.wrong)

    @property
    def alarms(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.mutant.right and not v.silent]

    def __str__(self) -> str:
        """Return the shares and a row for each miss."""
        right = len(self.verdicts) - len(self.wrong)
        lines = [
            (
                f"{len(self.wrong)} wrong: cause first {self.cause:.1%}, tensor {self.tensor:.1%}; "
                f"{right} right: {len(self.alarms)} false alarms"
            ),
        ]
        for network in dict.fromkeys(v.mutant.network for v in self.verdicts):
            mine = Score(tuple(v for v in self.wrong if v.mutant.network == network))
            if mine.verdicts:
                lines.append(
                    f"  {network:15} {len(mine.verdicts):4}  {mine.cause:6.1%}  {mine.tensor:6.1%}"
                )
        misses = [verdict for verdict in self.verdicts if not verdict.passed]
        kinds = Counter(verdict.mutant.kind for verdict in misses)
        lines.append("misses by kind: " + ", ".join(f"{k} {n}" for k, n in kinds.most_common()))
        lines += table(misses)
        return "\n".join(lines)


def share(passed: Iterable[bool]) -> float:
    marks = list(passed)
    return sum(marks) / len(marks) if marks else 1.0


def table(verdicts: Iterable[Verdict]) -> list[str]:
    rows = [("network", "form", "mutant", "expected", "got")]
    rows += [(v.mutant.network, v.form, v.mutant.kind, v.expected, v.got) for v in verdicts]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    return [
        "  ".join([*(t.ljust(w) for t, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
