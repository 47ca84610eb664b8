"""Run the Python blocks of README.md and docs/ as tests: documentation that is wrong fails.

Blocks marked ``python`` run from the top of their page, one after the other, in one namespace; a
block that starts with ``>>>`` is compared with the output it shows. What is not meant to run is
marked ``text``; a block with a title (``python title="example.py"``) is a file of its own, and
tests/test_errors.py runs those that raise an error.
"""

import importlib.util
import os
import tempfile
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE),
        SkipParser(),
    ],
    patterns=["*.md"],
).pytest()

# Nothing here needs PyTorch, and what adapts it is imported where it is installed.
collect_ignore = [] if importlib.util.find_spec("torch") else ["src/chainrule/interop/torch.py"]

# Compiled code is kept for the tests alone. Workers inherit the folder, so they share it.
_CACHE = None
if "CHAINRULE_CACHE" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="chainrule-")
    os.environ["CHAINRULE_CACHE"] = _CACHE.name
