"""The classifier."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from chainrule.errors import LabelError
from chainrule.interop.sklearn.base import MultilayerPerceptron, goes_steps
from chainrule.interop.sklearn.judging import accuracy
from chainrule.interop.sklearn.labels import coding_of, weights_by_class
from chainrule.interop.sklearn.objectives import CLASSIFYING

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """A dense network that classifies; scikit-learn's `MLPClassifier` on compiled steps.

    Parameters, attributes and results are those of ``sklearn.neural_network.MLPClassifier``: with
    the same ``random_state`` it learns the same weights, to rounding. Parameters from ``loss`` on
    are its own.

    Parameters
    ----------
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
    loss : "log_loss" or callable, default="log_loss"
        What is made small: the negative logarithm of the probability of the right class, or a
        function of (scores, targets). It gets what the last layer computes, before probabilities
        are made of it, and targets: class numbers (N,) of three classes or more, as
        ``nn.CrossEntropyLoss(label_smoothing=0.1)`` takes them; else zeros and ones (N, outputs),
        as ``nn.BCEWithLogitsLoss()`` does. It returns the mean; if examples have weights, it gets
        ``weights=``.
    dropout : float or a list of them, default=0.0
        The probability of dropping an activation while training; a list has one for each hidden
        layer. What is dropped follows from the example itself, so one that is there twice is the
        same as one of weight 2.
    class_weight : dict, "balanced" or None, default=None
        How much the examples of each class count; "balanced" lets all classes count alike. A class
        of weight 0 is never learned, and keeps its column of probabilities.
    scoring : str, callable or None, default=None
        What early stopping goes by: a name of scikit-learn's metrics, a function of (model, X,
        y), or "loss"; None for accuracy. Weights are passed on if it takes ``sample_weight``.
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
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
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
    Two classes have one output, the probability of the second by the sigmoid; more have one each,
    by the softmax; labels that go together (a y of zeros and ones) one each, by the sigmoid. The
    loss is the mean over examples of -log p, summed over labels that go together. A y with one
    class is an error.

    A step (forward, backward, update) is recorded once for each shape and runs as machine code;
    a search over parameters that are numbers of the step, as ``alpha`` and
    ``learning_rate_init`` are, runs the same code.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from chainrule import MLPClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> model = MLPClassifier((16,), "tanh", dropout=0.1, learning_rate_init=0.05, random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.95
    True
    """

    _losses: ClassVar[tuple[str, ...]] = tuple(CLASSIFYING)
    _is_numeric: ClassVar[bool] = False

    def __init__(
        self,
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
        loss: Any = "log_loss",
        dropout: Any = 0.0,
        class_weight: Any = None,
        scoring: Any = None,
        weight_decay: float = 0.01,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        initialiser: Any = None,
        dtype: Any = None,
        threads: int | None = None,
    ) -> None:
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
        self.loss = loss
        self.dropout = dropout
        self.class_weight = class_weight
        self.scoring = scoring
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.initialiser = initialiser
        self.dtype = dtype
        self.threads = threads

    # ------------------------------------------------------------------ learning

    @available_if(goes_steps)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Go through new examples once.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Examples.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their classes.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each example counts.
        classes : array-like of shape (n_classes,), default=None
            All classes that any call will bring; the first call needs them.

        Returns
        -------
        self : object
            The estimator.
        """
        is_first = not hasattr(self, "coefs_")
        if is_first and classes is None:
            raise LabelError(
                "classes must be passed on the first call to partial_fit.",
                advice="Pass classes=np.unique(all_labels): a part of y need not have them all.",
            )
        if not (is_first or classes is None or self._coding.names(classes)):
            raise LabelError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}",
                advice="Leave classes out after the first call, or begin anew with clone(model).",
            )
        return self._fit(X, y, sample_weight, once=True, classes=classes if is_first else None)

    def _learn_targets(self, y: Any, classes: Any) -> None:
        self._coding = coding = coding_of(y, classes)
        self.classes_ = coding.classes
        self.n_outputs_, self.out_activation_ = coding.outputs, coding.link

    def _targets(self, y: Any, dtype: Any) -> Any:
        return self._coding.encode(y, dtype)

    def _class_weights(self, y: Any, weights: Any, *, once: bool) -> Any:
        if self.class_weight is None:
            return weights
        of_classes = weights_by_class(self.class_weight, y, self._coding, is_part=once)
        return of_classes if weights is None else of_classes * weights

    def _strata(self, y: Any) -> Any:
        return y if self.n_outputs_ == 1 else None

    def _require_same_targets(self, y: Any) -> None:
        known, found = self.classes_, coding_of(y).classes
        if not np.array_equal(known, found):
            raise LabelError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {known}, `y` has {found}",
                advice="Set warm_start=False, or clone(model), to begin anew.",
            )

    def _score(self, predicted: Any, target: Any, weights: Any) -> float:
        return accuracy(predicted, target, weights)

    # ------------------------------------------------------------------ predicting

    def predict(self, X: Any) -> Any:
        """Return the class of each example.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Examples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Their most probable classes; of labels that go together those with a probability
            above one half.
        """
        probabilities = self._predictions(X)
        return self._coding.decode(probabilities)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Examples.

        Returns
        -------
        y : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        probabilities = self._predictions(X)
        if self.n_outputs_ == 1:
            return np.concatenate([1 - probabilities, probabilities], axis=1)
        return probabilities

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of the probability of each class; see `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def input_gradients(
        self, X: Any, y: Any = None, *, label: Any = None, of: str = "prediction"
    ) -> Any:
        """Return how the probability of a class, or the loss, changes with the inputs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Examples.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            The classes that they have. If they are given, it is the loss of each example, by
            itself, whose gradient is returned.
        label : object, default=None
            The class to look at; the one predicted of each example if it is not said.
        of : {"prediction", "score"}, default="prediction"
            The probability, or what the last layer computes before it is one.

        Returns
        -------
        gradients : ndarray of shape (n_samples, n_features)
            Of labels that go together, if none is said, (n_samples, n_labels, n_features).

        Raises
        ------
        LabelError
            If the label is none of the classes.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(solver="lbfgs", tol=0.01, random_state=0).fit(X, y)
        >>> model.input_gradients(X, label=2).shape
        (150, 4)
        """
        found = self._input_gradients(X, y, of)
        if y is not None:
            return found
        kind, classes = self._coding.kind, self._coding.classes
        if label is not None:
            if np.ndim(label) or label not in classes.tolist():
                raise LabelError(
                    f"label needs to be one of the classes {classes.tolist()}, got {label!r}.",
                    advice="Leave it out to look at the class that is predicted of each example.",
                )
            places: Any = np.full(len(found), np.searchsorted(classes, label))
        elif kind == "multilabel":
            return found
        else:
            places = np.searchsorted(classes, self.predict(X))
        if kind == "binary":  # one output, that of the second class
            return np.where(places == 1, 1.0, -1.0).astype(found.dtype)[:, None] * found[:, 0]
        return found[np.arange(len(found)), places]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
