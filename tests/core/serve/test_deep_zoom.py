"""Slides and large pictures by tiles: from the file as openslide cuts them, else from patches in their places."""

import io
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus.source import StoredSample

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("tifffile", reason="the extra pathology is not installed")
from slide_corpus import HEIGHT, LARGE, PLACES, UIDS, VOLUME, WIDTH, scan, write_slide_corpus


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    root = tmp_path_factory.mktemp("slides")
    write_slide_corpus(root)
    return root


def tile(client, uid, name):
    answer = client.get(f"/api/samples/{uid}/{name}")
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


def test_tiles_of_the_slides_file_are_those_of_openslide(slides, serving):
    openslide = pytest.importorskip("openslide")
    from openslide.deepzoom import DeepZoomGenerator

    client = serving(slides / "corpus", references=slides / "scans")
    told = client.get(f"/api/samples/{UIDS[2]}/slide.json").json()
    assert (told["origin"], told["note"], told["patches"]) == ("file", "", 5)
    assert told["box"] == [512, 256, 768, 512]
    size = ET.fromstring(client.get(f"/api/samples/{UIDS[2]}/slide.dzi").content)[0].attrib
    assert size == {"Width": str(WIDTH), "Height": str(HEIGHT)}
    theirs = DeepZoomGenerator(openslide.open_slide(slides / "scans" / "a.tif"), tile_size=256, overlap=0)
    assert told["top"] == theirs.level_count - 1
    for level in range(8, theirs.level_count):  # smaller ones are a few pixels, which openslide sharpens
        columns, lines = theirs.level_tiles[level]
        for column, line in {(0, 0), (columns - 1, lines - 1)}:
            ours = tile(client, UIDS[0], f"slide_files/{level}/{column}_{line}.jpeg")
            expected = np.asarray(theirs.get_tile(level, (column, line))).astype(int)
            assert ours.shape[1::-1] == theirs.get_tile_dimensions(level, (column, line))
            rows, width = expected.shape[:2]  # theirs may lack a line, since it keeps the shape of what it shrinks
            assert np.abs(ours[:rows, :width] - expected).mean() < 6, (level, column, line)
    assert client.get(f"/api/samples/{UIDS[0]}/slide_files/99/0_0.jpeg").status_code == 422
    assert client.get(f"/api/samples/{UIDS[0]}/slide_files/{told['top']}/99_0.jpeg").status_code == 422


@pytest.mark.parametrize("where", ["outside", "moved"])
def test_a_slide_that_is_not_there_is_laid_from_its_patches_and_said(slides, serving, tmp_path, where):
    client = serving(slides / "corpus", references=None if where == "outside" else tmp_path)
    told = client.get(f"/api/samples/{UIDS[0]}/slide.json").json()
    assert told["origin"] == "patches"
    assert "patches" in told["note"]
    assert str(slides) not in told["note"]
    assert (told["width"], told["height"]) == (1024, 768)
    expected = np.full((768, 1024, 3), 255)
    for x, y in PLACES:
        expected[y : y + 256, x : x + 256] = scan()[y : y + 256, x : x + 256]
    found = np.full_like(expected, -1)
    for column in range(4):
        for line in range(3):
            part = tile(client, UIDS[0], f"slide_files/{told['top']}/{column}_{line}.jpeg")
            found[line * 256 : line * 256 + 256, column * 256 : column * 256 + 256] = part
    assert np.abs(found - expected).mean() < 6
    whole = tile(client, UIDS[0], f"slide_files/{told['top'] - 2}/0_0.jpeg")
    assert np.abs(whole - np.asarray(Image.fromarray(expected.astype(np.uint8)).reduce(4))).mean() < 6
    outlines = client.get(f"/api/samples/{UIDS[0]}/slide/outlines").json()
    assert [one["box"] for one in outlines if one["phrase"] is None] == [[x, y, x + 256, y + 256] for x, y in PLACES]
    assert [one["box"] for one in outlines if one["phrase"]] == [[256 + 20, 10, 256 + 60, 30]]


def test_a_picture_of_20_000_pixels_is_read_by_its_tiles(slides, serving, monkeypatch):
    client = serving(slides / "corpus")
    read = []
    array = StoredSample.array
    monkeypatch.setattr(StoredSample, "array", lambda self, part=None: read.append(part) or array(self, part))
    told = client.get(f"/api/samples/{LARGE}/picture.json").json()
    assert (told["width"], told["height"], told["origin"]) == (20_000, 600, "sample")
    near = tile(client, LARGE, f"picture_files/{told['top']}/39_1.jpeg")
    assert near.shape == (256, 256, 3)
    assert np.abs(near[:, 24:] - (250, 120, 30)).max() < 12, "the right side begins at pixel 10,000"
    assert np.abs(near[:, :8]).max() < 12
    [part] = read
    assert [(s.start, s.stop) for s in part[:2]] == [(256, 512), (39 * 256, 40 * 256)]
    monkeypatch.setattr("voxtile.serve.deep_zoom.pyramid._MOST_READ", 1 << 16)  # as of a picture of 400 million
    for column, colour in ((0, (0, 0, 0)), (2, (250, 120, 30))):
        part = tile(client, LARGE, f"picture_files/{told['top'] - 5}/{column}_0.jpeg")
        assert np.abs(part - colour).max() < 12
    far = tile(client, LARGE, "picture_files/8/0_0.jpeg")
    assert far.shape == (5, 157, 3)
    assert np.abs(far[:, 80:] - (250, 120, 30)).max() < 30


@pytest.mark.parametrize(
    ("uid", "name", "said"), [(LARGE, "slide", "no patch of a slide"), (VOLUME, "picture", "volume")]
)
def test_what_has_no_tiles_says_so(slides, serving, uid, name, said):
    answer = serving(slides / "corpus").get(f"/api/samples/{uid}/{name}.json")
    assert (answer.status_code, said in answer.json()["error"]) == (422, True)


VECTORS = [(1.0, 0.0, 0.0), (0.6, 0.8, 0.0), (0.0, 1.0, 0.0), (0.8, 0.0, 0.6), None]  # of the patches; one has none


def with_vectors(slides, tmp_path):
    """A copy whose patches have vectors of a model that reads `scan` and `tissue`, opened with it."""
    from tests.core.serve.conftest import ToyTexts

    from voxtile.corpus.reader import Corpus
    from voxtile.corpus.writer import JobWriter
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex
    from voxtile.serve.search.meaning import MeaningSearch
    from voxtile.serve.search.vector_cache import vector_file

    shutil.copytree(slides / "corpus", tmp_path / "corpus")
    writer = JobWriter(tmp_path / "corpus", "vectors")
    rows = [
        {"uid": uid, "model": "toy", "vector": np.array(vector, np.float16)}
        for uid, vector in zip(UIDS, VECTORS, strict=True) if vector
    ]  # fmt: skip
    writer.add_rows("embeddings", rows)
    writer.publish()
    corpus = Corpus(tmp_path / "corpus")
    index = SampleIndex(corpus)
    meaning = MeaningSearch(ToyTexts(), vector_file([corpus], index, "toy"))
    return explore(corpus, index, meaning=meaning, references=slides / "scans")


def test_a_phrase_over_a_slide_is_the_cosine_of_each_patch_in_its_place(slides, serving, tmp_path):
    client = serving(with_vectors(slides, tmp_path))
    said = client.post(f"/api/samples/{UIDS[2]}/slide/phrase", json={"phrase": "tissue"}).json()  # (0, 1, 0)
    assert (said["low"], said["high"]) == (pytest.approx(0, abs=1e-3), pytest.approx(1, abs=1e-3))
    assert [one["uid"] for one in said["nearest"][:2]] == [UIDS[2], UIDS[1]]
    assert [one["cosine"] for one in said["nearest"][:2]] == pytest.approx([1.0, 0.8], abs=2e-3)
    assert (said["patches"], said["missing"], said["making"]) == (5, 1, False)
    answer = client.get(f"/api/samples/{UIDS[0]}/slide/phrase/picture", params={"phrase": "tissue"})
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    factor = 1024 / WIDTH
    assert shown.shape == (round(HEIGHT * factor), 1024, 4)
    strengths = [int(shown[round((y + 128) * factor), round((x + 128) * factor), 3]) for x, y in PLACES]
    assert strengths[2] > strengths[1] > strengths[0] == strengths[3]
    assert strengths[4] == 0, "nothing is known of it"
    assert shown[round(300 * factor), round(100 * factor), 3] == 0, "and nothing of what is no patch"
    for phrase in ("", "x" * 501):
        refused = client.post(f"/api/samples/{UIDS[0]}/slide/phrase", json={"phrase": phrase})
        assert (refused.status_code, "1 to 500 characters" in refused.json()["error"]) == (422, True)


def test_without_a_model_a_slide_says_how_to_name_one(slides, serving):
    answer = serving(slides / "corpus").post(f"/api/samples/{UIDS[0]}/slide/phrase", json={"phrase": "gland"})
    assert (answer.status_code, "--model" in answer.json()["error"]) == (422, True)
