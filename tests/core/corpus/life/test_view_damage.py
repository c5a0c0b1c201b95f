"""A bit that flipped in a compiled view or in a selection, which hold texts, labels and splits, is found."""

import json
import pickle
import random
import shutil

import pytest
from growing_corpus import add

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.view import sums
from voxtile.corpus.view import view as view_module
from voxtile.corpus.view.selection import Selection
from voxtile.corpus.view.view import CompiledView, compile_view
from voxtile.errors import CorpusError
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.curation.command import curate_corpus


def flip(path, position, bit=0):
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "stamp.json"}


def test_any_flipped_bit_of_a_compiled_view_is_found_and_the_view_made_again(root, capsys):
    view = compile_view(Corpus(root), "all")
    before, drawn = contents(view.folder), random.Random(0)
    assert verify(root).problems == []
    for name in sorted(before):
        flip(view.folder / name, drawn.randrange(1 << 20), drawn.randrange(8))
        assert [problem.where for problem in verify(root).problems] == ["views/all"], name
        assert contents(compile_view(Corpus(root), "all").folder) == before, name
    assert "is damaged" in capsys.readouterr().err
    assert verify(root).problems == []


@pytest.mark.parametrize("name", ["index.arrow", "facts.npy"])
def test_a_file_of_a_view_that_is_cut_or_missing_is_made_again(root, name):
    view = compile_view(Corpus(root), "all")
    before = contents(view.folder)
    (view.folder / name).write_bytes(before[name][:-1])
    assert contents(compile_view(Corpus(root), "all").folder) == before
    (view.folder / name).unlink()
    assert contents(compile_view(Corpus(root), "all").folder) == before


def test_of_a_large_view_the_small_files_are_read_at_opening_and_all_by_verify(root, monkeypatch):
    view = compile_view(Corpus(root), "all")
    sizes = sorted((path.stat().st_size, path) for path in view.folder.iterdir() if path.suffix in (".arrow", ".npy"))
    small, large = sizes[0][1], sizes[-1][1]
    flip(large, 100)
    assert sums.damage(view.folder, at_most=sum(size for size, _ in sizes[:-1])) is None
    assert sums.damage(view.folder, at_most=None) == f"{large.name} differs from what was written"
    assert [problem.where for problem in verify(root).problems] == ["views/all"]
    flip(small, 100)
    assert sums.damage(view.folder, at_most=sizes[0][0]) == f"{small.name} differs from what was written"


def test_an_older_layout_is_no_damage(root):
    view = compile_view(Corpus(root), "all")
    about = json.loads((view.folder / "view.json").read_text())
    for name in ("files", "sum"):
        del about[name]
    (view.folder / "view.json").write_text(json.dumps({**about, "layout": 3}))
    assert verify(root).problems == []


def test_a_selection_that_was_made_again_while_it_is_compiled_is_not_called_damaged(root):
    curate_corpus(root, view="some", where="uid <> 'x'", weight="2")
    selected = Selection(root / "views/some.selection")
    selected.check()
    curate_corpus(root, view="some", where="uid <> 'x'", weight="CASE WHEN uid > '0' THEN 3 ELSE 1 END")
    with pytest.raises(CorpusError, match="was curated again meanwhile; run the command again"):
        selected.check()


def test_a_flipped_bit_of_a_selection_is_refused_and_found(root, capsys):
    curate_corpus(root, view="some", where="uid <> 'x'", weight="2")
    folder = root / "views/some.selection"
    whole = (folder / "selection.parquet").read_bytes()
    shutil.rmtree(root / "views/some")  # else what was compiled of the whole selection is taken
    for position in range(4, len(whole) - 4, max(1, len(whole) // 12)):
        flip(folder / "selection.parquet", position)
        with pytest.raises(CorpusError, match="differs from what was written; make the view again"):
            compile_view(Corpus(root), "some")
        (folder / "selection.parquet").write_bytes(whole)
    compile_view(Corpus(root), "some")
    assert verify(root).problems == []
    flip(folder / "selection.parquet", 40)
    assert main(["verify", str(root)]) == 2
    assert "views/some.selection: the selection differs" in " ".join(capsys.readouterr().err.split())


def test_an_opened_view_stays_what_it_was_when_the_corpus_grows_and_a_copy_of_it_is_refused(root):
    """A training goes on, and its workers never read rows of the new view by numbers of the old one."""
    view = compile_view(Corpus(root), "all")
    kept = pickle.dumps(view)
    before = [(view.captions(entry), view.facts(entry).tolist()) for entry in map(view.entry, view.rows(None))]
    opened = pickle.loads(kept)  # has read nothing yet
    add(root, 6, 7, 8)
    again = compile_view(Corpus(root), "all")
    assert again.key != view.key
    with pytest.raises(CorpusError, match="was made again meanwhile"):
        pickle.loads(kept)
    shutil.rmtree(view.folder)
    for one in (view, opened):
        found = [(one.captions(entry), one.facts(entry).tolist()) for entry in map(one.entry, one.rows(None))]
        assert found == before


def test_a_view_that_is_exchanged_while_it_is_opened_is_refused(root, monkeypatch):
    view = compile_view(Corpus(root), "all")
    opened = view_module.mapped_array

    def exchange(path):
        about = json.loads((view.folder / "view.json").read_text())
        (view.folder / "view.json").write_text(json.dumps({**about, "key": "another"}))
        return opened(path)

    monkeypatch.setattr(view_module, "mapped_array", exchange)
    with pytest.raises(CorpusError, match="was made again meanwhile"):
        CompiledView(view.folder, view.roots)
