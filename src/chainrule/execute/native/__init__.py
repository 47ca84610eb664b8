"""A plan as machine code: LLVM writes it, a cache on disk keeps it, SciPy's BLAS multiplies."""
