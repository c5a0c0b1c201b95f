"""New studies in an old corpus: subjects stay in their splits, and what is done is not done again."""

import numpy as np
import pytest
from growing_corpus import add
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.view import compile_view
from voxtile.stages.verify.corpus import verify

INLINE = ("--engine", "inline")
SUBJECTS = ("--subject-pattern", r"(p\d+)_", "--class-folders", "yes")


def run(*words):
    assert main([str(word) for word in words]) == 0, words


def draw(folder, *names):
    for name in names:
        path = folder / ("nodule" if int(name[1]) % 2 else "cyst") / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(list(name.encode())).integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(values).save(path)
    return folder


@pytest.fixture
def first(tmp_path):
    return draw(tmp_path / "first", *(f"p{number}_0" for number in range(6)))


def test_a_new_study_of_a_known_subject_goes_where_the_subject_is(first, tmp_path, capsys):
    corpus = tmp_path / "corpus"
    table = tmp_path / "splits.csv"
    table.write_text("subject,split\n" + "".join(f"p{number},test\n" for number in range(6)))
    run("convert", "image", first, corpus, *SUBJECTS, "--splits", table, *INLINE)
    capsys.readouterr()
    later = draw(tmp_path / "later", "p0_1", "p1_1", "p8_1")
    for workers in (("--workers", "1"), INLINE):  # the second has nothing to do
        run("convert", "image", later, corpus, *SUBJECTS, "--split-fractions", "1,0,0", *workers)
    said = capsys.readouterr().out
    assert "kept-split: the corpus has the subjects of these inputs in another split" in said
    assert Corpus(corpus).splits() == {f"p{number}": "test" for number in range(6)} | {"p8": "train"}
    assert verify(corpus).problems == []
    assert len(compile_view(Corpus(corpus), "all").rows("test")) == 8


def test_subjects_have_the_splits_that_they_have_in_one_conversion_of_all(first, tmp_path):
    once, grown = tmp_path / "once", tmp_path / "grown"
    run("convert", "image", first, grown, *SUBJECTS, *INLINE)
    draw(first, "p0_1", "p7_1", "p8_0", "p9_1")
    run("compact", grown)
    run("convert", "image", first, grown, *SUBJECTS, *INLINE)
    run("convert", "image", first, once, *SUBJECTS, *INLINE)
    assert Corpus(grown).splits() == Corpus(once).splits()
    assert sorted(Corpus(grown).table("samples")["uid"].to_pylist()) == sorted(
        Corpus(once).table("samples")["uid"].to_pylist()
    )
    assert verify(grown).problems == []


def test_after_compact_captions_are_made_of_what_is_new_alone(first, tmp_path, capsys):
    grown = tmp_path / "grown"
    run("convert", "image", first, grown, *SUBJECTS, *INLINE)
    run("caption", "template", grown, *INLINE)
    before = Corpus(grown).table("captions").to_pylist()
    assert before
    run("compact", grown)
    run("caption", "template", grown, *INLINE)
    assert Corpus(grown).table("captions").to_pylist() == before
    later = draw(tmp_path / "later", "p0_1", "p8_0")
    run("convert", "image", later, grown, *SUBJECTS, *INLINE)
    run("caption", "template", grown, *INLINE)
    captions = Corpus(grown).table("captions").to_pylist()
    assert len({row["caption_id"] for row in captions}) == len(captions) > len(before)
    assert {row["uid"] for row in captions} == set(Corpus(grown).table("samples")["uid"].to_pylist())
    assert verify(grown).problems == []


def test_the_same_files_again_add_nothing(root, capsys):
    before = Corpus(root).table("samples").to_pylist()
    run("compact", root)
    add(root, 0, 5)
    assert Corpus(root).table("samples").to_pylist() == before
