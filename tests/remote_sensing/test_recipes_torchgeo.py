"""torchgeo's datasets by name: tiny fakes of their layouts, whose pixels rasterio and Pillow read beside us."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile_remote_sensing.domain import domain
from voxtile_remote_sensing.recipes.layouts.torchgeo_names import known_datasets
from voxtile_remote_sensing.recipes.layouts.torchgeo_samples import grey_values, stored_values

S2 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
NATIVE = {"B02": 120, "B03": 120, "B04": 120, "B08": 120, "B01": 20, "B09": 20}


def build(source, corpus, dataset, **options):
    domain.recipes["torchgeo"].load()(source, corpus, dataset=dataset, engine="inline", **options)
    return Corpus(corpus)


def write_bands(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    count, rows, columns = array.shape
    profile = {"driver": "GTiff", "count": count, "height": rows, "width": columns, "dtype": array.dtype}
    transform = rasterio.transform.from_origin(400_000, 5_000_000, 10, 10)
    with rasterio.open(path, "w", crs="EPSG:32632", transform=transform, **profile) as file:
        file.write(array)


def by_source(corpus):
    return {row["source"]: row for row in corpus.table("samples").to_pylist()}


def values_of(corpus, table, uid, column):
    return [row[column] for row in corpus.table(table).to_pylist() if row["uid"] == uid]


@pytest.fixture
def eurosat(tmp_path):
    rng, root = np.random.default_rng(0), tmp_path / "root"
    for number, split in enumerate(("train", "val", "test")):
        names = []
        for label in ("AnnualCrop", "SeaLake"):
            names.append(f"{label}_{number + 1}.jpg")
            path = root / "ds/images/remote_sensing/otherDatasets/sentinel_2/tif" / label / f"{label}_{number + 1}.tif"
            write_bands(path, rng.integers(0, 12_000, (13, 8, 8), dtype=np.uint16))
        (root / f"eurosat-{split}.txt").write_text("\n".join(names))
    return root


def test_eurosat(eurosat, tmp_path):
    corpus = build(eurosat, tmp_path / "corpus", "EuroSAT")
    rows, splits = by_source(corpus), corpus.splits()
    assert len(rows) == 6
    for number, split in enumerate(("train", "val", "test")):
        for index, label in enumerate(("AnnualCrop", "SeaLake")):
            row = rows[f"torchgeo-eurosat/{split}/{index:07d}"]
            (path,) = eurosat.rglob(f"{label}_{number + 1}.tif")
            with rasterio.open(path) as file:
                np.testing.assert_array_equal(corpus.source(row).array(), file.read())
            assert (row["dtype"], row["modality"], splits[row["subject"]]) == ("uint16", "MSI", split)
            names = [channel["name"] for channel in row["channels"]]
            assert names == [*(f"B{n:02d}" for n in range(1, 13)), "B8A"], "the files hold B8A last"
            assert row["channels"][3]["wavelength_nm"] == pytest.approx(664.6)
            assert values_of(corpus, "facts", row["uid"], "concept") == [["annual crop", "sea lake"][index]]
            (scope,) = [s for s in corpus.table("scopes").to_pylist() if s["uid"] == row["uid"]]
            assert (scope["closed"], scope["concepts"]) == (True, ["annual crop", "sea lake"])
    (manifest,) = (tmp_path / "corpus" / "manifests").glob("*.json")
    assert "torchgeo.datasets.EuroSAT" in manifest.read_text()


def test_arguments_choose_bands(eurosat, tmp_path):
    corpus = build(eurosat, tmp_path / "corpus", "EuroSAT", arguments='{"bands": ["B08", "B04"]}')
    row = by_source(corpus)["torchgeo-eurosat/test/0000001"]
    assert [(c["name"], c["wavelength_nm"]) for c in row["channels"]] == [("B08", 832.8), ("B04", 664.6)]
    with rasterio.open(next(eurosat.rglob("SeaLake_3.tif"))) as file:
        np.testing.assert_array_equal(corpus.source(row).array(), file.read([8, 4]))


@pytest.fixture
def bigearthnet(tmp_path):
    rng, root, rows = np.random.default_rng(1), tmp_path / "ben", []
    told = [["Urban fabric", "Inland waters"], ["Marine waters"], ["Arable land", "Pastures", "Mixed forest"]]
    for number, (split, labels) in enumerate(zip(("train", "validation", "test"), told, strict=True)):
        tile = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP"
        patch, radar = f"{tile}_{number:02d}_57", f"S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{number:02d}_57"
        for band in S2:
            side = NATIVE.get(band, 60)
            array = rng.integers(0, 9000, (1, side, side), dtype=np.uint16)
            write_bands(root / "BigEarthNet-S2" / tile / patch / f"{patch}_{band}.tif", array)
        land = np.full((1, 120, 120), 312, np.uint16)
        write_bands(root / "Reference_Maps" / tile / patch / f"{patch}_reference_map.tif", land)
        rows.append({"patch_id": patch, "s1_name": radar, "split": split, "labels": labels})
    (root / "BigEarthNet-S1").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), root / "metadata.parquet")
    return root, rows


def test_bigearthnet(bigearthnet, tmp_path):
    root, listed = bigearthnet
    options = {"arguments": '{"bands": "s2"}', "band_names": ",".join(S2)}
    corpus = build(root, tmp_path / "corpus", "BigEarthNetV2", **options)
    rows, splits = by_source(corpus), corpus.splits()
    for split, about in zip(("train", "val", "test"), listed, strict=True):
        row = rows[f"torchgeo-bigearthnetv2/{split}/0000000"]
        assert splits[row["subject"]] == split
        wanted = {label.casefold() for label in about["labels"]}
        assert set(values_of(corpus, "facts", row["uid"], "concept")) == wanted
        array = corpus.source(row).array()
        assert array.shape == (12, 120, 120)
        for band in ("B02", "B04", "B08"):  # torchgeo resamples the others
            with rasterio.open(next(root.rglob(f"{about['patch_id']}_{band}.tif"))) as file:
                np.testing.assert_array_equal(array[S2.index(band)], file.read(1))
    assert len(corpus.table("scopes")["concepts"].to_pylist()[0]) == 19


def test_so2sat_has_splits_of_its_own_names_and_reflectance(tmp_path):
    h5py = pytest.importorskip("h5py")
    values = np.random.default_rng(1).uniform(0, 1, (2, 4, 4, 10))
    for name in ("training", "validation", "testing"):
        (tmp_path / "root").mkdir(exist_ok=True)
        with h5py.File(tmp_path / "root" / f"{name}.h5", "w") as file:
            file["sen1"], file["sen2"], file["label"] = np.zeros((2, 4, 4, 8)), values, np.eye(17)[:2]
    arguments = '{"bands": ["S2_B02", "S2_B04"]}'
    corpus = build(tmp_path / "root", tmp_path / "corpus", "So2Sat", arguments=arguments, band_names="B02,B04")
    assert sorted(set(corpus.splits().values())) == ["test", "train", "val"]
    rows = by_source(corpus)
    row = next(rows[source] for source in rows if "train/0000001" in source)
    assert [(channel["unit"], channel["scale"]) for channel in row["channels"]] == [("reflectance", 1.0)] * 2
    expected = values[1][..., [0, 2]].transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_array_equal(corpus.source(row).array((slice(None),) * 3), expected)


def test_channels_and_pictures_that_torchgeo_does_not_name(bigearthnet, tmp_path):
    root, _ = bigearthnet
    with pytest.raises(ConfigError, match="what the 12 channels of BigEarthNetV2 are; name them in order with --band"):
        build(root, tmp_path / "c", "BigEarthNetV2", arguments='{"bands": "s2"}')
    with pytest.raises(ConfigError, match="has 12 channels, but 2 names are given"):
        build(root, tmp_path / "c", "BigEarthNetV2", arguments='{"bands": "s2"}', band_names="B02,B03")
    with pytest.raises(ConfigError, match=r"no 'pixels' in its samples \(pictures: image\); name one with --image-key"):
        build(root, tmp_path / "c", "BigEarthNetV2", arguments='{"bands": "s2"}', image_key="pixels")
    assert not (tmp_path / "c" / "tables").exists()


def test_captions_of_skyscript(tmp_path):
    from torchgeo.datasets import SkyScript

    root, rng = tmp_path / "sky", np.random.default_rng(2)
    for folder in SkyScript.image_dirs:
        (root / folder).mkdir(parents=True)
    pictures = {}
    for split, table in SkyScript.caption_files.items():
        name = f"{SkyScript.image_dirs[0]}/{split}.png"
        pictures[split] = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        Image.fromarray(pictures[split]).save(root / name)
        (root / table).parent.mkdir(parents=True, exist_ok=True)
        (root / table).write_text(f'filepath,title\n{name},"a {split}, seen from above"\n')
    corpus = build(root, tmp_path / "corpus", "SkyScript")
    rows = by_source(corpus)
    for split in ("train", "val", "test"):
        row = rows[f"torchgeo-skyscript/{split}/0000000"]
        np.testing.assert_array_equal(decode_picture(corpus.source(row).encoded()), pictures[split])
        assert values_of(corpus, "captions", row["uid"], "text") == [f"a {split}, seen from above"]
        assert row["modality"] == "RGB"


def test_ucmerced_pictures_of_other_sizes_are_those_of_torchgeo(tmp_path):
    """Some of UCMerced's pictures are not 256 pixels wide; torchgeo stretches them, which gives fractions."""
    from torchgeo.datasets import UCMerced

    root, rng = tmp_path / "root", np.random.default_rng(3)
    for split in UCMerced.splits:
        names = []
        for label in ("airplane", "beach"):
            for number, size in enumerate([(256, 256), (253, 247)]):
                names.append(f"{label}{split}{number}.tif")
                path = root / UCMerced.base_dir / label / names[-1]
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
        (root / UCMerced.split_filenames[split]).write_text("\n".join(names))
    corpus = build(root, tmp_path / "corpus", "UCMerced")
    rows = by_source(corpus)
    assert len(rows) == 12
    assert set(corpus.ledger()["status"].to_pylist()) == {"used"}
    for split in UCMerced.splits:
        given = UCMerced(root, split)
        for index in range(4):
            row = rows[f"torchgeo-ucmerced/{split}/{index:07d}"]
            stored, wanted = decode_picture(corpus.source(row).encoded()), given[index]["image"].numpy()
            assert np.abs(stored.astype(np.float64) - np.moveaxis(wanted, 0, -1)).max() <= 0.5
            assert (row["dtype"], row["shape"]) == ("uint8", [256, 256, 3])


def test_only_what_is_a_picture_of_8_bits_is_rounded():
    picture = np.array([[[0.4, 254.6, 17.5001]]], np.float32)
    np.testing.assert_array_equal(grey_values(picture), np.array([[[0, 255, 18]]], np.uint8))
    for other in (picture / 255, picture - 1, picture * 2, picture * np.nan):
        assert grey_values(other) is other


def test_names_and_arguments_that_do_not_exist(eurosat, tmp_path):
    with pytest.raises(ConfigError, match=r"no dataset 'EuroSat'; did you mean EuroSAT"):
        build(eurosat, tmp_path / "c", "EuroSat")
    with pytest.raises(ConfigError, match=r"no dataset 'x1y2z3'; it has .*BigEarthNetV2"):
        build(eurosat, tmp_path / "c", "x1y2z3")
    with pytest.raises(ConfigError, match=r"Sentinel2 is a dataset of scenes; .*voxtile convert geotiff"):
        build(eurosat, tmp_path / "c", "Sentinel2")
    with pytest.raises(ConfigError, match=r"takes no argument 'band' here; it takes: bands"):
        build(eurosat, tmp_path / "c", "EuroSAT", arguments='{"band": "B02"}')
    with pytest.raises(ConfigError, match="takes no argument 'download'"):
        build(eurosat, tmp_path / "c", "EuroSAT", arguments='{"download": true}')
    with pytest.raises(ConfigError, match="--arguments is not JSON"):
        build(eurosat, tmp_path / "c", "EuroSAT", arguments="{bands: s2}")
    with pytest.raises(ConfigError, match="must be a JSON object"):
        build(eurosat, tmp_path / "c", "EuroSAT", arguments="[]")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"does not find EuroSAT \(train\) in .*unpack the download"):
        build(tmp_path / "empty", tmp_path / "c", "EuroSAT")
    assert not (tmp_path / "c" / "tables").exists()


def test_a_damaged_file_costs_one_row(eurosat, tmp_path):
    next(eurosat.rglob("SeaLake_2.tif")).write_bytes(b"II*\x00 damaged")
    with pytest.raises(RunFailedError):
        build(eurosat, tmp_path / "corpus", "EuroSAT")
    corpus = Corpus(tmp_path / "corpus")
    statuses = corpus.ledger()["status"].to_pylist()
    assert (statuses.count("used"), statuses.count("failed")) == (5, 1)


def test_nothing_is_stored_in_integers_that_cannot_hold_it():
    whole = np.array([[[0.0, 255.0]]], np.float32)
    assert stored_values(whole, np.uint8).dtype == np.uint8
    assert stored_values(whole, np.uint16).dtype == np.uint16
    assert stored_values(whole - 1, np.uint8).dtype == np.int16
    assert stored_values(whole * 1000, np.uint8).dtype == np.int32
    for values in (whole + 0.5, whole * np.nan, whole * 1e30):
        np.testing.assert_array_equal(stored_values(values, np.uint8), values)


def test_recipe_is_offered_with_help(capsys):
    from voxtile.cli.main import main

    assert main(["build", "torchgeo", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--dataset" in shown
    assert "nothing is downloaded" in " ".join(shown.split())


def test_the_names_that_texts_give_are_those_of_the_classes():
    library = pytest.importorskip("torchgeo.datasets")
    kinds = {name: kind for name in library.__all__ if isinstance(kind := getattr(library, name), type)}
    pictures = [n for n, kind in kinds.items() if issubclass(kind, library.NonGeoDataset) and "NonGeo" not in n]
    scenes = [n for n, kind in kinds.items() if issubclass(kind, library.GeoDataset)]
    assert known_datasets() == (pictures, scenes)
