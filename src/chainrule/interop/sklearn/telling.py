"""What scikit-learn's callbacks are told: that an epoch began, that it ended, and the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Silence", "Telling", "telling_of"]


class Silence:
    """Nobody listens."""

    def begin(self) -> None:
        """Do nothing."""

    def end(self, weights: Callable[[], dict[str, Any]]) -> bool:
        """Return that nobody wants to stop."""
        del weights
        return False

    def close(self) -> None:
        """Do nothing."""


class Telling(Silence):
    """Callbacks listen, in scikit-learn's protocol: a task of the fit, and one an epoch in it.

    Parameters
    ----------
    estimator
        That has callbacks.
    word
        What the tasks are called.
    X, y, weights
        What it learns from.
    """

    def __init__(self, estimator: Any, word: str, X: Any, y: Any, weights: Any) -> None:
        metadata = None if weights is None else {"sample_weight": weights}
        self._told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._word = word
        self._whole = estimator._init_callback_context(  # noqa: SLF001 - scikit-learn's protocol
            max_subtasks=estimator.max_iter
        )
        self._whole.call_on_fit_task_begin(**self._told)
        self._part: Any = None

    def begin(self) -> None:
        """Say that an epoch begins."""
        self._part = self._whole.subcontext(task_name=self._word)
        self._part.call_on_fit_task_begin(**self._told)

    def end(self, weights: Callable[[], dict[str, Any]]) -> bool:
        """Say that an epoch is over, and return whether somebody wants to stop.

        Parameters
        ----------
        weights
            Returns the attributes that predictions are made of, should somebody ask for them.
        """
        return bool(
            self._part.call_on_fit_task_end(**self._told, reconstruction_attributes=weights)
        )

    def close(self) -> None:
        """Say that the fit is over."""
        self._whole.call_on_fit_task_end(**self._told, reconstruction_attributes=dict)


def telling_of(estimator: Any, word: str, X: Any, y: Any, weights: Any) -> Silence:
    """Return what tells an estimator's callbacks, if it has any; see `Telling`."""
    listens = hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx")
    return Telling(estimator, word, X, y, weights) if listens else Silence()
