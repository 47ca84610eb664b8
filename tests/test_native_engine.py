"""LLVM's text becomes machine code once, and later processes find it."""

import ctypes
import gc
import json
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from chainrule.execute.native import engine

HALF = "define double @half(double %x) {\n %y = fmul double %x, 0.5\n ret double %y\n}"

# y[i] = y[i] + 2 x[i], sixteen at a time, with a counter in memory and a helper to inline, as the
# generator writes it.
VECTORS = """
define internal <16 x float> @twice(<16 x float> %x) alwaysinline {
  %y = fadd <16 x float> %x, %x
  ret <16 x float> %y
}
define void @add_twice(ptr noalias %x, ptr noalias %y, i64 %n) {
entry:
  %counter = alloca i64
  store i64 0, ptr %counter
  br label %head
head:
  %i = load i64, ptr %counter
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %from = getelementptr float, ptr %x, i64 %i
  %to = getelementptr float, ptr %y, i64 %i
  %a = load <16 x float>, ptr %from, align 4
  %b = load <16 x float>, ptr %to, align 4
  %aa = call <16 x float> @twice(<16 x float> %a)
  %sum = fadd <16 x float> %b, %aa
  store <16 x float> %sum, ptr %to, align 4
  %next = add i64 %i, 16
  store i64 %next, ptr %counter
  br label %head
done:
  ret void
}
"""

# What code may ask the process for. The constants of @chosen stand beside the code.
PROCESS = """
@table = private constant [4 x double] [double 1.0, double 2.0, double 4.0, double 8.0]
declare float @powf(float, float)
declare double @exp(double)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i32 @sched_yield()
define float @power(float %x, float %y) {
  %z = call float @powf(float %x, float %y)
  ret float %z
}
define void @copy(ptr %to, ptr %from, i64 %bytes) {
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  ret void
}
define i32 @give_way() {
  %z = call i32 @sched_yield()
  ret i32 %z
}
define double @chosen(i64 %i) {
  %p = getelementptr [4 x double], ptr @table, i64 0, i64 %i
  %x = load double, ptr %p
  %y = call double @exp(double %x)
  ret double %y
}
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Return the cache folder of this test, which starts with nothing loaded."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    forget()
    return tmp_path


def forget():
    """Unload everything, as if the process were new."""
    engine._loaded.clear()
    engine._recent.clear()


class Builder:
    """A build function that counts its calls."""

    def __init__(self, text):
        self.text, self.calls = text, 0

    def __call__(self):
        self.calls += 1
        return self.text


def call(library, name, result, *kinds):
    return ctypes.CFUNCTYPE(result, *kinds)(library.function(name))


def half(library, x):
    return call(library, "half", ctypes.c_double, ctypes.c_double)(x)


def test_text_becomes_code():
    assert half(engine.load("half", lambda: HALF), 3.0) == 1.5


@pytest.mark.parametrize("offset", range(3))
def test_vectors_of_any_alignment(offset):
    x, y = np.random.default_rng(0).normal(size=(2, 16 * 5 + 3)).astype(np.float32)
    expected = y.copy()
    expected[offset : offset + 80] += 2 * x[offset : offset + 80]
    library = engine.load("vectors", lambda: VECTORS)
    run = call(library, "add_twice", None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    run(x[offset:].ctypes.data, y[offset:].ctypes.data, 80)
    np.testing.assert_array_equal(y, expected)


def test_the_process_gives_what_code_declares():
    library = engine.load("process", lambda: PROCESS)
    power = call(library, "power", ctypes.c_float, ctypes.c_float, ctypes.c_float)
    assert power(2.0, 10.0) == 1024.0
    chosen = call(library, "chosen", ctypes.c_double, ctypes.c_int64)
    np.testing.assert_allclose([chosen(i) for i in range(4)], np.exp([1.0, 2, 4, 8]), rtol=1e-15)
    source, target = np.arange(100.0), np.zeros(100)
    copy = call(library, "copy", None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    copy(target.ctypes.data, source.ctypes.data, source.nbytes)
    np.testing.assert_array_equal(target, source)
    if sys.platform != "win32":
        assert call(library, "give_way", ctypes.c_int)() == 0


def test_the_caller_gives_addresses_which_are_not_stored():
    text = "declare double @given(double)\n" + HALF.replace(
        "fmul double %x, 0.5", "call double @given(double %x)"
    )
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
    for builds, function in [(1, lambda x: x + 1), (0, lambda x: x * 10)]:
        given, build = kind(function), Builder(text)
        address = ctypes.cast(given, ctypes.c_void_p).value
        assert half(engine.load("given", build, {"given": address}), 7.0) == function(7.0)
        assert build.calls == builds


def test_a_loaded_library_is_the_same_and_costs_no_build():
    build = Builder(HALF)
    assert engine.load("half", build) is engine.load("half", build)
    assert build.calls == 1


def test_stored_code_is_loaded_and_not_built():
    build = Builder(HALF)
    engine.load("half", build)
    forget()
    assert half(engine.load("half", build), 5.0) == 2.5
    assert build.calls == 1
    engine.load("another", build)
    assert build.calls == 2


def test_without_a_cache_it_is_built_again(monkeypatch, place):
    monkeypatch.setenv("CHAINRULE_CACHE", "")
    build = Builder(HALF)
    for calls in (1, 2):
        forget()
        assert half(engine.load("half", build), 5.0) == 2.5
        assert build.calls == calls
    assert list(place.iterdir()) == []


def test_a_damaged_entry_is_built_again(place):
    build = Builder(HALF)
    engine.load("half", build)
    (path,) = place.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    forget()
    assert half(engine.load("half", build), 5.0) == 2.5
    assert build.calls == 2


@pytest.mark.parametrize("what", ["get_host_cpu_name", "get_process_triple"])
def test_another_machine_does_not_find_it(monkeypatch, what):
    build = Builder(HALF)
    engine.load("half", build)
    forget()
    with monkeypatch.context() as patch:
        patch.setattr(engine.binding, what, lambda: "another")
        engine.machine.cache_clear()
        engine._version.cache_clear()
        assert "another" in engine.machine()
        engine.load("half", build)
    engine.machine.cache_clear()
    engine._version.cache_clear()
    assert build.calls == 2


def test_another_version_of_the_generator_does_not_find_it(monkeypatch, tmp_path):
    build = Builder(HALF)
    engine.load("half", build)
    forget()
    source = tmp_path / "source"
    source.mkdir()
    (source / "changed.py").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "__file__", str(source / "engine.py"))
        engine._version.cache_clear()
        engine.load("half", build)
    engine._version.cache_clear()
    assert build.calls == 2


def test_without_its_source_no_version_is_taken_for_another(monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "__file__", str(tmp_path / "library.zip" / "engine.py"))
    assert engine._version.__wrapped__() != engine._version.__wrapped__()


def test_a_processor_that_cannot_be_asked_has_a_name(monkeypatch):
    def refuse():
        raise RuntimeError("failed to get host cpu features")

    monkeypatch.setattr(engine.binding, "get_host_cpu_features", refuse)
    assert engine.binding.get_host_cpu_name() in engine.machine.__wrapped__()
    engine._target.__wrapped__()


def test_a_library_stays_while_it_is_used_and_no_longer():
    held = engine.load("held", lambda: HALF)
    gone = weakref.ref(engine.load("gone", lambda: HALF))
    address = held.function("half")
    for number in range(engine._KEPT + 1):
        engine.load(str(number), lambda: HALF)
    gc.collect()
    assert gone() is None
    assert engine.load("held", lambda: HALF).function("half") == address
    assert half(held, 3.0) == 1.5


def test_a_text_with_a_mistake_is_an_error_and_nothing_is_kept(place):
    for text in ("define nonsense", HALF.replace("ret double %y", "ret double %z")):
        with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
            engine.load("mistake", lambda text=text: text)
    assert list(place.iterdir()) == []
    assert half(engine.load("mistake", lambda: HALF), 3.0) == 1.5


def test_a_function_that_is_not_there_is_an_error():
    library = engine.load("half", lambda: HALF)
    with pytest.raises(RuntimeError, match="nowhere"):
        library.function("nowhere")
    assert half(library, 3.0) == 1.5


def test_a_build_may_load():
    def outer():
        assert half(engine.load("inner", lambda: HALF), 3.0) == 1.5
        return HALF

    assert half(engine.load("outer", outer), 3.0) == 1.5


def test_threads_share_one_build():
    build = Builder(HALF)
    with ThreadPoolExecutor(8) as pool:
        libraries = list(pool.map(lambda _: engine.load("half", build), range(32)))
    assert build.calls == 1
    assert len(set(map(id, libraries))) == 1


# Builds, or fails where it must not, and reports.
CHILD = """
import ctypes, json, sys
from chainrule.execute.native import engine

def build():
    built.append(1)
    return sys.argv[1]

built = []
library = engine.load("half", build)
half = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.function("half"))
print(json.dumps([len(built), half(3.0), sorted({"numba"} & set(sys.modules))]))
"""


def child():
    return subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-W", "error", "-c", CHILD, HALF],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process):
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return json.loads(out)


def test_a_second_process_finds_it():
    build = Builder(HALF)
    engine.load("half", build)
    assert answer(child()) == [0, 1.5, []]


def test_eight_processes_at_once(place):
    answers = [answer(process) for process in [child() for _ in range(8)]]
    assert {value for _, value, _ in answers} == {1.5}
    assert any(built for built, _, _ in answers)
    assert len(list(place.iterdir())) == 1
    assert answer(child()) == [0, 1.5, []]
