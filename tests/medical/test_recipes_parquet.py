"""Pictures in Parquet files, as Hugging Face stores them, on a small invented copy of MedTrinity-25M."""

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
