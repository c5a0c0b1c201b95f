"""`voxtile export-geoparquet`: valid by the specification's own tests, and readable by geopandas and DuckDB."""

import geopandas
import geoparquet_validator
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from voxtile.corpus.geoparquet import outlines
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.errors import ConfigError, CorpusError
from voxtile.stages.geoparquet import export_geoparquet

DATELINE = shapely.MultiPolygon([shapely.box(179, 10, 180, 11), shapely.box(-180, 10, -179, 11)])
SHAPES = [shapely.box(x, 45, x + 0.1, 45.1) for x in range(5)] + [DATELINE]


@pytest.fixture
def corpus(tmp_path):
    """Three parts: two with footprints, one sample without."""
    root = tmp_path / "corpus"
    new_corpus(root)
    for part, numbers in enumerate(((0, 1, 2), (3, 4, 5), ())):
        writer = JobWriter(root, f"job-{part}")
        for number in numbers:
            row = {"uid": f"u{number}", "subject": f"s{number % 3}", "kind": "tile", "axes": "CYX", "crs": "EPSG:32632"}
            row |= {"geometry": shapely.to_wkb(SHAPES[number]), "bounds": [0.0, 0.0, 1.0, 1.0]}
            row |= {"channels": [{"name": "B04", "wavelength_nm": 665.0, "unit": "reflectance", "scale": 1e-4}]}
            writer.add(Sample(row, np.zeros((1, 4, 4), np.uint16)))
        if not numbers:
            writer.add(Sample({"uid": "nowhere", "subject": "s9", "kind": "tile"}, np.zeros((1, 4, 4), np.uint16)))
        writer.publish()
    rows = [
        {"scheme": "default", "subject": f"s{i}", "split": split} for i, split in enumerate(("train", "val", "test"))
    ]
    append_rows(root, "splits", "splits-0", rows)
    return root


def test_the_merged_file_passes_the_public_validator(corpus, tmp_path):
    export_geoparquet(corpus, tmp_path / "out.parquet")
    report = geoparquet_validator.check(str(tmp_path / "out.parquet"))
    assert not geoparquet_validator.failed(report)
    passed = {o["id"] for o in report["outcomes"] if o["status"] == "pass"}
    assert len(passed) >= 8
    assert any("covering" in name for name in passed)


def test_every_part_passes_the_public_validator(corpus):
    parts = [p for p in sorted((corpus / "tables/samples").glob("*.parquet")) if b"geo" in pq.read_schema(p).metadata]
    assert len(parts) == 2
    for part in parts:
        assert not geoparquet_validator.failed(geoparquet_validator.check(str(part)), "core")


def test_the_validator_can_fail(corpus, tmp_path):
    """Damaged metadata is noticed, so passing means something."""
    export_geoparquet(corpus, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    wrong = (pq.read_metadata(tmp_path / "out.parquet").metadata)[b"geo"].replace(b"MultiPolygon", b"Point")
    pq.write_table(table.replace_schema_metadata({b"geo": wrong}), tmp_path / "wrong.parquet")
    assert geoparquet_validator.failed(geoparquet_validator.check(str(tmp_path / "wrong.parquet")))


def test_geopandas_reads_shapes_crs_and_splits(corpus, tmp_path):
    export_geoparquet(corpus, tmp_path / "out.parquet")
    frame = geopandas.read_parquet(tmp_path / "out.parquet")
    assert frame.crs.to_authority() == ("OGC", "CRS84")
    assert list(frame["uid"]) == [f"u{i}" for i in range(6)]
    assert all(a.equals(b) for a, b in zip(frame.geometry, SHAPES, strict=True))
    assert list(frame["split"]) == ["train", "val", "test"] * 2
    boxes = pq.read_table(tmp_path / "out.parquet")["bbox"].to_pylist()
    assert [tuple(box.values()) for box in boxes] == list(frame.geometry.bounds.itertuples(index=False, name=None))


def test_geopandas_skips_by_the_boxes(corpus, tmp_path):
    export_geoparquet(corpus, tmp_path / "out.parquet")
    assert list(geopandas.read_parquet(tmp_path / "out.parquet", bbox=(1.05, 45, 2.05, 46))["uid"]) == ["u1", "u2"]


def test_exporting_twice_gives_the_same_bytes(corpus, tmp_path):
    for name in ("a.parquet", "b.parquet"):
        export_geoparquet(corpus, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_corpus_without_footprints_is_refused(tmp_path):
    new_corpus(tmp_path / "corpus")
    with pytest.raises(CorpusError, match=r"no sample .* footprint"):
        export_geoparquet(tmp_path / "corpus", tmp_path / "out.parquet")
    assert not list(tmp_path.glob("*out*"))


def test_another_suffix_is_refused(corpus, tmp_path):
    with pytest.raises(ConfigError, match=r"must end in \.parquet"):
        export_geoparquet(corpus, tmp_path / "out.gpq")


def test_outlines_are_those_of_shapely():
    shapes = [DATELINE, shapely.box(0, 0, 1, 1).difference(shapely.box(0.2, 0.2, 0.4, 0.4)), shapely.Point(3, 4)]
    for shape in shapes:
        expected = shapely.get_coordinates(shape).tolist()
        assert [list(point) for ring in outlines(shapely.to_wkb(shape)) for point in ring] == expected
