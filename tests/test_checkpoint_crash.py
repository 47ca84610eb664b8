"""Checkpoints among killed processes, processes at the same time, and files that were mutated.

What may end a process runs in one of its own: this file is also the program of those, so that
its parts start below ``if __name__ == "__main__"``.
"""

import contextlib
import copy
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from chainrule.errors import CheckpointError
from chainrule.train import generator_state, read_checkpoint, write_checkpoint
from chainrule.train.checkpoint import _checksum, _packed
from chainrule.train.replacement import sweep

ROOM = 64 << 20  # bytes that a process may ask for beyond what it has after a first reading
EXPANSION = 100  # of the text: an empty list is two characters, and 90 bytes where it is read
CALLS = {"exec", "compile", "import", "pickle.find_class", "os.system", "subprocess.Popen"}


def process(*arguments):
    """Start a part of this file as a program."""
    paths = os.pathsep.join(path for path in sys.path if path)
    # The threads of NumPy's linear algebra would take memory of their own.
    environment = os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, __file__, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(child):
    """Return what a program of this file printed as JSON."""
    out, err = child.communicate(timeout=600)
    assert child.returncode == 0, f"exit {child.returncode}\n{err[-3000:]}"
    return json.loads(out)


# --------------------------------------------------------------------------- killed and shared


def numbered(number):
    """Return contents that show when they are not of one writing."""
    return {"a": np.full(100_000, number, np.int64), "b": [np.full((3, 5), number, np.float32)]}


def number_in(path):
    """Return the number of a checkpoint, having compared all of it."""
    checkpoint = read_checkpoint(path)
    number = checkpoint.meta["number"]
    assert (checkpoint.arrays["a"] == number).all()
    assert (checkpoint.arrays["b"][0] == number).all()
    return number


def save_until_killed(path, first, pipe):
    """Save one after the other, and tell before and after each."""
    number = first
    while True:
        os.write(pipe, f"{number}\n".encode())
        write_checkpoint(path, numbered(number), {"number": number})
        os.write(pipe, f"{number}\n".encode())
        number += 1


def kill(path, rounds, seed):
    """Kill a process that saves, at a random moment, many times; print what was found."""
    rng = random.Random(int(seed))
    path = Path(path)
    begun = litter = 0
    write_checkpoint(path, numbered(0), {"number": 0})
    last = 0
    for _ in range(int(rounds)):
        receive, send = os.pipe()
        saver = os.fork()  # not a new Python each time
        if not saver:
            try:
                save_until_killed(path, last + 1, send)
            finally:
                os._exit(1)
        os.close(send)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(saver, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(saver, 0)[1]) == -signal.SIGKILL
        with os.fdopen(receive) as file:
            told = [last, *map(int, file.read().split())]
        number = number_in(path)
        # Told twice: it was written. Told once: the previous or the new one is there.
        done = len(told) % 2 == 1
        assert number in ({told[-1]} if done else {told[-1] - 1, told[-1]}), (number, told[-3:])
        begun += not done
        litter += any(path.parent.glob(".chainrule-*.tmp"))
        last = number
    sweep(path.parent)
    left = [child.name for child in path.parent.iterdir()]
    print(json.dumps({"begun": begun, "litter": litter, "left": left, "last": last}))  # noqa: T201


def save(path, first, count):
    """Save so many times, each with a number of one's own."""
    for number in range(int(first), int(first) + int(count)):
        write_checkpoint(path, numbered(number), {"number": number})
    print("{}")  # noqa: T201


def test_a_killed_save_leaves_the_previous_checkpoint_or_the_new_one(tmp_path):
    found = answer(process("kill", tmp_path / "a", 50, 1))
    assert found["last"] > 5  # they did save
    assert found["begun"] > 5  # and were killed while they did
    assert found["litter"] > 0  # some with a temporary left, which the next one swept
    assert found["left"] == ["a"]


@pytest.mark.slow
def test_a_thousand_killed_saves(tmp_path):
    found = answer(process("kill", tmp_path / "a", 1000, 2))
    assert found["left"] == ["a"]


def test_processes_that_save_at_the_same_time(tmp_path):
    path = tmp_path / "a"
    write_checkpoint(path, numbered(-1), {"number": -1})
    children = [process("save", path, first, 25) for first in (0, 1000, 2000)]
    seen = set()
    while any(child.poll() is None for child in children):
        seen.add(number_in(path))
    for child in children:
        answer(child)  # nobody's temporary was taken away
    assert len(seen) > 3
    assert number_in(path) in {24, 1024, 2024}
    assert list(tmp_path.iterdir()) == [path]


# --------------------------------------------------------------------------- mutated files

OF_BYTES = ["bytes", "header bytes", "cut", "grown", "length", "moved"]
OF_JSON = ["header", "description", "sealed"]
EVIL = [
    -1, 0, 1, 3, 2**31, 2**53, 2**63, 2**64, 10**30, 0.5, 1e300, float("inf"), True, None,
    "", "F64", "I8", "BF16", "F4", "C64", "array", "a", "0x" + "f" * 99, "\ud800", "7ff8", "é" * 99,
    [], [0], [0, 2**62, 2**62], [2**40], [1] * 70, {}, {"array": "a"}, {"dict": {}}, {"tuple": [1]},
    {"int": "0x1"}, {"float": "7ff8000000000000"}, {"scalar": "a"}, [[[[]]]], "@deep", "@twice",
]  # fmt: skip


def originals():
    """Return the tensors and bytes of checkpoints that differ in kind."""
    rng = np.random.default_rng(1)
    contents = [
        ({"a": np.arange(6.0).reshape(2, 3), "b": np.float32(2)}, {"lr": 0.5, "epoch": 3}),
        (
            {"w": {"W1": rng.normal(size=(8, 8)), "b1": np.zeros(8, "f2")}, "t": (7, [True, None])},
            {"order": generator_state(rng), "rate": float("nan"), "big": 2**200, "text": "é"},
        ),
        ([np.zeros((0, 3)), np.array(True), np.arange(9, dtype="u1"), np.int16(4)], None),
        ({str(i): np.full(i, i) for i in range(20)}, [[], {}, (), [[(1,)]]]),
    ]
    files = []
    for arrays, meta in contents:
        data = _packed(arrays, meta)
        files.append((safetensors.numpy.load(data), data))
    return files


def split(data):
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def odd_json(tree):
    """Return a JSON value as text, with what json.dumps would not write."""
    text = json.dumps(tree)
    return text.replace('"@deep"', "[" * 5000 + "]" * 5000).replace('"@twice"', '{"a":1,"a":2}')


def joined(header, body):
    text = odd_json(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def places(tree):
    """Return all containers in a JSON value, each with one of its keys."""
    keys = range(len(tree)) if isinstance(tree, list) else list(tree)
    found = [(tree, key) for key in keys]
    for key in keys:
        if isinstance(tree[key], list | dict):
            found += places(tree[key])
    return found


def spoil(rng, tree):
    """Change one place in a JSON value: another value, none, another key, two exchanged."""
    candidates = places(tree)
    part, key = rng.choice(candidates)
    match rng.randrange(6):
        case 0 | 1 | 2:
            part[key] = copy.deepcopy(rng.choice(EVIL))
        case 3:
            del part[key]
        case 4 if isinstance(part, dict):
            part[str(rng.choice(EVIL))] = part.pop(key)
        case _:
            other, place = rng.choice(candidates)
            # Where one is inside the other, it may be gone when the second is set.
            with contextlib.suppress(IndexError, KeyError):
                part[key], other[place] = json.loads(json.dumps([other[place], part[key]]))


def with_other_bytes(rng, kind, data):
    """Return a file with bytes changed, lost, added or moved."""
    header_size = int.from_bytes(data[:8], "little")
    changed = bytearray(data)
    match kind:
        case "bytes" | "header bytes":
            end = len(data) if kind == "bytes" else 8 + header_size
            for _ in range(rng.randint(1, 8)):
                changed[rng.randrange(end)] = rng.randrange(256)
        case "cut":
            del changed[rng.randrange(len(data)) :]
        case "grown":
            place = rng.randrange(len(data) + 1)
            changed[place:place] = rng.randbytes(rng.randint(1, 64))
        case "length":
            near = header_size + rng.randint(-9, 9)
            far = rng.choice([0, 1, len(data) - 8, 10**8, 10**8 + 1, 2**31, 2**63, 2**64 - 1])
            changed[:8] = rng.choice([near, far]).to_bytes(8, "little")
        case "moved":
            a, b, c = sorted(rng.randrange(len(data)) for _ in range(3))
            changed[a:c] = changed[b:c] + changed[a:b]
    return bytes(changed)


def with_other_json(rng, kind, tensors, data):
    """Return a file with the header or the description in it changed, its length right."""
    header, body = split(data)
    if kind == "header":
        for _ in range(rng.randint(1, 3)):
            spoil(rng, header)
        return joined(header, body)
    document = json.loads(header["__metadata__"]["chainrule"])
    checksum = document.pop("crc32")
    for _ in range(rng.randint(1, 2)):
        spoil(rng, document)
    if kind == "sealed":  # as by somebody who knows how
        checksum = _checksum(json.loads(json.dumps(document)), tensors)
    header["__metadata__"]["chainrule"] = odd_json({**document, "crc32": checksum})
    return joined(header, body)


def mutate(folder, seed, count):
    """Read mutated files where little memory is left and no code may run; print the outcomes."""
    files, path = originals(), Path(folder, "mutated")
    for _, data in files:  # whatever is loaded late is loaded now
        path.write_bytes(data)
        read_checkpoint(path)
        path.write_bytes(data[:-1])
        outcome(path)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    outcomes, reading, calls = {}, [], []
    sys.addaudithook(lambda name, _: calls.append(name) if reading and name in CALLS else None)
    tracemalloc.start()
    for number in range(int(count)):
        rng = random.Random(f"{seed} {number}")
        tensors, original = rng.choice(files)
        kind = rng.choice(OF_BYTES + OF_JSON)
        if kind in OF_BYTES:
            data = with_other_bytes(rng, kind, original)
        else:
            data = with_other_json(rng, kind, tensors, original)
        path.write_bytes(data)
        reading.append(number)
        said, memory = measured(path)
        reading.clear()
        if memory > EXPANSION * len(data) + 100_000:
            # Once in thousands of readings a table of Python's own grows; not twice in a row.
            said, memory = measured(path)
        if memory > EXPANSION * len(data) + 100_000:
            said = f"memory: {memory} for {len(data)}"
        if calls:
            said = f"ran: {calls}"
        if said == "loaded" and kind != "sealed":
            checkpoint = read_checkpoint(path)
            if _packed(checkpoint.arrays, checkpoint.meta) != original:
                said = "changed unnoticed"
        outcomes.setdefault(f"{kind}: {said}", []).append(number)
    print(json.dumps({said: (len(which), which[:3]) for said, which in outcomes.items()}))  # noqa: T201


def measured(path):
    """Return the outcome of a reading, and the bytes that Python and NumPy took for it."""
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    said = outcome(path)
    _, peak = tracemalloc.get_traced_memory()
    return said, peak - before


def outcome(path):
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        return error.code if str(path) in str(error) else f"no file named in {error}"
    except BaseException as error:  # noqa: BLE001 - also what Rust would panic with
        return f"{type(error).__name__}: {error}"[:200]
    return "loaded"


def check_mutated(folder, seed, count):
    found = answer(process("mutate", folder, seed, count))
    assert sum(number for number, _ in found.values()) == count
    ours = ("loaded", "CR901", "CR902", "CR903")
    assert {said: which for said, which in found.items() if not said.endswith(ours)} == {}
    assert any(said == "sealed: loaded" for said in found)
    assert {said.split(":")[0] for said in found} == {*OF_BYTES, *OF_JSON}


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


@needs_linux
def test_mutated_files_are_refused_or_load(tmp_path):
    check_mutated(tmp_path, 1, 1000)


@needs_linux
@pytest.mark.slow
def test_twenty_thousand_mutated_files_are_refused_or_load(tmp_path):
    check_mutated(tmp_path, 2, 20_000)


if __name__ == "__main__":
    {"kill": kill, "save": save, "mutate": mutate}[sys.argv[1]](*sys.argv[2:])
