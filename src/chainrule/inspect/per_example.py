"""The gradient of each example by itself, and what the batch's gradient says of them all.

A batch's gradient is the mean of as many gradients as there are examples. What they are, how
large, how far they agree and how much of their mean is noise follows from a pass that has been
walked already: nothing is differentiated again, and where a layer multiplies, their norms,
inner products and variances are computed without forming them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import SettingError, StructureError, UnknownNameError
from chainrule.inspect.examples.batch import settings_among
from chainrule.inspect.examples.mixing import Apart, apart, needed_by, refusal
from chainrule.inspect.examples.shares import Formed
from chainrule.inspect.examples.uses import common_gradients, shares_of, squares_of
from chainrule.inspect.examples.where import examples_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.examples.batch import Batch
    from chainrule.inspect.examples.shares import Share
    from chainrule.inspect.walking import Walk

__all__ = ["PerExample"]

_QUIETLY = np.errstate(all="ignore")
"""Infinities and NaN are in what is asked about, and no news."""


class PerExample(Mapping[str, Any]):
    """The gradients of single examples, by the name of the parameter: shape (m, *shape).

    They are not divided by the number of examples: ``per_example[name].mean(0)`` is the
    gradient of the pass, always. So for a loss that is the mean of the examples' losses each is
    the gradient of that example's own loss; for a sum of losses it is m times that; weights of
    examples are in it, as they are in the loss; a term without examples (L2) is in each.

    Parameters
    ----------
    run
        The walk forward.
    output
        The node that was differentiated.
    adjoints
        The gradient at each node, as `chainrule.transform.pull_back` gives them.
    names
        What each node is called.
    arguments
        What the walk was made on.
    data
        The positions of the arguments that hold examples; if None, it is found out
        (`chainrule.inspect.examples.where`).
    axis
        The axis along which examples lie in these: 0, or -1 for columns; if None, likewise.
    skipped
        Inputs that are no parameters, such as the buffers of a module: they are not listed, and
        are no part of what is asked of all parameters together. Nor are numbers without axes
        that stand after the data; by name there are all.

    Raises
    ------
    MixedExamplesError
        On the first question, if examples meet: with the line and the reason. What batch norm
        does while training is one; there no example has a gradient of its own.
    StructureError
        On the first question, if no argument holds examples, or it cannot be told which do.

    Notes
    -----
    Constants are what they are: a mask or a target computed from numbers before the function
    counts as given. Norms and inner products come from the factors of products, |xᵢ|² |gᵢ|² and
    (X Xᵀ) ∘ (G Gᵀ) (Goodfellow, *Efficient per-example gradient computations*, 2015); for
    sequences and patches from the products of their rows, or from formed gradients, a few at a
    time, whichever costs less. A weight that is used several times has its cross terms.

    Sums of squares less squares of sums lose digits: a variance far below ε |ḡ|² is rounding,
    with ε that of the numbers' type.

    Examples
    --------
    >>> import chainrule
    >>> def loss(w, X, y):
    ...     return np.mean((X @ w - y) ** 2)
    >>> X, y = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 1.0]]), np.array([6.0, 1.0, 3.0])
    >>> per_example = chainrule.open(loss, np.array([1.0, 1.0]), X, y).per_example
    >>> per_example["w"]
    array([[ 6.,  8.],
           [ 0.,  0.],
           [ 0., -4.]])
    >>> per_example.norms()
    array([10.,  0.,  4.])
    >>> per_example.dots()[0]
    array([100.,   0., -32.])
    """

    def __init__(
        self,
        run: Walk,
        output: int,
        adjoints: Mapping[int, Any],
        names: Sequence[str],
        arguments: Sequence[Any],
        *,
        data: Sequence[int] | None = None,
        axis: int | None = None,
        skipped: Collection[int] = (),
    ) -> None:
        self._run = run
        self._output = output
        self._adjoints = adjoints
        self._node_names = names
        self._arguments = arguments
        self._data = data
        self._axis = axis
        self._skipped = skipped

    def along(self, axis: int, data: Sequence[int] | None = None) -> PerExample:
        """Return the same, with examples along another axis, or in other arguments.

        Parameters
        ----------
        axis
            0 or -1: the first or the last axis of each array of data.
        data
            The positions of the arguments that hold examples.
        """
        count = len(self._arguments)
        if axis not in {0, -1} or not all(k in range(count) for k in data or ()):
            raise SettingError(
                f"examples lie along axis 0 or -1, in some of {count} arguments that are counted "
                f"from 0, got axis {axis} and data {data}.",
            )
        return PerExample(
            self._run,
            self._output,
            self._adjoints,
            self._node_names,
            self._arguments,
            data=self._data if data is None else data,
            axis=axis,
            skipped=self._skipped,
        )

    # -------------------------------------------------------------- what there is

    @property
    def count(self) -> int:
        """The number of examples, m."""
        return self._program.count

    @_QUIETLY
    def __getitem__(self, name: str) -> Any:
        """Return the gradient of each example, shape (m, *shape of the parameter)."""
        node = self._node(name)
        shape = self._run.graph.nodes[node].shape
        y = np.zeros((self.count, math.prod(shape)), self._run.graph.nodes[node].dtype)
        if node in self._shares:
            y = self.count * self._shares[node].formed()
        if node in self._common:
            y = y + np.ravel(self._common[node])
        return np.reshape(y * self._unit, (self.count, *shape))

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        names = ", ".join(self)
        return f"<gradients of {self.count} examples by {names or 'nothing'}>"

    # -------------------------------------------------------------- what follows from them

    @_QUIETLY
    def norms(self, name: str | None = None) -> Any:
        """Return the Euclidean norm of each example's gradient, shape (m,).

        Parameters
        ----------
        name
            A parameter; if None, of all of them together.
        """
        return np.sqrt(self._squares(name)) * self._unit

    @_QUIETLY
    def dots(self, name: str | None = None) -> Any:
        """Return the inner products ⟨gᵢ, gⱼ⟩ of all pairs of examples, shape (m, m).

        Parameters
        ----------
        name
            A parameter; if None, of all of them together.
        """
        total = np.zeros((self.count, self.count))
        for node in self._nodes(name):
            share, common = self._shares.get(node), self._common.get(node)
            if share is not None:
                total = total + self.count**2 * share.dots()
            if common is not None:
                total = total + np.sum(common * common)
            if share is not None and common is not None:
                both = self.count * share.with_common(common)
                total = total + both + both[:, None]
        return total * self._unit * self._unit

    def variance(self, name: str | None = None) -> float:
        """Return the variance of the gradient over examples, summed over the entries.

        It is the trace of the covariance, Σᵢ |gᵢ - ḡ|² / (m - 1); NaN for one example.

        Parameters
        ----------
        name
            A parameter; if None, of all of them together.
        """
        return self._variance(name) * self._unit * self._unit

    @_QUIETLY
    def _variance(self, name: str | None) -> float:
        """Return the variance in the unit of the shares."""
        m = self.count
        if m == 1:
            return math.nan
        squares = float(np.sum(self._squares(name), dtype=np.float64))
        rest = squares - m * self._square_of_mean(name)
        return (0.0 if rest < 0 else rest) / (m - 1)

    def noise_scale(self, name: str | None = None) -> float:
        """Return the simple noise scale tr Σ / |G|²: about the batch from which more is waste.

        Σ is the covariance of the gradients of single examples, G their expectation. Both are
        estimated without bias from this batch: tr Σ by `variance`, |G|² by |ḡ|² - tr Σ / m
        (McCandlish, Kaplan, Amodei et al., *An empirical model of large-batch training*, 2018,
        section 2.2 and appendix A.1, with batches of 1 and m). Infinite where that is not
        positive: the batch does not tell the gradient from noise.

        Parameters
        ----------
        name
            A parameter; if None, all of them together.
        """
        noise = self._variance(name)
        signal = self._square_of_mean(name) - noise / self.count
        if math.isnan(signal):
            return signal
        return noise / signal if signal > 0 else math.inf

    @_QUIETLY
    def signal_to_noise(self, name: str) -> Any:
        """Return |mean| / standard deviation over the examples, for each entry of a parameter.

        0 where all gradients are 0, infinite where they agree and are not.

        Parameters
        ----------
        name
            A parameter.
        """
        m, node = self.count, self._node(name)
        mean = np.asarray(self._gradient(node))
        squares = np.zeros(mean.size, mean.dtype)
        share, common = self._shares.get(node), self._common.get(node)
        if share is not None:
            squares = m * m * share.sum_of_squares()
        own = mean if common is None else mean - common
        variance = np.maximum(np.reshape(squares, mean.shape) / m - own * own, 0)
        variance = variance * (m / max(m - 1, 1))
        return np.where(mean == 0, 0.0, np.abs(mean) / np.sqrt(variance))

    # -------------------------------------------------------------- parts

    @cached_property
    def _program(self) -> Apart:
        """Where the examples lie in each node."""
        graph, names = self._run.graph, self._node_names
        if not needed_by(graph, self._output).issuperset(self._adjoints):
            raise StructureError(
                "gradients of examples are those of one result, and this pass starts from several.",
                advice="Say which: open(…, output=…) takes the key of one.",
            )
        batch = self._batch
        found = apart(graph, self._output, batch)
        if isinstance(found, Apart):
            return found
        raise refusal(graph, found, names, batch)

    @cached_property
    def _batch(self) -> Batch:
        """Which inputs and constants hold the examples."""
        run = self._run
        return examples_in(
            run.leaves,
            self._arguments,
            run.graph,
            self._output,
            data=self._data,
            axis=self._axis,
        )

    @cached_property
    def _unit(self) -> float:
        """What shares are divided by, a power of 2: 1, unless their squares leave the type."""
        gradients = [self._adjoints[i] for i in self._run.graph.inputs if i in self._adjoints]
        sizes = [np.max(np.abs(g), where=np.isfinite(g), initial=0.0) for g in gradients]
        largest = float(max(sizes, default=0.0))
        kind = np.finfo(np.result_type(*gradients) if gradients else np.float64)
        most, least = kind.maxexp // 3, kind.minexp // 3
        if largest == 0 or least < math.frexp(largest)[1] < most:
            return 1.0
        return math.ldexp(1.0, max(kind.minexp, min(math.frexp(largest)[1], kind.maxexp - 1)))

    @cached_property
    @_QUIETLY
    def _scaled(self) -> Mapping[int, Any]:
        """The gradient at each node in this unit."""
        if self._unit == 1:
            return self._adjoints
        return {i: g / self._unit for i, g in self._adjoints.items()}

    @cached_property
    @_QUIETLY
    def _shares(self) -> dict[int, Share]:
        if self.count == 1:
            return {
                node: Formed(np.reshape(self._gradient(node), (1, -1)), self._gradient(node).shape)
                for node in self._shared.values()
            }
        return shares_of(self._program, self._run.numbers, self._scaled)

    @cached_property
    @_QUIETLY
    def _common(self) -> dict[int, Any]:
        if self.count == 1:
            return {}
        seed = self._scaled[self._output]
        return common_gradients(self._program, self._run.numbers, seed)

    @cached_property
    def _shared(self) -> dict[str, int]:
        """The inputs that all examples share, by name."""
        moves = self._program.moves
        return {self._node_names[i]: i for i in self._run.graph.inputs if moves[i]}

    @cached_property
    def _parameters(self) -> dict[str, int]:
        """Those of them that are parameters."""
        settings = settings_among(self._run.leaves, self._run.graph, self._batch)
        left = {*self._skipped, *settings}
        return {name: node for name, node in self._shared.items() if node not in left}

    def _node(self, name: str) -> int:
        if name not in self._shared:
            raise UnknownNameError(
                f"no parameter is called {name!r}.",
                f"there are {', '.join(self._parameters) or 'none'}",
            )
        return self._shared[name]

    def _nodes(self, name: str | None) -> list[int]:
        return [*self._parameters.values()] if name is None else [self._node(name)]

    def _gradient(self, node: int) -> Any:
        """Return the gradient of the batch at a parameter, in the unit of the shares."""
        spec = self._run.graph.nodes[node]
        return self._scaled.get(node, np.zeros(spec.shape, spec.dtype))

    def _square_of_mean(self, name: str | None) -> float:
        gradients = [np.ravel(self._gradient(node)) for node in self._nodes(name)]
        return float(sum(np.dot(g, g) for g in gradients))

    def _squares(self, name: str | None) -> Any:
        """Return the squared norm for each example."""
        return squares_of(self._shares, self._common, self._nodes(name), self.count)
