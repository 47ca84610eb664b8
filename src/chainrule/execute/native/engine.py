"""From LLVM's text to machine code that can be called, with a cache on disk.

`load` is given a key, and a function that writes the text where no code is kept under this key.
A second process therefore neither writes nor compiles anything: it links the stored object file,
which takes about two milliseconds.

The text is expected to have its vectors spelt out and its invariants outside its loops, so the
loop vectoriser and most other passes have nothing to do. See `_SEQUENCE` for what is left.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import threading
import weakref
from collections import deque
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import llvmlite
from llvmlite import binding

from chainrule.execute.native import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Library", "load", "machine"]

_FORMAT: Final = 1  # of what is stored; another number makes all that was stored unknown
_KEPT: Final = 64  # libraries that stay loaded when nobody uses them

# Measured with twenty kernels of 60 vector instructions each: these passes take 10 ms where
# LLVM's own pipelines take 40 (-O1, -O2) and 75 (-O3), and the code runs equally fast. Writing
# the object file takes 40 ms either way, half of it instruction selection.
_SEQUENCE: Final = (
    "always_inliner",
    "sroa",
    "simplify_cfg",
    "instruction_combine",
    "loop_simplify",
    "lcssa",
    "loop_rotate",
    "new_gvn",
    "instruction_combine",
    "simplify_cfg",
)
_SOURCES: Final = ("compile", "execute", "graph", "ops", "transform")
"""What code follows from: how it is planned and written, and the forward rules."""
_CODE_LEVEL: Final = 2  # of 3, for selection and scheduling; 1 and 3 take as long

_lock = threading.RLock()  # a build may load
_loaded: weakref.WeakValueDictionary[Any, Library] = weakref.WeakValueDictionary()
_recent: deque[Library] = deque(maxlen=_KEPT)
_serial = itertools.count()


class Library:
    """Machine code in memory, for as long as this object lives.

    An address does not keep it alive: whoever calls one holds the library too.

    Examples
    --------
    >>> import ctypes, os
    >>> from unittest.mock import patch
    >>> text = "define double @half(double %x) { %y = fmul double %x, 0.5 ret double %y }"
    >>> with patch.dict(os.environ, CHAINRULE_CACHE=""):
    ...     library = load("half", lambda: text)
    >>> half = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.function("half"))
    >>> half(3.0)
    1.5
    """

    def __init__(self, name: str, linker: Any, code: Any) -> None:
        self._name = name
        self._linker = linker
        self._code = code  # LLVM unloads it when this goes
        self._found: dict[str, Any] = {}

    def function(self, name: str) -> int:
        """Return the address of a function that the text defines.

        Parameters
        ----------
        name
            As in the text, without the `@`.

        Raises
        ------
        RuntimeError
            There is no such function, or it calls one that this process does not have.
        """
        with _lock:  # LLVM's linker serves one thread at a time
            if name not in self._found:
                self._found[name] = self._linker.lookup(self._name, name)
            return int(self._found[name][name])

    def __del__(self, lock: Any = _lock) -> None:  # the name is gone when Python ends
        with lock:
            self._found.clear()
            self._code = None


def load(key: str, build: Callable[[], str], symbols: Mapping[str, int] | None = None) -> Library:
    """Return the machine code for a key: from memory, from the cache, or compiled now.

    Parameters
    ----------
    key
        All that the text depends on, except what `machine` says and the source of this package.
    build
        Returns the module as LLVM's text. Called only if there is no code under this key.
    symbols
        Addresses of functions that the text declares and this process does not export, such as
        those of `blas`. They are looked up when linking, so the stored code has none in it.

    Raises
    ------
    RuntimeError
        What LLVM says about a text that does not parse or is inconsistent.
    """
    given = tuple(sorted((symbols or {}).items()))
    with _lock:
        library = _loaded.get((key, given))
        if library is None:
            library = _link(_object(key, build), given)
            _loaded[key, given] = library
        _recent.append(library)
    return library


@functools.cache
def machine() -> str:
    """Return what machine code is for: platform, processor, its features and LLVM.

    Examples
    --------
    >>> machine() == machine()
    True
    """
    return "\n".join(
        [
            binding.get_process_triple(),
            binding.get_host_cpu_name(),
            _features(),
            f"LLVM {binding.llvm_version_info}, llvmlite {llvmlite.__version__}",
        ]
    )


def _features() -> str:
    """Return what this processor has beyond its name, as LLVM writes it."""
    try:
        return str(binding.get_host_cpu_features().flatten())
    except RuntimeError:  # LLVM cannot tell here; the name says enough
        return ""


@functools.cache
def _version() -> bytes:
    """Return a hash of all that shapes the stored code besides the key.

    The source of this package stands for its version: it also changes while it is worked on.
    """
    state = blake2b(f"{_FORMAT}\n{machine()}\n".encode(), digest_size=32)
    package = Path(__file__).parents[2]
    sources = sorted(x for part in _SOURCES for x in (package / part).rglob("*.py"))
    for file in sources:
        state.update(blake2b(file.read_bytes()).digest())
    if not sources:  # frozen or zipped: nothing tells one version from the next, so share nothing
        state.update(os.urandom(32))
    return state.digest()


def _object(key: str, build: Callable[[], str]) -> bytes:
    """Return the object file for a key, from the cache if it is there."""
    name = blake2b(key.encode(), digest_size=20, key=_version()).hexdigest()
    stored = cache.read(name)
    if stored is not None:
        return stored
    made = _compile(build())
    cache.write(name, made)
    return made


def _compile(text: str) -> bytes:
    """Return the object file of a module, optimised for the processor of this machine."""
    target = _target()
    module = binding.parse_assembly(text)
    module.verify()
    module.triple, module.data_layout = target.triple, str(target.target_data)
    passes = binding.create_new_module_pass_manager()
    for name in _SEQUENCE:
        getattr(passes, f"add_{name}_pass")()
    tuning = binding.create_pipeline_tuning_options(speed_level=2)
    passes.run(module, binding.create_pass_builder(target, tuning))
    return bytes(target.emit_object(module))


@functools.cache
def _target() -> Any:
    """Return what writes code for this processor.

    Small and position independent: constants are read relative to the code that uses them. What
    LLVM takes for code in memory otherwise, the large model, loads an address for each.
    """
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=_features(),
        opt=_CODE_LEVEL,
        reloc="pic",
        codemodel="small",
    )


@functools.cache
def _linker() -> Any:
    """Return what all libraries of this process are linked by.

    JITLink puts all of a library into one piece of memory, so that the small model's distances
    reach. LLVM itself does not use it on Windows.
    """
    return binding.create_lljit_compiler(_target(), use_jit_link=sys.platform != "win32")


def _link(code: bytes, symbols: tuple[tuple[str, int], ...]) -> Library:
    """Put an object file into memory, connected to what it calls."""
    linker = _linker()
    name = f"chainrule-{next(_serial)}"  # a name is not free again when its library is gone
    builder = binding.JITLibraryBuilder().add_object_img(code).add_current_process()
    for symbol, address in symbols:
        builder.import_symbol(symbol, address)
    return Library(name, linker, builder.link(linker, name))
