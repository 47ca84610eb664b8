"""What goes the steps of an estimator, and what of it is left where machine code cannot go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.interop.sklearn.objectives import objective_of
from chainrule.interop.sklearn.solvers import Pace, optimiser_of, recordings_of
from chainrule.train import OptimiserState, Trainer

if TYPE_CHECKING:
    from chainrule.interop.sklearn.network import Network
    from chainrule.interop.sklearn.settings import Layers

__all__ = ["memory_of", "trainer_of"]


def trainer_of(
    estimator: Any, network: Network, layers: Layers, pace: float, memory: dict[str, Any] | None
) -> Trainer:
    """Return what goes steps from the weights and the memory that there are.

    Parameters
    ----------
    estimator
        With its parameters as attributes, and its targets looked at.
    network
        With its weights.
    layers
        Its hidden layers.
    pace
        The learning rate to go on with, where it changes between epochs.
    memory
        What `memory_of` kept; left out if it is another optimiser's.
    """
    rate: Any = float(estimator.learning_rate_init)
    if estimator.solver == "sgd" and estimator.learning_rate != "constant":
        rate = Pace(pace)
    trainer = Trainer(
        network,
        loss=objective_of(estimator.loss, estimator.out_activation_),
        optimiser=optimiser_of(estimator, rate),
        clip_norm=estimator.clip_norm,
        clip_value=estimator.clip_value,
        seed=estimator._seed,  # noqa: SLF001 - of the same package
        threads=estimator.threads,
        recordings=recordings_of(estimator, layers),
    )
    learned = trainer.progress.learned
    if memory is not None and memory["arrays"].keys() == learned.optimiser.memory.keys():
        state = OptimiserState(np.int64(memory["step"]), memory["arrays"])
        trainer.progress.learned = learned._replace(optimiser=state)
        trainer.progress.step = int(memory["step"])
    return trainer


def memory_of(trainer: Trainer) -> dict[str, Any]:
    """Return an optimiser's memory as plain arrays, to go on by `partial_fit`."""
    state = trainer.progress.learned.optimiser
    arrays = {
        name: {key: np.array(x) for key, x in tree.items()} for name, tree in state.memory.items()
    }
    return {"step": int(trainer.progress.step), "arrays": arrays}
