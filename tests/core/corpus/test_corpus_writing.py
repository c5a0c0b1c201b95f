"""What a job writes appears whole or not at all, and other programs read it with no code of ours."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
import webdataset
from PIL import Image
from stored_arrays import decode_array

from voxtile.corpus.geoparquet import geo_metadata
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, StorageError, append_rows, new_corpus
from voxtile.errors import CorpusError


def volume(number, **row):
    array = np.random.default_rng(number).integers(-1000, 1000, (6, 20, 30)).astype(np.int16)
    columns = {"uid": sample_uid(str(number)), "subject": f"s{number}", "kind": "volume", "axes": "ZYX", **row}
    return Sample(columns, array, preview=np.full((16, 16), number, np.uint8))


def jpeg(colour=(200, 10, 10), mode="RGB"):
    stream = io.BytesIO()
    Image.new(mode, (40, 30), colour if mode == "RGB" else 7).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def root(tmp_path):
    new_corpus(tmp_path / "corpus")
    return tmp_path / "corpus"


def _files(root):
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def test_published_job_is_one_shard_and_one_part_a_table(root):
    writer = JobWriter(root, "job-1")
    for number in range(3):
        writer.add(volume(number))
    writer.add_rows("splits", [{"scheme": "default", "subject": "s0", "split": "train"}])
    assert _files(root)[-1].endswith(".tmp")
    assert not Corpus(root).table("samples").num_rows
    names = [p.relative_to(root).as_posix() for p in writer.publish()]
    assert names == ["shards/job-1.tar", "tables/splits/job-1.parquet", "tables/samples/job-1.parquet"]
    assert _files(root) == sorted(["corpus.json", *names])


def test_nothing_is_written_for_an_empty_or_discarded_job(root):
    assert JobWriter(root, "empty").publish() == []
    assert append_rows(root, "facts", "empty", []) is None
    writer = JobWriter(root, "gone")
    writer.add(volume(0))
    writer.discard()
    assert _files(root) == ["corpus.json"]


def test_the_same_job_gives_the_same_bytes(root, tmp_path):
    other = tmp_path / "other"
    new_corpus(other)
    for folder in (root, other):
        writer = JobWriter(folder, "job-1")
        writer.add(volume(1))
        writer.add(Sample({"uid": "p", "subject": "s", "kind": "image"}, jpeg()))
        writer.publish()
    assert _files(root) == _files(other)
    assert all((root / name).read_bytes() == (other / name).read_bytes() for name in _files(root))


def test_plain_webdataset_reads_the_shard(root):
    writer = JobWriter(root, "job-1")
    sample = volume(1)
    picture = jpeg()
    writer.add(sample)
    writer.add(Sample({"uid": "picture_1", "subject": "s", "kind": "image"}, picture))
    shard = writer.publish()[0]
    first, second = webdataset.WebDataset(str(shard), shardshuffle=False)
    assert first["__key__"] == sample.row["uid"]
    np.testing.assert_array_equal(decode_array(first["b2nd"]), sample.payload)
    assert np.asarray(Image.open(io.BytesIO(first["preview.jpg"]))).shape == (16, 16)
    assert second["__key__"] == "picture_1"
    assert second["jpg"] == picture


def test_members_carry_no_time_owner_or_place(root):
    writer = JobWriter(root, "job-1")
    writer.add(volume(1))
    with tarfile.open(writer.publish()[0]) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
        assert not tar.pax_headers


def test_rows_address_the_payload(root):
    writer = JobWriter(root, "job-1")
    samples = [volume(number) for number in range(4)]
    for sample in samples:
        writer.add(sample)
    shard, part = writer.publish()
    content = shard.read_bytes()
    for row, sample in zip(pq.read_table(part).to_pylist(), samples, strict=True):
        frame = content[row["offset"] : row["offset"] + row["nbytes"]]
        np.testing.assert_array_equal(decode_array(frame), sample.payload)
        assert (row["shape"], row["dtype"], row["codec"], row["shard"]) == (
            [6, 20, 30],
            "int16",
            "b2nd",
            "shards/job-1.tar",
        )
        assert row["offset"] % 512 == 0


def test_pictures_keep_their_bytes_and_get_their_shape(root):
    writer = JobWriter(root, "job-1")
    for uid, data in (("rgb", jpeg()), ("grey", jpeg(mode="L"))):
        writer.add(Sample({"uid": uid, "subject": "s", "kind": "image"}, data))
    writer.publish()
    corpus = Corpus(root)
    for uid, shape, axes in (("rgb", [30, 40, 3], "YXC"), ("grey", [30, 40], "YX")):
        row = corpus.row(uid)
        assert (row["shape"], row["axes"], row["codec"], row["dtype"]) == (shape, axes, "jpg", "uint8")
    assert corpus.source(corpus.row("rgb")).encoded() == jpeg()


def test_duckdb_and_pandas_read_the_tables(root):
    writer = JobWriter(root, "job-1")
    writer.add(
        volume(1, spacing=[2.5, 1.0, 1.0], channels=[{"name": "ct", "unit": "HU", "scale": 1.0, "offset": -1024.0}])
    )
    writer.add_rows("facts", [{"uid": sample_uid("1"), "concept": "nodule", "polarity": "present", "value": 7.5}])
    writer.publish()
    append_rows(
        root,
        "captions",
        "raw-1",
        [{"caption_id": "c", "uid": sample_uid("1"), "text": "a\0b " * 300000, "kind": "raw"}],
    )
    glob = f"{root}/tables/{{}}/*.parquet"
    query = f"""SELECT spacing[1], channels[1]."offset", concept, length(text) FROM '{glob.format("samples")}' s
        JOIN '{glob.format("facts")}' USING (uid) JOIN '{glob.format("captions")}' USING (uid)"""
    assert duckdb.sql(query).fetchall() == [(2.5, -1024.0, "nodule", 4 * 300000)]
    frame = pd.read_parquet(root / "tables" / "samples")
    assert frame.loc[0, "uid"] == sample_uid("1")
    assert frame.loc[0, "channels"][0]["unit"] == "HU"


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"uid": ""}, "uid ''"),
        ({"uid": "a.b"}, "cannot name"),
        ({"uid": "../../etc"}, "cannot name"),
        ({"subject": None}, "lacks 'subject'"),
        ({"modalty": "CT"}, "no column 'modalty'"),
    ],
)
def test_rows_that_do_not_fit_are_refused(root, row, match):
    writer = JobWriter(root, "job-1")
    with pytest.raises(CorpusError, match=match):
        writer.add(volume(1, **row))
    writer.discard()
    assert _files(root) == ["corpus.json"]


def test_a_uid_twice_in_a_job_is_refused(root):
    writer = JobWriter(root, "job-1")
    writer.add(volume(1))
    with pytest.raises(CorpusError, match="appears twice"):
        writer.add(volume(1))
    writer.discard()


def test_what_is_no_picture_is_refused(root):
    writer = JobWriter(root, "job-1")
    for payload in (b"GIF89a", b"\x89PNG\r\n\x1a\nbroken", b"", None):
        with pytest.raises(CorpusError):
            writer.add(Sample({"uid": "u", "subject": "s", "kind": "image"}, payload))


def test_a_value_of_the_wrong_type_is_one_sentence_and_leaves_nothing(root):
    writer = JobWriter(root, "job-1")
    writer.add(volume(1, spacing="wide"))
    with pytest.raises(CorpusError, match=r"does not fit the table"):
        writer.publish()
    assert _files(root) == ["corpus.json"]


def test_unknown_tables_and_bad_stems_are_refused(root):
    with pytest.raises(CorpusError, match="no table 'fact'"):
        append_rows(root, "fact", "a", [{}])
    with pytest.raises(CorpusError, match="cannot name a shard"):
        JobWriter(root, "../evil")


def test_only_an_empty_folder_becomes_a_corpus(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("")
    with pytest.raises(CorpusError, match="not empty"):
        new_corpus(tmp_path / "a")
    with pytest.raises(CorpusError, match="is a file"):
        new_corpus(tmp_path / "a" / "thesis.txt")
    new_corpus(tmp_path / "b")
    new_corpus(tmp_path / "b")
    (tmp_path / "b" / "corpus.json").write_text('{"format": "voxtile-corpus", "schema": "4.0"}')
    with pytest.raises(CorpusError, match=r"schema version 4\.0"):
        new_corpus(tmp_path / "b")


def _run(code, *arguments):
    # Not measured by `make coverage`, whose own files would be cut by the limit.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


FULL_DISK = """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from voxtile.corpus.writer import JobWriter, StorageError
    from voxtile.engine.task import Sample
    root, limit, pictures = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    writer = JobWriter(root, "job-1")
    try:
        for number in range(pictures):
            noise = np.random.default_rng(number).integers(0, 255, (40, 50, 50)).astype(np.uint8)
            row = {"uid": f"u{number}", "subject": "s", "kind": "volume", "attributes": "x" * 2000 + str(noise[0])}
            writer.add(Sample(row, noise))
        writer.publish()
    except StorageError as error:
        print(error)
"""


@pytest.mark.parametrize(("limit", "pictures"), [(300_000, 10), (104_000, 1), (2_000, 1)])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(root, limit, pictures):
    """The limit on file sizes fails writes as a full disk does: while adding, while finishing the shard, at once."""
    run = _run(FULL_DISK, root, limit, pictures)
    assert run.stderr == ""
    assert "no space is left on the disk; free some" in run.stdout
    assert _files(root) == ["corpus.json"]


def test_a_full_disk_while_writing_a_table_leaves_nothing(root):
    code = """
        import resource, sys
        from pathlib import Path
        from voxtile.corpus.writer import append_rows, StorageError
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        rows = [{"caption_id": str(i), "uid": str(i * i), "text": str(i ** 9), "kind": "raw"} for i in range(1000)]
        try:
            append_rows(Path(sys.argv[1]), "captions", "c", rows)
        except StorageError as error:
            print(error)
    """
    run = _run(code, root)
    assert run.stderr == ""
    assert "no space is left" in run.stdout
    assert _files(root) == ["corpus.json"]


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anywhere")
def test_an_unwritable_folder_is_one_sentence(root):
    code = """
        import sys
        from pathlib import Path
        from voxtile.corpus.writer import append_rows, new_corpus, StorageError
        for action in (
            lambda root: new_corpus(root / "inner"),
            lambda root: append_rows(root, "splits", "a", [{"scheme": "default", "subject": "s", "split": "test"}]),
        ):
            try:
                action(Path(sys.argv[1]))
            except StorageError as error:
                print(error)
    """
    root.chmod(0o555)
    prefix = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []  # root, but held to permissions
    run = [*prefix, sys.executable, "-c", textwrap.dedent(code), str(root)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.count("the folder is not writable; change its permissions") == 2
    assert _files(root) == ["corpus.json"]


def test_storage_error_is_a_corpus_error():
    assert issubclass(StorageError, CorpusError)
    assert StorageError.exit_status == 2


def _polygon(*rings):
    body = b"".join(len(r).to_bytes(4, "little") + np.asarray(r, "<f8").tobytes() for r in rings)
    return b"\x01" + (3).to_bytes(4, "little") + len(rings).to_bytes(4, "little") + body


WEST = _polygon([(-180, 10), (-179, 10), (-179, 12), (-180, 10)])
EAST = _polygon([(179, 10), (180, 10), (180, 12), (179, 10)])
SPLIT = b"\x01" + (6).to_bytes(4, "little") + (2).to_bytes(4, "little") + WEST + EAST


def test_parts_with_geometry_are_geoparquet(root):
    writer = JobWriter(root, "job-1")
    writer.add(volume(1, geometry=SPLIT))
    writer.add(volume(2))
    writer.publish()
    metadata = pq.read_schema(root / "tables/samples/job-1.parquet").metadata
    geo = json.loads(metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry"
    column = geo["columns"]["geometry"]
    assert column == {"encoding": "WKB", "geometry_types": ["MultiPolygon"], "bbox": [-180.0, 10.0, 180.0, 12.0]}
    table = pq.read_table(root / "tables/samples/job-1.parquet")
    assert table.schema.field("geometry").type == "binary"  # a plain column at the root, as the specification demands


def test_parts_without_geometry_are_plain_parquet(root):
    writer = JobWriter(root, "job-1")
    writer.add(volume(2))
    writer.publish()
    assert b"geo" not in pq.read_schema(root / "tables/samples/job-1.parquet").metadata


def test_geopandas_reads_the_part_as_it_stands(root):
    writer = JobWriter(root, "job-1")
    writer.add(volume(1, geometry=SPLIT))
    writer.add(volume(2))
    writer.publish()
    frame = geopandas.read_parquet(root / "tables/samples/job-1.parquet")
    assert frame.crs == "OGC:CRS84"
    assert frame.geometry[0].equals(shapely.union(shapely.from_wkb(WEST), shapely.from_wkb(EAST)))
    assert frame.geometry[0].bounds == (-180, 10, 180, 12)
    assert frame.geometry[1] is None


def test_shapely_agrees_on_types_and_bounds():
    shapes = [shapely.Point(3, 4), shapely.LineString([(0, 0), (1, 5)]), shapely.from_wkb(SPLIT), shapely.Point()]
    shapes += [shapely.box(1, 2, 3, 4), shapely.GeometryCollection([shapely.Point(9, 9), shapely.box(0, 0, 1, 1)])]
    for shape in shapes:
        for order in (0, 1):
            column = json.loads(geo_metadata([shapely.to_wkb(shape, byte_order=order)]))["columns"]["geometry"]
            assert column["geometry_types"] == [shape.geom_type]
            assert tuple(column.get("bbox", ())) == (() if shape.is_empty else shape.bounds)


@pytest.mark.parametrize(
    "wkb", [b"", b"\x01", b"\x07" * 20, WEST[:-3], WEST + b"x", WEST[:9] + b"\xff\xff\xff\x7f" + WEST[13:]]
)
def test_broken_geometry_is_refused(wkb):
    with pytest.raises(ValueError, match="WKB"):
        geo_metadata([wkb])
