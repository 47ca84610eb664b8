"""Checkpoints: what comes back, what a file looks like, what is refused, and what disks do."""

import json
import struct
import tempfile
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chainrule.errors import (
    CheckpointError,
    ForeignFileError,
    NewerFileError,
    StateError,
    UnsavableError,
)
from chainrule.train import (
    Adam,
    read_checkpoint,
    write_checkpoint,
)

CODES = "?bhilqBHILQefd"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def bits(x):
    """Return everything that may differ between two values, as something that compares by ==."""
    if isinstance(x, np.ndarray | np.generic):
        little = x.byteswap() if x.dtype.byteorder == ">" else x
        kind = np.ndarray if isinstance(x, np.ndarray) else np.generic
        return kind, x.dtype.newbyteorder("="), x.shape, little.tobytes()
    if isinstance(x, float):
        return float, struct.pack("d", x)
    if isinstance(x, dict):
        return dict, [(key, bits(part)) for key, part in x.items()]
    if isinstance(x, list | tuple):
        return (list if isinstance(x, list) else tuple), [bits(part) for part in x]
    return type(x), x


def edited(path, **changes):
    """Change the description in a checkpoint's header, and nothing else."""
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, "np") as file:
        document = json.loads(file.metadata()["chainrule"])
    metadata = {"chainrule": json.dumps({**document, **changes})}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


def with_header(path, text, body=b""):
    """Write a file with a header as it is told."""
    header = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + body)


# --------------------------------------------------------------------------- what comes back


def laid_out(array, way):
    """Return the same numbers with other strides: memory that is not simply the array's."""
    match way:
        case "reversed":
            return array[(slice(None, None, -1),) * array.ndim]
        case "transposed":
            return array.T
        case "strided":
            return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array
        case "wide":
            return np.broadcast_to(array, (2, *array.shape))
        case _:
            return array


arrays = st.builds(
    laid_out,
    hnp.arrays(
        st.sampled_from([np.dtype(code).newbyteorder(order) for code in CODES for order in "<>"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.sampled_from(["plain", "reversed", "transposed", "strided", "wide"]),
)
texts = st.text(st.characters(exclude_categories=()))  # also halves of surrogate pairs
plain = st.none() | st.booleans() | st.integers() | st.floats() | texts


def containers(leaves):
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.lists(inner, max_size=4).map(tuple)
            | st.dictionaries(texts, inner, max_size=4)
        ),
        max_leaves=12,
    )


@given(containers(plain | arrays | hnp.from_dtype(np.dtype("f4"))), containers(plain))
@settings(max_examples=150, deadline=None)
def test_everything_comes_back_bit_for_bit(tree, meta):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        write_checkpoint(path, tree, meta)
        checkpoint = read_checkpoint(path)
        first = path.read_bytes()
        write_checkpoint(path, checkpoint.arrays, checkpoint.meta)
        assert path.read_bytes() == first  # equal contents, equal files
    assert bits(checkpoint.arrays) == bits(tree)
    assert bits(checkpoint.meta) == bits(meta)


@pytest.mark.parametrize("pattern", [0x7FF8000000000001, 0xFFF0000000000123, 0x8000000000000000])
def test_every_nan_and_the_sign_of_zero_are_kept(path, pattern):
    number = struct.unpack("d", struct.pack("Q", pattern))[0]
    tree = [number, np.array([pattern], np.uint64).view(float), np.float64(number)]
    write_checkpoint(path, tree)
    assert bits(read_checkpoint(path).arrays) == bits(tree)


def test_integers_of_any_size(path):
    sizes = [0, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**128 - 1, -(10**5000)]
    write_checkpoint(path, [], sizes)
    assert read_checkpoint(path).meta == sizes


def test_arrays_are_ones_own(path):
    write_checkpoint(path, {"a": np.arange(3), "b": np.ones((2, 2))})
    loaded = read_checkpoint(path).arrays
    loaded["a"] += 1
    assert all(a.flags.writeable and a.flags.aligned for a in loaded.values())
    assert read_checkpoint(path).arrays["a"].tolist() == [0, 1, 2]


def test_reading_takes_the_memory_of_the_arrays_once(path):
    write_checkpoint(path, {"a": np.ones(500_000), "b": [np.ones((500, 500), np.float32)]})
    tracemalloc.start()
    try:
        checkpoint = read_checkpoint(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert checkpoint.arrays["a"].nbytes == 4_000_000
    assert peak < 1.01 * path.stat().st_size


class Pair(NamedTuple):
    x: object
    y: object


def test_containers_of_other_types_become_the_plain_ones(path):
    write_checkpoint(path, Pair(np.float64(1), OrderedDict(b=1, a=2)))
    loaded = read_checkpoint(path).arrays
    assert loaded == (1.0, {"b": 1, "a": 2})
    assert type(loaded) is tuple


def test_arrays_go_back_into_the_containers_of_an_optimiser(path):
    w = {"W": np.ones((2, 3)), "b": np.zeros(3, np.float32)}
    optimiser = Adam(lr=0.1)
    w, state = optimiser.update(w, w, optimiser.init(w))
    write_checkpoint(path, {"w": w, "state": state})
    checkpoint = read_checkpoint(path)
    back = checkpoint.arrays_like({"w": w, "state": optimiser.init(w)})
    assert type(back["state"]) is type(state)
    assert bits(back["state"].memory) == bits(state.memory)
    other = {"w": {"W": np.ones((3, 2)), "c": 1}, "state": optimiser.init(w)}
    with pytest.raises(StateError) as caught:
        checkpoint.arrays_like(other)
    assert caught.value.facts == (
        "w.W: float64[3, 2] expected, float64[2, 3] found",
        "w.c: int expected, nothing found",
        "w.b: nothing expected, float32[3] found",
    )


# --------------------------------------------------------------------------- the file


def test_other_programs_find_the_arrays_by_their_places(path):
    w = np.arange(6.0).reshape(2, 3)
    write_checkpoint(path, {"model": {"0.weight": w}, "moments": (w.T, [w[0]])})
    tensors = safetensors.numpy.load_file(path)
    assert set(tensors) == {"model.0.weight", "moments.0", "moments.1.0"}
    assert np.array_equal(tensors["moments.0"], w.T)


def test_places_that_read_alike_stay_apart(path):
    tree = {"a.b": np.zeros(1), "a": {"b": np.ones(2)}, "__metadata__": np.ones(3), "": np.ones(4)}
    tree |= {"\ud800": np.ones(5), "\\ud800": np.ones(6), "meta": np.ones(7)}
    write_checkpoint(path, tree, np.ones(8))
    assert bits(read_checkpoint(path).arrays) == bits(tree)
    assert read_checkpoint(path).meta.shape == (8,)


# --------------------------------------------------------------------------- what is refused


class Thing:
    pass


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Thing(), "in it as: a.0"),
        (np.array([Thing()]), "array of object"),
        (np.zeros(2, complex), "array of complex128"),
        (np.array(["x"]), "array of <U1"),
        (np.zeros(2, [("x", "f4")]), "array of [('x', '<f4')]"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), "masked array"),
        (np.datetime64("2026-01-01"), "array of datetime64[D]"),
        ({1: 2}, "key 1, which is no str"),
        ({1, 2}, "a value of type set"),
        (b"bytes", "a value of type bytes"),
        (1j, "a value of type complex"),
    ],
)
def test_what_has_no_form_is_refused_before_anything_is_written(path, value, said):
    with pytest.raises(UnsavableError, match=r"^CR905") as caught:
        write_checkpoint(path, {"a": [value]})
    assert said in str(caught.value)
    assert not any(path.parent.iterdir())


def test_a_long_double_is_refused(path):
    if np.dtype("g").itemsize > 8:
        with pytest.raises(UnsavableError, match="array of"):
            write_checkpoint(path, np.zeros(2, "g"))


def test_containers_that_contain_themselves_are_refused(path):
    loop = []
    loop.append(loop)
    with pytest.raises(UnsavableError, match="at most 100 containers"):
        write_checkpoint(path, loop)


def test_a_description_beyond_the_formats_limit_is_refused(path, monkeypatch):
    monkeypatch.setattr("chainrule.train.checkpoint._HEADER", 1000)
    write_checkpoint(path, np.zeros(1000))
    with pytest.raises(UnsavableError, match="Make arrays of the long lists"):
        write_checkpoint(path, list(range(1000)))
    monkeypatch.setattr("chainrule.train.checkpoint._HEADER", 300)
    with pytest.raises(UnsavableError, match="may fill"):
        write_checkpoint(path, [np.zeros(1)] * 4)


def test_a_foreign_file_is_named_as_one(path):
    safetensors.numpy.save_file({"W": np.ones(2)}, path, {"format": "pt"})
    with pytest.raises(ForeignFileError, match=r"^CR902") as caught:
        read_checkpoint(path)
    assert f"file: {path}" in str(caught.value)
    safetensors.numpy.save_file({"W": np.ones(2)}, path, {"chainrule": '{"format": "else"}'})
    with pytest.raises(ForeignFileError, match="expected: the format chainrule checkpoint"):
        read_checkpoint(path)


def test_a_newer_file_is_named_as_one(path):
    write_checkpoint(path, [np.ones(2)])
    edited(path, version=2, parts={"which this release": "does not know"})
    with pytest.raises(NewerFileError, match=r"^CR903 .* version 2, .* up to 1"):
        read_checkpoint(path)


def damaged(path, said=""):
    with pytest.raises(CheckpointError, match=r"^CR901") as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert f"file: {path}" in text
    assert "expected: a whole safetensors file" in text
    assert said in text


def test_every_truncation_is_noticed(path):
    write_checkpoint(path, {"a": np.arange(3), "b": [np.ones(2, bool)]})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        damaged(path)


def test_every_changed_byte_is_noticed(path):
    """Except one that makes it newer, or another program's, which are errors too."""
    write_checkpoint(path, {"a": np.arange(3.0)}, {"lr": 0.5})
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_dtypes_and_shapes_are_in_the_checksum(path):
    write_checkpoint(path, {"a": np.ones((2, 3))})
    whole = path.read_bytes()
    for change in [(b'"F64"', b'"I64"'), (b"[2,3]", b"[3,2]")]:
        path.write_bytes(whole.replace(*change))
        damaged(path, "checksum")


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ("[" * 100_000 + "]" * 100_000, "containers"),
        ('{"format": 1, "format": 2}', "twice"),
        ('{"x": NaN}', "NaN"),
        ('{"x": -Infinity}', "-Infinity"),
        ('{"x": ' + "9" * 5000 + "}", "5000 digits"),
        ('{"x": ', "Expecting value"),
        ('{"format": "chainrule checkpoint", "version": true}', "version is True"),
        ('{"format": "chainrule checkpoint", "version": -1}', "version is -1"),
    ],
)
def test_a_description_that_is_no_json_or_no_checkpoint(path, description, said):
    path.write_bytes(safetensors.numpy.save({}, {"chainrule": description}))
    damaged(path, said)


def tensor(dtype, shape, *offsets):
    return json.dumps({"dtype": dtype, "shape": shape, "data_offsets": offsets})


@pytest.mark.parametrize(
    ("tensors", "body"),
    [
        ({"a": tensor("F64", [2**40], 0, 2**43)}, 8),
        ({"a": tensor("F64", [2**61], 0, 0)}, 0),
        ({"a": tensor("F64", [2**61, 8], 0, 0)}, 0),
        ({"a": tensor("F64", [-1, -1], 0, 8)}, 8),
        ({"a": tensor("F64", [0, 2**62, 2**62], 0, 0)}, 0),
        ({"a": tensor("F64", [1] * 65, 0, 8)}, 8),
        ({"a": tensor("F64", [1.0], 0, 8)}, 8),
        ({"a": tensor("F64", [1], 0, 8), "b": tensor("F64", [1], 4, 12)}, 12),
        ({"a": tensor("F64", [1], 0, 8), "b": tensor("F64", [1], 0, 8)}, 8),
        ({"a": tensor("F64", [1], 8, 16)}, 16),
        ({"a": tensor("F64", [1], 8, 0)}, 8),
        ({"a": tensor("F64", [1], 0, 8)}, 9),
        ({"a": tensor("BF16", [1], 0, 2)}, 2),
        ({"a": tensor("F4", [4], 0, 2)}, 2),
        ({"a": tensor("C64", [1], 0, 8)}, 8),
        ({"a": tensor("O", [1], 0, 8)}, 8),
        ({"a": "[" * 10_000 + "]" * 10_000}, 0),
    ],
)
def test_arrays_that_a_file_cannot_hold_are_refused_before_they_have_memory(path, tensors, body):
    description = '{"format": "chainrule checkpoint", "version": 1}'
    entries = {"__metadata__": json.dumps({"chainrule": description}), **tensors}
    header = ", ".join(f'"{name}": {text}' for name, text in entries.items())
    with_header(path, f"{{{header}}}", bytes(body))
    damaged(path)


def test_a_tensor_that_is_named_twice(path):
    """Of which safetensors takes the second."""
    write_checkpoint(path, {"a": np.ones(1)})
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = data[8:end].rstrip()
    with_header(path, header[:-1] + b',"a":' + tensor("I64", [1], 0, 8).encode() + b"}", data[end:])
    damaged(path, "checksum")


@pytest.mark.parametrize("length", [0, 1, 2, 10**8, 10**8 + 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_that_claims_to_be_longer_than_the_file(path, length):
    path.write_bytes(length.to_bytes(8, "little") + b"{}" + bytes(50))
    damaged(path)


def test_text_that_is_not_utf8_and_booleans_that_are_neither(path):
    with_header(path, b'{"a\xff": {}}')
    damaged(path, "UTF-8")
    write_checkpoint(path, np.array([True]))
    path.write_bytes(path.read_bytes()[:-1] + b"\x02")
    damaged(path, "neither 0 nor 1")


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(99)])
def test_what_is_no_safetensors_file(path, content):
    path.write_bytes(content)
    damaged(path)
