"""From gradients to parameters."""

from chainrule.train.adaptive import Adagrad, Adam, AdamW, RMSprop
from chainrule.train.averaging import EMA, WeightedSum
from chainrule.train.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from chainrule.train.clipping import clip_by_global_norm, clip_by_value, global_norm
from chainrule.train.generators import generator_from, generator_state
from chainrule.train.history import Epoch, History
from chainrule.train.lbfgs import Minimum, minimise
from chainrule.train.loop import fit
from chainrule.train.optimisers import SGD, Lion, Optimiser, OptimiserState
from chainrule.train.rates import PlateauState, ReduceOnPlateau, WarmUp, rate_at
from chainrule.train.schedules import Constant, Cosine, OneCycle, Step
from chainrule.train.session import EarlyStopping
from chainrule.train.trainer import Trainer

__all__ = [
    "EMA",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Checkpoint",
    "Constant",
    "Cosine",
    "EarlyStopping",
    "Epoch",
    "History",
    "Lion",
    "Minimum",
    "OneCycle",
    "Optimiser",
    "OptimiserState",
    "PlateauState",
    "RMSprop",
    "ReduceOnPlateau",
    "Step",
    "Trainer",
    "WarmUp",
    "WeightedSum",
    "clip_by_global_norm",
    "clip_by_value",
    "fit",
    "generator_from",
    "generator_state",
    "global_norm",
    "minimise",
    "rate_at",
    "read_checkpoint",
    "write_checkpoint",
]
