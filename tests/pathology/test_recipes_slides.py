"""Recipes of whole-slide data sets, on small slides in the official layouts."""

import csv
import json

import numpy as np
import openslide
import pytest
import tifffile
from scipy import ndimage

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import InputError
from voxtile.evaluation.inputs.labels import LabelSource
from voxtile.evaluation.inputs.units import select_units
from voxtile.evaluation.tasks.file import load_task
from voxtile.stages.verify.corpus import verify
from voxtile_pathology.recipes import pathgen_set, slides

DETAILS = "01Z-00-DX1.bf88ce1f-0601-40c8-813e-4e3df51bd2f0"


def slide(path, seed, side=1024, tissue=(150, 750)):
    """A tiled TIFF with stained tissue on white glass, 0.5 µm a pixel."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 244, np.uint8)
    low, high = tissue
    noise = rng.normal(0, 1, (high - low, high - low, 3))
    stain = np.array((170, 90, 150)) + 200 * ndimage.gaussian_filter(noise, (3, 3, 0))
    picture[low:high, low:high] = np.clip(stain, 0, 235)
    picture[:4, :4] = seed * 20  # slides are told apart by size and both ends of the file
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path, picture, tile=(256, 256), photometric="rgb", resolution=(20_000, 20_000), resolutionunit="CENTIMETER",
        metadata=None,
    )  # fmt: skip
    return picture


ASAP = "<ASAP_Annotations><Annotations>{}</Annotations></ASAP_Annotations>"
SHAPE = '<Annotation Name="A" Type="Polygon" PartOfGroup="{}"><Coordinates>{}</Coordinates></Annotation>'


def lesions(path, *squares):
    """An ASAP file of (group, low, high): squares in level-0 pixels."""
    shapes = []
    for group, low, high in squares:
        corners = enumerate([(low, low), (high, low), (high, high), (low, high)])
        points = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}" />' for i, (x, y) in corners)
        shapes.append(SHAPE.format(group, points))
    path.parent.mkdir(exist_ok=True)
    path.write_text(ASAP.format("".join(shapes)))


@pytest.fixture
def camelyon(tmp_path):
    root = tmp_path / "CAMELYON16"
    names = ("normal/normal_001", "tumor/tumor_001", "tumor/tumor_010")
    for seed, name in enumerate([*(f"training/{name}" for name in names), "testing/images/test_001"]):
        slide(root / f"{name}.tif", seed)
    folder = root / "training/lesion_annotations"
    lesions(folder / "tumor_001.xml", ("_0", 300, 600), ("_2", 400, 500), ("_1", 640, 720))
    lesions(folder / "tumor_010.xml", ("Tumor", 300, 600))
    (root / "testing/reference.csv").write_text("test_001,Tumor,IDC,Macro\ntest_002,Normal,None,None\n")
    return root


def drawn(*squares):
    """The pixels of squares (low, high, value), the later over the earlier."""
    mask = np.zeros((1024, 1024), bool)
    for low, high, value in squares:
        mask[low:high, low:high] = value
    return mask


# README.md of Camelyon16: _0 and _1 are tumour, _2 is cut out; tumor_010 is not annotated exhaustively.
TUMOUR = {
    "normal_001": drawn(), "tumor_001": drawn((300, 600, True), (400, 500, False), (640, 720, True)),
    "tumor_010": drawn((300, 600, True)),
}  # fmt: skip


def test_camelyon16_reads_its_groups_and_labels_patches_by_what_they_show(camelyon, tmp_path):
    corpus = tmp_path / "corpus"
    words = ["build", "camelyon16", str(camelyon), str(corpus), "--engine", "inline", "--patch-px", "128"]
    assert main(words) == 0
    assert not verify(corpus).problems
    found = Corpus(corpus)
    rows = {row["uid"]: row for row in found.table("samples").to_pylist()}
    facts, masks = {}, {}
    for fact in found.table("facts").to_pylist():
        facts.setdefault(fact["uid"], []).append((fact["concept"], fact["polarity"]))
    for region in found.table("regions").to_pylist():
        if rows[region["uid"]]["kind"] == "patch":
            assert region["phrase"] == "lymph node metastasis"
            mask = masks.setdefault(region["uid"], np.zeros((128, 128), bool))
            if region["mask_shard"]:
                mask |= np.asarray(found.mask(region)) > 0
            else:  # a square is its box
                top, left, bottom, right = map(int, region["box"])
                mask[top:bottom, left:right] = True
    seen = set()
    for uid, row in rows.items():
        if row["kind"] == "overview":
            label = "normal lymph node tissue" if row["study"] == "normal_001" else "lymph node metastasis"
            assert facts[uid] == [(label, "present")]
            continue
        left, top, right, bottom = row["level0_box"]
        truth = TUMOUR.get(row["study"], drawn())[top:bottom, left:right]
        np.testing.assert_array_equal(masks.get(uid, np.zeros_like(truth)), truth)
        wanted = [("lymph node metastasis", "present")] if truth.mean() >= 0.5 else []
        if not truth.any() and row["study"] in ("normal_001", "tumor_001"):
            wanted = [("normal lymph node tissue", "present")]
        assert facts.get(uid, []) == wanted
        seen.add((row["study"], wanted[0][0] if wanted else None))
    metastasis, normal = "lymph node metastasis", "normal lymph node tissue"
    assert seen == {
        ("normal_001", normal), ("tumor_001", normal), ("tumor_001", metastasis), ("tumor_001", None),
        ("tumor_010", metastasis), ("tumor_010", None), ("test_001", None),
    }  # fmt: skip
    assert {row["licence"] for row in rows.values()} == {"CC0 1.0"}
    stored = {p: p.read_bytes() for p in (corpus / "shards").iterdir()}
    tables = {p: p.read_bytes() for p in (corpus / "tables").rglob("*.parquet")}
    assert main(words) == 0  # again: nothing is made twice
    assert {p: p.read_bytes() for p in (corpus / "shards").iterdir()} == stored
    assert {p: p.read_bytes() for p in (corpus / "tables").rglob("*.parquet")} == tables


def test_a_slides_label_is_asked_of_the_slide_and_its_official_split_kept(camelyon, tmp_path):
    build = ["build", "camelyon16", str(camelyon), str(tmp_path / "corpus"), "--engine", "inline"]
    assert main([*build, "--patch-px", "256", "--sampling", "random", "--patches-per-slide", "3"]) == 0
    found, task = Corpus(tmp_path / "corpus"), load_task("pathology/camelyon16")
    splits = found.splits()
    assert splits["test_001"] == "test"
    assert {splits["normal_001"], splits["tumor_001"], splits["tumor_010"]} <= {"train", "val"}
    assert {c.concept for c in task.classes} == set(slides.CAMELYON16.vocabularies["camelyon16"])
    source = LabelSource(found, task)
    labels = {}
    for units in select_units(found, task).values():
        labels |= dict(zip(units.subjects.tolist(), source.labels(units).tolist(), strict=True))
    assert labels == {"normal_001": [1, 0], "tumor_001": [0, 1], "tumor_010": [0, 1], "test_001": [0, 1]}


def test_camelyon16_refuses_other_folders_and_labels(camelyon, tmp_path):
    (camelyon / "testing/reference.csv").write_text("test_001,Perhaps\n")
    with pytest.raises(InputError, match="the class 'Perhaps'"):
        slides.build_camelyon16(camelyon, tmp_path / "corpus", engine="inline")
    slide(tmp_path / "other/a.tif", 0)
    with pytest.raises(InputError, match="holds no slide of Camelyon16"):
        slides.build_camelyon16(tmp_path / "other", tmp_path / "none", engine="inline")


def test_tcga_reports_become_texts_of_the_case(tmp_path, capsys):
    root, corpus = tmp_path / "gdc", tmp_path / "corpus"
    for seed, name in enumerate(
        (f"TCGA-AA-3844-{DETAILS}", "TCGA-BP-5195-01Z-00-DX1.0a", "TCGA-BP-5195-01Z-00-DX2.0b")
    ):
        slide(root / f"uuid-{seed}/{name}.svs", seed)
    rows = [
        ("TCGA-AA-3844.25c0b433", "Adenocarcinoma of the colon."), ("TCGA-BP-5195.0000", "Clear cell carcinoma."),
        ("TCGA-ZZ-0000.0000", "Nobody's."),
    ]  # fmt: skip
    with (root / "TCGA_Reports.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("patient_filename", "text"), *rows])
    words = ["build", "tcga", str(root), str(corpus), "--engine", "inline", "--patch-px", "128", "--sampling", "random"]
    assert main([*words, "--patches-per-slide", "6"]) == 0
    assert "2 reports for 2 cases" in " ".join(capsys.readouterr().err.split())
    found = Corpus(corpus)
    samples = {row["uid"]: row for row in found.table("samples").to_pylist()}
    assert {row["subject"] for row in samples.values()} == {"TCGA-AA-3844", "TCGA-BP-5195"}
    texts = {samples[c["uid"]]["study"]: c["text"] for c in found.table("captions").to_pylist()}
    assert texts == {"TCGA-AA-3844": rows[0][1], "TCGA-BP-5195": rows[1][1]}
    (tmp_path / "r.csv").write_text("patient_filename,text\nTCGA-ZZ-0000.1,x\n")
    with pytest.raises(InputError, match="no report of"):
        slides.build_tcga(root, tmp_path / "none", reports=tmp_path / "r.csv", engine="inline")
    slide(tmp_path / "other/a.tif", 0)
    with pytest.raises(InputError, match="TCGA barcode"):
        slides.build_tcga(tmp_path / "other", tmp_path / "none", engine="inline")


def pathgen_file(root, rows):
    keys = ("wsi_id", "position", "caption", "file_id")
    content = [dict(zip(keys, (w, [str(x), str(y)], c, "f"), strict=True)) for w, x, y, c in rows]
    (root / pathgen_set.FILE).write_text(json.dumps(content, indent=1))


def test_pathgens_patches_are_level_0_pixels_with_their_captions(tmp_path, monkeypatch):
    root, wsi = tmp_path / "pathgen", f"TCGA-AA-3844-{DETAILS}"
    slide(root / f"uuid/{wsi}.svs", 3)
    rows = [(wsi, 200, 100, "Glands {of} colon."), (wsi, 352, 352, "Stroma."), (wsi, 900, 0, "Beyond the edge."),
            ("TCGA-XX-0000-gone", 5, 5, "Not there.")]  # fmt: skip
    pathgen_file(root, rows)
    monkeypatch.setattr(pathgen_set, "_CHUNK", 37)  # rows are found across pieces of any size
    words = ["build", "pathgen-1.6m", str(root), str(tmp_path / "corpus"), "--engine", "inline"]
    assert main(words) == 1  # one patch lies beyond the slide
    assert not verify(tmp_path / "corpus").problems
    found = Corpus(tmp_path / "corpus")
    samples = {tuple(row["level0_box"][:2]): row for row in found.table("samples").to_pylist()}
    assert set(samples) == {(200, 100), (352, 352)}
    row = samples[200, 100]
    assert (row["subject"], row["study"], row["shape"]) == ("TCGA-AA-3844", wsi, [672, 672, 3])
    captions = {c["uid"]: (c["text"], c["kind"]) for c in found.table("captions").to_pylist()}
    assert captions[row["uid"]] == ("Glands {of} colon.", "vlm")
    with openslide.OpenSlide(root / f"uuid/{wsi}.svs") as reader:
        expected = np.asarray(reader.read_region((200, 100), 0, (672, 672)).convert("RGB"), np.float64)
    pixels = decode_picture(found.source(row).encoded())
    assert np.abs(pixels - expected).mean() < 2
    reasons = {r["reason"] for r in found.ledger().to_pylist()}
    assert reasons == {None, "missing-file", "unreadable-patch"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}', "not a list of captions"), ('[{"wsi_id": "a"}]', "caption 1 .* lacks"),
        ('[{"wsi_id": "a", "position": [1, 2], "caption": "b"}, {"wsi', "breaks off after 1 captions"),
        ('[{"wsi_id": "a", "position": ["x", 2], "caption": "b"}]', "caption 1 .* lacks"),
        ("[" * 100_000, "breaks off after 0"),
    ],
)  # fmt: skip
def test_damaged_captions_are_refused(tmp_path, content, message):
    slide(tmp_path / "a.tif", 0)
    (tmp_path / pathgen_set.FILE).write_text(content)
    with pytest.raises(InputError, match=message):
        pathgen_set.build_pathgen(tmp_path, tmp_path / "none", engine="inline")
    with pytest.raises(InputError, match=r"has no 'PathGen-1.6M.json'"):
        pathgen_set.build_pathgen(tmp_path / "gone", tmp_path / "none", engine="inline")
