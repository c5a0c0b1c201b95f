"""Every recipe of every domain through `voxtile build` with worker processes, on a small copy of its layout."""

import csv
import io
import json
import tarfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import tifffile
import torch
import zarr
from openpyxl import Workbook
from PIL import Image
from tests.support.picture_parquet import medtrinity
from tests.support.picture_sets import PICTURE_LACKING, PICTURE_LAYOUTS
from tests.support.question_sets import TALK_LACKING, TALK_LAYOUTS
from tests.support.volume_sets import VOLUME_LACKING, VOLUME_LAYOUTS

from voxtile.cli.main import main
from voxtile.cli.signature import signature_of
from voxtile.corpus.reader import Corpus
from voxtile.domain import discover

DOMAINS = discover()[0].values()
RECIPES = {name: command for domain in DOMAINS for name, command in domain.recipes.items()}
CONVERTERS = {name: command for domain in DOMAINS for name, command in domain.converters.items()}


class Folder:
    """A dataset's folder; pictures differ, so that no two samples are one."""

    def __init__(self, root):
        self.root = root
        self._rng = np.random.default_rng(0)

    def _path(self, name):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name, content):
        self._path(name).write_text(content if isinstance(content, str) else json.dumps(content))

    def table(self, name, *rows):
        with self._path(name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)

    def book(self, name, *rows):
        book = Workbook()
        for row in rows:
            book.active.append(row)
        book.save(self._path(name))

    def picture(self, *names):
        for name in names:
            Image.fromarray(self._rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(self._path(name))

    def raster(self, name, count, side=16):
        options = {"count": count, "height": side, "width": side, "dtype": "uint16", "crs": "EPSG:32632"}
        transform = rasterio.transform.from_origin(600_000, 5_000_000, 10, 10)
        with rasterio.open(self._path(name), "w", driver="GTiff", transform=transform, **options) as out:
            out.write(self._rng.integers(0, 3000, (count, side, side), dtype=np.uint16))

    def slide(self, *names):
        for name in names:
            pixels = np.full((768, 768, 3), 244, np.uint8)
            pixels[100:700, 100:700] = self._rng.integers((130, 50, 110), (211, 131, 191), (600, 600, 3))
            tifffile.imwrite(
                self._path(name), pixels, tile=(256, 256), photometric="rgb", resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER", metadata=None,
            )  # fmt: skip

    def tar(self, name, *members):
        picture = io.BytesIO()
        Image.fromarray(self._rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(picture, "PNG")
        with tarfile.open(self._path(name), "w") as tar:
            for member, data in members:
                data = picture.getvalue() if data is None else data.encode()
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def class_folders(pattern, *labels):
    return lambda f: f.picture(*(pattern.format(label, label.lower()) for label in labels))


def karpathy(table, folder, *files):
    sentences = [{"raw": f"sentence {i} ."} for i in range(5)]

    def write(f):
        f.picture(*(f"{folder}/{file}" for file in files))
        images = [{"filename": file, "split": "test", "sentences": sentences} for file in files]
        f.text(table, {"images": images, "dataset": table})

    return write


def nwpu_captions(f):
    f.picture("NWPU_images/airplane/airplane_001.jpg")
    texts = {"raw": "a plane .", **{f"raw_{i}": f"plane {i} ." for i in range(1, 5)}}
    f.text("dataset_nwpu.json", {"airplane": [{"filename": "airplane_001.jpg", "split": "test", **texts}]})


def bigearthnet(f):
    patch, radar = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57", "S1A_IW_GRDH_1SDV_20170613T165043_33UUP_26_57"
    for band in ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"):
        f.raster(f"BigEarthNet-S2/{patch[:-6]}/{patch}/{patch}_{band}.tif", 1)
    for band in ("VV", "VH"):
        f.raster(f"BigEarthNet-S1/{radar[:-12]}/{radar}/{radar}_{band}.tif", 1)
    row = {"patch_id": patch, "s1_name": radar, "split": "train", "labels": ["Pastures"], "country": "Austria"}
    pq.write_table(pa.Table.from_pylist([row]), f.root / "metadata.parquet")


def fmow(f):
    for split in ("train", "val"):
        stem = f"{split}/airport/airport_{len(split)}/airport_{len(split)}_0_rgb"
        f.picture(f"{stem}.jpg")
        about = {"gsd": 0.5, "timestamp": "2016-05-01T10:00:00Z"}
        f.text(f"{stem}.json", about | {"bounding_boxes": [{"ID": 1, "category": "airport", "box": [2, 3, 10, 8]}]})


def skyscript(f):
    f.picture("images2/a1_CH_19.jpg", "images3/a2_CH_19.jpg")
    head = ("filepath", "title", "title_multi_objects")
    table = "dataframe/SkyScript_{}_filtered_by_CLIP_openai.csv"
    f.table(table.format("train_top30pct"), head, ("images2/a1_CH_19.jpg", "river", "river and bridge"))
    f.table(table.format("test_30K"), head, ("images3/a2_CH_19.jpg", "tower", "tower"))


def skyscript_benchmark(f):
    f.picture("aid/images/1.jpg")
    f.table("aid/aid_img_txt_pairs_test.csv", ("filepath", "label"), ("images/1.jpg", "bare land"))


def chatearthnet(f):
    f.picture(*(f"{name}/1.png" for name in ("s2_images", "s2_band_5_6_7_images", "s2_band_8_11_12_images")))
    f.text("json_files/ChatEarthNet_caps_35_test.json", [{"image_id": "1.png", "caption": "Trees."}])


def ssl4eo(f):
    path = f._path("val/S2L2A/ssl4eos12_val_seasonal_data_000001.zarr.zip")
    bands = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
    store = zarr.storage.ZipStore(path, mode="w")
    group = zarr.create_group(store=store, zarr_format=2)
    values = {
        "bands": f._rng.integers(0, 3000, (1, 4, 12, 8, 8)).astype(np.int16), "band": np.array(bands, dtype="<U3"),
        "sample_id": np.array([[f"0000001_{i}" for i in range(4)]], dtype="<U9"), "crs": np.array([32633]),
        "x_": 500_005.0 + 10 * np.arange(8)[None], "y_": 4_999_995.0 - 10 * np.arange(8)[None],
        "time_": np.array([[0, 90, 180, 270]]),
    }  # fmt: skip
    for key, array in values.items():
        attributes = {"units": "days since 2020-01-15 10:30:00"} if key == "time_" else {}
        group.create_array(key, data=array, attributes=attributes)
    store.close()


def spacenet(f):
    f.raster("AOI_2_Vegas_Train/RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_img1.tif", 3, 64)
    ring = [[10.2687, 45.1467], [10.2691, 45.1467], [10.2691, 45.1464], [10.2687, 45.1464], [10.2687, 45.1467]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    content = {"type": "FeatureCollection", "features": [feature]}
    f.text("AOI_2_Vegas_Train/geojson/buildings/buildings_AOI_2_Vegas_img1.geojson", content)


def dior_rsvg(f):
    f.picture("JPEGImages/00001.jpg")
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox><description>A ship</description>"
    f.text("Annotations/00001.xml", f"<annotation><object><name>ship</name>{box}</object></annotation>")
    for split, lines in (("train", "0\n"), ("val", ""), ("test", "")):
        f.text(f"DIOR_RSVG/{split}.txt", lines)


def air_slt(f):
    f.picture("imgs/0.jpg")
    sentence = {"caption": "the pool.\n", "jpg_name": "0.jpg", "points": [[[1, 2], [9, 2], [5, 8], [1, 2]]]}
    f.text("annotations/anno.json", [sentence])


def rsvg(f):
    f.picture("images/a.jpg")
    torch.save([("a.jpg", [1, 2, 11, 12], "the pool")], f.root / "rsvg_train.pth")


def vrsbench(f):
    f.picture("Images_val/P1_0001.png")
    found = {"obj_id": 0, "obj_cls": "ship", "obj_coord": [0.1, 0.2, 0.5, 0.6], "referring_sentence": "The ship."}
    f.text("Annotations_val/P1_0001.json", {"image": "P1_0001.png", "caption": "A harbour.", "objects": [found]})


def torchgeo(f):
    for split in ("train", "val", "test"):
        f.raster(f"ds/images/remote_sensing/otherDatasets/sentinel_2/tif/River/River_{split}.tif", 13)
        f.text(f"eurosat-{split}.txt", f"River_{split}.jpg\n")


def arch(f):
    f.picture("pubmed_set/images/p-1.jpg")
    f.text("pubmed_set/captions.json", {"0": {"caption": "Naevus.", "uuid": "p-1"}})


def camelyon16(f):
    f.slide("training/normal/normal_001.tif", "training/tumor/tumor_001.tif")
    points = ((200, 200), (500, 200), (500, 500), (200, 500))
    ring = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate(points))
    shape = f'<Annotation Name="0" Type="Polygon" PartOfGroup="_0"><Coordinates>{ring}</Coordinates></Annotation>'
    content = f"<ASAP_Annotations><Annotations>{shape}</Annotations></ASAP_Annotations>"
    f.text("training/lesion_annotations/tumor_001.xml", content)


def mhist(f):
    f.picture("images/MHIST_aaa.png")
    votes = "Number of Annotators who Selected SSA (Out of 7)"
    head = ("Image Name", "Majority Vote Label", votes, "Partition")
    f.table("annotations.csv", head, ("MHIST_aaa.png", "SSA", 6, "train"))


def osteosarcoma(f):
    f.picture("Training-Set-1/Case-3-A2-1-2.jpg")
    f.table("ML_Features_1144.csv", ("image.name", "classification"), ("Case 3-A2-1-2", "Viable"))


def quilt(f):
    f.picture("images_part_1/v_image_1.jpg")
    f.table("quilt_1M_lookup.csv", ("caption", "image_path", "split"), ("Dermal nodules.", "v_image_1.jpg", "train"))


def openpath(f):
    f.picture("images/a.jpg")
    f.table("train.csv", ("image", "caption"), ("images/a.jpg", "Melanoma?"))


def pathgen(f):
    wsi = "TCGA-AA-3844-01Z-00-DX1.bf88ce1f"
    f.slide(f"uuid/{wsi}.svs")
    f.text("PathGen-1.6M.json", [{"wsi_id": wsi, "position": ["50", "60"], "caption": "Glands.", "file_id": "f"}])


def pcam(f):
    for part, array in (("x", f._rng.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)), ("y", np.zeros((3, 1, 1, 1)))):
        with h5py.File(f._path(f"camelyonpatch_level_2_split_test_{part}.h5"), "w") as file:
            file[part] = array.astype(np.uint8)


def sicap(f):
    f.picture("images/16B0001851_Block_Region_1_0_0_xini_1_yini_5.jpg")
    head, row = ("image_name", "NC", "G3", "G4", "G5"), ("16B0001851_Block_Region_1_0_0_xini_1_yini_5.jpg", 1, 0, 0, 0)
    for name in ("Validation/Val1/Train", "Validation/Val1/Test"):
        f.book(f"partition/{name}.xlsx", head)
    f.book("partition/Test/Test.xlsx", head, row)
    f.book("wsi_labels.xlsx", ("slide_id", "patient_id"), ("16B0001851", "P1"))


def skin_cancer(f):
    f.picture("data/tiles/naevus/ws_9_2.jpg")
    row = ("tumor_skin_naevus_naevus", "data/tiles/naevus/ws_9_2.jpg", "Validation")
    f.table("data/tiles-v2.csv", ("class", "file", "set"), row)


def tcga(f):
    f.slide("uuid/TCGA-AA-3844-01Z-00-DX1.svs")
    f.table("TCGA_Reports.csv", ("patient_filename", "text"), ("TCGA-AA-3844.25c0", "Adenocarcinoma."))


def medmnist(f):
    rng, arrays = np.random.default_rng(0), {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, (3, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.array([[0], [1], [0]], np.uint8)
    np.savez(f._path("pneumoniamnist.npz"), **arrays)


# Recipe → (what writes its layout, samples that come of it, further words).
LAYOUTS = {
    "aid": (class_folders("AID/{0}/{1}_1.jpg", "Beach", "BareLand"), 2, ()),
    "arch": (arch, 1, ()),
    "bach": (class_folders("Photos/{}/{}1.tif", "Normal", "InSitu"), 2, ()),
    "bigearthnet": (bigearthnet, 2, ()),
    "breakhis": (lambda f: f.picture("benign/40X/SOB_B_A-14-22549AB-40-001.png"), 1, ()),
    "camelyon16": (camelyon16, 10, ("--patch-px", "256", "--sampling", "random", "--patches-per-slide", "4")),
    "chatearthnet": (chatearthnet, 1, ()),
    "digestpath": (lambda f: f.picture("tissue-train-neg/2018_64982_1-3_2018-05-24 21_50_30.jpg"), 1, ()),
    "air-slt": (air_slt, 1, ()),
    "dior-rsvg": (dior_rsvg, 1, ()),
    "eurosat": (class_folders("EuroSAT_RGB/{0}/{0}_1.jpg", "River", "SeaLake"), 2, ()),
    "eurosat-ms": (lambda f: f.raster("EuroSAT_MS/River/River_1.tif", 13), 1, ()),
    "fmow": (fmow, 2, ()),
    "gaia": (lambda f: f.tar("test/0.tar", ("1.png", None), ("1.json", '{"id": 1, "captions": ["one"]}')), 1, ()),
    "lc25000": (class_folders("lung_colon_image_set/lung_image_sets/{0}/{0}1.jpeg", "lung_aca", "lung_n"), 2, ()),
    "medmnist": (medmnist, 9, ()),
    "medtrinity": (lambda f: medtrinity(f.root), 3, ()),
    "mhist": (mhist, 1, ()),
    "osteosarcoma": (osteosarcoma, 1, ()),
    "nct-crc": (class_folders("CRC-VAL-HE-7K/{0}/{0}-TCGA-A.tif", "ADI", "TUM"), 2, ()),
    "nwpu-captions": (nwpu_captions, 1, ()),
    "openpath": (openpath, 1, ()),
    "pathgen-1.6m": (pathgen, 1, ()),
    "patternnet": (class_folders("PatternNet/images/{0}/{0}001.jpg", "airplane", "beach"), 2, ()),
    "pcam": (pcam, 3, ()),
    "quilt-1m": (quilt, 1, ()),
    "resisc45": (class_folders("NWPU-RESISC45/{0}/{0}_001.jpg", "airplane", "beach"), 2, ()),
    "rs5m": (lambda f: f.tar("val/pub11.tar", ("1.img_content", None), ("1.caption", "a lake")), 1, ()),
    "rsicd": (karpathy("dataset_rsicd.json", "RSICD_images", "airport_1.jpg"), 1, ()),
    "rsitmd": (karpathy("dataset_RSITMD.json", "images", "pond_12.tif"), 1, ()),
    "rsscn7": (class_folders("RSSCN7/{}/{}1.jpg", "aGrass", "bField"), 2, ()),
    "rsvg": (rsvg, 1, ()),
    "sicap": (sicap, 1, ()),
    "skin-cancer": (skin_cancer, 1, ()),
    "skyscript": (skyscript, 2, ()),
    "skyscript-benchmark": (skyscript_benchmark, 1, ("--set", "aid")),
    "spacenet": (spacenet, 1, ()),
    "ssl4eo-s12": (ssl4eo, 4, ()),
    "sydney-captions": (karpathy("dataset.json", "imgs", "7.tif"), 1, ()),
    "tcga": (tcga, 5, ("--patch-px", "256", "--sampling", "random", "--patches-per-slide", "4")),
    "torchgeo": (torchgeo, 3, ("--dataset", "EuroSAT")),
    "ucm-captions": (karpathy("dataset.json", "imgs", "1.tif", "2.tif"), 2, ()),
    "vrsbench": (vrsbench, 1, ()),
    "wsss4luad": (lambda f: f.picture("1.training/1031280-2300-27920-[1 0 1].png"), 1, ()),
    **{
        name: (lambda f, write=write: write(f.root), *known)
        for name, (write, *known) in (VOLUME_LAYOUTS | PICTURE_LAYOUTS | TALK_LAYOUTS).items()
    },
}


@pytest.mark.cases(20)
@pytest.mark.usefixtures("kept_workers")
@pytest.mark.parametrize(  # that of torchgeo imports it
    "name", [pytest.param(n, marks=pytest.mark.sweep(ci=True)) if n == "torchgeo" else n for n in sorted(RECIPES)]
)
def test_a_recipe_runs_in_worker_processes(tmp_path, name):
    write, samples, words = LAYOUTS[name]
    root = tmp_path / "download"
    root.mkdir()
    write(Folder(root))
    source = root / "pneumoniamnist.npz" if name == "medmnist" else root
    assert main(["build", name, str(source), str(tmp_path / "corpus"), "--workers", "2", *words]) == 0
    corpus = Corpus(tmp_path / "corpus")
    assert len(corpus.table("samples")) == samples
    left_out = [row["reason"] for row in corpus.ledger().to_pylist() if row["status"] != "used"]
    assert set(left_out) <= ({"not-dicom", "point-contour"} if name == "lidc-idri" else set())


def run_options(command):
    """Options of a command that its signature does not name: those of the run."""
    return {parameter.name for parameter in signature_of(command).parameters if parameter.role == "run"}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_has_the_options_of_a_conversion(name):
    wanted = run_options(CONVERTERS["nifti"])
    assert {"workers", "engine", "retry", "dry_run", "on_error"} <= wanted
    assert run_options(RECIPES[name]) == wanted


# Recipe → (what the download lacks, the name of it that must be said); a pattern is a glob of files.
LACKING = {
    "aid": ("AID/Beach/*", "'beach'"),
    "arch": ("pubmed_set/captions.json", "captions.json"),
    "bach": ("Photos/InSitu/*", "'breast carcinoma in situ'"),
    "bigearthnet": ("BigEarthNet-S2/*/*/*_B02.tif", "_B02.tif"),
    "breakhis": ("benign/40X/*", "holds no picture of BreakHis"),
    "camelyon16": ("training/lesion_annotations/*", "lesion annotations (XML) of 'tumor_001'"),
    "chatearthnet": ("s2_band_5_6_7_images/*", "'s2_band_5_6_7_images'"),
    "digestpath": ("tissue-train-neg/*", "holds no picture of DigestPath"),
    "air-slt": ("imgs/*", "imgs/0.jpg"),
    "dior-rsvg": ("DIOR_RSVG/test.txt", "'DIOR_RSVG/test.txt'"),
    "eurosat": ("EuroSAT_RGB/River/*", "9 of the 10 classes: 'annual crop'"),
    "eurosat-ms": ("EuroSAT_MS/River/*", "'EuroSAT_MS'"),
    "fmow": ("train/airport/airport_5/*.json", "no JSON of the same name"),
    "gaia": ("test/0.tar", "test/*.tar"),
    "lc25000": ("lung_colon_image_set/lung_image_sets/lung_n/*", "'benign lung tissue'"),
    "medmnist": ("pneumoniamnist.npz", "pneumoniamnist.npz"),
    "medtrinity": ("25M_demo/*", "'*.parquet'"),
    "mhist": ("images/*", "'images/MHIST_aaa.png'"),
    "osteosarcoma": ("Training-Set-1/*", "'Case 3-A2-1-2'"),
    "nct-crc": ("CRC-VAL-HE-7K/TUM/*", "'NCT-CRC-HE-100K'"),
    "nwpu-captions": ("NWPU_images/airplane/*", "airplane_001.jpg"),
    "openpath": ("images/*", "'a.jpg'"),
    "pathgen-1.6m": ("PathGen-1.6M.json", "'PathGen-1.6M.json'"),
    "patternnet": ("PatternNet/images/beach/*", "'beach'"),
    "pcam": ("*_y.h5", "'camelyonpatch_level_2_split_test_y.h5'"),
    "quilt-1m": ("images_part_1/*", "'v_image_1.jpg'"),
    "resisc45": ("NWPU-RESISC45/beach/*", "'beach'"),
    "rs5m": ("val/*", "val/*.tar"),
    "rsicd": ("RSICD_images/*", "airport_1.jpg"),
    "rsitmd": ("dataset_RSITMD.json", "dataset_RSITMD.json"),
    "rsscn7": ("RSSCN7/bField/*", "'farmland'"),
    "rsvg": ("images/*", "'images/a.jpg'"),
    "sicap": ("partition/Test/*", "'partition/Test/Test.xlsx'"),
    "skin-cancer": ("data/tiles-v2.csv", "'tiles-v2.csv'"),
    "skyscript": ("dataframe/*test*", "'test'"),
    "skyscript-benchmark": ("aid/images/*", "'images/1.jpg'"),
    "spacenet": ("AOI_2_Vegas_Train/geojson/buildings/*", "GeoJSON footprints"),
    "ssl4eo-s12": ("val/S2L2A/*", "val/S2L2A"),
    "sydney-captions": ("dataset.json", "dataset.json"),
    "tcga": ("TCGA_Reports.csv", "TCGA_Reports.csv"),
    "torchgeo": ("eurosat-test.txt", "'test'"),
    "ucm-captions": ("imgs/2.tif", "'imgs/2.tif'"),
    "vrsbench": ("Images_val/*", "P1_0001.png"),
    "wsss4luad": ("1.training/*", "'1.training'"),
    **VOLUME_LACKING,
    **PICTURE_LACKING,
    **TALK_LACKING,
}


@pytest.mark.cases(30)
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_an_incomplete_download_is_one_sentence_that_names_what_is_missing(tmp_path, capsys, name):
    write, _, words = LAYOUTS[name]
    pattern, lacking = LACKING[name]
    root = tmp_path / "download"
    root.mkdir()
    write(Folder(root))
    for path in list(root.glob(pattern)):
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    source = root / "pneumoniamnist.npz" if name == "medmnist" else root
    status = main(["build", name, str(source), str(tmp_path / "corpus"), "--engine", "inline", "--dry-run", *words])
    said = [line for line in capsys.readouterr().err.splitlines() if lacking in line]
    assert len(said) == 1, said
    assert status in (0, 2)
    assert "unexpected" not in said[0]


@pytest.mark.parametrize(
    ("name", "official", "known", "unknown", "nearest"),
    [
        ("eurosat", "EuroSAT_RGB/SeaLake", "EuroSAT_RGB/sea_lake", "EuroSAT_RGB/SeaLakes", "'SeaLake'"),
        ("bach", "Photos/InSitu", "Photos/In Situ", "Photos/Insitus", "'InSitu'"),
        ("fmow", '"airport"', '"Airport"', '"aiport"', "'airport'"),
        ("bigearthnet", "Pastures", "pastures", "Pasturage", "'Pastures'"),
        ("nwpu-captions", '"airplane": [', '"Airplane": [', '"aeroplane": [', "'airplane'"),
        (
            "skin-cancer",
            "tumor_skin_naevus_naevus",
            "Tumor_skin_naevus_naevus",
            "tumor_skin_nevus",
            "'tumor_skin_naevus",
        ),
    ],
)
def test_a_class_in_another_spelling_is_found_or_refused_with_the_nearest(
    tmp_path, capsys, name, official, known, unknown, nearest
):
    def build(spelled):
        root = tmp_path / spelled.replace("/", "-")
        root.mkdir()
        LAYOUTS[name][0](Folder(root))
        if (root / official).is_dir():
            (root / official).rename(root / spelled)
        elif name == "bigearthnet":
            (row,) = pq.read_table(root / "metadata.parquet").to_pylist()
            pq.write_table(pa.Table.from_pylist([row | {"labels": [spelled]}]), root / "metadata.parquet")
        else:
            for path in (*root.rglob("*.json"), *root.rglob("*.csv")):
                path.write_text(path.read_text().replace(official, spelled))
        status = main(["build", name, str(root), str(root / "corpus"), "--engine", "inline"])
        return status, {f["concept"] for f in Corpus(root / "corpus").table("facts").to_pylist()} if not status else ()

    wanted = build(official)
    assert wanted[0] == 0
    assert build(known) == wanted
    capsys.readouterr()
    assert build(unknown)[0] == 2
    said = capsys.readouterr().err
    assert "unexpected" not in said
    assert f"did you mean {nearest}" in said
