"""An `nn.Module` whose backward pass its author wrote, and the modules inside that have one.

Each such module is run by itself, on the inputs that it gets within the whole. Forward is traced
through all modules inside, whatever backward they have, so that the derivative to compare with
is that of forward alone. Only copies are run.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Value
from chainrule.inspect.finding import Finding, cause
from chainrule.inspect.targets.handwritten import Forward, Handwritten, Slot, Stated
from chainrule.inspect.targets.pairs import WrongCount
from chainrule.inspect.targets.stage import private
from chainrule.nn.parameters import one_pass, standing_in
from chainrule.transform import pull_back

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainrule.inspect.targets.tracing import Traced

__all__ = ["Written", "forward_mode_differs", "written_in"]


@dataclass
class Written(Handwritten):
    """A module with its own backward.

    Attributes
    ----------
    pristine
        A copy as it was.
    owner
        The copy that is run.
    inputs
        How many inputs it has.
    """

    pristine: Any = None
    owner: Any = None
    inputs: int = 0
    _left: dict[str, Any] = field(default_factory=dict)

    def renew(self) -> None:
        """Take a fresh copy, which takes gradients of any shape."""
        self.owner = private(self.pristine)
        self._left = {}
        self.owner.__class__ = _lenient(type(self.owner), self._left)
        self.functions[:] = [self.owner.forward, _own_backward(self.owner)]

    def rewind(self) -> None:
        """Let random layers draw again what they drew first."""
        pairs = zip(self.owner.modules(), self.pristine.modules(), strict=True)
        for part, before in pairs:
            if "draws" in vars(before):
                part.draws = before.draws

    def drawing(self) -> list[str]:
        """Return the modules that have drawn since they were copied."""
        before = dict(self.pristine.named_modules())
        return [
            f"{path} ({type(before[path]).__name__})" if path else type(before[path]).__name__
            for path, part in self.owner.named_modules()
            if getattr(part, "draws", 0) != getattr(before[path], "draws", 0)
        ]

    def forward(self, values: Sequence[Any]) -> Forward:
        """Run the module; on values of a trace all modules inside by their forward alone."""
        owner, xs = self.owner, values[: self.inputs]
        parameters = list(owner.parameters())
        own = list(values[self.inputs :])
        if any(type(x) is Value for x in values):
            for part in owner.modules():
                part.__dict__["writes_backward"] = False
            with standing_in({id(p): x for p, x in zip(parameters, own, strict=True)}):
                return Forward(owner(*xs), (), values)
        for parameter, x in zip(parameters, own, strict=True):
            parameter.data = x
        return Forward(owner(*xs), (), values)

    def backward(self, ran: Forward, cotangent: Any) -> Any:
        """Run the backward that its author wrote; return what it passes on."""
        del ran
        owner = self.owner
        for parameter in owner.parameters():
            parameter.grad = None
        passed: list[Any] = []
        owner.__dict__["_passed_on"] = passed
        with one_pass(apart=True):
            returned = _own_backward(owner)(owner, cotangent)
        if passed:
            return passed[-1]
        return returned if isinstance(returned, tuple) or returned is None else (returned,)

    def stated(self, returned: Any, ran: Forward) -> list[Stated]:
        """Return the gradients at the inputs, and those that parameters were left."""
        del ran
        given = () if returned is None else returned
        if returned is not None and len(given) != self.inputs:
            raise WrongCount(len(given), [slot.name for slot in self.slots[: self.inputs]])
        stated = [
            Stated(f"gradient at {self.slots[k].name}", g, k)
            for k, g in enumerate(given)
            if g is not None
        ]
        for k, (name, parameter) in enumerate(self.owner.named_parameters(), start=self.inputs):
            g = self._left.get(name, parameter.grad)
            stated.append(
                Stated(f"grad[{name!r}]", np.zeros(parameter.shape) if g is None else g, k)
            )
        return stated if returned is not None else []


def _own_backward(owner: Any) -> Any:
    """Return the backward as it was written, without the checks around it."""
    return inspect.unwrap(type(owner).backward)


def _lenient(cls: type[Any], left: dict[str, Any]) -> type[Any]:
    """Return a class like another, whose ``grad`` takes whatever it is given."""

    class Gradients(dict[str, Any]):
        def __init__(self, owner: Any) -> None:
            self.owner = owner
            super().__init__({name: p.grad for name, p in owner.named_parameters()})

        def __setitem__(self, name: str, gradient: Any) -> None:
            if name not in self:
                cls.grad.fget(self.owner)[name] = gradient  # which raises
            left[name] = left[name] + gradient if name in left else gradient
            super().__setitem__(name, gradient)

    return type(cls.__name__, (cls,), {"grad": property(Gradients), "__module__": cls.__module__})


def written_in(module: Any, inputs: Sequence[Any]) -> Iterator[Written]:
    """Iterate over the modules that write their backward, in the order in which they run backward.

    Those inside come before the one that they are in, which is wrong if they are.
    """
    run = private(module)
    run(*inputs)
    paths = [(path, part) for path, part in run.named_modules() if part.writes_backward]
    originals = dict(module.named_modules())
    inside = [(path, part) for path, part in paths if path][::-1]
    for path, part in [*inside, *[(path, part) for path, part in paths if not path]]:
        if part.last_input:
            yield _target(path, originals[path], part.last_input)


def _target(path: str, module: Any, inputs: Sequence[Any]) -> Written:
    pristine = private(module)
    pristine.__dict__["previous_module"] = None
    before = f"{path}." if path else ""
    names = list(inspect.signature(type(module).forward).parameters)[1:]
    names += [f"input {k}" for k in range(len(names), len(inputs))]
    slots = [
        Slot(before + name, np.asarray(x) if hasattr(x, "shape") else x, k)
        for k, (name, x) in enumerate(zip(names, inputs, strict=False))
    ]
    slots += [Slot(before + name, p.data.copy()) for name, p in module.named_parameters()]
    title = type(module).__name__
    target = Written(
        "module", f"{path} ({title})" if path else title, slots,
        [type(module).forward, type(module).backward],
        pristine=pristine, inputs=len(inputs),
    )  # fmt: skip
    target.renew()
    return target


@cause("CD128", "forward mode differs")
def forward_mode_differs(
    target: Written, found: Traced, rng: np.random.Generator
) -> Finding | None:
    """The ``jvp`` that a module writes is not the derivative of its forward.

    It sees ``jvp(tangents, inputs)`` whose product with a random gradient at the output is not
    that of the tangents with the gradients of forward: ⟨g, J t⟩ has to be ⟨Jᵀ g, t⟩.

    Why it matters: forward mode, and second derivatives that are made of it, are wrong.

    Example: a jvp that forgets the tangent of a parameter.

    What to do: for y = f(x, w) return ∂f/∂x · dx + ∂f/∂w · dw.
    """
    written = getattr(target.pristine, "jvp", None)
    output = found.output
    if written is None or output is None:
        return None
    walk = found.walk
    values = [slot.given for slot in target.slots]
    tangents = [rng.normal(size=np.shape(x)) for x in values]
    g = rng.normal(size=walk.graph.nodes[output].shape)
    gradients = pull_back(walk.graph, walk.numbers, walk.active, {output: g})
    expected = sum(
        float(np.sum(t * gradients[node]))
        for t, node in zip(tangents, found.nodes, strict=True)
        if node is not None and node in gradients
    )
    try:
        dy = private(target.pristine).jvp(tuple(tangents), tuple(values[: target.inputs]))
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises is the finding
        return Finding.of("CD128", tensor=target.name, message=f"jvp raises {error!r}.")
    got = float(np.sum(g * dy)) if np.shape(dy) == g.shape else np.nan
    if np.isclose(got, expected, rtol=1e-7, atol=1e-12):
        return None
    return Finding.of(
        "CD128",
        tensor=target.name,
        message="jvp is not the derivative of forward.",
        evidence=(f"along a random direction: jvp {got:.10g}, derivative {expected:.10g}",),
    )
