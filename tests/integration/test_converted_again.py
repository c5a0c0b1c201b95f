"""A conversion run again with more than it knew: the corpus becomes what it had been if all had been known at once."""

import csv
import json
import shutil

import nibabel
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.engine.inline import InlineEngine
from voxtile.engine.run import RunOptions
from voxtile.stages.verify.corpus import verify

TABLES = ("samples", "captions", "facts", "regions", "scopes", "scores", "splits")
PLACES = ("shard", "offset", "mask_shard", "mask_offset")  # where bytes lie depends on the run that wrote them


def run(*words):
    assert main([str(word) for word in words]) == 0


def states(corpus):
    """What the tables say, each row as text, and the pixels of every mask."""
    store = Corpus(corpus)
    rows = {
        name: sorted(
            json.dumps({key: value for key, value in row.items() if key not in PLACES}, default=repr)
            for row in store.table(name).to_pylist()
        )
        for name in TABLES
    }
    masked = [region for region in store.table("regions").to_pylist() if region["mask_shard"]]
    return rows, {region["region_id"]: store.mask(region).tobytes() for region in masked}


def files(corpus):
    """The bytes of what a run commits."""
    folders = ("shards", "tables", "ledger", "done")
    return {path.relative_to(corpus): path.read_bytes() for name in folders for path in (corpus / name).rglob("*.*")}


def later_and_at_once(tmp_path, capsys, kind, source, first, then, workers=("--engine", "inline")):
    """The corpora of a conversion in two runs and in one, with one key of identifiers; what the second run said."""
    later, once, key = tmp_path / "later", tmp_path / "once", ("--key-file", tmp_path / "key.parquet")
    run("convert", kind, source, later, *workers, *key, *first)
    before = states(later)
    capsys.readouterr()
    run("convert", kind, source, later, *workers, *key, *first, *then)
    said = capsys.readouterr().out
    run("convert", kind, source, once, *workers, *key, *first, *then)
    assert not verify(later).problems
    assert before[0]["samples"] == states(later)[0]["samples"]
    return states(later), states(once), before, said


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("he") / "he"
    run("phantom", "he", folder, "--n", "1")
    return folder


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{number}.png")
    shutil.copyfile(folder / "0.png", folder / "copy.png")
    names = ["0.png", "1.png", "2.png", "copy.png"]
    (tmp_path / "labels.csv").write_text(
        "file,label\n" + "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names))
    )
    (tmp_path / "texts.csv").write_text(
        "file,text\n" + "".join(f"{name},A picture of thing {name[0]}\n" for name in names)
    )
    return folder


@pytest.mark.sweep(ci=True)
def test_outlines_that_are_drawn_later_become_regions_of_the_patches_that_are_there(slide, tmp_path, capsys):
    drawn = ("--annotations", slide / "annotations")
    later, once, before, said = later_and_at_once(
        tmp_path, capsys, "wsi", slide / "slides", ("--mpp", "2"), drawn, ("--workers", "2")
    )
    assert later == once
    new = [json.loads(row)["source"] for row in set(later[0]["regions"]) - set(before[0]["regions"])]
    assert set(new) == {"annotations"}
    assert "added: samples of an earlier run got what is new about them" in said
    manifests = len(list((tmp_path / "later" / "manifests").iterdir()))
    run(
        "convert",
        "wsi",
        slide / "slides",
        tmp_path / "later",
        "--mpp",
        "2",
        *drawn,
        "--key-file",
        tmp_path / "key.parquet",
    )
    assert states(tmp_path / "later") == later
    assert len(list((tmp_path / "later" / "manifests").iterdir())) == manifests  # a third time there is nothing to do


def test_outlines_that_were_changed_double_nothing_and_the_run_says_so(slide, tmp_path, capsys):
    [path] = (slide / "annotations").glob("*.geojson")
    drawn = json.loads(path.read_text())
    for feature in drawn["features"]:
        feature["properties"]["classification"]["name"] = "elsewhere"
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / path.name).write_text(json.dumps(drawn))
    words = (
        "convert",
        "wsi",
        slide / "slides",
        tmp_path / "corpus",
        "--mpp",
        "2",
        "--engine",
        "inline",
        "--annotations",
    )
    run(*words, slide / "annotations")
    before = states(tmp_path / "corpus")
    capsys.readouterr()
    run(*words, tmp_path / "new")
    assert states(tmp_path / "corpus") == before
    assert "stored-otherwise: an earlier run stored other outlines" in capsys.readouterr().out


def test_reports_that_arrive_later_become_captions_of_their_dicom_studies(tmp_path, capsys):
    run("phantom", "ct", tmp_path / "ct", "--n", "2")
    reports = tmp_path / "ct" / "reports.csv"
    source = tmp_path / "ct" / "dicom"
    later, once, before, _ = later_and_at_once(tmp_path, capsys, "dicom", source, (), ("--reports", reports))
    assert later == once
    assert (len(before[0]["captions"]), len(later[0]["captions"])) == (0, 2)
    rows = list(csv.DictReader(reports.open()))
    amended = tmp_path / "amended.csv"
    with amended.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows([{**rows[0], "text": "The lungs are clear."}, rows[1]])
    words = ("convert", "dicom", source, tmp_path / "later", "--engine", "inline")
    words = (*words, "--key-file", tmp_path / "key.parquet")
    run(*words, "--reports", amended)
    assert states(tmp_path / "later") == later
    assert "stored-otherwise" in capsys.readouterr().out
    run(*words, "--reports", reports, "--licence", "CC0-1.0")
    assert states(tmp_path / "later") == later
    assert "converted-before: an earlier run stored these samples under other options" in capsys.readouterr().out


def test_reports_and_label_maps_that_arrive_later_reach_their_nifti_volume(tmp_path, capsys):
    folder, report = tmp_path / "volumes", tmp_path / "reports.csv"
    folder.mkdir()
    voxels = np.random.default_rng(0).integers(-1000, 400, (12, 12, 12)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([3.0, 3, 3, 1])), folder / "case.nii.gz")
    report.write_text("study,text\ncase,The liver is enlarged.\n")
    words, then = ("--modality", "CT"), ("--reports", report)
    later, once, before, _ = later_and_at_once(tmp_path, capsys, "nifti", folder, words, then)
    assert later == once
    assert (len(before[0]["captions"]), len(later[0]["captions"])) == (0, 1)
    nibabel.save(
        nibabel.Nifti1Image((voxels > 0).astype(np.uint8), np.diag([3.0, 3, 3, 1])), folder / "case_seg.nii.gz"
    )
    more = (*words, *then, "--engine", "inline", "--key-file", tmp_path / "key.parquet")
    run("convert", "nifti", folder, tmp_path / "later", *more)
    assert len(states(tmp_path / "later")[0]["regions"]) == 1


@pytest.mark.parametrize("then", [("texts",), ("labels",), ("labels", "texts")])
def test_texts_and_labels_that_arrive_later_reach_their_pictures(pictures, tmp_path, capsys, then):
    files = {"texts": ("--reports", tmp_path / "texts.csv"), "labels": ("--labels", tmp_path / "labels.csv")}
    words = [word for name in then for word in files[name]]
    later, once, before, _ = later_and_at_once(tmp_path, capsys, "image", pictures, ("--class-folders", "no"), words)
    assert later == once
    assert later[0] != before[0]


def test_another_licence_doubles_no_text_or_label_of_pictures(pictures, tmp_path, capsys):
    words = ("--labels", tmp_path / "labels.csv", "--reports", tmp_path / "texts.csv")
    run("convert", "image", pictures, tmp_path / "corpus", *words, "--engine", "inline")
    before = states(tmp_path / "corpus")
    capsys.readouterr()
    run("convert", "image", pictures, tmp_path / "corpus", *words, "--licence", "CC0-1.0", "--engine", "inline")
    assert states(tmp_path / "corpus") == before
    assert not verify(tmp_path / "corpus").problems
    assert "converted-before" in capsys.readouterr().out


def test_what_is_added_is_the_same_in_whatever_order_jobs_run(pictures, tmp_path, monkeypatch):
    for name, last_first in (("forward", False), ("backward", True)):
        monkeypatch.setattr(
            RunOptions, "build_engine", lambda _, last_first=last_first: InlineEngine(last_first=last_first)
        )
        words = ("convert", "image", pictures, tmp_path / name, "--job-items", "1", "--class-folders", "no")
        run(*words)
        run(*words, "--reports", tmp_path / "texts.csv")
    assert files(tmp_path / "forward") == files(tmp_path / "backward")
    assert len(Corpus(tmp_path / "forward").table("captions")) == 4


def test_a_changed_sidecar_is_read_and_the_run_says_that_the_earlier_tiles_stay(tmp_path, capsys):
    run("phantom", "aerial", tmp_path / "aerial", "--n", "1")
    words = ("convert", "geotiff", tmp_path / "aerial" / "scenes", tmp_path / "corpus", "--engine", "inline")
    run(*words)
    sidecar = tmp_path / "aerial" / "scenes" / "00000.yaml"
    size = sidecar.stat().st_size
    sidecar.write_text(sidecar.read_text().replace("red", "RED").replace("blue", "red").replace("RED", "blue"))
    assert sidecar.stat().st_size == size
    capsys.readouterr()
    run(*words)
    tiles = Corpus(tmp_path / "corpus").table("samples").to_pylist()
    assert {tile["channels"][0]["name"] for tile in tiles} == {"red", "blue"}
    assert "beside-earlier: an earlier run made other samples of the same inputs" in capsys.readouterr().out


def write_scene(path, values):
    """An uncompressed scene of noise between rows without data, where deliveries of one grid are alike."""
    rows = np.zeros((3, 160, 160), np.uint16)
    rows[:, 40:120] = values.integers(1, 3000, (3, 80, 160))
    grid = {"width": 160, "height": 160, "count": 3, "dtype": "uint16", "crs": "EPSG:32632"}
    with rasterio.open(path, "w", driver="GTiff", transform=from_origin(6e5, 5e6, 10, 10), **grid) as file:
        file.write(rows)
        for number, name in enumerate(("B04", "B03", "B02"), start=1):
            file.set_band_description(number, name)


def write_volume(path, values):
    array = np.zeros((32, 32, 20), np.int16)
    array[:, :, 5:15] = values.integers(1, 900, (32, 32, 10))
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2, 2, 3, 1.0])), path)


@pytest.mark.parametrize(
    ("kind", "name", "write", "options"),
    [
        ("geotiff", "tile.tif", write_scene, ("--size", "80px", "--min-valid", "0.1")),
        ("nifti", "case7.nii", write_volume, ("--modality", "MR")),
    ],
)
def test_another_delivery_with_files_of_the_same_names_and_sizes_is_added(tmp_path, kind, name, write, options):
    """As yearly folders of one site: by name and size alone the second was taken for the first, without a word."""
    counts = []
    for number in (1, 2, 2):
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        if not (folder / name).exists():
            write(folder / name, np.random.default_rng(number))
        run("convert", kind, folder, tmp_path / "corpus", "--engine", "inline", *options)
        counts.append(len(Corpus(tmp_path / "corpus").table("samples")))
    assert (tmp_path / "1" / name).stat().st_size == (tmp_path / "2" / name).stat().st_size
    assert counts[0] > 0
    assert counts == [counts[0], 2 * counts[0], 2 * counts[0]]
    assert not verify(tmp_path / "corpus").problems
