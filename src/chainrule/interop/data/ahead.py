"""Read ahead: what comes next is made in another thread while this is used.

Parsing, encoding and copying let go of the interpreter most of the time, so a chain of these
keeps several cores at work and holds one item more for each link.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from chainrule.errors import ChainruleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    T = TypeVar("T")

__all__ = ["ahead"]

_END: Any = object()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield items, each made while the one before is used; their errors are raised in turn.

    Examples
    --------
    >>> list(ahead(k**2 for k in range(4)))
    [0, 1, 4, 9]
    """
    making = iter(items)
    with ThreadPoolExecutor(1, "chainrule-read") as reader:
        following = reader.submit(next, making, _END)
        while (item := _made(following)) is not _END:
            following = reader.submit(next, making, _END)
            yield item


def _made(item: Future[T]) -> T:
    """Return an item; an error names the line of the thread that waits, which is the user's."""
    try:
        return item.result()
    except ChainruleError as error:
        raise error.located().with_traceback(error.__traceback__) from None
