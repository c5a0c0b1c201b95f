"""The tables as they are laid out: the rows of the corpus, found by number; one state of it at a time."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context

import numpy as np
import pyarrow as pa
import pytest
from serve_corpus import VOLUME, write_served_corpus
from tests.core.serve.conftest import as_png

from voxtile.corpus.packing.whole_folder import exchange
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, CorpusError

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from voxtile.serve.explored import explore
from voxtile.serve.laid_out import forget_laid_out, laid_out
from voxtile.serve.sample_index import SampleIndex
from voxtile.serve.table_file import OF_SAMPLES


def opened(*roots):
    corpus = Corpus(*roots)
    return explore(corpus, SampleIndex(corpus))


def test_rows_are_those_of_the_corpus(served_corpus):
    """Against the tables themselves, through Arrow."""
    explored, corpus = opened(served_corpus), Corpus(served_corpus)
    uids = explored.index.uids.to_pylist()
    for uid in uids:
        assert explored.row(uid) == corpus.row(uid)
    for table in OF_SAMPLES:
        stored = corpus.table(table, with_root=True).to_pylist()
        found = explored.tables.of_samples(table, range(len(uids)))
        assert sorted(map(repr, found)) == sorted(map(repr, stored)), table


def test_rows_are_found_by_number_in_several_corpora(served_corpus):
    explored = opened(served_corpus, served_corpus)
    uids = explored.index.uids.to_pylist()
    rows = explored.rows([6, 1, 0], ["uid", "modality"])
    assert [row["uid"] for row in rows] == [uids[6], uids[1], uids[0]]
    assert [row["corpus"] for row in rows] == [1, 0, 0]
    assert explored.index.numbers(pa.array([uids[1], "none", "n" * 99, ""])).tolist() == [1, -1, -1, -1]


def test_numbers_of_uids_of_many_lengths(tmp_path):
    """Against a dictionary: uids need not be of 32 digits."""
    names = [f"{'u' * (n % 21)}{n}" for n in range(300)]
    new_corpus(tmp_path / "c")
    writer = JobWriter(tmp_path / "c", "job")
    for name in names:
        row = {"uid": name, "subject": "s", "kind": "patch", "modality": "SM"}
        writer.add(Sample(row, as_png(np.zeros((4, 4), np.uint8))))
    writer.publish()
    index = SampleIndex(Corpus(tmp_path / "c"))
    truth = {uid: number for number, uid in enumerate(index.uids.to_pylist())}
    asked = [*names[::7], "u", "x" * 40]
    assert index.numbers(pa.array(asked)).tolist() == [truth.get(uid, -1) for uid in asked]


def test_each_state_replaces_the_one_before_and_many_make_it_once(tmp_path):
    made = []

    def write(folder):
        made.append(folder)
        (folder / "content").write_text("x")

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: laid_out([tmp_path], "thing", "one", write), range(8)))
    assert len(made) == 1
    assert len(found) == 1
    first = found.pop()
    second = laid_out([tmp_path], "thing", "two", write)
    assert not first.exists()
    assert (second / "content").read_text() == "x"
    assert second.parent.stat().st_mode & 0o077 == 0, "texts of a corpus are for nobody else"


def test_what_was_not_finished_is_made_again_and_leaves_nothing(tmp_path):
    def killed(folder):
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        laid_out([tmp_path], "other", "one", killed)
    whole = laid_out([tmp_path], "other", "one", lambda folder: None)
    assert not list(whole.iterdir())
    assert not list(whole.parent.glob(".other.*"))


def test_forgetting_takes_it_away(tmp_path):
    root = tmp_path / "corpus"
    write_served_corpus(root)
    opened(root)
    kept = laid_out([root], "mine", "one", lambda folder: None)
    other = laid_out([tmp_path], "mine", "one", lambda folder: None)
    forget_laid_out(root)
    assert not kept.parent.exists()
    assert other.exists(), "that of other corpora stays"


def test_what_is_laid_out_while_a_subject_is_forgotten_is_not_kept(tmp_path):
    root, anew = tmp_path / "corpus", tmp_path / "anew"
    write_served_corpus(root)
    write_served_corpus(anew)
    made = []

    def overtaken(folder):
        made.append(folder)
        (folder / "texts").write_text("of somebody")
        Context().run(exchange, anew, root)  # by another command, which then looks for what was laid out
        forget_laid_out(root)

    with pytest.raises(CorpusError, match="was built anew by another command"):
        laid_out([root], "mine", "one", overtaken)
    assert not list(made[0].parent.glob("*mine*/*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir(mode=0o500)
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "closed"))
    with pytest.raises(ConfigError, match="VOXTILE_CACHE"):
        laid_out([tmp_path], "thing", "one", lambda folder: None)


def test_a_cache_that_is_a_file_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="VOXTILE_CACHE"):
        laid_out([tmp_path], "thing", "one", lambda folder: None)


def test_a_row_is_a_copy(served_corpus):
    explored = opened(served_corpus)
    explored.row(VOLUME)["modality"] = "changed"
    assert explored.row(VOLUME)["modality"] == "CT"
