r"""A node of a graph as LaTeX, from the templates of the ops, with the brackets that it needs.

How tightly a template binds is read off the template: ``<a> + <b>`` is a sum, ``\log <x>`` a
function in front of its argument, ``\frac{<a>}{<b>}`` needs no brackets at all. So does what each
place in it can hold: what stands between braces anything, a factor no sum, a base only an atom.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.explain.source import attribute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.explain.reader import Reader
    from chainrule.graph import Node

__all__ = ["latex"]

ANYTHING, RELATION, SUM, PRODUCT, JUXTAPOSED, POWER, ATOM = range(7)
"""How tightly a formula binds, and how tightly a place wants what it holds to bind."""


class Part(NamedTuple):
    r"""A piece of a formula: its text, how tightly it binds, whether its end reaches further.

    ``\log x`` reaches: a factor behind it would be read as part of its argument.
    """

    text: str
    level: int
    reaches: bool = False


def latex(reader: Reader, index: int) -> str:
    """Return a node as LaTeX."""
    text = _part(reader, index).text
    for length, known in reader.lengths.items():
        divisor = rf"(?<=\}}\{{){length}(?=\}})|(?<=/ ){length}(?![\d.])"
        text = known.latex.join(re.split(divisor, text))
    return text


def _part(reader: Reader, index: int) -> Part:
    if index in reader.texts:
        return Part(reader.texts[index].latex, ATOM)
    node = reader.graph.nodes[index]
    if node.op is None:
        return _number(reader.graph.constants[index])
    template = _template(reader, node)
    parts: dict[str, Part] = {}
    for name, places in reader.places(node).items():
        slots = [f"{name}{place}" for place in range(len(places))]
        template = template.replace(f"<{name}>", ", ".join(f"<{slot}>" for slot in slots))
        parts.update({s: _part(reader, i) for s, i in zip(slots, places, strict=True)})
    for name, x in node.attributes.items():
        template = template.replace(f"<{name}>", _attribute(x))
    return _filled(template, parts)


def _template(reader: Reader, node: Node) -> str:
    op = node.op
    if op is None:
        return ""
    said = op.written.latex
    return op.latex if said is None else said(*reader.operands(node), **node.attributes)


# ---------------------------------------------------------------- templates

_TOKEN = re.compile(
    r"<\w+>|\\(?:left|right)\s*(?:\\[a-zA-Z]+|\\.|.)|\\(?:begin|end)\{\w+\}|\\(?:mathrm|text)\{[^}]*\}"
    r"|\\[a-zA-Z]+|\\.|[a-zA-Z]|\d+|\S"
)
_OPEN = frozenset(["{", "(", "[", r"\lfloor", r"\lceil", r"\begin"])
_CLOSE = frozenset(["}", ")", "]", r"\rfloor", r"\rceil", r"\end"])
_BREAKS = frozenset(["&", r"\\", ",", r"\lvert", r"\rvert"])
_SIGNS = {
    **dict.fromkeys([">", "<", "=", r"\ge", r"\le", r"\ne", r"\wedge", r"\vee"], RELATION),
    **dict.fromkeys(["+", "-", r"\oplus"], SUM),
    **dict.fromkeys([r"\cdot", r"\odot", r"\bmod", "/"], PRODUCT),
}
_WIDE = frozenset([r"\sum"])
"""Signs in front whose argument may be a product."""
_SCRIPTS = frozenset(["^", "_"])
_SPACES = frozenset([r"\,", r"\;", r"\ "])


class Group(NamedTuple):
    """A run of tokens between brackets: tokens, and groups for what is bracketed inside."""

    tokens: tuple[Any, ...]
    start: str = ""
    end: str = ""


class Shape(NamedTuple):
    """What a template says of itself and of its places: which may begin with a sign, which end."""

    level: int
    reaches: bool
    wants: dict[str, int]
    first: frozenset[str]
    last: frozenset[str]


def _filled(template: str, parts: dict[str, Part]) -> Part:
    """Return a template with its places filled, bracketed where they have to be."""
    shape = _shape(template)
    texts, reaches = {}, shape.reaches
    for name, part in parts.items():
        is_last = name in shape.last
        wanted = shape.wants.get(name, ANYTHING)
        loose = part.reaches and not is_last and wanted >= PRODUCT
        signed = part.text.startswith("-") and name not in shape.first
        stacked = wanted == ATOM and part.text.startswith(r"\frac")
        if part.level < wanted or loose or signed or stacked:
            texts[name] = _bracketed(part.text)
        elif f"<{name}>_" in template and "_" in part.text:  # an index has no index
            texts[name] = f"{{{part.text}}}"
        else:
            texts[name] = part.text
            reaches = reaches or (part.reaches and is_last)
    if re.fullmatch(r"<\w+>", template.strip()) and parts:
        return next(iter(parts.values()))
    is_fraction = re.fullmatch(r"\\frac\{<\w+>\}\{<\w+>\}", template)
    if is_fraction and any(r"\frac" in text for text in texts.values()):
        return _filled("<{}> / <{}>".format(*parts), parts)
    text = re.sub(r"<(\w+)>", lambda found: texts.get(found[1], found[0]), template)
    return Part(text, shape.level, reaches)


def _bracketed(text: str) -> str:
    tall = re.search(r"\\(frac|sum|prod|begin|left|overline)", text)
    return rf"\left({text}\right)" if tall else f"({text})"


@functools.lru_cache(maxsize=1024)
def _shape(template: str) -> Shape:
    """Return how tightly a template binds, and what each of its places wants."""
    group = _grouped(_TOKEN.findall(template))
    wants: dict[str, int] = {}
    inner: set[str] = set()
    _collect(group, wants, inner)
    level, reaches = _level(group.tokens)
    last = [token for token in group.tokens[-1:] if _is_place(token)]
    return Shape(
        level,
        reaches,
        wants,
        first=frozenset(wants) - inner,
        last=frozenset(token[1:-1] for token in last),
    )


def _grouped(tokens: Sequence[str]) -> Group:
    """Return tokens as a tree of brackets."""
    stack: list[list[Any]] = [[]]
    starts = [""]
    for token in tokens:
        kind = re.sub(r"^(\\begin|\\end).*", r"\1", token)
        if kind in _OPEN or kind.startswith(r"\left"):
            stack.append([])
            starts.append(token)
        elif (kind in _CLOSE or kind.startswith(r"\right")) and len(stack) > 1:
            inside = Group(tuple(stack.pop()), starts.pop(), token)
            stack[-1].append(inside)
        elif token not in _SPACES:
            stack[-1].append(token)
    return Group(tuple(stack[0]))


def _is_place(token: Any) -> bool:
    return isinstance(token, str) and token.startswith("<") and len(token) > 1


def _collect(group: Group, wants: dict[str, int], inner: set[str]) -> None:
    """Note for each place in a group what it wants, and which have something in front of them.

    What stands twice wants what the stricter of its places does.
    """
    tokens = group.tokens
    for k, token in enumerate(tokens):
        if isinstance(token, Group):
            _collect(token, wants, inner)
            if token.start == "{" and len(token.tokens) == 1 and tokens[k + 1 : k + 2] == ("^",):
                wants.update({place[1:-1]: ATOM for place in token.tokens if _is_place(place)})
        elif _is_place(token):
            name, before = token[1:-1], _before(tokens, k)
            wants[name] = max(wants.get(name, ANYTHING), _wanted(tokens, k))
            if not (before == "" or before in _BREAKS or _SIGNS.get(before) == RELATION):
                inner.add(name)


def _wanted(tokens: Sequence[Any], k: int) -> int:
    """Return how tightly what stands at a place has to bind, from its neighbours."""
    before = _before(tokens, k)
    after = tokens[k + 1] if k + 1 < len(tokens) else ""
    if after in _SCRIPTS:
        return ATOM
    wanted = ANYTHING
    for sign, is_right in ((before, True), (after, False)):
        if sign == "" or sign in _BREAKS:
            continue
        level = _SIGNS.get(sign) if isinstance(sign, str) else None
        if level is None:
            level = _beside(sign, is_right)
        elif is_right and sign == "-":
            level = PRODUCT
        elif is_right and sign in {"/", r"\bmod"}:
            level = POWER
        elif level == RELATION:
            level = SUM
        wanted = max(wanted, level)
    return wanted


def _before(tokens: Sequence[Any], k: int) -> Any:
    """Return what stands in front of a place, without the index of a sign."""
    j = k - 1
    while j >= 1 and tokens[j - 1] in _SCRIPTS:
        j -= 2
    return tokens[j] if j >= 0 else ""


def _beside(neighbour: Any, is_right: bool) -> int:
    """Return what a place wants that stands directly beside something: an argument, a factor."""
    if not is_right or isinstance(neighbour, Group) or _is_place(neighbour):
        return JUXTAPOSED
    if neighbour in _WIDE:
        return PRODUCT
    return POWER if neighbour.startswith("\\") else JUXTAPOSED


def _level(tokens: Sequence[Any]) -> tuple[int, bool]:
    """Return how tightly a run of tokens binds, and whether its end reaches further."""
    levels = [_SIGNS[token] for token in tokens if isinstance(token, str) and token in _SIGNS]
    words = [t for k, t in enumerate(tokens) if not _is_script(tokens, k)]
    ends_open = (
        len(tokens) > 1 and _is_place(tokens[-1]) and _is_function(_before(tokens, len(tokens) - 1))
    )
    if levels:
        return min(levels), ends_open
    if ends_open and len(words) == 2:  # a function and its argument
        return JUXTAPOSED, True
    factors = [t for t in words if not (isinstance(t, str) and t.startswith("\\"))]
    if len(factors) > 1 and not _is_call(words):
        return JUXTAPOSED, ends_open
    return (POWER if len(words) < len(tokens) and words else ATOM), ends_open


def _is_script(tokens: Sequence[Any], k: int) -> bool:
    return tokens[k] in _SCRIPTS or (k > 0 and tokens[k - 1] in _SCRIPTS)


def _is_function(token: Any) -> bool:
    return isinstance(token, str) and token.startswith("\\") and token not in _SIGNS


def _is_call(words: Sequence[Any]) -> bool:
    """Return whether a run is one command and its arguments: a fraction, a root, f(x)."""
    rest = [w for w in words if not isinstance(w, Group)]
    return len(rest) <= 1 and not any(_is_place(w) for w in rest)


# ---------------------------------------------------------------- numbers and attributes


def _attribute(x: Any) -> str:
    """Return an attribute: an index without its brackets, letters upright."""
    if isinstance(x, str):
        return rf"\mathrm{{{x.replace('->', ',')}}}"
    text = attribute(x)
    return text[len("np.s_[") : -1] if text.startswith("np.s_[") else text


def _number(x: Any) -> Part:
    """Return a constant as LaTeX, in four digits at most."""
    x = np.asarray(x)
    if x.ndim == 0:
        return _scalar(x)
    if x.size and np.all(x == x.flat[0]):
        return Part(rf"\mathbf{{{_scalar(x.flat[0]).text}}}", ATOM)
    if x.ndim == 2 and np.array_equal(x, np.eye(*x.shape)):
        return Part("I", ATOM)
    if x.ndim == 1:
        entries = [_scalar(entry).text for entry in x]
        entries = entries if len(entries) < 5 else [*entries[:2], r"\ldots", entries[-1]]
        return Part(f"({', '.join(entries)})", ATOM)
    return Part("C", ATOM)


def _scalar(x: Any) -> Part:
    x = np.asarray(x)[()]
    if x.dtype.kind == "b":
        return Part(str(int(x)), ATOM)
    if not np.isfinite(x):
        if np.isnan(x):
            return Part(r"\mathrm{NaN}", ATOM)
        return Part(r"\infty", ATOM) if x > 0 else Part(r"-\infty", JUXTAPOSED)
    text = f"{x:.4g}"
    mantissa, _, exponent = text.partition("e")
    if exponent:
        power = f"10^{{{int(exponent)}}}"
        text = power if mantissa == "1" else rf"{mantissa} \cdot {power}"
        return Part(text, JUXTAPOSED)
    return Part(text, JUXTAPOSED if text.startswith("-") else ATOM)
