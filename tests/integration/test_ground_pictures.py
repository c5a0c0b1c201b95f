"""`voxtile ground` on plain pictures, and on rasters with a model of pictures: masks in pixels, or in the scene."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from rasterio.transform import Affine
from scipy import ndimage
from shapely import affinity
from shapely.geometry import Polygon, box, shape
from tests.core.evaluate.test_models_from_anywhere import _open_clip
from tests.integration.test_ground import Bright

from voxtile.cli.main import main
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError
from voxtile.inference import load
from voxtile.inference.similarity.model import SimilarityModel
from voxtile.models.flattening import Flattening
from voxtile.models.rgb_pictures import flattened

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


@pytest.fixture(autouse=True)
def any_name(monkeypatch):
    """Models of these tests are made where one would be loaded, and names of files that are not there pass."""
    monkeypatch.setattr("voxtile.inference.names.check_model_name", lambda spec: None)


def smooth(height, width, seed=0):
    """Coloured blobs of 8 bits."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    blurred = ndimage.gaussian_filter(noise, (4, 4, 0))
    low, high = blurred.min(), blurred.max()
    return ((blurred - low) / (high - low) * 255).astype(np.uint8)


GRID = Affine(10, 0, 500_480.0, 0, -10, 5_000_320.0)


def scene(path, pixels, *, bands=("red", "green", "blue"), transform=GRID, crs="EPSG:32631", **about):
    """A GeoTIFF of [Y, X, C] pixels, at 10 m on the fixed grid of tiles unless said, whose bands have names."""
    height, width, count = pixels.shape
    profile = {"driver": "GTiff", "count": count, "dtype": pixels.dtype, "height": height, "width": width}
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as file:
        file.write(np.moveaxis(pixels, -1, 0))
        for number, name in enumerate(bands, start=1):
            file.set_band_description(number, name)
    content = {"modality": "RGB", "datetime": "2024-06-01", "bands": [{"name": name} for name in bands], **about}
    path.with_suffix(".yaml").write_text(json.dumps(content | {"licence": "CC0-1.0"}))
    return path


@pytest.fixture(scope="module")
def open_clip_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open_clip") / "tiny"
    _open_clip(folder)
    return folder


def test_what_is_found_lies_in_a_new_folder_here_where_none_is_named(tmp_path, monkeypatch):
    preset = ImagePreset(size=(32, 32), modalities=("DX",), **PLAIN)
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(preset))
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((32, 32), np.uint8)
    pixels[8:20, 8:20] = 255
    Image.fromarray(pixels).save("a.png")
    assert main(["ground", "m.ckpt", "a.png", "bright"]) == 0
    assert (tmp_path / "found" / "a.geojson").is_file()


@pytest.mark.parametrize("name", ["wide.png", "grey.png", "deep.png", "wide.jpg"])
def test_a_picture_comes_back_in_its_own_pixels(tmp_path, monkeypatch, name):
    """The middle of a wide picture is what the model sees, at half its size."""
    preset = ImagePreset(size=(32, 32), resize="shortest", modalities=("DX",), **PLAIN)
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(preset))
    pixels = np.zeros((64, 96), np.uint8)
    pixels[16:40, 40:64] = 255
    deep = name == "deep.png"
    shown = pixels.astype(np.uint16) * 257 if deep else pixels
    Image.fromarray(shown if deep or name == "grey.png" else np.stack([pixels] * 3, -1)).save(
        tmp_path / name, quality=95
    )
    out = tmp_path / "found"
    assert main(["ground", "any", str(tmp_path / name), "bright box", "dragon", "--out", str(out)]) == 0
    content = json.loads((out / f"{name[:-4]}.geojson").read_text())
    assert [one["properties"]["classification"]["name"] for one in content["features"]] == ["bright box"]
    found = shape(content["features"][0]["geometry"])
    wanted = box(40, 16, 64, 40)
    assert found.intersection(wanted).area / found.union(wanted).area > 0.8
    (picture,) = out.glob("*.png")
    drawn = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    step = drawn.shape[0] // 64  # small pictures are shown larger
    assert drawn.shape[:2] == (64 * step, 96 * step)
    assert drawn[28 * step, 52 * step].min() > 150  # what was found is bright in the picture, too
    assert drawn[20 * step, 52 * step].min() > 150
    assert drawn[45 * step, 52 * step].max() < 50  # as below it
    assert drawn[60 * step, 5 * step].max() < 50


def test_a_radiograph_comes_back_in_its_own_pixels_too(tmp_path, monkeypatch, capsys):
    """A DICOM file of one plane has no slices that a segmentation could refer to."""
    preset = ImagePreset(size=(64, 96), resize="shortest", modalities=("DX",), **PLAIN)
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(preset))
    pixels = np.zeros((64, 96), np.uint16)
    pixels[16:40, 40:64] = 4095
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.PatientID, image.Modality, image.BodyPartExamined = "invented", "DX", "CHEST"
    image.BurnedInAnnotation, image.ViewPosition, image.ImagerPixelSpacing = "NO", "PA", [0.4, 0.4]
    image.set_pixel_data(pixels, "MONOCHROME2", 12)
    image.save_as(tmp_path / "chest.dcm", enforce_file_format=True)
    asked = ["ground", "any", str(tmp_path / "chest.dcm"), "bright box", "--out", str(tmp_path / "found")]
    assert main(asked) == 0
    [feature] = json.loads((tmp_path / "found" / "chest.geojson").read_text())["features"]
    found, wanted = shape(feature["geometry"]), box(40, 16, 64, 40)
    assert found.intersection(wanted).area / found.union(wanted).area > 0.8
    assert main([*asked, "--to", "dicom-seg"]) == 2
    assert "leave --to out" in " ".join(capsys.readouterr().err.split())


def test_a_raster_and_a_picture_of_the_same_pixels_are_answered_alike(tmp_path, open_clip_folder):
    """An open_clip model on a GeoTIFF says what it says on a PNG, at the scene's own place."""
    pixels = smooth(32, 32)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    raster = scene(tmp_path / "scene.tif", pixels)
    for image in ("plain.png", raster):
        line = ["ground", str(open_clip_folder), str(tmp_path / image), "a field", "water", "--presence", "0"]
        assert main([*line, "--method", "maskclip", "--out", str(tmp_path / "found")]) == 0
    plain = json.loads((tmp_path / "found" / "plain.geojson").read_text())["features"]
    in_pixels = {one["properties"]["classification"]["name"]: shape(one["geometry"]) for one in plain}
    frame = geopandas.read_file(tmp_path / "found" / "scene.gpkg").set_index("phrase")
    assert frame.crs.to_epsg() == 32631
    assert sorted(frame.index) == sorted(in_pixels) == ["a field", "water"]
    for phrase, own in in_pixels.items():
        placed = affinity.affine_transform(own, [10, 0, 0, -10, 500_480.0, 5_000_320.0])
        assert 0 < placed.area < 320 * 320
        assert frame.geometry[phrase].symmetric_difference(placed).area < 1e-6 * placed.area


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (Affine.translation(500_000, 5_000_000) @ Affine.rotation(25) @ Affine.scale(0.5, -0.5), "EPSG:32631"),
        (Affine(0.3, 0, 500_000.1, 0, -0.3, 5_000_000.7), "EPSG:32631"),
        (Affine(1 / 70_000, 0, 11.5, 0, -1 / 70_000, 48.1), "EPSG:4326"),
    ],
)
def test_an_object_on_several_tiles_is_one_wherever_their_edges_lie(tmp_path, monkeypatch, transform, crs):
    """Edges of turned scenes, and of pixels that are no binary fraction, have other last digits in each tile."""
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(ImagePreset(size=(32, 32), **PLAIN)))
    pixels = np.zeros((150, 220, 3), np.uint8)
    pixels[20:140, 10:180] = 255
    raster = scene(tmp_path / "scene.tif", pixels, transform=transform, crs=crs)
    line = ["ground", "any", str(raster), "field", "--out", str(tmp_path / "found")]
    corners = [transform @ corner for corner in ((10, 20), (180, 20), (180, 140), (10, 140))]
    for boxes in ("none", "upright"):
        assert main([*line, "--boxes", boxes]) == 0
        [found] = geopandas.read_file(tmp_path / "found" / "scene.gpkg").geometry
        wanted = Polygon(corners) if boxes == "none" else Polygon(corners).envelope
        assert found.geom_type == "Polygon"
        assert found.symmetric_difference(wanted).area < 1e-6 * wanted.area


def test_bands_are_chosen_and_reflectance_has_its_own_range(tmp_path, monkeypatch):
    """0.3 is white; the planted field is bright in near infrared alone."""
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(ImagePreset(size=(32, 32), **PLAIN)))
    stored = np.full((32, 32, 4), 200, np.uint16)
    stored[8:20, 4:24, 3] = 2900
    raster = scene(
        tmp_path / "scene.tif", stored, bands=("B04", "B03", "B02", "B08"), modality="MSI", scale=1e-4,
        unit="reflectance",
    )  # fmt: skip
    line = ["ground", "any", str(raster), "field", "--out", str(tmp_path / "found")]
    assert main([*line, "--bands", "B08,B04,B03"]) == 0
    frame = geopandas.read_file(tmp_path / "found" / "scene.gpkg")
    assert frame.total_bounds.tolist() == [500_520, 5_000_120, 500_720, 5_000_240]
    assert frame.area.sum() == pytest.approx(12 * 20 * 100)


def test_a_tiff_of_no_place_is_still_a_slide(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(ImagePreset(size=(32, 32), **PLAIN)))
    Image.fromarray(smooth(64, 64)).save(tmp_path / "plain.tif")
    assert main(["ground", "any", str(tmp_path / "plain.tif"), "x", "--out", str(tmp_path / "found")]) == 2
    assert "does not say how many micrometres" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "more", "said"),
    [
        (lambda f: f.write_bytes(b"\x89PNG\r\n\x1a\n broken"), [], "cannot be read"),
        (lambda f: Image.fromarray(smooth(40, 40)).save(f), ["--to", "nifti"], "leave --to and --boxes out"),
        (lambda f: Image.fromarray(smooth(40, 40)).save(f), ["--boxes", "upright"], "leave --to and --boxes out"),
        (lambda f: Image.fromarray(smooth(40, 40)).save(f), ["--bands", "red,green"], "must name three bands"),
        (lambda f: Image.fromarray(smooth(40, 40)).save(f), ["--bands", "B4,B3,B2"], "--bands goes with rasters"),
        (lambda f: f.mkdir(), [], "neither DICOM nor NIfTI"),
    ],
)  # fmt: skip
def test_wrong_pictures_are_one_sentence(tmp_path, monkeypatch, capsys, make, more, said):
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(ImagePreset(size=(32, 32), **PLAIN)))
    make(tmp_path / "a.png")
    assert main(["ground", "any", str(tmp_path / "a.png"), "x", "--out", str(tmp_path / "found"), *more]) == 2
    assert said in capsys.readouterr().err


def test_images_that_the_model_does_not_take_are_refused(tmp_path, monkeypatch, capsys):
    volume = VolumePreset(shape=(8, 8, 8), spacing=(2.0,) * 3, windows=((0.0, 1.0),), units=None)
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(volume))
    Image.fromarray(smooth(40, 40)).save(tmp_path / "a.png")
    assert main(["ground", "any", str(tmp_path / "a.png"), "x", "--out", str(tmp_path / "found")]) == 2
    assert "this model reads volumes" in capsys.readouterr().err
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(ImagePreset(size=(32, 32), **PLAIN)))
    radar = scene(tmp_path / "radar.tif", smooth(32, 32)[..., :2], bands=("VV", "VH"), modality="SAR")
    assert main(["ground", "any", str(radar), "x", "--out", str(tmp_path / "found")]) == 2
    said = capsys.readouterr().err
    assert "needs a band red" in said
    assert "--bands" in said


def test_similarity_of_tiles_is_that_of_the_pictures_they_become(open_clip_folder):
    """What tasks of similarity ask on multispectral corpora."""
    model = load.load_model(str(open_clip_folder))
    tiles = [{"kind": "tile", "axes": "CYX", "codec": "b2nd"}]
    of_bands = flattened(model, tiles, Flattening())
    images = torch.randn(2, 3, *model.preset.grid)
    for one, other in zip(
        SimilarityModel(of_bands, "maskclip").ground(images, ["a field"]),
        SimilarityModel(model, "maskclip").ground(images, ["a field"]),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    of_slices = flattened(model, [{"kind": "volume"}], Flattening())
    with pytest.raises(ConfigError, match="needs a model of volumes"):
        SimilarityModel(of_slices, "maskclip")
