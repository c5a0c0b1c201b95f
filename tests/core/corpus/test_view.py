"""A compiled view says what the tables say, is rebuilt when they change, and refuses what is wrong."""

import errno
import json
import os
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voxtile.corpus.schema import TABLES
from voxtile.corpus.view import compile as view_compile
from voxtile.corpus.view import files as view_files
from voxtile.corpus.view.text import text_hash
from voxtile.corpus.view.view import CompiledView, compile_view
from voxtile.errors import ConfigError, CorpusError


class Roots:
    """Stands for an opened corpus: a view needs only its folders."""

    def __init__(self, *roots):
        self.roots = roots


def write(root, table, rows, stem="a"):
    folder = root / "tables" / table
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[table]), folder / f"{stem}.parquet")


def uid(n):
    return f"{n:032x}"


def sample(n, subject, study=None, shard="shards/x.tar", modality="CT"):
    return {
        "uid": uid(n), "subject": subject, "study": study, "kind": "volume", "modality": modality, "axes": "ZYX",
        "shape": [4, 5, 6], "dtype": "int16", "units": "HU", "spacing": [2.0, 1.0, 1.0], "shard": shard,
        "codec": "b2nd", "offset": 1000 - n, "nbytes": 10 + n,
        "channels": [{"name": "CT", "scale": 1.0, "offset": -1024.0}],
        "attributes": '{"window": [-100, 300]}',
    }  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    write(
        root,
        "samples",
        [
            sample(1, "s1", "t1"), sample(2, "s2", "t2", "shards/y.tar"), sample(3, "s1", "t1", "shards/y.tar"),
            sample(4, "s3"), sample(5, "s4", "t9", modality="MR"),
        ],
    )  # fmt: skip
    splits = [("s1", "val"), ("s2", "train"), ("s3", "train")]
    write(root, "splits", [{"scheme": "default", "subject": s, "split": p} for s, p in splits])
    captions = [("c1", 1, "A nodule."), ("c2", 1, "a  nodule"), ("c3", 4, "Clear lungs.")]
    write(root, "captions", [{"caption_id": c, "uid": uid(u), "text": t, "kind": "raw"} for c, u, t in captions])
    verdicts = [("c1", "supported", "1.9"), ("c1", "contradicted", "1.10"), ("c3", "supported", "2.0")]
    write(
        root,
        "verdicts",
        [{"caption_id": c, "verdict": v, "checker": "rules", "checker_version": n} for c, v, n in verdicts],
    )
    facts = [(1, "nodule", "present"), (1, "nodule", "absent"), (1, "effusion", "uncertain"), (2, "nodule", "absent")]
    write(root, "facts", [{"uid": uid(u), "concept": c, "polarity": p} for u, c, p in facts])
    names = ["nodule", "effusion", "stone"]
    write(
        root,
        "scopes",
        [
            {"uid": uid(1), "vocabulary": "ct", "closed": True, "concepts": names},
            {"uid": uid(2), "vocabulary": "ct", "closed": False, "concepts": names},
        ],
    )
    return Roots(root)


def by_uid(view):
    return {view.entry(row).uid: view.entry(row) for row in range(len(view))}


def test_rows_of_a_split_and_of_a_study_are_ranges(corpus):
    view = compile_view(corpus)
    assert len(view) == 5
    assert {view.entry(r).uid for r in view.rows("train")} == {uid(2), uid(4)}
    assert {view.entry(r).uid for r in view.rows("val")} == {uid(1), uid(3)}
    assert len(view.studies("val")) == 1
    assert {view.entry(r).uid for r in view.study_rows(view.studies("val")[0])} == {uid(1), uid(3)}
    assert sorted(r for s in view.studies(None) for r in view.study_rows(s)) == list(range(5))
    with pytest.raises(ConfigError, match=r"no sample in split 'test'.*train, val"):
        view.rows("test")


def test_an_entry_repeats_the_samples_table(corpus):
    view = compile_view(corpus)
    entries = by_uid(view)
    assert (entries[uid(2)].offset, entries[uid(2)].nbytes, entries[uid(2)].codec) == (998, 12, "b2nd")
    assert view.shard_path(entries[uid(2)]) == corpus.roots[0] / "shards/y.tar"
    meta = view.meta(entries[uid(5)])
    assert (meta["modality"], meta["shape"], meta["window"]) == ("MR", [4, 5, 6], [-100, 300])
    assert meta["channels"][0]["offset"] == -1024.0
    assert entries[uid(1)].study == entries[uid(3)].study != entries[uid(2)].study
    assert entries[uid(1)].subject == entries[uid(3)].subject >= 0
    assert len(list(view.metas())) == 2


def test_captions_carry_the_newest_checkers_verdict_and_a_text_hash(corpus):
    view = compile_view(corpus)
    first, second = view.captions(by_uid(view)[uid(1)])
    assert (first.text, first.kind, first.verdict) == ("A nodule.", "raw", "contradicted")  # 1.10 is newer than 1.9
    assert second.verdict == "unknown"
    assert first.text_hash == second.text_hash == text_hash("a nodule")
    assert [c.text for c in view.captions(by_uid(view)[uid(4)])] == ["Clear lungs."]
    assert view.captions(by_uid(view)[uid(2)]) == []


def test_facts_follow_the_scopes(corpus):
    view = compile_view(corpus)
    assert view.concepts == ("effusion", "nodule", "stone")
    entries = by_uid(view)
    assert view.facts(entries[uid(1)]).tolist() == [-1, 1, 0]  # uncertain, present on one side, unmentioned but closed
    assert view.facts(entries[uid(2)]).tolist() == [-1, 0, -1]  # open scope: unmentioned is unknown
    assert view.facts(entries[uid(4)]).tolist() == [-1, -1, -1]


def test_closed_facts_are_absent_where_a_sample_has_facts_but_is_silent_of_them(corpus, capsys):
    view = compile_view(corpus, closed_facts=["effusion", "stone"])
    entries = by_uid(view)
    assert view.facts(entries[uid(1)]).tolist() == [-1, 1, 0]  # a doubt is no silence
    assert view.facts(entries[uid(2)]).tolist() == [0, 0, 0]
    assert view.facts(entries[uid(4)]).tolist() == [-1, -1, -1]  # nothing was read here
    assert compile_view(corpus).facts(by_uid(compile_view(corpus))[uid(2)]).tolist() == [-1, 0, -1]
    with pytest.raises(ConfigError, match="closed_facts names no fact of the corpus: ston; there are effusion, nod"):
        compile_view(corpus, closed_facts=["ston"])
    view = compile_view(corpus, closed_facts=["hernia", "stone"])
    assert capsys.readouterr().err.startswith("note: closed_facts: nothing is said of hernia anywhere")
    assert view.concepts == ("effusion", "hernia", "nodule", "stone")
    assert view.facts(by_uid(view)[uid(2)]).tolist() == [-1, 0, 0, 0]


def test_facts_of_one_source_know_no_other_and_no_scope(corpus):
    rows = [
        {"uid": uid(2), "concept": "stone", "polarity": "present", "source": "labels@1"},
        {"uid": uid(2), "concept": "nodule", "polarity": "present", "source": "reports@1",
         "attributes": '{"evidence": ["A  nodule is seen."]}'},
        {"uid": uid(2), "concept": "effusion", "polarity": "absent", "source": "reports@1",
         "attributes": '{"evidence": ["No effusion, no stone."]}'},
    ]  # fmt: skip
    write(corpus.roots[0], "facts", rows, stem="b")
    with pytest.raises(
        ConfigError,
        match=r"a fact of the source 'radar' .* facts of labels, reports: set data\.facts_source to one of these, or",
    ):
        compile_view(corpus, closed_facts=["effusion"], facts_source="radar")
    view = compile_view(corpus, facts_source="reports")
    assert view.concepts == ("effusion", "nodule")
    entries = by_uid(view)
    assert view.facts(entries[uid(2)]).tolist() == [0, 1]
    assert view.facts(entries[uid(1)]).tolist() == [-1, -1]  # its facts have no source, and scopes are not applied
    hashes = [text_hash("a nodule is seen"), text_hash("No effusion, no stone."), text_hash("Something else.")]
    assert view.text_facts(hashes).tolist() == [[-1, 1], [0, -1], [-1, -1]]
    assert compile_view(corpus).key != view.key


def test_it_is_compiled_once_and_again_when_a_table_grows(corpus, monkeypatch):
    calls = []
    real = view_compile.write_view
    monkeypatch.setattr("voxtile.corpus.view.view.write_view", lambda *a, **k: calls.append(1) or real(*a, **k))
    first = compile_view(corpus)
    assert compile_view(corpus).key == first.key
    assert len(calls) == 1
    write(corpus.roots[0], "captions", [{"caption_id": "c9", "uid": uid(2), "text": "New.", "kind": "raw"}], stem="b")
    grown = compile_view(corpus)
    assert len(calls) == 2
    assert grown.key != first.key
    assert [c.text for c in grown.captions(by_uid(grown)[uid(2)])] == ["New."]
    assert first.captions(by_uid(first)[uid(2)]) == []  # a view that is open keeps what it mapped
    assert sorted(p.name for p in (corpus.roots[0] / "views").iterdir()) == [".all.lock", "all"]


def test_a_moved_or_copied_corpus_keeps_its_view(corpus, tmp_path, monkeypatch):
    before = compile_view(corpus).key
    monkeypatch.setattr("voxtile.corpus.view.view.write_view", None)  # compiling again would fail
    corpus.roots[0].rename(tmp_path / "moved")
    assert compile_view(Roots(tmp_path / "moved")).key == before
    shutil.copytree(tmp_path / "moved", tmp_path / "copied", copy_function=shutil.copyfile)  # new modification times
    assert compile_view(Roots(tmp_path / "copied")).key == before


def test_opening_again_reads_no_table(corpus, monkeypatch):
    before = compile_view(corpus).key
    monkeypatch.setattr("voxtile.corpus.view.view.view_key", None)  # reading the parts would fail
    assert compile_view(corpus).key == before


def test_a_part_replaced_by_another_of_equal_size_is_noticed(corpus):
    before = compile_view(corpus)
    part = corpus.roots[0] / "tables" / "splits" / "a.parquet"
    size = part.stat().st_size
    rows = [
        {"scheme": "default", "subject": s, "split": p} for s, p in (("s1", "val"), ("s2", "train"), ("s4", "train"))
    ]
    write(corpus.roots[0], "splits", rows)
    assert part.stat().st_size == size
    after = compile_view(corpus)
    assert after.key != before.key
    assert uid(5) in {after.entry(row).uid for row in after.rows("train")}


def test_where_selects_and_cannot_reach_files(corpus, tmp_path):
    assert len(compile_view(corpus, "mr", where="modality = 'MR'")) == 1
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for where in ("modality =", "nosuch = 1", f"1 IN (SELECT a FROM read_csv('{tmp_path}/secret.csv'))"):
        with pytest.raises(ConfigError, match=r"not a valid SQL condition|no column|reads outside"):
            compile_view(corpus, "bad", where=where)
    with pytest.raises(ConfigError, match="no sample matches"):
        compile_view(corpus, "none", where="modality = 'PT'")
    assert not (corpus.roots[0] / "views" / "bad").exists()


def test_union_keeps_the_root_of_each_shard(corpus, tmp_path):
    other = tmp_path / "other"
    write(other, "samples", [sample(7, "s7", "t7")])
    write(other, "splits", [{"scheme": "default", "subject": "s7", "split": "train"}])
    view = compile_view(Roots(corpus.roots[0], other))
    assert len(view) == 6
    assert view.shard_path(by_uid(view)[uid(7)]) == other / "shards/x.tar"
    assert view.shard_path(by_uid(view)[uid(1)]) == corpus.roots[0] / "shards/x.tar"
    assert view.folder.parent == corpus.roots[0] / "views"
    assert len(compile_view(corpus)) == 5


def test_a_subject_in_two_splits_is_refused(corpus):
    write(corpus.roots[0], "splits", [{"scheme": "default", "subject": "s1", "split": "train"}], stem="b")
    with pytest.raises(CorpusError, match="subject 's1' is in the splits train and val"):
        compile_view(corpus)


def test_a_uid_that_occurs_twice_is_refused(corpus):
    write(corpus.roots[0], "samples", [sample(1, "s1")], stem="b")
    with pytest.raises(CorpusError, match="occurs twice"):
        compile_view(corpus)


def test_a_part_without_a_column_is_refused(corpus):
    broken = pa.Table.from_pylist([sample(1, "s1")], schema=TABLES["samples"]).drop_columns(["subject"])
    for part in (corpus.roots[0] / "tables" / "samples").glob("*"):
        part.unlink()
    pq.write_table(broken, corpus.roots[0] / "tables" / "samples" / "a.parquet")
    with pytest.raises(CorpusError, match="subject"):
        compile_view(corpus)


def test_an_unknown_scheme_and_an_empty_corpus_are_refused(corpus, tmp_path):
    with pytest.raises(ConfigError, match="no split scheme 'official'; there are: default"):
        compile_view(corpus, scheme="official")
    with pytest.raises(CorpusError, match="holds no sample"):
        compile_view(Roots(tmp_path / "nothing"))


def test_rows_cross_record_batches(corpus, monkeypatch):
    monkeypatch.setattr(view_files, "BATCH_ROWS", 2)
    view = compile_view(corpus)
    assert {view.entry(r).uid for r in range(5)} == {uid(n) for n in range(1, 6)}
    assert [len(view.captions(view.entry(r))) for r in range(5)].count(2) == 1
    assert view.facts(by_uid(view)[uid(1)]).tolist() == [-1, 1, 0]
    assert [len(view.study_rows(s)) for s in view.studies(None)] == [1, 1, 2, 1]


def test_a_view_survives_pickling(corpus):
    view = compile_view(corpus)
    again = pickle.loads(pickle.dumps(view))
    assert isinstance(again, CompiledView)
    assert again.entry(3) == view.entry(3)
    assert np.array_equal(again.facts(again.entry(0)), view.facts(view.entry(0)))


def test_a_view_of_an_older_layout_is_compiled_again_under_its_key(corpus):
    """So a run that was begun on it goes on."""
    view = compile_view(corpus)
    about = view.folder / "view.json"
    recorded = json.loads(about.read_text())
    about.write_text(json.dumps({name: value for name, value in recorded.items() if name != "layout"}))
    (view.folder / "stamp.json").write_text(json.dumps({"stamp": "of an older version"}))
    again = compile_view(corpus)
    assert json.loads(about.read_text()) == recorded
    assert again.key == view.key
    assert [again.entry(row).moment for row in range(len(again))] == [None] * len(again)


def test_all_files_of_a_view_are_on_the_disk_before_it_has_its_name(corpus, monkeypatch):
    synced, seen = set(), []
    fsync, replace = os.fsync, view_compile._replace
    monkeypatch.setattr(os, "fsync", lambda handle: (fsync(handle), synced.add(os.fstat(handle).st_ino)))

    def look(building, folder):
        seen.extend((path.name, path.stat().st_ino in synced) for path in building.iterdir())
        replace(building, folder)

    monkeypatch.setattr(view_compile, "_replace", look)
    compile_view(corpus)
    assert {"index.arrow", "facts.npy", "evidence_facts.npy", "view.json"} <= {name for name, _ in seen}
    assert all(is_synced for _, is_synced in seen), seen


def test_a_disk_that_fills_while_a_view_is_mapped_is_a_sentence_and_no_bus_error(corpus, monkeypatch):
    def full(handle, start, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CorpusError, match=r"cannot write the compiled view .*No space left on device"):
        compile_view(corpus)
    assert not [path for path in (corpus.roots[0] / "views").rglob("*") if path.suffix == ".npy"]


def test_rows_of_a_job_that_is_not_committed_are_in_no_view_until_it_is(corpus):
    before = compile_view(corpus)
    root = corpus.roots[0]
    write(root, "samples", [sample(9, "s9")], stem="job-b")
    (root / "done").mkdir(exist_ok=True)
    (root / "done" / "b.pending").write_text("job-b")
    hidden = compile_view(corpus)
    assert (hidden.key, len(hidden)) == (before.key, len(before))
    (root / "done" / "b.json").write_text('{"files": {}}')
    assert len(compile_view(corpus)) == len(before) + 1
