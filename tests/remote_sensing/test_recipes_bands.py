"""Recipes of multispectral and grounding datasets: band order by name, places, boxes; real BigEarthNet and SpaceNet."""

import io
import json
import shutil

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
import torch
import zarr
from affine import Affine
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile_remote_sensing.domain import domain
from voxtile_remote_sensing.recipes.layouts.classes import BIGEARTHNET, EUROSAT
from voxtile_remote_sensing.recipes.layouts.grounding import rotated


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def write_tif(path, array, crs="EPSG:32632"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=array.shape[0], height=array.shape[1], width=array.shape[2],
        dtype=array.dtype, crs=crs, transform=Affine(10, 0, 600_000, 0, -10, 5_000_000),
    ) as out:  # fmt: skip
        out.write(array)


def build(name, source, corpus, **options):
    domain.recipes[name].load()(source, corpus, engine="inline", **options)
    return Corpus(corpus)


def rows_of(corpus):
    return {row["source"].split("/", 1)[1]: row for row in corpus.table("samples").to_pylist()}


def test_eurosat_ms_names_its_bands_though_b8a_is_last(tmp_path):
    bands = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A"]
    array = np.arange(13, dtype=np.uint16)[:, None, None] * 100 + np.arange(64, dtype=np.uint16)[None, :, None]
    array = np.broadcast_to(array, (13, 64, 64)).copy()
    for label in EUROSAT:
        write_tif(tmp_path / "data" / "EuroSAT_MS" / label / f"{label}_1.tif", array)
    corpus = build("eurosat-ms", tmp_path / "data", tmp_path / "corpus")
    rows = rows_of(corpus)
    assert len(rows) == 10
    row = rows["River/River_1.tif"]
    assert [c["name"] for c in row["channels"]] == bands
    assert {(c["unit"], c["scale"]) for c in row["channels"]} == {("reflectance", 0.0001)}
    near = {c["name"]: c["wavelength_nm"] for c in row["channels"]}
    assert 860 < near["B8A"] < 870 < near["B09"]
    stored = corpus.source(row).array()
    np.testing.assert_array_equal(stored, array)
    assert (row["kind"], row["axes"], row["modality"], row["crs"], row["gsd_m"]) == (
        "tile",
        "CYX",
        "MSI",
        "EPSG:32632",
        10.0,
    )
    assert row["transform"] == [10, 0, 600_000, 0, -10, 5_000_000]
    write_tif(tmp_path / "three" / "EuroSAT_MS" / "River" / "River_1.tif", array[:3])
    with pytest.raises(RunFailedError):
        build("eurosat-ms", tmp_path / "three", tmp_path / "other")


def test_real_bigearthnet_patches_of_both_sensors(test_data, tmp_path):
    tiny = test_data / "remote_sensing" / "bigearthnet_tiny"
    optical = sorted((tiny / "tiny").iterdir())[:3]
    radar = sorted((tiny / "s1-tiny").iterdir())[0]
    root, rows = tmp_path / "data", []
    official = list(BIGEARTHNET)
    for number, folder in enumerate(optical):
        shutil.copytree(folder, root / "BigEarthNet-S2" / folder.name.rsplit("_", 2)[0] / folder.name)
        rows.append({"patch_id": folder.name, "labels": official[number : number + 2],
                     "split": ("train", "validation", "test")[number], "country": "Austria",
                     "s1_name": radar.name if number == 0 else "S1A_not_there"})  # fmt: skip
    shutil.copytree(radar, root / "BigEarthNet-S1" / radar.name.rsplit("_", 3)[0] / radar.name)
    pq.write_table(pa.Table.from_pylist(rows), root / "metadata.parquet")
    corpus = build("bigearthnet", root, tmp_path / "corpus")
    found = rows_of(corpus)
    assert set(found) == {folder.name for folder in optical} | {radar.name}
    splits = corpus.splits()
    for number, folder in enumerate(optical):
        row = found[folder.name]
        stored = corpus.source(row).array()
        assert (stored.shape, row["gsd_m"]) == ((12, 120, 120), 10.0)
        for channel, plane in zip(row["channels"], stored, strict=True):
            with rasterio.open(folder / f"{folder.name}_{channel['name']}.tif") as source:
                values = source.read(1)
            step = 120 // values.shape[0]
            np.testing.assert_array_equal(plane[::step, ::step], values)
            np.testing.assert_array_equal(plane[step - 1 :: step, step - 1 :: step], values)
        assert splits[row["subject"]] == ("train", "val", "test")[number]
    sar = found[radar.name]
    assert [c["name"] for c in sar["channels"]] == ["VV", "VH"]
    assert (sar["modality"], sar["study"]) == ("SAR", found[optical[0].name]["study"])
    facts = {row["concept"] for row in corpus.table("facts").to_pylist() if row["uid"] == found[optical[1].name]["uid"]}
    assert facts == {BIGEARTHNET[official[1]], BIGEARTHNET[official[2]]}
    assert {len(s["concepts"]) for s in corpus.table("scopes").to_pylist()} == {19}


@pytest.mark.parametrize("colours", ["s2_rgb_images/s2_images", "s2_images", "s2_rgb_images"])
def test_chatearthnet_stacks_its_three_pictures(tmp_path, colours):
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    folders = {colours: "B04 B03 B02", "s2_band_5_6_7_images": "B05 B06 B07",
               "s2_band_8_11_12_images": "B08 B11 B12"}  # fmt: skip
    pictures = {folder: rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for folder in folders}
    for folder, array in pictures.items():
        write(root / folder / "1.png", png(array))
    write(
        root / "json_files" / "ChatEarthNet_caps_35_test.json", json.dumps([{"image_id": "1.png", "caption": "Trees."}])
    )
    write(
        root / "json_files" / "ChatEarthNet_caps_4v_test.json", json.dumps([{"image": "1.png", "caption": ["Crops."]}])
    )
    corpus = build("chatearthnet", root, tmp_path / "corpus")
    row = rows_of(corpus)["1.png"]
    assert [c["name"] for c in row["channels"]] == " ".join(folders.values()).split()
    assert row["units"] == "a.u."
    np.testing.assert_array_equal(
        corpus.source(row).array(), np.concatenate([np.moveaxis(p, -1, 0) for p in pictures.values()])
    )
    assert [c["text"] for c in corpus.table("captions").to_pylist()] == ["Trees.", "Crops."]
    assert set(corpus.splits().values()) == {"test"}


def write_ssl4eo(path, bands, dtype, places=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    store = zarr.storage.ZipStore(path, mode="w")
    group = zarr.create_group(store=store, zarr_format=2)
    rng = np.random.default_rng(len(bands))
    values = (rng.random((places, 4, len(bands), 8, 8)) * 3000).astype(dtype)
    names = np.array([[f"000000{p}_{t}" for t in range(4)] for p in range(places)], dtype="<U9")
    for key, array in {
        "bands": values, "band": np.array(bands, dtype="<U3"), "sample_id": names,
        "crs": np.array([32633, 32734][:places]), "x_": 500_005.0 + 10 * np.tile(np.arange(8), (places, 1)),
        "y_": 5_000_000.0 - 5 - 10 * np.tile(np.arange(8), (places, 1)),
        "time_": np.array([[0, 90, 180, 270]] * places),
    }.items():  # fmt: skip
        group.create_array(key, data=array)
    group["time_"].attrs["units"] = "days since 2020-01-15 10:30:00"
    store.close()
    return values


@pytest.mark.filterwarnings("ignore")
def test_ssl4eo_places_dates_and_captions(tmp_path):
    root = tmp_path / "data"
    bands = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
    name = "ssl4eos12_val_seasonal_data_000001"
    optical = write_ssl4eo(root / "val" / "S2L2A" / f"{name}.zarr.zip", bands, np.int16)
    radar = write_ssl4eo(root / "val" / "S1GRD" / f"{name}.zarr.zip", ["vv", "vh"], np.float16)
    write(root / "val" / "captions" / f"{name}.csv", 'sample_id,time_id,caption\n1,2,"A river, seen in autumn."\n')
    corpus = build("ssl4eo-s12", root, tmp_path / "corpus", modalities="S2L2A,S1GRD")
    rows = rows_of(corpus)
    assert len(rows) == 16
    row = rows["S2L2A/0000001_2"]
    np.testing.assert_array_equal(corpus.source(row).array(), optical[1, 2])
    assert [c["name"] for c in row["channels"]] == bands
    assert (row["crs"], row["datetime"]) == ("EPSG:32734", "2020-07-13T10:30:00Z")
    assert row["bounds"] == [500_000, 4_999_920, 500_080, 5_000_000]
    assert [(c["uid"], c["text"]) for c in corpus.table("captions").to_pylist()] == [
        (row["uid"], "A river, seen in autumn.")
    ]
    sar = rows["S1GRD/0000001_2"]
    assert (sar["modality"], sar["units"], sar["study"], sar["dtype"]) == ("SAR", "dB", row["study"], "float32")
    np.testing.assert_array_equal(corpus.source(sar).array(), radar[1, 2].astype(np.float32))
    with pytest.raises(ConfigError, match="must be of S2L2A"):
        build("ssl4eo-s12", root, tmp_path / "other", modalities="S3")


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [
        ("RGB-PanSharpen/RGB-PanSharpen_AOI_9_Test_img1.tif", "geojson/buildings/buildings_AOI_9_Test_img1.geojson"),
        ("3band/3band_AOI_1_RIO_img1.tif", "geojson/Geo_AOI_1_RIO_img1.geojson"),
        ("PS-RGB/SN6_Train_AOI_11_PS-RGB_20190804_tile_6904.tif", "geojson_buildings/SN6_Buildings_tile_6904.geojson"),
    ],
)
def test_real_spacenet_buildings_become_boxes_and_counts(test_data, tmp_path, pictures, labels):
    pair = test_data / "remote_sensing" / "spacenet_image_plus_osm_buildings"
    with rasterio.open(pair / "sample_geotiff.tif") as source:
        grey, profile = source.read(1), source.profile
    root = tmp_path / "data" / "AOI_9_Test_Train"
    for path in (root / pictures, root / labels):
        path.parent.mkdir(parents=True)
    profile.update(count=3)
    with rasterio.open(root / pictures, "w", **profile) as out:
        out.write(np.stack([grey, grey, grey]))
    truth = geopandas.read_file(pair / "geotiff_labels.geojson")[["geometry"]].to_crs("EPSG:4326")
    truth.to_file(root / labels, driver="GeoJSON")
    corpus = build("spacenet", tmp_path / "data", tmp_path / "corpus")
    (row,) = rows_of(corpus).values()
    assert (row["modality"], row["gsd_m"], row["crs"]) == ("RGB", 0.5, "EPSG:32616")
    assert {f["concept"] for f in corpus.table("facts").to_pylist()} == {"building"}
    facts = [json.loads(f["attributes"]) | f for f in corpus.table("facts").to_pylist()]
    inside = truth.to_crs("EPSG:32616").clip(shapely.box(*row["bounds"]))
    inside = inside[inside.area >= 4]
    assert [f["value"] for f in facts if f["kind"] == "count"] == [len(inside)]
    np.testing.assert_allclose(
        [f["area_m2"] for f in facts if f["kind"] == "cover"], inside.union_all().area, rtol=1e-6
    )
    regions = corpus.table("regions").to_pylist()
    upright = [r for r in regions if r["source"] == "osm-box@1"]
    assert len(upright) == len(inside)
    assert {r["uid"] for r in regions} == {row["uid"]}
    _, x0, y1, _ = np.array([r["box"] for r in upright]).T
    bounds = inside.bounds
    np.testing.assert_allclose(np.sort(x0), np.sort((bounds.minx - row["bounds"][0]) / 0.5), atol=1e-3)
    np.testing.assert_allclose(np.sort(y1), np.sort((row["bounds"][3] - bounds.miny) / 0.5), atol=1e-3)


def voc(path, name, objects):
    inner = "".join(
        f"<object><name>{n}</name><pose>Unspecified</pose><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin>"
        f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox><description>{d}</description></object>"
        for n, b, d in objects
    )
    write(path, f"<annotation><filename>{name}</filename>{inner}</annotation>")


def test_dior_rsvg_puts_a_picture_into_its_strictest_split(tmp_path):
    root = tmp_path / "data"
    for stem in ("00001", "00002"):
        write(root / "JPEGImages" / f"{stem}.jpg", png(np.full((32, 40, 3), int(stem), np.uint8)))
    voc(
        root / "Annotations" / "00001.xml",
        "00001.jpg",
        [("ship", (1, 2, 10, 12), "A ship on the left"), ("ship", (5, 6, 9, 9), "A boat")],
    )
    voc(root / "Annotations" / "00002.xml", "00002.jpg", [("dam", (3, 4, 8, 20), "The dam")])
    for split, lines in (("train", "0\n2\n"), ("val", ""), ("test", "1\n")):
        write(root / "DIOR_RSVG" / f"{split}.txt", lines)
    corpus = build("dior-rsvg", root, tmp_path / "corpus")
    rows = rows_of(corpus)
    splits = corpus.splits()
    assert (splits[rows["00001"]["subject"]], splits[rows["00002"]["subject"]]) == ("test", "train")
    regions = {r["phrase"]: r for r in corpus.table("regions").to_pylist()}
    assert regions["A ship on the left"]["box"] == [2, 1, 12, 10]
    assert {p: r["source"].rsplit("/")[-1] for p, r in regions.items()} == {
        "A ship on the left": "train", "A boat": "test", "The dam": "train",
    }  # fmt: skip
    write(root / "Annotations" / "00003.xml", '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>')
    with pytest.raises(InputError, match="not readable XML"):
        build("dior-rsvg", root, tmp_path / "other")


def test_rsvg_loads_plain_values_only(tmp_path):
    root = tmp_path / "data"
    for name in ("a.jpg", "b.jpg"):
        write(root / "images" / name, png(np.full((32, 40, 3), ord(name[0]), np.uint8)))
    torch.save([("a.jpg", [1, 2, 11, 12], "the pool"), ("b.jpg", [0, 0, 5, 5], "a car")], root / "rsvg_train.pth")
    torch.save([("a.jpg", [3, 4, 9, 10], "the court")], root / "rsvg_test.pth")
    corpus = build("rsvg", root, tmp_path / "corpus")
    splits = {key: corpus.splits()[row["subject"]] for key, row in rows_of(corpus).items()}
    assert splits == {"a.jpg": "test", "b.jpg": "train"}
    boxes = {r["phrase"]: r["box"] for r in corpus.table("regions").to_pylist()}
    assert boxes == {"the pool": [2, 1, 12, 11], "a car": [0, 0, 5, 5], "the court": [4, 3, 10, 9]}
    torch.save([("a.jpg", [9, 9, 1, 1], "turned round")], root / "rsvg_val.pth")
    with pytest.raises(InputError, match="which is none"):
        build("rsvg", root, tmp_path / "other")
    torch.save([pytest.approx], root / "rsvg_val.pth")
    with pytest.raises(InputError, match="more than plain values"):
        build("rsvg", root, tmp_path / "evil")


def test_air_slts_sentences_are_captions_and_regions_of_the_test(tmp_path):
    root, outlines = tmp_path / "data", [[[3.5, 4], [30, 5.25], [20, 40], [3.5, 4]], [[35, 1], [39, 1], [39, 3]]]
    for name in ("0.jpg", "10.jpg"):
        write(root / "test_data" / "imgs" / name, png(np.full((32, 40, 3), len(name), np.uint8)))
    sentences = [
        {"caption": "a green pond.\n", "jpg_name": "0.jpg", "points": outlines},
        {"caption": "a grey road.", "jpg_name": "0.jpg", "points": [[[0, 0], [9, 0], [9, 9]]]},
        {"caption": "a grey road.", "jpg_name": "10.jpg", "points": [[[1, 1], [9, 0], [9, 9]]]},
    ]
    path = write(root / "test_data" / "annotations" / "anno.json", json.dumps(sentences))
    corpus = build("air-slt", root, tmp_path / "corpus")
    rows = rows_of(corpus)
    assert set(corpus.splits().values()) == {"test"}
    captions = {(row["uid"], row["text"], row["kind"]) for row in corpus.table("captions").to_pylist()}
    expected = [("0", "a green pond."), ("0", "a grey road."), ("10", "a grey road.")]
    assert captions == {(rows[key]["uid"], text, "raw") for key, text in expected}
    boxes = [(r["phrase"], r["box"]) for r in corpus.table("regions").to_pylist() if r["uid"] == rows["0"]["uid"]]
    assert sorted(boxes) == [
        ("a green pond.", [1, 35, 3, 39]),
        ("a green pond.", [4, 3.5, 32, 30]),  # as far as the picture
        ("a grey road.", [0, 0, 9, 9]),
    ]
    stored = json.loads(rows["0"]["attributes"])["outlines"]
    assert stored == {"a green pond.": outlines, "a grey road.": [[[0, 0], [9, 0], [9, 9]]]}
    assert build("air-slt", root / "test_data", tmp_path / "again").table("captions").num_rows == 3
    for wrong, message in (
        ({"points": []}, "three or more points"),
        ({"points": [[[1, 2], [3, 4]]]}, "three or more points"),
        ({"points": [[[1, 2], [3, 4], [5, "6"]]]}, "three or more points"),
        ({"caption": " "}, "no sentence"),
        ({"jpg_name": "../0.jpg"}, "no name of a picture"),
    ):
        write(path, json.dumps([sentences[0] | wrong]))
        with pytest.raises(InputError, match=message):
            build("air-slt", root, tmp_path / "other")
    write(path, json.dumps([{"caption": "a pond."}]))
    with pytest.raises(InputError, match="expected jpg_name, caption, points"):
        build("air-slt", root, tmp_path / "other")


def test_air_slts_outlines_beyond_a_picture_are_named(tmp_path):
    root = tmp_path / "data"
    write(root / "imgs" / "0.jpg", png(np.zeros((32, 40, 3), np.uint8)))
    write(root / "imgs" / "1.jpg", png(np.zeros((32, 40, 3), np.uint8)))
    far = [[[100, 100], [200, 100], [200, 200]]]
    sentences = [
        {"caption": "a pond.", "jpg_name": name, "points": points}
        for name, points in (("0.jpg", far), ("1.jpg", [[[1, 1], [9, 0], [9, 9]]]))
    ]
    write(root / "annotations" / "anno.json", json.dumps(sentences))
    with pytest.raises(RunFailedError):
        build("air-slt", root, tmp_path / "corpus")


def test_vrsbench_captions_expressions_and_rotated_boxes(tmp_path):
    root = tmp_path / "data"
    write(root / "Images_val" / "P1_0001.png", png(np.zeros((512, 512, 3), np.uint8)))
    corners = [0.5, 0.25, 0.75, 0.5, 0.625, 0.625, 0.375, 0.375]  # a rectangle turned by 45 degrees
    content = {
        "image": "P1_0001.png", "caption": "A harbour.", "qa_pairs": [{"question": "?", "answer": "yes"}],
        "objects": [{"obj_id": 0, "obj_cls": "ship", "is_unique": True, "obj_coord": [0.375, 0.25, 0.75, 0.625],
                     "obj_corner": corners, "referring_sentence": "The ship at the pier."}],
    }  # fmt: skip
    write(root / "Annotations_val" / "P1_0001.json", json.dumps(content))
    corpus = build("vrsbench", root, tmp_path / "corpus")
    captions = [(c["text"], c["kind"]) for c in corpus.table("captions").to_pylist()]
    assert captions == [("A harbour.", "vlm"), ("? yes", "qa")]
    upright, turned = sorted(corpus.table("regions").to_pylist(), key=lambda r: r["angle"] is not None)
    assert upright["box"] == [128, 192, 320, 384]
    assert turned["angle"] == pytest.approx(-45)
    y0, x0, y1, x1 = turned["box"]
    box = shapely.affinity.rotate(shapely.box(x0, -y1, x1, -y0), turned["angle"], origin="centroid")
    truth = shapely.Polygon([(512 * corners[i], -512 * corners[i + 1]) for i in range(0, 8, 2)])
    assert box.symmetric_difference(truth).area < 1e-6 * truth.area
    assert {r["phrase"] for r in (upright, turned)} == {"The ship at the pier."}


def test_rotated_rectangles_that_are_upright_or_square():
    box, angle = rotated([(0, 0), (4, 0), (4, 2), (0, 2)])
    assert (box, angle) == (pytest.approx((0, 0, 2, 4)), pytest.approx(0))
    box, angle = rotated([(0, 0), (2, 0), (2, 4), (0, 4)])
    assert (box, angle) == (pytest.approx((1, -1, 3, 3)), pytest.approx(90))
    box, _ = rotated([(0, 0), (2, 0), (2, 2), (0, 2)])
    assert box == pytest.approx((0, 0, 2, 2))
    with pytest.raises(InputError, match="no rectangle"):
        rotated([(0, 0), (1, 1), (2, 2), (3, 3)])
