"""A corpus of every format version is read as on its day, and `migrate` changes nothing that it says."""

import json
import shutil
from pathlib import Path

import pytest
from growing_corpus import add, killed_at, state
from tests.compatibility.formats.figures import figures

from voxtile.cli.main import main
from voxtile.corpus.header import corpus_version
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import NEWEST_VERSION, SCHEMA_VERSION
from voxtile.corpus.view.view import compile_view
from voxtile.errors import CorpusError
from voxtile.stages.upkeep import migrate
from voxtile.stages.upkeep.compact import compact_corpus
from voxtile.stages.upkeep.migrate import migrate_corpus
from voxtile.stages.verify.corpus import verify

HERE = Path(__file__).parent / "formats"
OF_TWO = ("medical", "pathology", "remote_sensing")


def recorded():
    return json.loads((HERE / "figures.json").read_text(encoding="utf-8"))


def as_json(root):
    return json.loads(json.dumps(figures(root)))


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copytree(HERE / "1.0" / "corpus", tmp_path / "corpus"))


def is_sealed(root):
    corpus = Corpus(root)
    return {corpus.source(row).stored.is_sealed for row in corpus.table("samples").to_pylist()}


def test_there_is_a_corpus_of_every_version():
    """A new version comes with a corpus of its own here."""
    there = {corpus_version(path.parent) for path in HERE.parent.rglob("corpus.json")}
    assert there == {"1.0", "2.0", "3.0"}
    assert {SCHEMA_VERSION, NEWEST_VERSION} <= there


@pytest.mark.parametrize("version", ["1.0", "3.0"])
def test_it_is_read_as_the_code_of_its_day_read_it(version, tmp_path):
    root = Path(shutil.copytree(HERE / version / "corpus", tmp_path / "corpus"))
    assert as_json(root) == recorded()
    assert verify(root).problems == []
    assert len(compile_view(Corpus(root), "all")) == len(recorded()["values"])


def test_migrate_changes_the_version_and_nothing_that_it_says(old, capsys):
    before = compile_view(Corpus(old), "all").key
    assert is_sealed(old) == {False}
    assert main(["migrate", str(old), "--dry-run"]) == 0
    assert "1 shards of 58,880 bytes would be written again" in capsys.readouterr().out
    assert corpus_version(old) == "1.0"
    assert main(["migrate", str(old)]) == 0
    assert "is of format version 2.0 now, it was of 1.0: 3 arrays" in capsys.readouterr().out
    assert is_sealed(old) == {True}
    assert as_json(old) == recorded()
    assert verify(old).problems == []
    assert not (old / "views" / "all").exists()
    assert compile_view(Corpus(old), "all").key != before  # places have moved, and the docs say so
    said = json.loads(sorted((old / "manifests").glob("*.json"))[-1].read_text())
    assert said["task"] == "migrate"
    assert main(["migrate", str(old)]) == 0
    assert "there is nothing to migrate" in capsys.readouterr().out
    compact_corpus(old)
    assert as_json(old) == recorded()


def seen(root):
    """Rows, names of parts and pixels in a reader's order, without the places of arrays in shards."""
    rows, names, pixels, _ = state(root)
    places = {"shard", "offset", "nbytes", "sha256", "mask_offset", "mask_nbytes"}
    rows = {table: [{k: v for k, v in row.items() if k not in places} for row in rows[table]] for table in rows}
    return rows, names, pixels


def test_a_corpus_that_was_packed_before_is_migrated_too(old, capsys):
    add(old, 1, 2)
    compact_corpus(old)
    said, before = seen(old), compile_view(Corpus(old), "all").key
    migrate_corpus(old, dry_run=True)
    assert "is of format version 3.0 and would be of 3.0: 1 shards" in capsys.readouterr().out
    assert is_sealed(old) == {False, True}
    migrate_corpus(old)
    assert "lie alone again" in capsys.readouterr().out
    for _ in range(2):
        assert is_sealed(old) == {True}
        assert seen(old) == said
        assert verify(old).problems == []
        compact_corpus(old)
    assert compile_view(Corpus(old), "all").key != before
    capsys.readouterr()
    migrate_corpus(old)
    assert "there is nothing to migrate" in capsys.readouterr().out
    add(old, 1, 2)  # which are done
    assert seen(old) == said


@pytest.mark.parametrize("domain", OF_TWO)
def test_what_needs_no_migration_stays_to_the_byte(domain, tmp_path):
    root = Path(shutil.copytree(HERE.parent / domain / "corpus", tmp_path / "corpus"))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    migrate_corpus(root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.sweep)])
def test_killed_at_any_call_it_is_the_old_corpus_or_the_new_one(old, tmp_path, every):
    number = 0
    while True:
        number += every
        root = Path(shutil.copytree(old, tmp_path / "one" / "corpus"))
        if not killed_at(lambda root=root: migrate_corpus(root), number):
            break
        assert as_json(root) == recorded(), number
        assert is_sealed(root) == {corpus_version(root) == "2.0"}, number
        migrate_corpus(root)
        assert is_sealed(root) == {True}
        assert as_json(root) == recorded(), number
        assert verify(root).problems == [], number
        assert [path.name for path in root.parent.iterdir()] == ["corpus"]
        shutil.rmtree(root)
    assert number > 20


def test_a_damaged_shard_gets_no_new_hash(old):
    [shard] = (old / "shards").glob("*.tar")
    content = bytearray(shard.read_bytes())
    content[20_000] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorpusError, match=r"is not as it was written, and nothing was migrated; run 'voxtile verify"):
        migrate_corpus(old)
    assert corpus_version(old) == "1.0"
    assert [path.name for path in old.parent.iterdir()] == ["corpus"]


def test_values_that_would_change_end_it(old, monkeypatch):
    real = migrate.encode_array
    monkeypatch.setattr(migrate, "encode_array", lambda values: real(values + 1))
    with pytest.raises(CorpusError, match="cannot be written again without change; nothing was migrated"):
        migrate_corpus(old)
    monkeypatch.undo()
    assert as_json(old) == recorded()


def test_a_newer_corpus_is_refused_with_both_versions(old, capsys):
    (old / "corpus.json").write_text('{"format": "voxtile-corpus", "schema": "4.2"}')
    for command in ("migrate", "compact", "gc", "inspect", "verify"):
        assert main([command, str(old)]) == 2
        assert "was made with schema version 4.2; this voxtile reads up to 3.x: upgrade it" in capsys.readouterr().err


def test_a_full_disk_changes_nothing(old, monkeypatch):
    import errno

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(migrate.DeterministicTar, "add", full)
    with pytest.raises(CorpusError, match="No space left on device"):
        migrate_corpus(old)
    monkeypatch.undo()
    assert as_json(old) == recorded()
    assert [path.name for path in old.parent.iterdir()] == ["corpus"]
