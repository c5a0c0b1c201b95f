"""Slides and large pictures by tiles: from the file as openslide cuts them, else from patches in their places."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus.records import Sample
from voxtile.corpus.source import StoredSample
from voxtile.corpus.writer import JobWriter, new_corpus

pytest.importorskip("fastapi", reason="the extra serve is not installed")
PLACES = [(0, 0), (256, 0), (512, 256), (768, 512), (0, 512)]
UIDS = [f"{n:032x}" for n in range(50, 50 + len(PLACES))]
LARGE, VOLUME = f"{90:032x}", f"{91:032x}"
HEIGHT, WIDTH = 900, 1300


def scan():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x // 160 + y // 160) % 2 * 200], axis=-1).astype(np.uint8)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """A folder with one slide, and a corpus of five of its patches and a picture of 20,000 pixels' width."""
    tifffile = pytest.importorskip("tifffile")
    root = tmp_path_factory.mktemp("slides")
    (root / "scans").mkdir()
    with tifffile.TiffWriter(root / "scans" / "a.tif") as tiff:
        for factor in (1, 4):
            level = np.asarray(Image.fromarray(scan()).reduce(factor))
            tiff.write(
                level, tile=(256, 256), photometric="rgb", compression="zlib", metadata=None,
                resolutionunit="CENTIMETER", resolution=(2e4 / factor,) * 2, subfiletype=int(factor > 1),
            )  # fmt: skip
    new_corpus(root / "corpus")
    writer = JobWriter(root / "corpus", "job")
    shared = {"kind": "patch", "modality": "SM", "axes": "YXC", "subject": "q", "source": "a.tif", "licence": "CC0-1.0"}
    for uid, (x, y) in zip(UIDS, PLACES, strict=True):
        about = {"uid": uid, "level0_box": [x, y, x + 256, y + 256], "mpp": [0.5, 0.5]}
        writer.add(Sample(shared | about, png(scan()[y : y + 256, x : x + 256])))
    wide = np.zeros((600, 20_000, 3), np.uint8)
    wide[:, 10_000:] = (250, 120, 30)
    writer.add(Sample(shared | {"uid": LARGE, "subject": "w", "kind": "image", "source": "w"}, wide))
    ct = {"uid": VOLUME, "kind": "volume", "modality": "CT", "axes": "ZYX", "subject": "v", "source": "v"}
    writer.add(Sample(shared | ct, np.zeros((2, 4, 4), np.int16)))
    row = {"region_id": "r", "uid": UIDS[1], "phrase": "gland", "box": [10.0, 20.0, 30.0, 60.0], "source": "drawn"}
    writer.add_rows("regions", [row])
    writer.publish()
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
    far = tile(client, LARGE, "picture_files/8/0_0.jpeg")
    assert far.shape == (5, 157, 3)
    assert np.abs(far[:, 80:] - (250, 120, 30)).max() < 30


@pytest.mark.parametrize(
    ("uid", "name", "said"), [(LARGE, "slide", "no patch of a slide"), (VOLUME, "picture", "volume")]
)
def test_what_has_no_tiles_says_so(slides, serving, uid, name, said):
    answer = serving(slides / "corpus").get(f"/api/samples/{uid}/{name}.json")
    assert (answer.status_code, said in answer.json()["error"]) == (422, True)
