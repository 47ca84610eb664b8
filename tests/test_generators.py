"""The state of a random generator as JSON: the same numbers follow, and no false state is taken."""

import json
import math

import numpy as np
import pytest

from chainrule.errors import CheckpointError
from chainrule.train import generator_from, generator_state

KINDS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]
SEEDS = [7, 2**200, [1, 2, 3], np.random.SeedSequence(5, spawn_key=(1, 2), pool_size=8)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_generator_goes_on_where_it_stood(kind, seed):
    generator = np.random.Generator(kind(seed))
    generator.spawn(2)
    generator.random(5)
    generator.integers(10, dtype=np.int32)  # leaves half of 64 bits for the next
    state = json.loads(json.dumps(generator_state(generator)))
    other = generator_from(state)
    assert generator_state(other) == state
    for one in (generator, other), (generator.spawn(1)[0], other.spawn(1)[0]):
        numbers = [[*g.integers(10, size=3, dtype=np.int32), *g.normal(size=700)] for g in one]
        assert numbers[0] == numbers[1]


def test_a_seed_that_has_no_plain_form_is_left_out():
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(["0x12", "0x3"])))
    state = generator_state(generator)
    assert state["seeds"] is None
    assert generator_from(state).random() == generator.random()


def test_a_foreign_bit_generator_is_refused():
    class Own(np.random.PCG64):
        pass

    with pytest.raises(TypeError, match="expected one of PCG64"):
        generator_state(np.random.Generator(Own(1)))


@pytest.mark.parametrize("kind", KINDS)
def test_states_that_numpy_would_believe_are_refused(kind):
    """A position beyond the end of its array would read foreign memory."""
    state = generator_state(np.random.Generator(kind(1)))
    changed = 0

    def spoiled(part):
        """Make each value impossible, one at a time."""
        for key, original in list(part.items()):
            values = [1e9, math.nan, None, "x", [], [2**65] * 4, {}, True]
            if isinstance(original, int):
                values += [-1, 2**128]
                values += [10**6] if key in {"pos", "buffer_pos", "has_uint32"} else []
            for value in values:
                part[key] = value
                yield
            part[key] = original
            if isinstance(original, dict):
                yield from spoiled(original)

    for _ in spoiled(state["bits"]):
        changed += 1
        with pytest.raises(CheckpointError, match="not the state of a random number generator"):
            generator_from(state)
    assert changed > 20
    for seeds in [{**state["seeds"], "pool_size": 2**30}, {**state["seeds"], "entropy": -1}, 3, {}]:
        with pytest.raises(CheckpointError):
            generator_from({**state, "seeds": seeds})
    generator_from(state)
