"""`convert image`: folders and tables become samples, facts and splits; identifiers stay out when asked."""

import io
import re

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile_datasets.converters.image import convert_image
from voxtile_datasets.converters.metadata import without_metadata
from voxtile_datasets.converters.modalities import MODALITIES

SECRET = "Ada-Lovelace-1815"


def pixels(seed, size=(20, 24)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def write(path, seed, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed)).save(path, **options)
    return path


def facts(root):
    corpus = Corpus(root)
    source = {row["uid"]: row["source"] for row in corpus.table("samples").to_pylist()}
    found = {name: set() for name in source.values()}
    for row in corpus.table("facts").to_pylist():
        found[source[row["uid"]]].add(row["concept"])
    return found


def rows(root, table="samples"):
    return Corpus(root).table(table).to_pylist()


def ledger(root):
    return {row["source"]: (row["status"], row["reason"]) for row in Corpus(root).ledger().to_pylist()}


def convert(source, root, **options):
    convert_image(source, root, engine="inline", **options)


def test_class_folders_become_facts_with_closed_scopes_and_bytes_stay(tmp_path):
    for i, name in enumerate(["cat/a.jpg", "cat/b.png", "dog/c.jpg", "dog/d.jpeg"]):
        write(tmp_path / "in" / name, i)
    root = tmp_path / "corpus"
    convert(tmp_path / "in", root, licence="CC0-1.0", modality="RGB", body_part="whole animal")
    assert facts(root) == {"cat/a.jpg": {"cat"}, "cat/b.png": {"cat"}, "dog/c.jpg": {"dog"}, "dog/d.jpeg": {"dog"}}
    assert {(r["vocabulary"], r["closed"], tuple(r["concepts"])) for r in rows(root, "scopes")} == {
        ("class-folders", True, ("cat", "dog"))
    }
    for row in rows(root):
        data = (root / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["nbytes"]]
        assert data == (tmp_path / "in" / row["source"]).read_bytes()
        assert row["attributes"] == '{"body_part": "whole animal"}'


def test_shards_of_img2dataset_are_no_classes_and_texts_beside_pictures_are_told(tmp_path, capsys):
    for name in ("00000/000000", "00000/000001", "00001/000010", "00001/000011"):
        write(tmp_path / "in" / f"{name}.jpg", int(name[-6:]))
        (tmp_path / "in" / f"{name}.txt").write_text("a caption")
        (tmp_path / "in" / f"{name[:5]}_stats.json").write_text("{}")
    convert(tmp_path / "in", tmp_path / "corpus")
    assert rows(tmp_path / "corpus", "facts") == []
    assert "4 pictures have a text file of their name beside them, which is not read" in capsys.readouterr().err


def test_split_folders_are_splits_and_nested_folders_several_vocabularies(tmp_path):
    names = ["train/benign/x/1.png", "train/malignant/y/2.png", "valid/benign/x/3.png", "test/malignant/y/4.png"]
    for i, name in enumerate([*names, "test/malignant/z/deeper/5.png"]):
        write(tmp_path / "in" / name, i)
    root = tmp_path / "corpus"
    convert(tmp_path / "in", root)
    assert facts(root)["test/malignant/z/deeper/5.png"] == {"malignant", "z"}
    assert sorted(Corpus(root).splits().values()) == ["test", "test", "train", "train", "val"]


def test_real_patches_in_class_folders(test_data, tmp_path):
    root = tmp_path / "corpus"
    convert(test_data / "pathology/breakhis_12", root, subject_pattern=r"14-(\w+)-", modality="SM")
    found = facts(root)
    assert len(found) == 12
    for name, concepts in found.items():
        top, kind = name.split("/")[:2]
        assert concepts == {top, kind}
    assert len({row["subject"] for row in rows(root) if "25197" in row["source"]}) == 1
    assert all(row["shape"] == [460, 700, 3] for row in rows(root))


def test_label_table_with_several_labels_texts_subjects_and_splits(tmp_path):
    for i in range(4):
        write(tmp_path / "in" / f"{i}.png", i)
    lines = [
        "Image Index,Finding Labels,caption,Patient ID,split", "0.png,Mass|Nodule,a text,p1,train",
        "1.png,Nodule,,p1,train", "2.png,,only text,p2,test", "gone.png,Hernia,,p9,test",
    ]  # fmt: skip
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    root = tmp_path / "corpus"
    convert(tmp_path / "in", root, labels=tmp_path / "labels.csv")
    assert facts(root) == {"0.png": {"Mass", "Nodule"}, "1.png": {"Nodule"}, "2.png": set(), "3.png": set()}
    splits = Corpus(root).splits()
    assert (splits["p1"], splits["p2"]) == ("train", "test")
    assert sorted(row["text"] for row in rows(root, "captions")) == ["a text", "only text"]
    scoped = {row["uid"] for row in rows(root, "scopes")}
    assert len(scoped) == 2, "a picture without a label was not looked at"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("a.png", "b.png"), ""),
        (("a.png",), "0 of 1 rows of 'LABELS' name no picture of the folder, and 1 of 2 pictures have no row"),
        (
            ("a.png", "c.png", "b.jpg"),
            "2 of 3 rows of 'LABELS' name no picture of the folder, and 1 of 2 pictures have",
        ),
    ],
)
def test_rows_without_a_picture_and_pictures_without_a_row_are_counted(tmp_path, capsys, files, said):
    for i, name in enumerate(("a.png", "b.png")):
        write(tmp_path / "in" / name, i)
    (tmp_path / "labels.csv").write_text("file,label\n" + "".join(f"{name},cat\n" for name in files))
    convert(tmp_path / "in", tmp_path / "corpus", labels=tmp_path / "labels.csv")
    shown = capsys.readouterr().err
    assert said.replace("LABELS", str(tmp_path / "labels.csv")) in shown
    assert ("name no picture" in shown) == bool(said)


def test_reports_by_subject_and_splits_by_subject(tmp_path):
    for i, name in enumerate(["p1_a.png", "p1_b.png", "p2_a.png"]):
        write(tmp_path / "in" / name, i)
    (tmp_path / "reports.csv").write_text("subject,text\np1,first patient\np2,second patient\np3,nobody\n")
    (tmp_path / "splits.csv").write_text("subject,split\np1,test\np2,training\n")
    root = tmp_path / "corpus"
    convert(
        tmp_path / "in",
        root,
        subject_pattern=r"^(p\d)_",
        reports=tmp_path / "reports.csv",
        splits=tmp_path / "splits.csv",
    )
    assert sorted(row["text"] for row in rows(root, "captions")) == ["first patient"] * 2 + ["second patient"]
    assert Corpus(root).splits() == {"p1": "test", "p2": "train"}


def test_deep_pngs_become_arrays_and_other_files_are_named(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(values).save(folder / "deep.png")
    write(folder / "ok.jpg", 1)
    (folder / "scan.tif").write_bytes(b"II*\0")
    (folder / "notes.txt").write_text("ignored")
    (folder / "._ok.jpg").write_bytes(b"resource fork")
    (folder / "cut.jpg").write_bytes((folder / "ok.jpg").read_bytes()[:200])
    (folder / "copy.jpg").write_bytes((folder / "ok.jpg").read_bytes())
    root = tmp_path / "corpus"
    with pytest.raises(RunFailedError):
        convert(folder, root)
    assert ledger(root) == {
        "copy.jpg": ("used", None), "cut.jpg": ("failed", "decode-error"), "deep.png": ("used", None),
        "ok.jpg": ("dropped", "duplicate"), "scan.tif": ("dropped", "unsupported-format"),
    }  # fmt: skip
    deep = next(row for row in rows(root) if row["source"] == "deep.png")
    np.testing.assert_array_equal(Corpus(root).source(deep).array(), values)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("deidentify", [False, True])
def test_pictures_that_exif_turns_are_told(tmp_path, capsys, suffix, orientation, deidentify):
    exif = Image.Exif()
    exif[0x0112] = orientation
    write(tmp_path / f"in/a.{suffix}", 0, exif=exif)
    convert(tmp_path / "in", tmp_path / "corpus", deidentify=deidentify)
    assert rows(tmp_path / "corpus")[0]["shape"][:2] == [20, 24]
    is_told = orientation != 1
    assert ("turned-by-exif" in [row["reason"] for row in Corpus(tmp_path / "corpus").ledger().to_pylist()]) == is_told
    assert ("EXIF asks viewers to turn" in " ".join(capsys.readouterr().err.split())) == is_told


def test_deidentified_corpus_holds_no_identifier(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", SECRET)
    write(tmp_path / "in" / f"{SECRET}_1.png", 1, pnginfo=text)
    exif = Image.Exif()
    exif[0x013B] = SECRET
    write(tmp_path / "in" / f"{SECRET}_2.jpg", 2, exif=exif, comment=SECRET.encode())
    (tmp_path / "labels.csv").write_text(f"file,label,subject,study\n{SECRET}_1.png,x,{SECRET},S-{SECRET}\n")
    root = tmp_path / "corpus"
    options = {"labels": tmp_path / "labels.csv", "deidentify": True, "key_file": tmp_path / "key" / "map.parquet"}
    convert(tmp_path / "in", root, **options)
    for path in root.rglob("*"):
        assert SECRET not in path.name
        if path.is_file() and path.suffix == ".parquet":
            assert SECRET not in str(pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist())
        elif path.is_file():
            assert SECRET.encode() not in path.read_bytes()
    decoded = {}
    for row in rows(root):
        with Image.open(io.BytesIO(Corpus(root).source(row).encoded())) as image:
            decoded[row["codec"]] = np.asarray(image)
    np.testing.assert_array_equal(decoded["png"], pixels(1))
    with Image.open(tmp_path / "in" / f"{SECRET}_2.jpg") as image:
        np.testing.assert_array_equal(decoded["jpg"], np.asarray(image))
    before = {path: path.read_bytes() for path in (root / "shards").iterdir()}
    convert(tmp_path / "in", root, **options)
    assert {path: path.read_bytes() for path in (root / "shards").iterdir()} == before


@pytest.mark.parametrize("deidentify", [False, True])
def test_a_dry_run_writes_nothing(tmp_path, deidentify):
    write(tmp_path / "in" / "a.png", 1)
    convert(tmp_path / "in", tmp_path / "corpus", deidentify=deidentify, dry_run=True)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"progressive": True}), ("PNG", {}), ("JPEG", {"icc_profile": b"i" * 200})]
)
def test_cleaning_a_picture_without_metadata_changes_no_pixel(kind, options):
    stream = io.BytesIO()
    Image.fromarray(pixels(3)).save(stream, kind, **options)
    cleaned = without_metadata(stream.getvalue())
    with Image.open(io.BytesIO(cleaned)) as after, Image.open(stream) as before:
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))
        assert after.info.get("icc_profile") == before.info.get("icc_profile")


def test_a_subject_in_two_splits_is_refused_before_anything_is_made(tmp_path):
    for i, name in enumerate(["train/p1_a.png", "test/p1_b.png"]):
        write(tmp_path / "in" / name, i)
    with pytest.raises(InputError, match=r"the subject of '.*' is in the splits"):
        convert(tmp_path / "in", tmp_path / "corpus", subject_pattern=r"(p\d)_")
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"class_folders": "yes"}, ConfigError, "lies in no class folder"),
        ({"subject_pattern": "("}, ConfigError, "not a regular expression"),
        ({"subject_pattern": r"patient(\d)"}, InputError, "does not match"),
        ({"labels": "file,label\nother.png,x\n"}, InputError, "no row of"),
        ({"labels": "file,width\na.png,3\n"}, InputError, "no label, text, subject, study or split"),
        ({"labels": "file,label,split\na.png,x,tset\n"}, InputError, "row 2 of the label table names another split"),
        ({"labels": "label\nx\n"}, InputError, "no column for the file"),
        ({"labels": "file,label\na.png,x\n", "subject_column": "mrn"}, InputError, "no column for the subject"),
        ({"split_fractions": "0.9,0.9,0.1"}, ConfigError, "sum to 1"),
    ],
)
def test_wrong_settings_are_one_sentence_and_make_nothing(tmp_path, options, error, message):
    write(tmp_path / "in" / "a.png", 1)
    if "labels" in options:
        path = tmp_path / "labels.csv"
        path.write_text(options["labels"])
        options = {**options, "labels": path}
    with pytest.raises(error, match=message) as caught:
        convert(tmp_path / "in", tmp_path / "corpus", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [("X-ray", "'X-ray' is stored, .* AR, BDUS, .* XC"), ("rgb", r"did you mean 'RGB'\?"), ("OCT", "")],
)
def test_a_modality_that_nothing_knows_is_said_and_stored(tmp_path, capsys, word, said):
    write(tmp_path / "in" / "a.png", 1)
    convert(tmp_path / "in", tmp_path / "corpus", modality=word)
    notes = [line for line in capsys.readouterr().err.splitlines() if "--modality" in line]
    assert len(notes) == bool(said)
    assert re.search(said, "".join(notes))
    assert [row["modality"] for row in Corpus(tmp_path / "corpus").table("samples").to_pylist()] == [word]


def test_modalities_are_those_of_dicom_and_of_cameras():
    codes = pytest.importorskip("pydicom.sr.codedict").codes
    acquisition, every = ({code.value for code in group.concepts.values()} for group in (codes.cid29, codes.cid33))
    assert acquisition <= {*MODALITIES}
    assert {*MODALITIES} - every == {"RGB", "MSI", "HSI", "SAR"}


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    for source in (tmp_path / "in", tmp_path / "none"):
        with pytest.raises(InputError):
            convert(source, tmp_path / "corpus")


def test_texts_are_replaced_those_of_a_repeated_picture_included(tmp_path, capsys):
    for name, seed in (("a.png", 0), ("b.png", 1), ("copy.png", 0)):
        write(tmp_path / "in" / name, seed)
    root, table = tmp_path / "corpus", tmp_path / "texts.csv"

    def told(texts, **options):
        table.write_text("file,text\n" + "".join(f"{name}.png,{text}\n" for name, text in texts.items()))
        convert(tmp_path / "in", root, reports=table, **options)
        return sorted((row["caption_id"], row["text"]) for row in rows(root, "captions"))

    first = {"a": "Right.", "b": "Clear.", "copy": "Of both."}
    before = told(first)
    corrected = told({"a": "Left."}, replace_reports=True)
    assert sorted(text for _, text in corrected) == ["Clear.", "Left."]
    assert told({"a": "Left."}, replace_reports=True) == corrected
    assert told(first, replace_reports=True) == before
    assert capsys.readouterr().err.count("report texts of 1 samples are replaced") == 2
    with pytest.raises(ConfigError, match="give the corrected table"):
        convert(tmp_path / "in", root, replace_reports=True)
