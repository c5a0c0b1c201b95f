"""Pictures in Parquet files, as Hugging Face stores them, and in packed tars: invented copies of MedTrinity-25M."""

import io
import json
import tarfile
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.picture_parquet import encoded, medtrinity, write

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.stages.verify.corpus import verify


def test_groups_of_rows_become_pictures_and_bad_rows_rows_of_the_ledger(tmp_path):
    medtrinity(tmp_path / "in")
    rows = [
        {"image": {"bytes": b"not a picture", "path": "x.jpg"}, "id": "bad", "caption": "A text.", "source": "x"},
        {"image": {"bytes": None, "path": "only/a/path.png"}, "id": "away", "caption": "A text.", "source": "x"},
        {"image": {"bytes": encoded("good"), "path": None}, "id": None, "caption": None, "source": None},
    ]
    write(tmp_path / "in/25M_demo/train-00001-of-00002.parquet", rows)
    assert main(["build", "medtrinity", str(tmp_path / "in"), str(tmp_path / "corpus"), "--engine", "inline"]) == 1
    corpus = Corpus(tmp_path / "corpus")
    assert not verify(tmp_path / "corpus").problems
    found = {row["source"]: row for row in corpus.table("samples").to_pylist()}
    assert set(found) == {
        "medtrinity/a",
        "medtrinity/b",
        "medtrinity/c",
        "medtrinity/25M_demo/train-00001-of-00002.parquet/2",
    }
    assert corpus.source(found["medtrinity/a"]).encoded() == encoded("a")
    captions = {row["uid"]: row for row in corpus.table("captions").to_pylist()}
    assert captions[found["medtrinity/b"]["uid"]]["text"] == "A caption of b."
    assert {row["kind"] for row in captions.values()} == {"vlm"}
    ledger = corpus.ledger().to_pylist()
    told = {
        row["source"].rpartition("#")[2]: (row["status"], row["reason"]) for row in ledger if row["status"] != "used"
    }
    assert told == {
        "0": ("failed", "not-a-picture"),
        "1": ("dropped", "missing-file"),
        "medtrinity/25M_demo/train-00001-of-00002.parquet/0": ("dropped", "nothing-usable"),  # the group as a whole
    }
    assert Counter(row["status"] for row in ledger)["used"] >= 2


def test_a_build_that_stores_nothing_says_so_and_fails(tmp_path, capsys):
    """Of a corpus without a sample every later command would work on nothing."""
    (tmp_path / "in").mkdir()
    table = {"image": [{"bytes": b"", "path": "a.png"}] * 2, "id": ["a", "b"], "caption": ["A caption."] * 2}
    pq.write_table(pa.table(table), tmp_path / "in/full.parquet")
    words = ["build", "medtrinity", str(tmp_path / "in"), str(tmp_path / "corpus"), "--engine", "inline"]
    for _ in range(2):  # the second run finds all done
        assert main(words) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert "nothing was stored: all 1 inputs were dropped (most: nothing-usable, 1)" in said
    assert main([*words, "--dry-run"]) == 0


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [("picture", [{"bytes": b"", "path": ""}], "no column 'image'"), ("image", ["a.png"], "holds no encoded pictures")],
)
def test_files_without_pictures_are_refused_in_one_sentence(tmp_path, capsys, column, values, said):
    pq.write_table(pa.table({column: values, "id": ["a"], "caption": ["b"]}), tmp_path / "full.parquet")
    assert main(["build", "medtrinity", str(tmp_path), str(tmp_path / "corpus"), "--engine", "inline"]) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, capsys):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + b"\0" * 40)
    assert main(["build", "medtrinity", str(tmp_path), str(tmp_path / "corpus"), "--engine", "inline"]) == 2
    assert "'cut.parquet' is no Parquet file" in capsys.readouterr().err


def packed(path, members):
    """A tar of (name, content) packed by Zstandard; content None is a link."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pa.Codec("zstd").compress(raw.getvalue(), asbytes=True))


def whole_medtrinity(root):
    """25M_accessible and 25M_full: two tars, two tables, a picture that may not be passed on."""
    captions = {f"{name}.png": (f"A caption of {name}.", "quilt_1m") for name in "abcd"} | {
        "held.png": ("Held.", "tcga")
    }
    names = list(captions)
    for number, part in enumerate((names[:3], names[3:])):
        rows = {"file_name": part, "caption": [captions[n][0] for n in part], "source": [captions[n][1] for n in part]}
        (root / "25M_full").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(rows), root / f"25M_full/train-0000{number}.parquet")
    packed(root / "25M_accessible/shard_000.tar.zst", [(f"shard_000/{n}.png", encoded(n)) for n in "ab"])
    packed(root / "25M_accessible/shard_001.tar.zst", [(f"{n}.png", encoded(n)) for n in "cd"])


def test_the_whole_set_is_read_from_packed_tars_in_worker_processes(tmp_path):
    whole_medtrinity(tmp_path / "in")
    words = ["build", "medtrinity", str(tmp_path / "in"), str(tmp_path / "corpus"), "--workers", "2"]
    assert main(words) == 0
    corpus = Corpus(tmp_path / "corpus")
    assert not verify(tmp_path / "corpus").problems
    found = {row["source"]: row for row in corpus.table("samples").to_pylist()}
    assert set(found) == {f"medtrinity/{name}.png" for name in "abcd"}
    texts = {row["uid"]: (row["text"], row["kind"]) for row in corpus.table("captions").to_pylist()}
    for name in "abcd":
        row = found[f"medtrinity/{name}.png"]
        assert corpus.source(row).encoded() == encoded(name)
        assert texts[row["uid"]] == (f"A caption of {name}.", "vlm")
        assert json.loads(row["attributes"])["source"] == "quilt_1m"
    assert [path.name for path in tmp_path.rglob("*.png")] == [], "nothing is unpacked"


def test_a_table_whose_captions_were_corrected_is_noticed(tmp_path):
    root = tmp_path / "in"
    whole_medtrinity(root)
    words = ["build", "medtrinity", str(root), str(tmp_path / "corpus"), "--engine", "inline"]
    assert main(words) == 0
    path = root / "25M_full/train-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "caption", [["A caption of A.", *table["caption"].to_pylist()[1:]]]), path)
    assert main(words) == 0
    reasons = [row["reason"] for row in Corpus(tmp_path / "corpus").ledger().to_pylist()]
    assert "stored-otherwise" in reasons


def test_what_is_wrong_with_members_is_in_the_ledger(tmp_path):
    root = tmp_path / "in"
    whole_medtrinity(root)
    members = [
        ("../../a.png", encoded("a")), ("/b.png", encoded("b")), ("link.png", None), ("notes.txt", b"x"),
        ("stray.png", encoded("stray")), ("c.png", b"no picture"), ("x/d.png", encoded("d")),
    ]  # fmt: skip
    packed(root / "25M_accessible/shard_001.tar.zst", members)
    cut = root / "25M_accessible/shard_002.tar.zst"
    packed(cut, [("a.png", encoded("a") * 50)])
    cut.write_bytes(cut.read_bytes()[:60])
    assert main(["build", "medtrinity", str(root), str(tmp_path / "corpus"), "--engine", "inline"]) == 1
    corpus = Corpus(tmp_path / "corpus")
    told = {row["source"]: row["reason"] for row in corpus.ledger().to_pylist() if row["status"] != "used"}
    by_number = {name.rpartition("#")[2]: reason for name, reason in told.items() if "shard_001.tar.zst#" in name}
    assert by_number == {
        "0": "unsafe-name", "1": "unsafe-name", "2": "not-a-file", "3": "not-a-picture", "4": "not-listed",
        "5": "not-a-picture",
    }  # fmt: skip
    assert told["medtrinity/25M_accessible/shard_002.tar.zst"] == "truncated"
    assert {row["source"] for row in corpus.table("samples").to_pylist()} == {
        "medtrinity/a.png", "medtrinity/b.png", "medtrinity/d.png"
    }  # fmt: skip
    assert not list(tmp_path.parent.glob("a.png"))


@pytest.mark.parametrize("there", ["none", "with pictures"])
def test_tars_without_their_tables_are_one_sentence(tmp_path, capsys, there):
    whole_medtrinity(tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    if there == "with pictures":
        medtrinity(tmp_path)
    assert main(["build", "medtrinity", str(tmp_path), str(tmp_path / "c"), "--engine", "inline"]) == 2
    assert "no Parquet file with the columns file_name and caption" in " ".join(capsys.readouterr().err.split())
