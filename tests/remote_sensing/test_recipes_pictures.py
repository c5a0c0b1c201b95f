"""Recipes of picture datasets: miniature folders in the official layouts, read back pixel for pixel."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile.evaluation.inputs.labels import label_source
from voxtile.evaluation.tasks.file import load_task
from voxtile_remote_sensing.domain import domain
from voxtile_remote_sensing.recipes.layouts import classes
from voxtile_remote_sensing.recipes.layouts.caption_json import caption_records


def picture(seed, form="JPEG", size=(24, 20)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def build(name, source, corpus, **options):
    domain.recipes[name].load()(source, corpus, engine="inline", **options)
    return Corpus(corpus)


def stored(corpus):
    """Key → (row, texts, concepts, split)."""
    rows = {row["uid"]: row for row in corpus.table("samples").to_pylist()}
    splits = corpus.splits()
    texts = {uid: [] for uid in rows}
    for caption in corpus.table("captions").to_pylist():
        texts[caption["uid"]].append(caption["text"])
    facts = {uid: [] for uid in rows}
    for fact in corpus.table("facts").to_pylist():
        facts[fact["uid"]].append(fact["concept"])
    return {
        row["source"].split("/", 1)[1]: (row, texts[uid], facts[uid], splits[row["subject"]])
        for uid, row in rows.items()
    }


CLASS_FOLDERS = [
    ("eurosat", "EuroSAT_RGB", classes.EUROSAT, "jpg"),
    ("resisc45", "NWPU-RESISC45", classes.RESISC45, "jpg"),
    ("aid", "AID", classes.AID, "jpg"),
    ("patternnet", "PatternNet/images", classes.PATTERNNET, "jpg"),
    ("rsscn7", "RSSCN7", classes.RSSCN7, "jpg"),
]


@pytest.mark.parametrize(("name", "folder", "table", "suffix"), CLASS_FOLDERS)
def test_class_folders(tmp_path, name, folder, table, suffix):
    names = list(table)[:4]
    for number, label in enumerate(names):
        for index in range(3):
            write(tmp_path / "data" / folder / label / f"{label}_{index}.{suffix}", picture(10 * number + index))
    if name in ("eurosat", "resisc45"):
        for split, index in (("train", 0), ("val", 1), ("test", 2)):
            lines = "\n".join(f"{label}_{index}.jpg" for label in names)
            write(tmp_path / "data" / f"{name}-{split}.txt", lines)
    corpus = build(name, tmp_path / "data", tmp_path / "corpus")
    found = stored(corpus)
    assert len(found) == 12
    for number, label in enumerate(names):
        for index in range(3):
            row, _, concepts, split = found[f"{label}/{label}_{index}.{suffix}"]
            assert concepts == [table[label]]
            assert corpus.source(row).encoded() == picture(10 * number + index), "the file's own bytes"
            if name in ("eurosat", "resisc45"):
                assert split == ("train", "val", "test")[index]
    scopes = corpus.table("scopes").to_pylist()
    assert {(s["closed"], tuple(s["concepts"])) for s in scopes} == {(True, classes.concepts(table))}
    assert all(row["licence"] for row, *_ in found.values())
    manifest = json.loads(next((tmp_path / "corpus" / "manifests").glob("*.json")).read_text())
    assert manifest["licence"] == next(iter(found.values()))[0]["licence"]


def test_pictures_of_other_formats_in_class_folders_are_said(tmp_path, capsys):
    folder = tmp_path / "data/RSSCN7/aGrass"
    write(folder / "a001.jpg", picture(1))
    write(folder / "a002.BMP", picture(2, "BMP"))
    write(folder / "notes.txt", "of the camera")
    assert len(stored(build("rsscn7", tmp_path / "data", tmp_path / "corpus"))) == 1
    said = capsys.readouterr().err
    assert "1 file in " in said
    assert "not read ('RSSCN7/aGrass/a002.BMP'); convert them to PNG" in said


KARPATHY = [
    ("rsicd", "dataset_rsicd.json", "RSICD_images", "airport_1.jpg", ["airport"]),
    ("rsitmd", "dataset_RSITMD.json", "images", "denseresidential_12.tif", ["dense residential area"]),
    ("ucm-captions", "dataset.json", "imgs", "1.tif", []),
    ("sydney-captions", "dataset.json", "imgs", "7.tif", []),
]


@pytest.mark.parametrize(("name", "table", "folder", "file", "concepts"), KARPATHY)
def test_captions_in_karpathys_form(tmp_path, name, table, folder, file, concepts):
    data = picture(1, "TIFF" if file.endswith("tif") else "JPEG")
    write(tmp_path / "data" / folder / file, data)
    sentences = [{"raw": f"sentence {i} .", "tokens": ["sentence"], "sentid": i} for i in range(5)]
    images = [{"filename": file, "imgid": 0, "split": "val", "sentences": sentences}]
    images.append({"filename": "gone.tif", "imgid": 1, "split": "test", "sentences": sentences})
    write(tmp_path / "data" / table, json.dumps({"images": images, "dataset": name}))
    corpus = build(name, tmp_path / "data", tmp_path / "corpus")
    ((key, (row, texts, found, split)),) = stored(corpus).items()
    assert key == f"val/{file}"
    assert texts == [f"sentence {i} ." for i in range(5)]
    assert (found, split) == (concepts, "val")
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decode_picture(corpus.source(row).encoded()), np.asarray(image))
    assert [(r["status"], r["reason"]) for r in corpus.ledger().to_pylist()].count(("dropped", "missing-file")) == 1


def test_nwpu_captions(tmp_path):
    write(tmp_path / "data" / "NWPU_images" / "airplane" / "airplane_001.jpg", picture(1))
    entry = {"filename": "airplane_001.jpg", "split": "test", "imgid": 1, "raw": "a", "raw_1": "b", "raw_2": "c"}
    write(tmp_path / "data" / "dataset_nwpu.json", json.dumps({"airplane": [entry | {"raw_3": "d", "raw_4": "e"}]}))
    found = stored(build("nwpu-captions", tmp_path / "data", tmp_path / "corpus"))
    assert found["test/airplane_001.jpg"][1:] == (["a", "b", "c", "d", "e"], ["airplane"], "test")


def test_real_captions_of_rsicd_and_rsitmd(test_data, tmp_path):
    folder = test_data / "remote_sensing" / "captions_rsicd_rsitmd"
    for name, split in (("rsicd", "test"), ("rsicd", "val"), ("rsitmd", "test"), ("rsitmd", "val")):
        content = json.loads((folder / f"{name}_{split}.json").read_text())
        records = list(caption_records(content, f"{name}_{split}.json"))
        assert len(records) == len(content) > 400
        assert {record[1] for record in records} == {split}
        assert all(len(record[2]) == len(image["caption"]) for record, image in zip(records, content, strict=True))
        assert sum(len(record[2]) for record in records) >= 4.9 * len(records)
    images = [record["image"].split("/")[1] for record in content[:6]]
    for number, image in enumerate(images):
        write(tmp_path / "data" / "images" / image, picture(number, "TIFF"))
    write(tmp_path / "data" / "rsitmd_val.json", json.dumps(content[:8]))
    found = stored(build("rsitmd", tmp_path / "data", tmp_path / "corpus"))
    assert len(found) == 6
    _, texts, concepts, split = found[f"val/{images[0]}"]
    assert (texts, split) == (content[0]["caption"], "val")
    assert concepts == ["farmland"]


def test_skyscript_keeps_places_of_the_test_set_out_of_training(tmp_path):
    root = tmp_path / "data"
    names = ["images2/a100_CH_19.jpg", "images2/a100_CH_21.jpg", "images3/w200_US_18.jpg", "images4/n300_FI_20.jpg"]
    for number, name in enumerate(names):
        write(root / name, picture(number))
    head = "filepath,title,title_multi_objects\n"
    rows = {
        "train_top30pct": f'{names[0]},golf course,links\n{names[2]},river,"river, bridge"\nimages2/x_US_1.jpg,a,b\n',
        "test_30K": f"{names[1]},golf course,links\n",
        "val_5K": f"{names[3]},tower,tower\n",
    }
    for part, text in rows.items():
        write(root / "dataframe" / f"SkyScript_{part}_filtered_by_CLIP_openai.csv", head + text)
    corpus = build("skyscript", root, tmp_path / "corpus")
    found = stored(corpus)
    assert {key: value[3] for key, value in found.items()} == {names[1]: "test", names[2]: "train", names[3]: "val"}
    assert found[names[2]][1] == ["river", "river, bridge"]
    assert found[names[3]][1] == ["tower"], "the same caption in both columns is one"
    assert {c["kind"] for c in corpus.table("captions").to_pylist()} == {"template"}


def test_skyscripts_tables_are_chosen_and_not_merged(tmp_path, capsys):
    root, head = tmp_path / "data", "filepath,title,title_multi_objects\n"
    for number in range(4):
        write(root / f"images2/a{number}_CH_19.jpg", picture(number))
    rows = [f"images2/a{number}_CH_19.jpg,river {number},bank {number}\n" for number in range(4)]
    names = {
        "train_unfiltered_5M": rows[:3], "train_top30pct_filtered_by_CLIP_laion_RS_language_polished": rows[:1],
        "test_30K_filtered_by_CLIP_openai": rows[3:],
    }  # fmt: skip
    for name, lines in names.items():
        write(root / "dataframe" / f"SkyScript_{name}.csv", head + "".join(lines))
    words = ["build", "skyscript", str(root), str(tmp_path / "corpus"), "--engine", "inline"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "2 tables of the split train" in said
    assert "--tables (dataframe/SkyScript_train_top30pct_filtered_by_CLIP_laion_RS_language_polished, " in said
    assert main([*words, "--tables", "SkyScript_train_top50pct"]) == 2
    assert "has no table 'SkyScript_train_top50pct'; it has dataframe/SkyScript_test_30K" in capsys.readouterr().err
    assert not (tmp_path / "corpus" / "tables").exists()
    polished = "SkyScript_train_top30pct_filtered_by_CLIP_laion_RS_language_polished.csv"
    for table, trained, kind in ((polished, {0}, "rewrite"), ("SkyScript_train_unfiltered_5M", {0, 1, 2}, "template")):
        words[3] = str(tmp_path / table)
        assert main([*words, "--tables", table]) == 0
        corpus = Corpus(tmp_path / table)
        found = stored(corpus)
        assert {name: entry[3] for name, entry in found.items()} == {
            **{f"images2/a{number}_CH_19.jpg": "train" for number in trained}, "images2/a3_CH_19.jpg": "test",
        }  # fmt: skip
        kinds = {row["text"]: row["kind"] for row in corpus.table("captions").to_pylist()}
        assert (kinds["river 0"], kinds["bank 3"]) == (kind, "template")


@pytest.mark.parametrize(
    ("chosen", "folder", "file", "label", "concept"),
    [
        ("aid", "aid", "aid_img_txt_pairs_test.csv", "bare land", "bare land"),
        ("resisc45", "nwpu", "img_txt_pairs_train.csv", "dense_residential", "dense residential area"),
        ("eurosat", "eurosat", "eurosat_img_txt_pairs_test.csv", "annual crop land", "annual crop"),
        ("fmow", "fmow", "fmow_img_txt_pairs_val.csv", "0", "airport"),
        ("millionaid", "millionaid", "img_txt_pairs_train.csv", "bapsketball_court", "basketball court"),
        ("patternnet", "patternnet", "img_txt_pairs_train.csv", "runway marking", "runway marking"),
        ("rsicb256", "rsicb256", "img_txt_pairs_train.csv", "sandbeach", "sand beach"),
        ("skyscript", "SkyScript_cls", "img_txt_pairs_val.csv", "1", "wind turbine"),
    ],
)
def test_skyscripts_classification_sets(tmp_path, chosen, folder, file, label, concept):
    root = tmp_path / "data" / folder
    write(root / "images" / "1.jpg", picture(1))
    write(root / file, f"filepath,label\nimages/1.jpg,{label}\n")
    write(root / "classnames.txt", "airport\nwind_turbine\n")
    found = stored(build("skyscript-benchmark", root, tmp_path / "corpus", set=chosen))
    assert found["images/1.jpg"][2:] == ([concept], "test")
    write(root / file, "filepath,label\nimages/1.jpg,unicorn\n")
    if chosen != "skyscript":
        with pytest.raises(InputError, match="'unicorn' is no class"):
            build("skyscript-benchmark", root, tmp_path / "other", set=chosen)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("folder", ["roof_shape", "smoothness", "surface"])
def test_skyscripts_fine_grained_sets_take_their_classes_from_the_download(tmp_path, folder, version):
    """Layout by test_scene_and_fine_grained_classification.ipynb; the names here are invented."""
    root = tmp_path / "data"
    for number in (1, 2):
        write(root / folder / "images" / f"{number}.jpg", picture(number))
    table = f"filepath,label_v1,label_v2\n{folder}/images/1.jpg,very_round,round\n{folder}/images/2.jpg,flat,1\n"
    write(root / folder / "img_txt_pairs_test.csv", table)
    write(root / folder / "classnames_v1.txt", "flat\nvery_round\nodd\n")
    write(root / folder / "classnames_v2.txt", "round\nflat\n")
    chosen = folder if version == "v1" else f"{folder}_v2"
    corpus = build("skyscript-benchmark", root, tmp_path / "corpus", set=chosen)
    found = {Path(name).name: row[2:] for name, row in stored(corpus).items()}
    first = "very round" if version == "v1" else "round"
    assert found == {"1.jpg": ([first], "test"), "2.jpg": (["flat"], "test")}
    name = {"roof_shape": "roof-shape", "smoothness": "road-smoothness", "surface": "road-surface"}[folder]
    task, _ = label_source(corpus, load_task(f"remote_sensing/{name}"))
    assert [item.concept for item in task.classes] == (
        ["flat", "very round", "odd"] if version == "v1" else ["round", "flat"]
    )
    (root / folder / f"classnames_{version}.txt").write_text("flat\nodd\n")
    with pytest.raises(InputError, match="is no class of"):
        build("skyscript-benchmark", root, tmp_path / "other", set=chosen)
    (root / folder / f"classnames_{version}.txt").unlink()
    with pytest.raises(
        InputError, match=f"has no classnames_{version}.txt, which names the classes; download {folder}"
    ):
        build("skyscript-benchmark", root, tmp_path / "other", set=chosen)


def test_skyscripts_retrieval_sets(tmp_path):
    for chosen, folder, file in (
        ("rsicd", "RSICD", "RSICD_img_txt_pairs_test.csv"), ("rsitmd", "RSITMD", "RSITMD_img_txt_pairs_test.csv"),
        ("ucm-captions", "ucmcaptions", "ucmcaptions_img_txt_pairs_test.csv"),
    ):  # fmt: skip
        root = tmp_path / folder
        write(root / "images" / "1.jpg", picture(1))
        write(root / file, "filepath,title\nimages/1.jpg,one .\nimages/1.jpg,two .\n")
        found = stored(build("skyscript-benchmark", root, tmp_path / f"corpus-{chosen}", set=chosen))
        assert found["images/1.jpg"][1:] == (["one .", "two ."], [], "test")
    with pytest.raises(ConfigError, match="no set 'imagenet'"):
        build("skyscript-benchmark", tmp_path, tmp_path / "c", set="imagenet")


def add_members(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_rs5m(tmp_path):
    root = tmp_path / "data"
    for split, base in (("train", 0), ("val", 100)):
        members = []
        for i in range(3):
            members += [(f"{i:06d}.img_content", picture(base + i)), (f"{i:06d}.img_name", b"a/b.jpg"),
                        (f"{i:06d}.caption", f"caption {base + i}".encode())]  # fmt: skip
        add_members(root / split / f"pub11-{split}-0000.tar", members)
    corpus = build("rs5m", root, tmp_path / "corpus")
    found = stored(corpus)
    assert len(found) == 6
    row, texts, _, split = found["val/pub11-val-0000/000001"]
    assert (texts, split) == (["caption 101"], "val")
    assert corpus.source(row).encoded() == picture(101)
    whole = (root / "train" / "pub11-train-0000.tar").read_bytes()
    write(tmp_path / "cut" / "train" / "pub11-train-0000.tar", whole[:2000])
    with pytest.raises(InputError, match="cut off"):
        build("rs5m", tmp_path / "cut", tmp_path / "other")


def test_gaia(tmp_path):
    root = tmp_path / "data"
    about = {"id": 7, "captions": ["one", "two", "three", "four", "five"], "url": "https://x"}
    members = [("000000007.png", picture(3, "PNG")), ("000000007.txt", b"alt text")]
    members += [("000000007.json", json.dumps(about).encode()), ("000000008.txt", b"a failed download has no picture")]
    add_members(root / "test" / "00000.tar", members)
    write(
        root / "test_data.json",
        json.dumps([{"id": 7, "lat": 1.5, "lon": 2.5, "satellite": "Landsat 8", "image_src": "u", "image_alt": "Alt"}]),
    )
    found = stored(build("gaia", root, tmp_path / "corpus"))
    row, texts, _, split = found["test/00000/000000007"]
    assert (texts, split) == (about["captions"], "test")
    assert json.loads(row["attributes"]) == {"lat": 1.5, "lon": 2.5, "satellite": "Landsat 8", "image_alt": "Alt"}


def test_fmow(tmp_path):
    root = tmp_path / "data"
    for split, place in (("train", "airport_0"), ("val", "airport_0"), ("test_gt", "airport_1")):
        for k in range(2):
            stem = root / split / "airport" / place / f"{place}_{k}_rgb"
            write(stem.with_suffix(".jpg"), picture(len(split) + 10 * k))
            about = {"gsd": 0.5, "timestamp": f"2016-05-0{k + 1}T10:00:00Z", "country_code": "FRA", "cloud_cover": 0}
            about |= {"bounding_boxes": [{"ID": 1, "category": "airport", "box": [2, 3, 10, 8]}]}
            about["sun_elevation_dbl"] = 55.5
            write(stem.with_suffix(".json"), json.dumps(about))
        write(root / split / "airport" / place / f"{place}_0_msrgb.jpg", picture(5))
    corpus = build("fmow", root, tmp_path / "corpus")
    found = stored(corpus)
    assert len(found) == 6
    row, _, concepts, split = found["test_gt/airport/airport_1/airport_1_1_rgb"]
    assert (concepts, split, row["gsd_m"], row["datetime"]) == (["airport"], "test", 0.5, "2016-05-02T10:00:00Z")
    assert row["study"] == "fmow/test_gt/airport/airport_1"
    assert json.loads(row["attributes"])["sun_elevation"] == 55.5
    region = next(r for r in corpus.table("regions").to_pylist() if r["uid"] == row["uid"])
    assert (region["box"], region["phrase"]) == ([3, 2, 11, 12], "airport")


@pytest.mark.parametrize("name", sorted(set(domain.recipes) - {"medmnist"}))
def test_an_empty_folder_is_refused_with_what_was_expected(tmp_path, name):
    (tmp_path / "empty").mkdir()
    options = {"skyscript-benchmark": {"set": "aid"}, "torchgeo": {"dataset": "EuroSAT"}}.get(name, {})
    with pytest.raises(InputError, match=r"empty' has no|has no folder|give the folder|does not find EuroSAT"):
        build(name, tmp_path / "empty", tmp_path / "corpus", **options)
    with pytest.raises(InputError, match="is not a folder"):
        build(name, tmp_path / "none", tmp_path / "corpus", **options)
    assert not (tmp_path / "corpus" / "tables").exists()


def test_a_damaged_picture_costs_one_row(tmp_path):
    write(tmp_path / "data" / "AID" / "Beach" / "1.jpg", picture(1))
    write(tmp_path / "data" / "AID" / "Beach" / "2.jpg", picture(2)[:200])
    write(tmp_path / "data" / "AID" / "Beach" / "3.tif", b"II*\x00 damaged")
    with pytest.raises(RunFailedError):
        build("aid", tmp_path / "data", tmp_path / "corpus")
    corpus = Corpus(tmp_path / "corpus")
    assert len(stored(corpus)) == 1
    assert {r["status"] for r in corpus.ledger().to_pylist()} == {"used", "failed"}


def test_tables_that_are_no_tables(tmp_path):
    write(tmp_path / "a" / "dataset.json", '{"images": [{"filename": "1.tif"}]}')
    with pytest.raises(InputError, match="no table of captions in a known form"):
        build("ucm-captions", tmp_path / "a", tmp_path / "corpus")
    write(tmp_path / "b" / "dataset.json", "{")
    with pytest.raises(InputError, match="not readable JSON"):
        build("ucm-captions", tmp_path / "b", tmp_path / "corpus")
    write(tmp_path / "c" / "SkyScript_train.csv", "path,words\na,b\n")
    with pytest.raises(InputError, match="no column for the picture paths"):
        build("skyscript", tmp_path / "c", tmp_path / "corpus")
