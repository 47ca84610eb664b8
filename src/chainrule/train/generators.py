"""Random number generators as plain values, so that a resumed run draws the same numbers.

The state is of dictionaries, lists, strings and integers, for JSON. Beside what NumPy calls the
state it holds the seed sequence, on which `numpy.random.Generator.spawn` depends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import (
    MT19937,
    PCG64,
    PCG64DXSM,
    SFC64,
    BitGenerator,
    Generator,
    Philox,
    SeedSequence,
)

from chainrule.errors import CheckpointError

__all__ = ["generator_from", "generator_state"]

_KINDS: dict[str, type[BitGenerator]] = {
    kind.__name__: kind for kind in (PCG64, PCG64DXSM, MT19937, Philox, SFC64)
}
# NumPy believes these numbers: a larger one makes it read beyond the end of an array.
_LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "uinteger": 2**32 - 1}
_LARGEST_POOL = 1024  # of 32 bits each; NumPy's own is 4, and it makes any that it is told


def generator_state(generator: Generator) -> dict[str, Any]:
    """Return the state of a generator as a JSON value.

    Parameters
    ----------
    generator
        A generator over one of NumPy's bit generators.

    Returns
    -------
    dict
        What `generator_from` takes. Its integers have up to 128 bits.

    Raises
    ------
    TypeError
        The bit generator is not one of NumPy's.

    Examples
    --------
    >>> import numpy as np
    >>> generator = np.random.default_rng(7)
    >>> state = generator_state(generator)
    >>> first = generator.random(3)
    >>> bool((generator_from(state).random(3) == first).all())
    True
    """
    bits = generator.bit_generator
    if type(bits) not in _KINDS.values():
        raise TypeError(f"expected one of {', '.join(_KINDS)}, got {type(bits).__name__}")
    return {"bits": _plain(bits.state), "seeds": _seeds(bits.seed_seq)}


def generator_from(state: Any) -> Generator:
    """Return a generator that goes on where the one whose state it is stood.

    Parameters
    ----------
    state
        What `generator_state` returned.

    Returns
    -------
    numpy.random.Generator
        A new generator.

    Raises
    ------
    CheckpointError
        It is not such a state.
    """
    try:
        kind = _KINDS[state["bits"]["bit_generator"]]
        bits = kind(_sequence(state["seeds"]))
        bits.state = _like(state["bits"], bits.state, "bits")
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            "This is not the state of a random number generator.",
            f"found: {error}",
            f"expected: what generator_state returns for one of {', '.join(_KINDS)}",
        ) from error
    return Generator(bits)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value if isinstance(value, str) else int(value)


def _seeds(sequence: Any) -> dict[str, Any] | None:
    """Return the arguments of an equal seed sequence, None if they are not plain integers."""
    if type(sequence) is not SeedSequence:
        return None
    state = sequence.state
    entropy: Any = state["entropy"]
    try:
        entropy = int(entropy) if np.ndim(entropy) == 0 else [int(part) for part in entropy]
    except (TypeError, ValueError):
        return None
    return {**state, "entropy": entropy, "spawn_key": [int(part) for part in state["spawn_key"]]}


def _sequence(seeds: Any) -> SeedSequence | None:
    if seeds is None:
        return None
    if not 4 <= seeds["pool_size"] <= _LARGEST_POOL:
        raise ValueError(f"pool_size cannot be {seeds['pool_size']}")
    return SeedSequence(**seeds)


def _like(value: Any, fresh: Any, name: str) -> Any:
    """Return a state in the containers of a fresh one, or raise if it does not fit them."""
    if isinstance(fresh, dict):
        if not isinstance(value, dict) or value.keys() != fresh.keys():
            raise ValueError(f"{name} needs the entries {', '.join(fresh)}")
        return {part: _like(value[part], fresh[part], part) for part in fresh}
    if isinstance(fresh, np.ndarray):
        array = np.array(value, dtype=fresh.dtype)
        if array.shape != fresh.shape:
            raise ValueError(f"{name} needs {fresh.size} numbers")
        return array
    largest = _LARGEST.get(name, 2**128 - 1)
    if type(value) is not type(fresh) or (type(value) is int and not 0 <= value <= largest):
        raise ValueError(f"{name} cannot be {value!r}"[:200])
    return value
