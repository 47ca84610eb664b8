"""How the site shows a block with outputs, which Sybil reads as a doctest.

A doctest needs a word for an empty line of an output, and says ``python`` to Sybil. A reader needs
neither: empty lines are shown empty, and outputs are not coloured as if they were code. MkDocs
calls `on_page_markdown` with the text of each page.
"""

from __future__ import annotations

from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page's text as it is shown."""
    return markdown.replace("```python\n>>>", "```pycon\n>>>").replace("<BLANKLINE>\n", "\n")
