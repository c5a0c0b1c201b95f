"""File names that are not UTF-8, in every kind of input: one row each, with escapes for the bytes."""

from __future__ import annotations

import os
import shutil

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from voxtile.errors import RunFailedError
from voxtile.stages.ingest.command import import_csv, import_wds
from voxtile_datasets.converters.image import convert_image
from voxtile_pathology.convert.convert import convert_wsi
from voxtile_remote_sensing.tiles.convert import convert_geotiff

ODD = os.fsdecode(b"odd-\xff")


def rows_after(convert, source, corpus, **options):
    """Convert in this process, where one input must fail; source → verdict."""
    with pytest.raises(RunFailedError, match="unreadable-name"):
        convert(source, corpus, engine="inline", **options)
    rows = ds.dataset(corpus / "ledger").to_table().to_pylist()
    return {row["source"]: row["reason"] or row["status"] for row in rows}


def test_pictures(tmp_path, table_files):
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("a.png", f"{ODD}.png")):
        (tmp_path / "in" / name).write_bytes(table_files.picture(number))
    found = rows_after(convert_image, tmp_path / "in", tmp_path / "c")
    assert found == {"a.png": "used", "odd-\\xff.png": "unreadable-name"}
    hidden = rows_after(convert_image, tmp_path / "in", tmp_path / "hidden", deidentify=True)
    paths = pq.read_table(tmp_path / "hidden.sources.parquet")
    names = dict(zip(paths["source"].to_pylist(), paths["path"].to_pylist(), strict=True))
    assert {names[source]: verdict for source, verdict in hidden.items()} == found


def test_scenes(tmp_path, raster_files):
    raster_files.geotiff(tmp_path / "in" / "a.tif")
    os.rename(raster_files.geotiff(tmp_path / "in" / "b.tif", left=700_000.0), tmp_path / "in" / f"{ODD}.tif")
    found = rows_after(convert_geotiff, tmp_path / "in", tmp_path / "c", block="200km")
    assert {name: found[name] for name in ("a.tif", "odd-\\xff.tif")} == {
        "a.tif": "used",
        "odd-\\xff.tif": "unreadable-name",
    }


def test_a_slide_is_one_row_and_not_one_a_block(tmp_path, raster_files):
    (tmp_path / "in").mkdir()
    raster_files.slide(tmp_path / "in" / "a.tif")
    shutil.copy(tmp_path / "in" / "a.tif", tmp_path / "in" / f"{ODD}.tif")
    found = rows_after(convert_wsi, tmp_path / "in", tmp_path / "c", deidentify=False)
    assert [source for source, verdict in found.items() if verdict == "unreadable-name"] == ["odd-\\xff.tif"]
    assert "a.tif" in found


def test_a_table_and_a_tar(tmp_path, table_files):
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(("a.png", f"{ODD}.png")):
        (folder / name).write_bytes(table_files.picture(number))
    (folder / "p.csv").write_bytes(b"filepath,title\na.png,one\nodd-\xff.png,two\nnul\0.png,three\n")
    found = rows_after(import_csv, folder / "p.csv", tmp_path / "csv")
    assert found == {"a.png": "used", "odd-\\xff.png": "unreadable-name", "nul\0.png": "unreadable-name"}
    table_files.write_tar(tmp_path / "t.tar", ("a", ODD))
    found = rows_after(import_wds, tmp_path / "t.tar", tmp_path / "wds")
    assert found == {"t.tar/a": "used", "t.tar/odd-\\xff": "unreadable-name"}
