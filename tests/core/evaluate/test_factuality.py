"""Captions judged by facts: true, false and silent ones in known shares, and every bad table."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

TASK = "kind: caption-factuality\ncaptions: [template, rewrite]\n"
QUICK = Options(replicates=200)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """60 CTs, every third with an effusion. Templates are true; of the rewrites a quarter says the opposite."""
    root = tmp_path_factory.mktemp("told")
    new_corpus(root)
    writer, tables = JobWriter(root, "made"), {"facts": [], "scopes": [], "captions": [], "splits": []}
    for number in range(60):
        uid, ill = f"{number:032x}", number % 3 == 0
        row = {"uid": uid, "subject": f"p{number}", "kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU"}
        writer.add(Sample(row, np.zeros((4, 4, 4), np.int16)))
        polarity = "present" if ill else "absent"
        tables["facts"].append({"uid": uid, "concept": "pleural_effusion", "polarity": polarity, "source": "x@1"})
        tables["splits"].append({"scheme": "default", "subject": f"p{number}", "split": "test"})
        for kind, says in (("template", ill), ("rewrite", ill != (number % 4 == 0))):
            text = "There is a pleural effusion." if says else "There is no pleural effusion."
            tables["captions"].append({"caption_id": f"{uid}-{kind}", "uid": uid, "text": text, "kind": kind})
    for name, rows in tables.items():
        writer.add_rows(name, rows)
    writer.publish()
    return Corpus(root)


def run(told, make_model, folder, task=TASK):
    (folder / "facts.yaml").write_text(task)
    return evaluate_model(make_model(), "m", told, [str(folder / "facts.yaml")], QUICK)


def test_rates_are_the_planted_ones_with_intervals_and_fall_under_other_facts(told, make_model, tmp_path):
    evaluation = run(told, make_model, tmp_path)
    found = {(r.metric, r.class_name, r.kind): r for r in evaluation.rows}
    assert found["supported", "template", "model"].value == 1.0
    assert found["contradicted", "rewrite", "model"].value == pytest.approx(0.25)
    assert found["supported", "rewrite", "model"].value == pytest.approx(0.75)
    every = found["supported", None, "model"]
    assert (every.value, every.n, every.positives) == (pytest.approx(105 / 120), 120, 105)
    assert every.low < every.value < every.high
    for kind in ("model", "shuffled"):
        shares = (
            found[verdict, None, kind].value for verdict in ("supported", "unknown", "unsupported", "contradicted")
        )
        assert sum(shares) == pytest.approx(1)
    other = found["supported", None, "shuffled"].value
    assert other == pytest.approx(5 / 9, abs=0.12)  # both ill or both well: 1/9 + 4/9
    (difference,) = evaluation.results[0].differences
    assert difference.value == pytest.approx(every.value - other)
    assert difference.low > 0
    assert (difference.metric, difference.average) == ("supported", "micro")
    console = Console(file=io.StringIO(), width=140)
    report(evaluation, tmp_path, console)
    assert "105 of 120" in console.file.getvalue()
    page = (tmp_path / "index.html").read_text()
    assert "Contradicted, rewrite" in page
    assert "Another subject&#39;s facts" in page
    assert json.loads((tmp_path / "results.json").read_text())["provenance"]["tasks"]


def test_a_table_of_generated_captions_is_judged(told, make_model, tmp_path):
    uids = told.table("samples", columns=["uid"])["uid"].to_pylist()
    pq.write_table(pa.table({"uid": uids, "text": ["A pleural effusion is present."] * 60}), tmp_path / "g.parquet")
    evaluation = run(told, make_model, tmp_path, "kind: caption-factuality\ntable: g.parquet\n")
    value = {r.metric: r.value for r in evaluation.rows if r.kind == "model"}
    assert value["supported"] == pytest.approx(1 / 3)
    assert value["contradicted"] == pytest.approx(2 / 3)
    assert evaluation.results[0].details() == {"captions": {"given": 60}, "table": "g.parquet"}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"uid": ["x"], "caption": ["y"]}, "has the columns uid, caption; captions need 'uid' and 'text'"),
        ({"uid": ["x"], "text": ["y"]}, "has a caption of 'x', which is no sample of the corpus"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(told, make_model, tmp_path, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "g.parquet")
    with pytest.raises(EvaluationError, match=said):
        run(told, make_model, tmp_path, "kind: caption-factuality\ntable: g.parquet\n")


def test_other_bad_input(told, make_model, tmp_path):
    (tmp_path / "g.parquet").write_text("no")
    with pytest.raises(EvaluationError, match="is no Parquet file of captions"):
        run(told, make_model, tmp_path, "kind: caption-factuality\ntable: g.parquet\n")
    with pytest.raises(EvaluationError, match="no sample of the split 'test' has a caption of the kind vlm"):
        run(told, make_model, tmp_path, "kind: caption-factuality\ncaptions: [vlm]\n")
    for text, said in (("table: none.parquet", "there is no file"), ("table: g.parquet\ncaptions: [raw]", "either")):
        (tmp_path / "t.yaml").write_text(f"kind: caption-factuality\n{text}\n")
        with pytest.raises(ConfigError, match=said):
            load_task(str(tmp_path / "t.yaml"))
