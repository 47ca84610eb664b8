"""polars and narwhals, or an error that names the extra which brings them.

Tables are read by polars; narwhals knows the data frames of others. Every file here that needs
one takes it from this module, so there is one place that says what is missing.
"""

from __future__ import annotations

from chainrule.errors import MissingExtraError

try:
    import narwhals as nw
    import polars as pl
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"reading tables needs the package {error.name}, which is not installed.",
        advice='Run: pip install "chainrule[data]"',
    ) from error

__all__ = ["nw", "pl"]
