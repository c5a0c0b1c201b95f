"""`voxtile inspect --leakage`: planted overlaps and copies are found, and clean splits show none."""

import io

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.errors import CorpusError
from voxtile.stages.inspect.command import inspect_corpus
from voxtile.stages.inspect.leakage.places import compare_places
from voxtile.stages.inspect.leakage.report import find_leakage

GEOD = pyproj.Geod(ellps="sphere")


def picture(seed, *, noise=0, quality=None):
    """A landscape of its own for each seed, [64, 64, 3]; noise and JPEG make a near-duplicate of it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (9, 9, 3), np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
    pixels = np.asarray(coarse).astype(int) + np.random.default_rng(99).integers(-noise, noise + 1, (64, 64, 3))
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    if quality:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
        pixels = np.asarray(Image.open(stream))
    return pixels


def make(root, samples):
    """A corpus of (uid, split, footprint, picture)."""
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for uid, _, shape, pixels in samples:
        row = {"uid": uid, "subject": f"place-{uid}", "kind": "tile", "modality": "MSI", "axes": "CYX"}
        row["geometry"] = shapely.to_wkb(shape) if shape is not None else None
        writer.add(Sample(row, np.moveaxis(pixels, -1, 0).astype(np.uint16), preview=pixels))
    writer.publish()
    append_rows(
        root, "splits", "s", [{"scheme": "default", "subject": f"place-{u}", "split": s} for u, s, *_ in samples]
    )
    return root


def square(x, y, side=0.02):
    return shapely.box(x, y, x + side, y + side)


CLEAN = [
    (f"{split}{i}", split, square(10 + 0.1 * i, 45 + 0.5 * j), picture(10 * j + i))
    for j, split in enumerate(("train", "val", "test"))
    for i in range(4)
]


def pairs_of(root):
    return {(p.one, p.other): p for p in find_leakage(Corpus(root)).pairs}


def test_clean_splits_show_nothing(tmp_path):
    report = find_leakage(Corpus(make(tmp_path / "c", CLEAN)))
    assert (report.placed, report.compared, report.featureless) == (12, 12, 0)
    for pair in report.pairs:
        assert (pair.places.overlapping, pair.places.touching, pair.pixels.duplicates) == (0, 0, 0)
    assert all(check.ok for check in report.checks())


def test_a_planted_overlap_is_found(tmp_path):
    planted = ("planted", "test", square(10.01, 45), picture(77))  # half of train0
    pair = pairs_of(make(tmp_path / "c", [*CLEAN, planted]))["train", "test"]
    assert (pair.places.overlapping, pair.places.nearest_m) == (1, 0)
    assert pair.places.largest == pytest.approx(0.5)
    assert pair.places.examples == [("train0", "planted")]
    assert pair.pixels.duplicates == 0


def test_a_common_edge_is_touching_and_no_overlap(tmp_path):
    planted = ("planted", "val", square(10.02, 45), picture(77))
    pair = pairs_of(make(tmp_path / "c", [*CLEAN, planted]))["train", "val"]
    assert (pair.places.overlapping, pair.places.touching) == (0, 1)
    assert not all(check.ok for check in find_leakage(Corpus(tmp_path / "c")).checks())


@pytest.mark.parametrize("change", [{}, {"noise": 12}, {"quality": 30}])
def test_a_planted_copy_is_found(tmp_path, change):
    planted = ("planted", "test", square(50, 10), picture(1, **change))
    pairs = pairs_of(make(tmp_path / "c", [*CLEAN, planted]))
    assert pairs["train", "test"].pixels.duplicates == 1
    assert pairs["train", "test"].pixels.examples == [("train1", "planted")]
    assert pairs["train", "val"].pixels.duplicates == 0


def test_water_is_no_copy_of_water(tmp_path):
    water = np.full((64, 64, 3), 20, np.uint8)
    samples = [*CLEAN, ("w1", "train", square(0, 0), water), ("w2", "test", square(5, 0), water)]
    report = find_leakage(Corpus(make(tmp_path / "c", samples)))
    assert report.featureless == 2
    assert all(pair.pixels.duplicates == 0 for pair in report.pairs)


def test_samples_without_footprints_are_compared_by_pixels(tmp_path):
    samples = [(uid, split, None, pixels) for uid, split, _, pixels in CLEAN]
    report = find_leakage(Corpus(make(tmp_path / "c", samples)))
    assert report.placed == 0
    assert all(pair.places is None for pair in report.pairs)


def test_one_split_is_said_and_is_no_error(tmp_path, capsys):
    root = make(tmp_path / "c", CLEAN[:4])
    report = find_leakage(Corpus(root))
    assert (report.pairs, list(report.splits), report.placed) == ([], ["train"], 4)
    inspect_corpus(root, html=tmp_path / "page.html", leakage=True)
    said = "all samples with a split lie in 'train', so nothing can leak and there is nothing to compare"
    for text in (capsys.readouterr().out, (tmp_path / "page.html").read_text().replace("&#39;", "'")):
        assert said in " ".join(text.split())
        assert "take smaller blocks" in " ".join(text.split())


def test_one_split_of_what_lies_nowhere_asks_for_more_subjects(tmp_path):
    (check,) = find_leakage(Corpus(make(tmp_path / "c", [(u, s, None, p) for u, s, _, p in CLEAN[:4]]))).checks()
    assert "take more subjects or other shares" in check.sentence


def test_a_scheme_without_samples_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no sample has a split of scheme 'random'"):
        find_leakage(Corpus(make(tmp_path / "c", CLEAN[:4])), "random")


@settings(max_examples=40, deadline=None)
@given(
    longitude=st.floats(-180, 179),
    latitude=st.floats(-85, 85),
    gap_km=st.floats(0.05, 300),
    azimuth=st.floats(0, 360),
    seed=st.integers(0, 10),
)
def test_the_distance_is_the_least_between_outlines(longitude, latitude, gap_km, azimuth, seed):
    """Two tiles and their outlines sampled every 2 %, measured on the sphere by pyproj; others lie further away."""
    rng = np.random.default_rng(seed)

    def tile(lon, lat):
        ring = [GEOD.fwd(lon, lat, turn, 1500)[:2] for turn in (45, 135, 225, 315)]
        return ring

    start, (lon, lat, _) = tile(longitude, latitude), GEOD.fwd(longitude, latitude, azimuth, 3000 + 1000 * gap_km)
    end = tile(lon, lat)
    if any(abs(a[0] - b[0]) > 180 for ring in (start, end) for a in ring for b in ring) or abs(lat) > 89:
        return  # rings across the dateline are split before they are stored
    share = np.linspace(0, 1, 51)[:, None]
    dense = [
        np.vstack(
            [np.array(a) * (1 - share) + np.array(b) * share for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)]
        )
        for ring in (start, end)
    ]
    grid = np.meshgrid(np.arange(len(dense[0])), np.arange(len(dense[1])))
    a, b = dense[0][grid[0].ravel()], dense[1][grid[1].ravel()]
    expected = GEOD.inv(a[:, 0], a[:, 1], b[:, 0], b[:, 1])[2].min()
    far = [tile(*GEOD.fwd(longitude, latitude, rng.uniform(0, 360), 3e6)[:2]) for _ in range(3)]
    far = [ring for ring in far if max(p[0] for p in ring) - min(p[0] for p in ring) < 180]
    places = [(f"far{i}", shapely.to_wkb(shapely.Polygon(ring))) for i, ring in enumerate(far)]
    report = compare_places(
        [("one", shapely.to_wkb(shapely.Polygon(start)))], [*places, ("other", shapely.to_wkb(shapely.Polygon(end)))]
    )
    if report.touching or report.overlapping:
        assert expected < 100
    else:
        assert report.nearest == ("one", "other")
        assert report.nearest_m == pytest.approx(expected, rel=0.01, abs=20)


def test_distance_over_the_dateline():
    one = [("a", shapely.to_wkb(shapely.box(179.8, 0, 179.9, 0.1)))]
    other = [("b", shapely.to_wkb(shapely.box(-179.9, 0, -179.8, 0.1)))]
    assert compare_places(one, other).nearest_m == pytest.approx(0.2 * 111_195, rel=1e-3)


def test_the_page_shows_the_map_and_the_leakage(tmp_path, capsys):
    planted = ("planted", "test", square(10.01, 45), picture(1, noise=5))
    root = make(tmp_path / "c", [*CLEAN, planted])
    inspect_corpus(root, html=tmp_path / "page.html", leakage=True)
    page, shown = (tmp_path / "page.html").read_text(), capsys.readouterr().out
    assert "map of the footprints by split" in page
    assert page.count("data:image/png;base64,") >= 1
    for text in (page, shown):
        assert "overlap, by up to 50%" in " ".join(text.split())
        assert "1 near-duplicate pictures in train and test" in " ".join(text.split())
    inspect_corpus(root, html=tmp_path / "plain.html")
    assert "Leakage between splits" not in (tmp_path / "plain.html").read_text()


def test_a_corpus_without_footprints_has_no_map(tmp_path):
    root = make(tmp_path / "c", [(uid, split, None, pixels) for uid, split, _, pixels in CLEAN])
    inspect_corpus(root, html=tmp_path / "page.html")
    assert "map of the footprints" not in (tmp_path / "page.html").read_text()
