"""`voxtile ground`: what is found lies where the image has it, in the files that other programs open."""

import json
import re
import uuid

import geopandas
import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import rasterio
import shapely
import tifffile
import torch
from PIL import Image
from rasterio.transform import Affine

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.study import StudyPreset
from voxtile.data.presets.tile import TilePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.inference import load
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower
from voxtile.stages.ground.studies import ground_studies
from voxtile.types import Encoded


@pytest.fixture(autouse=True)
def any_name(monkeypatch):
    """Models of these tests are made where one would be loaded, and names of files that are not there pass."""
    monkeypatch.setattr("voxtile.inference.names.check_model_name", lambda spec: None)


class Bright:
    """Shows what is brighter than half of the window, and nothing that is called a dragon."""

    name, logit_scale, fact_names, grounds = "bright", 1.0, (), True

    def __init__(self, preset):
        self.preset = preset

    def ground(self, images, phrases):
        shown = (images[:, :1] > 0.5).float().expand(-1, len(phrases), *[-1] * (images.ndim - 2))
        there = torch.tensor([[0.0 if "dragon" in phrase else 1.0 for phrase in phrases]] * len(images))
        return shown, there


@pytest.fixture
def model(monkeypatch):
    def use(preset):
        monkeypatch.setattr(load, "load_model", lambda spec, *_: Bright(preset))

    return use


VOLUME = VolumePreset(shape=(24, 24, 24), spacing=(2.0, 2.0, 2.0), windows=((0.0, 1000.0),), units=None)


def test_nifti_comes_back_on_its_own_grid(tmp_path, model):
    """Axes that run leftwards, backwards and in another order than ours, with a tilted plane."""
    model(VOLUME)
    values = np.zeros((30, 26, 34), np.int16)
    values[5:15, 8:18, 20:30] = 1000
    affine = np.array([[0, -1.0, 0.1, 40], [-2.0, 0, 0, 30], [0, 0.1, 1.5, -20], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "head.nii.gz")
    out = tmp_path / "found"
    assert main(["ground", "any", str(tmp_path / "head.nii.gz"), "bright box", "dragon", "--out", str(out)]) == 0
    [path] = out.glob("*.nii.gz")
    found = nibabel.load(path)
    np.testing.assert_allclose(found.affine, affine)
    assert found.shape == (30, 26, 34, 2)
    mask = found.get_fdata()[..., 0] > 0
    wrong = mask != (values > 500)
    assert wrong.sum() < 0.25 * (values > 500).sum()
    eroded, dilated = np.zeros_like(mask), np.zeros_like(mask)
    eroded[6:14, 9:17, 21:29] = dilated[4:16, 7:19, 19:31] = True
    assert mask[eroded].all(), "no more than one voxel is missing"
    assert not mask[~dilated].any(), "and none lies more than one voxel outside"
    assert not found.get_fdata()[..., 1].any()
    [names] = out.glob("*.json")
    assert [p["name"] for p in json.loads(names.read_text())["phrases"]] == ["bright box", "dragon"]
    [picture] = out.glob("*.png")
    assert (np.asarray(Image.open(picture)) == (42, 120, 214)).all(2).any(), "drawn in a plane where it is"


@pytest.mark.parametrize("form", ["geojson", "geopackage"])
def test_a_volume_has_no_outlines_in_a_plane(tmp_path, model, capsys, form):
    model(VOLUME)
    nibabel.save(nibabel.Nifti1Image(np.full((24, 24, 24), 900, np.int16), np.eye(4)), tmp_path / "head.nii.gz")
    asked = ["ground", "any", str(tmp_path / "head.nii.gz"), "box", "--out", str(tmp_path / "out"), "--to", form]
    assert main(asked) == 2
    assert "a volume has no outlines" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [0, 1])
def test_dicom_comes_back_as_a_segmentation_of_its_own_slices(tmp_path, model, number):
    """One of the two studies is an enhanced multi-frame file, the other has a file a slice."""
    model(VolumePreset(shape=(40, 40, 56), spacing=(9.0, 8.5, 7.5), windows=((200.0, 600.0),)))
    assert main(["phantom", "ct", str(tmp_path / "ct"), "--n", "2", "--seed", "4"]) == 0
    [series] = (tmp_path / "ct" / "dicom").glob(f"*{number}")
    out = tmp_path / "found"
    assert main(["ground", "any", str(series), "bone", "--out", str(out)]) == 0
    [path] = out.glob("*.seg.dcm")
    segmentation = highdicom.seg.segread(path)
    [segment] = segmentation.SegmentSequence
    assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == ("AUTOMATIC", "bright")
    originals = [pydicom.dcmread(p) for p in sorted(series.rglob("*.dcm"))]
    assert {uid for _, _, uid in segmentation.get_source_image_uids()} <= {o.SOPInstanceUID for o in originals}
    mask = segmentation.get_volume(combine_segments=True)
    if len(originals) > 1:
        pixels = highdicom.get_volume_from_series(originals)
    else:
        pixels = highdicom.Image.from_dataset(originals[0]).get_volume()
    matched = pixels.match_geometry(mask).array
    assert (mask.array > 0).any()
    assert matched[mask.array > 0].mean() > matched[mask.array == 0].mean() + 300


def test_a_model_of_ct_reads_nifti_that_does_not_say_what_it_is(tmp_path, model, capsys):
    values = np.full((30, 26, 34), -50, np.int16)
    values[5:15, 8:18, 20:30] = 400 + np.arange(1000).reshape(10, 10, 10) % 97
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "scan.nii.gz")
    shape = {"shape": (24, 24, 24), "spacing": (2.0, 2.0, 2.0), "windows": ((0.0, 300.0),)}

    def said(out, *extra):
        status = main(
            ["ground", "any", str(tmp_path / "scan.nii.gz"), "bright box", "--out", str(tmp_path / out), *extra]
        )
        return status, capsys.readouterr().err

    model(VolumePreset(**shape, units="HU", modalities=("CT",)))
    assert said("one") == (0, "")
    [path] = (tmp_path / "one").glob("*.nii.gz")
    shown = nibabel.load(path).get_fdata() > 0
    assert (shown.reshape(values.shape) & (values > 300)).sum() > 0.8 * (values > 300).sum()
    model(VolumePreset(**shape, units="HU", modalities=("CT", "PT")))
    status, error = said("none")
    assert status == 2
    assert "does not say its modality; give --modality, one of CT, PT" in error
    assert said("two", "--modality", "CT") == (0, "")
    model(VolumePreset(**shape, units=None, modalities=("MR",)))
    assert said("mr")[0] == 0, "taken for what the model reads"
    (tmp_path / "scan.tif").write_bytes(b"")
    assert (
        main(["ground", "any", str(tmp_path / "scan.tif"), "x", "--out", str(tmp_path / "t"), "--modality", "CT"]) == 2
    )
    assert "--modality goes with NIfTI files" in capsys.readouterr().err


def write_scene(folder, values):
    """One band [1, Y, X] of 10 m, on the fixed grid of tiles, so that answers are exact."""
    height, width = values.shape[1:]
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": height, "width": width, "crs": "EPSG:32631"}
    transform = Affine(10, 0, 500_480.0, 0, -10, 5_000_320.0)
    with rasterio.open(folder / "scene.tif", "w", transform=transform, **profile) as file:
        file.write(values)
        file.set_band_description(1, "B04")
    about = {"modality": "MSI", "datetime": "2024-06-01", "bands": [{"name": "B04"}], "licence": "CC0-1.0"}
    (folder / "scene.yaml").write_text(json.dumps(about))


def test_a_raster_comes_back_in_its_crs(tmp_path, model):
    model(TilePreset(bands=("B04",), size=(64, 64), std=(1000.0,)))
    values = np.zeros((1, 128, 192), np.uint16)
    values[0, 40:90, 50:140] = 1000  # over several tiles
    write_scene(tmp_path, values)
    out = tmp_path / "found"
    assert main(["ground", "any", str(tmp_path / "scene.tif"), "field", "--out", str(out)]) == 0
    frame = geopandas.read_file(out / "scene.gpkg")
    assert frame.crs.to_epsg() == 32631
    assert frame["phrase"].tolist() == ["field"]
    assert frame.area.sum() == pytest.approx(50 * 90 * 100)
    assert frame.total_bounds.tolist() == [500_980, 4_999_420, 501_880, 4_999_920]


class Everywhere(Bright):
    """Shows every phrase in every pixel that it sees."""

    def ground(self, images, phrases):
        return torch.ones(len(images), len(phrases), *images.shape[2:]), torch.ones(len(images), len(phrases))


@pytest.mark.parametrize("boxes", ["none", "upright"])
def test_nothing_is_found_beyond_a_scene_or_where_nothing_was_measured(tmp_path, monkeypatch, boxes):
    """A scene of 300 m that no grid of tiles fits, with 60 m of it not measured; the truth is the file's own extent."""
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Everywhere(TilePreset(bands=("B04",), size=(64, 64))))
    values = np.full((1, 30, 30), 700, np.uint16)
    values[0, :, :6] = 0
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": 30, "width": 30, "crs": "EPSG:32631"}
    transform = Affine(10, 0, 500_130.0, 0, -10, 5_000_210.0)
    with rasterio.open(tmp_path / "scene.tif", "w", transform=transform, nodata=0, **profile) as file:
        file.write(values)
        file.set_band_description(1, "B04")
    out = tmp_path / "found"
    command = ["ground", "any", str(tmp_path / "scene.tif"), "land", "--out", str(out), "--boxes", boxes]
    assert main(command) == 0
    frame = geopandas.read_file(out / "scene.gpkg")
    assert frame.total_bounds.tolist() == [500_190, 4_999_910, 500_430, 5_000_210]
    assert frame.union_all().area == pytest.approx(240 * 300)


class Mean(ImageTower):
    """How bright the volume is on the whole: bright places are what its similarity to any phrase comes from."""

    width, channels, dimensions = 2, 1, 3

    def __init__(self):
        super().__init__()
        self.seen = torch.nn.Identity()

    def forward(self, images, tokens=False):
        x = self.seen(images).flatten(2).mean(2)
        return Encoded(torch.cat([x, torch.ones_like(x)], 1))


class OneWord(TextTower):
    width = 2

    class tokenizer:
        ready = True

        @staticmethod
        def encode(texts):
            return torch.ones(len(texts), 1, dtype=torch.int64), sum(len(text.split()) > 3 for text in texts)

    def forward(self, tokens):
        return Encoded(torch.tensor([[1.0, 0.0]]).expand(len(tokens), -1))


def test_a_model_without_a_decoder_shows_by_similarity(tmp_path, monkeypatch, capsys):
    """The volume is larger than the model's grid: maps of several windows are scaled together."""
    encoder = DualEncoder(image=Mean(), text=OneWord(), embed_dim=2, project=False)
    plain = load.EncoderModel("plain", encoder, VOLUME)
    monkeypatch.setattr(load, "load_model", lambda spec, *_: plain)
    values = np.zeros((60, 30, 34), np.int16)
    values[40:52, 8:18, 10:22] = 1000
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 2.0, 1.5, 1.0])), tmp_path / "head.nii.gz")
    arguments = ["ground", "any", str(tmp_path / "head.nii.gz")]
    assert main([*arguments, "bright box", "--out", str(tmp_path / "found"), "--method", "gradcam"]) == 0
    [path] = (tmp_path / "found").glob("*.nii.gz")
    mask = nibabel.load(path).get_fdata()[..., 0] > 0
    inner, outer = np.zeros_like(mask), np.zeros_like(mask)
    inner[42:50, 9:17, 11:21] = outer[38:54, 7:19, 8:24] = True
    assert mask[inner].all()
    assert not mask[~outer].any()
    for extra, message in (
        (["box", "--method", "decoder"], "has no decoder"),
        (["box", "--method", "maskclip"], "can be shown with gradcam"),
        (["  "], "is empty; name what to look for"),
        (["a box in the scan"], "more words than the model reads"),
    ):
        assert main([*arguments, *extra, "--out", str(tmp_path / "none")]) == 2
        assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_model_of_other_images_is_refused_by_its_preset(tmp_path, model, capsys):
    model(TilePreset(bands=("B04",), size=(64, 64)))
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), np.int16), np.eye(4)), tmp_path / "head.nii.gz")
    assert main(["ground", "any", str(tmp_path / "head.nii.gz"), "box", "--out", str(tmp_path / "out")]) == 2
    assert "volume" in capsys.readouterr().err
    model(VolumePreset(shape=(8, 8, 8), units="HU"))
    assert main(["ground", "any", str(tmp_path / "head.nii.gz"), "box", "--out", str(tmp_path / "out")]) == 2
    assert "HU" in capsys.readouterr().err


def test_boxes_of_a_raster_are_turned_as_what_they_hold(tmp_path, model):
    """A field of 120 by 40 pixels at 30 degrees over several tiles of 10 m."""
    model(TilePreset(bands=("B04",), size=(64, 64), std=(1000.0,)))
    y, x = np.mgrid[:192, :192] + 0.5
    turn = np.radians(30)
    along, across = (
        (x - 96) * np.cos(turn) - (y - 90) * np.sin(turn),
        (x - 96) * np.sin(turn) + (y - 90) * np.cos(turn),
    )
    values = 1000 * ((np.abs(along) < 60) & (np.abs(across) < 20)).astype(np.uint16)[None]
    write_scene(tmp_path, values)
    corners = np.array([[-60, -20], [60, -20], [60, 20], [-60, 20]]) @ [
        [np.cos(turn), -np.sin(turn)],
        [np.sin(turn), np.cos(turn)],
    ]
    truth = shapely.Polygon(np.add(corners, [96, 90]) * [10, -10] + [500_480.0, 5_000_320.0])
    found = {}
    for boxes in ("rotated", "upright"):
        out = tmp_path / boxes
        command = ["ground", "any", str(tmp_path / "scene.tif"), "field", "--out", str(out), "--boxes", boxes]
        assert main(command) == 0
        [row] = geopandas.read_file(out / "scene.gpkg").itertuples()
        found[boxes] = row
    assert found["rotated"].angle == pytest.approx(30, abs=1)
    assert shapely.hausdorff_distance(found["rotated"].geometry, truth) < 15, "a corner; its edges are off by less"
    assert found["rotated"].geometry.symmetric_difference(truth).area < 10 * truth.length, "less than a pixel all round"
    np.testing.assert_allclose(found["upright"].geometry.bounds, truth.bounds, atol=10)
    assert found["upright"].angle == 0


def test_a_slide_comes_back_in_its_own_pixels(tmp_path, model, capsys):
    """A dark box in pink tissue over many patches, where the first level's pixels are the model's."""
    model(ImagePreset(size=(64, 64), mean=(0.0,) * 3, std=(1.0,) * 3, modalities=("SM",)))
    picture = np.full((1024, 1280, 3), 245, np.uint8)
    picture[128:896, 128:1152] = (225, 150, 190)
    picture[333:601, 421:842] = (90, 40, 120)
    about = "Aperio Image Library v12\r\n1280x1024 (128x128) |AppMag = 20|MPP = 0.5000"
    slide = tmp_path / "case.svs"
    layout = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate", "description": about}
    tifffile.imwrite(slide, picture, **layout)
    assert main(["ground", "any", str(slide), "tissue", "--out", str(tmp_path / "no-scale")]) == 2
    assert "--assume-mpp" in capsys.readouterr().err.replace("\n", " ")
    tifffile.imwrite(slide, picture, resolution=(2e4, 2e4), resolutionunit="CENTIMETER", **layout)
    out = tmp_path / "found"
    command = ["ground", "any", str(slide), "bright tissue", "dragon", "--out", str(out), "--patch-px", "64"]
    assert main(command) == 0
    content = json.loads((out / "case.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    [feature] = content["features"]
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["classification"]["name"] == "bright tissue"
    assert len(feature["properties"]["classification"]["color"]) == 3
    uuid.UUID(feature["id"])
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid
    # What is brighter than half: patches of tissue, less the dark box, a hole that lies where it was drawn.
    [hole] = shape.interiors
    np.testing.assert_allclose(hole.bounds, (421, 333, 842, 601), atol=1)
    assert shapely.box(128, 128, 1152, 896).difference(shapely.box(421, 333, 842, 601)).difference(shape).area < 4000
    measured = feature["properties"]["measurements"]
    assert measured["Area µm^2"] == pytest.approx(shape.area * 0.25, rel=1e-3)
    assert measured["Probability: mean"] == pytest.approx(1)
    overlay = np.asarray(Image.open(out / "case.png"))
    step = 1280 / overlay.shape[1]
    inside, outside = (overlay[int(y / step), int(x / step)].astype(int) for y, x in ((200, 200), (450, 600)))
    assert inside[0] > inside[2] + 20, "orange over pink"
    assert outside[2] > outside[1], "the box keeps its own colour"


def test_ink_on_a_slide_is_said_since_nothing_is_looked_for_there(tmp_path, model, capsys):
    model(ImagePreset(size=(64, 64), mean=(0.0,) * 3, std=(1.0,) * 3, modalities=("SM",)))
    picture = np.full((512, 512, 3), 245, np.uint8)
    picture[64:448, 64:448] = (225, 150, 190)
    picture[128:320, 128:192] = (20, 40, 200)  # a marker's blue, over three patches
    scale = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", picture, tile=(128, 128), photometric="rgb", **scale)
    command = ["ground", "any", str(tmp_path / "a.tif"), "bright tissue", "--out", str(tmp_path / "out")]
    assert main([*command, "--patch-px", "64", "--mpp", "0.5"]) == 0
    assert re.search(r"a\.tif: ink covers \d+ patches of it, where nothing was looked for", capsys.readouterr().err)


def test_wrong_inputs_are_one_sentence(tmp_path, model, capsys):
    model(VOLUME)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "head.nii").write_bytes(b"")
    out = str(tmp_path / "out")
    for arguments, message in (
        ([str(tmp_path / "nothing"), "box"], "does not exist"),
        ([str(tmp_path / "notes.txt"), "box"], "neither DICOM nor NIfTI"),
        ([str(tmp_path / "head.nii")], "no phrase was given"),
        ([str(tmp_path / "head.nii"), "box", "  "], "a phrase is empty"),
        ([str(tmp_path / "head.nii"), "box", "--boxes", "rotated"], "goes with rasters"),
        ([str(tmp_path / "head.nii"), "box", "--threshold", "2"], "between 0 and 1"),
        ([str(tmp_path / "head.nii"), "box", "--presence", "1"], "--presence must be at least 0 and below 1, not 1.0"),
        ([str(tmp_path / "head.nii"), "box", "--overlap", "1"], "below 1"),
    ):
        assert main(["ground", "any", *arguments, "--out", out]) == 2
        assert message in capsys.readouterr().err.replace("\n", " ")


class Avid(Bright):
    """Shows where the last channel, PET, is high."""

    def ground(self, images, phrases):
        return super().ground(images[:, -1:], phrases)


def test_a_whole_study_comes_back_on_the_series_that_is_asked_for(tmp_path, monkeypatch, capsys):
    """CT and PET have grids of their own, and the answer lies in the PET where the phantom's outlines are."""
    roles = {"ct": {"units": "HU", "windows": [[-1050, 180]]}, "pt": {"units": "SUVbw", "windows": [[0, 12]]}}
    preset = StudyPreset(roles=roles, shape=(60, 60, 80), spacing=(5.0, 5.0, 5.0))
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Avid(preset))
    assert main(["phantom", "petct", str(tmp_path / "petct"), "--n", "1", "--seed", "1002"]) == 0
    [study] = (tmp_path / "petct" / "dicom").iterdir()
    series = {}
    for path in sorted(study.rglob("*.dcm")):
        header = pydicom.dcmread(path)
        series.setdefault(header.Modality, []).append(header)
    for role, modality in (("pt", "PT"), ("ct", "CT")):
        out = tmp_path / role
        arguments = ["ground", "any", str(study), "uptake", "--out", str(out), "--on", role, "--threshold", "0.6"]
        assert main(arguments) == 0
        [path] = out.glob("*.seg.dcm")
        segmentation = highdicom.seg.segread(path)
        referred = {uid for _, _, uid in segmentation.get_source_image_uids()}
        assert referred <= {header.SOPInstanceUID for header in series[modality]}
        mask = segmentation.get_volume(combine_segments=True)
        if role == "pt":
            uptake = highdicom.get_volume_from_series(series["PT"]).match_geometry(mask).array
            assert uptake[mask.array > 0].mean() > 5 * uptake[mask.array == 0].mean()
    _places_agree(preset, study, tmp_path / "corpus")
    capsys.readouterr()
    assert main(["ground", "any", str(study), "uptake", "--out", str(tmp_path / "no"), "--on", "mr"]) == 2
    assert "it reads ct, pt" in capsys.readouterr().err


def _places_agree(preset, study, corpus):
    """Answers that are coordinates in mm come back as the coordinates of each series' own voxels."""
    assert main(["convert", "dicom", str(study), str(corpus), "--deidentify", "false", "--engine", "inline"]) == 0
    opened = Corpus(corpus)
    reference = next(row for row in opened.table("samples").to_pylist() if row["modality"] == "CT")
    affine = np.array(reference["affine"]).reshape(4, 4)
    centre = affine @ [*((np.array(reference["shape"][::-1]) - 1) / 2), 1]
    steps = [(torch.arange(n) - (n - 1) / 2) * 5.0 + c for n, c in zip((60, 60, 80), centre[2::-1], strict=True)]
    coordinates = torch.stack(torch.meshgrid(*steps, indexing="ij")).float()  # mm (z, y, x)
    for role in ("ct", "pt"):
        [(sample, answer, _)] = ground_studies(lambda _: (coordinates[None], torch.ones(1, 3)), preset, opened, on=role)
        own = np.array(sample.meta["affine"]).reshape(4, 4)
        place = np.array(sample.meta["shape"]) // 2
        wanted = (own @ [*place[::-1], 1])[2::-1]
        np.testing.assert_allclose(answer[(slice(None), *place)], wanted, atol=0.02)
