"""The H&E tasks and facts: prompts that copy nobody, labels that are the annotations', reports that say the truth."""

import json
import re
import shutil
from pathlib import Path

import pytest
import shapely
import yaml

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, InputError
from voxtile.evaluation.tasks.file import load_task
from voxtile_datasets.captions.wordings import load_bank
from voxtile_pathology.facts.annotations import concept_of, facts_from_annotations
from voxtile_pathology.phantom.case import FINDINGS, draw_case
from voxtile_pathology.phantom.he import write_case
from voxtile_pathology.phantom.reports import WORDING, write_report
from voxtile_pathology.phantom.tissues import PAINTERS
from voxtile_pathology.reports.command import facts_from_slide_reports

BANK = Path(__file__).parents[2] / "domains/pathology/voxtile_pathology/wordings/histology.yaml"
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\nIDATx"
    b"\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"
)


def plain(text):
    return re.sub(r"[^a-z ]", "", text.lower()).strip()


def test_classes_of_the_tissue_task_are_the_phantoms_tissues():
    task = load_task("pathology/he-tissue")
    assert {item.concept for item in task.classes} == set(PAINTERS)
    assert task.exclusive


def test_classes_of_the_slide_task_are_the_phantoms_findings():
    task = load_task("pathology/he-slide")
    assert {item.concept for item in task.classes} == set(FINDINGS)
    assert task.unit == "study"


def test_prompts_are_no_sentences_of_the_wording_bank():
    known = {plain(p) for w in load_bank(BANK).concepts.values() for ps in w.patterns.values() for p in ps}
    task = load_task("pathology/he-tissue")
    asked = {plain(t.format(w.present)) for item in task.classes for w in item.wordings for t in task.templates}
    assert not asked & known


def test_prompts_are_no_sentences_of_the_phantoms_reports():
    bank = yaml.safe_load(WORDING.read_text())["findings"]
    known = {plain(s) for body in bank.values() for part in ("present", "absent", "diagnosis") for s in body[part]}
    task = load_task("pathology/he-slide")
    asked = {plain(text) for item in task.classes for w in item.wordings for text in (w.present, w.absent)}
    assert len(asked & known) <= 2, asked & known  # "No carcinoma." and its like are everybody's words


def patch(number, source, box):
    row = {
        "uid": f"{number:032x}",
        "subject": "s",
        "study": "s",
        "kind": "patch",
        "modality": "SM",
        "source": source,
        "level0_box": list(box),
    }
    return Sample(row, PNG)


@pytest.fixture
def annotated(tmp_path):
    """A grid of patches over the truth of one phantom slide, and its annotation file."""
    out = tmp_path / "phantom"
    for folder in ("slides", "annotations"):
        (out / folder).mkdir(parents=True)
    case = draw_case(4, 0)
    write_case(out, 4, 0)
    corpus = tmp_path / "corpus"
    new_corpus(corpus)
    writer = JobWriter(corpus, "grid")
    boxes = [(x, y, x + 256, y + 256) for y in range(0, case.size[1], 256) for x in range(0, case.size[0], 256)]
    for number, box in enumerate(boxes):
        writer.add(patch(number, f"slides/{case.name}.svs", box))
    writer.publish()
    return corpus, out, case, boxes


def test_the_tissue_of_a_patch_is_what_covers_it(annotated):
    corpus, out, case, boxes = annotated
    facts_from_annotations(corpus, annotations=out / "annotations", min_fraction=0.6)
    facts = {row["uid"]: row for row in Corpus(corpus).table("facts").to_pylist()}
    scopes = {row["uid"]: row for row in Corpus(corpus).table("scopes").to_pylist()}
    assert facts.keys() == scopes.keys()
    names = sorted({region.tissue for region in case.regions})
    for number, box in enumerate(boxes):
        area = shapely.box(*box)
        shares = {
            n: sum(r.polygon.intersection(area).area for r in case.regions if r.tissue == n) / 256**2 for n in names
        }
        covering = [name for name, share in shares.items() if share >= 0.6]
        row = facts.get(f"{number:032x}")
        assert ([row["concept"]] if row else []) == covering
        if row:
            assert row["polarity"] == "present"
            assert abs(row["value"] - shares[row["concept"]]) < 1e-3
            assert scopes[row["uid"]]["closed"]
            assert scopes[row["uid"]]["concepts"] == names
    assert len(facts) > 20


def test_an_annotation_file_that_was_renamed_is_that_of_the_other_slide(annotated):
    corpus, out, case, boxes = annotated
    writer = JobWriter(corpus, "other")
    for number, box in enumerate(boxes):
        writer.add(patch(1000 + number, "slides/other.svs", box))
    writer.publish()
    for name in (case.name, "other"):
        (out / "annotations" / f"{case.name}.geojson").rename(out / "annotations" / f"{name}.geojson")
        facts_from_annotations(corpus, annotations=out / "annotations", engine="inline")
    told = {int(row["uid"], 16) >= 1000 for row in Corpus(corpus).table("facts").to_pylist()}
    assert told == {False, True}


def test_an_annotation_file_of_no_slide_is_named(annotated, tmp_path, capsys):
    corpus, out, _, _ = annotated
    drawn = tmp_path / "drawn"
    shutil.copytree(out / "annotations", drawn)
    (drawn / "someone.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    facts_from_annotations(corpus, annotations=drawn, engine="inline")
    assert "annotations of no slide here, and not read: 'someone.geojson';" in capsys.readouterr().err


def test_annotations_of_other_slides_and_bad_shares_are_refused(annotated, tmp_path):
    corpus, out, case, _ = annotated
    with pytest.raises(ConfigError, match="--min-fraction"):
        facts_from_annotations(corpus, annotations=out / "annotations", min_fraction=0)
    other = tmp_path / "other"
    other.mkdir()
    (other / "someone.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    with pytest.raises(InputError, match="named as a slide"):
        facts_from_annotations(corpus, annotations=other)
    with pytest.raises(InputError, match="does not exist"):
        facts_from_annotations(corpus, annotations=tmp_path / "misspelt")
    outline = {"type": "Polygon", "coordinates": [[[0, 0], [900, 0], [900, 900], [0, 900], [0, 0]]]}
    tissue = {"type": "Feature", "properties": {"tissue_id": 0}, "geometry": outline}  # as TRIDENT writes them
    (other / f"{case.name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [tissue]}))
    with pytest.raises(InputError, match="has a class"):
        facts_from_annotations(corpus, annotations=other)


def test_labels_become_concepts():
    assert concept_of(" Normal  Epithelium") == "normal_epithelium"
    assert concept_of("smooth-muscle") == "smooth_muscle"


def test_what_reports_state_is_what_was_painted(tmp_path):
    """100 reports: every finding that is there is found, and nothing is said of one that is contrary to the truth."""
    corpus = tmp_path / "corpus"
    new_corpus(corpus)
    writer, cases = JobWriter(corpus, "reports"), {}
    captions = []
    for number in range(100):
        case = draw_case(8, number)
        cases[f"{number:032x}"] = case
        writer.add(patch(number, f"slides/{case.name}.svs", (0, 0, 256, 256)))
        text = write_report(8, case)
        captions.append({"caption_id": f"c{number}", "uid": f"{number:032x}", "text": text, "kind": "raw"})
    writer.add_rows("captions", captions)
    writer.publish()
    facts_from_slide_reports(corpus, engine="inline")
    stated = {uid: {} for uid in cases}
    for row in Corpus(corpus).table("facts").to_pylist():
        assert stated[row["uid"]].setdefault(row["concept"], row["polarity"]) == row["polarity"]
    for uid, case in cases.items():
        for finding, present in case.findings.items():
            said = stated[uid].get(finding)
            assert said == "present" if present else said in (None, "absent"), (finding, write_report(8, case))
    denied = sum(p == "absent" for facts in stated.values() for p in facts.values())
    assert denied > 50
