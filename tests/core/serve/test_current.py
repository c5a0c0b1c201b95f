"""A corpus that is served while it changes, and models that do not fit it."""

import threading

import pytest
from small_checkpoints import write_checkpoint
from tests.core.serve.conftest import PICTURES, write_pictures

from voxtile.cli.main import main
from voxtile.corpus.writer import new_corpus
from voxtile.errors import CheckpointError, ConfigError, CorpusError, PresetError

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from voxtile.serve.current import CurrentCorpus
from voxtile.serve.explored import NoSuchSampleError
from voxtile.serve.search.meaning import load_search_model
from voxtile_datasets.forgetting.command import forget_subject

CT = {"class_path": "voxtile.data.VolumePreset", "init_args": {"shape": [8, 8, 8], "modalities": ["CT"], "units": "HU"}}


@pytest.fixture
def root(tmp_path):
    new_corpus(tmp_path / "corpus")
    write_pictures(tmp_path / "corpus", range(3), "first")
    return tmp_path / "corpus"


def test_missing_vectors_are_made_and_nothing_is_written_to_the_corpus(pictured, ask_pictures):
    about = ask_pictures.get("/api/corpus").json()
    assert about["model"]["searched"] == PICTURES
    assert about["model"]["making"] is None
    assert not (pictured.roots[0] / "tables" / "embeddings").exists()
    again = CurrentCorpus(pictured.roots, pictured.model, pictured.model_spec)
    assert again.explored.meaning.searched == PICTURES, "the next server has them at once"
    assert again.explored.meaning.making is None
    again.stop()


def test_what_is_added_is_served_after_a_look_and_the_rest_stays(root):
    current = CurrentCorpus([root])
    seen = []
    current.changed = seen.append
    before = current.explored
    assert not current.refresh()
    write_pictures(root, range(3, 5), "second")
    assert current.refresh()
    assert seen == [current.explored]
    assert len(current.explored.index) == 5
    assert len(before.index) == 3
    assert before.row(f"{1:032x}")["modality"] == "SM", "requests that began before end as they began"
    assert current.explored.reviews is before.reviews
    assert current.explored.tables.rows("FROM groups") == [{"kind": "patch", "modality": "SM", "samples": 5}]


def test_a_corpus_that_cannot_be_read_just_now_is_served_as_it_was(root, capsys):
    current = CurrentCorpus([root])
    (root / "tables" / "samples" / "broken.parquet").write_bytes(b"PAR1 and no more")
    assert not current.refresh()
    assert not current.refresh()
    assert len(current.explored.index) == 3
    assert capsys.readouterr().err.count("served on") == 1
    (root / "tables" / "samples" / "broken.parquet").unlink()
    write_pictures(root, range(3, 4), "second")
    assert current.refresh()
    assert len(current.explored.index) == 4


def test_who_is_forgotten_is_gone_at_the_next_look_and_an_error_ends_no_looking(root, monkeypatch):
    """A corpus that takes minutes to open is looked at rarely, but for one that was built anew."""
    monkeypatch.setattr("voxtile.serve.current._LOOKED_S", 0.01)
    monkeypatch.setattr("voxtile.serve.current._SHARE", 1e9)
    current, seen, failed = CurrentCorpus([root]), threading.Event(), threading.Event()
    current.changed = lambda _: seen.set()
    refresh = current.refresh

    def fail_once():
        if failed.is_set():
            return refresh()
        failed.set()
        raise ValueError("once")

    monkeypatch.setattr(current, "refresh", fail_once)
    current.watch()
    assert failed.wait(60)
    subject = current.explored.row(f"{1:032x}")["subject"]
    forget_subject(root, subject=(subject,))
    assert seen.wait(60)
    current.stop()
    with pytest.raises(NoSuchSampleError):
        current.explored.row(f"{1:032x}")


def test_what_was_built_anew_and_could_not_be_read_at_once_is_read_soon_after(root, monkeypatch):
    monkeypatch.setattr("voxtile.serve.current._LOOKED_S", 0.01)
    monkeypatch.setattr("voxtile.serve.current._SHARE", 1e9)
    current, seen, looked, refused = CurrentCorpus([root]), threading.Event(), threading.Event(), threading.Event()
    current.changed = lambda _: seen.set()
    opened, now = current._opened, current._now

    def refused_once():
        if refused.is_set():
            return opened()
        refused.set()
        raise CorpusError("its tables are being put in place")

    def looked_at():
        looked.set()
        return now()

    monkeypatch.setattr(current, "_opened", refused_once)
    monkeypatch.setattr(current, "_now", looked_at)
    current.watch()
    assert looked.wait(60)
    forget_subject(root, subject=(current.explored.row(f"{1:032x}")["subject"],))
    assert seen.wait(60)
    current.stop()
    assert refused.is_set()


def test_two_servers_on_one_corpus(root):
    first, second = CurrentCorpus([root]), CurrentCorpus([root])
    write_pictures(root, range(3, 5), "second")
    assert first.refresh()
    assert len(second.explored.index) == 3
    assert second.explored.row(f"{2:032x}")["uid"] == f"{2:032x}", "what it reads was replaced, and it has it open"
    assert second.refresh()
    assert len(second.explored.index) == 5


def test_without_vectors_the_search_says_what_to_do(root, picture_model):
    current = CurrentCorpus([root], load_search_model(str(picture_model)), str(picture_model), embed=False)
    assert current.explored.meaning.searched == 0
    with pytest.raises(ConfigError, match="voxtile embed"):
        current.explored.meaning.by_words("a gland", 10, None)


def test_a_model_of_another_domain_is_refused_by_what_it_lacks(root, tmp_path):
    path = write_checkpoint(tmp_path / "ct.ckpt", CT, dimensions=3, channels=1, texts=["a nodule", "no nodule"])
    with pytest.raises(PresetError, match="the corpus holds a patch"):
        CurrentCorpus([root], load_search_model(str(path)), str(path))


@pytest.mark.parametrize(("content", "error"), [(None, ConfigError), (b"no checkpoint", CheckpointError)])
def test_a_missing_and_a_foreign_checkpoint_are_refused(tmp_path, content, error):
    path = tmp_path / "last.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        load_search_model(str(path))


@pytest.mark.sweep(ci=True)
def test_many_vectors_are_searched_by_lists_that_are_built_beside(pictured, monkeypatch):
    monkeypatch.setattr("voxtile.serve.search.nearest._WORTH", 2.0)  # of so few samples all are read
    pytest.importorskip("faiss", reason="the extra serve is not installed")
    current = CurrentCorpus(pictured.roots, pictured.model, pictured.model_spec, approximate_from=4)
    meaning = current.explored.meaning
    exact = [meaning.vectors.best(meaning.vectors.vector(n), PICTURES).numbers.tolist() for n in range(PICTURES)]
    current.wait()
    assert meaning.nearest.recall.images == 1.0
    assert meaning.is_approximate
    found = [meaning.by_vector(meaning.vectors.vector(n), PICTURES, None) for n in range(PICTURES)]
    assert [f.numbers.tolist() for f in found] == exact
    assert not any(f.is_exact for f in found)
    current.stop()


def test_the_command_says_in_a_sentence_what_is_wrong(root, tmp_path, monkeypatch, pages, capsys):
    monkeypatch.setattr("voxtile.serve.command.front_end", lambda: pages)
    assert main(["serve", str(root), "--port", "0", "--model", str(tmp_path / "none.ckpt")]) != 0
    said = capsys.readouterr().err
    assert "none.ckpt" in said
    assert "Traceback" not in said
