"""Unions, ledgers, splits, SQL, references, and what damaged or foreign tables say."""

import io
import json
import re

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.schema import LEDGER, SAMPLES, SPLITS
from voxtile.corpus.shards.codecs import encode_array
from voxtile.corpus.sql_condition import condition_error, disk_error
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.errors import CorpusError


def make_corpus(root, numbers, stem="job-1"):
    new_corpus(root)
    writer = JobWriter(root, stem)
    for number in numbers:
        row = {"uid": f"u{number}", "subject": f"s{number}", "kind": "volume", "axes": "ZYX"}
        writer.add(Sample(row, np.full((2, 3, 4), number, np.int16), preview=np.full((8, 8, 3), number, np.uint8)))
    writer.publish()
    return root


@pytest.fixture
def root(tmp_path):
    return make_corpus(tmp_path / "a", [1, 2])


def _ledger(root, stem, rows):
    (root / "ledger").mkdir(exist_ok=True)
    full = [{"reason": None, "error_class": None, "uid": None, **row} for row in rows]
    pq.write_table(pa.Table.from_pylist(full, schema=LEDGER), root / "ledger" / f"{stem}.parquet")


@given(st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_a_union_is_the_rows_of_all_with_their_roots(tmp_path_factory, groups):
    folder = tmp_path_factory.mktemp("union")
    roots = [make_corpus(folder / str(index), numbers) for index, numbers in enumerate(groups)]
    corpus = Corpus(*roots)
    rows = corpus.table("samples", with_root=True).to_pylist()
    expected = {(index, f"u{number}") for index, numbers in enumerate(groups) for number in numbers}
    assert {(row["corpus"], row["uid"]) for row in rows} == expected
    assert len(rows) == len(expected)
    for row in rows:
        assert (corpus.source(row).array() == int(row["uid"][1:])).all()
        assert corpus.shard_path(row) == roots[row["corpus"]] / "shards/job-1.tar"
    with corpus.connection() as connection:
        assert set(connection.execute("SELECT corpus, uid FROM samples").fetchall()) == expected


def test_columns_are_chosen_and_checked(root):
    table = Corpus(root).table("samples", ["uid", "shape"])
    assert table.column_names == ["uid", "shape"]
    assert Corpus(root).table("facts", ["uid"]).num_rows == 0
    with pytest.raises(CorpusError, match="no column 'labels'"):
        Corpus(root).table("samples", ["labels"])
    with pytest.raises(CorpusError, match=r"no table 'sample'; there are: samples"):
        Corpus(root).table("sample")


def test_rows_are_found_by_uid(root, tmp_path):
    corpus = Corpus(root, make_corpus(tmp_path / "b", [2, 3]))
    assert corpus.row("u3")["corpus"] == 1
    with pytest.raises(CorpusError, match="no sample has the uid 'u9'"):
        corpus.row("u9")
    with pytest.raises(CorpusError, match="2 samples have the uid 'u2'"):
        corpus.row("u2")
    with pytest.raises(CorpusError, match="does not say which corpus"):
        corpus.source({"uid": "u1", "codec": "b2nd"})


def test_a_source_reads_boxes_and_previews(root):
    source = Corpus(root).source(Corpus(root).row("u2"))
    assert source.array((slice(0, 1), slice(1, 3))).shape == (1, 2, 4)
    assert source.meta["subject"] == "s2"
    assert Image.open(io.BytesIO(source.preview())).size == (8, 8)
    with pytest.raises(CorpusError, match="is an array, not a picture"):
        source.encoded()


def test_the_last_attempt_counts(root, tmp_path):
    _ledger(
        root, "a", [{"source": "x", "attempt": 1, "status": "failed"}, {"source": "y", "attempt": 1, "status": "used"}]
    )
    _ledger(root, "b", [{"source": "x", "attempt": 2, "status": "used"}])
    other = make_corpus(tmp_path / "b", [5])
    _ledger(other, "a", [{"source": "x", "attempt": 1, "status": "dropped"}])
    rows = [(row["source"], row["status"]) for row in Corpus(root, other).ledger().to_pylist()]
    assert sorted(rows) == [("x", "dropped"), ("x", "used"), ("y", "used")]
    with Corpus(root).connection() as connection:
        assert connection.execute("SELECT status, count(*) FROM ledger GROUP BY 1").fetchall() == [("used", 2)]


def test_splits_are_per_scheme_and_a_subject_has_one(root):
    rows = [("default", "a", "train"), ("default", "b", "test"), ("other", "a", "test"), ("default", "a", "train")]
    append_rows(root, "splits", "one", [dict(zip(SPLITS.names, row, strict=True)) for row in rows])
    assert Corpus(root).splits() == {"a": "train", "b": "test"}
    assert Corpus(root).splits("other") == {"a": "test"}
    append_rows(root, "splits", "two", [{"scheme": "default", "subject": "b", "split": "train"}])
    with pytest.raises(CorpusError, match="subject 'b' is in two splits of scheme 'default'"):
        Corpus(root).splits()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY samples TO '{tmp}/stolen.csv'",
        "ATTACH '{tmp}/new.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM secret_frame",
    ],
)
def test_sql_reaches_nothing_outside_the_tables(root, tmp_path, statement):
    secret_frame = pa.table({"a": [1]})  # DuckDB would find it by its Python name
    assert secret_frame.num_rows == 1
    with Corpus(root).connection() as connection, pytest.raises(duckdb.Error):
        connection.execute(statement.format(tmp=tmp_path)).fetchall()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_jobs_that_are_not_committed_are_invisible(root):
    (root / "done").mkdir()
    (root / "done" / "0001.pending").write_text("job-2")
    writer = JobWriter(root, "job-2")
    writer.add(Sample({"uid": "u9", "subject": "s9", "kind": "image"}, np.ones((2, 2))))
    writer.publish()
    assert Corpus(root).table("samples")["uid"].to_pylist() == ["u1", "u2"]
    (root / "done" / "0001.json").write_text('{"files": {}}')
    assert Corpus(root).table("samples")["uid"].to_pylist() == ["u1", "u2", "u9"]


def test_folders_that_are_no_corpus(tmp_path):
    with pytest.raises(CorpusError, match=r"has no corpus\.json"):
        Corpus(tmp_path / "none")
    new_corpus(tmp_path / "x")
    (tmp_path / "x" / "corpus.json").write_text("{")
    with pytest.raises(CorpusError, match="is damaged"):
        Corpus(tmp_path / "x")
    with pytest.raises(CorpusError, match="no corpus was given"):
        Corpus()


@pytest.mark.parametrize(("version", "fine"), [("1.7", True), ("3.7", True), ("4.0", False), ("x", False)])
def test_newer_minor_versions_are_read_and_newer_major_ones_refused(root, version, fine):
    (root / "corpus.json").write_text(json.dumps({"format": "voxtile-corpus", "schema": version}))
    if fine:
        assert Corpus(root).table("samples").num_rows == 2
    else:
        with pytest.raises(CorpusError, match=r"upgrade it|not a version"):
            Corpus(root)


def test_a_part_of_a_newer_version_is_refused(root):
    part = root / "tables/samples/job-1.parquet"
    table = pq.read_table(part)
    pq.write_table(table.replace_schema_metadata({b"voxtile_schema": b"4.1"}), part)
    with pytest.raises(CorpusError, match=r"job-1\.parquet' was made with schema version 4\.1"):
        Corpus(root).table("samples")


def test_a_missing_column_is_named(root):
    part = root / "tables/samples/job-1.parquet"
    pq.write_table(pq.read_table(part).drop(["affine"]), part)
    with pytest.raises(CorpusError, match=r"job-1\.parquet' lacks the column 'affine'"):
        Corpus(root).table("samples", ["uid"])


def test_a_column_of_another_type_is_named(root):
    part = root / "tables/samples/job-1.parquet"
    table = pq.read_table(part)
    pq.write_table(table.set_column(0, "uid", pa.array([1, 2])), part)
    with pytest.raises(CorpusError, match="holds 'uid' as int64 instead of string"):
        Corpus(root).table("samples")


def test_a_part_by_pandas_or_duckdb_is_read(root):
    """Other programs choose wider strings and drop our metadata."""
    frame = pq.read_table(root / "tables/samples/job-1.parquet")
    wide = frame.set_column(0, "uid", frame["uid"].cast(pa.large_string())).replace_schema_metadata(None)
    pq.write_table(wide, root / "tables/samples/job-1.parquet")
    duckdb.sql(f"COPY (SELECT 'default' AS scheme, 's1' AS subject, 'val' AS split) TO '{root}/tables/splits.parquet'")
    (root / "tables/splits").mkdir()
    (root / "tables/splits.parquet").rename(root / "tables/splits/sql.parquet")
    assert Corpus(root).table("samples").schema.field("uid").type == pa.string()
    assert Corpus(root).splits() == {"s1": "val"}


@pytest.mark.parametrize("content", [b"", b"PAR1" + bytes(100) + b"PAR1", b"not parquet at all"])
def test_a_file_that_is_no_parquet(root, content):
    (root / "tables/samples/zzz.parquet").write_bytes(content)
    with pytest.raises(CorpusError, match=r"zzz\.parquet' is not a readable Parquet file"):
        Corpus(root).table("samples")


def test_truncated_shard_and_missing_shard(root):
    shard = root / "shards/job-1.tar"
    shard.write_bytes(shard.read_bytes()[:600])
    corpus = Corpus(root)
    with pytest.raises(CorpusError, match="the shard is cut short"):
        corpus.source(corpus.row("u1")).array()
    shard.unlink()
    with pytest.raises(CorpusError, match="is missing"):
        corpus.source(corpus.row("u1")).array()


@pytest.mark.parametrize("shard", ["/etc/passwd", "../../etc/passwd"])
def test_rows_that_point_outside_the_corpus_are_refused(root, shard):
    row = Corpus(root).row("u1") | {"shard": shard}
    with pytest.raises(CorpusError, match="points outside its corpus"):
        Corpus(root).source(row).array()


def _reference(root, uri, **row):
    writer = JobWriter(root, "ref-1")
    reference = json.dumps({"uri": uri, "box": row.pop("box", None)})
    writer.add(Sample({"uid": "r", "subject": "s", "kind": "image", "codec": "ref", "ref": reference, **row}, None))
    writer.publish()
    return Corpus(root).source(Corpus(root).row("r"))


@pytest.mark.parametrize("style", ["relative", "absolute", "uri"])
def test_referenced_pictures_stay_where_they_are(root, tmp_path, style):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    path = tmp_path / "some picture.png"
    Image.fromarray(pixels).save(path)
    uri = {"relative": "../some picture.png", "absolute": str(path), "uri": path.as_uri()}[style]
    source = _reference(root, uri)
    assert source.encoded() == path.read_bytes()
    path.unlink()
    with pytest.raises(CorpusError, match="put it back"):
        source.encoded()


def test_a_box_of_a_referenced_picture_and_array(root, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    cropped = _reference(root, "../p.png", box=[2, 3, 12, 23]).encoded()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(cropped))), pixels[2:12, 3:23])
    volume = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    (tmp_path / "v.b2nd").write_bytes(encode_array(volume))
    source = _reference(root, "../v.b2nd", box=[1, 1, 1, 4, 4, 5])
    np.testing.assert_array_equal(source.array(), volume[1:4, 1:4, 1:5])
    np.testing.assert_array_equal(source.array((slice(1, 2), slice(0, 2))), volume[2:3, 1:3, 1:5])


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("https://example.org/a.png", "name its address in VOXTILE_REFERENCES"),
        ("ftp://example.org/a.png", "copy the file and import it again"),
    ],
)
def test_remote_references_say_what_to_do(root, uri, sentence):
    with pytest.raises(CorpusError, match=sentence):
        _reference(root, uri).encoded()


def test_schema_has_a_column_order_that_rows_keep(root):
    assert Corpus(root).table("samples").schema.names == SAMPLES.names


@pytest.mark.parametrize("by", ["the database", "a stream that it reads", "a command"])
def test_a_disk_that_fails_is_one_sentence(by, monkeypatch, capsys):
    """No file is as broken as /proc/self/mem, whose first byte is EIO on every Linux."""

    def batches():
        with open("/proc/self/mem", "rb", buffering=0) as file:
            file.read(1)
        yield

    def read(_):
        if by == "a command":
            next(batches())
        with duckdb.connect() as connection:
            if by == "the database":
                connection.sql("SELECT * FROM read_text('/proc/self/mem')").fetchall()
            stream = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), batches())
            connection.register("part", stream)
            connection.sql("SELECT * FROM part").fetchall()

    monkeypatch.setattr("voxtile.cli.main._dispatch", read)
    assert main([]) == 2
    what = "Input" if by == "a command" else "the tables cannot be read, .*Input"
    sentence = rf"voxtile: error: {what}/output error.*; see to the disk, then run the same command again\n"
    assert re.fullmatch(sentence, capsys.readouterr().err)


def test_a_condition_that_is_wrong_is_not_laid_to_the_disk():
    with duckdb.connect() as connection, pytest.raises(duckdb.Error) as raised:
        connection.sql("SELECT nothing FROM nowhere")
    assert disk_error(raised.value) is None
    assert "is not a valid SQL condition" in str(condition_error(raised.value, "nothing", "--where", ["uid"]))
