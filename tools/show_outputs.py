"""How the site shows a block with outputs, which Sybil reads as a doctest, and a displayed formula.

A doctest needs a word for an empty line of an output, and says ``python`` to Sybil. A reader needs
neither: empty lines are shown empty, and outputs are not coloured as if they were code. A docstring
has two colons before what is displayed; a page has one. MkDocs calls `on_page_markdown` with the
text of each page, and `on_page_content` with what became of it.
"""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page's text as it is shown."""
    return markdown.replace("```python\n>>>", "```pycon\n>>>").replace("<BLANKLINE>\n", "\n")


def on_page_content(html: str, **_: Any) -> str:
    """Return a page with one colon before what is displayed."""
    return re.sub(r"::</p>(?=\s*<div class=\"[^\"]*highlight)", ":</p>", html)
