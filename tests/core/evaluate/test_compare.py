"""Paired comparisons against the definition of DeLong's test, simulated truth, and reports of the real runner."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from voxtile.cli.main import main
from voxtile.corpus.drafts import only_writer
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation import run
from voxtile.evaluation.comparison.compare import compare_scores, holm
from voxtile.evaluation.comparison.delong import delong
from voxtile.evaluation.comparison.scores_file import SCHEMA, write_scores
from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.kinds.zero_shot.run import TaskResult
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.results import Evaluation, prepare_folder
from voxtile.evaluation.run import evaluate_model, report


def by_definition(labels, first, second):
    """Equations 3 to 6 of DeLong et al. 1988, pair by pair."""

    def kernel(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    values, v10, v01 = [], [], []
    for scores in (first, second):
        inside, outside = scores[labels], scores[~labels]
        grid = np.array([[kernel(x, y) for y in outside] for x in inside])
        values.append(grid.mean())
        v10.append(grid.mean(1))
        v01.append(grid.mean(0))
    spread = np.cov(v10) / labels.sum() + np.cov(v01) / (~labels).sum()
    return values[0] - values[1], np.array([1, -1]) @ spread @ np.array([1, -1])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(6, 30), st.booleans())
def test_delong_equals_its_definition_ties_included(seed, n, ties):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) < rng.integers(2, n - 1)
    first, second = rng.normal(size=(2, n)) + labels
    if ties:
        first, second = first.round(), second.round()
    difference, variance = by_definition(labels, first, second)
    found = delong(labels, first, second)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.difference == pytest.approx(roc_auc_score(labels, first) - roc_auc_score(labels, second), abs=1e-12)
    assert found.error**2 == pytest.approx(variance, abs=1e-12)


def test_delong_is_right_as_often_as_it_says():
    """Two scores of equal worth: p below 0.05 in about 5 % of studies."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) < 50
    hits = 0
    for _ in range(1000):
        shared = rng.normal(size=120) + labels
        hits += delong(labels, shared + rng.normal(size=120), shared + rng.normal(size=120)).p < 0.05
    assert 0.03 < hits / 1000 < 0.075
    assert delong(labels, shared, shared).p == 1.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.fixture
def reports(block_corpus, make_model, task_path, tmp_path):
    import io

    good, noisy = make_model(), make_model()
    noisy.name = "noisy"
    plain = noisy.brightness
    noisy.brightness = lambda images: plain(images) + images[:, 0, 8:, 8:, 8:].mean(dim=(1, 2, 3))[:, None] * 2
    folders = []
    for model in (good, noisy):
        evaluation = evaluate_model(model, "spec", block_corpus, [str(task_path)], checked_options(None, 32, 200, 0))
        assert isinstance(evaluation.results[0], TaskResult)
        (tmp_path / model.name).mkdir()
        report(evaluation, tmp_path / model.name, Console(file=io.StringIO()))
        folders.append(tmp_path / model.name)
    return folders


def test_two_reports_beside_each_other(reports, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["compare", *map(str, reports), "--out", str(out)]) == 0
    assert "difference" in capsys.readouterr().out
    rows = json.loads((out / "comparison.json").read_text())["rows"]
    results = [json.loads((folder / "results.json").read_text())["rows"] for folder in reports]
    mean = next(row for row in rows if row["class"] is None)
    for side, own in zip(("first", "second"), results, strict=True):
        macro = next(r for r in own if r["kind"] == "model" and r["metric"] == "auroc" and r["average"] == "macro")
        assert mean[side] == pytest.approx(macro["value"])
    assert mean["difference"] > 0
    assert mean["low"] > 0
    assert mean["p"] < 0.05
    assert all(row["adjusted"] >= row["p"] for row in rows)
    assert (out / "comparison.csv").read_text().count("\n") == len(rows) + 1
    assert r"\begin{tabular}" in (out / "comparison.tex").read_text()


def test_a_class_of_few_patients_is_not_compared_however_many_scans_they_have():
    """The rule of every figure: ten subjects on both sides, not ten units."""
    rng = np.random.default_rng(0)

    def table():
        subjects = ["ill"] * 30 + [f"p{n}" for n in range(60)]
        label = np.arange(90) < 30
        return pa.Table.from_pylist(
            [
                {
                    "task": "ct", "split": "test", "model": "m", "class": "nodule", "unit": f"{n:03}",
                    "subject": subjects[n], "label": int(label[n]), "score": float(score),
                }
                for n, score in enumerate(rng.normal(size=90) + label)
            ],
            schema=SCHEMA,
        )  # fmt: skip

    with pytest.raises(EvaluationError, match="10 subjects with it and 10 without"):
        compare_scores(table(), table(), ("m", "m"), replicates=100, seed=0)


def test_a_report_without_scores_leaves_none_of_an_earlier_one_beside_it(reports):
    out = reports[0]
    assert (out / "scores.parquet").is_file()
    assert write_scores([], out) is None
    assert not (out / "scores.parquet").exists()


def test_two_reports_that_begin_or_end_at_once_are_whole(reports, tmp_path, monkeypatch):
    real = Path.unlink

    def also_by_another(path, missing_ok=False):
        real(path, missing_ok=True)
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", also_by_another)
    prepare_folder(tmp_path / "new")
    monkeypatch.undo()
    monkeypatch.setattr(run, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(run, "write_results", lambda *_: pytest.fail("another report is written"))
    with only_writer(reports[0]), pytest.raises(ConfigError, match="another command writes into"):
        run.report(Evaluation("m", (), {"seed": 0, "bootstrap": 200}, phantom=True), reports[0], Console())


def test_what_cannot_be_compared_is_said(reports, tmp_path, capsys):
    def refused(*arguments):
        assert main(["compare", *map(str, arguments)]) == 2
        return capsys.readouterr().err.replace("\n", " ")

    assert "has no scores.parquet" in refused(reports[0], tmp_path)
    assert f"there is no report '{tmp_path / 'nothing'}'" in refused(reports[0], tmp_path / "nothing")
    assert "it has blocks" in refused(*reports, "--first-model", "other")
    import pyarrow.parquet as pq

    table = pq.read_table(reports[1] / "scores.parquet")
    pq.write_table(table.slice(0, 0), reports[1] / "scores.parquet")
    assert "voxtile: error" in refused(*reports)
    pq.write_table(table.set_column(6, "label", table["score"].cast("int8", safe=False)), reports[1] / "scores.parquet")
    assert "cannot be paired" in refused(*reports)


@pytest.mark.cases(4)
def test_scores_beside_figures_of_something_else_are_refused(reports, capsys):
    path = reports[0] / "results.json"
    text = path.read_text()
    for changed, said in (
        (text[: len(text) // 2], "results.json' is damaged"),
        ("[]", "results.json' is damaged"),
        (text.replace("voxtile.results/1", "voxtile.results/9"), "is not of this version of voxtile"),
        (text.replace('"blocks"', '"later"'), "are not those behind its results.json, which does not have 'blocks'"),
    ):
        path.write_text(changed)
        assert main(["compare", *map(str, reports)]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def table(scores, labels, subjects):
    names = [f"u{n:03d}" for n in range(len(labels))]
    columns = [["t"] * len(labels), ["test"] * len(labels), ["m"] * len(labels), ["c"] * len(labels), names, subjects]
    return pa.table([*columns, labels.astype(np.int8), scores], schema=SCHEMA)


@pytest.mark.parametrize("scans", [1, 2])
def test_figures_that_no_draw_moves_have_no_p_of_zero_and_no_interval_without_width(scans):
    """A perfect score beside one that is always the same: ten subjects say so on either side."""
    labels = np.repeat(np.arange(20) < 10, scans)
    subjects = [f"p{n}" for n in np.repeat(np.arange(20), scans)]
    both = [table(values, labels, subjects) for values in (labels.astype(float), np.full(len(labels), 0.3))]
    mean, one = compare_scores(*both, ("m", "m"), replicates=200, seed=0)
    assert (one.first, one.second, one.difference) == (1.0, 0.5, 0.5)
    assert (one.p, mean.p) == (pytest.approx(2 * 0.5**10), pytest.approx(2 * 0.5**10))
    assert one.low == pytest.approx(0.5 - (1 - 0.025 ** (1 / 10)))
    assert one.high <= 1


def test_of_clustered_subjects_the_difference_has_students_t_of_both_sides():
    """Twelve subjects with and eighteen without, of one to five units."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(30), rng.integers(1, 6, 30))
    labels, subjects = (np.arange(30) < 12)[owner], owner.astype(str).tolist()
    scores = [labels + rng.normal(size=30)[owner] + rng.normal(size=len(owner)) for _ in range(2)]
    one = compare_scores(*(table(s, labels, subjects) for s in scores), ("m", "m"), replicates=100, seed=3)[1]
    draws = np.concatenate(list(SubjectBootstrap(subjects, replicates=100, seed=3).weights()), axis=1)
    both = [[roc_auc_score(labels, s, sample_weight=weights) for weights in draws.T] for s in scores]
    error = np.std(np.subtract(*both), ddof=1)
    freedom = (1 / 12 + 1 / 18) ** 2 / (1 / (12**2 * 11) + 1 / (18**2 * 17))
    assert one.p == pytest.approx(2 * student.sf(abs(one.difference) / error, freedom), rel=1e-6)
    assert one.high - one.difference == pytest.approx(student.ppf(0.975, freedom) * error, rel=1e-6)
    assert one.difference - one.low == pytest.approx(student.ppf(0.975, freedom) * error, rel=1e-6)
