"""Writing what was selected, row by row in the order of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.view.selection import CAPTIONS, SAMPLES, Selection, write_selection
from voxtile_datasets.curation.candidates import Pool, scan
from voxtile_datasets.curation.similarity_links import Mask

_SAMPLE_ROWS = pa.schema([("uid", pa.string()), ("weight", pa.float64())])
_CAPTION_ROWS = pa.schema([("caption_id", pa.string())])


def publish(
    pool: Pool,
    weights: npt.NDArray[np.float64],
    folder: Path,
    scratch: Path,
    about: dict[str, Any],
    *,
    captions_chosen: bool,
) -> Selection:
    """Write the selection of a view.

    Args:
        pool: what is selected.
        weights: [samples] of draws.
        folder: `views/NAME.selection`.
        scratch: where the files are made first; on the same disk.
        about: how it was made.
        captions_chosen: whether a step chose captions; otherwise the view takes all those of its samples, also ones
            that are written later.

    Raises:
        StorageError: the folder cannot be written.
    """
    files = [_write(scratch / SAMPLES, _SAMPLE_ROWS, pool, "samples", "uid", pool.keep, weights)]
    if captions_chosen:
        files.append(_write(scratch / CAPTIONS, _CAPTION_ROWS, pool, "captions", "caption_id", pool.keep_captions))
    lowest, highest = (  # without a copy of as many numbers as there are samples
        float(extreme(weights, where=pool.open_samples, initial=initial))
        for extreme, initial in ((np.min, np.inf), (np.max, -np.inf))
    )
    weighted = lowest < highest
    return write_selection(folder, files, {**about, "weighted": weighted})


def _write(
    path: Path,
    schema: pa.Schema,
    pool: Pool,
    table: str,
    column: str,
    keep: Mask,
    *numbers: npt.NDArray[np.float64],
) -> Path:
    """Write the chosen ids with their numbers, if there are any."""
    start = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in scan(pool.store, table, [column]):
            chosen = np.flatnonzero(keep[start : start + len(batch)])
            arrays: Sequence[pa.Array] = [
                batch.column(0).take(pa.array(chosen)).cast(pa.string()),
                *(pa.array(values[start + chosen]) for values in numbers),
            ]
            if len(chosen):
                writer.write_table(pa.Table.from_arrays(list(arrays), schema=schema))
            start += len(batch)
    return path
