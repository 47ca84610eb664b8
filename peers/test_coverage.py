"""Every op that chainrule has is met by some sample of PyTorch's."""

from __future__ import annotations

import warnings
from contextlib import suppress

import numpy as np

import chainrule
from peers.derivatives import as_function
from peers.records import samples
from peers.words import WORDS

NOT_MET = {
    "cbrt": "PyTorch has no cube root; chainrule's own tests compare it with differences",
    "embed": "the transpose of slicing, so it is met in the gradient of every slice",
    "scrambled": "random numbers of chainrule's own generator",
    "uniform": "random numbers of chainrule's own generator",
}


def ops_met() -> set[str]:
    """Return the names of the ops in the traces of all samples that can be traced."""
    met: set[str] = set()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, word in WORDS.items():
            for sample in samples(name):
                with suppress(Exception):  # test_torch.py says what fails
                    graph = chainrule.trace(as_function(word, sample), *sample.arrays)
                    met |= {node.op.name for node in graph.nodes if node.op is not None}
    return met


def test_every_op_is_met() -> None:
    assert set(chainrule.ops.OPS) - ops_met() == NOT_MET.keys()
