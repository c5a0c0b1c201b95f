"""`voxtile gc` takes what nothing names, says how much it is, and leaves everything else."""

import shutil
from pathlib import Path

import pytest
from growing_corpus import add, killed_at, state

from voxtile.cli.main import main
from voxtile.corpus.drafts import draft
from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import append_rows
from voxtile.engine import lock
from voxtile.errors import CorpusError
from voxtile.stages.upkeep import garbage
from voxtile.stages.upkeep.garbage import collect_garbage
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.curation.command import curate_corpus

AT_ONCE = ("--older-than-hours", "0", "--views-unused-days", "0")


def littered(root):
    """What killed runs leave, each beside what must stay; the paths of the first."""
    compile_view(Corpus(root), "all")
    curate_corpus(root, view="some", where="uid <> 'x'")
    compile_view(Corpus(root), "some")
    add(root, 6)  # so that the views are of what the corpus was
    shutil.copytree(root / "views/all", root / "views/of-several@00000000")
    junk = {
        "shards/lost-0123456789abcdef.tar": b"x" * 1000,
        "shards/.numbers-1.tar.77-abcd.tmp": b"x" * 10,
        "tables/captions/.part.parquet.tmp": b"x",
        "views/.all.abcd.building/index.arrow": b"x" * 5,
        ".scratch/known.arrow": b"x",
        "shards/numbers-00000000000000aa.tar": b"y",
        "tables/samples/numbers-00000000000000aa.parquet": b"y",
        "done/00000000000000aa.pending": b"numbers-00000000000000aa",
    }
    for name, content in junk.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    append_rows(root, "scores", "by-hand", [{"uid": "0" * 32, "name": "mine", "value": 1.0}])  # no record names it
    return {*junk, "views/all/view.json", "views/some/view.json"}


def everything(root):
    return {path.relative_to(root).as_posix() for path in Path(root).rglob("*") if path.is_file()} - {".lock"}


def test_what_nothing_names_goes_and_what_something_names_stays(root, capsys):
    junk = littered(root)
    before, rows = everything(root), state(root)
    assert main(["gc", str(root), "--dry-run", *AT_ONCE]) == 0
    said = capsys.readouterr().out
    assert everything(root) == before
    assert "shards/lost-0123456789abcdef.tar: a shard that no row and no job names, 1,000 bytes" in said
    assert "10 files and folders of" in said
    assert "would go" in said
    assert main(["gc", str(root), *AT_ONCE]) == 0
    gone = before - everything(root)
    assert {name for name in gone if not name.startswith("views/")} == {n for n in junk if not n.startswith("views/")}
    assert {"/".join(name.split("/")[:2]) for name in gone if name.startswith("views/")} == {
        "views/all", "views/some", "views/.all.abcd.building",
    }  # fmt: skip
    assert state(root) == rows
    assert verify(root).problems == []
    assert len(compile_view(Corpus(root), "some")) == 6  # the selection stays as it was chosen
    capsys.readouterr()
    assert main(["gc", str(root), *AT_ONCE]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_what_was_written_or_read_a_short_time_ago_stays(root, capsys):
    littered(root)
    before = everything(root)
    assert main(["gc", str(root)]) == 0
    assert everything(root) == before
    assert "stays: a shard that no row and no job names, but it was written a short time ago" in capsys.readouterr().out


def test_files_of_an_interrupted_job_stay_hidden_while_any_of_them_is_young(root):
    import os

    littered(root)
    for name in ("done/00000000000000aa.pending", "shards/numbers-00000000000000aa.tar"):
        os.utime(root / name, (0, 0))
    before = state(root)
    collect_garbage(root)
    assert state(root) == before
    assert (root / "done/00000000000000aa.pending").exists()


@pytest.mark.sweep(ci=True)
def test_killed_at_any_call_only_what_nothing_names_is_gone(root, tmp_path):
    littered(root)
    before, number = state(root), 0
    while True:
        number += 4
        copy = Path(shutil.copytree(root, tmp_path / "copy"))
        if not killed_at(lambda copy=copy: collect_garbage(copy, older_than_hours=0, views_unused_days=0), number):
            break
        assert state(copy) == before, number
        collect_garbage(copy, older_than_hours=0, views_unused_days=0)
        assert state(copy) == before, number
        assert verify(copy).problems == [], number
        shutil.rmtree(copy)
    assert number > 12


def test_a_view_that_is_compiled_again_since_it_was_found_outdated_stays(root, monkeypatch):
    littered(root)
    real, first = garbage._remove, [True]

    def after_a_training_began(*args):
        if first.pop() if first else False:
            compile_view(Corpus(root), "all")
        real(*args)

    monkeypatch.setattr(garbage, "_remove", after_a_training_began)
    collect_garbage(root, older_than_hours=0, views_unused_days=0)
    assert (root / "views/all/view.json").is_file()
    assert not (root / "views/some").exists()


def test_a_verdict_that_a_server_writes_just_now_stays(root):
    littered(root)
    part = root / "tables/reviews/reviews-1.parquet"
    part.parent.mkdir(exist_ok=True)
    with draft(part) as temporary:
        temporary.write_bytes(b"half")
        collect_garbage(root, older_than_hours=0)
        assert temporary.exists()


def test_a_corpus_that_a_run_holds_is_left_alone(root, monkeypatch, capsys):
    littered(root)
    before = everything(root)
    monkeypatch.setattr("voxtile.corpus.drafts.WRITER_PATIENCE_S", 0.0)
    with lock.corpus_lock(root):
        for command in ("gc", "compact"):
            assert main([command, str(root)]) == 2
            assert "is being written by process" in capsys.readouterr().err
    assert everything(root) == before


def test_where_nobody_can_say_what_is_named_nothing_goes(root):
    littered(root)
    part = Corpus(root).parts("samples")[0]
    content = part.read_bytes()
    part.write_bytes(b"PAR1")
    before = everything(root)
    with pytest.raises(CorpusError, match="is not a readable Parquet file"):
        collect_garbage(root, older_than_hours=0, views_unused_days=0)
    part.write_bytes(content)
    record = next((root / "done").glob("*.json"))
    record.write_text("{")
    with pytest.raises(CorpusError, match="is damaged"):
        collect_garbage(root, older_than_hours=0, views_unused_days=0)
    assert everything(root) == before
