"""`voxtile convert wsi`: patches at an exact scale from the tissue of slides, and what is kept out of the corpus."""

import json
from functools import cache

import numpy as np
import openslide
import pytest
import shapely
from scipy import ndimage

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile.stages.verify.corpus import verify
from voxtile_pathology.convert.convert import convert_wsi
from voxtile_pathology.convert.plan import _tell_unread

SIDE = (1100, 1400)  # height and width of level 0
CENTRE, RADIUS = (700, 550), 460  # x, y


@cache
def tissue_picture(seed=0):
    """A disc of textured tissue on glass [Y, X, 3], painted once."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIDE[0], : SIDE[1]]
    disc = np.hypot(x - CENTRE[0], y - CENTRE[1]) < RADIUS
    texture = ndimage.gaussian_filter(rng.normal(size=SIDE), 2.0)
    stained = np.array([190.0, 120, 180]) + (texture / texture.std())[..., None] * np.array([18.0, 25, 12])
    glass = np.array([243.0, 242, 244]) + rng.normal(size=(*SIDE, 3))
    picture = np.clip(np.where(disc[..., None], stained, glass), 0, 255).astype(np.uint8)
    picture.flags.writeable = False
    return picture


@cache
def pyramid(seed=0):
    full = tissue_picture(seed)
    quarter = full[: SIDE[0] // 4 * 4, : SIDE[1] // 4 * 4].astype(float)
    quarter = quarter.reshape(SIDE[0] // 4, 4, SIDE[1] // 4, 4, 3).mean(axis=(1, 3))
    return [full, np.rint(quarter).astype(np.uint8)]


@pytest.fixture
def slides(tmp_path, slide_writer):
    folder = tmp_path / "slides"
    folder.mkdir()
    slide_writer.folder = folder
    return slide_writer


def convert(slides, corpus=None, **options):
    corpus = corpus or slides.folder.parent / "corpus"
    convert_wsi(slides.folder, corpus, **{"engine": "inline", "workers": 1, **options})
    return Corpus(corpus)


def rows_of(store, kind="patch"):
    return [row for row in store.table("samples").to_pylist() if row["kind"] == kind]


def pixels_of(store, row):
    return decode_picture(store.source(row).encoded())


def test_native_patches_are_what_openslide_reads(slides):
    path = slides.svs("a.svs", pyramid(), tile=240, mpp=0.5, objective=20)
    store = convert(slides, mpp="native", codec="png")
    rows = rows_of(store)
    assert rows
    with openslide.OpenSlide(str(path)) as slide:
        for row in rows:
            x0, y0, x1, y1 = row["level0_box"]
            assert (x1 - x0, y1 - y0) == (256, 256)
            assert (x0 % 256, y0 % 256) == (0, 0)
            expected = np.asarray(slide.read_region((x0, y0), 0, (256, 256)).convert("RGB"))
            np.testing.assert_array_equal(pixels_of(store, row), expected)
    assert {(row["mpp"][0], row["mpp"][1], row["modality"], row["axes"]) for row in rows} == {(0.5, 0.5, "SM", "YXC")}
    assert not verify(store.roots[0]).problems


@pytest.mark.cases(1)
@pytest.mark.parametrize("mpp", [0.5, 0.7, 1.0])
def test_a_patch_covers_exactly_the_micrometres_asked_for(slides, mpp):
    """An independent area resampling: differences of the integral image, bilinear between pixels."""
    slides.pyramid("a.tif", pyramid()[:1], mpp=0.4, photometric="rgb")
    store = convert(slides, mpp=mpp, patch_px=128, codec="png")
    factor = mpp / 0.4
    sums = np.pad(np.cumsum(np.cumsum(tissue_picture().astype(float), 0), 1), ((1, 0), (1, 0), (0, 0)))
    rows = rows_of(store)
    assert len(rows) > 5
    for row in rows[::4]:
        x0, y0, x1, y1 = row["level0_box"]
        assert row["mpp"] == pytest.approx([mpp, mpp])
        assert abs(x1 - x0 - 128 * factor) <= 0.5
        assert abs(y1 - y0 - 128 * factor) <= 0.5
        y, x = np.meshgrid(y0 + np.arange(129) * factor, x0 + np.arange(129) * factor, indexing="ij")
        for band in range(3):
            corner = ndimage.map_coordinates(sums[..., band], [y, x], order=1)
            mean = np.diff(np.diff(corner, axis=0), axis=1) / factor**2
            assert np.abs(pixels_of(store, row)[..., band] - mean).mean() < 1.0


def test_the_coarsest_level_that_is_fine_enough_is_read(slides):
    slides.svs("a.svs", pyramid(), tile=128, mpp=0.25)
    store = convert(slides, mpp=1.0, patch_px=64, codec="png")
    with openslide.OpenSlide(str(slides.folder / "a.svs")) as slide:
        for row in rows_of(store):
            assert json.loads(row["attributes"])["level"] == 1
            x0, y0, x1, y1 = row["level0_box"]
            expected = np.asarray(slide.read_region((x0, y0), 1, (64, 64)).convert("RGB"))
            np.testing.assert_array_equal(pixels_of(store, row), expected)
            assert (x1 - x0, y1 - y0) == (256, 256)


def test_only_tissue_is_kept(slides):
    slides.pyramid("a.tif", pyramid()[:1], mpp=0.5, photometric="rgb")
    store = convert(slides, patch_px=100, min_tissue=0.5)
    disc = shapely.Point(CENTRE).buffer(RADIUS, quad_segs=64)
    shares = {
        (x, y): disc.intersection(shapely.box(x, y, x + 100, y + 100)).area / 1e4
        for x in range(0, SIDE[1] - 99, 100)
        for y in range(0, SIDE[0] - 99, 100)
    }
    kept = {tuple(row["level0_box"][:2]) for row in rows_of(store)}
    assert {place for place, share in shares.items() if share > 0.55} <= kept
    assert not kept & {place for place, share in shares.items() if share < 0.45}
    scores = {(s["uid"], s["name"]): s["value"] for s in store.table("scores").to_pylist()}
    for row in rows_of(store):
        assert scores[row["uid"], "tissue_fraction"] == pytest.approx(shares[tuple(row["level0_box"][:2])], abs=0.12)
        assert scores[row["uid"], "pen_fraction"] == 0
        assert scores[row["uid"], "sharpness"] > 0


def test_the_overview_carries_the_mask(slides):
    slides.svs("a.svs", pyramid(), mpp=0.5, objective=20)
    store = convert(slides)
    [overview] = rows_of(store, "overview")
    assert overview["mpp"] == [8.0, 8.0]
    regions = {region["phrase"]: region for region in store.table("regions").to_pylist()}
    mask = store.mask(regions["tissue"])
    assert list(mask.shape) == overview["shape"][:2]
    assert mask.sum() * 64 == pytest.approx(np.pi * RADIUS**2 / 4, rel=0.03)  # µm²
    counts = json.loads(overview["attributes"])["counts"]
    assert counts["kept"] == len(rows_of(store))
    assert counts["places"] == (SIDE[0] // 256) * (SIDE[1] // 256)


def test_a_slide_without_scale_is_refused_and_the_rest_is_converted(slides, capsys):
    slides.pyramid("a.tif", pyramid()[:1], mpp=None, photometric="rgb")
    slides.pyramid("b.tif", pyramid(1)[:1], mpp=0.5, photometric="rgb")
    with pytest.raises(RunFailedError, match="no-mpp"):
        convert(slides)
    assert "--assume-mpp" in " ".join(capsys.readouterr().out.split())
    store = Corpus(slides.folder.parent / "corpus")
    assert len({row["subject"] for row in rows_of(store)}) == 1
    assert [row["reason"] for row in store.ledger().to_pylist() if row["status"] == "failed"] == ["no-mpp"]
    assumed = convert(slides, slides.folder.parent / "assumed", assume_mpp=0.5)
    said = {json.loads(row["attributes"])["mpp_from"] for row in rows_of(assumed)}
    assert said == {"assumed", "file"}


def test_a_scale_that_the_objective_contradicts_is_warned_of_and_recorded(slides, capsys):
    slides.svs("a.svs", pyramid(), mpp=0.5, objective=80)
    store = convert(slides)
    assert "80x objective" in " ".join(capsys.readouterr().err.split())
    assert json.loads(rows_of(store)[0]["attributes"])["warnings"] == ["mpp-objective-mismatch"]


def test_a_slide_coarser_than_the_patch_is_refused(slides, capsys):
    slides.pyramid("a.tif", pyramid()[:1], mpp=2.0, photometric="rgb")
    with pytest.raises(RunFailedError, match="too-coarse"):
        convert(slides, mpp=0.5)
    assert "--mpp 2 or more" in " ".join(capsys.readouterr().out.split())


def test_pass_through_copies_the_native_tiles(slides):
    path = slides.jpeg_pyramid("a.tif", pyramid()[:1], tile=256, mpp=0.5)
    store = convert(slides, pass_through=True)
    rows = rows_of(store)
    raw = path.read_bytes()
    with openslide.OpenSlide(str(path)) as slide:
        for row in rows:
            data = store.source(row).encoded()
            assert data.startswith(b"\xff\xd8\xff\xee\x00\x0eAdobe")  # the marker of the colours
            assert data[18:] in raw  # and then the file's own bytes: it holds whole JPEG files
            x0, y0 = row["level0_box"][:2]
            expected = np.asarray(slide.read_region((x0, y0), 0, (256, 256)).convert("RGB"))
            np.testing.assert_array_equal(decode_picture(data), expected)
            assert json.loads(row["attributes"])["encoding"] == "native"
    assert len(rows) == len(rows_of(convert(slides, slides.folder.parent / "encoded")))


@pytest.mark.parametrize("rgb", [False, True])
def test_passed_tiles_of_aperio_slides_carry_tables_and_colours(slides, rgb):
    path = slides.svs("a.svs", pyramid(), tile=256, mpp=0.5, objective=20, rgb=rgb)
    store = convert(slides, pass_through=True)
    with openslide.OpenSlide(str(path)) as slide:
        for row in rows_of(store):
            x0, y0 = row["level0_box"][:2]
            expected = np.asarray(slide.read_region((x0, y0), 0, (256, 256)).convert("RGB"))
            np.testing.assert_array_equal(pixels_of(store, row), expected)


def test_tiles_that_are_not_patches_are_encoded_and_said_so(slides, capsys):
    slides.svs("a.svs", pyramid(), tile=240, mpp=0.5, objective=20)
    store = convert(slides, pass_through=True)
    assert "not patches of 256 px" in " ".join(capsys.readouterr().err.split())
    assert {json.loads(row["attributes"])["encoding"] for row in rows_of(store)} == {"jpg 90"}


@pytest.mark.cases(1)
@pytest.mark.parametrize("deidentify", [True, False])
def test_coordinates_alone_read_the_same_pixels_later(slides, deidentify):
    slides.svs("patient-jones.svs", pyramid(), mpp=0.4, objective=20)
    whole = convert(slides, codec="png", deidentify=deidentify, key_file=slides.folder.parent / "keys.parquet")
    thin = convert(slides, slides.folder.parent / "thin", coords_only=True, deidentify=deidentify)
    rows = rows_of(thin)
    assert len(rows) == len(rows_of(whole))
    assert {row["codec"] for row in rows} == {"ref"}
    places = {tuple(row["level0_box"]): row for row in rows_of(whole)}
    for row in rows:
        expected = pixels_of(whole, places[tuple(row["level0_box"])])
        np.testing.assert_array_equal(thin.source(row).array(), expected)
        np.testing.assert_array_equal(thin.source(row).array((slice(3, 40), slice(100, 256))), expected[3:40, 100:256])
        assert (row["shape"], row["dtype"]) == ([256, 256, 3], "uint8")
    assert not verify(thin.roots[0]).problems
    stored = b"".join(path.read_bytes() for path in thin.roots[0].rglob("*") if path.is_file())
    assert (b"jones" in stored) is not deidentify


def test_slides_that_move_are_found_after_converting_again(slides):
    slides.svs("a.svs", pyramid(), mpp=0.5, objective=20)
    store = convert(slides, coords_only=True)
    row = rows_of(store)[0]
    expected = store.source(row).array()
    moved = slides.folder.rename(slides.folder.parent / "moved")
    with (
        pytest.raises(InputError, match=r".")
        if False
        else pytest.raises(Exception, match="cannot be read; put it back")
    ):
        store.source(row).array()
    slides.folder = moved
    store = convert(slides, coords_only=True)
    np.testing.assert_array_equal(store.source(row).array(), expected)


def test_label_and_macro_stay_out_unless_asked_for(slides):
    slides.svs("patient-jones.svs", pyramid(), mpp=0.5, objective=20)
    store = convert(slides)
    assert len(rows_of(store, "overview")) == 1
    stored = b"".join(path.read_bytes() for path in store.roots[0].rglob("*") if path.is_file())
    assert b"jones" not in stored
    assert b"Aperio" not in stored
    with pytest.raises(ConfigError, match="may show a patient's name"):
        convert(slides, slides.folder.parent / "asked", associated="label,macro")
    asked = convert(slides, slides.folder.parent / "asked", associated="label,thumbnail", deidentify=False)
    kinds = {json.loads(row["attributes"]).get("associated") for row in rows_of(asked, "overview")}
    assert kinds == {None, "label", "thumbnail"}
    assert {row["source"] for row in rows_of(asked)} == {"patient-jones.svs"}


def test_a_slide_of_bare_glass_is_dropped_with_a_reason(slides, tmp_path, capsys):
    glass = np.clip(np.random.default_rng(0).normal(243, 2, (600, 600, 3)), 0, 255).astype(np.uint8)
    slides.pyramid("a.tif", [glass], mpp=0.5, photometric="rgb")
    slides.pyramid("b.tif", [tissue_picture()[400:500, 400:500]], mpp=0.5, photometric="rgb")
    store = convert(slides)
    assert sorted(row["reason"] for row in store.ledger().to_pylist()) == ["no-tissue", "smaller-than-a-patch"]
    assert "no-tissue: 1 slides" in capsys.readouterr().out
    assert len(rows_of(convert(slides, tmp_path / "all", min_tissue=0.0))) == 4, "as is said, every place"


@pytest.mark.parametrize("sampling", ["random", "annotations"])
def test_a_large_slide_of_which_no_place_is_wanted_is_not_called_small(slides, tmp_path, sampling):
    glass = np.clip(np.random.default_rng(0).normal(243, 2, (600, 600, 3)), 0, 255).astype(np.uint8)
    slides.pyramid("a.tif", [glass], mpp=0.5, photometric="rgb")
    empty = {"type": "FeatureCollection", "features": []}
    (tmp_path / "a.geojson").write_text(json.dumps(empty))
    store = convert(slides, sampling=sampling, annotations=tmp_path if sampling == "annotations" else None)
    assert [row["reason"] for row in store.ledger().to_pylist()] == ["no-tissue"]


def test_patches_under_ink_and_out_of_focus_can_be_left_out(slides):
    picture = tissue_picture().copy()
    picture[480:510, 250:1150] = (30, 50, 170)
    picture[600:800, 400:1000] = ndimage.gaussian_filter(picture, (6, 6, 0))[600:800, 400:1000]
    slides.pyramid("a.tif", [picture], mpp=0.5, photometric="rgb")
    options = {"patch_px": 200, "min_tissue": 0.2}
    everything = {tuple(row["level0_box"]) for row in rows_of(convert(slides, max_pen=1.0, **options))}
    clean = convert(slides, slides.folder.parent / "clean", max_pen=0.05, min_sharpness=8.0, **options)
    kept = {tuple(row["level0_box"]) for row in rows_of(clean)}
    inked = {(x, 400, x + 200, 600) for x in (400, 600, 800)}
    blurred = {(x, 600, x + 200, 800) for x in (400, 600, 800)}
    assert inked | blurred <= everything - kept
    assert (600, 200, 800, 400) in kept
    ledger = [row for row in clean.ledger().to_pylist() if row["reason"] == "out-of-focus"]
    assert [row["status"] for row in ledger] == ["dropped"] * 3
    assert all(row["uid"] for row in ledger)


def test_random_places_are_in_tissue_repeatable_and_as_many_as_asked_for(slides):
    slides.pyramid("a.tif", pyramid()[:1], mpp=0.5, photometric="rgb")
    options = {"sampling": "random", "patches_per_slide": 20, "min_tissue": 0.9, "patch_px": 96}
    first = {tuple(row["level0_box"][:2]) for row in rows_of(convert(slides, **options))}
    again = {tuple(r["level0_box"][:2]) for r in rows_of(convert(slides, slides.folder.parent / "again", **options))}
    other = {
        tuple(r["level0_box"][:2]) for r in rows_of(convert(slides, slides.folder.parent / "other", seed=1, **options))
    }
    assert len(first) == 20
    assert first == again
    assert not first & other
    disc = shapely.Point(CENTRE).buffer(RADIUS)
    assert all(disc.intersection(shapely.box(x, y, x + 96, y + 96)).area > 0.84 * 96**2 for x, y in first)


def test_overlap_moves_the_grid_by_less_than_a_patch(slides):
    slides.pyramid("a.tif", pyramid()[:1], mpp=0.5, photometric="rgb")
    rows = rows_of(convert(slides, patch_px=128, overlap=64, min_tissue=0.0, max_pen=1.0))
    assert {row["level0_box"][0] % 64 for row in rows} == {0}
    assert len(rows) == len(range(0, SIDE[1] - 127, 64)) * len(range(0, SIDE[0] - 127, 64))


def test_annotations_choose_places_and_become_regions(slides, tmp_path):
    slides.pyramid("a.tif", pyramid()[:1], mpp=0.5, photometric="rgb")
    shape = shapely.Polygon([(300, 300), (760, 320), (900, 700), (500, 800), (280, 560)])
    (tmp_path / "drawn").mkdir()
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(geometry),
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for geometry, name in ((shape, "Tumor"), (shapely.Point(1000, 500), "Mitosis"))
    ]
    (tmp_path / "drawn" / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    options = {"sampling": "annotations", "annotations": tmp_path / "drawn", "min_annotated": 0.6, "patch_px": 64}
    store = convert(slides, **options)
    rows = {tuple(row["level0_box"]): row for row in rows_of(store)}
    point = (1000 - 32, 500 - 32, 1000 + 32, 500 + 32)
    grid = [(x, y, x + 64, y + 64) for x in range(0, SIDE[1] - 63, 64) for y in range(0, SIDE[0] - 63, 64)]
    inside = {box for box in grid if shape.intersection(shapely.box(*box)).area >= 0.6 * 64**2}
    assert set(rows) == inside | {point}
    regions = store.table("regions").to_pylist()
    by_uid = {}
    for region in regions:
        by_uid.setdefault(region["uid"], []).append(region)
    centres = np.arange(64) + 0.5
    for box, row in rows.items():
        if box == point:
            assert [region["phrase"] for region in by_uid[row["uid"]]] == ["Mitosis"]
            continue
        [region] = by_uid[row["uid"]]
        x, y = np.meshgrid(box[0] + centres, box[1] + centres)
        decided = shapely.distance(shape.boundary, shapely.points(x, y)) > 1e-6  # no centre exactly on an edge
        expected = shapely.contains_xy(shape, x, y)
        np.testing.assert_array_equal(store.mask(region)[decided], expected[decided])
        assert region["phrase"] == "Tumor"


@pytest.mark.cases(1)
@pytest.mark.parametrize("mpp", [0.7, 2.0])
def test_drawn_regions_are_masks_at_the_patches_own_scale(slides, tmp_path, capsys, mpp):
    """A hole, parts that lie apart, a border with glass, and a region beside the slide."""
    slides.pyramid("a.tif", pyramid(), mpp=0.5, photometric="rgb")
    hole = shapely.Point(640, 520).buffer(90.3).exterior.coords[::-1]
    ring = shapely.Polygon(shapely.Point(640, 520).buffer(260.7).exterior, [hole])
    drawn = shapely.MultiPolygon([ring, shapely.Polygon([(930, 640), (1101.5, 610), (1040, 801.5)])])
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(shape),
            "properties": {"classification": {"name": name}},
        }
        for name, shape in (("Tumor", drawn), ("Elsewhere", shapely.box(5000, 5000, 5100, 5100)))
    ]
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    store = convert(slides, annotations=tmp_path / "drawn", mpp=mpp, patch_px=64)
    said = " ".join(capsys.readouterr().err.split())
    assert "annotation 2 ('Elsewhere') lies outside the slide of 1400 × 1100 pixels; it is left out" in said
    regions = {
        region["uid"]: region for region in store.table("regions").to_pylist() if region["source"] == "annotations"
    }
    assert {region["phrase"] for region in regions.values()} == {"Tumor"}
    area = 0
    for row in rows_of(store):
        x0, y0, x1, y1 = row["level0_box"]
        x, y = np.meshgrid(*(a + (np.arange(64) + 0.5) * (b - a) / 64 for a, b in ((x0, x1), (y0, y1))))
        expected = shapely.contains_xy(drawn, x, y)
        region = regions.get(row["uid"])
        mask = store.mask(region) if region else np.zeros((64, 64), bool)
        decided = shapely.distance(drawn.boundary, shapely.points(x, y)) > 1e-6
        np.testing.assert_array_equal(mask[decided], expected[decided])
        area += mask.sum() * (x1 - x0) * (y1 - y0) / 64**2
    covered = shapely.union_all([shapely.box(*row["level0_box"]) for row in rows_of(store)]).intersection(drawn).area
    assert area == pytest.approx(covered, rel=0.01)
    assert covered > 0.5 * drawn.area


def test_an_annotation_file_with_a_misspelt_name_is_named(slides, tmp_path, capsys):
    slides.pyramid("a.tif", pyramid()[:1], mpp=0.5, photometric="rgb")
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    (drawn / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    convert(slides, annotations=drawn)
    assert "annotations of no slide" not in capsys.readouterr().err
    for name in ("A1.geojson", "b.xml", "readme.txt"):
        (drawn / name).write_text("")
    convert(slides, annotations=drawn)
    assert "annotations of no slide here, and not read: 'A1.geojson' and 1 more" in " ".join(
        capsys.readouterr().err.split()
    )


def test_pictures_and_documents_beside_slides_are_counted_and_named(slides, capsys):
    slides.pyramid("a.tif", pyramid()[:1], mpp=0.5, photometric="rgb")
    convert(slides)
    assert "not read" not in capsys.readouterr().err
    for name in ("b/photo.JPG", "b/macro.png", "report.pdf", "cases.csv"):
        (slides.folder / name).parent.mkdir(exist_ok=True)
        (slides.folder / name).write_bytes(b"\xff\xd8\xff")
    convert(slides)
    said = " ".join(capsys.readouterr().err.split())
    assert f"2 files in '{slides.folder}' are of formats that are not read ('b/macro.png', 'b/photo.JPG'); 'vox" in said
    assert (
        f"1 file in '{slides.folder}' is of a format that is not read ('report.pdf'); give texts of reports as" in said
    )
    assert "cases.csv" not in said


def test_pictures_that_a_slide_is_made_of_are_not_named(tmp_path, capsys):
    _tell_unread(tmp_path, [tmp_path / "s" / "a.vms"], ["s/a(1,0).jpg", "t.jpg"])
    assert "1 file" in (said := capsys.readouterr().err)
    assert "('t.jpg')" in said


def test_annotations_that_belong_to_no_slide_are_refused(slides, tmp_path):
    slides.pyramid("a.tif", pyramid()[:1], mpp=0.5, photometric="rgb")
    with pytest.raises(ConfigError, match="needs --annotations"):
        convert(slides, sampling="annotations")
    (tmp_path / "drawn").mkdir()
    for sampling in ("annotations", "grid"):  # on a grid, too: they were given to become regions
        with pytest.raises(InputError, match="is named as a slide"):
            convert(slides, sampling=sampling, annotations=tmp_path / "drawn")


def test_reports_belong_to_the_study_and_cases_keep_slides_together(slides, tmp_path):
    for number in range(3):
        slides.pyramid(f"s{number}.tif", [tissue_picture(number)[300:900, 400:1000]], mpp=0.5, photometric="rgb")
    (slides.folder / "s2.tif").rename(slides.folder / "s2.ome.tif")  # the table has its name without either ending
    (tmp_path / "cases.csv").write_text("slide,subject,study\ns0.tif,P1,E1\ns1,P1,E1\n")
    (tmp_path / "reports.csv").write_text(
        'case,text\nP1,"P1 seen on 12/03/2020: carcinoma."\ns2,"No tumour."\nnobody,"Lost."\n'
    )
    store = convert(slides, cases=tmp_path / "cases.csv", reports=tmp_path / "reports.csv")
    rows = rows_of(store)
    assert len({row["subject"] for row in rows}) == 2
    assert len({(row["subject"], row["study"]) for row in rows}) == 2
    texts = {row["text"]: row["uid"] for row in store.table("captions").to_pylist()}
    assert set(texts) == {"P1 seen on ___: carcinoma.", "No tumour."}  # P1 is too short to be scrubbed
    assert {uid for uid in texts.values()} <= {row["uid"] for row in rows}
    assert [r["reason"] for r in store.ledger().to_pylist() if r["status"] == "dropped"] == ["no-study"]
    assert set(store.splits()) == {row["subject"] for row in rows}


def test_tcga_barcodes_name_the_case(slides):
    for name in ("TCGA-A1-A0SB-01Z-00-DX1.tif", "TCGA-A1-A0SB-01Z-00-DX2.tif", "other.tif"):
        slides.pyramid(name, [tissue_picture(len(name))[300:700, 500:900]], mpp=0.5, photometric="rgb")
    rows = rows_of(convert(slides, deidentify=False, study="case", patch_px=128))
    assert {(row["subject"], row["study"]) for row in rows} == {("TCGA-A1-A0SB", "TCGA-A1-A0SB"), ("other", "other")}


def test_copies_of_a_slide_are_stored_once(slides):
    path = slides.pyramid("a.tif", pyramid()[:1], mpp=0.5, photometric="rgb")
    (slides.folder / "b.tif").write_bytes(path.read_bytes())
    store = convert(slides)
    assert len({row["source"] for row in rows_of(store)}) == 1
    assert {row["reason"] for row in store.ledger().to_pylist()} == {None, "duplicate"}


@pytest.mark.cases(5)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mpp": 0.0}, "micrometres a pixel"),
        ({"mpp": float("nan")}, "micrometres a pixel"),
        ({"assume_mpp": 1e6}, "micrometres a pixel"),
        ({"patch_px": 2}, "between 8 and 8192"),
        ({"overlap": 256}, "less than --patch-px"),
        ({"min_tissue": 1.5}, "share of a patch"),
        ({"quality": 0}, "between 1 and 100"),
        ({"pass_through": True, "coords_only": True}, "choose one"),
        ({"tissue": "no.such.Detector"}, "there is no class"),
        ({"mpp_tolerance": 0.5}, "0 to 0.1"),
        ({"patches_per_slide": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(slides, options, message):
    slides.pyramid("a.tif", [tissue_picture()[:300, :300]], mpp=0.5, photometric="rgb")
    with pytest.raises(ConfigError, match=message):
        convert(slides, **options)


def _sharpness(picture):
    """Variance of the Laplacian of the luma."""
    luma = picture.astype(float) @ [0.299, 0.587, 0.114]
    return ndimage.laplace(luma)[1:-1, 1:-1].var()


def test_a_scale_within_the_tolerance_is_not_blurred(test_data, tmp_path, capsys):
    """The slide states 0.499 µm: openslide's own pixels are the truth, and each patch says what it is."""
    folder = test_data / "pathology" / "svs_cmu1_small_region"
    sharp = {}
    for name, extra in (("near", ["--workers", "2"]), ("exact", ["--mpp-tolerance", "0", "--engine", "inline"])):
        corpus = tmp_path / name
        command = ["convert", "wsi", str(folder), str(corpus), "--mpp", "0.5", "--codec", "png"]
        assert main([*command, *extra]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert ("1 slide has 0.499 to 0.499 µm a pixel for the 0.5 asked for" in said) == (name == "near")
        store = Corpus(corpus)
        rows = rows_of(store)
        wanted = 0.499 if name == "near" else 0.5
        assert all(row["mpp"] == pytest.approx([wanted, wanted], rel=1e-9) for row in rows)
        asked = {json.loads(row["attributes"]).get("mpp_asked") for row in rows}
        assert asked == ({0.5} if name == "near" else {None})
        sharp[name] = np.median([_sharpness(pixels_of(store, row)) for row in rows])
        if name == "near":
            with openslide.OpenSlide(str(folder / "CMU-1-Small-Region.svs")) as slide:
                corner = tuple(int(v) for v in rows[3]["level0_box"][:2])
                own = np.asarray(slide.read_region(corner, 0, (256, 256)).convert("RGB"))
            np.testing.assert_array_equal(pixels_of(store, rows[3]), own)
    assert sharp["exact"] < 0.7 * sharp["near"]  # what resampling by 0.2 % costs


@pytest.mark.cases(2)
@pytest.mark.parametrize(("stated", "scale"), [(0.5034, 0.5034), (0.492, 0.492), (0.48, 0.5), (0.515, 0.5)])
def test_the_tolerance_is_two_per_cent(slides, stated, scale):
    slides.svs("a.svs", pyramid(), tile=240, mpp=stated, objective=20)
    rows = rows_of(convert(slides, mpp=0.5, codec="png"))
    assert rows
    assert all(row["mpp"] == pytest.approx([scale, scale], rel=1e-9) for row in rows)


def test_a_folder_without_slides_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no whole-slide image"):
        convert_wsi(tmp_path / "empty", tmp_path / "corpus")


def test_the_real_slide_gives_exact_patches(test_data, tmp_path):
    folder = test_data / "pathology" / "svs_cmu1_small_region"
    convert_wsi(folder, tmp_path / "corpus", mpp="native", codec="png", engine="inline", workers=1)
    store = Corpus(tmp_path / "corpus")
    rows = rows_of(store)
    assert 30 <= len(rows) <= 50
    with openslide.OpenSlide(str(folder / "CMU-1-Small-Region.svs")) as slide:
        for row in rows:
            expected = np.asarray(slide.read_region(tuple(row["level0_box"][:2]), 0, (256, 256)).convert("RGB"))
            np.testing.assert_array_equal(pixels_of(store, row), expected)
