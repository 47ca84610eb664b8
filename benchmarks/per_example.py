"""Norms of the gradients of single examples, against one gradient, and against the peers.

The network is 784-256-128-10 with ReLU and a softmax cross-entropy over 128 examples, in float32.
Two of ours take part: a function of norms as machine code, beside a compiled gradient, and an
open pass, beside a gradient that is walked as the pass is.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import ours
from benchmarks.bars import faster, judge, within
from benchmarks.harness import LIMIT, Contestant, race
from benchmarks.networks import STEPS
from benchmarks.peers import reason
from benchmarks.report import show, store
from benchmarks.threads import pause, threads

if TYPE_CHECKING:
    from benchmarks.options import Options

NETWORK = STEPS[2]
WALKED = "one gradient, walked"
COMPILED = "one gradient, compiled"
PEERS = ("torch.func.vmap(grad)", "Opacus", "BackPACK")


def main(options: Options) -> None:
    """Time both; print and store."""
    walked, compiled = ours.gradients(NETWORK)
    peers, others = torch_peers() if options.wanted("torch_examples") else ([], {})
    entries = (
        ("norms of the gradients of single examples", ours.example_norms, COMPILED, compiled),
        ("the same from an open pass", ours.open_norms, WALKED, walked),
    )
    races, judgements = [], []
    for title, prepare, name, gradient in entries:
        us, absent = ours.contestant(lambda one=prepare: one(NETWORK), lambda run: require(run()))
        beside = [Contestant(name, gradient, kind=LIMIT), *peers]
        rounds = options.times(51)
        found = race(f"{title}, {NETWORK}", us, beside, rounds=rounds, pause=pause())
        found = replace(found, absent=absent | others)
        bars = [within(2, name), *[faster(peer, 5) for peer in PEERS]]
        judged = [judge(bar, found) for bar in bars[: 2 if name == WALKED else None]]
        show(found, judged)
        races.append(found.record())
        judgements += judged
    if not options.quick:
        store(f"per_example-{threads()}", {"races": races}, judgements)


def torch_peers() -> tuple[list[Contestant], dict[str, str]]:
    """Return the contestants that are built on PyTorch, and why others are not here."""
    try:
        peer = importlib.import_module("benchmarks.peers.torch_examples")
    except ImportError as error:
        return [], dict.fromkeys(PEERS, reason(error))
    return peer.contestants(NETWORK, require)


def require(norms) -> None:
    """Require the norms that follow from forming every gradient in float64."""
    X, y = NETWORK.data()
    layers = [[x.astype(np.float64) for x in layer] for layer in NETWORK.parameters()]
    inputs, z = [], X.astype(np.float64)
    for W, b in layers:
        inputs.append(np.maximum(z, 0) if inputs else z)
        z = inputs[-1] @ W + b
    d = np.exp(z - z.max(axis=1, keepdims=True))
    d /= d.sum(axis=1, keepdims=True)
    d[np.arange(len(y)), y] -= 1
    squares = np.zeros(len(y))
    for (W, _), a in zip(reversed(layers), reversed(inputs), strict=True):
        formed = a[:, :, None] * d[:, None, :]
        squares += (formed**2).sum(axis=(1, 2)) + (d**2).sum(axis=1)
        d = (d @ W.T) * (a > 0)
    np.testing.assert_allclose(norms, np.sqrt(squares), rtol=1e-4)
