"""Packed parts are the parts that they were: for readers, for views, for stages that run again, and for `forget`."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from examples import examples
from growing_corpus import SUBJECTS, Numbers, PartFacts, add, killed_at, run, state
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxtile.cli.main import main
from voxtile.corpus import parts, records
from voxtile.corpus.header import corpus_version
from voxtile.corpus.packing.exchange import EXCHANGE_FILE
from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.view import compile_view
from voxtile.engine.commit import read_done
from voxtile.engine.task import Outcome
from voxtile.errors import CorpusError
from voxtile.stages.upkeep.compact import compact_corpus
from voxtile.stages.upkeep.garbage import collect_garbage
from voxtile.stages.upkeep.retract import retract_runs
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.forgetting.command import forget_subject


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in Path(root).rglob("*.parquet"))


def test_the_command_leaves_few_files_that_say_the_same(root, capsys):
    before = state(root)
    assert len(files(root)) == 6 * 4 + 3
    assert main(["compact", str(root), "--dry-run"]) == 0
    assert state(root) == before
    assert len(files(root)) == 6 * 4 + 3
    assert main(["compact", str(root)]) == 0
    assert len(files(root)) == 5
    assert state(root) == before
    assert "27 parts packed into 5 files" in capsys.readouterr().out
    assert verify(root).problems == []
    said = json.loads(sorted((root / "manifests").glob("*.json"))[-1].read_text())
    assert said["task"] == "compact"
    assert len(said["removed"]) == 27
    assert main(["compact", str(root)]) == 0
    assert "nothing to pack" in capsys.readouterr().out


def test_whoever_reads_the_files_without_voxtile_finds_the_same_rows(root):
    import duckdb

    query = f"SELECT uid, subject FROM '{root}/tables/samples/*.parquet' ORDER BY uid"
    before = duckdb.sql(query).fetchall()
    compact_corpus(root)
    assert duckdb.sql(query).fetchall() == before


def test_an_opened_corpus_reads_the_same_rows_after_it_was_packed(root):
    """As in a notebook, or a server: its records of before name files that are gone."""
    opened, again = Corpus(root), Corpus(root)
    before = {name: opened.table(name).to_pylist() for name in ("samples", "captions", "facts")}
    again.parts("samples")
    compact_corpus(root)
    for name, rows in before.items():
        assert opened.table(name).to_pylist() == rows
        assert again.table(name).to_pylist() == rows
    with again.connection() as connection:
        assert connection.execute("SELECT count(*) FROM captions").fetchone() == (len(before["captions"]),)


def test_a_connection_that_was_held_reads_the_same_rows_after_it_was_packed(root):
    with Corpus(root).connection() as held, Corpus(root).connection() as asked:
        queries = [f"SELECT * FROM {name} ORDER BY ALL" for name in ("samples", "captions", "facts")]
        before = [asked.execute(query).fetchall() for query in queries]
        compact_corpus(root)
        for connection in (held, asked):
            assert [connection.execute(query).fetchall() for query in queries] == before
            assert connection.execute("SELECT count(*) FROM samples WHERE uid < 'm'").fetchone() is not None
        add(root, 6)  # which it does not see
        compact_corpus(root)
        assert [held.execute(query).fetchall() for query in queries] == before


@pytest.mark.parametrize("function", ["part_dataset", "_stored_schema"])
def test_parts_that_are_packed_while_they_are_opened_are_read_all_the_same(root, monkeypatch, function):
    before = Corpus(root).table("captions").to_pylist()

    def found_a_moment_before(*arguments):
        monkeypatch.undo()
        compact_corpus(root)
        raise FileNotFoundError(arguments[0])

    monkeypatch.setattr(parts, function, found_a_moment_before)
    assert Corpus(root).table("captions").to_pylist() == before


def test_parts_that_are_packed_while_a_view_compares_them_are_no_damage(root, monkeypatch):
    compare = records.check_parts

    def packed_a_moment_before(*arguments, **options):
        monkeypatch.undo()
        compact_corpus(root)
        compare(*arguments, **options)

    monkeypatch.setattr(records, "check_parts", packed_a_moment_before)
    assert len(compile_view(Corpus(root), "all")) == 6


def test_a_compiled_view_and_its_key_stay(root):
    view = compile_view(Corpus(root), "all")
    written = (view.folder / "view.json").stat().st_mtime_ns
    compact_corpus(root)
    again = compile_view(Corpus(root), "all")
    assert again.key == view.key
    assert (again.folder / "view.json").stat().st_mtime_ns == written  # not made again
    shutil.rmtree(root / "views")
    assert compile_view(Corpus(root), "all").key == view.key
    collect_garbage(root, older_than_hours=0, views_unused_days=0)
    assert (root / "views/all/view.json").is_file()


def test_stages_know_what_they_have_done(root):
    run(PartFacts(str(root)), root)
    before = state(root)
    compact_corpus(root)
    assert run(PartFacts(str(root)), root).earlier == 6
    assert run(Numbers(tuple(range(6))), root).earlier == 6
    assert state(root) == before
    add(root, 6)
    assert run(PartFacts(str(root)), root).earlier == 6
    assert Corpus(root).table("scores").num_rows == 7
    assert verify(root).problems == []


def test_a_job_that_is_done_again_counts_in_place_of_what_is_packed_of_it(root):
    """The repair that `verify` advises: delete the done file and run the conversion again."""
    before = state(root)[0]["samples"]
    compact_corpus(root)
    for done in (root / "done").glob("*.json"):
        done.unlink()
    again = Numbers(tuple(range(6)))

    def without_facts(self, item):
        outcome = real(self, item)
        return Outcome("used", samples=outcome.samples, tables={**outcome.tables, "facts": []})

    real = Numbers.process
    Numbers.process = without_facts
    try:
        for number in again.numbers:
            run(Numbers((number,)), root)
    finally:
        Numbers.process = real
    assert state(root)[0]["samples"] == before
    assert Corpus(root).table("facts").num_rows == 0  # those that are packed do not count any more
    view = compile_view(Corpus(root), "all")
    assert len(view) == 6
    assert view.concepts == ()
    assert verify(root).problems == []
    compact_corpus(root)
    assert len(files(root)) == 4
    assert Corpus(root).table("facts").num_rows == 0


def test_a_subject_is_forgotten_out_of_packed_files(root, tmp_path):
    plain = Path(shutil.copytree(root, tmp_path / "plain"))
    compact_corpus(root)
    for one in (root, plain):
        forget_subject(one, subject=("subject-1",))
    assert state(root)[0] == state(plain)[0]
    assert state(root)[3] == state(plain)[3]
    for path in root.rglob("*.parquet"):
        assert b"subject-1" not in path.read_bytes()
    assert verify(root).problems == []
    add(root, 1, 7)
    assert {row["subject"] for row in Corpus(root).table("samples").to_pylist()} == {"subject-0", "subject-2"}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 9)),
        st.tuples(st.just("compact"), st.sampled_from([64.0, 0.02, 0.005])),
        st.tuples(st.just("gc"), st.none()),
        st.tuples(st.just("forget"), st.integers(0, SUBJECTS - 1)),
        st.tuples(st.just("facts"), st.none()),
        st.tuples(st.just("retract"), st.none()),
    ),
    max_size=6,
)


@given(steps)
@settings(max_examples=examples(2, 6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_sequence_gives_the_rows_that_there_are_without_compact_and_gc(tmp_path_factory, grown, sequence):
    folder = tmp_path_factory.mktemp("any")
    one, other = (Path(shutil.copytree(grown, folder / name)) for name in ("kept", "plain"))
    for what, value in sequence:
        if what == "compact":
            compact_corpus(one, part_mb=value)
        elif what == "gc":
            collect_garbage(one, older_than_hours=0, views_unused_days=0)
        for root in (one, other):
            if what == "add":
                add(root, value)
            elif what == "facts" and Corpus(root).table("samples").num_rows:
                run(PartFacts(str(root)), root)
            elif what == "retract" and any(read_done(root, PartFacts.name)):
                retract_runs(root, stage=(PartFacts.name,))
            elif what == "forget" and any(r["subject"] == f"subject-{value}" for r in state(root)[0]["samples"]):
                forget_subject(root, subject=(f"subject-{value}",))
    assert state(one) == state(other)
    assert verify(one).problems == []
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "every", [29, pytest.param(11, marks=pytest.mark.sweep(ci=True)), pytest.param(1, marks=pytest.mark.sweep)]
)
def test_killed_at_any_call_nothing_is_lost_or_there_twice(grown, tmp_path, every):
    before = state(grown)
    number, exchanging = 0, 0
    while True:
        number += every
        root = Path(shutil.copytree(grown, tmp_path / "corpus"))
        if not killed_at(lambda root=root: compact_corpus(root), number):
            break
        exchanging += (root / EXCHANGE_FILE).is_file()
        assert state(root) == before, number
        if number % 2:
            compact_corpus(root)
        else:  # any command that writes completes it
            add(root, 5)
        assert state(root) == before, number
        assert verify(root).problems == [], number
        shutil.rmtree(root)
    assert number > 40
    assert exchanging > 20 // every  # so many moments between the list and its end were met


def test_a_part_that_is_not_as_it_was_written_is_refused_and_nothing_is_changed(root):
    part = sorted((root / "tables/captions").glob("*.parquet"))[3]
    table = pq.read_table(part)
    pq.write_table(table.slice(0, 0), part)
    before = files(root)
    with pytest.raises(CorpusError, match=r"is not as it was written, and nothing was packed; run 'voxtile verify"):
        compact_corpus(root)
    part.write_bytes(b"PAR1 no longer")
    with pytest.raises(CorpusError, match="is not as it was written"):
        compact_corpus(root)
    assert files(root) == before


def test_a_damaged_packed_file_is_told(root):
    compact_corpus(root)
    [packed] = (root / "tables/samples").glob("*.parquet")
    packed.write_bytes(packed.read_bytes()[:-40])
    with pytest.raises(CorpusError, match="is not a readable packed file"):
        Corpus(root).table("samples")
    with pytest.raises(CorpusError, match="is not a readable packed file"):
        compact_corpus(root)


def test_a_full_disk_changes_nothing(root, monkeypatch):
    import errno

    before = state(root)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(CorpusError, match="no space is left on the disk"):
        compact_corpus(root)
    monkeypatch.undo()
    assert state(root) == before
    assert not list(root.rglob("*.tmp"))
    assert not (root / EXCHANGE_FILE).exists()
    assert verify(root).problems == []


def test_places_where_it_cannot_work_are_said(root, tmp_path, capsys):
    assert main(["compact", "s3://bucket/corpus"]) == 2
    assert "s3://bucket/corpus" in capsys.readouterr().err
    assert main(["compact", str(tmp_path / "none")]) == 2
    assert "is not a corpus" in capsys.readouterr().err
    for number in ("0", "inf"):
        assert main(["compact", str(root), "--part-mb", number]) == 2
        assert "must be greater than 0 and finite" in capsys.readouterr().err


def test_an_older_reader_refuses_a_packed_corpus_and_names_both_versions(root, monkeypatch):
    assert corpus_version(root) == "2.0"
    compact_corpus(root)
    assert corpus_version(root) == "3.0"
    monkeypatch.setattr("voxtile.corpus.header.NEWEST_VERSION", "2.0")
    with pytest.raises(CorpusError, match=r"schema version 3\.0; this voxtile reads up to 2\.x"):
        Corpus(root)
