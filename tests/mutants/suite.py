"""A network's text, edits of it, and the module that an edited text is.

A `Network` is the text of a learner's file, how to draw its arguments and the ways in which it
can be handed to `check`. A `Mutant` is edits of that text, with what they did to it. An edit that
does not apply is an error: nothing is examined that is not there.
"""

import importlib.util
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

TEXTS = Path(__file__).parent / "networks"
_COUNT = itertools.count()


@dataclass(frozen=True)
class Network:
    """A text, its arguments and its forms.

    ``sizes`` are lengths by letter; ``shapes`` letters by argument; ``inputs(rng, sizes)`` draws
    arguments; ``forms`` gives what is handed to `check`, from the loaded module and the sizes;
    ``gradients(module, sizes, inputs)`` runs forward and backward, for an answer without it.
    """

    name: str
    sizes: dict[str, int]
    shapes: dict[str, str]
    inputs: Callable[..., tuple]
    forms: dict[str, Callable[[ModuleType, dict[str, int]], Any]]
    run: Callable[[Any, tuple], tuple[float, dict[str, np.ndarray]]]
    file: str = ""

    @property
    def text(self) -> str:
        return (TEXTS / f"{self.file or self.name}.py").read_text()


@dataclass(frozen=True)
class Mutant:
    """Edits, and what they did.

    ``codes`` are those of the cause: several where one change of the numbers has two right names.
    ``tensors`` are the names of what is wrong first. ``right``: the numbers stay as they are.
    ``also_setup``: a finding on the set-up may stand beside the cause, since the text deserves one.
    """

    network: str
    kind: str
    edits: tuple[tuple[str, str], ...]
    codes: frozenset[str]
    tensors: frozenset[str]
    right: bool = False
    note: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    also_setup: bool = False
    stale: bool = False
    random: bool = False

    @property
    def name(self) -> str:
        return f"{self.network}: {self.kind} [{','.join(sorted(self.tensors))}]"

    def applied(self, text: str) -> str:
        for old, new in self.edits:
            if text.count(old) != 1:
                raise AssertionError(f"{self.name}: {old!r} stands {text.count(old)} times")
            text = text.replace(old, new)
        return text


def words(codes: str) -> frozenset[str]:
    return frozenset(f"CD{code}" for code in codes.split())


class Edits:
    """The mutants of one network, as its file of edits writes them down."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.mutants: list[Mutant] = []

    def wrong(self, kind: str, codes: str, tensors: str, *edits: tuple[str, str], **more: Any):
        self.mutants.append(
            Mutant(self.network, kind, edits, words(codes), frozenset(tensors.split()), **more)
        )

    def right(self, kind: str, *edits: tuple[str, str], note: str = "", **more: Any):
        """Numbers stay; ``note`` is the code of what may be said about it."""
        self.mutants.append(
            Mutant(
                self.network,
                kind,
                edits,
                words(note),
                frozenset(),
                right=True,
                note=f"CD{note}" if note else "",
                **more,
            )
        )


def load(text: str, folder: Path, name: str) -> ModuleType:
    """Return the module of a text, in a file of its own: its lines can be found."""
    path = folder / f"{name}_{next(_COUNT)}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
