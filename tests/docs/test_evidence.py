"""docs/evidence.md says what benchmarks/evidence found, faults are planted where it says, figures are what they say."""

import importlib
import json
import sys

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from tests.benchmark_script import BENCHMARKS

FOLDER = BENCHMARKS / "evidence"
RESULTS = [json.loads(path.read_text("utf-8")) for path in sorted((FOLDER / "results").glob("*.json"))]


@pytest.fixture
def part(monkeypatch):
    """A module of the benchmark, which finds its neighbours by their names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    own = {path.stem for path in FOLDER.glob("[!_]*.py")}
    for name in own & set(sys.modules):
        monkeypatch.delitem(sys.modules, name)
    yield importlib.import_module
    for name in own & set(sys.modules):
        del sys.modules[name]


def test_the_page_is_made_of_the_results_and_each_is_of_a_study(part):
    table, results, studies = part("table"), part("results"), part("studies")
    assert table.PAGE.read_text("utf-8") == table.page(RESULTS)
    assert {results.file_of(study).name for study in studies.STUDIES} >= {p.name for p in results.RESULTS.iterdir()}


def test_every_objective_has_a_study(part):
    assert {study.term for study in part("studies").STUDIES} == part("table").terms()


def test_what_a_shipped_config_uses_is_told_with_its_rows(part):
    table = part("table")
    used = table.terms_of_configs()
    assert used["medical/cxr-images"] == ["KoLeo", "MaskedSelfDistillation"]
    assert "OfSamples" in used["pathology/he"]
    page = table.page([{**found, "verdict": "helps"} for found in RESULTS if found["term"] == "Contrastive"])
    assert "| `medical/cxr` | `Contrastive`: helps (1) |" in page
    assert "`FactHead`: no row" in page


def test_verdicts_follow_the_intervals():
    for found in RESULTS:
        low, high = found["difference"][1:]
        assert found["verdict"] == ("helps" if low > 0 else "harms" if high < 0 else "no difference seen")
        assert len(found["of_seeds"]["with"]) == len(found["of_seeds"]["without"]) == 3


def test_faults_are_planted_in_the_training_split_alone(part):
    corpora = part("corpora")
    facts = [{name: name == own for name in corpora.SCENES} for own in corpora.SCENES]
    picture = np.zeros((2, 2, 3), np.uint8)
    items = [corpora.Item(f"{n}", picture, ("train", "test")[n % 2], facts[n % 7]) for n in range(2000)]
    made = corpora.captioned(items, corpora.SCENES, wrong=0.4)
    wrong = {
        split: [not i.states[i.texts[0][1]].get(i.label) for i in made if i.split == split]
        for split in ("train", "test")
    }
    assert np.mean(wrong["train"]) == pytest.approx(0.4, abs=0.05)
    assert not any(wrong["test"])


def test_figures_are_those_of_scikit_learn(part):
    judging, rng = part("judging"), np.random.default_rng(0)
    truth, called = rng.integers(3, size=60), rng.integers(3, size=60)
    judged = judging.Judged("balanced", (truth == called).astype(float), truth)
    assert judged.figure()[0] == pytest.approx(balanced_accuracy_score(truth, called))
    labels, scores = rng.integers(2, size=(60, 2)), rng.normal(size=(60, 2))
    assert judging.Judged("auroc", scores, labels).figure()[0] == pytest.approx(roc_auc_score(labels, scores))
