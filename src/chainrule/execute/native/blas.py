"""Matrix products by the BLAS that SciPy brings, called as C functions.

SciPy publishes the addresses in `scipy.linalg.cython_blas`. They are functions of the Fortran
interface: every argument is a pointer, matrices are stored by columns, and a matrix stored by
rows is its own transpose. With `real` for float or double, in C:

    void gemm(char *transa, char *transb, int *m, int *n, int *k, real *alpha,
              real *a, int *lda, real *b, int *ldb, real *beta, real *c, int *ldc);

C ← alpha op(A) op(B) + beta C, where op(A) is m × k, op(B) k × n and C m × n; `trans` is `n` or
`t`. With beta 0 what was in C is not read, so it may be NaN. To multiply matrices stored by rows,
swap: Cᵀ = op(B)ᵀ op(A)ᵀ, so pass B before A and n before m. An int has 32 bits. A caller that
keeps its integers in 64 bits is right on a little-endian machine whichever width a BLAS reads.

NumPy's wheels bring a BLAS of their own, which is not this one: threads are set here for the
library that the addresses lead to. Reference: https://www.netlib.org/blas/.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import scipy
import threadpoolctl

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import DTypeLike

__all__ = ["blas_name", "blas_threads", "gemm_address", "limit", "threads"]

_MODULE: Final = "scipy.linalg.cython_blas"
_TITLE: Final = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(
    ("PyCapsule_GetName", ctypes.pythonapi)
)
_POINTER: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_LETTERS: Final = {np.dtype(np.float32): "s", np.dtype(np.float64): "d"}


def gemm_address(dtype: DTypeLike) -> int:
    """Return the address of the function that multiplies matrices.

    Parameters
    ----------
    dtype
        float32 or float64.

    Raises
    ------
    KeyError
        Another dtype.

    Examples
    --------
    >>> gemm_address("float32") == gemm_address("float64")
    False
    """
    return _address(_LETTERS[np.dtype(dtype)] + "gemm")


def blas_name() -> str:
    """Return which BLAS it is, for records of measurements.

    Returns
    -------
    str
        Library, version, the processor that its kernels are for, how it makes threads, and
        whose it is. A library that threadpoolctl does not know is "unknown".

    Examples
    --------
    >>> blas_name().endswith(f"(SciPy {scipy.__version__})")
    True
    """
    fields = ("internal_api", "version", "architecture", "threading_layer")
    words = [
        " ".join(str(about[field]) for field in fields if about.get(field))
        for about in (library.info() for library in _libraries())
    ]
    return f"{', '.join(words) or 'unknown'} (SciPy {scipy.__version__})"


def threads() -> int | None:
    """Return how many threads a product may use; `None` if this BLAS does not say.

    Examples
    --------
    >>> with blas_threads(1):
    ...     threads() in {1, None}
    True
    """
    return max((library.get_num_threads() for library in _libraries()), default=None)


def limit(count: int) -> Callable[[], None]:
    """Set how many threads a product may use, and return what sets it back.

    It holds for the process, not only for the thread that calls: set it before threads of one's
    own start. What threadpoolctl knows can be set (OpenBLAS, MKL, BLIS, FlexiBLAS). Another BLAS,
    such as Apple's Accelerate, goes on with as many as it likes, and `threads` returns `None`.

    Parameters
    ----------
    count
        At least 1. A BLAS built for fewer uses as many as it can.

    Examples
    --------
    >>> before = threads()
    >>> restore = limit(1)
    >>> restore()
    >>> threads() == before
    True
    """
    changed = []
    for library in _libraries():
        before = library.get_num_threads()
        if before != count:
            library.set_num_threads(count)
            changed.append((library, before))
    return functools.partial(_restore, changed)


def _restore(changed: list[tuple[Any, int]]) -> None:
    """Set libraries back to the number of threads that they had."""
    for library, before in changed:
        library.set_num_threads(before)


class blas_threads:  # noqa: N801 - a context manager reads as a verb
    """Set how many threads a product may use, for the length of a `with`.

    Parameters
    ----------
    count
        As for `limit`.

    Examples
    --------
    >>> with blas_threads(1):
    ...     threads() in {1, None}
    True
    """

    __slots__ = ("_count", "_restore")

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        self._restore = limit(self._count)

    def __exit__(self, *_: object) -> None:
        self._restore()


@functools.cache
def _address(name: str) -> int:
    """Return the address in a capsule of SciPy's; its name is the function's type."""
    capsule = _exported().__pyx_capi__[name]
    return int(_POINTER(capsule, _TITLE(capsule)))


@functools.cache
def _exported() -> ModuleType:
    """Return the module that has the addresses, without the package that it stands in.

    The import of `scipy.linalg` executes a hundred modules and takes 0.15 s; this file needs
    none of them. Where it is not found by its name, or does not load alone, the import it is.
    """
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    return _alone() or importlib.import_module(_MODULE)


def _alone() -> ModuleType | None:
    """Return the module with nothing around it, `None` where that does not work."""
    spec = PathFinder.find_spec(_MODULE, [str(place / "linalg") for place in _places()])
    if spec is None or spec.loader is None:
        return None
    try:
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError:
        return None
    finally:
        # Cython enters it. A later import has to find nothing, or it does not make the name an
        # attribute of its package; Cython then returns this same module.
        sys.modules.pop(_MODULE, None)
    return module if hasattr(module, "__pyx_capi__") else None


def _places() -> list[Path]:
    """Return the folders that SciPy's modules stand in."""
    return [Path(place) for place in scipy.__path__]


@functools.cache
def _libraries() -> list[Any]:
    """Return threadpoolctl's handle of the library that the addresses lead to.

    Wheels bring it in SciPy's own folders, and NumPy another in NumPy's. Elsewhere both share
    one, which stands in neither.
    """
    _exported()  # loads it
    known = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    own = [library for library in known if _belongs(library, _places())]
    numpys = [Path(place) for place in np.__path__]
    return own or [library for library in known if not _belongs(library, numpys)] or known


def _belongs(library: Any, places: list[Path]) -> bool:
    """Whether a library came in the wheel of a package: in its folder, or in `<folder>.libs`."""
    path = Path(library.filepath)
    return any(path.is_relative_to(home) or path.is_relative_to(f"{home}.libs") for home in places)
