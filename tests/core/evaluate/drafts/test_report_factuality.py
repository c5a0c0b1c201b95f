"""Drafted reports against known facts: each figure is counted by hand, and every control falls where it must."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drafted_cases import QUICK, N, drafted, reference, run, truth, uid, values
from rich.console import Console

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.reports.figures import ratios_of
from voxtile.evaluation.kinds.reports.overlap import cider
from voxtile.evaluation.kinds.reports.reading import DraftReading
from voxtile.evaluation.kinds.reports.rows import ReportFigures, Told
from voxtile.evaluation.kinds.reports.texts import trivial_report
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task
from voxtile_datasets.report_reading.drafts import read_drafts


def test_figures_are_those_counted_by_hand(cases, make_model, tmp_path):
    texts = [drafted(number) for number in range(N)]
    found = values(run(cases, make_model, tmp_path, texts))
    effusions, stones, invented = 20, 30, 12
    missed = sum(n % 2 == 0 and n % 12 == 0 for n in range(N))
    hits = effusions + stones - missed
    assert found["finding_recall", None] == pytest.approx(hits / 50)
    assert found["finding_precision", None] == pytest.approx(hits / (hits + invented))
    assert found["finding_f1", None] == pytest.approx(2 * hits / (2 * hits + invented + missed))
    assert found["finding_recall", "pleural_effusion"] == 1.0
    assert found["finding_recall", "renal_stone"] == pytest.approx((30 - missed) / 30)
    wrong_sides = sum(n % 3 == 0 and n % 4 == 0 for n in range(N))
    assert found["side_accuracy", None] == pytest.approx(1 - wrong_sides / hits)
    wrong_sizes = sum(n % 2 == 0 and n % 12 and n % 10 == 2 for n in range(N))
    assert found["size_accuracy", None] == pytest.approx(1 - wrong_sizes / (30 - missed))
    assert found["hallucination_rate", None] == pytest.approx((invented + 0) / (hits + invented), abs=0.25)
    assert found["false_finding", None] == pytest.approx(invented / N)
    assert found["omitted_finding", None] == pytest.approx(missed / N)
    assert found["wrong_place", None] == pytest.approx(wrong_sides / N)
    assert found["wrong_severity", None] == pytest.approx(wrong_sizes / N)
    assert (found["false_comparison", None], found["omitted_comparison", None]) == (0.0, 0.0)


def test_a_precision_is_of_the_drafts_that_name_the_finding_and_of_their_subjects():
    """Thirty of sixty have it, eleven drafts say so: that is no evidence of thirty."""
    readings = [
        DraftReading({"stone": "present" if n < 30 else "absent"}, {"stone": "present"} if n < 11 else {})
        for n in range(60)
    ]
    names = tuple(f"p{n}" for n in range(60))
    units = Units(names, np.arange(60), np.array(names), names)
    figures = ReportFigures(SimpleNamespace(name="t"), units, QUICK)
    told = Told("drafts", "model", ("",) * 60)
    rows = {row.metric: row for row in figures.rows(told, ratios_of(readings, ())) if row.metric.startswith("finding")}
    sure, found = rows["finding_precision"], rows["finding_recall"]
    assert (sure.value, sure.n, sure.positives) == (1.0, 11, 11)
    assert (sure.low, sure.high) == (pytest.approx(0.025 ** (1 / 11)), 1.0)
    assert (found.value, found.n, found.positives) == (pytest.approx(11 / 30), 30, 30)
    few = [replace(one, said=one.said if n < 9 else {}) for n, one in enumerate(readings)]
    rows = {row.metric: row for row in figures.rows(told, ratios_of(few, ()))}
    assert rows["finding_precision"].value is None
    assert rows["finding_recall"].value == pytest.approx(9 / 30)


def test_an_empty_draft_misses_what_is_there_and_a_case_without_one_is_said(cases, make_model, tmp_path):
    texts = [reference(number) for number in range(N - 6)] + [""] * 3
    evaluation = run(cases, make_model, tmp_path, texts)
    there = [len(truth(number)) for number in range(N - 3)]
    recall = values(evaluation)["finding_recall", None]
    assert recall == pytest.approx(1 - sum(there[-3:]) / sum(there))
    assert "3 cases of the split have no draft, and count nowhere" in evaluation.results[0].notes


def test_the_cases_own_reports_are_perfect_and_the_controls_are_not(cases, make_model, tmp_path):
    texts = [reference(number) for number in range(N)]
    pq.write_table(
        pa.table({"uid": [uid(n) for n in range(N)], "text": ["No pneumothorax."] * N}), tmp_path / "b.parquet"
    )
    evaluation = run(cases, make_model, tmp_path, texts, "blind: b.parquet\nwords: true\n")
    own, other = values(evaluation), values(evaluation, "shuffled")
    for metric in ("finding_f1", "side_accuracy", "size_accuracy", "polarity_accuracy", "bleu", "rouge_l"):
        assert own[metric, None] == pytest.approx(1.0), metric
    for metric in ("hallucination_rate", "contradicted_sentences", "false_finding", "omitted_finding"):
        assert own[metric, None] == 0.0, metric
    assert other["finding_f1", None] < 0.7
    trivial, blind = values(evaluation, "trivial", "trivial-report"), values(evaluation, "trivial", "blind-drafts")
    assert blind["finding_recall", None] == 0.0
    assert values(evaluation, "trivial", "own-reports") == own  # the drafts are these
    # The commonest sentence of the training split is that there is no pneumothorax, the next the stone of every second.
    assert evaluation.results[0].trivial == "No pneumothorax. There is a 10 mm right kidney stone."
    assert trivial["finding_recall", None] == pytest.approx(30 / 50)
    assert trivial["finding_precision", None] == pytest.approx(30 / 60)
    (difference,) = evaluation.results[0].differences
    assert difference.value == pytest.approx(1 - trivial["finding_f1", None])
    rows = [row for row in evaluation.rows if row.metric == "finding_f1" and row.class_name is None]
    assert all(row.low <= row.value <= row.high for row in rows)
    console = Console(file=io.StringIO(), width=160)
    report(evaluation, tmp_path, console)
    assert "trivial report" in console.file.getvalue()
    assert "Blind drafts" in (tmp_path / "index.html").read_text()


def test_words_are_those_of_sacrebleu(cases, make_model, tmp_path):
    import sacrebleu

    texts = [drafted(number) for number in range(N)]
    found = values(run(cases, make_model, tmp_path, texts, "words: true\n"))
    theirs = sacrebleu.corpus_bleu(texts, [[reference(number) for number in range(N)]]).score / 100
    assert found["bleu", None] == pytest.approx(theirs, abs=1e-9)


# pycocoevalcap 1.2 (its PTBTokenizer, then Cider) gave these, in a venv of its own.
CIDER = [
    ("There is a left-sided pleural effusion. No pneumothorax.",
     ["There is a small left pleural effusion. No pneumothorax is seen.", "Left effusion."], 1.8779427324525755),
    ("No pneumothorax, no pneumothorax; no pneumothorax!", ["No pneumothorax or effusion."], 0.6808694081978179),
    ("A 3.5 cm mass in the right upper lobe.",
     ["There is a 3.5 cm mass in the right upper lobe with a spiculated margin."], 4.707008250068357),
    ("Normal.", ["The lungs are clear, and the heart is of normal size."], 0.2597454091150919),
    ("The lungs are clear.", ["The lungs are clear."], 10.0),
    ("", ["There is a fracture of the left seventh rib."], 0.0),
]  # fmt: skip


def test_cider_is_that_of_the_coco_evaluation(cases, make_model, tmp_path):
    drafts, references, theirs = zip(*CIDER, strict=True)
    assert cider(drafts, references) == pytest.approx(np.array(theirs), abs=1e-12)
    texts = [drafted(number) for number in range(N)]
    evaluation = run(cases, make_model, tmp_path, texts, "words: true\n")
    (row,) = (r for r in evaluation.rows if (r.metric, r.model, r.kind) == ("cider", "drafts", "model"))
    assert row.value == pytest.approx(cider(texts, [[reference(number)] for number in range(N)]).mean())
    assert 1 < row.low < row.value < row.high < 10
    assert values(evaluation, "trivial", "own-reports")["cider", None] > row.value


def test_labels_are_read_in_both_reports_by_the_domains_rules(cases, make_model, tmp_path):
    texts = ["There is a left pleural effusion." if n % 6 == 0 else "No pleural effusion." for n in range(N)]
    more = "labels: {domain: medical, vocabulary: chexpert-14}\n"
    found = values(run(cases, make_model, tmp_path, texts, more))
    assert found["label:chexpert-14_recall", "Pleural Effusion"] == pytest.approx(0.5)
    assert found["label:chexpert-14_precision", "Pleural Effusion"] == 1.0
    with pytest.raises(ConfigError, match=r"no domain .law. reads labels .*: medical, pathology, and for"):
        run(cases, make_model, tmp_path, texts, more.replace("medical", "law"))


LABELS = [
    ("pathology", "slide-findings", "Invasive ductal carcinoma, grade 2.", "No carcinoma. Negative for invasion.",
     {"invasive_ductal_carcinoma": "present"}, {"carcinoma": "absent"}),
    ("remote_sensing", "claims", "There are two bridges over the river. No airport is visible.", "A river.",
     {"bridge": "present", "river": "present", "airport": "absent"}, {"river": "present"}),
    ("medical", "claims", "There may be a pneumothorax.", "Normal heart.", {"pneumothorax": "uncertain"}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("domain", "vocabulary", "first", "second", "of_first", "of_second"), LABELS)
def test_labels_are_read_in_other_domains(domain, vocabulary, first, second, of_first, of_second):
    from voxtile_datasets.report_reading.drafts import read_labels

    found = read_labels(domain, vocabulary, [first, second])
    assert found[0].items() >= of_first.items()
    assert found[1].items() >= of_second.items()
    with pytest.raises(ConfigError, match="there is no vocabulary 'slide-findngs'"):
        read_labels("pathology", "slide-findngs", [first])


def test_comparisons_that_facts_do_not_have_are_errors():
    from voxtile_datasets.captions.checker.check import Known
    from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
    from voxtile_datasets.report_reading.drafts import _read

    vocabulary = installed_vocabularies()["medical"]

    def errors(text, **attributes):
        row = {"uid": "u", "concept": "pleural_effusion", "polarity": "present", "value": None, "unit": None,
               "attributes": attributes, "source": "x"}  # fmt: skip
        known = Known([row], [], metadata={"modality": "CT"})
        return _read(text, known, vocabulary, frozenset(["pleural_effusion"])).errors

    assert errors("The pleural effusion has increased.")["false_comparison"] == 1
    assert errors("There is a pleural effusion.", change="increased")["omitted_comparison"] == 1
    right = errors("The pleural effusion has increased.", change="increased")
    assert (right["false_comparison"], right["omitted_comparison"]) == (0, 0)
    assert errors("The pleural effusion is unchanged.", change="increased")["false_comparison"] == 1


def test_the_trivial_report_has_as_many_sentences_as_half_of_the_reports():
    assert trivial_report(["A is. B is.", "A is. C is.", "A is. C is. D is."]) == "A is. C is."
    assert trivial_report([]) == ""


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"uid": ["x"], "report": ["y"]}, "has the columns uid, report; it needs 'uid' and 'text'"),
        ({"uid": ["x"], "text": ["y"]}, "has a text of 'x', which the corpus does not hold"),
        ({"uid": [uid(0)] * 2, "text": ["y", "z"]}, "has two texts of"),
        ({"uid": [uid(N)], "text": ["y"]}, "no sample of the split 'test' has a draft"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence(cases, make_model, tmp_path, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "g.parquet")
    (tmp_path / "t.yaml").write_text("kind: report-factuality\ndrafts: g.parquet\n")
    with pytest.raises(EvaluationError, match=said):
        evaluate_model(make_model(), "m", cases, [str(tmp_path / "t.yaml")], QUICK)


def test_csv_and_json_lines_are_read_and_tasks_without_drafts_are_refused(cases, make_model, tmp_path):
    for name, text in (("d.csv", f'uid,text\n{uid(0)},"No effusion, no\nstone."\n'),
                       ("d.jsonl", json.dumps({"uid": uid(0), "text": "No stone."}) + "\n")):  # fmt: skip
        (tmp_path / name).write_text(text)
        (tmp_path / "t.yaml").write_text(f"kind: report-factuality\ndrafts: {name}\n")
        evaluation = evaluate_model(make_model(), "m", cases, [str(tmp_path / "t.yaml")], QUICK)
        assert "no figure: fewer than 10 subjects have a draft" in evaluation.results[0].notes
    half = "captions: [vlm]\nlabels: {domain: medical}"
    for text, said in (
        ("", "drafts are either"),
        ("drafts: none.csv", "there is no file"),
        (half, "expected the keys"),
    ):
        (tmp_path / "t.yaml").write_text(f"kind: report-factuality\n{text}\n")
        with pytest.raises(ConfigError, match=said):
            load_task(str(tmp_path / "t.yaml"))


def test_what_follows_from_another_finding_or_from_the_date_is_no_omission(tmp_path):
    new_corpus(tmp_path / "scenes")
    writer = JobWriter(tmp_path / "scenes", "made")
    row = {"uid": uid(1), "subject": "p1", "kind": "tile", "modality": "RGB", "axes": "YXC", "units": "a.u.",
           "licence": "CC0-1.0", "datetime": "2024-07-01"}  # fmt: skip
    writer.add(Sample(row, np.zeros((4, 4, 3), np.uint8)))
    writer.add_rows("facts", [{"uid": uid(1), "concept": "swimming_pool", "polarity": "present", "source": "osm@1"}])
    looked_for = ["swimming_pool", "water", "airplane"]
    writer.add_rows("scopes", [{"uid": uid(1), "vocabulary": "osm", "closed": True, "concepts": looked_for}])
    writer.publish()
    (read,) = read_drafts(Corpus(tmp_path / "scenes"), [(uid(1), "A swimming pool.")])
    assert read.truth == {"swimming_pool": "present", "airplane": "absent"}  # neither water nor summer
    assert (read.said, read.contradicted) == ({"swimming_pool": "present"}, 0)
