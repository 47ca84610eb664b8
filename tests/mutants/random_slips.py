"""One slip in a random right network: mistakes that nobody chose, in texts that nobody wrote.

`slipped(seed)` is the network of `random_networks.written(seed)` with one line of its backward
pass changed. What the slip is called, and what is wrong first, stands beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mutants.random_networks import Author, Written
from mutants.suite import words


@dataclass(frozen=True)
class Slip:
    """A line of a backward pass as it should not be."""

    line: int
    written: tuple[str, ...]
    kind: str
    codes: frozenset[str]
    tensors: frozenset[str]


class Careless(Author):
    """An author of right networks who slips once."""

    slip: Slip | None = None

    def backward(self) -> list[str]:
        lines = super().backward()
        by_kind: dict[str, list[Slip]] = {}
        for slip in self.slips(lines):
            by_kind.setdefault(slip.kind, []).append(slip)
        choice = np.random.default_rng(self.seed + 10**6)
        kinds = list(by_kind.values())
        several = kinds[choice.integers(len(kinds))]
        self.slip = several[choice.integers(len(several))]
        lines[self.slip.line : self.slip.line + 1] = self.slip.written
        return lines

    def slips(self, lines: list[str]) -> Iterator[Slip]:
        layer = self.depth
        yield from self.at_the_head(lines[0])
        for k, line in enumerate(lines[1:], start=1):
            if line.startswith((" ", "for")) or (" = " not in line and " *= " not in line):
                continue
            name = line.split(" ", 1)[0]
            if name == f"d{self.w}{layer}" and "+=" not in line and "zeros_like" not in line:
                yield from self.at_a_weight(k, line, layer)
            elif name == f"d{self.b}{layer}":
                yield from self.at_a_bias(k, line, layer)
            elif name.startswith((self.da, self.dz)):
                inside = " *= " in line or (name.startswith(self.dz) and not self.in_place)
                yield from self.at_a_layer(k, line, layer, activation=inside)
                layer -= inside

    def at_the_head(self, line: str) -> Iterator[Slip]:
        name, right = line.split(" = ", 1)
        last = f"{self.z}{self.depth}"
        tensors = {last}
        if self.loss.out == "{z} * 1":
            tensors.add(f"{self.a}{self.depth}")  # the same value under another name
        out = f"{self.a}{self.depth}"
        subtracted = right.replace(f"({out} - {self.t})", out, 1)
        yield said(0, f"{name} = -({right})", "sign", "201", *tensors)
        yield said(0, f"{name} = 3 * ({right})", "factor", "202", *tensors)
        yield said(0, f"{name} = ({right}) / m", "1/m too much", "204 223", *tensors)
        yield said(0, f"{name} = ({right}) * m", "1/m missing", "203 222 223", *tensors)
        if subtracted != right:
            yield said(0, f"{name} = {subtracted}", "target not subtracted", "219", *tensors)

    def at_a_weight(self, k: int, line: str, i: int) -> Iterator[Slip]:
        name, right = line.split(" = ", 1)
        w, decay = f"{self.w}{i}", self.decay(i)
        alone = () if self.biased or self.depth > 1 else (f"{self.z}{i}", f"{self.a}{i}")
        yield said(k, f"{name} = -({right})", "sign", "201", w)
        yield said(k, f"{name} = 0.5 * ({right})", "factor", "202", w)
        # Where there is nothing but one weight, dZ may lack the 1/m as well as dW.
        yield said(k, f"{name} = ({right}) / m", "1/m too much", "204 223", w, *alone)
        yield said(k, f"{name} = ({right}) * m", "1/m missing", "203 222 223", w, *alone)
        yield said(k, f"{name} = np.zeros_like({w})", "never set", "239", w)
        if decay:
            yield said(k, line.removesuffix(decay), "penalty missing", "224", w)
            yield said(k, line + decay, "penalty twice", "225", w)
        elif self.weights_by != "loop":
            yield said(k, f"{line} + 0.1 * {w}", "penalty in the gradient alone", "245", w)
        if i > 1 and self.hidden[i - 2] != "identity" and self.weights_by != "loop":
            taken = right.replace(f"{self.a}{i - 1}", f"{self.z}{i - 1}")
            yield said(k, f"{name} = {taken}", "pre-activation in a product", "242", w)

    def at_a_bias(self, k: int, line: str, i: int) -> Iterator[Slip]:
        name, right = line.split(" = ", 1)
        b, dz = f"{self.b}{i}", right.split("(", 1)[1].split(",", 1)[0]
        yield said(k, f"{name} = -{right}", "sign", "201", b)
        yield said(k, line.replace("np.sum", "np.mean"), "bias averaged", "213 204 223", b)
        yield said(k, f"{name} = 1 * {dz}", "bias not summed", "211", b)
        other = (
            line.replace("axis=0", "axis=9").replace("axis=1", "axis=0").replace("axis=9", "axis=1")
        )
        yield said(k, other, "bias over the wrong axis", "212", b)
        if self.penalty and self.form.startswith("closure"):  # elsewhere b is not at hand
            yield said(
                k, line + self.decay(i).replace(self.w, self.b), "penalty of a bias", "226", b
            )

    def at_a_layer(self, k: int, line: str, i: int, *, activation: bool) -> Iterator[Slip]:
        """Yield slips on the way from layer i to what it was given: its product, its slope."""
        a, z, w = f"{self.a}{i - 1}", f"{self.z}{i - 1}", f"{self.w}{i}"
        product, slope = self.steps[i]
        together = self.fused and not self.in_place
        same = {a, z} if self.hidden[i - 2] == "identity" else set()
        of_product = {a, z} if together else {a, *same}
        name, sign, right = line.partition(" *= " if " *= " in line else " = ")
        tensors = {z, *same} if activation else of_product
        yield said(
            k, f"{name}{sign}-({right})", "sign", "201", *tensors, *(of_product if together else ())
        )
        if together or not activation:
            before = f"{w} = {w} - 0.5 * d{w}"
            yield Slip(k, (before, line), "updated weights", words("227"), frozenset(of_product))
            twice = line.replace(product, f"2 * {product}")
            yield said(k, twice, "factor", "202", *of_product)
        if activation and not same:
            clipped = f"{name} = np.clip({name}, -0.01, 0.01)"
            yield Slip(k, (line, clipped), "clipped", words("229"), frozenset({z}))
            above = name if sign == " *= " else right.removesuffix(f" * {slope}")
            yield said(k, f"{name} = 1 * {above}", "slope missing", "214", z)
            yield said(k, f"{name} = 1 * {slope}", "upstream ignored", "218", z)


def said(line: int, written: str, kind: str, codes: str, *tensors: str) -> Slip:
    return Slip(line, (written,), kind, words(codes), frozenset(tensors))


def slipped(seed: int) -> tuple[Written, Slip]:
    """Return a network with one slip in its backward pass, and what it is."""
    author = Careless(seed)
    text = author.text()
    arguments, shapes = author.arguments()
    assert author.slip is not None
    return Written(text, author.form, arguments, shapes, author.parameters), author.slip
