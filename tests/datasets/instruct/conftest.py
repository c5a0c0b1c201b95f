"""A corpus of CTs whose facts are known: closed scopes, a prior examination, regions, a report, and a false one."""

import json

import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus

CONCEPTS = ["pleural_effusion", "renal_stone", "liver_lesion", "pneumothorax", "splenomegaly"]
OPEN = "emphysema"  # looked for by nobody: an open scope


def uid(number):
    return f"{number:032x}"


def fact(number, concept, polarity="present", source="labels@1", **more):
    attributes = {name: more.pop(name) for name in ("laterality", "location", "count", "of_case") if name in more}
    row = {"uid": uid(number), "concept": concept, "polarity": polarity, "source": source, **more}
    return row | {"attributes": json.dumps(attributes) if attributes else None}


FACTS = [
    # Of 0 and 1, one patient's CTs of two dates: new, resolved, larger, unchanged.
    fact(0, "pleural_effusion", laterality="left"),
    fact(0, "liver_lesion", value=20.0, unit="mm"),
    fact(0, "renal_stone", value=10.0, unit="mm", laterality="right"),
    fact(1, "pneumothorax", laterality="right"),
    fact(1, "liver_lesion", value=32.0, unit="mm", region_id="r1"),
    fact(1, "renal_stone", value=10.0, unit="mm", laterality="right"),
    fact(1, "receptor_status", of_case=True),
    # Two more patients.
    fact(2, "renal_stone", laterality="left", count=3),
    fact(2, "splenomegaly", "absent"),
    fact(2, OPEN, "uncertain"),
    fact(3, "liver_lesion", location="segment 4"),
    *(fact(3, concept) for concept in ("renal_stone", "splenomegaly")),  # so that there is more to affirm than to deny
    fact(3, "pneumothorax", "absent", laterality="left"),  # of the right one nobody says anything
]
SCOPES = [
    {"uid": uid(number), "vocabulary": "five", "closed": number != 3, "concepts": CONCEPTS} for number in range(4)
]
REPORT = "FINDINGS: There is a pneumothorax on the right. A liver lesion measures 32 mm. Right kidney stone of 10 mm."
WRONG = "There is no kidney stone."


def make(root):
    new_corpus(root)
    writer = JobWriter(root, "made")
    for number in range(4):
        row = {"uid": uid(number), "subject": f"p{max(1, number)}", "study": f"s{number}", "kind": "volume",
               "modality": "CT", "axes": "ZYX", "units": "HU", "spacing": [1.0, 1.0, 1.0],
               "datetime": f"202{number}-01-01"}  # fmt: skip
        writer.add(Sample(row, np.zeros((40, 8, 8), np.int16)))
        writer.add_rows("splits", [{"scheme": "default", "subject": row["subject"], "split": "train"}])
    writer.add_rows("facts", FACTS)
    writer.add_rows("scopes", SCOPES)
    writer.add_rows("regions", [
        {"region_id": "r1", "uid": uid(1), "phrase": "liver lesion", "box": [10.0, 2.0, 2.0, 15.0, 6.0, 6.0]},
    ])  # fmt: skip
    writer.add_rows("captions", [
        {"caption_id": "report", "uid": uid(1), "text": REPORT, "kind": "raw"},
        {"caption_id": "wrong", "uid": uid(2), "text": WRONG, "kind": "raw"},
    ])  # fmt: skip
    writer.publish()
    return root


def instruct(root, *options):
    return main(["instruct", str(root), "--engine", "inline", *map(str, options)])


@pytest.fixture(scope="session")
def talks(tmp_path_factory):
    """Rows of the table, by dialogue in the order of their turns."""
    root = make(tmp_path_factory.mktemp("instruct") / "corpus")
    assert instruct(root, "--most", 20) == 0
    return root, dialogues(root)


def dialogues(root):
    found = {}
    for row in sorted(Corpus(root).table("dialogues").to_pylist(), key=lambda row: (row["dialogue_id"], row["turn"])):
        found.setdefault(row["dialogue_id"], []).append(row)
    return list(found.values())
