"""Right backward passes by chance: depth, widths, activations, loss, layout, form and names.

`written(seed)` is the text of a network as some author could have written it, with arguments to
run it on. Formulas come from a table of activations and losses; that what they add up to is the
gradient is for differences to say, not for the table.
"""

from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

ACTIVATIONS = {
    # forward of z, derivative from z and a
    "sigmoid": ("1 / (1 + np.exp(-{z}))", ("{a} * (1 - {a})", "({a} - {a} ** 2)")),
    "tanh": ("np.tanh({z})", ("(1 - {a} ** 2)", "(1 - np.tanh({z}) ** 2)", "(1 - {a} * {a})")),
    "relu": ("np.maximum({z}, 0)", ("({z} > 0)", "({a} > 0)", "np.where({z} > 0, 1.0, 0.0)")),
    "leaky": ("np.where({z} > 0, {z}, 0.1 * {z})", ("np.where({z} > 0, 1, 0.1)",)),
    "softplus": ("np.log(1 + np.exp({z}))", ("1 / (1 + np.exp(-{z}))", "(1 - np.exp(-{a}))")),
    "identity": ("1 * {z}", ("1",)),
}
NAMES = (
    ("Z", "A", "W", "B", "dZ", "dA"),
    ("z", "a", "w", "b", "delta", "error"),
    ("y", "h", "W", "b", "dy", "dh"),
    ("pre", "act", "weight", "bias", "dpre", "dact"),
    ("s", "o", "theta", "c", "gs", "go"),
)


@dataclass(frozen=True)
class Loss:
    """``out`` of the last z, value of out and target, gradient by z; all with the count ``m``."""

    out: str
    value: str
    slope: str
    target: str


def losses(axis: int) -> dict[str, Loss]:
    p = "1 / (1 + np.exp(-{z}))"
    top = f"{{z}} - np.max({{z}}, axis={axis}, keepdims=True)"
    stable = f"np.exp({top}) / np.sum(np.exp({top}), axis={axis}, keepdims=True)"
    place = "[np.arange(m), {t}]" if axis else "[{t}, np.arange(m)]"
    turned = "" if axis else ".T"
    labels = f"np.eye(len({{o}}{'.T' if axis else ''}))[{{t}}]{turned}"
    share = f"np.exp({{z}}) / np.sum(np.exp({{z}}), axis={axis}, keepdims=True)"
    cross = "-np.sum({t} * np.log({o}) + (1 - {t}) * np.log(1 - {o}))"
    return {
        "mean of squares": Loss(
            "{z} * 1", "np.mean(({o} - {t}) ** 2)", "2 * ({o} - {t}) / {t}.size", "any"
        ),
        "half squares": Loss(
            "{z} * 1", "np.sum(({o} - {t}) ** 2) / (2 * m)", "({o} - {t}) / m", "any"
        ),
        "sum of squares": Loss("{z} * 1", "np.sum(({o} - {t}) ** 2)", "2 * ({o} - {t})", "any"),
        "binary": Loss(p, f"{cross} / m", "({o} - {t}) / m", "bits"),
        "binary, mean": Loss(p, f"{cross} / {{t}}.size", "({o} - {t}) / {t}.size", "bits"),
        "squares of a sigmoid": Loss(
            p, "np.sum(({o} - {t}) ** 2) / m", "2 * ({o} - {t}) * {o} * (1 - {o}) / m", "bits"
        ),
        "softmax": Loss(share, "-np.sum({t} * np.log({o})) / m", "({o} - {t}) / m", "one-hot"),
        "softmax of labels": Loss(
            stable, f"-np.mean(np.log({{o}}{place}))", f"({{o}} - {labels}) / m", "labels"
        ),
        "softmax, sum": Loss(share, "-np.sum({t} * np.log({o}))", "({o} - {t})", "one-hot"),
    }


@dataclass(frozen=True)
class Written:
    """A text, its form, its arguments by name, and the letters of their shapes."""

    text: str
    form: str
    arguments: dict[str, object]
    shapes: dict[str, str]
    parameters: tuple[str, ...]

    @property
    def told(self) -> str:
        return f"{self.form}\n{self.text}"


class Author:
    """One set of habits, drawn once, and the lines that follow from it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = self.rng = np.random.default_rng(seed)
        self.steps: dict[int, tuple[str, str]] = {}  # to the layer before: its product, its slope
        self.rows = bool(rng.random() < 0.6)
        self.depth = int(rng.integers(1, 5))
        self.z, self.a, self.w, self.b, self.dz, self.da = NAMES[rng.integers(len(NAMES))]
        self.hidden = [str(rng.choice(list(ACTIVATIONS))) for _ in range(self.depth - 1)]
        by_name = losses(1 if self.rows else 0)
        self.loss = by_name[str(rng.choice(list(by_name)))]
        self.biased = bool(rng.random() < 0.85)
        self.penalty = str(rng.choice(["", "", "half", "whole", "by count"]))
        self.fused = bool(rng.random() < 0.4)
        self.in_place = bool(rng.random() < 0.4)
        self.late = self.loss.slope.endswith(" / m") and bool(rng.random() < 0.4)
        self.prefix = str(rng.choice(["", "d"]))
        self.flat_bias = bool(rng.random() < 0.7)
        self.product = str(rng.choice(["{} @ {}", "{} @ {}", "np.dot({}, {})", "{}.dot({})"]))
        self.weights_by = str(rng.choice(["product", "product", "product", "loop", "einsum"]))
        self.everything = bool(rng.random() < 0.4) and self.dz == f"d{self.z}" and not self.in_place
        self.form = str(
            rng.choice(
                [
                    "pair, dictionary",
                    "pair, tuple",
                    "closure, dictionary",
                    "closure, tuple",
                    "object",
                ]
            )
        )
        self.x, self.t = [("X", "Y"), ("x", "target"), ("data", "T")][rng.integers(3)]

    @property
    def layers(self) -> range:
        return range(1, self.depth + 1)

    @property
    def parameters(self) -> tuple[str, ...]:
        biases = (f"{self.b}{i}" for i in self.layers) if self.biased else ()
        both = zip_longest((f"{self.w}{i}" for i in self.layers), biases)
        return tuple(name for name in chain.from_iterable(both) if name)

    def before(self, i: int) -> str:
        return self.x if i == 1 else f"{self.a}{i - 1}"

    def count(self) -> str:
        return f"m = {self.x}.shape[{0 if self.rows else 1}]"

    def forward(self) -> list[str]:
        lines = [self.count()]
        for i in self.layers:
            z, w, b = f"{self.z}{i}", f"{self.w}{i}", f"{self.b}{i}"
            product = self.times(self.before(i), w)
            if not self.biased:
                lines.append(f"{z} = {product}")
            elif self.in_place:
                lines += [f"{z} = {product}", f"{z} += {b}"]
            else:
                lines.append(f"{z} = {product} + {b}")
            formula = self.loss.out if i == self.depth else ACTIVATIONS[self.hidden[i - 1]][0]
            lines.append(f"{self.a}{i} = {formula.format(z=z)}")
        return lines

    def times(self, left: str, right: str) -> str:
        """Return a product that is written left to right in rows, and the other way in columns."""
        return self.product.format(*((left, right) if self.rows else (right, left)))

    def value(self, weight: str = "{}") -> str:
        out = f"{self.a}{self.depth}"
        value = self.loss.value.format(o=out, t=self.t)
        if not self.penalty:
            return value
        factor = {"half": "0.5 * lam", "whole": "lam", "by count": "lam / (2 * m)"}[self.penalty]
        squares = " + ".join(f"np.sum({weight.format(f'{self.w}{i}')} ** 2)" for i in self.layers)
        return f"{value} + {factor} * ({squares})"

    def decay(self, i: int) -> str:
        factor = {"half": "lam", "whole": "2 * lam", "by count": "lam / m"}
        return f" + {factor[self.penalty]} * {self.w}{i}" if self.penalty else ""

    def backward(self) -> list[str]:
        lines = []
        out = f"{self.a}{self.depth}"
        slope = self.loss.slope.format(o=out, t=self.t)
        over = " / m" if self.late else ""
        one = self.in_place
        current = self.dz if one else f"{self.dz}{self.depth}"
        lines.append(f"{current} = {slope.removesuffix(' / m') if self.late else slope}")
        for i in reversed(self.layers):
            lines += self.of_parameters(i, current, over)
            if i > 1:
                following = self.dz if one else f"{self.dz}{i - 1}"
                lines += self.through(i, current, following)
                current = following
        return lines

    def of_parameters(self, i: int, dz: str, over: str) -> list[str]:
        name, after = f"d{self.w}{i}", f"{over}{self.decay(i)}"
        lines = self.of_weight(i, dz, name, after)
        if self.biased:
            axis = "axis=0" if self.rows else "axis=1"
            keep = "" if self.rows and self.flat_bias else ", keepdims=True"
            lines.append(f"d{self.b}{i} = np.sum({dz}, {axis}{keep}){over}")
        return lines

    def of_weight(self, i: int, dz: str, name: str, after: str) -> list[str]:
        below = self.before(i)
        if self.weights_by == "einsum":
            letters = "ni,nj->ij" if self.rows else "in,jn->ji"
            return [f'{name} = np.einsum("{letters}", {below}, {dz}){after}']
        if self.weights_by == "loop":
            pair = f"{below}[i], {dz}[i]" if self.rows else f"{dz}[:, i], {below}[:, i]"
            return [
                f"{name} = np.zeros_like({self.w}{i})",
                "for i in range(m):",
                f"    {name} += np.outer({pair})",
                f"{name} = {name}{after}",
            ]
        return [f"{name} = {self.times(f'{below}.T', dz)}{after}"]

    def through(self, i: int, dz: str, following: str) -> list[str]:
        w, name = f"{self.w}{i}", self.hidden[i - 2]
        product = self.times(dz, f"{w}.T")
        ways = ACTIVATIONS[name][1]
        derivative = ways[self.rng.integers(len(ways))]
        derivative = derivative.format(z=f"{self.z}{i - 1}", a=f"{self.a}{i - 1}")
        self.steps[i] = product, derivative
        if self.in_place:
            return [f"{following} = {product}", f"{following} *= {derivative}"]
        if self.fused:
            return [f"{following} = ({product}) * {derivative}"]
        da = f"{self.da}{i - 1}"
        return [f"{da} = {product}", f"{following} = {da} * {derivative}"]

    def returned(self, dictionary: bool) -> str:
        if dictionary:
            names = [*self.parameters, *(self.intermediates() if self.everything else [])]
            pairs = (f'"{self.prefix}{name}": d{name}' for name in names)
            return f"{{{', '.join(pairs)}}}"
        return f"({', '.join(f'd{name}' for name in self.parameters)},)"

    def intermediates(self) -> list[str]:
        inner = [] if self.fused else [f"{self.a}{i}" for i in self.layers[:-1]]
        return [f"{self.z}{i}" for i in self.layers] + inner

    def kept(self) -> list[str]:
        values = [f"{letter}{i}" for i in self.layers for letter in (self.z, self.a)]
        weights = [f"{self.w}{i}" for i in self.layers]
        return [self.x, self.t, "m", *values, *weights, *(["lam"] if self.penalty else [])]

    def text(self) -> str:
        arguments = [*self.parameters, self.x, self.t, *(["lam"] if self.penalty else [])]
        body = {"closure": self.closure, "pair": self.pair, "object": self.an_object}
        lines = body[self.form.split(",")[0]](", ".join(arguments))
        return "\n".join(["import numpy as np", "", "", *lines, ""])

    def closure(self, arguments: str) -> list[str]:
        ends = f"return value, {self.returned('dictionary' in self.form)}"
        inside = [*self.forward(), f"value = {self.value()}", *self.backward(), ends]
        return [f"def loss({arguments}):", *indented(inside)]

    def pair(self, arguments: str) -> list[str]:
        kept = ", ".join(self.kept())
        return [
            f"def forward({arguments}):",
            *indented([*self.forward(), f"return {self.value()}, ({kept})"]),
            "",
            "",
            "def backward(cache):",
            *indented(
                [
                    f"{kept} = cache",
                    *self.backward(),
                    f"return {self.returned('dict' in self.form)}",
                ]
            ),
        ]

    def an_object(self, arguments: str) -> list[str]:
        own = [f"{name} = self.{name}" for name in self.parameters]
        kept = ", ".join(f"{name}={name}" for name in self.kept() if name != "lam")
        unpacked = [f'{name} = cache["{name}"]' for name in self.kept() if name != "lam"]
        lam = ["lam = self.lam"] if self.penalty else []
        out = f"{self.a}{self.depth}"
        methods = [
            f"def __init__(self, {', '.join(self.parameters)}, lam=None):",
            *indented([f"self.{name} = {name}" for name in (*self.parameters, "lam")]),
            "",
            f"def forward(self, {self.x}, {self.t}):",
            *indented([*own, *self.forward(), f"cache = dict({kept})", f"return {out}, cache"]),
            "",
            f"def loss(self, {out}, {self.t}):",
            *indented(
                [
                    *lam,
                    f"m = {self.t}.shape[{0 if self.rows else -1}]",
                    f"return {self.value('self.{}')}",
                ]
            ),
            "",
            "def compute_gradients(self, out, cache):",
            *indented([*lam, *unpacked, *self.backward(), f"return {self.returned(True)}"]),
        ]
        return ["class Network:", *indented(methods)]

    def arguments(self) -> tuple[dict[str, object], dict[str, str]]:
        rng, letters = self.rng, "dhgqk"
        widths = [letters[0], *letters[1 : self.depth], "k"]
        length = dict(zip("mdhgqk", rng.integers(2, 7, 6), strict=True))
        length["m"] += 2
        shapes = {}
        for i in self.layers:
            fan_in, fan_out = widths[i - 1], widths[i]
            shapes[f"{self.w}{i}"] = f"{fan_in} {fan_out}" if self.rows else f"{fan_out} {fan_in}"
            if self.biased:
                shapes[f"{self.b}{i}"] = fan_out if self.rows else f"{fan_out} 1"
                if self.rows and not self.flat_bias:
                    shapes[f"{self.b}{i}"] = f"1 {fan_out}"
        shapes = {name: shapes[name] for name in self.parameters}
        shapes[self.x] = "m d" if self.rows else "d m"
        shapes[self.t] = "m k" if self.rows else "k m"
        arrays: dict[str, object] = {}
        for name, shape in shapes.items():
            lengths = [1 if letter == "1" else int(length[letter]) for letter in shape.split()]
            arrays[name] = 0.7 * rng.normal(size=lengths)
        arrays[self.t] = self.targets(arrays[self.t])
        if self.loss.target == "labels":
            shapes[self.t] = "m"
        if self.penalty:
            arrays["lam"] = 0.4
        return arrays, shapes

    def targets(self, drawn):
        if self.loss.target == "any":
            return drawn
        if self.loss.target == "bits":
            return (drawn > 0).astype(float)
        best = drawn.argmax(axis=1 if self.rows else 0)
        if self.loss.target == "labels":
            return best
        onehot = np.eye(drawn.shape[1 if self.rows else 0])[best]
        return onehot if self.rows else onehot.T.copy()


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def written(seed: int) -> Written:
    author = Author(seed)
    text = author.text()
    arguments, shapes = author.arguments()
    return Written(text, author.form, arguments, shapes, author.parameters)


def handed_in(module, made: Written):
    """Return the target and the inputs, as a user would give them to `check`."""
    if made.form == "object":
        data = {name for name in made.arguments if name not in made.parameters and name != "lam"}
        own = {name: a for name, a in made.arguments.items() if name not in data}
        inputs = tuple(a for name, a in made.arguments.items() if name in data)
        return module.Network(**own), inputs, made.shapes
    inputs = tuple(made.arguments.values())
    if made.form.startswith("pair"):
        return (module.forward, module.backward), inputs, made.shapes
    return module.loss, inputs, made.shapes


def claimed(module, made: Written, arguments: dict[str, object]):
    """Return loss and gradients by name of a parameter, by running the text."""
    if made.form == "object":
        target, inputs, _ = handed_in(
            module, Written(made.text, made.form, arguments, made.shapes, made.parameters)
        )
        out, cache = target.forward(*inputs)
        return target.loss(out, inputs[1]), renamed(target.compute_gradients(out, cache), made)
    if made.form.startswith("pair"):
        value, cache = module.forward(*arguments.values())
        return value, renamed(module.backward(cache), made)
    value, gradients = module.loss(*arguments.values())
    return value, renamed(gradients, made)


def renamed(gradients, made: Written):
    if isinstance(gradients, dict):
        return dict(zip(made.parameters, gradients.values(), strict=False))
    return dict(zip(made.parameters, gradients, strict=True))


def differences(module, made: Written, step: float = 1e-5):
    """Return the gradient of every parameter by central differences, entry by entry."""
    found = {}
    for name in made.parameters:
        array = np.asarray(made.arguments[name])
        slopes = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            values = []
            for sign in (1, -1):
                moved = array.copy()
                moved[place] += sign * step
                values.append(claimed(module, made, {**made.arguments, name: moved})[0])
            slopes[place] = (values[0] - values[1]) / (2 * step)
        found[name] = slopes
    return found
