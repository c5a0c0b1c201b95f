"""Tasks of public medical sets: each class is one that the recipe knows, and its corpus has what is asked."""

import pytest
from tests.support.picture_sets import PICTURE_LAYOUTS
from tests.support.volume_sets import VOLUME_LAYOUTS

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.evaluation.inputs.labels import LabelSource
from voxtile.evaluation.inputs.units import select_units
from voxtile.evaluation.kinds.referring.questions import Questions, picture_shapes
from voxtile.evaluation.tasks.file import load_task
from voxtile.grounding.boxes import Box

CLASSES = {
    "chexpert": 5, "chexpert-5x200": 5, "nih-cxr14": 14, "vindr-cxr": 16,
    "rsna-pneumonia": 2, "siim-acr": 2, "busi": 3, "messidor-2": 5,
    "fives": 4, "refuge": 2, "odir-200x3": 3, "deepdrid": 5, "knee-acl": 2, "knee-meniscus": 2, "thyroid-us": 2,
    "isic-2018": 7, "ct-rate": 18, "rad-chestct": 16,
}  # fmt: skip
RETRIEVAL = {"mimic-cxr-retrieval": "mimic-cxr-jpg", "iu-xray-retrieval": "iu-xray", "roco-v2-retrieval": "roco-v2"}


def built(name, folder):
    (folder / "in").mkdir()
    layout = PICTURE_LAYOUTS.get(name) or VOLUME_LAYOUTS[name]
    write = layout[0] if isinstance(layout, tuple) else layout
    write(folder / "in")
    main(["build", name, str(folder / "in"), str(folder / "corpus"), "--engine", "inline"])
    return Corpus(folder / "corpus")


@pytest.mark.cases(6)
@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_of_a_task_is_known_to_the_corpus_of_its_set(name, tmp_path):
    task, corpus = load_task(f"medical/{name}"), built(name, tmp_path)
    assert len(task.classes) == CLASSES[name]
    source = LabelSource(corpus, task)
    told = {name for row in corpus.table("scopes").to_pylist() if row["vocabulary"] == task.labels.vocabulary
            for name in row["concepts"]}  # fmt: skip
    assert told, f"no scope is called {task.labels.vocabulary}"
    assert not source.unknown
    assert any(len(part) for part in select_units(corpus, task).values())


@pytest.mark.parametrize("name", sorted(RETRIEVAL))
def test_pictures_and_their_reports_are_asked(name, tmp_path):
    task, corpus = load_task(f"medical/{name}"), built(RETRIEVAL[name], tmp_path)
    kinds = {row["kind"] for row in corpus.table("captions").to_pylist()}
    assert set(task.captions) <= kinds
    assert any(len(part) for part in select_units(corpus, task).values())


def test_side_views_are_not_asked(tmp_path):
    corpus = built("chexpert", tmp_path)
    asked = {uid for part in select_units(corpus, load_task("medical/chexpert")).values() for uid in part.uids}
    sources = {row["uid"]: row["source"] for row in corpus.table("samples").to_pylist()}
    assert any("lateral" in source for source in sources.values())
    assert asked
    assert not any("lateral" in sources[uid] for uid in asked)


def test_a_sentence_of_ms_cxr_is_asked_where_one_box_is_meant(tmp_path):
    corpus, task = built("ms-cxr", tmp_path), load_task("medical/ms-cxr")
    rows = {row["uid"]: row for row in corpus.table("samples").to_pylist()}
    asked = Questions(corpus, task, picture_shapes(rows))
    assert asked.phrases == ["left basilar opacity"]
    assert asked.ambiguous == 3, "bibasilar opacities have a box on each side"
    assert {question.upright for uid in rows for question in asked.of(uid)} == {Box((3.0, 2.0, 9.0, 10.0))}
    assert {row["source"].partition("/")[2] for row in corpus.table("regions").to_pylist()} == {"Pneumonia"}
    assert sorted(corpus.splits().values()) == ["test", "test", "val"]


def test_a_sentence_of_ms_cxr_may_mean_both_of_its_boxes(tmp_path):
    corpus, task = built("ms-cxr", tmp_path), load_task("medical/ms-cxr-maps")
    rows = {row["uid"]: row for row in corpus.table("samples").to_pylist()}
    asked = Questions(corpus, task, picture_shapes(rows))
    assert asked.phrases == ["bibasilar opacities", "left basilar opacity"]
    assert asked.ambiguous == 0
    boxes = {tuple(region["box"]) for region in corpus.table("regions").to_pylist() if "bibasilar" in region["phrase"]}
    both = [question for uid in rows for question in asked.of(uid) if question.several]
    assert len(both) == 3
    assert {box.edges for question in both for box in question.several} == boxes
