"""A user's corpus has no label table: figures against what reports state, other spellings, classes nobody mentions."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from voxtile.corpus.reader import Corpus
from voxtile.errors import EvaluationError
from voxtile.evaluation.inputs.labels import LabelSource, label_source
from voxtile.evaluation.inputs.units import select_units
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.run import evaluate_model
from voxtile.evaluation.tasks.file import load_task, parse_task
from voxtile.words.names import name_key, spelling_key


@pytest.fixture
def rewritten(make_corpus, tmp_path):
    """Makes a corpus whose facts are changed row by row, None leaving one out."""

    def make(change):
        root = tmp_path / "own"
        make_corpus(root)
        for path in (root / "tables" / "facts").glob("*.parquet"):
            table = pq.read_table(path)
            rows = [changed for row in table.to_pylist() if (changed := change(row)) is not None]
            pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
        return Corpus(root)

    return make


def with_sources(task_path, tmp_path, *sources):
    task = yaml.safe_load(task_path.read_text()) | {"facts_source": list(sources)}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(task, sort_keys=False))
    return str(path)


def evaluated(corpus, model, task):
    return evaluate_model(model, "spec", corpus, [task], checked_options(None, 32, 100, 0)).results[0]


def test_facts_of_reports_stand_in_for_labels_and_the_report_says_so(rewritten, make_model, task_path, tmp_path):
    """The reports never name an effusion, and are wrong about a fracture in every tenth study."""
    own = rewritten(lambda row: row | {"source": "reports@2"} if row["concept"] != "effusion" else None)
    task = with_sources(task_path, tmp_path, "labels", "reports")
    result = evaluated(own, make_model(), task)
    assert result.notes[0].startswith("silver labels: the corpus has no facts of the source 'labels'")
    assert "facts of the source 'reports'" in result.notes[0]
    assert "skipped, since no fact of the corpus is about them: effusion" in result.notes
    assert {row.class_name for row in result.rows} == {"nodule", "fracture", None}
    assert all(row.value > 0.8 for row in result.rows if (row.metric, row.kind) == ("auroc", "model"))


def test_labels_are_taken_where_there_are_any(rewritten, make_model, task_path, tmp_path):
    """The same figures with the reports' facts beside them as without."""
    own = rewritten(lambda row: row)
    before = evaluated(own, make_model(), str(task_path))
    path = next((own.roots[0] / "tables" / "facts").glob("*.parquet"))
    table = pq.read_table(path)
    lies = [row | {"source": "reports@2", "polarity": "present"} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(table.to_pylist() + lies, schema=table.schema), path)
    after = evaluated(Corpus(own.roots[0]), make_model(), with_sources(task_path, tmp_path, "labels", "reports"))
    assert [row.value for row in after.rows] == pytest.approx([row.value for row in before.rows])
    assert not any("silver" in note for note in after.notes)


def test_labels_about_something_else_are_no_labels(rewritten, task_path, tmp_path):
    own = rewritten(lambda row: row | ({"concept": "age"} if row["concept"] == "effusion" else {"source": "reports@2"}))
    task = load_task(with_sources(task_path, tmp_path, "labels", "reports"))
    narrowed, source = label_source(own, task)
    assert [item.name for item in narrowed.classes] == ["nodule", "fracture"]
    assert "silver labels" in source.notes[0]


def test_a_corpus_without_any_of_the_sources_is_refused(rewritten, make_model, task_path, tmp_path):
    own = rewritten(lambda row: row | {"source": "osm@1"})
    with pytest.raises(EvaluationError, match=r"source 'labels' or 'reports', but the corpus has only: osm"):
        evaluated(own, make_model(), with_sources(task_path, tmp_path, "labels", "reports"))


@pytest.mark.parametrize("spelling", ["Nodule", "NODULES", "nodules"])
def test_a_concept_in_another_spelling_is_the_same(rewritten, block_corpus, task_path, spelling):
    task = load_task(str(task_path))
    spelt = rewritten(lambda row: row | {"concept": spelling} if row["concept"] == "nodule" else row)
    expected, found = (
        LabelSource(corpus, task).labels(select_units(corpus, task)["test"]) for corpus in (block_corpus, spelt)
    )
    assert (expected >= 0).all()
    np.testing.assert_array_equal(found, expected)


def test_a_class_of_another_language_is_skipped_with_its_name(rewritten, task_path):
    own = rewritten(lambda row: row | {"concept": "Knoten"} if row["concept"] == "nodule" else row)
    task, source = label_source(own, load_task(str(task_path)))
    assert [item.name for item in task.classes] == ["effusion", "fracture"]
    assert source.notes == ("skipped, since no fact of the corpus is about them: nodule",)


def test_a_closed_scope_covers_a_concept_in_another_spelling(make_corpus, tmp_path):
    make_corpus(tmp_path / "c", n=8, polarity=lambda n, finding, truth: "present" if finding == "fracture" else None)
    corpus = Corpus(tmp_path / "c")
    uids = corpus.table("samples", columns=["uid"])["uid"].to_pylist()
    folder = tmp_path / "c" / "tables" / "scopes"
    folder.mkdir(exist_ok=True)
    scopes = [{"uid": uid, "vocabulary": "drawn", "closed": True, "concepts": ["Tumor"]} for uid in uids]
    pq.write_table(pa.Table.from_pylist(scopes), folder / "made.parquet")
    prompts = {"present": "tumour", "absent": "no tumour"}
    content = {"kind": "zero-shot-multilabel", "unit": "study", "classes": {"tumour": {"wordings": [prompts]}}}
    task = parse_task(content, where="t.yaml", name="t")
    corpus = Corpus(tmp_path / "c")
    units = select_units(corpus, task)["test"]
    assert LabelSource(corpus, task).labels(units)[:, 0].tolist() == [0] * len(units)


def test_a_single_label_task_keeps_the_classes_that_somebody_looked_for(rewritten, make_model, task_path, tmp_path):
    own = rewritten(lambda row: row if row["concept"] != "effusion" else None)
    content = yaml.safe_load(task_path.read_text())
    classes = {name: {"prompts": [item["wordings"][0]["present"]]} for name, item in content["classes"].items()}
    path = tmp_path / "single.yaml"
    path.write_text(json.dumps({"kind": "zero-shot-singlelabel", "unit": "study", "classes": classes}))
    result = evaluated(own, make_model(), str(path))
    assert {row.class_name for row in result.rows} <= {"nodule", "fracture", None}
    assert any(row.value is not None for row in result.rows)


def test_what_is_one_name_and_what_is_not():
    one = [("Tumour", "tumor"), ("Haemorrhage", "hemorrhage"), ("Normal epithelium", "normal-epithelium"),
           ("LYMPHOCYTES", "lymphocyte"), ("muscle fibres", "Muscle_fiber"), ("oedema", "Edema")]  # fmt: skip
    two = [("HER2+", "HER2-"), ("Ki-67 >20%", "Ki-67 <20%"), ("stroma", "stromal"), ("mass", "mast"), ("腺癌", "腺瘤")]
    assert all(name_key(a) == name_key(b) for a, b in one)
    assert not any(name_key(a) == name_key(b) for a, b in two)
    assert spelling_key("the Tumour") == spelling_key("The tumor")
    assert spelling_key("the tumour") != spelling_key("the tumours")
