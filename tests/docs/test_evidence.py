"""docs/evidence.md says what benchmarks/evidence found, faults are planted where it says, figures are what they say."""

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from tests.benchmark_script import BENCHMARKS

from voxtile.data.regions.masks import MaskSource

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
    known = {found["term"] for found in RESULTS}
    assert {name for named in used.values() for name in named} <= known
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


def test_captions_of_other_classes_and_few_pairs_are_planted_in_the_training_split_alone(part):
    corpora = part("corpora")
    facts = [{name: name == own for name in corpora.SCENES} for own in corpora.SCENES]
    picture = np.zeros((2, 2, 3), np.uint8)
    items = [corpora.Item(f"{n}", picture, ("train", "test")[n % 2], facts[n % 7]) for n in range(2000)]
    made = corpora.captioned(items, corpora.SCENES, pairs=0.3, alone=True, unrelated=2)
    said = {i.uid: [name for text in i.states for name, shown in i.states[text].items() if shown] for i in made}
    training = [i for i in made if i.split == "train"]
    assert len(training) == pytest.approx(300, abs=50)
    assert all(len(i.texts) == 3 and said[i.uid].count(i.label) == 1 for i in training)
    assert all(len(set(said[i.uid])) == 3 for i in training)
    assert [said[i.uid] for i in made if i.split == "test"] == [[i.label] for i in items if i.split == "test"]


def test_figures_are_those_of_scikit_learn(part):
    judging, rng = part("judging"), np.random.default_rng(0)
    truth, called = rng.integers(3, size=60), rng.integers(3, size=60)
    judged = judging.Judged("balanced", (truth == called).astype(float), truth)
    assert judged.figure()[0] == pytest.approx(balanced_accuracy_score(truth, called))
    labels, scores = rng.integers(2, size=(60, 2)), rng.normal(size=(60, 2))
    assert judging.Judged("auroc", scores, labels).figure()[0] == pytest.approx(roc_auc_score(labels, scores))


def test_stored_maps_and_masks_lie_on_one_grid(part):
    maps = part("feature_maps")
    fine, coarse = torch.rand(1, 3, 12, 12), torch.zeros(1, 2, 6, 6)
    coarse[0, 1, 5, 0] = 7
    joined = maps.stored_maps([fine, coarse])[0]
    assert torch.equal(joined[:3], fine[0])
    assert (joined[4] == 7).nonzero().tolist() == [[y, x] for y in (10, 11) for x in (0, 1)]
    preset = maps.FeatureMaps(corpus="", length=5 * 144)
    assert (preset.channels, preset.grid) == (5, (12, 12))
    mask = np.zeros((192, 192), bool)
    mask[96:, :96] = True
    meta = {"kind": "image", "axes": "YX", "shape": [192, 192], "dtype": "uint8", "channels": [{"name": "mask"}]}
    seen = preset.of_masks(MaskSource(meta, mask), None)[0]
    assert (seen > 0.5).nonzero().tolist() == [[y, x] for y in range(6, 12) for x in range(6)]


def test_a_model_that_reads_places_tells_them_from_exchanged_ones(part):
    figures, corpora, mosaics = part("mosaic_figures"), part("corpora"), part("mosaics")
    names, rng, places = list(corpora.SCENES), np.random.default_rng(0), list(mosaics.PLACES.values())
    shown = [list(rng.permutation(names)[:4]) for _ in range(5)] + [[names[0]] * 4]
    code = {f"{corpora.SCENES[name][0]} at the {place}.": 4 * n + p for n, name in enumerate(names)
            for p, place in enumerate(places)}  # fmt: skip

    def vector(text):
        found = torch.zeros(4 * len(names))
        found[[n for said, n in code.items() if said in text]] = 0.5
        return found

    class Reader:
        def encode_images(self, images):
            return torch.stack([vector(figures._told(shown[int(i)])) for i in images])

        def encode_texts(self, texts):
            return torch.stack([vector(text) for text in texts])

    class Bag(Reader):  # knows what is there, and not where
        def encode_images(self, images):
            return (
                super().encode_images(images).view(-1, len(names), 4).mean(2, keepdim=True).expand(-1, -1, 4).flatten(1)
            )

    boxes = [[(name, (0, 0, 1, 1)) for name in row] for row in shown]
    held = figures.Held([], torch.arange(6), [], np.zeros((6, 7), bool), names, [], boxes)
    assert figures.places(Reader(), held).figure()[0] == 1
    assert figures.places(Bag(), held).figure()[0] == 0.5
    assert figures.places(Bag(), held).truth.tolist() == [0] * 5 + [-1]  # nothing can be exchanged in the last
