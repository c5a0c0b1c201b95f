"""Importing sets whose folders and files say splits, classes and captions, as CLIP_benchmark and Hugging Face do."""

import io
import json
import re
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.splits import splits_of_files
from voxtile.errors import InputError, RunFailedError
from voxtile.stages.ingest.command import import_parquet, import_wds


def picture(seed):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write_set(folder, first, kind, members):
    """A shard as `clip_benchmark.webdataset_builder` writes it, and the number of its shards."""
    folder.mkdir(parents=True)
    (folder / "nshards.txt").write_text("1")
    numbered = enumerate(members, first)
    pairs = [
        (f"s{n:07d}.{name}", content) for n, data in numbered for name, content in ((kind, data), ("png", picture(n)))
    ]
    write_tar(folder / "0.tar", pairs)


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def by_source(root, table):
    corpus = Corpus(root)
    source = {row["uid"]: row["source"] for row in corpus.table("samples").to_pylist()}
    found = {name: [] for name in source.values()}
    for row in corpus.table(table).to_pylist():
        found[source[row["uid"]]].append(row)
    return found


def splits(root):
    corpus = Corpus(root)
    split = {row["subject"]: row["split"] for row in corpus.table("splits").to_pylist()}
    return {row["source"]: split[row["subject"]] for row in corpus.table("samples").to_pylist()}


def test_lines_of_a_retrieval_set_are_captions_and_its_folders_splits(tmp_path):
    write_set(tmp_path / "in/train", 0, "txt", [b"one\ntwo\n", b"three"])
    write_set(tmp_path / "in/test", 5, "txt", [b"four\n\nfive"])
    (tmp_path / "in/dataset_type.txt").write_text("retrieval\n")
    import_wds(tmp_path / "in", tmp_path / "corpus", engine="inline")
    texts = {
        source: [row["text"] for row in rows] for source, rows in by_source(tmp_path / "corpus", "captions").items()
    }
    assert texts == {
        "train/0.tar/s0000000": ["one", "two"], "train/0.tar/s0000001": ["three"],
        "test/0.tar/s0000005": ["four", "five"],
    }  # fmt: skip
    assert splits(tmp_path / "corpus") == {source: source.split("/")[0] for source in texts}


def test_a_text_of_several_lines_is_one_caption_elsewhere(tmp_path):
    write_set(tmp_path / "in", 0, "txt", [b"one\ntwo"])
    import_wds(tmp_path / "in", tmp_path / "corpus", engine="inline")
    ((row,),) = by_source(tmp_path / "corpus", "captions").values()
    assert row["text"] == "one\ntwo"


def test_numbers_of_a_classification_set_are_classes(tmp_path):
    write_set(tmp_path / "in/test", 0, "cls", [b"1", b"0", b"7"])
    (tmp_path / "in/classnames.txt").write_text("airport\nriver bank\n")
    with pytest.raises(RunFailedError):
        import_wds(tmp_path / "in/test", tmp_path / "corpus", engine="inline")
    facts = by_source(tmp_path / "corpus", "facts")
    assert {source: [row["concept"] for row in rows] for source, rows in facts.items()} == {
        "0.tar/s0000000": ["river bank"], "0.tar/s0000001": ["airport"],
    }  # fmt: skip
    scopes = Corpus(tmp_path / "corpus").table("scopes").to_pylist()
    assert {(row["closed"], tuple(row["concepts"])) for row in scopes} == {(True, ("airport", "river bank"))}
    ledger = {row["source"]: row["reason"] for row in Corpus(tmp_path / "corpus").ledger().to_pylist()}
    assert ledger["0.tar/s0000002"] == "unknown-class"


@pytest.mark.parametrize("source", ["in", "in/test", "in/test/0.tar"])
def test_a_set_of_a_test_alone_is_test(tmp_path, source):
    write_set(tmp_path / "in/test", 0, "cls", [b"1", b"0"] * 4)
    (tmp_path / "in/test/nshards.txt").write_text("1")
    (tmp_path / "in/classnames.txt").write_text("airport\nriver bank\n")
    import_wds(tmp_path / source, tmp_path / "corpus", engine="inline")
    assert set(splits(tmp_path / "corpus").values()) == {"test"}


def test_a_list_of_shards_says_to_give_their_folder(tmp_path):
    with pytest.raises(InputError, match=r"give the folder '.*pairs', all of which is read"):
        import_wds(tmp_path / "pairs/{000..012}.tar", tmp_path / "corpus", engine="inline")


def test_an_import_of_nothing_says_what_to_do(tmp_path, capsys):
    write_set(tmp_path / "in", 0, "cls", [b"1"])
    import_wds(tmp_path / "in", tmp_path / "a", engine="inline")
    assert "(cls) need their names in classnames.txt" in " ".join(capsys.readouterr().err.split())
    table = pa.table({"url": ["http://a/1.jpg"], "caption": ["one"], "key": ["000000"]})
    pq.write_table(table, tmp_path / "in/00000.parquet")
    import_parquet(tmp_path / "in", tmp_path / "b", engine="inline")
    assert "import the tars with 'voxtile import wds'" in " ".join(capsys.readouterr().err.split())


def test_files_of_hugging_face_say_their_split(tmp_path):
    for number, name in enumerate(("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001")):
        table = pa.table({"image": [{"bytes": picture(number), "path": None}], "caption": [f"text {number}"]})
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / f"data/{name}.parquet")
    import_parquet(tmp_path, tmp_path / "corpus", engine="inline")
    assert sorted(splits(tmp_path / "corpus").values()) == ["train", "train", "val"]


def rows(folder, subjects, splits, name="pairs.parquet", kind=None):
    columns = {"subject_id": pa.array(subjects, kind), "Split": pa.array(splits)}
    pictures = [picture(number) for number in range(len(subjects))]
    pq.write_table(pa.table({"image": pictures, "caption": ["text"] * len(subjects), **columns}), folder / name)


@pytest.mark.parametrize(("subjects", "kind"), [(["7", "7", "8", None], None), ([7, 7, 8, None], pa.float64())])
def test_parquet_subjects_and_splits_are_used(tmp_path, subjects, kind):
    rows(tmp_path, subjects, ["test", "test", "validation", "train"], kind=kind)
    import_parquet(tmp_path / "pairs.parquet", tmp_path / "corpus", engine="inline")
    found = dict(Corpus(tmp_path / "corpus").splits())
    assert (found.pop("7"), found.pop("8"), list(found.values())) == ("test", "val", ["train"])


def test_a_row_says_its_split_better_than_its_file(tmp_path):
    for name in ("train-0.parquet", "test-0.parquet"):
        rows(tmp_path, [name], ["val"], name)
    import_parquet(tmp_path, tmp_path / "corpus", engine="inline")
    assert set(splits(tmp_path / "corpus").values()) == {"val"}


@pytest.mark.parametrize(
    ("given", "message"),
    [(["train", "test"], "puts a subject into the split 'test'"), (["train", "restval"], "another split ('restval')")],
)
def test_parquet_that_says_what_cannot_be_makes_nothing(tmp_path, given, message):
    rows(tmp_path, ["p1", "p1"], given)
    with pytest.raises(InputError, match=re.escape(message)):
        import_parquet(tmp_path / "pairs.parquet", tmp_path / "corpus", engine="inline")
    assert not (tmp_path / "corpus").exists()


def test_two_pictures_of_one_name_in_a_row_are_no_pair(tmp_path):
    named = [("a.png", picture(0)), ("a.txt", b"first"), ("a.png", picture(1)), ("a.txt", b"second")]
    write_tar(tmp_path / "0.tar", [*named, ("b.txt", b"one"), ("b.png", picture(2)), ("b.txt", b"two")])
    with pytest.raises(RunFailedError):
        import_wds(tmp_path / "0.tar", tmp_path / "corpus", engine="inline")
    told = by_source(tmp_path / "corpus", "captions")
    assert {name: sorted(row["text"] for row in texts) for name, texts in told.items()} == {"0.tar/b": ["one", "two"]}


def test_pictures_that_exif_turns_are_told(tmp_path, capsys):
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(turned, "JPEG", exif=exif)
    write_tar(
        tmp_path / "0.tar", [("a.jpg", turned.getvalue()), ("a.txt", b"one"), ("b.png", picture(0)), ("b.txt", b"two")]
    )
    import_wds(tmp_path / "0.tar", tmp_path / "corpus", engine="inline")
    assert [row["reason"] for row in Corpus(tmp_path / "corpus").ledger().to_pylist()].count("turned-by-exif") == 1
    assert "EXIF asks viewers to turn" in " ".join(capsys.readouterr().err.split())


def test_subjects_of_json_members_are_used_and_are_in_one_split(tmp_path):
    def shard(folder, first, *records):
        (tmp_path / folder).mkdir(parents=True)
        members = [(f"{n}.json", json.dumps(record).encode()) for n, record in enumerate(records)]
        pictures = [(f"{n}.png", picture(first + n)) for n in range(len(records))]
        write_tar(tmp_path / folder / "0.tar", [m for pair in zip(pictures, members, strict=True) for m in pair])

    told = {"caption": "text"}
    shard("in/train", 0, {**told, "subject": "p1"}, {**told, "patient_id": 7}, {**told, "subject": None}, told)
    import_wds(tmp_path / "in", tmp_path / "corpus", engine="inline")
    subjects = [row["subject"] for row in Corpus(tmp_path / "corpus").table("samples").to_pylist()]
    assert [name for name in sorted(subjects) if len(name) < 32] == ["7", "p1"]
    assert len(set(subjects)) == 4
    shard("in/test", 9, {**told, "subject": "p1"})
    with pytest.raises(InputError, match=re.escape("puts a subject into the split")):
        import_wds(tmp_path / "in", tmp_path / "other", engine="inline")


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["train/0.tar", "TEST/0.tar"], ["train", "test"]),
        (["train/0.tar", "train/1.tar"], []),  # of one split alone nothing follows
        (["a/val/0.tar", "a/training/0.tar", "a/extra/0.tar"], ["val", "train"]),
        (["testimony.tar", "trainer/0.tar"], []),
    ],
)
def test_splits_are_whole_words_and_at_least_two(paths, found):
    assert list(splits_of_files(paths).values()) == found
