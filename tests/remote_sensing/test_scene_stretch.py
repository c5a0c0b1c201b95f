"""Rasters whose unit has no scale of its own: black and white are of the scene, so that its tiles can be compared."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.view import compile_view
from voxtile.data import ImagePreset
from voxtile.formats.pictures.picture import limits_of
from voxtile.formats.png import render
from voxtile.models import BandsPreset, Flattening
from voxtile_remote_sensing.bands.pictures import band_pictures
from voxtile_remote_sensing.tiles import strips
from voxtile_remote_sensing.tiles.convert import convert_geotiff

RNG = np.random.default_rng(3)
BANDS = "bands: [{name: red, common_name: red}, {name: green, common_name: green}, {name: blue, common_name: blue}]\n"
EMPTY = 65535


def dim_and_bright(side=640):
    """[3, Y, X] of a 16-bit camera: dim in the west and bright in the east, with a corner that was not measured."""
    values = RNG.integers(200, 300, (3, side, side)) + np.linspace(0, 9000, side).astype(int)
    values[:, : side // 8, : side // 8] = EMPTY
    return values.astype(np.uint16)


@pytest.fixture(scope="module")
def converted(tmp_path_factory, make_raster):
    folder, root = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("out") / "c"
    values = dim_and_bright()
    make_raster(folder / "a.tif", values, nodata=EMPTY, tiled=True, blockxsize=64, blockysize=64)
    (folder / "bands.yaml").write_text(BANDS)
    whole, strips.STRIP_BYTES = strips.STRIP_BYTES, 1 << 20
    try:
        convert_geotiff(folder, root, size="160px", min_valid=0.0, split_by="none", workers=1, engine="inline")
    finally:
        strips.STRIP_BYTES = whole
    return values, Corpus(root)


def rows_from_west(corpus):
    return sorted(corpus.table("samples").to_pylist(), key=lambda row: (row["bounds"][0], row["bounds"][1]))


def test_one_stretch_is_noted_for_all_strips_of_a_scene(converted):
    values, corpus = converted
    rows = rows_from_west(corpus)
    noted = {json.dumps(json.loads(row["attributes"])["stretch"]) for row in rows}
    assert corpus.ledger().num_rows > 1
    (stretch,) = [json.loads(text) for text in noted]
    for ends, plane in zip(stretch, values, strict=True):
        assert ends == pytest.approx(np.percentile(plane[plane != EMPTY], [2, 98]), abs=300)  # of 9,000


def test_previews_and_pictures_of_a_scene_are_bright_where_it_is(converted):
    _, corpus = converted
    west, east = rows_from_west(corpus)[1], rows_from_west(corpus)[-1]
    for brightness in (
        [np.asarray(Image.open(io.BytesIO(corpus.source(row).preview()))).mean() for row in (west, east)],
        [render(corpus.source(row)).mean() for row in (west, east)],
    ):
        assert brightness[0] < 70 < 190 < brightness[1]
    colours = band_pictures(west)[0]
    assert colours.name == "natural colours"
    assert list(limits_of(corpus.source(west), colours)) == list(limits_of(corpus.source(east), band_pictures(east)[0]))


def test_a_model_of_pictures_sees_tiles_of_one_scene_alike(converted):
    _, corpus = converted
    preset = BandsPreset(
        ImagePreset(size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3), Flattening(bands=("red", "green", "blue"))
    )
    view = compile_view(corpus)
    sources = [view.source(view.entry(index)) for index in range(len(view))]
    means = sorted((source.array().mean(), float(preset(source, None).mean())) for source in sources)
    assert means[0][1] < 0.3 < 0.7 < max(shown for stored, shown in means if stored < 0.9 * EMPTY)
    empty = [source for source in sources if (source.array() == EMPTY).mean() > 0.2]
    assert empty
    for source in empty:
        shown = preset(source, None).numpy()
        assert (shown == 0).mean() > 0.2


def test_of_very_many_bands_those_of_pictures_are_noted(tmp_path, make_raster):
    """A row of each tile has the numbers: 242 bands of EnMAP's radiance would be four kilobytes."""
    values = RNG.integers(1, 999, (40, 30, 30)).astype(np.int16)
    make_raster(tmp_path / "in/cube.img", values, driver="ENVI")
    header = (tmp_path / "in/cube.hdr").read_text()
    lengths = ", ".join(str(400 + 40 * n) for n in range(40))
    more = f"wavelength = {{{lengths}}}\nwavelength units = nm\n"
    (tmp_path / "in/cube.hdr").write_text(header[: header.index("band names")] + more)
    convert_geotiff(tmp_path / "in", tmp_path / "c", size="30px", split_by="none", workers=1, engine="inline")
    (row,) = Corpus(tmp_path / "c").table("samples").to_pylist()
    noted = json.loads(row["attributes"])["stretch"]
    shown = {channel for picture in band_pictures(row)[:4] for channel in picture.channels}
    assert {n for n, ends in enumerate(noted) if ends} == shown | {0}
    assert len(band_pictures(row)[0].limits) == 3
