"""PyTorch's operators said in plain NumPy and ``chainrule.ops``.

Each word has the signature of the operator that it stands for, so that a record's
sample calls it as it is.  ``WORDS`` maps the name of a record to its word.
"""

from peers.words import (
    arithmetic,
    attention,
    convolution,
    indexing,
    joining,
    linear,
    losses,
    masked,
    neural,
    norms,
    reductions,
    shapes,
    solving,
    sorting,
)
from peers.words.table import WORDS, UnsayableError

__all__ = ["WORDS", "UnsayableError"]
