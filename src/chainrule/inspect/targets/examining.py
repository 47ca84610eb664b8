"""What is looked at around the probes: whether two runs agree, and what they leave behind.

Before the probes the target is run on the given numbers: a function that raises, returns nothing
or draws anew is said, and nothing is compared. After them their claims are looked at, as arrays.
"""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.kinks import distances
from chainrule.inspect.targets import changing, raising, returned, situation, unchecked
from chainrule.inspect.targets.closures import NoPair
from chainrule.inspect.targets.handing import LABELS
from chainrule.inspect.targets.handwritten import is_floating
from chainrule.inspect.targets.judging import agrees_with_walk, expected_of
from chainrule.inspect.targets.networks import chosen
from chainrule.inspect.targets.pairs import CannotCall, WrongCount
from chainrule.inspect.targets.rehearsal import Rehearsal, first_change, source_of
from chainrule.inspect.targets.reordering import reordered
from chainrule.inspect.targets.stage import copied
from chainrule.inspect.targets.surroundings import inputs_apart, miscounted, shared_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainrule.inspect.finding import Finding
    from chainrule.inspect.targets.running import Draw, Outcome
    from chainrule.inspect.targets.stage import Stage

__all__ = ["Examination", "Stop"]

AT_A_KINK = 1e-9


class Stop(Exception):  # noqa: N818 - it ends an examination, and no program
    """There is nothing to compare."""


class Examination:
    """Looks at a target, and collects findings.

    Parameters
    ----------
    stage
        Where it is run.

    Attributes
    ----------
    findings
        In the order in which they were found.
    error
        What a probe raised that no finding names.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.target = stage.target
        self.findings: list[Finding] = []
        self.error: Exception | None = None
        self.where = source_of(self.target.functions[-1]) if self.target.functions else ""

    def _say(self, *findings: Finding) -> None:
        known = {(f.code, f.tensor) for f in self.findings}
        self.findings += [f for f in findings if (f.code, f.tensor) not in known]

    # ------------------------------------------------------------------ before

    def given(self) -> list[Any]:
        """Return the given numbers in float64, and say what is the matter with them."""
        self._take_whole_numbers()
        short: dict[str, str] = {}
        values = []
        for slot in self.target.slots:
            x = slot.given
            if is_floating(x) and getattr(x, "dtype", np.dtype(float)) != np.float64:
                short[slot.name] = str(x.dtype)
                x = np.asarray(x, np.float64)[()]
            values.append(x)
        if short:
            self._say(
                situation.short_numbers(list(short), " and ".join(sorted(set(short.values()))))
            )
        self._say(*inputs_apart(self.target.slots))
        return copied(values)

    def _take_whole_numbers(self) -> None:
        """Take a matrix of whole numbers for data, if forward makes the same of it in float64.

        Data such as the table of exclusive or are written as whole numbers; labels stay labels.
        """
        target = self.target
        for k, slot in enumerate(target.slots):
            x = slot.given
            if isinstance(x, np.ndarray) and x.ndim > 1 and x.dtype.kind in "iu":
                cast = dataclasses.replace(slot, given=x.astype(float))
                values = [s.given for s in target.slots]
                output = self._output(values)
                again = self._output([*values[:k], cast.given, *values[k + 1 :]])
                is_same = _is_real(output) and np.array_equal(output, again)
                if is_same and slot.name not in LABELS:
                    target.slots[k] = cast

    def _output(self, values: Sequence[Any]) -> Any:
        """Return what forward makes of values, None if it raises."""
        try:
            with self.stage.set(), np.errstate(all="ignore"):
                return self.target.forward(copied(values)).output
        except Exception:  # noqa: BLE001 - the user's code may raise anything
            return None

    def before_probes(self, draw: Draw) -> None:
        """Run the target on given numbers, twice, and look at what it does beside computing."""
        named = self._named(draw.values)
        rehearsal = Rehearsal(self.stage)
        try:
            rehearsal.forward(draw.values)
        except NoPair as answer:
            self._say(returned.loss_alone(self.target.name, answer.got, self.where))
            raise Stop from answer
        except Exception as error:
            self._say(raising.forward_raises(error, named))
            raise Stop from error
        self._require_finite(rehearsal)
        try:
            rehearsal.backward()
        except CannotCall as call:
            self._say(unchecked.unknown_arguments(self.target.name, call.missing, self.where))
            raise Stop from call
        except Exception as error:
            self._say(raising.backward_raises(error, named, given=True))
            raise Stop from error
        try:
            self._after_forward(rehearsal)
            self._after_backward(rehearsal)
            self._choose_loss(rehearsal, draw.values)
        except Stop:
            raise
        except Exception as error:  # of a run that is not the first
            self._say(unchecked.not_checked(error, self.where))
            raise Stop from error

    def _named(self, values: Sequence[Any]) -> dict[str, Any]:
        return {slot.name: x for slot, x in zip(self.target.slots, values, strict=True)}

    def _require_finite(self, rehearsal: Rehearsal) -> None:
        output = rehearsal.output
        if not _is_real(output):
            self._say(unchecked.no_output(rehearsal.ran.output, self.where))
            raise Stop
        if not np.all(np.isfinite(output)):
            what = "infinity" if np.any(np.isinf(output)) else "NaN"
            self._say(situation.not_finite(what))
            raise Stop

    def _after_forward(self, rehearsal: Rehearsal) -> None:
        output = rehearsal.output
        if rehearsal.inputs_of_forward:
            names = rehearsal.inputs_of_forward
            is_both = self.target.watches_forward
            say = changing.backward_changes_inputs if is_both else changing.forward_changes_inputs
            self._say(say(names, first_change(rehearsal.lines_of_forward, names[0], self.where)))
        again = rehearsal.output_again(fresh=True)
        if not np.array_equal(output, again, equal_nan=True):
            differ = float(np.max(np.abs(output - again))) if np.shape(again) == output.shape else 0
            self._say(changing.forward_not_deterministic(f"largest difference: {differ:.3g}"))
            raise Stop
        if not np.array_equal(output, rehearsal.output_again(fresh=False), equal_nan=True):
            self._say(changing.state_between_calls(rehearsal.changed))
            raise Stop
        if rehearsal.in_training:
            self._say(situation.randomness_held(rehearsal.in_training))

    def _choose_loss(self, rehearsal: Rehearsal, values: Sequence[Any]) -> None:
        """Find the loss that is meant, where forward does not compute it."""
        target = self.target
        is_open = np.ndim(rehearsal.ran.output) and not target.takes_cotangent(rehearsal.ran)
        if not is_open or target.implicit is not None:
            return
        choice = chosen(self.stage, values)
        if choice is None:
            self._say(situation.no_loss(self.where))
            raise Stop
        target.implicit = choice.candidate.function
        if not choice.agrees:
            self._say(situation.loss_taken(choice.candidate.name))

    def _after_backward(self, rehearsal: Rehearsal) -> None:
        if rehearsal.returned is None and not rehearsal.stated:
            self._say(returned.returns_nothing(self.target.name, self.where))
            raise Stop
        if rehearsal.count is not None:
            self._say(miscounted(self.target.functions, rehearsal.count, self.where))
            raise Stop
        if rehearsal.inputs_of_backward:
            names = rehearsal.inputs_of_backward
            where = first_change(rehearsal.watcher, names[0], self.where)
            self._say(changing.backward_changes_inputs(names, where))
        for key, others in rehearsal.aliases.items():
            if set(others) <= set(rehearsal.cache_overwritten):
                continue  # which is said below
            self._say(returned.aliased(key, key, others, self.where))
        differing = rehearsal.gradients_again(fresh=True)
        if differing:
            self._say(changing.backward_not_deterministic(differing, self.where))
            raise Stop
        if rehearsal.cache_overwritten:
            names = rehearsal.cache_overwritten
            where = first_change(rehearsal.watcher, names[0], self.where)
            differs = bool(rehearsal.gradients_again(fresh=False))
            self._say(changing.cache_overwritten(names, where, differs=differs))
        shared = shared_by(self.target.functions) if self.target.kind == "pair" else []
        if shared:
            self._say(situation.shared_globals(shared))

    # ------------------------------------------------------------------ while they run

    @contextmanager
    def of(self, draw: Draw) -> Iterator[None]:
        """Run a probe; what raises on drawn numbers alone is said."""
        try:
            yield
        except WrongCount as count:
            self._say(returned.wrong_count(count, self.where))
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises is a finding
            if not draw.sizes:
                self.error = self.error or error
            elif not self.fails(draw):
                self._say(raising.backward_raises(error, self._named(draw.values), given=False))

    def fails(self, draw: Draw) -> bool:
        """Return whether forward raises on a draw in other sizes, and say so."""
        try:
            with self.stage.set(), np.errstate(all="ignore"):
                self.target.forward(copied(draw.values))
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises is a finding
            self._say(raising.fails_in_other_sizes(error, self._named(draw.values), draw.sizes))
            return True
        return False

    # ------------------------------------------------------------------ after

    def after_probes(self, outcomes: Sequence[Outcome]) -> None:
        """Look at the claims as arrays, and at what leads to the output."""
        if not outcomes:
            self._say_unchecked()
            return
        first = outcomes[0]
        self._say(*reordered(outcomes, self.where))
        for outcome in outcomes:
            self._look_at_claims(outcome)
            self._look_at_inputs(outcome)
        self._look_for_missing(first)
        if first.traced is None:
            self._say_untraced()
        else:
            for key, near in first.unknown.items():
                self._say(returned.unknown_key(key, near, self.where))
        self._look_at_kinks(first)
        self._look_for_parameters(first)
        if all(agrees_with_walk(outcome.probe) for outcome in outcomes):
            self._calm()
        if not any(outcome.claims for outcome in outcomes):
            self._say_unchecked()

    def _calm(self) -> None:
        """Note only that the gradient from above is written to, if the gradients are right."""
        self.findings = [
            dataclasses.replace(f, severity="note")
            if (f.code, f.tensor, f.severity) == ("CD112", changing.FROM_ABOVE, "warning")
            else f
            for f in self.findings
        ]

    def _say_unchecked(self) -> None:
        """Say that nothing was compared, unless what was found says why."""
        if not any(f.severity == "error" for f in self.findings):
            self._say(unchecked.not_checked(self.error, self.where))

    def _look_for_parameters(self, outcome: Outcome) -> None:
        """Say that no parameter of an object is compared, if it has some."""
        own = [s.name for s in self.target.slots if s.argument is None and s.is_array]
        if outcome.traced is not None:
            leading = outcome.traced.leading()
            nodes = zip(self.target.slots, outcome.traced.nodes, strict=True)
            own = [s.name for s, node in nodes if s.name in own and node in leading]
        known = {f.tensor for f in self.findings} | set(outcome.claims)
        if self.target.kind == "object" and own and known.isdisjoint(own):
            self._say(unchecked.parameters_not_compared(own, self.where))

    def _say_untraced(self) -> None:
        reason, where = "", ""
        if self.stage.refusal is not None:
            line, _ = raising.raised_at(self.stage.refusal)
            reason, where = type(self.stage.refusal).__name__, str(line)
        self._say(situation.differences_alone(reason, where))

    def _look_at_claims(self, outcome: Outcome) -> None:
        """Look at kind, shape and type; what cannot be compared is taken out of the claims."""
        claims, expected = outcome.claims, expected_of(outcome.probe)
        shapes = self._shapes(outcome)
        for name, claim in list(claims.items()):
            where, dtype = self._line_of(outcome, claim.array), claim.array.dtype
            if dtype.kind not in "fiub":
                self._say(returned.no_number(claim.key, name, claim.array, where))
                del claims[name]
            elif name in shapes and self._is_foreign(claim.array.shape, shapes[name], outcome):
                both = (claim.array.shape, shapes[name])
                self._say(returned.wrong_shape(claim.key, name, both, where))
                del claims[name]
            elif dtype != np.float64 and np.any(claim.array != expected.get(name)):
                is_cut = returned.was_cut(claim.array, expected.get(name))
                self._say(returned.another_dtype(claim.key, name, dtype, where, is_cut=is_cut))
                if is_cut:
                    del claims[name]

    @staticmethod
    def _is_foreign(got: tuple[int, ...], wanted: tuple[int, ...], outcome: Outcome) -> bool:
        """Return whether no mistake in a product or a sum of this forward pass has this shape."""
        if returned.comparable(got, wanted):
            return False
        arrays: list[Any] = [x for x in outcome.ran.values if isinstance(x, np.ndarray)]
        if outcome.traced is not None:
            arrays += outcome.traced.walk.graph.nodes
        return not {1, *(n for x in arrays for n in x.shape)}.issuperset(got)

    def _shapes(self, outcome: Outcome) -> dict[str, tuple[int, ...]]:
        """Return the shape that each claimed gradient should have."""
        own = zip(self.target.slots, outcome.ran.values, strict=True)
        shapes = {slot.name: np.shape(x) for slot, x in own}
        if outcome.traced is not None:
            nodes = outcome.traced.walk.graph.nodes
            claims = outcome.claims.values()
            shapes |= {c.name: nodes[c.node].shape for c in claims if c.node is not None}
        return shapes

    def _look_for_missing(self, outcome: Outcome) -> None:
        own = [s.name for s in self.target.slots if s.is_array and s.is_differentiable]
        missing = returned.missing_of(outcome.claims, own)
        if missing:
            found = [name for name in own if name in outcome.claims]
            self._say(returned.gradient_missing(missing, found, self.where))

    @staticmethod
    def _line_of(outcome: Outcome, array: Any) -> str:
        """Return the line that left an array in a variable, if one did."""
        for seen in outcome.probe.observed:
            if seen.array.shape == array.shape and np.array_equal(seen.array, array):
                return str(seen.where)
        return ""

    def _look_at_inputs(self, outcome: Outcome) -> None:
        found = outcome.traced
        if found is None:
            return
        leading = found.leading()
        for slot, node in zip(self.target.slots, found.nodes, strict=True):
            claim = outcome.claims.get(slot.name)
            if not slot.is_array or node is None or node in leading:
                continue
            if claim is not None and np.any(claim.array):
                self._say(situation.not_used(slot.name, claimed=True))
                del outcome.claims[slot.name]
            elif claim is not None or (slot.argument is not None and slot.name not in LABELS):
                self._say(situation.not_used(slot.name, claimed=False))

    def _look_at_kinks(self, outcome: Outcome) -> None:
        if outcome.traced is None or not outcome.probe.given:
            return
        walk, leading = outcome.traced.walk, outcome.traced.leading()
        moved = {claim.node for claim in outcome.claims.values() if claim.kind == "argument"}
        for index, node in enumerate(walk.graph.nodes):
            if moved.intersection(node.inputs):
                moved.add(index)
        kinks = []
        for index, apart in distances(walk).items():
            node = walk.graph.nodes[index]
            if (
                index in leading
                and index in moved
                and node.op
                and np.any(np.abs(apart) < AT_A_KINK)
            ):
                kinks.append(f"{node.op.name} at {node.where}")
        if kinks:
            self._say(situation.near_kink(list(dict.fromkeys(kinks))))


def _is_real(output: Any) -> bool:
    """Return whether an output is a number, or an array of real numbers."""
    return output is not None and np.asarray(output).dtype.kind in "fiub"
