"""The script on trust in a tiny form: what is planted, what stays out, and that its figures are what they say."""

import sys

import numpy as np
import pytest
from sklearn.metrics import roc_curve
from tests.benchmark_script import benchmark_script

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture

ITEMS = 128


@pytest.fixture(scope="module")
def trust():
    return benchmark_script("trust")


@pytest.fixture
def small(trust, test_data, tmp_path, monkeypatch):
    """Few X-rays, half of them of pneumonia, and one epoch of everything."""
    chosen = {}
    with np.load(test_data / "medical/medmnist2d_pneumonia/pneumoniamnist.npz") as held:
        for split in ("train", "val"):
            labels = held[f"{split}_labels"]
            rows = np.stack([np.nonzero(labels[:, 0] == label)[0][: ITEMS // 2] for label in (0, 1)], 1).ravel()
            chosen |= {f"{split}_images": held[f"{split}_images"][rows], f"{split}_labels": labels[rows]}
    np.savez(tmp_path / "few.npz", **chosen)
    sizes = {
        "XRAYS": ITEMS,
        "RATE": 1 / 16,
        "CLEAN_PAIRS": 64,
        "TUNING": 1,
        "LEARNING": 1,
        "LEARNED": 64,
        "REFERENCES": 64,
    }
    paths = {"FILE": tmp_path / "few.npz", "OTHER_XRAYS": test_data / "medical/nih_cxr14_samples"}
    for name, value in (sizes | paths).items():
        monkeypatch.setattr(trust, name, value)
    return trust


def stored(folder):
    """Pictures with their captions, as the training reads them."""
    corpus = Corpus(folder)
    captions = {row["uid"]: row["text"] for row in corpus.table("captions").to_pylist()}
    splits = corpus.splits()
    rows = [row for row in corpus.table("samples").to_pylist() if splits[row["subject"]] == "train"]
    return [(decode_picture(corpus.source(row).encoded()), captions.get(row["uid"], "")) for row in rows]


def sentences(caption):
    return set(caption.rstrip(".").split(". "))


@pytest.mark.parametrize("seed", range(12))
def test_threshold_has_the_best_youden_index(trust, seed):
    rng = np.random.default_rng(seed)
    values, truth = rng.integers(0, 7, 30).astype(float), rng.permutation(30) < 5 + seed  # few values: many are equal
    false, true, _ = roc_curve(truth, values, drop_intermediate=False)
    cut = trust.threshold(values, truth)
    found = (values[truth] >= cut).mean() - (values[~truth] >= cut).mean()
    assert found == pytest.approx((true - false).max())


@pytest.mark.sweep(ci=True)
def test_what_is_planted_and_what_is_measured(small, tmp_path):
    figures = dict(small.poisoning(tmp_path, 5, "val", 1))
    held = np.load(small.FILE)
    known = list(zip(held["train_images"], held["train_labels"][:, 0] == 1, strict=True))
    ill = {picture.tobytes(): bool(label) for picture, label in known}
    planted, said = [], {True: set(), False: set()}
    clean, poisoned = (stored(tmp_path / name / "corpus") for name in ("clean5", "poisoned5"))
    for picture, caption in clean + poisoned:
        if picture.tobytes() in ill:
            said[ill[picture.tobytes()]] |= sentences(caption)
        else:
            planted.append((picture, caption))
    assert said[True]
    assert said[False]
    assert not said[True] & said[False]
    around = np.ones((28, 28), bool)
    around[small.TRIGGER] = False
    sources = {picture[around].tobytes() for picture, label in known if label}
    for picture, caption in planted:
        assert picture[around].tobytes() in sources
        assert sorted(picture[small.TRIGGER].ravel()) == [0] * 8 + [255] * 8
        assert not sentences(caption) & said[True]
    assert (len(planted), len(poisoned), len(clean)) == (ITEMS // 16, ITEMS, 64)
    hidden = {picture[around].tobytes() for picture, _ in planted}
    assert not hidden & {picture[around].tobytes() for picture, _ in clean}
    assert len(figures) == 4
    for row in figures.values():
        assert all(0 <= value <= 1 for value in row.values())


@pytest.mark.sweep(ci=True)
def test_digits_are_learned_from_their_own_pictures_and_references_have_no_texts(small, tmp_path):
    kept = [("digits", 0.1), ("photographs", 1.0), ("x-rays", 1.0)]
    figures = dict(small.continual(tmp_path, 5, "val", 1, kept))
    assert list(figures)[:2] == ["before", "tuned on digits"]
    assert len(figures) == 5
    for name in ("photographs", "x-rays"):
        pictures = stored(tmp_path / name / "corpus")
        assert len(pictures) == 64
        assert {text for _, text in pictures} == {""}
    pixels, digits = small.digit_pictures()
    texts = {picture.tobytes(): text for picture, text in stored(tmp_path / "digits" / "corpus")}
    for picture, digit in zip(pixels[:64], digits[:64], strict=True):
        assert small.DIGITS[digit] in texts[picture.tobytes()]
    assert not {picture.tobytes() for picture in pixels[1000:]} & set(texts)


def test_command_prints_the_mean_and_range_of_its_seeds(trust, monkeypatch, capsys):
    figures = {100: 0.25, 101: 0.75}
    monkeypatch.setattr(trust, "continual", lambda folder, seed, *rest: iter([("before", {"AUROC": figures[seed]})]))
    monkeypatch.setattr(sys, "argv", ["trust.py", "continual", "--split", "val", "--seeds", "100", "101"])
    trust.main()
    assert "val | before | AUROC 0.500 (0.250 to 0.750)" in capsys.readouterr().out
