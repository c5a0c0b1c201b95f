"""Semantic localisation: closed forms, the authors' own numbers, and maps of windows against a plain loop."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from scipy.ndimage import generic_filter
from torch.nn import functional

from voxtile.api.inputs import ArraySample
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.tile import TilePreset
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.kinds.referring import localization
from voxtile.evaluation.kinds.referring.localization import (
    Circle,
    attention_discreteness,
    attention_shift,
    localization_scores,
    salient_area,
)
from voxtile.evaluation.kinds.referring.questions import Questions, picture_shapes, stored_outlines
from voxtile.evaluation.kinds.referring.task import WindowSizes
from voxtile.evaluation.kinds.referring.window_maps import median_filter, squares, window_maps
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

Y, X = np.mgrid[:1400, :1700]


def bump(y, x, deviation):
    return np.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * deviation**2))


def square(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def in_steps(values):
    return np.floor(255 * values / values.max()).astype(np.uint8)


def plateaus():
    levels = np.zeros((1400, 1700), np.uint8)
    levels[300:700, 500:900], levels[450:600, 600:800] = 140, 255
    return levels


def blocks():
    return np.kron(np.random.default_rng(7).integers(0, 256, (14, 17)), np.ones((100, 100))).astype(np.uint8)


TURNED = np.array([[700.4, 500.2], [1000.7, 650.9], [900.1, 900.3], [600.9, 760.5], [700.4, 500.2]])

# rsu, ras, rda, rmi that evaluations/SLM.py of github.com/xiaoyuan1996/SemanticLocalizationMetrics (commit 1e9596d,
# OpenCV 5.0.0, scikit-image 0.26.0, SciPy 1.17.1, in an environment of its own) gave for these levels and outlines.
AUTHORS = [
    ("peak in the region", lambda: in_steps(bump(500, 600, 90)), [square(450, 380, 760, 650)],
     (1.0, 0.00727110240310027, 1.0, 0.997455114158915)),
    ("peak beside it", lambda: in_steps(bump(640, 760, 60)), [square(450, 380, 760, 650)],
     (0.9995689817250726, 0.32215605407589726, 1.0, 0.8870729737634651)),
    ("turned outline", lambda: in_steps(bump(700, 800, 200)), [TURNED],
     (0.9995843532648347, 0.02853510191862743, 1.0, 0.9898464556344143)),
    ("two peaks in one region",
     lambda: in_steps(bump(700, 250, 60) + 0.95 * bump(700, 1400, 60)), [square(50, 300, 1650, 1100)],
     (1.0, 0.1372553376999479, 0.42094303864302585, 0.8071963914657747)),
    ("blocks", blocks, [square(300, 200, 900, 800), square(1000, 600, 1500, 1300)],
     (0.4839966714410443, 0.742583872178777, 0.5, 0.40869431331384576)),
    ("plateaus", plateaus, [square(480, 320, 920, 720)],
     (1.0, 0.0026356991623673735, 1.0, 0.9990775052931714)),
    ("even", lambda: np.full((600, 800), 200, np.uint8), [square(100, 100, 400, 300)],
     (0.5068786553335984, 0.3300178295328109, 1.0, 0.6872452217969556)),
    ("even and dim", lambda: np.full((600, 800), 100, np.uint8), [square(100, 100, 400, 300)],
     (0.5068786553334924, 1.0, 0.0, 0.20275146213339698)),
]  # fmt: skip


@pytest.mark.cases(3)
@pytest.mark.parametrize(("levels", "outlines", "expected"), [row[1:] for row in AUTHORS], ids=[r[0] for r in AUTHORS])
def test_indicators_are_the_authors_own(levels, outlines, expected):
    found = localization_scores((levels() / 255).astype(np.float32), outlines)
    exact = 1e-5 if outlines[0] is TURNED else 1e-9  # whose edge is drawn by another library
    assert [found[name] for name in ("rsu", "ras", "rda", "rmi")] == pytest.approx(expected, abs=exact)


def test_salient_area_has_a_closed_form():
    mask = np.zeros((40, 50), bool)
    mask[:10, :20] = True
    assert salient_area(mask.astype(float), mask) == pytest.approx(1.0)
    assert salient_area(~mask * 1.0, mask) == 0.0
    assert salient_area(np.full(mask.shape, 0.3), mask) == pytest.approx(1 - np.exp(-0.707), abs=1e-6)
    assert salient_area(np.where(mask, 0.6, 0.3), mask) == pytest.approx(1 - np.exp(-0.707 * 2), abs=1e-6)
    with pytest.raises(ValueError, match="no pixel"):
        salient_area(np.ones((40, 50)), np.zeros((40, 50), bool))


def test_attention_at_a_known_distance():
    circles = [Circle((100, 100), 50), Circle((400, 100), 20)]
    third = (np.exp(3 * 0.3) - 1) / (np.exp(3) - 1)
    assert attention_shift([np.array([100, 115])], circles[:1]) == pytest.approx(third)
    assert attention_shift([np.array([100, 100])], circles[:1]) == 0.0
    assert attention_shift([np.array([100, 151])], circles[:1]) == 1.0, "beyond the radius is nowhere"
    half = (np.exp(3 * 0.5) - 1) / (np.exp(3) - 1)
    assert attention_shift([np.array([100, 100])], circles) == pytest.approx(half), "the other one is missed"
    assert attention_discreteness([np.array([100, 100])], circles) == 0.5
    two = [np.array([90, 100]), np.array([110, 100])]
    assert attention_discreteness(two, circles[:1]) == pytest.approx(0.5 * (1 - 10 / 50) + np.exp(-0.5 * 4))
    assert attention_shift(two, circles[:1]) == pytest.approx((np.exp(3 * 0.2) - 1) / (np.exp(3) - 1))


def test_a_region_has_the_circle_of_its_vertices():
    assert localization.circle(square(0, 0, 60, 80)) == Circle((30, 40), 75)
    with pytest.raises(ValueError, match="smaller than a pixel"):
        localization.circle(square(5, 5, 5, 5))


def test_the_median_is_that_of_the_box():
    levels = np.random.default_rng(1).integers(0, 9, (30, 41)).astype(np.uint8)
    assert (median_filter(levels, 7) == generic_filter(levels, np.median, 7, mode="nearest")).all()
    assert (median_filter(levels, 1) == levels).all()


def test_the_median_of_a_wide_box_counts_beyond_sixteen_bits():
    levels = np.full((300, 320), 7, np.uint8)
    levels[:, :40] = 200
    assert (median_filter(levels, 257)[:, :10] == 200).all(), "the edge is repeated"
    assert (median_filter(levels, 257)[:, 60:] == 7).all()


@pytest.mark.parametrize("shape", [(100, 130), (64, 32), (20, 45)])
def test_windows_cover_a_picture_twice_and_stay_inside(shape):
    seen = np.zeros(shape, int)
    windows = squares(shape, 32)
    assert len({(w[0].start, w[1].start) for w in windows}) == len(windows)
    for window in windows:
        seen[window] += 1
        assert seen[window].shape == (min(32, shape[0]), 32)
    assert seen.min() >= 1
    assert (0, 0) in {(w[0].start, w[1].start) for w in windows}
    if shape == (100, 130):  # from the corner, and from half a window on; the last is moved back
        assert {w[0].start for w in windows} == {0, 32, 64, 68, 16, 48}


class Redness:
    """A window's vector is its mean colour, a sentence's the colour that it names."""

    name, logit_scale, fact_names = "redness", 10.0, ()
    preset = ImagePreset(size=(16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)

    def encode_images(self, images):
        return functional.normalize(images.mean((2, 3)) + 1e-3, dim=1)

    def encode_texts(self, texts):
        return torch.stack([torch.tensor([1.0, 0, 0] if "red" in text else [0, 1.0, 0]) for text in texts])


PLACES = {"a red roof": (200, 150), "a green pond": (100, 400)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A red and a green square in each of 10 pictures; of the red one the outline is stored, of the green one a box."""
    root = tmp_path_factory.mktemp("localization") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    for number in range(10):
        values, uid = np.full((400, 600, 3), 40, np.uint8), f"{number:032x}"
        boxes = {phrase: (y, x, y + 80, x + 80) for phrase, (y, x) in PLACES.items()}
        for channel, (y0, x0, y1, x1) in enumerate(boxes.values()):
            values[y0:y1, x0:x1, channel] = 250
        out = io.BytesIO()
        Image.fromarray(values).save(out, "PNG")
        outline = [[[150, 200], [229, 200], [229, 279], [150, 279], [150, 200]]]
        about = {"uid": uid, "subject": f"p{number}", "study": f"s{number}", "kind": "image", "modality": "RGB",
                 "axes": "YXC", "channels": [{"name": c} for c in ("red", "green", "blue")], "shape": [400, 600, 3],
                 "dtype": "uint8", "attributes": json.dumps({"outlines": {"a red roof": outline}})}  # fmt: skip
        writer.add(Sample(about, out.getvalue()))
        for phrase, box in boxes.items():
            region = {"region_id": f"{uid}-{phrase[2]}", "uid": uid, "phrase": phrase, "source": "made@1"}
            writer.add_rows("regions", [region | {"box": [float(v) for v in box]}])
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{number}", "split": "test"}])
    writer.publish()
    return Corpus(root)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "places.yaml"
    content = {"kind": "referring", "regions": ["made"], "several": "union", "windows": [80, 160], "median": 21}
    path.write_text(json.dumps(content))
    return path


def test_a_pixel_has_the_mean_of_its_windows_stretched_to_256_levels():
    values = np.random.default_rng(5).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    meta = {"kind": "image", "modality": "RGB", "axes": "YXC", "shape": [40, 56, 3], "dtype": "uint8"}
    texts = [["a red roof", "red"], ["a green pond"]]
    found = window_maps(Redness(), ArraySample(values, meta), texts, WindowSizes((16,)), 7)
    for channel, one in enumerate(found):
        total, count = np.zeros((40, 56)), np.zeros((40, 56))
        windows = {(y, x) for y in (0, 16, 24) for x in (0, 16, 32, 40)} | {
            (y, x) for y in (8, 24) for x in (8, 24, 40)
        }
        for y, x in windows:  # the corner is in both rounds, and counts once
            mean = values[y : y + 16, x : x + 16].mean((0, 1)) / 255 + 1e-3
            total[y : y + 16, x : x + 16] += mean[channel] / np.linalg.norm(mean)
            count[y : y + 16, x : x + 16] += 1
        expected = total / count
        expected = (expected - expected.min()) / (expected.max() - expected.min())
        assert np.abs(one - expected).max() < 1 / 255 + 1e-4
        assert one.min() == 0
        assert one.max() == 1


def test_a_picture_of_one_window_says_nothing():
    meta = {"kind": "image", "modality": "RGB", "axes": "YXC", "shape": [16, 16, 3], "dtype": "uint8"}
    sample = ArraySample(np.full((16, 16, 3), 9, np.uint8), meta)
    found = window_maps(Redness(), sample, [["a red roof"]], WindowSizes((16,)), 7)[0]
    assert not found.any()
    assert localization_scores(found, [square(2, 2, 9, 9)]) == {"rmi": 0.0, "rsu": 0.0, "ras": 1.0, "rda": 0.0}


def evaluated(model, corpus, task, out):
    evaluation = evaluate_model(model, "spec", corpus, [str(task)], checked_options(None, 8, 100, 0))
    out.mkdir()
    report(evaluation, out, Console(file=io.StringIO()))
    rows = json.loads((out / "results.json").read_text())["rows"]
    return {(row["kind"], row["metric"]): row for row in rows}, evaluation.results[0]


@pytest.mark.sweep(ci=True)
def test_a_model_of_whole_pictures_is_asked_by_windows(corpus, task, tmp_path):
    rows, result = evaluated(Redness(), corpus, task, tmp_path / "out")
    assert result.headline_metric == "rmi"
    assert rows["model", "rmi"]["n"] == 20
    assert rows["model", "rsu"]["value"] > 0.7
    assert rows["model", "rmi"]["value"] > 0.8
    assert rows["model", "ras"]["value"] < 0.3
    assert rows["trivial", "rmi"]["value"] < rows["model", "rmi"]["value"] - 0.1
    assert rows["shuffled", "rsu"]["value"] < 0.2, "the other colour"
    assert rows["shuffled", "rda"]["value"] == 0.0
    for kind in ("model", "trivial", "shuffled"):
        values = {name: rows[kind, name]["value"] for name in ("rsu", "ras", "rda", "rmi")}
        mean = 0.4 * values["rsu"] + 0.35 * (1 - values["ras"]) + 0.25 * values["rda"]
        assert values["rmi"] == pytest.approx(mean)
    assert result.differences[0].metric == "rmi"
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Rmi is 0.4 Rsu + 0.35 (1 - Ras) + 0.25 Rda" in page
    assert "Pictures</h3>" not in page


def test_stored_outlines_and_boxes_mean_the_same_pixels(corpus, task):
    rows = {row["uid"]: row for row in corpus.table("samples").to_pylist()}
    questions = Questions(corpus, load_task(str(task)), picture_shapes(rows), stored_outlines(rows))
    asked = {question.phrase: question for question in questions.of(f"{0:032x}")}
    for phrase, (y, x) in PLACES.items():
        mask = localization.outline_mask(asked[phrase].outlines, (400, 600))
        assert mask.sum() == 80 * 80
        assert mask[y : y + 80, x : x + 80].all()
    (roof,), (pond,) = (asked[phrase].outlines for phrase in PLACES)
    assert roof.tolist() == [[150, 200], [229, 200], [229, 279], [150, 279], [150, 200]], "as drawn, closed"
    assert pond.tolist() == [[400, 100], [479, 100], [479, 179], [400, 179]]


def test_a_preset_that_does_not_scale_is_refused(corpus, task):
    model = Redness()
    model.preset = TilePreset(bands=("red", "green", "blue"), size=(16, 16))
    with pytest.raises(EvaluationError, match="a preset that scales pictures, such as ImagePreset"):
        evaluate_model(model, "spec", corpus, [str(task)], checked_options(None, 8, 100, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"windows": []}, "sizes in pixels"),
        ({"windows": [256, 0]}, "sizes in pixels"),
        ({"windows": [256], "median": 4}, "odd number"),
        ({"median": 3}, "only maps of windows"),
        ({"windows": [256], "several": "leave-out"}, "set it to union"),
    ],
)
def test_wrong_tasks_are_named(tmp_path, change, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps({"kind": "referring", "several": "union", **change}))
    with pytest.raises(ConfigError, match=message):
        load_task(str(path))
