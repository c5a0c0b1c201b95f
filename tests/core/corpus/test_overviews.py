"""Overviews: pictures of whole slides that carry masks; no view or task selects them, people see them on the page."""

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from shapely.geometry import shape

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, CorpusError
from voxtile.formats.geojson import outline
from voxtile.stages.extract import extract_sample
from voxtile.stages.inspect.command import inspect_corpus
from voxtile.stages.inspect.overviews import make_overviews
from voxtile.stages.inspect.previews import choose_uids

UID, PATCH = "0" * 31 + "1", "0" * 31 + "2"
TISSUE = np.zeros((30, 40), bool)
TISSUE[5:20, 10:30] = True
TISSUE[10:15, 15:20] = False


def _jpeg(height, width):
    import simplejpeg

    return simplejpeg.encode_jpeg(np.full((height, width, 3), 200, np.uint8))


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-1")
    whole = {"level0_box": [0, 0, 640, 480], "mpp": [8.0, 8.0], "attributes": json.dumps({"counts": {"places": 12}})}
    common = {"subject": "s", "study": "s", "source": "slide-a", "axes": "YXC"}
    writer.add(Sample({"uid": UID, "kind": "overview", **common, **whole}, _jpeg(30, 40)))
    writer.add(Sample({"uid": PATCH, "kind": "patch", "level0_box": [160, 80, 320, 240], **common}, _jpeg(16, 16)))
    box = [5.0, 10.0, 20.0, 30.0]
    writer.add_mask(Mask({"region_id": "r1", "uid": UID, "phrase": "tissue", "box": box}, TISSUE))
    writer.add_rows("regions", [{"region_id": "r2", "uid": PATCH, "phrase": "tumour", "box": [4.0, 8.0, 8.0, 16.0]}])
    writer.add_rows("splits", [{"scheme": "default", "subject": "s", "split": "train"}])
    writer.publish()
    return root


def test_views_and_the_montage_leave_overviews_out(root):
    view = compile_view(Corpus(root))
    assert [view.entry(row).uid for row in view.rows("train")] == [PATCH]
    with pytest.raises(ConfigError, match="no sample matches"):
        compile_view(Corpus(root), "overviews", where="kind = 'overview'")
    assert choose_uids(Corpus(root), 10) == [PATCH]


def test_the_page_shows_the_overview_with_its_mask_and_samples(root, tmp_path, capsys):
    [overview], total = make_overviews(Corpus(root))
    assert (total, overview.samples, overview.counts) == (1, 1, {"places": 12})
    assert overview.subtitle == "0.3 × 0.2 mm · train"
    assert [(entry.phrase, round(entry.share, 4)) for entry in overview.legend] == [("tissue", round(TISSUE.mean(), 4))]
    inspect_corpus(root, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert overview.marked in page
    assert "1 samples" in page
    capsys.readouterr()


def test_a_damaged_overview_says_so_in_its_place(root):
    shard = root / "shards" / "job-1.tar"
    row = Corpus(root).row(UID)
    content = bytearray(shard.read_bytes())
    content[row["offset"] : row["offset"] + 30] = bytes(30)
    shard.write_bytes(content)
    [overview], _ = make_overviews(Corpus(root))
    assert overview.plain is None
    assert "differs from the hash in its row" in overview.problem


def test_masks_leave_as_geojson_in_level_0_pixels(root, tmp_path):
    extract_sample(root, UID, to="geojson", out=tmp_path / "mask.geojson")
    [feature] = json.loads((tmp_path / "mask.geojson").read_text())["features"]
    polygon = shape(feature["geometry"])
    assert feature["properties"]["classification"]["name"] == "tissue"
    assert polygon.is_valid
    assert polygon.bounds == (160.0, 80.0, 480.0, 320.0)
    assert polygon.area == TISSUE.sum() * 16 * 16
    assert not polygon.contains(shapely.Point(17.5 * 16, 12.5 * 16))  # the hole


def test_boxes_leave_as_geojson_where_the_patch_lies(root, tmp_path):
    extract_sample(root, PATCH, to="geojson", out=tmp_path / "boxes.geojson")
    [feature] = json.loads((tmp_path / "boxes.geojson").read_text())["features"]
    assert shape(feature["geometry"]).bounds == (160 + 80, 80 + 40, 160 + 160, 80 + 80)


def test_a_sample_without_regions_has_no_geojson(root, tmp_path):
    for part in (root / "tables" / "regions").iterdir():
        part.unlink()
    with pytest.raises(CorpusError, match="has no region"):
        extract_sample(root, UID, to="geojson", out=tmp_path / "mask.geojson")


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_an_outline_covers_exactly_the_masks_pixels(mask):
    polygon = outline(mask)
    assert polygon.area == mask.sum()
    y, x = np.nonzero(mask)
    assert shapely.covers(polygon, shapely.points(x + 0.5, y + 0.5)).all()


def test_the_marked_picture_frames_samples_and_dims_what_is_not_tissue(root):
    import base64
    import io

    [overview], _ = make_overviews(Corpus(root))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(overview.marked.split(",")[1]))).convert("RGB"), float)
    plain = np.asarray(Image.open(io.BytesIO(base64.b64decode(overview.plain.split(",")[1]))).convert("RGB"), float)
    assert pixels.shape == plain.shape == (30, 40, 3)
    assert np.abs(pixels[25, 35] - (200 * 2 + 255) / 3).max() < 6  # outside: dimmed
    assert np.abs(pixels[5, 20] - (0, 158, 115)).max() < 60  # on the mask's edge: green
    assert np.abs(plain[25, 35] - 200).max() < 4
