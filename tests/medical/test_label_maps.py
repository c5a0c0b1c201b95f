"""NIfTI label maps become regions: names, layouts of folders, grids, and what is wrong with them."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions
from voxtile.errors import InputError, RunFailedError
from voxtile_medical.convert.nifti import convert_nifti
from voxtile_medical.orientation import to_nearest_ras
from voxtile_medical.segmentations.attach import attach_masks
from voxtile_medical.segmentations.file_names import ImageFiles
from voxtile_medical.segmentations.label_names import names_of_extensions, parse_names, read_names
from voxtile_medical.segmentations.names import Code, Identifiers, phrase_of

SHAPE = (10, 12, 8)  # x, y, z
AFFINE = np.array([[-1.5, 0, 0, 20.0], [0, 1.5, 0, -4.0], [0, 0, 3.0, 7.0], [0, 0, 0, 1.0]])
TOTALSEG = "medical/totalseg_ct_mr_labels"
INLINE = RunOptions(engine="inline")


def save(path, array, affine=AFFINE, extensions=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, affine)
    for content in extensions:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", content))
    nib.save(image, path)
    return path


def labels(shape=SHAPE):
    array = np.zeros(shape, np.uint8)
    array[1:4, 2:6, 1:4], array[5:9, 2:6, 1:4], array[2:5, 8:11, 4:7] = 1, 2, 3
    return array


def ct(path, shape=SHAPE, affine=AFFINE):
    return save(path, np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16), affine)


@pytest.fixture
def convert(tmp_path):
    def run(**options):
        convert_nifti(tmp_path / "in", tmp_path / "corpus", modality="CT", engine="inline", **options)
        return Corpus(tmp_path / "corpus")

    return run


def masks_of(corpus):
    return {region["phrase"]: corpus.mask(region) for region in corpus.table("regions").to_pylist()}


def reasons(corpus):
    return sorted(row["reason"] for row in corpus.ledger().to_pylist() if row["reason"])


def on_corpus(array, affine=AFFINE):
    return to_nearest_ras(array.transpose(2, 1, 0), affine)[0]


NAMED = {1: "kidney_left", 2: "kidney_right", 3: "liver"}
XML = "".join(f'<Label Key="{k}" Red="0.1" Alpha="1"><![CDATA[{v}]]></Label>\n' for k, v in NAMED.items())
COLOURS = (
    "# File names\n0 Background 0 0 0 0\n1 kidney_left 157 108 162 255\n2 kidney_right 200 0 0 255\n3 liver 1 2 3 255\n"
)
DCMQI = {
    "segmentAttributes": [
        [
            {
                "labelID": 3,
                "SegmentLabel": "liver",
                "SegmentedPropertyTypeCodeSequence": {
                    "CodeValue": "10200004",
                    "CodingSchemeDesignator": "SCT",
                    "CodeMeaning": "Liver",
                },
            },
            {"labelID": 1, "SegmentLabel": "kidney_left"},
            {"labelID": 2, "SegmentLabel": "kidney_right"},
        ]
    ]
}
TABLES = {
    ".json": [
        json.dumps({str(k): v for k, v in NAMED.items()}),
        json.dumps({v: k for k, v in NAMED.items()}),
        json.dumps({"labels": {"background": 0, **{v: k for k, v in NAMED.items()}}, "numTraining": 3}),
        json.dumps(DCMQI),
    ],
    ".tsv": ["index\tname\tabbreviation\n1\tkidney_left\tKL\n2\tkidney_right\tKR\n3\tliver\tL\n"],
    ".csv": ["LabelValue,Name,Color_R\n1,kidney_left,9\n2,kidney_right,9\n3,liver,9\n"],
    ".ctbl": [COLOURS],
    ".xml": [f"<CaretExtension><LabelTable>{XML}</LabelTable></CaretExtension>"],
}


@pytest.mark.parametrize(("suffix", "text"), [(suffix, text) for suffix, texts in TABLES.items() for text in texts])
def test_a_table_beside_the_label_map_names_its_labels(convert, tmp_path, suffix, text):
    ct(tmp_path / "in" / "case1.nii.gz")
    save(tmp_path / "in" / "case1_seg.nii.gz", labels())
    (tmp_path / "in" / f"case1_seg{suffix}").write_text(text)
    corpus = convert()
    found = masks_of(corpus)
    assert set(found) == {"left kidney", "right kidney", "liver"}
    for value, name in ((1, "left kidney"), (2, "right kidney"), (3, "liver")):
        np.testing.assert_array_equal(found[name], on_corpus(labels()) == value)
    facts = {json.loads(f["attributes"])["structure"]: f for f in corpus.table("facts").to_pylist()}
    assert json.loads(facts["left kidney"]["attributes"])["laterality"] == "left"
    assert facts["liver"]["code"] == ("SCT:10200004" if "segmentAttributes" in text else None)
    assert reasons(corpus) == []


def test_names_of_labels_in_the_header_extension(test_data, tmp_path):
    """TotalSegmentator's own files: names as XML in the header, the label map's grid that of one of three images."""
    source, folder = test_data / TOTALSEG, tmp_path / "in"
    folder.mkdir()
    for name in (
        "example_ct.nii.gz",
        "example_ct_sm.nii.gz",
        "example_seg.nii.gz",
        "example_mr_sm.nii.gz",
        "example_seg_mr.nii.gz",
    ):
        shutil.copy(source / name, folder)
    convert_nifti(folder, tmp_path / "corpus", engine="inline", deidentify=False)
    corpus = Corpus(tmp_path / "corpus")
    for mask_name, image_name, phrases in (
        ("example_seg.nii.gz", "example_ct_sm.nii.gz", {"left kidney": 3, "spleen": 1, "liver": 5}),
        ("example_seg_mr.nii.gz", "example_mr_sm.nii.gz", {"right kidney": 2, "stomach": 6}),
    ):
        [uid] = [row["uid"] for row in corpus.table("samples").to_pylist() if row["source"] == image_name]
        found = {r["phrase"]: corpus.mask(r) for r in corpus.table("regions").to_pylist() if r["uid"] == uid}
        image = nib.load(source / mask_name)
        values = on_corpus(np.asarray(image.dataobj), image.affine)
        assert len(found) == len(np.unique(values)) - 1
        for phrase, value in phrases.items():
            np.testing.assert_array_equal(found[phrase], values == value)
        spacing = corpus.row(uid)["spacing"]
        statistics = sitk.LabelShapeStatisticsImageFilter()
        statistics.Execute(sitk.ReadImage(source / mask_name))
        for phrase, value in phrases.items():
            assert found[phrase].sum() * np.prod(spacing) == pytest.approx(statistics.GetPhysicalSize(value), rel=1e-5)
    assert reasons(corpus) == []


@pytest.mark.sweep(ci=True)
def test_label_maps_of_a_dicom_series_by_a_list_of_pairs(test_data, tmp_path):
    from voxtile_medical.convert.dicom import convert_dicom

    source = test_data / TOTALSEG
    convert_dicom(source / "example_ct_dicom", tmp_path / "corpus", engine="inline")
    (tmp_path / "late" / "run1").mkdir(parents=True)
    shutil.copy(source / "example_seg_dicom.nii.gz", tmp_path / "late" / "run1")
    attach_masks(tmp_path / "corpus", tmp_path / "late", INLINE)
    corpus = Corpus(tmp_path / "corpus")
    assert reasons(corpus) == ["no-image"]
    uid = corpus.table("samples")["uid"][0].as_py()
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(f"mask,uid\nrun1/example_seg_dicom.nii.gz,{uid}\n")
    attach_masks(tmp_path / "corpus", tmp_path / "late", INLINE, pairs=pairs)
    image = nib.load(source / "example_seg_dicom.nii.gz")
    values = on_corpus(np.asarray(image.dataobj), image.affine)
    found = masks_of(corpus)
    assert len(found) == len(np.unique(values)) - 1
    np.testing.assert_array_equal(found["spleen"], values == 1)
    pairs.write_text("mask,uid\nrun1/example_seg_dicom.nii.gz,0123\n")
    with pytest.raises(InputError, match="does not have"):
        attach_masks(tmp_path / "corpus", tmp_path / "late", INLINE, pairs=pairs)


def test_two_folders_whose_files_have_the_same_names_are_both_attached(tmp_path, capsys):
    """Organs in one folder, lesions in another, both by case: the second used to be passed over without a word."""
    ct(tmp_path / "in" / "case1.nii.gz")
    convert_nifti(tmp_path / "in", tmp_path / "corpus", modality="CT", engine="inline")
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[2:4, 8:10, 5:6] = 1
    for folder, values, names in (("organs", labels(), NAMED), ("lesions", lesion, {1: "liver_lesion"})):
        save(tmp_path / folder / "case1.nii.gz", values)
        (tmp_path / folder / "case1.json").write_text(json.dumps({str(value): name for value, name in names.items()}))
    both = f"{tmp_path / 'organs'},{tmp_path / 'lesions'}"
    command = ["facts", str(tmp_path / "corpus"), "--from", "masks", "--masks", both, "--engine", "inline"]
    assert main(command) == 0
    corpus = Corpus(tmp_path / "corpus")
    found = masks_of(corpus)
    assert found.keys() == {"left kidney", "right kidney", "liver", "liver lesion"}  # named as the image is, as well
    np.testing.assert_array_equal(found["liver lesion"], on_corpus(lesion) == 1)
    assert corpus.table("regions").num_rows == 4
    assert main(command) == 0  # again, it is all there
    with pytest.raises(InputError, match="holds no DICOM SEG"):
        attach_masks(tmp_path / "corpus", tmp_path / "in", INLINE)  # the image itself is no label map
    assert Corpus(tmp_path / "corpus").table("regions").num_rows == 4
    assert reasons(corpus) == []


def test_a_structure_from_another_file_of_the_same_name_is_refused_in_a_sentence(tmp_path, capsys):
    ct(tmp_path / "in" / "case1.nii.gz")
    convert_nifti(tmp_path / "in", tmp_path / "corpus", modality="CT", engine="inline")
    for folder, values in (("first", labels()), ("second", np.roll(labels(), 1, axis=1))):
        save(tmp_path / folder / "case1.nii.gz", values)
        (tmp_path / folder / "case1.json").write_text(json.dumps({str(value): name for value, name in NAMED.items()}))
        attach_masks(tmp_path / "corpus", tmp_path / folder, INLINE)
    corpus = Corpus(tmp_path / "corpus")
    assert corpus.table("regions").num_rows == 3
    np.testing.assert_array_equal(masks_of(corpus)["liver"], on_corpus(labels()) == 3)
    assert reasons(corpus) == ["same-structure"]
    assert "same-structure: a file of the same name gave the sample this structure" in capsys.readouterr().out


def test_one_file_a_structure_and_an_inherited_table(convert, tmp_path):
    folder = tmp_path / "in"
    for case in ("s0001", "s0002"):
        ct(folder / case / "ct.nii.gz")
        for value, name in NAMED.items():
            save(folder / case / "segmentations" / f"{name}.nii.gz", (labels() == value).astype(np.uint8))
    ct(folder / "imagesTr" / "case_07_0000.nii.gz")
    save(folder / "labelsTr" / "case_07.nii.gz", labels())
    (folder / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "kidneys": [1, 2], "liver": 3}}))
    corpus = convert(label_pattern="kidney*,liver*,case_07.nii.gz", deidentify=False)
    by_source = {}
    for region in corpus.table("regions").to_pylist():
        by_source.setdefault(corpus.row(region["uid"])["source"], {})[region["phrase"]] = corpus.mask(region)
    for case in ("s0001", "s0002"):
        found = by_source[f"{case}/ct.nii.gz"]
        assert set(found) == {"left kidney", "right kidney", "liver"}
        np.testing.assert_array_equal(found["right kidney"], on_corpus(labels()) == 2)
    found = by_source["imagesTr/case_07_0000.nii.gz"]
    assert set(found) == {"kidneys", "liver"}
    np.testing.assert_array_equal(found["kidneys"], np.isin(on_corpus(labels()), (1, 2)))
    assert reasons(corpus) == []


@pytest.mark.parametrize(
    ("mask", "image", "phrase"),
    [
        ("case1_seg.nii.gz", "case1.nii.gz", None),
        ("BraTS_001/BraTS_001_seg.nii.gz", "BraTS_001/BraTS_001_t1ce.nii.gz", None),
        ("labelsTr/liver_3.nii.gz", "imagesTr/liver_3.nii.gz", None),
        ("labelsTr/case_12.nii.gz", "imagesTr/case_12_0000.nii.gz", None),
        ("derivatives/x/sub-01/anat/sub-01_dseg.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz", None),
        ("s1/segmentations/rib_left_4.nii.gz", "s1/ct.nii.gz", "rib left 4"),
        ("a/case1_tumour_mask.nii.gz", "a/case1.nii.gz", "tumour"),
        ("CT_mask.nii.gz", "CT_image.nii.gz", None),
    ],
)
def test_layouts_of_public_collections(mask, image, phrase):
    others = [
        "other/case9.nii.gz",
        "imagesTr/case_1.nii.gz",
        "s2/ct.nii.gz",
        "PET_image.nii.gz",
        "sub-011/sub-011_T1w.nii",
    ]
    found = ImageFiles([*others, image]).of(mask)
    assert found.named == (image,)
    assert found.phrase == phrase


def test_another_grid_is_resampled_as_simpleitk_does_and_says_so(convert, tmp_path):
    folder = tmp_path / "in"
    ct(folder / "case1.nii.gz")
    coarse = np.diag([-2.9, 2.7, 4.1, 1.0])
    coarse[:3, 3] = (19.0, -3.0, 8.0)
    array = np.random.default_rng(1).integers(0, 3, (4, 6, 5)).astype(np.uint8)
    save(folder / "case1_seg.nii.gz", array, coarse)
    (folder / "case1_seg.json").write_text('{"1": "a", "2": "b"}')
    corpus = convert()
    expected = sitk.GetArrayFromImage(
        sitk.Resample(
            sitk.ReadImage(folder / "case1_seg.nii.gz"),
            sitk.ReadImage(folder / "case1.nii.gz"),
            sitk.Transform(),
            sitk.sitkNearestNeighbor,
            0,
        )
    )
    for value, name in ((1, "a"), (2, "b")):
        np.testing.assert_array_equal(masks_of(corpus)[name], on_corpus(expected.transpose(2, 1, 0)) == value)
    assert {json.loads(f["attributes"])["resampled"] for f in corpus.table("facts").to_pylist()} == {"nearest"}


def test_a_label_map_of_a_part_of_its_image_says_what_it_cuts_off(convert, tmp_path):
    """Label 3 reaches the map's last slice, inside the image; labels 1 and 2 end before, and one at the image's end."""
    array = labels()
    array[6:8, 8:10, 0:2] = 4
    folder = tmp_path / "in"
    ct(folder / "case1.nii.gz")
    save(folder / "case1_seg.nii.gz", array[:, :, :6])
    (folder / "case1_seg.json").write_text('{"1": "spleen", "2": "liver", "3": "aorta", "4": "bladder"}')
    ct(folder / "case2.nii.gz")
    save(folder / "case2_seg.nii.gz", array)
    (folder / "case2_seg.json").write_text('{"1": "spleen", "2": "liver", "3": "aorta", "4": "bladder"}')
    corpus = convert(deidentify=False)
    assert main(["facts", str(tmp_path / "corpus"), "--from", "masks", "--engine", "inline"]) == 0
    source = {row["uid"]: row["source"][:5] for row in corpus.table("samples").to_pylist()}
    told = [
        (source[fact["uid"]], fact["concept"], json.loads(fact["attributes"]))
        for fact in corpus.table("facts").to_pylist()
        if "cut_off" in (fact["attributes"] or "")
    ]
    assert {(case, a["structure"]) for case, concept, a in told if concept == "structure"} == {("case1", "aorta")}
    assert {(case, a["region"]) for case, concept, a in told if concept == "volume"} == {
        ("case1", "aorta"), ("case1", "bladder"), ("case2", "bladder"),
    }  # fmt: skip


def test_where_no_name_fits_the_only_image_beside_it_on_its_grid_counts(convert, tmp_path):
    other = AFFINE + np.eye(4) * [5, 0, 0, 0]
    ct(tmp_path / "in" / "a" / "scan_one.nii.gz")
    ct(tmp_path / "in" / "a" / "scan_two.nii.gz", affine=other)
    save(tmp_path / "in" / "a" / "result_seg.nii.gz", (labels() > 0).astype(np.uint8))
    for name in ("scan_three", "scan_four"):
        ct(tmp_path / "in" / "b" / f"{name}.nii.gz")
    save(tmp_path / "in" / "b" / "output_seg.nii.gz", (labels() > 0).astype(np.uint8))
    corpus = convert(deidentify=False)
    [region] = corpus.table("regions").to_pylist()
    assert corpus.row(region["uid"])["source"] == "a/scan_one.nii.gz"
    assert reasons(corpus) == ["no-image"]


def test_a_mask_of_another_place_is_refused_label_by_label(convert, tmp_path):
    ct(tmp_path / "in" / "case1.nii.gz")
    coarse = np.diag([-2.0, 2.0, 4.0, 1.0])
    coarse[:3, 3] = (21.0, -3.0, 8.0)
    array = np.zeros((30, 6, 5), np.uint8)
    array[2:4, 2:4, 2:4], array[25:, 2:4, 2:4] = 1, 2
    save(tmp_path / "in" / "case1_seg.nii.gz", array, coarse)
    (tmp_path / "in" / "case1_seg.json").write_text('{"1": "inside", "2": "far away"}')
    corpus = convert()
    assert set(masks_of(corpus)) == {"inside"}
    assert reasons(corpus) == ["outside-image"]


def test_probabilities_and_large_labels(convert, tmp_path):
    folder = tmp_path / "in"
    ct(folder / "case1.nii.gz")
    shares = np.random.default_rng(2).random(SHAPE).astype(np.float32)
    save(folder / "case1_lesion_probseg.nii.gz", shares)
    save(folder / "case1_seg.nii.gz", labels().astype(np.int32) * 70_001)
    (folder / "case1_seg.json").write_text('{"70001": "a", "140002": "b", "210003": "c"}')
    corpus = convert()
    found = masks_of(corpus)
    np.testing.assert_array_equal(found["lesion"], on_corpus(np.rint(shares * 255)).astype(np.uint8))
    for number, name in enumerate("abc", 1):
        np.testing.assert_array_equal(found[name], on_corpus(labels()) == number)


def test_bad_label_maps_are_named_and_the_good_one_stays(convert, tmp_path, capsys):
    folder = tmp_path / "in"
    for case in ("good", "half", "large", "empty", "image", "many", "time", "loose"):
        ct(folder / f"{case}.nii.gz")
    save(folder / "good_seg.nii.gz", labels())
    (folder / "good_seg.json").write_text(json.dumps(NAMED))
    save(folder / "half_seg.nii.gz", labels())
    (folder / "half_seg.json").write_text('{"1": "spleen"}')
    save(folder / "large_seg.nii.gz", np.pad(labels(), ((0, 9), (0, 9), (0, 9)), constant_values=1))
    (folder / "large_seg.json").write_text('{"1": "too large", "2": "inside"}')
    save(folder / "empty_seg.nii.gz", np.zeros(SHAPE, np.uint8))
    save(folder / "image_seg.nii.gz", np.random.default_rng(0).normal(0, 500, SHAPE).astype(np.float32))
    save(folder / "many_seg.nii.gz", labels())
    save(folder / "time_seg.nii.gz", np.stack([labels(), labels()], axis=-1))
    save(folder / "orphan_seg.nii.gz", labels())
    corpus = convert()
    assert set(masks_of(corpus)) == {"left kidney", "right kidney", "liver", "spleen", "inside"}
    expected = "unnamed-label unnamed-label outside-image empty-mask not-labels no-label-names unsupported-dimensions"
    assert reasons(corpus) == sorted([*expected.split(), "no-image"])
    said = capsys.readouterr().out
    for sentence in ("labels without a name", "voxels outside the image", "give a table with --label-names"):
        assert sentence in said


def test_a_truncated_label_map_fails_alone(convert, tmp_path):
    folder = tmp_path / "in"
    ct(folder / "a.nii.gz")
    path = save(folder / "a_seg.nii", labels())
    path.write_bytes(path.read_bytes()[:-500])
    save(folder / "a_tumour_mask.nii.gz", (labels() == 1).astype(np.uint8))
    with pytest.raises(RunFailedError, match="truncated"):
        convert()
    assert set(masks_of(Corpus(tmp_path / "corpus"))) == {"tumour"}


def test_no_identifier_of_a_label_maps_name_reaches_the_corpus(convert, tmp_path):
    ct(tmp_path / "in" / "smith-jones_scan.nii.gz")
    save(tmp_path / "in" / "smith-jones_scan_seg.nii.gz", (labels() > 0).astype(np.uint8))
    corpus = convert()
    [region] = corpus.table("regions").to_pylist()
    assert region["phrase"] is None
    assert b"smith" not in b"".join(p.read_bytes() for p in (tmp_path / "corpus").rglob("*") if p.is_file())


def test_tables_that_name_nothing_are_refused(tmp_path):
    for name, text in (("a.json", "[1, 2]"), ("b.tsv", "x\ty\n1\t2\n"), ("c.ctbl", "no colours"), ("d.json", "{")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="names no label"):
            read_names(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_names(tmp_path / "missing.json")


def test_hostile_tables_name_nothing():
    bomb = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><LabelTable><Label Key="1">&c;</Label></LabelTable>'
    assert parse_names(bomb, ".xml") == ()
    assert names_of_extensions([bomb.encode(), b"\xff\xfe", b"{" * 5000]) == ()
    assert parse_names("{" * 100_000, ".json") == ()


def test_codes_and_unions_of_json_tables():
    [liver, *_] = parse_names(json.dumps(DCMQI), ".json")
    assert liver.code == Code("SCT", "10200004", "Liver")
    [whole, core] = parse_names('{"labels": {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3]}}', ".json")
    assert (whole.values, core.values) == ((1, 2, 3), (2, 3))


@pytest.mark.parametrize(
    ("label", "phrase"),
    [
        ("kidney_left", "left kidney"),
        ("Left Kidney", "left Kidney"),
        ("Lung_R", "right Lung"),
        ("rib_left_4", "left rib 4"),
        ("lung_upper_lobe_right", "right lung upper lobe"),
        ("LeftLung", "left Lung"),
        ("vertebrae_L5", "vertebrae L5"),
        ("GTV-1", "GTV-1"),
        ("hepatic vessel", "hepatic vessel"),
        ("Segment_3", "Spleen"),
        ("12", "Spleen"),
    ],
)
def test_phrases_for_people(label, phrase):
    assert phrase_of(label, Identifiers(), ["Spleen"]) == phrase
