"""Nothing is half learned: a fit that fails leaves an estimator as it was before."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["undone_if_it_fails"]

_THEIRS = ("_skl_", "_callback_", "_parent_")
"""How names of attributes begin that scikit-learn's callbacks put there and take away."""


@contextlib.contextmanager
def undone_if_it_fails(estimator: Any) -> Iterator[None]:
    """Put the attributes of an estimator back if what is done in the block fails.

    Without it a first fit that diverges would leave weights that were drawn and never trained,
    which predict, and a refused table would leave the number of its columns.

    Parameters
    ----------
    estimator
        Whose attributes are replaced and lists of which grow, but whose arrays stay as they are.
    """
    before = {name: list(x) if isinstance(x, list) else x for name, x in _noted(estimator).items()}
    try:
        yield
    except BaseException:
        for name in _noted(estimator).keys() - before.keys():
            delattr(estimator, name)
        vars(estimator).update(before)
        raise


def _noted(estimator: Any) -> dict[str, Any]:
    """Return what is not a parameter, and not of scikit-learn's callbacks."""
    return {
        name: x
        for name, x in vars(estimator).items()
        if (name.endswith("_") or name.startswith("_")) and not name.startswith(_THEIRS)
    }
