"""`voxtile instruct`: what is asked and answered follows from the facts that a hand-made corpus states."""

import re

import numpy as np
import pytest
from tests.datasets.instruct.conftest import CONCEPTS, OPEN, REPORT, dialogues, instruct, make, uid

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.stages.inspect.command import inspect_corpus
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.captions.reconcile import PRECEDENCE
from voxtile_datasets.captions.wordings import installed_banks
from voxtile_datasets.instruct.cases import CaseReader
from voxtile_datasets.instruct.dialogue import Claim, Dialogue, Turn
from voxtile_datasets.instruct.judging import Judging

STATED = {
    0: {"pleural_effusion", "liver_lesion", "renal_stone"},
    1: {"pneumothorax", "liver_lesion", "renal_stone"},
    2: {"renal_stone"},
    3: {"liver_lesion", "renal_stone", "splenomegaly"},
}


def of_kind(talks, kind):
    return [turns for turns in talks[1] if turns[0]["kind"] == kind]


def concept_of(turns):
    return turns[0]["parents"][0].split(":")[1]


def test_every_dialogue_is_whole_and_the_corpus_stays_sound(talks):
    root, found = talks
    for turns in found:
        assert [row["turn"] for row in turns] == list(range(len(turns)))
        assert [row["role"] for row in turns] == ["user", "assistant"] * (len(turns) // 2)
        assert len({(*row["uids"], row["kind"]) for row in turns}) == 1
        assert all(row["verdict"] is None for row in turns if row["role"] == "user")
        assert not any(re.search(r"[{}\[\]]|None", row["text"]) for row in turns)
    assert {turns[0]["kind"] for turns in found} == {
        "report", "presence", "count", "side", "size", "place", "comparison", "unanswerable", "region", "grounded",
    }  # fmt: skip
    assert verify(root).problems == []


def test_presence_says_no_only_where_a_fact_or_a_closed_scope_does_and_as_often_as_yes(talks):
    asked = [(int(t[0]["uids"][0], 16), concept_of(t), t[1]["answer"]) for t in of_kind(talks, "presence")]
    answers = [answer for *_, answer in asked]
    assert answers.count("yes") == answers.count("no") > 3
    for number, concept, answer in asked:
        assert answer == ("yes" if concept in STATED[number] else "no")
        assert concept in CONCEPTS  # what nobody looked for is never asked
    assert not any(number == 3 and answer == "no" for number, _, answer in asked)  # its scope is open


def test_details_are_those_of_the_facts(talks):
    def told(kind):
        return {(int(t[0]["uids"][0], 16), concept_of(t)): t[1]["answer"] for t in of_kind(talks, kind) if
                "lices" not in t[0]["text"]}  # fmt: skip

    assert told("side") == {
        (0, "pleural_effusion"): "left", (0, "renal_stone"): "right", (1, "pneumothorax"): "right",
        (1, "renal_stone"): "right", (2, "renal_stone"): "left",
    }  # fmt: skip
    assert told("count") == {(2, "renal_stone"): "3"}
    assert {place for place, _ in told("place")} == {3}
    sizes = told("size")
    assert set(sizes) == {(0, "liver_lesion"), (0, "renal_stone"), (1, "liver_lesion"), (1, "renal_stone")}
    assert sizes[0, "liver_lesion"] == "20 mm"  # in one form, whatever the words


def test_sizes_are_said_with_their_margin_and_stay_true(tmp_path, capsys):
    root = make(tmp_path / "corpus")
    assert instruct(root, "--size-margin", "5 mm, 20 %") == 0
    found = dialogues(root)
    told = of_kind((root, found), "size")
    answers = {(int(t[0]["uids"][0], 16), concept_of(t)): t[1]["answer"] for t in told}
    assert answers[0, "liver_lesion"] == "20 mm ± 5 mm"
    assert answers[1, "liver_lesion"] == "32 mm ± 7 mm"  # 6.4, rounded up
    assert answers[0, "renal_stone"] == "10 mm ± 5 mm"
    texts = [row["text"] for turns in found for row in turns]
    sized = [text for text in texts if re.search(r"\d (mm|cm)\b", text) and text != REPORT]
    assert len(sized) > 12
    assert not [text for text in sized if re.search(r"\d (mm|cm)\b", re.sub(r"\d+ mm ± \d mm", "", text))]
    (grown,) = [t[1] for t in of_kind((root, found), "comparison") if t[1]["answer"] == "larger"]
    assert "20 mm ± 5 mm" in grown["text"]
    assert "32 mm ± 7 mm" in grown["text"]
    assert {row["verdict"] for turns in found for row in turns if row["answer"]} == {"supported", None}
    assert instruct(root) == 0  # other settings ask anew
    assert "20 mm" in {turns[1]["answer"] for turns in of_kind((root, dialogues(root)), "size")}
    assert instruct(root, "--size-margin", "five") == 2
    assert "--size-margin is a length and perhaps a share" in capsys.readouterr().err


def test_what_affirms_a_finding_with_a_region_points_at_it(talks):
    told = [t for kind in ("size", "presence") for t in of_kind(talks, kind) if concept_of(t) == "liver_lesion"]
    shown = {(t[0]["kind"], int(t[0]["uids"][0], 16), t[1]["answer"]): t[1]["region_ids"] for t in told}
    assert shown["size", 1, "32 mm"] == ["r1"]
    assert all(ids == (["r1"] if at[1] == 1 and at[2] != "no" else None) for at, ids in shown.items())


def test_an_outline_is_of_the_finding_of_its_name_that_a_report_states(tmp_path):
    root = make(tmp_path / "corpus")
    append_rows(root, "regions", "outlines", [
        {"region_id": "r2", "uid": uid(2), "phrase": "Renal stones", "box": [3.0, 2.0, 2.0, 5.0, 6.0, 6.0]},
        {"region_id": "r3", "uid": uid(2), "phrase": "pneumothorax", "box": [3.0, 2.0, 2.0, 5.0, 6.0, 6.0]},
        {"region_id": "r4", "uid": uid(2), "phrase": "splenomegaly", "box": [3.0, 2.0, 2.0, 5.0, 6.0, 6.0]},
    ])  # fmt: skip
    assert instruct(root, "--kinds", "count,side,grounded") == 0
    told = [(t[0]["kind"], row) for t in dialogues(root) for row in t[1:] if t[0]["uids"] == [uid(2)]]
    shown = {row["answer"]: row["region_ids"] for kind, row in told if kind in ("count", "side")}
    assert shown == {"3": ["r2"], "left": ["r2"]}  # no fact names the region, and its name is that of the finding
    talks = [row["region_ids"] for kind, row in told if kind == "grounded" and row["region_ids"]]
    assert talks == [["r2"]]  # nobody states the one, and the other is denied


def test_slices_are_counted_from_one_and_regions_stand_where_they_are_spoken_of(talks):
    ((_, told),) = [t for t in of_kind(talks, "place") if t[1]["region_ids"]]
    assert (told["answer"], told["region_ids"]) == ("11-15", ["r1"])  # of a box from 10 to 15
    assert "of 40" in told["text"] or "of the 40" in told["text"]
    ((asked, told),) = of_kind(talks, "region")
    assert (asked["region_ids"], told["region_ids"]) == (["r1"], None)
    assert "liver lesion" in told["text"].lower()
    (talk,) = of_kind(talks, "grounded")
    assert all(name in talk[1]["text"].lower() for name in ("liver lesion", "right"))  # all that is there, then the one
    assert [row["region_ids"] for row in talk if row["region_ids"]] == [["r1"]]
    assert len(talk) >= 6
    assert talk[-1]["answer"] == "32 mm"


def test_the_earlier_examination_comes_first_and_each_finding_has_its_change(talks):
    single = [t for t in of_kind(talks, "comparison") if t[1]["answer"]]
    assert {concept_of(t): t[1]["answer"] for t in single} == {
        "pleural_effusion": "resolved", "pneumothorax": "new", "liver_lesion": "larger", "renal_stone": "unchanged",
    }  # fmt: skip
    assert all(t[0]["uids"] == [uid(0), uid(1)] for t in of_kind(talks, "comparison"))
    (whole,) = [t for t in of_kind(talks, "comparison") if t[1]["answer"] is None]
    assert len(whole[1]["text"].splitlines()) == 4


def test_what_cannot_be_told_is_refused(talks):
    refused = of_kind(talks, "unanswerable")
    assert all(t[1]["answer"] == "cannot be told" for t in refused)
    no_prior = [t for t in refused if re.search("prior|better or worse", t[0]["text"])]
    assert {t[0]["uids"][0] for t in no_prior} == {uid(0), uid(2), uid(3)}  # 1 has one
    hidden = [t for t in refused if t[0]["parents"]]
    assert [t[0]["parents"] for t in hidden] == [[f"{uid(1)}:receptor_status:present"]]
    assert not any(OPEN in t[0]["text"] for t in talks[1] if t[0]["kind"] != "report")


def test_reports_come_as_they_are_and_a_false_one_is_kept_with_its_verdict(talks):
    told = {t[1]["text"]: t for t in of_kind(talks, "report")}
    assert told[REPORT][1]["verdict"] == "supported"
    assert told[REPORT][0]["parents"][0] == "report"
    wrong = told["There is no kidney stone."][1]
    assert wrong["verdict"] == "contradicted"
    assert "stone" in wrong["detail"]
    made = [row for turns in talks[1] for row in turns if row["verdict"] not in (None, "supported")]
    assert {row["text"] for row in made} == {"There is no kidney stone."}  # of what templates say nothing is doubted


def test_a_turn_is_as_bad_as_the_worst_of_what_it_says(talks):
    reader = CaseReader(talks[0], installed_banks(), PRECEDENCE)
    cases = reader.of_part(Corpus(talks[0]).parts("samples")[0])
    true, false = (Claim(uid(0), text) for text in ("There is a left pleural effusion.", "There is no kidney stone."))
    turns = (Turn("user", "?"), Turn("assistant", "!", claims=(true, false)), Turn("assistant", "!", claims=(true,)))
    verdicts = Judging({case.uid: case for case in cases}).of(Dialogue("report", (uid(0),), turns))
    assert [verdict for verdict, _ in verdicts] == [None, "contradicted", "supported"]


def test_a_sample_shows_its_dialogues(talks, capsys):
    inspect_corpus(talks[0], uid=uid(0))
    shown = capsys.readouterr().out
    assert "dialogues" in shown
    assert "comparison" in shown  # of which it is the earlier of two images


def test_a_second_run_adds_nothing_and_a_new_fact_what_follows_from_it(tmp_path, capsys):
    root = make(tmp_path / "corpus")
    assert instruct(root, "--kinds", "presence,side", "--dry-run") == 0
    assert not (root / "tables" / "dialogues").exists()
    assert instruct(root, "--kinds", "presence,side") == 0
    assert "presence (" in capsys.readouterr().out
    first = dialogues(root)
    assert {t[0]["kind"] for t in first} == {"presence", "side"}
    assert instruct(root, "--kinds", "presence,side") == 0
    assert dialogues(root) == first
    row = {"uid": uid(3), "concept": "pleural_effusion", "polarity": "present", "source": "labels@1"}
    append_rows(root, "facts", "later", [row | {"attributes": '{"laterality": "right"}'}])
    assert instruct(root, "--kinds", "side") == 0
    new = [t for t in dialogues(root) if t not in first]
    assert [(t[0]["uids"], t[1]["answer"]) for t in new] == [([uid(3)], "right")]
    assert verify(root).problems == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--kinds", "presence,sides"), "--kinds names 'sides'; there are: report, presence"),
        (("--most", "0"), "--most must be at least 1, not 0"),
        (("--variants", "0"), "--variants must be at least 1, not 0"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path, capsys, options, said):
    new_corpus(tmp_path / "corpus")
    assert instruct(tmp_path / "corpus", *options) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_corpus_that_knows_nothing_is_refused(tmp_path, capsys):
    new_corpus(tmp_path / "corpus")
    assert instruct(tmp_path / "corpus") == 2
    assert "knows nothing to ask about; make facts with: voxtile facts" in " ".join(capsys.readouterr().err.split())
    assert Corpus(tmp_path / "corpus").parts("dialogues") == []


def test_a_picture_is_told_in_thirds_and_what_a_region_is_called_has_one_article(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    row = {"uid": uid(0), "subject": "p", "kind": "image", "modality": "RGB", "axes": "YXC"}
    writer.add(Sample(row, np.zeros((30, 60, 3), np.uint8)))
    boxes = {"the pond": [0, 0, 8, 10], "a roundabout": [12, 25, 18, 35], "car_park": [11, 50, 19, 60]}
    writer.add_rows("regions", [
        {"region_id": name, "uid": uid(0), "phrase": name, "box": [float(edge) for edge in box]}
        for name, box in boxes.items()
    ])  # fmt: skip
    writer.publish()
    assert instruct(root, "--kinds", "place,region") == 0
    told = {t[1]["region_ids"][0]: (t[0]["text"], t[1]["answer"]) for t in dialogues(root) if t[1]["region_ids"]}
    assert {name: answer for name, (_, answer) in told.items()} == {
        "the pond": "upper left", "a roundabout": "middle", "car_park": "right",
    }  # fmt: skip
    assert all(f"the {name} " in f"{text.rstrip('?')} " for name, (text, _) in
               zip(("pond", "roundabout", "car park"), (told[name] for name in boxes), strict=True))  # fmt: skip
    seen = {t[0]["region_ids"][0]: t[1]["text"] for t in dialogues(root) if t[0]["region_ids"]}
    assert not any(re.search(r"\b(an?|the) (an?|the)\b", text, re.I) for text in seen.values())


def test_beside_findings_as_many_structures_are_asked_about(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    row = {"uid": uid(0), "subject": "p", "kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU"}
    writer.add(Sample(row, np.zeros((9, 8, 8), np.int16)))
    names = ["liver lesion", "liver", "spleen", "heart", "aorta", "trachea"]
    writer.add_rows("regions", [
        {"region_id": name, "uid": uid(0), "phrase": name, "box": [0.0, 0.0, float(n), 3.0, 3.0, n + 2.0]}
        for n, name in enumerate(names)
    ])  # fmt: skip
    writer.add_rows("facts", [
        {"uid": uid(0), "concept": "liver_lesion", "polarity": "present", "source": "masks@1", "region_id": names[0]}
    ])  # fmt: skip
    writer.publish()
    assert instruct(root, "--kinds", "region,place") == 0
    marked = [row["region_ids"][0] for t in dialogues(root) for row in t if row["region_ids"]]
    assert sorted(marked.count(name) for name in names) == [0, 0, 0, 0, 2, 2]
    assert marked.count("liver lesion") == 2  # marked once, and placed once
