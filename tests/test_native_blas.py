"""SciPy's matrix products by address, and how many threads they use."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest
import threadpoolctl

from chainrule.execute.native import blas

KINDS = [(np.float32, ctypes.c_float), (np.float64, ctypes.c_double)]
SIZES = [(1, 1, 1), (3, 5, 4), (64, 10, 33), (17, 1, 64)]


def arguments(*values):
    """Return pointers to values, integers in 64 bits as the module's text advises."""
    kept = [
        ctypes.c_char(v) if isinstance(v, bytes) else ctypes.c_int64(v) if isinstance(v, int) else v
        for v in values
    ]
    return [v.ctypes.data if isinstance(v, np.ndarray) else ctypes.byref(v) for v in kept]


def prototype(address, count):
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(address)


def matrix(generator, rows, columns, dtype, transposed):
    """Return a matrix stored by columns, or its transpose so stored; and its leading dimension."""
    shape = (columns, rows) if transposed else (rows, columns)
    stored = np.asfortranarray(generator.normal(size=shape).astype(dtype))
    return stored, stored.T if transposed else stored, shape[0]


@pytest.mark.parametrize(("dtype", "real"), KINDS)
@pytest.mark.parametrize("left", [b"n", b"t"])
@pytest.mark.parametrize("right", [b"n", b"t"])
@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5])
def test_gemm(dtype, real, left, right, beta):
    generator = np.random.default_rng(0)
    gemm = prototype(blas.gemm_address(dtype), 13)
    for m, n, k in SIZES:
        a, op_a, lda = matrix(generator, m, k, dtype, left == b"t")
        b, op_b, ldb = matrix(generator, k, n, dtype, right == b"t")
        c = np.asfortranarray(generator.normal(size=(m, n)).astype(dtype))
        expected = 1.5 * op_a.astype(np.longdouble) @ op_b.astype(np.longdouble) + beta * c
        if beta == 0:
            c[:] = np.nan  # is not read
        gemm(*arguments(left, right, m, n, k, real(1.5), a, lda, b, ldb, real(beta), c, m))
        bound = 4 * np.finfo(dtype).eps * (k + 2)
        np.testing.assert_allclose(c, expected, rtol=bound, atol=8 * bound)


def test_gemm_of_matrices_stored_by_rows_swaps_them():
    generator = np.random.default_rng(0)
    a, b, c = generator.normal(size=(5, 7)), generator.normal(size=(7, 3)), np.empty((5, 3))
    one, zero = ctypes.c_double(1), ctypes.c_double(0)
    gemm = prototype(blas.gemm_address(np.float64), 13)
    gemm(*arguments(b"n", b"n", 3, 5, 7, one, b, 3, a, 7, zero, c, 3))
    np.testing.assert_allclose(c, a @ b, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.int64, np.complex128, np.float16])
def test_other_dtypes_have_no_address(dtype):
    with pytest.raises(KeyError):
        blas.gemm_address(dtype)


def scipys():
    """Return what threadpoolctl says about each BLAS, by whether it came with SciPy."""
    found = threadpoolctl.ThreadpoolController().select(user_api="blas").info()
    return {"scipy.libs" in about["filepath"]: about["num_threads"] for about in found}


known = pytest.mark.skipif(blas.threads() is None, reason="a BLAS whose threads cannot be set")
wheel = pytest.mark.skipif(set(scipys()) != {True, False}, reason="SciPy shares NumPy's BLAS")


@known
def test_threads_are_set_and_restored():
    with blas.blas_threads(2):
        with blas.blas_threads(1):
            assert blas.threads() == 1
        assert blas.threads() == 2
        with pytest.raises(ZeroDivisionError), blas.blas_threads(1):
            _ = 1 / 0
        assert blas.threads() == 2


@known
def test_a_limit_is_restored_by_what_it_returns():
    outside = blas.limit(2)
    inside = blas.limit(1)
    same = blas.limit(1)
    assert blas.threads() == 1
    same()
    assert blas.threads() == 1
    inside()
    assert blas.threads() == 2
    outside()


@known
@wheel
def test_the_library_is_scipys_and_not_numpys():
    with threadpoolctl.threadpool_limits(2, user_api="blas"), blas.blas_threads(1):
        assert scipys() == {True: 1, False: 2}


@pytest.mark.skipif(sys.platform == "win32", reason="a name is looked up in one library there")
@known
@wheel
def test_the_library_is_the_one_that_the_addresses_lead_to():
    # The loader looks a name up in the module of the addresses and in what that was linked to.
    linked = ctypes.CDLL(blas._exported().__file__)
    with blas.blas_threads(2), blas.blas_threads(1):
        assert linked.scipy_openblas_get_num_threads() == 1


def test_a_blas_that_is_not_known_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_libraries", list)
    before = scipys()
    with blas.blas_threads(1):
        assert blas.threads() is None
        assert scipys() == before
    assert blas.blas_name().startswith("unknown (SciPy ")


def python(code):
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)  # noqa: S603


def test_the_package_around_it_is_not_imported_and_still_can_be():
    python("""
import sys
from chainrule.execute.native import blas
address = blas.gemm_address("float64")
assert "scipy.linalg" not in sys.modules
import scipy.linalg.cython_blas
assert scipy.linalg.cython_blas.__pyx_capi__["dgemm"] is not None
import numpy as np
assert np.allclose(scipy.linalg.solve(2 * np.eye(3), np.ones(3)), 0.5)
assert np.allclose(scipy.linalg.blas.dgemm(1.0, np.eye(3), np.ones((3, 3))), 1)
blas._exported.cache_clear()
blas._address.cache_clear()
assert blas._exported() is scipy.linalg.cython_blas
assert blas.gemm_address("float64") == address
""")


@pytest.mark.parametrize(
    "obstacle",
    [
        "blas.PathFinder = type('Nothing', (), {'find_spec': lambda *a: None})",
        "blas._places = lambda: []",
        "blas.module_from_spec = refuse",
    ],
)
def test_where_it_does_not_load_alone_it_is_imported(obstacle):
    python(f"""
import sys
from chainrule.execute.native import blas

def refuse(spec):
    raise ImportError(spec)

{obstacle}
assert blas.gemm_address("float32") != blas.gemm_address("float64")
assert "scipy.linalg.cython_blas" in sys.modules
""")
