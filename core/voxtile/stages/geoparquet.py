"""`voxtile export-geoparquet`: the samples of a corpus as one GeoParquet file, for QGIS, geopandas and DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxtile.console import output
from voxtile.corpus.geoparquet import BBOX_COLUMN, GEO_KEY, GeometryColumn
from voxtile.corpus.parts import part_dataset
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import SAMPLES
from voxtile.corpus.storage import publish_all, storage_errors
from voxtile.errors import ConfigError, CorpusError
from voxtile.folders import OutputFile

_ROWS = 20_000  # a row group: small enough that a map viewer skips most of them by their boxes
_BOX = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])


def export_geoparquet(corpus: Path, out: OutputFile, *, scheme: str = "default") -> None:
    """Merge the parts of `samples` into one GeoParquet 1.1 file, with each sample's split and bounding box.

    Footprints are in longitude and latitude (OGC:CRS84), split at the dateline; samples without one are left out.

    Args:
        corpus: the corpus.
        out: file to write; ends in .parquet.
        scheme: split scheme of the column `split`.

    Raises:
        ConfigError: the file's name does not end in .parquet.
        CorpusError: no sample has a footprint, or the file cannot be written.
    """
    if out.suffix != ".parquet":
        raise ConfigError(f"'{out}' must end in .parquet, by which QGIS and others know the format")
    store = Corpus(corpus)
    splits = store.splits(scheme)
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    counts: list[int] = []

    def fill(target: Path) -> None:
        counts.append(_write(store, splits, target))
        if not counts[-1]:
            raise CorpusError(f"no sample of '{corpus}' has a footprint; convert scenes with: voxtile convert geotiff")

    publish_all([(out, fill)])
    output().print(f"{counts[-1]:,} samples: {out}", highlight=False, markup=False)


def _write(store: Corpus, splits: dict[str, str], target: Path) -> int:
    column = GeometryColumn()
    schema = SAMPLES.remove_metadata().append(pa.field("split", pa.string())).append(pa.field(BBOX_COLUMN, _BOX))
    count = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for table in _grouped(_batches(store)):
            writer.write_table(_with_places(table, splits, column, schema), row_group_size=_ROWS)
            count += table.num_rows
        writer.add_key_value_metadata({GEO_KEY: column.metadata(has_boxes=True)})
    return count


def _batches(store: Corpus) -> Iterator[pa.RecordBatch]:
    for root in range(len(store.roots)):
        paths = store.parts("samples", root)
        if paths:
            scanner = part_dataset(paths, SAMPLES).scanner(
                filter=pc.field("geometry").is_valid(), batch_size=_ROWS, batch_readahead=1, fragment_readahead=1
            )
            yield from (batch for batch in scanner.to_batches() if batch.num_rows)


def _grouped(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join the many small parts of a corpus into row groups."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(held.num_rows for held in group) >= _ROWS:
            yield pa.Table.from_batches(group)
            group = []
    if group:
        yield pa.Table.from_batches(group)


def _with_places(table: pa.Table, splits: dict[str, str], column: GeometryColumn, schema: pa.Schema) -> pa.Table:
    try:
        boxes = [column.add(wkb) for wkb in table["geometry"].to_pylist()]
    except ValueError as error:
        raise CorpusError(f"a footprint is damaged ({error}); run 'voxtile verify' on the corpus") from error
    sides = [None if box is None else dict(zip(_BOX.names, box, strict=True)) for box in boxes]
    named = [splits.get(subject) for subject in table["subject"].to_pylist()]
    columns = [*table.columns, pa.array(named, pa.string()), pa.array(sides, _BOX)]
    return pa.Table.from_arrays(columns, schema=schema)
