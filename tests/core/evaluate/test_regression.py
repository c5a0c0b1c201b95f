"""Numbers from frozen embeddings: figures against scikit-learn and scipy, and from pixels to the page."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.kinds.regression.figures import NumberTable
from voxtile.evaluation.kinds.regression.ridge import PENALTIES, WITHOUT_VALIDATION, fit_ridge
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

QUICK = Options(batch_size=16, replicates=100)
TASK = """
title: Sizes
kind: regression-probe
facts_source: masks
targets:
  diameter: {fact: nodule, unit: mm}
  age: {attribute: age, unit: years}
  liver: {fact: volume, of: Liver, unit: ml}
"""


def test_figures_are_those_of_scikit_learn_and_scipy_in_every_draw():
    rng = np.random.default_rng(0)
    truth = np.round(rng.normal(20, 6, 60), 0)  # with ties
    told = truth + rng.normal(0, 4, 60)
    subjects = np.repeat([f"p{i}" for i in range(30)], 2)
    table = NumberTable("t", ["size"], truth[:, None], subjects, replicates=50, seed=3)
    rows = {row.metric: row for row in table.rows("m", "model", [told[:, None]])}
    assert rows["r2"].value == pytest.approx(r2_score(truth, told), abs=1e-9)
    assert rows["spearman"].value == pytest.approx(spearmanr(truth, told).statistic, abs=1e-9)
    assert rows["mae"].value == pytest.approx(mean_absolute_error(truth, told), abs=1e-9)
    draws = np.concatenate(list(SubjectBootstrap(subjects, replicates=50, seed=3).weights()), axis=1)
    drawn = [r2_score(truth, told, sample_weight=draws[:, r]) for r in range(50)]
    expected = 2.045230 * np.std(drawn, ddof=1)  # Student's t of 30 subjects
    assert rows["r2"].value - rows["r2"].low == pytest.approx(expected, rel=1e-5)
    assert rows["spearman"].high < 1
    ranked = [spearmanr(*(np.repeat(v, draws[:, r].astype(int)) for v in (truth, told))).statistic for r in range(50)]
    spread = np.std(ranked, ddof=1) / (1 - rows["spearman"].value ** 2)
    assert np.arctanh(rows["spearman"].high) - np.arctanh(rows["spearman"].value) == pytest.approx(
        2.045230 * spread, rel=1e-5
    )
    reach = np.arctanh(rows["spearman"].value) - np.arctanh(rows["spearman"].low)
    assert np.arctanh(rows["spearman"].high) - np.arctanh(rows["spearman"].value) == pytest.approx(reach, rel=1e-9)
    errors = [mean_absolute_error(truth, told, sample_weight=draws[:, r]) for r in range(50)]
    reach = np.exp(2.045230 * np.std(errors, ddof=1) / rows["mae"].value)
    assert rows["mae"].high / rows["mae"].value == pytest.approx(reach, rel=1e-5)
    assert rows["mae"].value / rows["mae"].low == pytest.approx(reach, rel=1e-5)
    near = truth + rng.normal(0, 3, 60) * (rng.random(60) < 0.1)  # nearly right: the interval would leave its range
    rows = {row.metric: row for row in table.rows("m", "model", [near[:, None]])}
    assert rows["r2"].high <= 1


def test_unknown_numbers_do_not_count_and_a_constant_has_no_r2():
    truth = np.array([[1.0, 5], [2, 5], [np.nan, 5], *[[k, 5.0] for k in range(20)]])
    subjects = np.array([f"p{i}" for i in range(23)])
    table = NumberTable("t", ["a", "b"], truth, subjects, replicates=20, seed=0)
    rows = {(row.class_name, row.metric): row for row in table.rows("m", "model", [np.nan_to_num(truth, nan=9e9)])}
    assert rows["a", "r2"].value == 1
    assert rows["a", "r2"].n == 22
    assert rows["b", "r2"].value is None


def test_it_is_scikit_learns_ridge_with_the_penalty_of_the_least_error_on_validation():
    rng = np.random.default_rng(1)
    weights = rng.normal(size=12)
    (train, val, test) = (rng.normal(size=(n, 12)) for n in (40, 30, 20))
    numbers = [part @ weights * 3 + 50 + rng.normal(0, 4, len(part)) for part in (train, val)]
    numbers[0][::7] = np.nan
    found = fit_ridge((train, numbers[0]), (val, numbers[1]), test)
    known = np.isfinite(numbers[0])
    centre, spread = numbers[0][known].mean(), numbers[0][known].std()
    peers = {a: Ridge(alpha=a).fit(train[known], (numbers[0][known] - centre) / spread) for a in PENALTIES}
    errors = {a: np.square(peer.predict(val) * spread + centre - numbers[1]).mean() for a, peer in peers.items()}
    best = min(errors, key=errors.get)
    assert found.penalty == best
    np.testing.assert_allclose(found.reported, peers[best].predict(test) * spread + centre, rtol=1e-9)
    assert fit_ridge((train, numbers[0]), (val[:3], numbers[1][:3]), test).penalty == WITHOUT_VALIDATION


class CornerModel:
    """Embeds the brightness of the picture's corner, by an angle."""

    name, logit_scale, fact_names = "corner", 10.0, ()

    def __init__(self, preset):
        self.preset = preset

    def encode_images(self, images):
        angle = images[:, 0, :4, :4, :4].mean(dim=(1, 2, 3)) / 100
        return torch.stack([angle.cos(), angle.sin()], dim=1)

    def encode_texts(self, texts):
        return torch.ones(len(texts), 2) / 2**0.5


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    """Volumes whose corner is as bright as a nodule is large; a second, smaller nodule; facts of other kinds."""
    root = tmp_path_factory.mktemp("sizes") / "corpus"
    rng = np.random.default_rng(0)
    new_corpus(root)
    writer = JobWriter(root, "made")
    facts, splits, truth = [], [], {}
    for number in range(160):
        size = float(rng.uniform(5, 40))
        array = rng.normal(0, 5, (16, 16, 16))
        array[:4, :4, :4] += 2 * size
        uid, subject = f"{number:04d}", f"p{number}"
        row = {"uid": uid, "subject": subject, "study": uid, "kind": "volume", "modality": "CT", "axes": "ZYX"}
        row |= {"units": "HU", "attributes": json.dumps({"age": int(rng.integers(20, 90))})}
        writer.add(Sample(row, array.astype(np.int16)))
        nodule = {"uid": uid, "concept": "Nodule", "source": "masks@2"}
        volume = nodule | {"concept": "volume", "polarity": "present", "unit": "ml"}
        facts += [
            nodule | {"polarity": "present", "value": size, "unit": "mm"},
            nodule | {"polarity": "present", "value": size / 2, "unit": "mm"},
            nodule | {"polarity": "present", "value": 900.0, "unit": "HU"},
            nodule | {"polarity": "present", "value": 77.0, "unit": "mm", "source": "reports@1"},
            nodule | {"polarity": "absent", "value": 99.0, "unit": "mm"},
            volume | {"value": size**2, "attributes": '{"region": "liver"}'},
            volume | {"value": 4000.0, "attributes": '{"cut_off": true, "region": "liver"}'},
            volume | {"value": 5000.0, "attributes": '{"region": "spleen"}'},
        ]
        truth[uid] = size
        splits.append({"scheme": "default", "subject": subject, "split": ("test", "val", "test", "train")[number % 4]})
    writer.add_rows("facts", facts)
    writer.add_rows("splits", splits)
    writer.publish()
    return Corpus(root), truth


def run(corpus, model, folder, text=TASK):
    (folder / "sizes.yaml").write_text(text)
    evaluation = evaluate_model(model, "m", corpus, [str(folder / "sizes.yaml")], QUICK)
    screen = io.StringIO()
    report(evaluation, folder, Console(file=screen, width=200))
    rows = json.loads((folder / "results.json").read_text())["rows"]
    return {(r["kind"], r["class"], r["metric"]): r["value"] for r in rows}, screen.getvalue(), evaluation


def test_from_pixels_to_the_page(sizes, make_model, tmp_path):
    corpus, _ = sizes
    values, screen, evaluation = run(corpus, CornerModel(make_model().preset), tmp_path)
    assert values["model", "diameter", "r2"] > 0.95, "the largest nodule in millimetres, as masks measured it"
    assert values["model", "diameter", "mae"] < 2
    assert values["model", "liver", "r2"] > 0.9, "the liver's volume and not the spleen's"
    assert values["model", "age", "r2"] < 0.2, "nothing in the picture tells the age"
    assert values["shuffled", "diameter", "r2"] < 0.1
    assert values["trivial", "diameter", "r2"] > 0.5
    assert "mm" in screen
    page = (tmp_path / "index.html").read_text()
    assert "R² of Diameter" in page
    assert "Mean absolute errors: Diameter" in page
    assert list(evaluation.results[0].headlines("corner")) == ["diameter/r2", "age/r2", "liver/r2"]


def test_what_the_corpus_has_no_numbers_of_is_left_out_or_refused(sizes, make_model, tmp_path):
    corpus, _ = sizes
    model = CornerModel(make_model().preset)
    values, screen, _ = run(corpus, model, tmp_path, TASK.replace("attribute: age", "attribute: weight"))
    assert ("model", "age", "r2") not in values
    assert "Age is left out: 0 training units" in screen.replace("\n", " ")
    with pytest.raises(EvaluationError, match="nothing to report"):
        run(
            corpus,
            model,
            tmp_path,
            TASK.replace("attribute: age", "attribute: weight").replace("mm", "cm").replace("ml", "l"),
        )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{}", "either 'fact'"),
        ("{fact: a, attribute: b}", "either 'fact'"),
        ("{fact: a, several: least}", "'least' is not a choice"),
        ("{attribute: a, of: liver}", "leave it out"),
        ("{fact: a, units: mm}", "did you mean 'unit'"),
    ],
)
def test_a_wrong_target_is_refused_by_name(target, message, tmp_path):
    (tmp_path / "t.yaml").write_text(f"kind: regression-probe\ntargets:\n  size: {target}\n")
    with pytest.raises(ConfigError, match=rf"targets\.size.*{message}"):
        load_task(str(tmp_path / "t.yaml"))
    (tmp_path / "t.yaml").write_text("kind: regression-probe\n")
    with pytest.raises(ConfigError, match="mapping of names to targets"):
        load_task(str(tmp_path / "t.yaml"))
