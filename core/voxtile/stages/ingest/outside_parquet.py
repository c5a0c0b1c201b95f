"""Side tables in Parquet from outside, read in a supervised process: 121 kB of them have unpacked to 7 GB."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.engine.failure import LOST, Failure, how_lost
from voxtile.engine.parallel import DEFAULT_LIMITS, PlanReader
from voxtile.errors import InputError


def read_outside_parquet(path: Path, reader: PlanReader | None = None) -> pa.Table:
    """Read a whole Parquet file that nobody vouches for.

    Args:
        path: the file.
        reader: with the limits of the conversion; a minute and 4 GiB where there is none.

    Raises:
        InputError: it is damaged, or takes more than the limits.
    """
    found = (reader or PlanReader(1, DEFAULT_LIMITS)).read(_read, path, title="reading a table")
    if not isinstance(found, Failure):
        return found
    if found.reason in LOST:
        raise InputError(
            f"reading the table '{path}' {how_lost(found)}, while it has {path.stat().st_size:,} bytes; "
            "check where it is from, or raise --memory-limit-gb"
        )
    # What a library says may hold a row, with names and texts; its class does not.
    raise InputError(f"the table '{path}' cannot be read ({found.error_class}); write it again")


def _read(path: Path) -> pa.Table:
    return pq.read_table(path)
