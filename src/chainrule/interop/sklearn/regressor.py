"""The regressor."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from chainrule.errors import DataError, SettingError
from chainrule.interop.sklearn.base import MultilayerPerceptron, goes_steps
from chainrule.interop.sklearn.judging import r_squared
from chainrule.interop.sklearn.objectives import REGRESSING

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """A dense network that predicts numbers; scikit-learn's `MLPRegressor` on compiled steps.

    Parameters, attributes and results are those of ``sklearn.neural_network.MLPRegressor``: with
    the same ``random_state`` it learns the same weights, to rounding. Parameters from ``dropout``
    on are its own.

    Parameters
    ----------
    loss : str or callable, default="squared_error"
        What is made small: "squared_error" (half of it), "poisson" (half the deviance, of counts;
        predictions are exponentials), and against outliers "huber" (squared up to errors of 1,
        then absolute), "absolute_error" and "log_cosh"; or a function of (outputs, targets), both
        of shape (N, outputs), that returns the mean, such as ``nn.HuberLoss(delta=2.0)``. If
        examples have weights, it gets ``weights=``.
    hidden_layer_sizes : int or array-like of int, default=(100,)
        The numbers of units of the hidden layers; ``()`` for none.
    activation : str, callable or a list of them, default="relu"
        Of the hidden layers: a name of `chainrule.nn.ACTIVATIONS` (scikit-learn's "identity",
        "logistic", "tanh" and "relu" among them) or a function of arrays; a list has one for
        each layer.
    solver : {"adam", "adamw", "rmsprop", "sgd", "lbfgs"} or Optimiser, default="adam"
        The way downhill. "adam", "sgd" and "lbfgs" are scikit-learn's; "adamw" takes
        ``weight_decay`` too, "rmsprop" is `chainrule.train.RMSprop`; any optimiser of
        `chainrule.train` may be given, with a learning rate of its own.
    alpha : float, default=0.0001
        The penalty ½ α Σ w² over all weights but intercepts, divided by the number of examples
        of the batch (by the sum of their weights), whatever the solver.
    batch_size : int or "auto", default="auto"
        Examples a step; "auto" is 200, or all if there are fewer. "lbfgs" takes all.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Of "sgd": constant; ``learning_rate_init / (t_ + 1)**power_t`` after each epoch; or a
        fifth each time that there is no progress.
    learning_rate_init : float, default=0.001
        The learning rate to begin with. Not of "lbfgs".
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        The largest number of epochs; of steps of "lbfgs".
    shuffle : bool, default=True
        Whether each epoch has an order of its own.
    random_state : int, RandomState instance or None, default=None
        What first weights, examples kept aside, orders and dropout are drawn from: the same as
        scikit-learn draws from the same one.
    tol : float, default=1e-4
        By how much the loss has to fall, or the validation score to rise, to be progress; of
        "lbfgs", the gradient at which it ends.
    verbose : bool, default=False
        Whether to print what happens.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last one.
    momentum : float, default=0.9
        Of "sgd": how much of the last step is gone again.
    nesterovs_momentum : bool, default=True
        Of "sgd": whether to look ahead along it.
    early_stopping : bool, default=False
        Whether to end by a score on examples kept aside, with the weights of the best one.
    validation_fraction : float, default=0.1
        How many examples to keep aside.
    beta_1, beta_2 : float, default=0.9, 0.999
        Of "adam" and "adamw": how much of the running means is kept.
    epsilon : float, default=1e-8
        Of "adam", "adamw" and "rmsprop": against division by 0. Of "adam" it is added before the
        correction, as in scikit-learn.
    n_iter_no_change : int, default=10
        After how many epochs without progress to end.
    max_fun : int, default=15000
        Of "lbfgs": the largest number of evaluations.
    dropout : float or a list of them, default=0.0
        The probability of dropping an activation while training; a list has one for each hidden
        layer. What is dropped follows from the example itself, so one that is there twice is the
        same as one of weight 2.
    scoring : str, callable or None, default=None
        What early stopping goes by: a name of scikit-learn's metrics, a function of (model, X,
        y), or "loss"; None for R². Weights are passed on if it takes ``sample_weight``.
    weight_decay : float, default=0.01
        Of "adamw": how much of each parameter a step takes away, times the learning rate.
    clip_norm, clip_value : float or None, default=None
        The largest norm of a step's gradient, the largest size of an entry.
    initialiser : str, callable or None, default=None
        The first weights: a name of `chainrule.nn.INITIALISERS`, or a function of (RandomState,
        shape (out, in)); None for scikit-learn's.
    dtype : {"float64", "float32"} or None, default=None
        The type of the weights, in which everything is computed; None for that of X. Single
        precision takes about half the time.
    threads : int or None, default=None
        How many threads share a step; as many as the work is worth, if it is not said.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights of shape (in, out) and (out,), one of each for a layer. Predictions are made of
        them.
    loss_, best_loss_ : float
        The loss of the last epoch, penalty included, and the lowest of all; the latter is None
        with early stopping.
    loss_curve_ : list of float
        The loss of each epoch.
    validation_scores_, validation_loss_curve_ : list of float or None
        With early stopping, the score and the loss of each epoch on the examples kept aside.
    best_validation_score_ : float or None
        The best of the scores.
    n_iter_, t_ : int
        Epochs of the last fit, and examples seen in all.
    n_layers_, n_outputs_, n_features_in_ : int
        The numbers of layers (input and output among them), outputs and features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the features, if X had names.
    out_activation_ : str
        What makes predictions of the last layer.

    Notes
    -----
    The loss of several outputs is their mean, in the number that is reported and in its gradient
    alike; scikit-learn reports the mean of squared errors and follows the gradient of their sum.
    "poisson" is their sum in both.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import MLPRegressor
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    >>> y = X[:, 0] * X[:, 1]
    >>> model = MLPRegressor(solver="lbfgs", activation="tanh", random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.99
    True
    """

    _losses: ClassVar[tuple[str, ...]] = tuple(REGRESSING)
    _is_numeric: ClassVar[bool] = True

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        scoring: Any = None,
        weight_decay: float = 0.01,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        initialiser: Any = None,
        dtype: Any = None,
        threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.scoring = scoring
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.initialiser = initialiser
        self.dtype = dtype
        self.threads = threads

    # ------------------------------------------------------------------ learning

    @available_if(goes_steps)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go through new examples once.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Examples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            What to predict of them.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each example counts.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, y, sample_weight, once=True)

    def _learn_targets(self, y: Any, classes: Any) -> None:
        del classes
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"

    def _targets(self, y: Any, dtype: Any) -> Any:
        if (self.loss == "poisson") != (self.out_activation_ == "exp"):
            raise SettingError(
                "the loss 'poisson' makes exponentials of the last layer, and no other loss does: "
                f"weights that were learned without {self.loss!r} mean something else.",
                advice="Set warm_start=False, or clone(model), to begin anew.",
            )
        if sparse.issparse(y):
            raise DataError("y is sparse.", advice="Pass y.toarray().")
        try:
            target = np.ascontiguousarray(y[:, None] if y.ndim == 1 else y, dtype)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"y needs numbers: {error}.", advice="To predict words take MLPClassifier."
            ) from error
        if target.shape[1] != self.n_outputs_:
            raise DataError(
                f"y needs {self.n_outputs_} columns as before, got {target.shape[1]}.",
                advice="Pass them, or begin anew: set warm_start=False, or clone(model).",
            )
        if self.loss == "poisson" and np.any(target < 0):
            row = int(np.argwhere(target < 0)[0, 0])
            raise DataError(
                f"Some value(s) of y are out of the valid range of the loss 'poisson': counts "
                f"are at least 0, got {target[row].min()} in row {row}."
            )
        return target

    def _score(self, predicted: Any, target: Any, weights: Any) -> float:
        return r_squared(predicted, target, weights)

    # ------------------------------------------------------------------ predicting

    def predict(self, X: Any) -> Any:
        """Return what is predicted of each example.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Examples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Numbers.
        """
        y = self._predictions(X)
        return y[:, 0] if self.n_outputs_ == 1 else y

    def input_gradients(
        self, X: Any, y: Any = None, *, output: int | None = None, of: str = "prediction"
    ) -> Any:
        """Return how predictions, or losses, change with the inputs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Examples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Their targets. If they are given, it is the loss of each example, by itself, whose
            gradient is returned.
        output : int, default=None
            The output to look at, all if it is not said.
        of : {"prediction", "score"}, default="prediction"
            The prediction, or what the last layer computes: of the loss "poisson" its logarithm.

        Returns
        -------
        gradients : ndarray of shape (n_samples, n_features)
            Of several outputs (n_samples, n_outputs, n_features).

        Examples
        --------
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> model = MLPRegressor(solver="lbfgs", random_state=0).fit(X, X @ [1.0, 2.0, 3.0])
        >>> model.input_gradients(X).mean(axis=0).round(1)
        array([1., 2., 3.])
        """
        found = self._input_gradients(X, y, of)
        if y is not None or (output is None and self.n_outputs_ > 1):
            return found
        k: Any = 0 if output is None else output
        is_whole = isinstance(k, int | np.integer) and not isinstance(k, bool)
        if not (is_whole and -self.n_outputs_ <= k < self.n_outputs_):
            raise SettingError(
                f"output needs to be one of {self.n_outputs_} outputs, got {k!r}.",
                advice="The first is 0, the last -1.",
            )
        return found[:, k]
