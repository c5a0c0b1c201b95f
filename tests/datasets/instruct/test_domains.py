"""`voxtile instruct` in the words of pathology and of scenes: what is asked and answered follows from the facts."""

import re

import numpy as np
import pytest
from tests.datasets.instruct.conftest import dialogues, fact, instruct, uid

from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile_datasets.instruct.questions import installed_questions

SLIDES = {"kind": "patch", "modality": "SM", "axes": "YXC"}
SCENES = {"kind": "tile", "modality": "RGB", "axes": "YXC"}


def corpus(root, about, facts, scopes=(), regions=()):
    new_corpus(root)
    writer = JobWriter(root, "made")
    for number in range(1 + max(int(row["uid"], 16) for row in facts)):
        row = {"uid": uid(number), "subject": f"s{number}", "study": f"s{number}", **about}
        writer.add(Sample(row, np.zeros((30, 60, 3), np.uint8)))
    writer.add_rows("facts", facts)
    writer.add_rows("scopes", scopes)
    writer.add_rows("regions", regions)
    writer.publish()
    return root


def told(root):
    """(kind, number of the image, concept or none, question, short answer, text) of each dialogue of two turns."""
    found = []
    for asked, said in (turns for turns in dialogues(root) if len(turns) == 2):
        parent = next((name for name in asked["parents"] or () if name.count(":") == 2), "::")
        number = int(asked["uids"][0], 16)
        found.append((asked["kind"], number, parent.split(":")[1], asked["text"], said["answer"], said["text"]))
        assert not re.search(r"[{}\[\]_]|None|\b(an?|the) (an?|the)\b|scan|radiolog", f"{asked['text']} {said['text']}")
        assert said["verdict"] != "contradicted"
    return found


@pytest.mark.parametrize("section", ["presence", "count", "side", "size", "place"])
def test_whether_the_picture_is_named_does_not_tell_what_is_asked(section):
    """Else "Is there a pleural effusion?" is answered by its side: only questions of sides did not name it."""
    for questions in installed_questions().values():
        asked = questions.patterns[section]["ask"]
        assert len({"{image}" in pattern for pattern in asked}) == 2, asked


def test_the_question_of_the_guide_is_asked(tmp_path):
    facts = [fact(number, "pleural_effusion", ("present", "absent")[number % 2]) for number in range(60)]
    root = corpus(tmp_path / "corpus", {"kind": "image", "modality": "DX", "axes": "YXC"}, facts)
    assert instruct(root, "--kinds", "presence") == 0
    assert "Is there a pleural effusion?" in {turns[0]["text"] for turns in dialogues(root)}


def test_slides_are_asked_about_in_the_words_of_histology(tmp_path):
    facts = [
        fact(0, "carcinoma", source="reports@1", value=4.0, unit="mm"),
        fact(0, "mucin_pools", "absent", source="reports@1"),
        fact(1, "carcinoma", "absent", source="reports@1"),
        fact(1, "mucin_pools", source="reports@1"),
        fact(1, "er_status", source="reports@1", of_case=True),
    ]
    root = corpus(tmp_path / "corpus", SLIDES, facts)
    assert instruct(root, "--facts-source", "reports", "--variants", 2) == 0
    found = told(root)
    presence = {(number, concept): answer for kind, number, concept, _, answer, _ in found if kind == "presence"}
    assert presence == {
        (0, "carcinoma"): "yes", (0, "mucin_pools"): "no", (1, "carcinoma"): "no", (1, "mucin_pools"): "yes",
    }  # fmt: skip
    assert {(n, c, a) for kind, n, c, _, a, _ in found if kind == "size"} == {(0, "carcinoma", "4 mm")}
    refused = [question for kind, *_, question, answer, _ in found if answer == "cannot be told"]
    assert any(re.search("prognosis|respond to treatment|mutation|name", question) for question in refused)
    words = " ".join(question for kind, *_, question, _, _ in found if kind == "presence")
    assert re.search("H&E|histolog|histopatholog|micro", words)


def test_scenes_are_asked_about_in_the_words_of_the_map(tmp_path):
    facts = [
        fact(0, "storage_tank", source="osm@1", count=3),
        fact(0, "tennis_court", source="osm@1"),
        fact(1, "airplane", source="osm@1"),
    ]
    looked = ["storage_tank", "tennis_court", "airplane"]
    scopes = [{"uid": uid(n), "vocabulary": "osm-visible@2", "closed": True, "concepts": looked} for n in range(2)]
    boxes = {"court": [0, 0, 8, 10], "court-rotated": [1, 0, 7, 10], "court-ref0": [0, 0, 8, 10]}
    regions = [
        *({"region_id": name, "uid": uid(0), "phrase": "the tennis court", "box": box} for name, box in boxes.items()),
        {"region_id": "tank-ref1", "uid": uid(0), "phrase": "the storage tank in the north", "box": [0, 30, 4, 34]},
        {"region_id": "plane-ref2", "uid": uid(1), "phrase": "the westernmost airplane", "box": [12, 25, 18, 35]},
    ]
    regions = [row | {"box": [float(edge) for edge in row["box"]]} for row in regions]
    root = corpus(tmp_path / "corpus", SCENES, facts, scopes, regions)
    assert instruct(root, "--facts-source", "osm", "--kinds", "presence") == 0
    assert dialogues(root) == []  # nobody says what was looked for in vain, so that nothing is answered with no
    assert instruct(root, "--facts-source", "osm,osm-visible", "--most", 9) == 0
    found = told(root)
    presence = {(number, concept): answer for kind, number, concept, _, answer, _ in found if kind == "presence"}
    there = {(0, "storage_tank"), (0, "tennis_court"), (1, "airplane")}
    assert presence == {
        (n, concept): "yes" if (n, concept) in there else "no" for n in range(2) for concept in looked
    }  # as many yes as no
    assert {(n, c, a) for kind, n, c, _, a, _ in found if kind == "count"} == {(0, "storage_tank", "3")}
    places = [(question, answer) for kind, *_, question, answer, _ in found if kind == "place"]
    assert [answer for _, answer in places] == ["upper left"]  # one court has three regions; the others say where
    assert "tennis court" in places[0][0]
    shown = [text for kind, *_, text in found if kind == "region"]
    assert any("the westernmost airplane" in text.lower() for text in shown)
    words = " ".join(question for kind, *_, question, _, _ in found if kind == "presence")
    assert re.search("aerial|overhead|from above", words)


@pytest.mark.parametrize("names", ["labels,osm", "osm , other"])
def test_several_sources_are_each_used(tmp_path, names):
    facts = [fact(0, "airplane", source="labels@1"), fact(0, "storage_tank", "absent", source="osm@1")]
    root = corpus(tmp_path / "corpus", SCENES, facts)
    assert instruct(root, "--facts-source", names, "--kinds", "report") == 0
    said = " ".join(text for *_, text in told(root)).lower()
    assert ("plane" in said) == ("labels" in names)
    assert "tank" in said


def test_a_closed_scope_counts_where_its_vocabulary_is_named(tmp_path):
    facts = [fact(0, "tumour", source="annotations@1"), fact(1, "stroma", source="annotations@1")]
    scope = {"closed": True, "concepts": ["tumour", "stroma"]}
    scopes = [{"uid": uid(0), "vocabulary": "annotations@3", **scope}, {"uid": uid(1), "vocabulary": "other", **scope}]
    root = corpus(tmp_path / "corpus", SLIDES, facts, scopes)
    assert instruct(root, "--facts-source", "annotations", "--kinds", "presence") == 0
    assert {(number, concept, answer) for _, number, concept, _, answer, _ in told(root) if answer == "no"} == {
        (0, "stroma", "no")
    }
