"""Run every benchmark, or those named: ``python -m benchmarks steps rows``.

How many threads a library uses is settled when it loads, so each count is a process of its own:
without ``--threads`` this one only starts the others and, at the end, says which bars are met.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

from benchmarks.options import Options
from benchmarks.threads import fix_threads

BENCHMARKS = {
    "walk": (1,),
    "open_pass": (1,),
    "products": (1,),
    "large_products": (1,),
    "steps": (1, 2),
    "epochs": (1, 2),
    "estimators": (1,),
    "scores": (1,),
    "rows": (1,),
    "derivatives": (1, 2),
    "per_example": (1,),
    "memory": (1, 2),
    "scaling": (1, 2),
    "startup": (1, 2),
    "contention": (1, 2),
    "alone": (1, 2),
}
"""What there is, and on how many threads it is run."""


def main() -> int:
    """Run what the command line names; return how many of its processes failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}, plots, summary"
    )
    parser.add_argument("--threads", type=int, help="here, on so many threads")
    parser.add_argument("--rounds", type=int, help="how often each contestant is timed")
    parser.add_argument("--peers", help="files of benchmarks/peers, separated by commas")
    parser.add_argument("--blas", help="kernels of OpenBLAS, for everybody: OPENBLAS_CORETYPE")
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing stored")
    given = parser.parse_args()
    unknown = set(given.names) - {*BENCHMARKS, "summary", "plots"}
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    names = given.names or [*BENCHMARKS, "plots", "summary"]
    if given.threads is None:
        return sum(start(name, count) for name in names for count in BENCHMARKS.get(name, (1,)))
    fix_threads(given.threads, given.blas)
    peers = given.peers.split(",") if given.peers is not None else None
    options = Options(given.rounds, peers, given.quick)
    for name in names:
        importlib.import_module(f"benchmarks.{name}").main(options)
    return 0


def start(name: str, count: int) -> int:
    """Run one benchmark in a process of its own; return 1 if it failed."""
    command = [sys.executable, "-m", "benchmarks", name, "--threads", str(count)]
    rest = [word for word in sys.argv[1:] if word not in {*BENCHMARKS, "summary", "plots"}]
    words = [*command, *rest]
    failed = subprocess.run(words, check=False).returncode != 0  # noqa: S603 - what was typed
    if failed:
        print(f"{name} on {count} threads failed", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
