"""What classifier and regressor share: parameters in, a trained network as plain arrays out.

``coefs_`` and ``intercepts_`` are the network: they are what predictions are made of, what a
pickle holds, and what a warm start goes on from. Compiled steps live in a `chainrule.train.Trainer`
beside them, which can be made anew at any time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import DataError, SettingError
from chainrule.interop.sklearn.carrying import adopted, handed_over
from chainrule.interop.sklearn.course import Course
from chainrule.interop.sklearn.examples import Examples, batch_size_of, identities, split
from chainrule.interop.sklearn.full_batch import minimise_all
from chainrule.interop.sklearn.judging import Judge
from chainrule.interop.sklearn.network import LINKS, Network, outputs, weights_in
from chainrule.interop.sklearn.objectives import objective_of
from chainrule.interop.sklearn.sensitivity import gradients_of_losses, gradients_of_outputs
from chainrule.interop.sklearn.settings import (
    Layers,
    generator_of,
    layers_of,
    require_settings,
)
from chainrule.interop.sklearn.solvers import Pace
from chainrule.interop.sklearn.starting import first_weights
from chainrule.interop.sklearn.tables import features, finite, weights_of
from chainrule.interop.sklearn.telling import telling_of
from chainrule.interop.sklearn.trainers import memory_of, trainer_of
from chainrule.interop.sklearn.undoing import undone_if_it_fails
from chainrule.nn import predict
from chainrule.nn.given import chosen

if TYPE_CHECKING:
    from chainrule.train import Trainer

__all__ = ["MultilayerPerceptron", "goes_steps"]

_MANY = 1 << 14
"""Rows from which on a prediction is worth machine code."""


def goes_steps(estimator: Any) -> bool:
    """Return whether an estimator learns in steps, of which there can be one more."""
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    return True


def _that_count(X: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Return examples without those of weight 0."""
    if weights is None or np.all(weights):
        return X, y, weights
    kept = np.flatnonzero(weights)
    return X[kept], y[kept], weights[kept]


class MultilayerPerceptron(CallbackSupportMixin, BaseEstimator, ABC):
    """The base of `MLPClassifier` and `MLPRegressor`."""

    _losses: ClassVar[tuple[str, ...]]
    _is_numeric: ClassVar[bool]
    _seed: int

    # ------------------------------------------------------------------ what a subclass says

    @abstractmethod
    def _learn_targets(self, y: Any, classes: Any) -> None:
        """Note what there is to predict, before the first weights are drawn."""

    @abstractmethod
    def _targets(self, y: Any, dtype: Any) -> Any:
        """Return y as the loss takes it."""

    def _require_same_targets(self, y: Any) -> None:
        """Refuse a warm start on other classes than before."""
        del y

    @abstractmethod
    def _score(self, predicted: Any, target: Any, weights: Any) -> float:
        """Return what early stopping looks at, if no scoring is named."""

    def _class_weights(self, y: Any, weights: Any, *, once: bool) -> Any:
        """Return how much each example counts, its class considered."""
        del y, once
        return weights

    def _strata(self, y: Any) -> Any:
        """Return classes to keep in proportion where examples are kept aside, or None."""
        del y

    # ------------------------------------------------------------------ learning

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from examples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Examples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            What to predict of them.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each example counts; 0 leaves it out, 2 counts it twice.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        CellError
            If a number is missing or infinite; it names rows and columns.
        ColumnError
            In a warm start, if there are other features than before.
        DataError
            If X and y do not fit each other.
        DivergenceError
            If the loss leaves the finite numbers.
        LabelError
            If there are fewer than two classes.
        SettingError
            If a parameter cannot be what it is.
        """
        return self._fit(X, y, sample_weight)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, once: bool = False, classes: Any = None
    ) -> Self:
        layers = require_settings(self, self._losses)
        self._require_agreement(layers, once=once)
        with undone_if_it_fails(self):
            return self._learn(X, y, sample_weight, layers, once=once, classes=classes)

    def _learn(
        self, X: Any, y: Any, sample_weight: Any, layers: Layers, *, once: bool, classes: Any
    ) -> Self:
        is_first = not hasattr(self, "coefs_") or not (self.warm_start or once)
        X, y, weights = self._looked_at(X, y, sample_weight, fits=is_first)
        if is_first:
            self._learn_targets(y, classes)
        elif not once:
            self._require_same_targets(y)
        weights = self._class_weights(y, weights, once=once)
        if weights is not None:
            weights = np.ascontiguousarray(weights, X.dtype)
        X, y, weights = _that_count(X, y, weights)  # a class of weight 0 keeps its place
        target = self._targets(y, X.dtype)
        rng = generator_of(self.random_state)
        if is_first:
            self._start(X, layers, rng)
        drops = any(layers.dropout)
        if drops and not self._seed:  # dropout may begin later than the weights
            self._seed = int(rng.randint(2**31 - 1))
        examples = Examples(X, target, weights, identities(X) if drops else None)
        if self.solver == "lbfgs":
            minimise_all(self, self._network(layers), examples, y)
        elif once:
            self._go_on(examples, layers, rng)
        else:
            self._train(examples, layers, rng, y)
        return self

    def _looked_at(self, X: Any, y: Any, weights: Any, *, fits: bool) -> tuple[Any, Any, Any]:
        """Return X, y and weights as arrays, without the examples that do not count."""
        if y is None:
            raise DataError(
                f"{type(self).__name__} requires y to be passed, but the target y is None.",
                advice="Pass what to predict of each row of X.",
            )
        types = [np.float64, np.float32] if self.dtype is None else [np.dtype(self.dtype)]
        X, y = features(self, X, y, fits=fits, dtype=types, numeric=self._is_numeric)
        return _that_count(X, y, weights_of(weights, X))

    def _require_agreement(self, layers: Layers, *, once: bool) -> None:
        """Refuse parameters that have no meaning for the weights that there are, or together."""
        if once and self.early_stopping:
            raise SettingError(
                "partial_fit does not support early_stopping=True.",
                advice="Call score on examples of your own between the calls.",
            )
        if hasattr(self, "coefs_") and (self.warm_start or once):
            sizes = [len(b) for b in self.intercepts_[:-1]]
            if sizes != layers.sizes:
                raise SettingError(
                    f"hidden_layer_sizes is {layers.sizes}, and the weights to go on from have "
                    f"{sizes}.",
                    advice="Set warm_start=False, or clone(model), to begin anew.",
                )

    def _start(self, X: Any, layers: Layers, rng: Any) -> None:
        """Draw the first weights and clear what was noted."""
        sizes = [X.shape[1], *layers.sizes, self.n_outputs_]
        names = [*layers.activations, *(layers.activations[-1:] or [self.activation])]
        self.n_layers_ = len(sizes)
        self.coefs_, self.intercepts_ = first_weights(sizes, names, self.initialiser, rng, X.dtype)
        self._clear()

    def _clear(self) -> None:
        """Clear what is noted while weights are learned."""
        self.n_iter_ = self.t_ = self._no_improvement_count = self._seed = 0
        self._trainer: Trainer | None = None
        self._memory: dict[str, Any] | None = None
        self._rate = float(self.learning_rate_init)
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = None
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_validation_score_: float | None = None

    # ------------------------------------------------------------------ ways to learn

    def _train(self, examples: Examples, layers: Layers, rng: Any, y: Any) -> None:
        """Go through the examples until there is no progress."""
        self._memory, self._rate, self.n_iter_ = None, float(self.learning_rate_init), 0
        judge = None
        if self.early_stopping:
            kept, aside = split(examples, self.validation_fraction, rng, self._strata(y))
            judge = self._judge(examples.at(aside), layers, y[aside])
            examples, y = examples.at(kept), y[kept]
        elif self.best_loss_ is None:
            self.best_loss_ = np.inf
        trainer = self._new_trainer(layers)
        size = batch_size_of(self.batch_size, examples.size)
        telling = telling_of(self, "epoch", examples.X, y, examples.weights)
        Course(self, trainer, examples, judge, size, rng).run(telling)
        self._take(trainer)
        self._remember(trainer)
        self._trainer = None
        telling.close()

    def _judge(self, aside: Examples, layers: Layers, labels: Any) -> Judge:
        """Return what judges weights on examples kept aside, and begin to note what it says."""
        if self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []
            self.best_validation_score_, self.best_loss_ = -np.inf, None
        objective = objective_of(self.loss, self.out_activation_)
        return Judge(self, aside, labels, layers.functions, objective, self._score)

    def _go_on(self, examples: Examples, layers: Layers, rng: Any) -> None:
        """Go through new examples once, from where the last ones led."""
        if self._trainer is None:
            self._trainer = self._new_trainer(layers)
        trainer = self._trainer
        for name, x in Network.named(self.coefs_, self.intercepts_).items():
            trainer.parameters[name][...] = x
        trainer.progress.learned.buffers["alpha"][...] = self.alpha
        self.n_iter_ = 0
        self.best_loss_ = np.inf if self.best_loss_ is None else self.best_loss_
        size = batch_size_of(self.batch_size, examples.size)
        Course(self, trainer, examples, None, size, rng).once()
        self._take(trainer)

    def _network(self, layers: Layers) -> Network:
        return Network(self.coefs_, self.intercepts_, layers.functions, layers.dropout, self.alpha)

    def _new_trainer(self, layers: Layers) -> Trainer:
        return trainer_of(self, self._network(layers), layers, self._rate, self._memory)

    def _take(self, trainer: Trainer) -> None:
        """Take the weights of a trainer."""
        for name, arrays in weights_in(trainer.parameters).items():
            setattr(self, name, arrays)

    def _remember(self, trainer: Trainer) -> None:
        """Keep the optimiser's memory, to go on by `partial_fit`."""
        self._memory = memory_of(trainer)
        pace = trainer.recipe.optimiser.lr
        self._rate = pace.rate if isinstance(pace, Pace) else float(self.learning_rate_init)

    def set_params(self, **params: Any) -> Self:
        """Set parameters; `partial_fit` goes on with the new ones.

        Parameters
        ----------
        **params : object
            By name.

        Returns
        -------
        self : object
            The estimator.
        """
        trainer = getattr(self, "_trainer", None)
        if trainer is not None:
            self._remember(trainer)
            self._trainer = None
        super().set_params(**params)
        return self

    def __getstate__(self) -> dict[str, Any]:
        trainer = getattr(self, "_trainer", None)
        if trainer is not None:  # machine code belongs to its process
            self._remember(trainer)
        state: dict[str, Any] = dict(super().__getstate__())
        return state if "_trainer" not in state else {**state, "_trainer": None}

    # ------------------------------------------------------------------ predicting

    def _checked(self, X: Any) -> Any:
        """Return new examples as an array of the features that there were."""
        check_is_fitted(self)
        types = [np.float64, np.float32] if self.dtype is None else [self.coefs_[0].dtype]
        return features(self, X, fits=False, dtype=types)

    def _predictions(self, X: Any) -> Any:
        """Return predictions of shape (N, outputs)."""
        X = self._checked(X)
        layers = layers_of(self)
        with np.errstate(all="ignore"):
            if X.shape[0] >= _MANY and isinstance(X, np.ndarray):
                output = predict(self._network(layers), X, threads=self.threads)
            else:
                output = outputs(self.coefs_, self.intercepts_, layers.functions, X)
            return LINKS[self.out_activation_](output)

    def _input_gradients(self, X: Any, y: Any, of: str) -> Any:
        """Return how losses (N, features), or outputs (N, outputs, features), change with X."""
        chosen("of", of, ("prediction", "score"))
        X = self._checked(X)
        if y is None:
            link = self.out_activation_ if of == "prediction" else "identity"
            return gradients_of_outputs(self, X, link)
        finite(y, "y")
        y = y if sparse.issparse(y) else np.atleast_1d(np.asarray(y))
        target = self._targets(y, X.dtype)
        if len(target) != X.shape[0]:
            raise DataError(
                f"y needs one target for each of {X.shape[0]} rows of X, got {len(target)}."
            )
        return gradients_of_losses(self, objective_of(self.loss, self.out_activation_), X, target)

    # ------------------------------------------------------------------ scikit-learn's own

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator of the same name, with these weights.

        Returns
        -------
        estimator : object
            Fitted. What scikit-learn does not know is left out: dropout, clipping, class weights
            and the initialiser, which predictions do not depend on; a solver that it does not
            have becomes "adam".

        Raises
        ------
        ExportError
            If it has no words for the activations or the loss.
        """
        return handed_over(self)

    @classmethod
    def from_sklearn(cls, fitted: Any) -> Self:
        """Return an estimator with the parameters and weights of scikit-learn's.

        Parameters
        ----------
        fitted : object
            scikit-learn's estimator of the same name, fitted.

        Returns
        -------
        estimator : object
            Fitted.

        Raises
        ------
        InputTypeError
            If it is another estimator.
        """
        found: Self = adopted(cls, fitted)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
