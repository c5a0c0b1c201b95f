"""Regions are sent with where they are: a crop and coordinates to a model that sees, coordinates in words to others."""

import io
import json

import numpy as np
import pytest
from chat_endpoint import Endpoint, serving
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile_datasets.captions.context.region_view import RegionView

PHOTO, VOLUME = "a" * 32, "b" * 32
RED = (220, 20, 20)
TANK, NODULE = [60.0, 20.0, 90.0, 40.0], [2.0, 8.0, 30.0, 6.0, 16.0, 36.0]
SAID = {"storage_tank": "A storage tank stands here.", "pulmonary nodule": "A pulmonary nodule is seen."}


def photo():
    """100 rows of 200 columns, blue, with a red thing in the box of the tank."""
    pixels = np.full((100, 200, 3), (30, 60, 200), np.uint8)
    pixels[60:90, 20:40] = RED
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def volume():
    """Dark, with a bright thing at the right, back and low end: x up is the patient's right, y up the front."""
    array = np.full((8, 20, 40), -900, np.int16)
    array[2:6, 8:16, 30:36] = 40
    return array


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made-by-hand")
    picture = {"uid": PHOTO, "subject": "s", "kind": "image", "axes": "YXC", "shape": [100, 200, 3], "modality": "RGB"}
    writer.add(Sample(picture, photo()))
    scan = {"uid": VOLUME, "subject": "t", "kind": "volume", "axes": "ZYX", "shape": [8, 20, 40], "dtype": "int16"}
    scan |= {"modality": "CT", "units": "HU", "spacing": [2.0, 1.0, 1.0]}
    scan |= {"affine": [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]}
    writer.add(Sample(scan, volume()))
    writer.publish()
    boxes = ((PHOTO, "storage_tank", TANK), (VOLUME, "pulmonary nodule", NODULE))
    append_rows(root, "regions", "r", [
        {"uid": uid, "region_id": uid[:8], "phrase": phrase, "box": box} for uid, phrase, box in boxes
    ])  # fmt: skip
    append_rows(root, "facts", "f", [
        {"uid": uid, "concept": phrase, "polarity": "present", "region_id": uid[:8], "source": "hand@1"}
        for uid, phrase, _ in boxes
    ])  # fmt: skip
    return root


def answer(prompt, number):
    return json.dumps({"caption": next(text for phrase, text in SAID.items() if phrase.split("_")[0] in prompt)})


def asked(corpus, *words, ends=0):
    """Prompts and pictures of the requests about regions, by sample."""
    endpoint = Endpoint(answer)
    with serving(endpoint) as url:
        options = ["--provider", "openai", "--strategy", "roi", "--base-url", url, "--model", "m", "--tries", "1"]
        assert main(["caption", str(corpus), *options, *words]) == ends
    calls = zip(endpoint.prompts, endpoint.pictures, strict=True)
    regions = [(prompt, pictures) for prompt, pictures in calls if "Regions, each" not in prompt]
    return {PHOTO if "tank" in prompt else VOLUME: (prompt, pictures) for prompt, pictures in regions}, endpoint


def opened(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def is_red(picture, x, y):
    return max(abs(a - b) for a, b in zip(picture.getpixel((x, y)), RED, strict=True)) < 40


def test_a_model_that_sees_is_shown_the_picture_and_the_region_with_its_coordinates(corpus):
    found, _ = asked(corpus, "--look", "true", "--where", f"uid = '{PHOTO}'")
    prompt, (whole, part) = found[PHOTO]
    assert whole == photo()
    assert "It lies at 10 to 20 % of the picture's width from its left edge, 60 to 90 % of its height from" in prompt
    assert "the second one is the region" in prompt
    crop = opened(part)
    middle = (crop.width // 2, crop.height // 2)
    assert is_red(crop, *middle)
    assert not is_red(crop, 2, 2)  # what is around it is there, too
    red = sum(is_red(crop, x, y) for x in range(0, crop.width, 4) for y in range(0, crop.height, 4))
    assert 0.1 < red / (len(range(0, crop.width, 4)) * len(range(0, crop.height, 4))) < 0.9


def test_of_a_volume_the_plane_of_the_region_is_shown_as_radiologists_see_it(corpus):
    view = RegionView(corpus, Corpus(corpus).row(VOLUME))
    seen = view.seen(NODULE)
    plane, part = (Image.open(io.BytesIO(data)).convert("L") for data in seen.pictures)
    assert plane.size == (40, 20)
    bright = np.argwhere(np.asarray(plane) > 200)
    assert bright.min(0).tolist() == [4, 4]  # columns 30 to 36 of 40 from the patient's left, seen from the right
    assert bright.max(0).tolist() == [11, 9]
    assert (
        seen.place == "10 to 25 % of the picture's width from its left edge, 20 to 60 % of its height from its top edge"
    )
    assert np.asarray(part)[part.height * 8 // 20, part.width * 7 // 26] > 200  # from the edges, which cut the margin
    assert view.place(NODULE) == (
        "75 to 90 % of the way from the patient's left to the patient's right, 40 to 80 % of the way from back to "
        "front, 25 to 75 % of the way from feet to head"
    )


def test_the_regions_of_a_volume_without_a_preview_are_worded_and_its_whole_is_named_as_missing(corpus, capsys):
    found, _ = asked(corpus, "--look", "true", "--where", f"uid = '{VOLUME}'", ends=1)
    assert len(found[VOLUME][1]) == 2
    assert [row["text"] for row in Corpus(corpus).table("captions").to_pylist()] == [SAID["pulmonary nodule"]]
    assert "no-picture" in capsys.readouterr().out


def test_a_model_that_does_not_see_is_told_the_coordinates_in_words(corpus):
    found, endpoint = asked(corpus)
    assert not any(endpoint.pictures)
    assert "It lies at 10 to 20 % of the picture's width from its left edge" in found[PHOTO][0]
    assert "first picture" not in found[PHOTO][0]
    assert "75 to 90 % of the way from the patient's left to the patient's right" in found[VOLUME][0]
    whole = [prompt for prompt in endpoint.prompts if "Regions, each" in prompt]
    assert any("<<<storage_tank>>> (at 10 to 20 % of the picture's width" in prompt for prompt in whole)


@pytest.mark.parametrize("box", [None, [0.0, 0.0], [5.0, 5.0, 5.0, 9.0], [200.0, 0.0, 300.0, 10.0]])
def test_a_box_that_is_nowhere_has_no_place(corpus, box):
    view = RegionView(corpus, Corpus(corpus).row(PHOTO))
    assert view.place(box) is None
    assert view.seen(box) is None


def test_a_preview_of_several_planes_is_not_cut(corpus):
    row = {**Corpus(corpus).row(PHOTO), "shape": [100, 100, 3]}
    assert RegionView(corpus, row).seen([0.0, 0.0, 10.0, 10.0]) is None


def test_a_place_that_a_model_repeats_is_no_fact(corpus):
    """The coordinates say where to look; a side or position that no fact states is refused as ever."""
    endpoint = Endpoint(lambda prompt, number: json.dumps({"caption": "A pulmonary nodule in the right lung."}))
    with serving(endpoint) as url:
        options = ["--provider", "openai", "--strategy", "roi", "--base-url", url, "--model", "m", "--tries", "2"]
        assert main(["caption", str(corpus), *options, "--where", f"uid = '{VOLUME}'"]) == 1
    assert not Corpus(corpus).table("captions").num_rows
