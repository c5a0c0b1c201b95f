"""Sixty cases with known facts, reports of their own, and drafts of known errors; as many are trained on."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model

QUICK = Options(replicates=200)
CONCEPTS = ["pleural_effusion", "renal_stone", "pneumothorax"]
N = 60


def uid(number):
    return f"{number:032x}"


def truth(number):
    """Every third has a left effusion, every second a right stone of 10 mm; the scope of three findings is closed."""
    facts = []
    if number % 3 == 0:
        facts.append({"concept": "pleural_effusion", "attributes": json.dumps({"laterality": "left"})})
    if number % 2 == 0:
        facts.append({"concept": "renal_stone", "value": 10.0, "unit": "mm",
                      "attributes": json.dumps({"laterality": "right"})})  # fmt: skip
    return facts


def reference(number):
    said = ["There is a left pleural effusion."] * (number % 3 == 0)
    said += ["There is a 10 mm right kidney stone."] * (number % 2 == 0)
    return " ".join([*said, "No pneumothorax."])


def corpus_of_cases(root, licence="CC BY 4.0"):
    """The corpus, at a folder that is not there yet."""
    new_corpus(root)
    writer = JobWriter(root, "made")
    for number in range(2 * N):  # the second half is trained on
        row = {"uid": uid(number), "subject": f"p{number}", "kind": "volume", "modality": "CT", "axes": "ZYX",
               "units": "HU", "licence": licence}  # fmt: skip
        writer.add(Sample(row, np.zeros((4, 4, 4), np.int16)))
        writer.add_rows(
            "facts", [{"uid": row["uid"], "polarity": "present", "source": "x@1", **fact} for fact in truth(number)]
        )
        writer.add_rows("scopes", [{"uid": row["uid"], "vocabulary": "v", "closed": True, "concepts": CONCEPTS}])
        split = "test" if number < N else "train"
        writer.add_rows("splits", [{"scheme": "default", "subject": row["subject"], "split": split}])
        text = {"caption_id": row["uid"], "uid": row["uid"], "text": reference(number), "kind": "raw"}
        writer.add_rows("captions", [text])
    writer.publish()
    return Corpus(root)


def run(cases, make_model, folder, texts, more="", name="drafts.parquet"):
    pq.write_table(pa.table({"uid": [uid(n) for n in range(len(texts))], "text": texts}), folder / name)
    (folder / "t.yaml").write_text(f"kind: report-factuality\ndrafts: {name}\n{more}")
    return evaluate_model(make_model(), "m", cases, [str(folder / "t.yaml")], QUICK)


def values(evaluation, kind="model", model="drafts"):
    return {(r.metric, r.class_name): r.value for r in evaluation.rows if (r.model, r.kind) == (model, kind)}


def drafted(number):
    """True but for: every sixth stone is missed, every fifth case has an invented pneumothorax, sides and sizes err."""
    said = []
    if number % 3 == 0:
        said.append(f"There is a {'right' if number % 4 == 0 else 'left'} pleural effusion.")  # 5 of 20 are wrong
    if number % 2 == 0 and number % 12:
        said.append(f"There is a {'30' if number % 10 == 2 else '10'} mm right kidney stone.")
    said.append("There is a pneumothorax." if number % 5 == 0 else "No pneumothorax.")
    return " ".join(said)
