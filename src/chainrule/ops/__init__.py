"""The words of the language: every op, declared once, and the functions composed of them.

`chainrule.ops.tanh` acts on arrays and on traced values. What NumPy has, too, takes NumPy's
arguments here: `chainrule.ops.sum` is what stands for `numpy.sum`. A new op is found here without
being listed: what a module of this package declares is public.
"""

import numpy as np

from chainrule.graph import NUMPY, OPS, Op
from chainrule.ops.activations import *  # noqa: F403
from chainrule.ops.algebra import *  # noqa: F403
from chainrule.ops.arithmetic import *  # noqa: F403
from chainrule.ops.arranging import *  # noqa: F403
from chainrule.ops.comparisons import *  # noqa: F403
from chainrule.ops.declare import *  # noqa: F403
from chainrule.ops.diagonals import *  # noqa: F403
from chainrule.ops.indexing import *  # noqa: F403
from chainrule.ops.joining import *  # noqa: F403
from chainrule.ops.kinds import *  # noqa: F403
from chainrule.ops.neural import *  # noqa: F403
from chainrule.ops.ordering import *  # noqa: F403
from chainrule.ops.pieces import *  # noqa: F403
from chainrule.ops.products import *  # noqa: F403
from chainrule.ops.questions import *  # noqa: F403
from chainrule.ops.reductions import *  # noqa: F403
from chainrule.ops.running import *  # noqa: F403
from chainrule.ops.shapes import *  # noqa: F403
from chainrule.ops.trigonometry import *  # noqa: F403

globals().update({name: NUMPY.get(getattr(np, name, None), op) for name, op in OPS.items()})

__all__ = sorted(  # noqa: PLE0605 - what is declared is public, so that one file is touched
    name
    for name, x in globals().items()
    if not name.endswith("_")
    and (isinstance(x, Op) or getattr(x, "__module__", "").startswith("chainrule.ops."))
)
