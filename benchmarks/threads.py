"""Equal threads on both sides: what has to be said before the libraries load.

OpenBLAS, OpenMP and MKL read their environment. XLA does not obey its flags for this (jaxlib 0.10:
with ``--xla_cpu_multi_thread_eigen=false`` it still keeps two cores busy); the size of its pool is
``NPROC``, and even then its thread and Python's hand work to each other across cores. So a run
on one thread is held on one core, for everybody.
"""

from __future__ import annotations

import os

__all__ = ["fix_threads", "pause", "threads"]

VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",
    "BENCHMARK_THREADS",
)


def fix_threads(count: int, blas: str | None = None) -> None:
    """Hold this process, which has not loaded NumPy yet, at so many threads.

    Parameters
    ----------
    count
        How many, and on how many cores.
    blas
        The kernels that every OpenBLAS here takes, instead of those it chooses: ``SkylakeX`` has
        AVX-512.
    """
    os.environ |= dict.fromkeys(VARIABLES, str(count))
    os.environ |= {
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Its processes for compiling go on using cores after the compilation.
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    if blas:
        os.environ["OPENBLAS_CORETYPE"] = blas
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-count:])


def threads() -> int:
    """Return at how many threads this process is held."""
    return int(os.environ["BENCHMARK_THREADS"])


def pause() -> float:
    """Return the seconds to wait before each block, until everybody's threads sleep.

    OpenBLAS's go on spinning for 2**26 ticks after a product, 26 ms at 2.6 GHz, and here some of
    them for longer: with 50 ms, whoever came next had less than two cores.
    """
    return 0.2 if threads() > 1 else 0
