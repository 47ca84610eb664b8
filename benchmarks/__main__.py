"""Run every benchmark, or those named: ``python -m benchmarks walk``."""

import os
import sys

# One thread on both sides, said before NumPy loads its BLAS.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from benchmarks import walk  # noqa: E402 - after the threads are set

BENCHMARKS = {"walk": walk.main}

for name in sys.argv[1:] or BENCHMARKS:
    BENCHMARKS[name]()
