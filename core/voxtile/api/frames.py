"""Arrow tables as data frames."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pyarrow as pa

from voxtile.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """The table as a data frame.

    Raises:
        ConfigError: pandas is not installed.
    """
    if importlib.util.find_spec("pandas") is None:
        raise ConfigError("pandas is not installed; install it with: pip install pandas, or take the Arrow table")
    frame: pd.DataFrame = table.to_pandas()
    return frame
