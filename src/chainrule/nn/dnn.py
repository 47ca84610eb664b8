"""Dense networks of any depth whose gradients are computed by hand, layer by layer.

`DNN` is two classical descriptions of backpropagation as one: the cached network, where examples
are columns, and the matrix calculus, where they are rows. Its forward pass fills a dictionary
``A0 W1 B1 Z1 A1 …``; its backward pass is one loop that reads it and writes each formula down.
Nothing in it goes through the engine, and the engine's derivatives are equal to 1e-12.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from chainrule.errors import LabelError, SettingError, ShapeError, StructureError
from chainrule.nn.answers import Answer, examples
from chainrule.nn.descent import Descent
from chainrule.nn.formulas import HIDDEN, LAYOUTS, OUTPUTS
from chainrule.nn.given import chosen, layer_sizes, like, numbers, require_shapes
from chainrule.nn.initialise import generator, initial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]

__all__ = ["DNN"]


class DNN(Descent):
    """A dense network that keeps every intermediate value, and its gradients by hand.

    Parameters
    ----------
    sizes
        How many numbers go in, stand in each hidden layer, and come out: ``[2, 3, 3, 1]`` has
        three layers.
    hidden
        The activation of the hidden layers: ``"sigmoid"``, ``"tanh"`` or ``"relu"``.
    output
        The last activation, and with it the loss: ``"sigmoid"`` with binary cross-entropy,
        ``"softmax"`` with cross-entropy, ``"linear"`` with squared error.
    layout
        ``"columns"``: X is (features, m), W (out, in), B (out, 1), as in the cached network.
        ``"rows"``: X is (N, D), W (in, out), B (out,), as in the matrix calculus.
    seed
        Of the initial weights. The same seed makes the same network in either layout.
    dtype
        Of the parameters, float64 or float32, and so of all that is computed.

    Attributes
    ----------
    parameters
        ``{"W1": …, "B1": …, "W2": …}``. Entries may be replaced by arrays of the same shape.

    Raises
    ------
    SettingError
        If a size is not a positive integer, or a name is none of those above.

    Notes
    -----
    With A0 = X, layer by layer::

        columns   Zᵢ = Wᵢ Aᵢ₋₁ + Bᵢ      Aᵢ = hidden(Zᵢ), or output(Zᵢ) in the last layer
        rows      Zᵢ = Aᵢ₋₁ Wᵢ + Bᵢ

    The loss L is the mean over examples of, summed over the units k of the output A::

        sigmoid   -Σ Yₖ log Aₖ + (1 - Yₖ) log(1 - Aₖ)
        softmax   -Σ Yₖ log Aₖ
        linear    (Aₖ - Yₖ)², averaged over k too: the mean over all elements, without a ½

    Weights start uniform within ±4√(6/(in + out)) before sigmoid and ±√(6/(in + out)) before
    tanh (Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural
    networks*, AISTATS 2010; the 4 makes up for the slope ¼ of sigmoid at 0), within ±√(6/in)
    before relu (He et al., *Delving deep into rectifiers*, ICCV 2015), and within
    ±√(6/(in + out)) in the last layer. Biases start at 0.

    Examples
    --------
    The truth table of exclusive or, a column for each line:

    >>> X = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
    >>> Y = [0, 1, 1, 0]
    >>> network = DNN([2, 4, 1], hidden="tanh", seed=0)
    >>> losses = network.fit(X, Y, learning_rate=1.0, epochs=500)
    >>> network.predict(X)
    array([0, 1, 1, 0])

    One step by hand:

    >>> out, cache = network.forward(X, Y)
    >>> gradients = network.gradients(out, cache)
    >>> list(gradients)
    ['Z2', 'W2', 'B2', 'A1', 'Z1', 'W1', 'B1']
    >>> network.step(gradients, learning_rate=1.0)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Literal["sigmoid", "tanh", "relu"] = "sigmoid",
        output: Literal["sigmoid", "softmax", "linear"] = "sigmoid",
        layout: Literal["columns", "rows"] = "columns",
        seed: int | None = None,
        *,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.sizes = layer_sizes(sizes)
        self.hidden = chosen("hidden", hidden, HIDDEN)
        self.output = chosen("output", output, OUTPUTS)
        self.layout = chosen("layout", layout, LAYOUTS)
        if output == "softmax" and self.sizes[-1] == 1:
            raise SettingError(
                "a softmax over one output is always 1: it needs at least 2.",
                f"sizes: {list(self.sizes)}",
                advice="For two classes by one output, say output='sigmoid'.",
            )
        if dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
            raise SettingError(f"dtype needs to be float64 or float32, got {dtype!r}.")
        self._hidden = HIDDEN[self.hidden]
        self._layout = LAYOUTS[self.layout]
        self._output = OUTPUTS[self.output](self._layout.units)
        self.parameters: dict[str, Array] = self._initial(seed, dtype)
        self._shapes = {name: p.shape for name, p in self.parameters.items()}

    def __repr__(self) -> str:
        return (
            f"DNN({list(self.sizes)}, hidden={self.hidden!r}, output={self.output!r}, "
            f"layout={self.layout!r})"
        )

    @property
    def depth(self) -> int:
        """How many layers have weights."""
        return len(self.sizes) - 1

    def forward(self, X: Any, Y: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return the output, and everything that was computed on the way to it.

        Parameters
        ----------
        X
            Examples: (features, m) in columns, (N, features) in rows. They take the dtype of
            the network.
        Y
            Their labels or targets, if they are known, to be kept for `compute_gradients`: see
            there.

        Returns
        -------
        out
            (outputs, m) in columns, (N, outputs) in rows.
        cache
            ``A0`` is X; ``W1``, ``B1``, ``Z1``, ``A1`` and so on belong to the layers, and the
            last A is out; ``Y`` is there if it was given. A later `step` leaves it as it is.

        Raises
        ------
        ShapeError
            If X does not have the features that the network takes.

        Examples
        --------
        >>> network = DNN([2, 3, 1], seed=0)
        >>> out, cache = network.forward(np.ones((2, 5)))
        >>> out.shape, list(cache)
        ((1, 5), ['A0', 'W1', 'B1', 'Z1', 'A1', 'W2', 'B2', 'Z2', 'A2'])
        """
        return self._forward(self.parameters, X, Y)

    def compute_gradients(
        self, out: Array, cache: Mapping[str, Any], Y: Any = None, *, inputs: bool = False
    ) -> dict[str, Array]:
        """Return the gradient of the loss by everything in the cache.

        Parameters
        ----------
        out, cache
            What `forward` returned.
        Y
            Labels, shape (m,): 0 … C - 1 for a softmax of C outputs, 0 or 1 for one sigmoid
            output. Or targets in the shape of out: one-hot or probabilities, and any numbers
            for a linear output. If it is given here and in `forward`, this one counts.
        inputs
            Whether to go on to the input, for inputs that are learned too, such as embeddings:
            adds ``A0``.

        Returns
        -------
        dict
            ``Z3``, ``W3``, ``B3``, ``A2``, ``Z2``, …, each in the shape of what it belongs to.

        Raises
        ------
        LabelError
            If a label names no class, or if there is no Y.
        ShapeError
            If Y or out has another shape than the examples in the cache ask for.

        Notes
        -----
        At the output, dZ = A - Y for both cross-entropies and 2 (A - Y) / outputs for the
        squared error. From there, for each layer, with m or N examples::

            columns, the cached network          rows, the matrix calculus
            dZ is that of each example           dZ carries 1/N from the output on
            dWᵢ   = dZᵢ Aᵢ₋₁ᵀ / m                dWᵢ   = Aᵢ₋₁ᵀ dZᵢ
            dBᵢ   = Σ over columns of dZᵢ / m    dBᵢ   = Σ over rows of dZᵢ
            dAᵢ₋₁ = Wᵢᵀ dZᵢ                      dAᵢ₋₁ = dZᵢ Wᵢᵀ
            dZᵢ₋₁ = dAᵢ₋₁ ∗ hidden′(Zᵢ₋₁)        dZᵢ₋₁ = dAᵢ₋₁ ∗ hidden′(Zᵢ₋₁)

        where hidden′ is A (1 - A) for sigmoid, 1 - A² for tanh, 1[Z > 0] for relu. So W and B
        are true derivatives of the mean loss in both. Z and A are so in rows; in columns they
        are m times that, the derivative of each example's own loss.

        Where the sources slip, the mathematics counts. The cached network writes dA = Wᵀ Z in
        its last step, which has to be Wᵀ dZ, and introduces dZ3 as ∂L/∂A3. The matrix calculus
        takes 1 for the slope of relu at 0 in its code, against its own formula, and leaves the
        -log out of its formula of the loss; its softmax overflows on large scores, so that here
        the largest is subtracted first.

        Examples
        --------
        >>> network = DNN([2, 3, 1], seed=0)
        >>> out, cache = network.forward(np.ones((2, 5)))
        >>> gradients = network.compute_gradients(out, cache, [0, 1, 0, 1, 1])
        >>> {name: g.shape for name, g in gradients.items()}  # doctest: +NORMALIZE_WHITESPACE
        {'Z2': (1, 5), 'W2': (1, 3), 'B2': (1, 1), 'A1': (3, 5),
         'Z1': (3, 5), 'W1': (3, 2), 'B1': (3, 1)}
        """
        self._require_cache(cache)
        Y = self._targets(cache, Y)
        out = like("out", out, cache[f"Z{self.depth}"])
        layout, gradients = self._layout, {}
        dZ = layout.at_output(self._output.residual(out, Y))
        for i in range(self.depth, 0, -1):
            gradients[f"Z{i}"] = dZ
            gradients[f"W{i}"] = layout.for_weights(dZ, cache[f"A{i - 1}"])
            gradients[f"B{i}"] = layout.for_biases(dZ)
            if i > 1 or inputs:
                gradients[f"A{i - 1}"] = layout.for_inputs(dZ, cache[f"W{i}"])
            if i > 1:
                dZ = gradients[f"A{i - 1}"] * self._hidden.slope(cache[f"A{i - 1}"])
        return gradients

    gradients = compute_gradients

    def loss(self, out: Any, Y: Any = None, cache: Mapping[str, Any] | None = None) -> Any:
        """Return the mean loss of an output.

        Parameters
        ----------
        out
            What `forward` returned first.
        Y
            Labels or targets as for `compute_gradients`; without them, those in the cache.
        cache
            What `forward` returned second. With it the loss is computed from the last Z and is
            exact for any; without it from out, where a probability may have been rounded to 0
            or 1, which makes the loss of a wrong answer infinite.

        Returns
        -------
        number
            Written with NumPy and ops, so `chainrule.grad` goes through it.

        Examples
        --------
        >>> network = DNN([1, 1])
        >>> network.parameters["W1"][:] = 800
        >>> out, cache = network.forward(np.ones((1, 1)))
        >>> network.loss(out, [0]), network.loss(out, [0], cache)
        (np.float64(inf), np.float64(800.0))
        """
        if cache is not None:
            self._require_cache(cache)
            Z, Y = cache[f"Z{self.depth}"], self._targets(cache, Y)
            return np.mean(self._output.loss(Z, Y))
        out = self._as_output(out)
        Y = self._targets({f"Z{self.depth}": out}, Y)
        with np.errstate(divide="ignore"):
            return np.mean(self._output.loss_of_output(out, Y))

    def mean_loss(self, parameters: Mapping[str, Any], X: Any, Y: Any) -> Any:
        """Return the mean loss as a function of the parameters, for `chainrule.grad`.

        Examples
        --------
        >>> from chainrule import grad
        >>> network = DNN([2, 3, 1], seed=0)
        >>> X, Y = np.array([[0.5, 1.0], [2.0, 3.0]]), [0, 1]
        >>> by_engine = grad(network.mean_loss)(network.parameters, X, Y)
        >>> by_hand = network.gradients(*network.forward(X, Y))
        >>> max(np.max(np.abs(by_engine[name] - by_hand[name])) for name in by_engine) < 1e-15
        np.True_
        """
        out, cache = self._forward(parameters, X, Y)
        return self.loss(out, Y, cache)

    def predict(self, X: Any) -> Array:
        """Return what the network says about examples.

        Returns
        -------
        array
            For softmax the most probable class of each example, shape (m,); for one sigmoid
            output 0 or 1, shape (m,); for several, 0 or 1 in the shape of the output; for
            linear the output itself.
        """
        answer: Array
        answer, _ = self.forward(X)
        if self.output == "softmax":
            answer = np.argmax(answer, axis=self._layout.units)
        elif self.output == "sigmoid":
            answer = (answer > 0.5).astype(int)
            answer = answer.ravel() if self.sizes[-1] == 1 else answer
        return answer

    # ------------------------------------------------------------------------- inside

    def _initial(self, seed: int | None, dtype: DTypeLike) -> dict[str, Array]:
        rng, parameters = generator(seed), {}
        for i, (inputs, outputs) in enumerate(itertools.pairwise(self.sizes), start=1):
            is_hidden = i < self.depth
            name, gain = self._hidden[2:] if is_hidden else ("glorot_uniform", 1)
            W = gain * initial(name, (outputs, inputs), rng, dtype)
            parameters[f"W{i}"] = W if self.layout == "columns" else np.ascontiguousarray(W.T)
            parameters[f"B{i}"] = np.zeros(self._layout.bias_shape(outputs), dtype)
        return parameters

    def _forward(self, parameters: Mapping[str, Any], X: Any, Y: Any) -> tuple[Any, dict[str, Any]]:
        require_shapes("parameters", parameters, self._shapes)
        A = self._inputs(X, parameters["W1"].dtype)
        cache = {"A0": A}
        for i in range(1, self.depth + 1):
            W, B = parameters[f"W{i}"], parameters[f"B{i}"]
            Z = self._layout.affine(W, A, B)
            A = self._activated(Z, i)
            cache |= {f"W{i}": W, f"B{i}": B, f"Z{i}": Z, f"A{i}": A}
        if Y is not None:
            self._answer(cache["A0"]).of(Y)
            cache["Y"] = Y
        return A, cache

    def _activated(self, Z: Any, layer: int) -> Any:
        if layer < self.depth:
            return self._hidden.activation(Z)
        return self._output.activation(Z)

    def _answer(self, example: Any) -> Answer:
        """Return the form that targets take for an A or Z of any layer."""
        units = self._layout.units
        return Answer(self.output, self.sizes[-1], example.shape[1 - units], units, example.dtype)

    def _targets(self, cache: Mapping[str, Any], Y: Any) -> Any:
        if Y is None:
            Y = cache.get("Y")
        if Y is None:
            raise LabelError(
                "the loss and its gradients need Y, which is neither in the call nor in the cache.",
                advice="Pass it here, or to forward(X, Y), which keeps it in the cache.",
            )
        return self._answer(cache[f"Z{self.depth}"]).of(Y)

    def _inputs(self, X: Any, dtype: Any) -> Any:
        X = examples(X, self.sizes[0], self._layout.units)
        return X if X.dtype == dtype else X.astype(dtype)

    def _as_output(self, out: Any) -> Any:
        out = numbers(out, "out")
        if out.ndim != 2 or out.shape[self._layout.units] != self.sizes[-1]:
            raise ShapeError(
                f"out needs to be what forward returned, {self.sizes[-1]} units with examples as "
                f"{self.layout}, got {list(out.shape)}."
            )
        return out

    def _require_cache(self, cache: Mapping[str, Any]) -> None:
        layers = range(1, self.depth + 1)
        names = ["A0", *(f"{letter}{i}" for i in layers for letter in "WZA")]
        missing = [name for name in names if name not in cache]
        if missing:
            raise StructureError(
                f"the cache has no {', '.join(missing)}.",
                advice="Pass what forward of this network returned: out, cache = forward(X).",
            )
