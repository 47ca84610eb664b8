"""A training by steps: epochs, what is noted of each, and when it ends.

What is random is drawn from one RandomState in the order in which scikit-learn draws it, so that
equal settings and seeds go the same way.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import DivergenceError
from chainrule.interop.sklearn.examples import rounded
from chainrule.interop.sklearn.network import weights_in
from chainrule.interop.sklearn.objectives import Objective
from chainrule.interop.sklearn.solvers import Pace
from chainrule.interop.sklearn.warned import warn
from chainrule.train.data import Batch

if TYPE_CHECKING:
    from chainrule.interop.sklearn.examples import Examples
    from chainrule.interop.sklearn.judging import Judge
    from chainrule.interop.sklearn.telling import Silence
    from chainrule.train import Trainer

__all__ = ["Course", "diverged"]

_SMALLEST = 1e-6
"""The learning rate from which on it is not lowered any more."""
_MUCH = 1 << 26
"""Bytes from which on examples are not copied: their training takes longer than a compilation."""


def diverged(when: str, error: DivergenceError) -> DivergenceError:
    """Return the error of a training that left the finite numbers, with what helps.

    Parameters
    ----------
    when
        Such as "in epoch 3".
    error
        What a step said of it.
    """
    return DivergenceError(
        f"Solver produced non-finite numbers {when}: {error.what}",
        *error.facts,
        advice="The input data may contain large values and need to be scaled (a "
        "StandardScaler in a Pipeline); else lower learning_rate_init, or set clip_norm=1.0.",
    )


class Course:
    """A training by steps.

    Parameters
    ----------
    estimator
        Whose attributes note what happens.
    trainer
        What goes the steps.
    examples
        To learn from.
    judge
        What judges weights on examples kept aside; None without early stopping.
    batch_size
        Examples a step.
    rng
        A RandomState that the orders are drawn from.
    """

    def __init__(
        self,
        estimator: Any,
        trainer: Trainer,
        examples: Examples,
        judge: Judge | None,
        batch_size: int,
        rng: Any,
    ) -> None:
        self.estimator, self.trainer, self.examples = estimator, trainer, examples
        self.judge, self.batch_size, self.rng = judge, batch_size, rng
        self._best: dict[str, Any] | None = None
        self._order = np.arange(examples.size)
        # A loss of the user's may not know of weights, so there is no room beside its examples.
        self._has_room = isinstance(trainer.recipe.loss, Objective)

    def run(self, telling: Silence) -> None:
        """Go epochs until there is no progress, or they are enough; keep the best of them.

        Parameters
        ----------
        telling
            What is told of each, and may ask for the end.
        """
        estimator = self.estimator
        try:
            for _ in range(estimator.max_iter):
                telling.begin()
                self._note(self._epoch())
                is_over = self._is_over()
                if telling.end(lambda: weights_in(self.trainer.parameters)) or is_over:
                    break
            else:
                warn(
                    f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached "
                    "and the optimization hasn't converged yet.",
                    ConvergenceWarning,
                )
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
        except DivergenceError as error:
            self._diverged(error)
        for name, x in (self._best or {}).items():
            self.trainer.parameters[name][...] = x

    def _diverged(self, error: DivergenceError) -> None:
        """Go back to the best weights if there are any, else say what to do."""
        epoch = self.estimator.n_iter_ + 1
        if self._best is None:
            raise diverged(f"in epoch {epoch}", error) from error
        warn(
            f"Training stopped in epoch {epoch}, where the loss is not finite any more; the "
            "weights are the best that there were.",
            ConvergenceWarning,
        )

    def once(self) -> None:
        """Go one epoch, on examples that are not seen again."""
        try:
            self._note(self._steps(self._ordered()))
        except DivergenceError as error:
            raise diverged("in partial_fit", error) from error
        self._is_over()

    # ------------------------------------------------------------------ steps

    def _ordered(self) -> Any:
        """Return the places in the order of the next epoch."""
        if self.estimator.shuffle:
            drawn = np.arange(self.examples.size)
            self.rng.shuffle(drawn)
            self._order = self._order[drawn]
        return self._order

    def _epoch(self) -> float:
        order, data, size = self._ordered(), self._laid_out, self.batch_size
        if data.is_sparse:
            return self._steps(order)
        if size == self.examples.size:  # one step, to which their order is nothing
            return self.trainer.step(data.inputs, data.y, data.weights)
        if data.size > self.examples.size:  # the last batch is filled up with what does not count
            order = np.append(order, np.full(-len(order) % size, self.examples.size))
        return self.trainer.epoch(data.inputs, data.y, size, order, data.weights)

    @functools.cached_property
    def _laid_out(self) -> Examples:
        """The examples as steps read them, with room behind where that is cheap."""
        data = self.examples.laid_out()
        if data.is_sparse or not self._has_room or data.bytes > _MUCH:
            return data
        if self.batch_size == data.size:
            return data.with_room(self._room_for(data.size))
        return data.with_room(rounded(data.size + 1))

    def _room_for(self, size: int) -> int:
        """Return with how many rows a step on so many examples runs."""
        wanted = self.estimator.batch_size
        return min(rounded(size), max(size, 200 if isinstance(wanted, str) else int(wanted)))

    def _steps(self, order: Any) -> float:
        """Go through examples batch by batch, laid out when their turn comes."""
        recipe, total, weight = self.trainer.recipe, 0.0, 0.0
        for start in range(0, len(order), self.batch_size):
            batch = self.examples.at(order[start : start + self.batch_size]).dense()
            if self._has_room:
                batch = batch.with_room(self._room_for(batch.size))
            share = float(recipe.share(Batch(batch.inputs, batch.y, batch.weights)))
            total += share * self.trainer.step(batch.inputs, batch.y, batch.weights)
            weight += share
        return recipe.mean(total, weight)

    # ------------------------------------------------------------------ what is noted

    def _note(self, loss: float) -> None:
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.t_ += self.examples.size
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        self._say(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        if self.judge is not None:
            self._note_score(*self.judge(self.trainer.parameters))
            return
        self._count(is_better=loss <= estimator.best_loss_ - estimator.tol)
        estimator.best_loss_ = min(loss, estimator.best_loss_)

    def _note_score(self, score: float, loss: float) -> None:
        estimator = self.estimator
        estimator.validation_scores_.append(score)
        estimator.validation_loss_curve_.append(loss)
        self._say(f"Validation score: {score:f}")
        self._count(is_better=score >= estimator.best_validation_score_ + estimator.tol)
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            self._best = {name: np.array(x) for name, x in self.trainer.parameters.items()}

    def _count(self, *, is_better: bool) -> None:
        noted = vars(self.estimator)
        noted["_no_improvement_count"] = 0 if is_better else noted["_no_improvement_count"] + 1

    def _say(self, text: str) -> None:
        if self.estimator.verbose:
            print(text)  # noqa: T201 - verbose=True asks for it

    # ------------------------------------------------------------------ the end

    def _is_over(self) -> bool:
        """Return whether to stop; where the rate can be lowered, that comes first."""
        estimator = self.estimator
        pace = self.trainer.recipe.optimiser.lr
        follows = estimator.learning_rate if isinstance(pace, Pace) else "constant"
        if isinstance(pace, Pace) and follows == "invscaling":
            pace.rate = estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
        noted = vars(estimator)
        if noted["_no_improvement_count"] <= estimator.n_iter_no_change:
            return False
        kind = "Training loss" if self.judge is None else "Validation score"
        said = (
            f"{kind} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change} consecutive epochs."
        )
        if isinstance(pace, Pace) and follows == "adaptive" and pace.rate > _SMALLEST:
            pace.rate /= 5
            noted["_no_improvement_count"] = 0
            self._say(f"{said} Setting learning rate to {pace.rate:f}")
            return False
        is_small = follows == "adaptive"  # else it would have been lowered
        self._say(f"{said} {'Learning rate too small. ' * is_small}Stopping.")
        return True
