"""What a folder of slides may hold beside sound ones, through the command: a sentence each, the rest unharmed."""

import json
import re
import struct
import subprocess
import sys

import numpy as np
import openslide
import pytest
import tifffile

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import RunFailedError
from voxtile.stages.verify.corpus import verify
from voxtile_pathology.convert.content_id import PROBE_BYTES, PROBES, slide_content
from voxtile_pathology.convert.convert import convert_wsi

SIDE = 1280


@pytest.fixture(scope="module")
def stained():
    """Tissue everywhere [Y, X, 3]."""
    rng = np.random.default_rng(0)
    return np.clip(rng.normal((200, 130, 190), 20, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def slides(tmp_path, slide_writer):
    slide_writer.folder = tmp_path / "slides"
    slide_writer.folder.mkdir()
    return slide_writer


def overwrite(path, tile, *, start, data):
    """Overwrite a part of the bytes of a tile, from a share of its length on."""
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[tile], file.pages[0].databytecounts[tile]
    at = offset + int(count * start)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data[: offset + count - at])


def bomb(path):
    """A header that claims a million by a million pixels in one strip of ten bytes."""
    side, place = 1_000_000, 8 + 2 + 8 * 12 + 4
    entries = [
        (256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, place), (277, 3, 1),
        (279, 4, 10),
    ]  # fmt: skip
    body = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    body += b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in entries)
    path.write_bytes(body.ljust(place, b"\0") + b"x\x9c\x03\0\0\0\0\0\0\x01")


def outline(path, vertices):
    """A GeoJSON file of one gear-shaped region with so many vertices."""
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    radius = 400 + 20 * np.sin(200 * angle)
    points = np.stack([SIDE / 2 + radius * np.cos(angle), SIDE / 2 + radius * np.sin(angle)], axis=1).round(3)
    feature = {
        "type": "Feature",
        "properties": {"classification": {"name": "Tumor"}},
        "geometry": {"type": "Polygon", "coordinates": [points.tolist()]},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return angle, radius


def patches(store, source):
    rows = store.table("samples").to_pylist()
    return {tuple(row["level0_box"][:2]): row for row in rows if row["kind"] == "patch" and row["source"] == source}


def test_a_folder_of_hostile_files_is_converted_as_far_as_it_is_sound(slides, stained, tmp_path):
    """A damaged JPEG 2000 tile, a TIFF bomb and 100,000 vertices beside a sound slide, with the real command."""
    sound = slides.jpeg_pyramid("sound.tif", [stained, stained[::4, ::4]], tile=256)
    damaged = slides.jpeg2000_svs("damaged.svs", stained, tile=256)
    overwrite(damaged, 7, start=0.5, data=bytes(1 << 20))  # row 1, column 2 of 5 x 5
    bomb(slides.folder / "bomb.tif")
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    angle, radius = outline(drawn / "sound.geojson", 100_000)
    corpus = tmp_path / "corpus"
    words = ["convert", "wsi", str(slides.folder), str(corpus), "--no-deidentify", "--mpp", "native"]
    words += ["--annotations", str(drawn), "--engine", "inline", "--codec", "png"]
    done = subprocess.run(
        [sys.executable, "-m", "voxtile.cli.main", *words], capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 1, told
    assert "Traceback" not in told
    store = Corpus(corpus)
    failed = {row["source"].partition("#")[0]: row for row in store.ledger().to_pylist() if row["status"] == "failed"}
    assert {name: row["reason"] for name, row in failed.items()} == {
        "bomb.tif": "unreadable-slide",
        "damaged.svs": "unreadable-patch",
    }
    everywhere = {(x, y) for x in range(0, SIDE, 256) for y in range(0, SIDE, 256)}
    assert patches(store, "damaged.svs").keys() == everywhere - {(512, 256)}
    kept = patches(store, "sound.tif")
    assert kept.keys() == everywhere
    with openslide.OpenSlide(str(sound)) as slide:
        for corner in ((0, 0), (512, 256)):
            expected = np.asarray(slide.read_region(corner, 0, (256, 256)).convert("RGB"))
            np.testing.assert_array_equal(decode_picture(store.source(kept[corner]).encoded()), expected)
    regions = {row["uid"]: row for row in store.table("regions").to_pylist() if row["phrase"] == "Tumor"}
    covered = sum(int(store.mask(regions[r["uid"]]).sum()) for r in kept.values() if r["uid"] in regions)
    area = 0.5 * np.sum(radius * np.roll(radius, -1) * np.sin(2 * np.pi / len(angle)))  # the shoelace formula
    assert covered == pytest.approx(area, rel=1e-3)
    assert not verify(corpus).problems


def test_damage_in_the_only_level_costs_its_patch_although_the_overview_needs_it(slides, stained, tmp_path, capsys):
    path = slides.jpeg_pyramid("a.tif", [stained], tile=256)
    overwrite(path, 7, start=0.0, data=bytes(400))
    with pytest.raises(RunFailedError, match="unreadable-patch"):
        convert_wsi(slides.folder, tmp_path / "corpus", engine="inline", deidentify=False)
    store = Corpus(tmp_path / "corpus")
    assert len(patches(store, "a.tif")) == 24
    assert (512, 256) not in patches(store, "a.tif")
    lost = [row for row in store.ledger().to_pylist() if row["status"] == "failed"]
    assert [row["reason"] for row in lost] == ["unreadable-patch"]
    attributes = json.loads(next(iter(patches(store, "a.tif").values()))["attributes"])
    assert attributes["warnings"] == ["damaged-tiles"]
    told = re.search(r"a\.tif: ([0-9.]+)% of the overview cannot be read", " ".join(capsys.readouterr().err.split()))
    assert told is not None
    assert 100 / 25 <= float(told.group(1)) < 10  # the tile and a seam round it


def test_a_slide_without_one_sound_tile_is_refused(slides, stained, tmp_path):
    path = slides.jpeg_pyramid("a.tif", [stained[:512, :512]], tile=256)
    for tile in range(4):
        overwrite(path, tile, start=0.0, data=bytes(400))
    with pytest.raises(RunFailedError, match="unreadable-slide"):
        convert_wsi(slides.folder, tmp_path / "corpus", engine="inline", deidentify=False)


def test_slides_of_one_size_that_differ_in_the_middle_are_two(slides, stained):
    """Uncompressed: same size, same head, same tail, other pixels between."""
    other = stained.copy()
    other[300:900] = other[300:900, ::-1]
    first = slides.pyramid("a.tif", [stained], tile=256, photometric="rgb")
    second = slides.pyramid("b.tif", [other], tile=256, photometric="rgb")
    assert first.stat().st_size == second.stat().st_size > PROBES * PROBE_BYTES
    assert first.read_bytes()[:8192] == second.read_bytes()[:8192]
    assert first.read_bytes()[-8192:] == second.read_bytes()[-8192:]
    assert slide_content(first) != slide_content(second)
    copy = slides.folder / "elsewhere.tif"
    copy.write_bytes(first.read_bytes())
    assert slide_content(copy) == slide_content(first)
    assert slide_content(first)[1] == first.stat().st_size


def test_slides_that_differ_between_the_probes_are_both_converted(slides, stained, tmp_path):
    other = stained.copy()
    other[600:620, 600:620] = (90, 40, 120)
    pixels = {"a.tif": stained, "b.tif": other, "c.tif": other}
    paths = [slides.pyramid(name, [values], tile=256, photometric="rgb") for name, values in pixels.items()]
    assert len({slide_content(path) for path in paths}) == 1, "the probes see it, and nothing is tested here"
    convert_wsi(slides.folder, tmp_path / "corpus", engine="inline", deidentify=False, codec="png", mpp=None)
    store = Corpus(tmp_path / "corpus")
    patches = [row for row in store.table("samples").to_pylist() if row["kind"] == "patch"]
    assert sorted(row["source"] for row in patches) == ["a.tif"] * 25 + ["b.tif"] * 25  # c.tif is a copy of b.tif
    for row in patches:
        x0, y0, x1, y1 = row["level0_box"]
        read = decode_picture(store.source(row).encoded())
        np.testing.assert_array_equal(read, pixels[row["source"]][y0:y1, x0:x1])


def test_every_byte_of_a_small_slide_counts(slides, stained):
    path = slides.jpeg_pyramid("a.tif", [stained[:512, :512]], tile=256)
    data = path.read_bytes()
    assert len(data) < PROBES * PROBE_BYTES
    seen = {slide_content(path)[0]}
    for place in np.linspace(0, len(data) - 1, 20).astype(int).tolist():
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        seen.add(slide_content(path)[0])
    assert len(seen) == 21
