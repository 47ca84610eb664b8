"""From a graph to loaded machine code: planned, shared among threads, written, compiled.

Code is remembered by the text of its graph: a network that is trained again, with other weights
or on other examples of the same shapes, is neither planned nor compiled again.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import binding

from chainrule.compile import plan
from chainrule.errors import SettingError
from chainrule.execute.native.ability import able
from chainrule.execute.native.blas import gemm_address
from chainrule.execute.native.engine import Library, load
from chainrule.execute.native.products import calls_blas
from chainrule.execute.native.sharing import share
from chainrule.execute.native.team import cores, rest_address
from chainrule.execute.native.writing import Target, scratch_of, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.compile import Plan
    from chainrule.execute.native.sharing import Sharing
    from chainrule.graph import Graph

__all__ = ["Code", "code_of", "host_target", "threads_for"]

_WORTH = 2e7
"""Operations of a run for each thread, from which on two are faster than one."""
_REMEMBERED = 64


class Code(NamedTuple):
    """A plan as machine code.

    Attributes
    ----------
    plan
        What runs.
    sharing
        How threads share it; None for one thread.
    library
        The code.
    work
        How many bytes of work memory a run needs.
    calls_blas
        Whether BLAS has to be held at one thread meanwhile.
    """

    plan: Plan
    sharing: Sharing | None
    library: Library
    work: int
    calls_blas: bool

    @property
    def threads(self) -> int:
        """How many threads run it together."""
        return 1 if self.sharing is None else self.sharing.threads


_known: OrderedDict[Any, Code] = OrderedDict()


def code_of(
    graph: Graph,
    donated: Mapping[int, int],
    finite: tuple[Sequence[int], Sequence[int]],
    target: Target,
    threads: int | None,
) -> Code:
    """Return the code of a graph, the same for graphs that say the same.

    Parameters
    ----------
    graph, donated
        As `chainrule.compile.plan` takes them.
    finite
        The guards, and what is watched.
    target
        What it is written for.
    threads
        How many are asked for; as many as the work is worth, if none.
    """
    if _has_foreign_rules(graph):  # a name does not tell what a user's op computes
        return _made(graph, donated, finite, target, threads)
    numbers = blake2b(digest_size=16)
    for index, x in graph.constants.items():
        numbers.update(f"{index}{np.shape(x)}{x.dtype}".encode() + np.asarray(x).tobytes())
    options = (tuple(donated.items()), *map(tuple, finite), target, threads, cores())
    kinds = "".join(graph.nodes[i].dtype.str for i in graph.inputs)  # the text has no byte order
    key = (str(graph), kinds, numbers.digest(), options)
    found = _known.pop(key, None)
    if found is None:
        found = _made(graph, donated, finite, target, threads)
    _known[key] = found
    while len(_known) > _REMEMBERED:
        _known.popitem(last=False)
    return found


def _made(
    graph: Graph,
    donated: Mapping[int, int],
    finite: tuple[Sequence[int], Sequence[int]],
    target: Target,
    threads: int | None,
) -> Code:
    """Return new code."""
    made = plan(graph, donated, *finite, able)
    count, sharing = threads_for(made, threads), None
    if count > 1:
        together = plan(graph, donated, *finite, able, shared=True)
        found = share(together, count)
        if found.is_any:
            made, sharing = together, found
        else:
            count = 1
    first, each = scratch_of(made, target, sharing)
    blas = calls_blas(made, target.lanes, count)
    return Code(made, sharing, _loaded(made, sharing, target), first + each * count, blas)


def _loaded(made: Plan, sharing: Sharing | None, target: Target) -> Library:
    symbols = {"chainrule_sgemm": gemm_address("f4"), "chainrule_dgemm": gemm_address("f8")}
    if sharing is not None:
        symbols["chainrule_rest"] = rest_address()
    if _has_foreign_rules(made.graph):
        written = text(made, target, sharing)
        return load(written, lambda: written, symbols)
    key = f"{made.key}|{target}|{'' if sharing is None else sharing.key}"
    return load(key, lambda: text(made, target, sharing), symbols)


def _has_foreign_rules(graph: Graph) -> bool:
    """Return whether a graph has ops that are not of this package, whose source keys hold."""
    ops = {node.op for node in graph.nodes if node.op is not None}
    return not all(str(op.forward.__module__).startswith("chainrule.ops.") for op in ops)


def threads_for(made: Plan, wanted: int | None = None) -> int:
    """Return how many threads share a plan.

    Threads have to meet some tens of times in a run, which costs each about a microsecond, and
    they have to be woken; and where other programs use the cores, they wait for each other. So
    there is one thread for each `_WORTH` operations, and no more than there are cores. The
    answer depends on the plan and on the cores that the process may use alone: with the same
    number of them, the same program gives the same bits.

    Parameters
    ----------
    made
        What is shared; with steps of NumPy's it is not.
    wanted
        How many are asked for.
    """
    if wanted is not None:
        asked: Any = wanted
        if not isinstance(asked, int | np.integer) or asked < 1:
            raise SettingError(f"threads has to be a whole number from 1 on, got {asked!r}.")
        return 1 if made.hosted else int(asked)
    if made.hosted:
        return 1
    return max(1, min(cores(), int(made.cost / _WORTH)))


@functools.cache
def host_target() -> Target:
    """Return what this processor's vectors are like."""
    features = binding.get_host_cpu_features()
    if features.get("avx512vl") and features.get("avx512bw"):
        return Target(16, masks=True)
    return Target(8 if features.get("avx2") else 4, masks=False)
