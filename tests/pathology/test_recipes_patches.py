"""Recipes of patch data sets, on miniatures with the official layouts: classes, patients, splits, licences, pixels."""

import csv
import io
import json

import h5py
import numpy as np
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.domain import discover
from voxtile.errors import InputError
from voxtile.evaluation.tasks.file import load_task
from voxtile.stages.verify.corpus import verify
from voxtile_pathology.recipes import class_folders, labelled, near_duplicates, pairs, pcam, segmented

COLLECTIONS = {
    c.name: c
    for module in (class_folders, labelled, pairs, pcam, segmented)
    for c in vars(module).values()
    if type(c).__name__ == "Collection"
}


def pixels(seed, side=24):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def picture(path, seed, side=24):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, side)).save(path)
    return path


def table(path, header, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def workbook(path, header, *rows):
    from openpyxl import Workbook

    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    for row in (header, *rows):
        book.active.append(row)
    book.save(path)


def built(name, root, tmp_path):
    corpus = tmp_path / "corpus"
    assert main(["build", name, str(root), str(corpus), "--engine", "inline"]) == 0
    found = Corpus(corpus)
    assert not verify(corpus).problems
    splits, concepts, texts = found.splits(), {}, {}
    for row in found.table("facts").to_pylist():
        concepts.setdefault(row["uid"], set()).add(row["concept"])
    for row in found.table("captions").to_pylist():
        texts.setdefault(row["uid"], []).append(row["text"])
    rows = {}
    for row in found.table("samples").to_pylist():
        key = row["source"].partition("/")[2]
        row |= {"split": splits[row["subject"]], "concepts": concepts.get(row["uid"]), "texts": texts.get(row["uid"])}
        row["pixels"] = decode_picture(found.source(row).encoded())
        rows[key] = row
        assert (row["kind"], row["modality"], row["licence"]) == ("patch", "SM", COLLECTIONS[name].licence)
    return found, rows


def test_nct_crc_has_its_official_test_and_exact_tiff_pixels(tmp_path):
    root = tmp_path / "NCT-CRC"
    picture(root / "NCT-CRC-HE-100K/TUM/TUM-AAAMHQMK.tif", 1)
    picture(root / "NCT-CRC-HE-100K/ADI/ADI-AACCGLYD.tif", 2)
    picture(root / "CRC-VAL-HE-7K/ADI/ADI-TCGA-AAICEQFN.tif", 3)
    corpus, rows = built("nct-crc", root, tmp_path)
    assert {k: (r["split"], r["concepts"]) for k, r in rows.items()} == {
        "NCT-CRC-HE-100K/TUM/TUM-AAAMHQMK.tif": ("train", {"colorectal adenocarcinoma epithelium"}),
        "NCT-CRC-HE-100K/ADI/ADI-AACCGLYD.tif": ("train", {"adipose tissue"}),
        "CRC-VAL-HE-7K/ADI/ADI-TCGA-AAICEQFN.tif": ("test", {"adipose tissue"}),
    }
    row = rows["NCT-CRC-HE-100K/TUM/TUM-AAAMHQMK.tif"]
    np.testing.assert_array_equal(row["pixels"], pixels(1))
    assert (row["mpp"], row["codec"]) == ([0.5, 0.5], "png")
    scopes = corpus.table("scopes").to_pylist()
    assert {(s["vocabulary"], s["closed"], len(s["concepts"])) for s in scopes} == {("nct-crc", True, 9)}

    picture(tmp_path / "other/CATS/a.tif", 1)
    with pytest.raises(InputError, match="official folders are NCT-CRC-HE-100K"):
        class_folders.build_nct_crc(tmp_path / "other", tmp_path / "none", engine="inline")


def test_bach_leaves_the_unlabelled_test_out(tmp_path):
    root = tmp_path / "ICIAR2018_BACH_Challenge"
    for seed, name in enumerate(("Normal/n001", "Benign/b001", "InSitu/is001", "Invasive/iv001")):
        picture(root / f"Photos/{name}.tif", seed)
    picture(root / "Photos/test0.tif", 9)
    _, rows = built("bach", root, tmp_path)
    assert {r["concepts"].pop() for r in rows.values()} == set(COLLECTIONS["bach"].vocabularies["bach"])
    assert len(rows) == 4


def test_breakhis_patients_stay_together(tmp_path):
    root = tmp_path / "BreaKHis_v1/histology_slides/breast"
    folder = root / "benign/SOB/adenosis/SOB_B_A_14-22549AB"
    picture(folder / "40X/SOB_B_A-14-22549AB-40-001.png", 1)
    picture(folder / "400X/SOB_B_A-14-22549AB-400-001.png", 2)
    picture(root / "malignant/SOB/ductal_carcinoma/SOB_M_DC_14-2523/40X/SOB_M_DC-14-2523-40-010.png", 3)
    _, rows = built("breakhis", tmp_path / "BreaKHis_v1", tmp_path)
    by_name = {key.rpartition("/")[2]: row for key, row in rows.items()}
    small, large = by_name["SOB_B_A-14-22549AB-40-001.png"], by_name["SOB_B_A-14-22549AB-400-001.png"]
    assert small["subject"] == large["subject"] == "breakhis-14-22549AB"
    assert (small["mpp"], large["mpp"]) == ([0.49, 0.49], [0.05, 0.05])
    assert small["concepts"] == {"benign breast tumour", "adenosis"}
    assert by_name["SOB_M_DC-14-2523-40-010.png"]["concepts"] == {"malignant breast tumour", "ductal carcinoma"}


def test_real_breakhis_pictures_are_stored_byte_for_byte(test_data, tmp_path):
    root = test_data / "pathology/breakhis_12"
    corpus, rows = built("breakhis", root, tmp_path)
    assert len(rows) == 12
    for key, row in rows.items():
        assert corpus.source(row).encoded() == (root / key).read_bytes()
        assert key.split("/")[0] in next(c for c in row["concepts"] if "breast tumour" in c)
        assert key.split("/")[1].replace("_", " ").replace("tumor", "tumour").rstrip("s") in " ".join(row["concepts"])


def turned(image, angle, *, mirrored=False):
    out = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image
    return out.rotate(angle, Image.Resampling.BICUBIC)


def tissue_like(seed, side=256):
    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 1, (12, 12, 3)) * rng.uniform(0.3, 0.6) + rng.uniform(0.2, 0.5, 3)
    image = Image.fromarray((np.clip(small, 0, 1) * 255).astype(np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    noise = rng.normal(0, 12, (side, side, 1))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def test_lc25000s_copies_are_found_counted_and_kept_together(tmp_path, capsys):
    root, original = tmp_path / "lung_colon_image_set", {}
    changes = [(0, False), (17, False), (-22, True), (5, True), (25, False)]
    for folder in ("colon_image_sets/colon_n", "lung_image_sets/lung_aca"):
        (root / folder).mkdir(parents=True)
        for index in range(6):
            image = tissue_like(index + 100 * ("lung" in folder))
            for copy, (angle, mirrored) in enumerate(changes):
                name = f"{folder.rpartition('/')[2].replace('_', '')}{index * len(changes) + copy + 1}.jpeg"
                turned(image, angle, mirrored=mirrored).save(root / folder / name, quality=90)
                original[f"{folder}/{name}"] = (folder, index)
    _, rows = built("lc25000", root, tmp_path)
    groups = {}
    for key, row in rows.items():
        groups.setdefault(row["subject"], set()).add(original[key])
        assert json.loads(row["attributes"])["near_duplicates"] == 4
    assert len(groups) == 12
    assert all(len(originals) == 1 for originals in groups.values())
    said = " ".join(capsys.readouterr().err.split())
    assert "60 pictures are turned and flipped copies of 12 originals" in said
    assert "99.8%" in said  # 1 - 0.2⁴


def test_the_leak_of_a_random_split_is_a_simulations():
    sizes = [1, 2, 5, 20]
    rng, hits, count = np.random.default_rng(0), 0, 0
    group = np.repeat(np.arange(4), sizes)
    for _ in range(4000):
        is_test = rng.random(len(group)) < 0.2
        hits += np.isin(group[is_test], group[~is_test]).sum()
        count += is_test.sum()
    assert near_duplicates.random_split_leak(sizes, test_share=0.2) == pytest.approx(hits / count, abs=0.01)
    assert near_duplicates.near_duplicate_groups([]) == []


def test_mhist_partitions_votes_and_missing_files(tmp_path):
    header = ["Image Name", "Majority Vote Label", "Number of Annotators who Selected SSA (Out of 7)", "Partition"]
    rows = [
        ["MHIST_aaa.png", "SSA", 6, "train"],
        ["MHIST_aab.png", "HP", 0, "test"],
        ["MHIST_aac.png", "HP", 1, "test"],
    ]
    table(tmp_path / "mhist/annotations.csv", header, *rows)
    for seed, row in enumerate(rows[:2]):
        picture(tmp_path / "mhist/images" / row[0], seed)
    corpus, found = built("mhist", tmp_path / "mhist", tmp_path)
    ssa, hp = found["images/MHIST_aaa.png"], found["images/MHIST_aab.png"]
    assert (ssa["concepts"], ssa["split"], json.loads(ssa["attributes"])["votes_for_ssa"]) == (
        {"sessile serrated adenoma"}, "train", 6,
    )  # fmt: skip
    assert (hp["concepts"], hp["split"]) == ({"hyperplastic polyp"}, "test")
    ledger = {row["source"]: row["reason"] for row in corpus.ledger().to_pylist()}
    assert ledger["mhist/images/MHIST_aac.png"] == "missing-file"


def test_osteosarcoma_names_differ_between_table_and_files(tmp_path, capsys):
    rows = [
        ["Case 3-A2-40456-38014", "Non-Tumor"],
        ["Case 48 - P5-C27-48571", "Viable"],
        ["case 4-A8-1-2", "viable: non-viable"],
        ["Case 3-A2-9-9", "Non-Viable-Tumor"],
    ]
    table(tmp_path / "osteo/ML_Features_1144.csv", ["image.name", "classification"], *rows)
    files = ("Training-Set-1/set1/Case-3-A2-40456-38014", "Training-Set-2/Case-48-P5-C27-48571", "x/Case-4-A8-1-2")
    for seed, name in enumerate(files):
        picture(tmp_path / f"osteo/{name}.jpg", seed)
    corpus, found = built("osteosarcoma", tmp_path / "osteo", tmp_path)
    held = {row["subject"].rpartition("osteosarcoma-")[2]: row["concepts"] for row in found.values()}
    assert held == {
        "case-3": {"non-tumour tissue"}, "case-48": {"viable osteosarcoma"},
        "case-4": {"viable and necrotic osteosarcoma"},
    }  # fmt: skip
    assert {row["reason"] for row in corpus.ledger().to_pylist() if row["status"] != "used"} == {"missing-file"}
    table(tmp_path / "osteo/ML_Features_1144.csv", ["image.name", "classification"], ["tile 7", "Viable"])
    assert main(["build", "osteosarcoma", str(tmp_path / "osteo"), str(tmp_path / "c"), "--engine", "inline"]) == 2
    assert "begins with no case" in " ".join(capsys.readouterr().err.split())


def test_sicap_reads_partitions_and_patients(tmp_path):
    root = tmp_path / "SICAPv2"
    names = {split: f"16B000185{i}_Block_Region_1_0_0_xini_{i}_yini_5.jpg" for i, split in enumerate(("a", "b", "c"))}
    header = ["image_name", "NC", "G3", "G4", "G5", "G4C"]
    workbook(root / "partition/Validation/Val1/Train.xlsx", header, [names["a"], 1, 0, 0, 0, 0])
    workbook(root / "partition/Validation/Val1/Test.xlsx", header, [names["b"], 0, 0, 1, 0, 1])
    workbook(root / "partition/Test/Test.xlsx", header, [names["c"], 0, 0, 0, 1, 0])
    slides = [[f"16B000185{i}", f"P{i}", 3, 4] for i in range(3)]
    workbook(root / "wsi_labels.xlsx", ["slide_id", "patient_id", "Gleason_primary", "Gleason_secondary"], *slides)
    for seed, name in enumerate(names.values()):
        picture(root / "images" / name, seed)
    _, rows = built("sicap", root, tmp_path)
    assert [(r["split"], r["subject"], r["concepts"]) for _, r in sorted(rows.items())] == [
        ("train", "sicap-P0", {"benign prostate tissue"}),
        ("val", "sicap-P1", {"Gleason grade 4 prostate cancer"}),
        ("test", "sicap-P2", {"Gleason grade 5 prostate cancer"}),
    ]
    workbook(root / "partition/Test/Test.xlsx", header, [names["c"], 1, 0, 0, 1, 0])
    with pytest.raises(InputError, match="has 2 classes"):
        labelled.build_sicap(root, tmp_path / "none", engine="inline")
    (root / "wsi_labels.xlsx").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match="not a readable Excel file"):
        labelled.build_sicap(root, tmp_path / "none", engine="inline")


@pytest.mark.parametrize("inner", ["", "data/"])
def test_skin_cancer_sets_and_slides(tmp_path, inner):
    root = tmp_path / "skin"
    rows = [
        ["nontumor_skin_dermis_dermis", "ws_44_1", "Train"], ["nontumor_skin_dermis_dermis", "ws_44_5", "Train"],
        ["tumor_skin_melanoma_melanoma", "ws_7_2", "Test"], ["tumor_skin_naevus_naevus", "ws_9_2", "Validation"],
    ]  # fmt: skip
    files = [[label, f"data/tiles/{label}/{label}_{name}.jpg", part] for label, name, part in rows]
    table(root / f"{inner}tiles-v2.csv", ["class", "file", "set"], *files)
    for seed, (_, file, _) in enumerate(files):
        picture(root / inner / file.removeprefix("data/"), seed)
    _, found = built("skin-cancer", root, tmp_path)
    by_name = {key.rpartition("/")[2]: row for key, row in found.items()}
    dermis = [by_name[f"nontumor_skin_dermis_dermis_ws_44_{i}.jpg"] for i in (1, 5)]
    assert {r["subject"] for r in dermis} == {"skin-cancer-ws_44"}
    assert by_name["tumor_skin_melanoma_melanoma_ws_7_2.jpg"]["split"] == "test"
    assert by_name["tumor_skin_naevus_naevus_ws_9_2.jpg"]["split"] == "val"
    assert dermis[0]["mpp"][0] == pytest.approx(0.253, abs=1e-3)


def test_wsss4luad_labels_come_from_names_and_masks(tmp_path):
    root = tmp_path / "WSSS4LUAD"
    picture(root / "1.training/1031280-2300-27920-[1 0 1].png", 1)
    picture(root / "1.training/1.2.276_38208_17984_[0_1_0].png", 2)
    picture(root / "2.validation/img/00.png", 3)
    picture(root / "3.testing/img/01.png", 4)
    for folder, values in (("2.validation", [0, 3]), ("3.testing", [1, 2])):
        mask = Image.fromarray(np.resize(np.array(values, np.uint8), (24, 24)))
        mask.putpalette([0, 64, 128, 64, 128, 0, 243, 152, 0, 255, 255, 255])
        name = root / folder / "mask" / ("00.png" if "val" in folder else "01.png")
        name.parent.mkdir()
        mask.save(name)
    _, rows = built("wsss4luad", root, tmp_path)
    tumour, stroma, normal = COLLECTIONS["wsss4luad"].vocabularies["wsss4luad"]
    assert {key: (r["split"], r["concepts"]) for key, r in rows.items()} == {
        "1.training/1031280-2300-27920-[1 0 1].png": ("train", {tumour, normal}),
        "1.training/1.2.276_38208_17984_[0_1_0].png": ("train", {stroma}),
        "2.validation/img/00.png": ("val", {tumour}),
        "3.testing/img/01.png": ("test", {stroma, normal}),
    }
    assert rows["1.training/1031280-2300-27920-[1 0 1].png"]["subject"] == "wsss4luad-1031280"
    every = np.indices((24, 24)).sum(axis=0) * 0 + np.arange(24) % 2  # the masks alternate along the row
    assert regions_of(tmp_path) == {
        ("wsss4luad/2.validation/img/00.png", tumour): (every == 0).tolist(),
        ("wsss4luad/3.testing/img/01.png", stroma): (every == 0).tolist(),
        ("wsss4luad/3.testing/img/01.png", normal): (every == 1).tolist(),
    }


def regions_of(tmp_path):
    """(source, phrase) → mask of each region of the corpus; boxes are those of the masks."""
    store = Corpus(tmp_path / "corpus")
    sources = {row["uid"]: row["source"] for row in store.table("samples").to_pylist()}
    found = {}
    for row in store.table("regions").to_pylist():
        mask = np.asarray(store.mask(row))
        ys, xs = np.nonzero(mask)
        assert row["box"] == [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]
        found[sources[row["uid"]], row["phrase"]] = mask.tolist()
    return found


def test_digestpath_masks_are_regions_although_jpeg_blurs_them(tmp_path, capsys):
    root = tmp_path / "tissue"
    stem = "18-09530B_2019-05-07 23_05_49-lv1-12335-17049-4689-4292"
    truth = np.zeros((64, 64), bool)
    truth[16:48, 8:40] = True
    picture(root / f"tissue-train-pos-v1/{stem}.jpg", 1, 64)
    mask = root / f"tissue-train-pos-v1/{stem}_mask.jpg"
    Image.fromarray(truth.astype(np.uint8) * 255).save(mask, quality=75)
    built("digestpath", root, tmp_path)
    source = f"digestpath/tissue-train-pos-v1/{stem}.jpg"
    assert regions_of(tmp_path) == {(source, "malignant colonic lesion"): truth.tolist()}
    for content, told in ((b"no picture", "not a readable mask"), (None, "64 x 32 pixels, and its picture has others")):
        Image.fromarray(truth[:32].astype(np.uint8)).save(mask) if content is None else mask.write_bytes(content)
        corpus = tmp_path / told[:3].strip()
        assert main(["build", "digestpath", str(root), str(corpus), "--engine", "inline"]) == 1
        assert told in " ".join(capsys.readouterr().out.replace("\n", " ").split())
        assert [row["reason"] for row in Corpus(corpus).ledger().to_pylist() if row["reason"]] == ["unreadable-mask"]
        assert len(Corpus(corpus).table("samples")) == 1


def test_digestpath_cases(tmp_path):
    root = tmp_path / "Colonoscopy_tissue_segment_dataset"
    stem = "18-09530B_2019-05-07 23_05_49-lv1-12335-17049-4689-4292"
    picture(root / f"tissue-train-pos-v1/{stem}.jpg", 1)
    picture(root / f"tissue-train-pos-v1/{stem}_mask.jpg", 2)
    picture(root / "tissue-train-neg/2018_64982_1-3_2018-05-24 21_50_30-lv1-35247-7606-5543-5895.jpg", 3)
    _, rows = built("digestpath", root, tmp_path)
    found = {r["subject"]: r["concepts"] for r in rows.values()}
    assert found == {
        "digestpath-18-09530B": {"malignant colonic lesion"},
        "digestpath-2018_64982_1-3": {"benign colonic mucosa"},
    }


QUILT_HEADER = ["", "caption", "image_path", "subset", "split", "pathology", "magnification", "height", "width"]


def test_quilt_joins_captions_of_a_picture_and_videos(tmp_path):
    root, video = tmp_path / "quilt", "z2rAMFSHNrE_image_d64b1b8c.jpg"
    rows = [
        [0, "Dermal nodules, palisading.", video, "quilt", "train", "['Dermatopathology']", 2.0, 512, 512],
        [1, "Granuloma annulare.", video, "quilt", "train", "['Dermatopathology']", 2.0, 512, 512],
        [2, "Another frame.", "z2rAMFSHNrE_image_f00.jpg", "quilt", "train", "", 1.0, 512, 512],
        [3, "An article's figure.", "PMC1_image_2.jpg", "pubmed", "val", "", "", 512, 512],
        [4, "Not downloaded.", "gone_image_1.jpg", "quilt", "train", "", "", 512, 512],
        [5, "", "PMC1_image_2.jpg", "pubmed", "val", "", "", 512, 512],
    ]
    table(root / "quilt_1M_lookup.csv", QUILT_HEADER, *rows)
    for seed, name in enumerate((video, "z2rAMFSHNrE_image_f00.jpg")):
        picture(root / "images_part_1/quilt_1m" / name, seed)
    picture(root / "images_part_2/PMC1_image_2.jpg", 5)
    corpus, found = built("quilt-1m", root, tmp_path)
    by_name = {key.rpartition("/")[2]: row for key, row in found.items()}
    assert sorted(by_name[video]["texts"]) == ["Dermal nodules, palisading.", "Granuloma annulare."]
    assert by_name[video]["subject"] == by_name["z2rAMFSHNrE_image_f00.jpg"]["subject"] == "quilt-1m-z2rAMFSHNrE"
    article = by_name["PMC1_image_2.jpg"]
    assert (article["split"], article["texts"]) == ("val", ["An article's figure."])
    assert json.loads(by_name[video]["attributes"])["magnification"] == "2.0"
    ledger = {row["source"]: row["reason"] for row in corpus.ledger().to_pylist()}
    assert ledger["quilt-1m/gone_image_1.jpg"] == "missing-file"
    assert corpus.source(article).encoded() == (root / "images_part_2/PMC1_image_2.jpg").read_bytes()

    picture(root / "images_part_3/gone_image_1.jpg", 8)  # more arrives later, and only that is read
    assert main(["build", "quilt-1m", str(root), str(tmp_path / "corpus"), "--engine", "inline"]) == 0
    assert len(Corpus(tmp_path / "corpus").table("samples")) == 4


def test_openpath_in_the_layout_of_plip(tmp_path):
    root = tmp_path / "openpath"
    table(root / "train.csv", ["image", "caption"], ["images/a.jpg", "Melanoma?"], ["images/a.jpg", "In situ."])
    table(root / "more.csv", ["image", "caption"], ["b.jpg", "Synovial sarcoma."])
    for seed, name in enumerate("ab"):
        picture(root / f"images/{name}.jpg", seed)
    _, rows = built("openpath", root, tmp_path)
    assert rows["images/a.jpg"]["split"] == "train"
    assert sorted(rows["images/a.jpg"]["texts"]) == ["In situ.", "Melanoma?"]
    assert rows["images/b.jpg"]["texts"] == ["Synovial sarcoma."]
    with pytest.raises(InputError, match="no CSV with the columns image and caption"):
        pairs.build_openpath(root / "images", tmp_path / "none", engine="inline")


def test_archs_figures_are_studies(tmp_path):
    root = tmp_path / "ARCH"
    books = {
        "0": {"figure_id": "00", "letter": "A", "caption": "(A) Gland. (B) Stroma.", "uuid": "u-1"},
        "1": {"figure_id": "00", "letter": "B", "caption": "(A) Gland. (B) Stroma.", "uuid": "u-2"},
        "2": {"figure_id": "01", "letter": "Single", "caption": "Cyst.", "uuid": "u-3"},
    }
    for name, content in (("books_set", books), ("pubmed_set", {"0": {"caption": "Naevus.", "uuid": "p-1"}})):
        (root / name / "images").mkdir(parents=True)
        (root / name / "captions.json").write_text(json.dumps(content))
    picture(root / "books_set/images/u-1.png", 1)
    picture(root / "books_set/images/u-2.png", 2)
    picture(root / "pubmed_set/images/p-1.jpg", 3)
    corpus, rows = built("arch", root, tmp_path)
    one, two = rows["books_set/images/u-1.png"], rows["books_set/images/u-2.png"]
    assert one["subject"] == two["subject"] == one["study"] == "arch-books_set-00"
    assert rows["pubmed_set/images/p-1.jpg"]["texts"] == ["Naevus."]
    assert {r["reason"] for r in corpus.ledger().to_pylist()} == {None, "missing-file"}

    alone = tmp_path / "alone"
    alone.mkdir()
    assert main(["build", "arch", str(root / "pubmed_set"), str(alone / "corpus"), "--engine", "inline"]) == 0
    assert Corpus(alone / "corpus").table("captions")["text"].to_pylist() == ["Naevus."]
    (root / "books_set/captions.json").write_text("[1]")
    with pytest.raises(InputError, match="not a mapping of captions"):
        pairs.build_arch(root, tmp_path / "none", engine="inline")


def pcam_files(root, counts=(("train", 300), ("valid", 5), ("test", 7)), **replaced):
    root.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for seed, (split, count) in enumerate(counts):
        rng = np.random.default_rng(seed)
        x = replaced.get("x", rng.integers(0, 256, (count, 96, 96, 3), dtype=np.uint8))
        y = rng.integers(0, 2, (count, 1, 1, 1), dtype=np.uint8)
        arrays[split] = x, y
        for part, array in (("x", x), ("y", y)):
            with h5py.File(root / f"camelyonpatch_level_2_split_{split}_{part}.h5", "w") as file:
                file[part] = array
        meta = [[i, 0, 0, 1, 1, f"camelyon16_{split}_{i % 2:03d}"] for i in range(count)]
        header = ["", "coord_y", "coord_x", "tumor_patch", "center_tumor_patch", "wsi"]
        table(root / f"camelyonpatch_level_2_split_{split}_meta.csv", header, *meta)
    return arrays


def test_pcam_pixel_for_pixel_with_slides(tmp_path):
    arrays = pcam_files(tmp_path / "pcamv1")
    _, rows = built("pcam", tmp_path / "pcamv1", tmp_path)
    assert len(rows) == 312
    names = {"0": "normal lymph node tissue", "1": "lymph node metastasis"}
    for split, index in (("train", 0), ("train", 299), ("valid", 4), ("test", 6)):
        row = rows[f"{split}-{index:06d}"]
        np.testing.assert_array_equal(row["pixels"], arrays[split][0][index])
        assert row["concepts"] == {names[str(arrays[split][1][index].item())]}
        assert row["split"] == {"valid": "val"}.get(split, split)
        assert row["subject"] == f"pcam-camelyon16_{split}_{index % 2:03d}"


def test_pcam_a_label_that_was_corrected_is_noticed(tmp_path):
    root, corpus = tmp_path / "pcamv1", tmp_path / "corpus"
    arrays = pcam_files(root, (("train", 3), ("valid", 3), ("test", 3)))
    for corrected, reason in ((False, None), (True, "stored-otherwise")):
        with h5py.File(root / "camelyonpatch_level_2_split_train_y.h5", "r+") as file:
            file["y"][0] = arrays["train"][1][0] ^ corrected
        pcam.build_pcam(root, corpus, engine="inline")
        assert reason in {row["reason"] for row in Corpus(corpus).ledger().to_pylist()}


def test_pcam_bad_files(tmp_path):
    root = tmp_path / "a"
    pcam_files(root, (("train", 3),), x=np.zeros((3, 90, 96, 3), np.uint8))
    with pytest.raises(InputError, match=r"train_x.h5 .* shape \(3, 90, 96, 3\)"):
        pcam.build_pcam(root, tmp_path / "none", engine="inline")
    (root / "camelyonpatch_level_2_split_train_x.h5").rename(root / "camelyonpatch_level_2_split_train_x.h5.gz")
    with pytest.raises(InputError, match="unpack it with: gunzip"):
        pcam.build_pcam(root, tmp_path / "none", engine="inline")
    (root / "camelyonpatch_level_2_split_train_x.h5").write_bytes(b"not HDF5")
    with pytest.raises(InputError, match="not a readable HDF5"):
        pcam.build_pcam(root, tmp_path / "none", engine="inline")
    with pytest.raises(InputError, match=r"has no .camelyonpatch_level_2_split_train_x"):
        pcam.build_pcam(tmp_path, tmp_path / "none", engine="inline")
    assert not (tmp_path / "none").exists()


def test_damaged_pictures_cost_one_row(tmp_path):
    root = tmp_path / "NCT-CRC-HE-100K"
    picture(root / "TUM/TUM-A.tif", 1)
    cut = picture(root / "TUM/TUM-B.tif", 2)
    cut.write_bytes(cut.read_bytes()[:500])
    (root / "TUM/TUM-C.tif").write_bytes(b"II*\0garbage")
    deep = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(deep, "TIFF")
    (root / "TUM/TUM-D.tif").write_bytes(deep.getvalue())
    assert main(["build", "nct-crc", str(root), str(tmp_path / "corpus"), "--engine", "inline"]) == 1
    ledger = {r["source"].rpartition("/")[2]: r["reason"] for r in Corpus(tmp_path / "corpus").ledger().to_pylist()}
    assert ledger == {
        "TUM-A.tif": None, "TUM-B.tif": "decode-error", "TUM-C.tif": "decode-error", "TUM-D.tif": "bit-depth",
    }  # fmt: skip


def test_empty_and_missing_folders_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for build in (class_folders.build_bach, class_folders.build_lc25000, segmented.build_digestpath):
        with pytest.raises(InputError, match="holds no picture of"):
            build(tmp_path / "empty", tmp_path / "none", engine="inline")
    with pytest.raises(InputError, match="is not a folder"):
        class_folders.build_bach(tmp_path / "gone", tmp_path / "none", engine="inline")
    with pytest.raises(InputError, match=r"has no 'quilt_1M_lookup.csv'"):
        pairs.build_quilt(tmp_path / "empty", tmp_path / "none", engine="inline")
    assert not (tmp_path / "none").exists()


TASKS = [name for name, c in COLLECTIONS.items() if c.classes]


@pytest.mark.parametrize("name", TASKS)
def test_every_labelled_data_set_has_a_task_with_its_classes(name):
    collection = COLLECTIONS[name]
    for vocabulary in collection.classes:
        task = load_task(f"pathology/{vocabulary}")
        assert {c.concept for c in task.classes} == set(collection.vocabularies[vocabulary])
        assert task.labels.vocabulary == vocabulary
        assert task.multilabel is (name == "wsss4luad")  # the tissues of a picture
        assert all(len(c.wordings) >= 2 for c in task.classes)


def test_every_collection_has_a_recipe_and_a_licence():
    recipes = discover()[0]["pathology"].recipes
    assert set(COLLECTIONS) <= set(recipes)
    assert all(c.licence and c.source.startswith("https://") for c in COLLECTIONS.values())
