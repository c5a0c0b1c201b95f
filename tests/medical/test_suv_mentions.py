"""Mentions of SUVmax and slice: read from many written forms, found on painted balls, refused where they contradict."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

from voxtile.corpus.reader import Corpus
from voxtile.stages.verify.command import verify_corpus
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.mentions.command import CONFIDENCE, RULE, facts_from_mentions
from voxtile_medical.mentions.match import Matched, match
from voxtile_medical.mentions.naming import finding_of
from voxtile_medical.mentions.sentences import Mention, SlicePlace, mentions_in, mentions_of
from voxtile_medical.phantom.petct.command import write_petct_phantom
from voxtile_medical.reports.lexicon import lexicon_path, load_lexicon

FORMS = [
    ("FDG-avid nodule in the right upper lobe, 14 mm, SUVmax 8.3 (series 4, image 23).", 8.3, (4, None, 23, 23)),
    ("There is a mass with maximum SUV 8.3, previously 9.1 on image 23 of series 4.", 8.3, (4, None, 23, 23)),
    ("Hypermetabolic lung mass, SUV max: 12, se 4, im 23.", 12, (4, None, 23, 23)),
    ("Mass, Se:4 Im:23, max SUV of 8.3.", 8.3, (4, None, 23, 23)),
    ("Left adrenal metastasis of 3.4 cm with SUVmax = 7.1 at axial PET image 12.", 7.1, (None, "PT", 12, 12)),
    ("Focal uptake, a maximum SUV of 5.9 (was 6.6) (axial slice 15).", 5.9, (None, None, 15, 15)),
    ("Node with SUV(max) of 4.4 (4/112).", 4.4, (4, None, 112, 112)),
    ("Lesion SUVmax decreased from 9.1 to 4.2 on slice 30 of the PET.", 4.2, (None, "PT", 30, 30)),
    ("Liver lesion, SUVmean 3.3, SUVmax 5,2, CT slice 14.", 5.2, (None, "CT", 14, 14)),
    ("The mass (prior SUVmax 9.1) now has SUVmax of 6.0, series 4 image 8.", 6.0, (4, None, 8, 8)),
    ("Lesion with a standardized uptake value of 6.1 on axial fused slice 112.", 6.1, (None, None, 112, 112)),
    ("Lesion SUVmax 8.34, images 110-114 of series 3.", 8.34, (3, None, 110, 114)),
]


@pytest.mark.parametrize(("sentence", "suv", "place"), FORMS)
def test_written_forms(sentence, suv, place):
    (mention,) = mentions_in(sentence)
    assert isinstance(mention, Mention)
    assert mention.suv == suv
    assert mention.place == SlicePlace(*place)


@pytest.mark.parametrize(
    ("sentence", "phrase"),
    [
        (FORMS[0][0], "FDG-avid nodule in the right upper lobe"),
        (FORMS[4][0], "Left adrenal metastasis"),
        ("Nodule, 3.6 cm, with SUVmax of 6.8 (series 4 image 21), left lower lobe.", "Nodule, left lower lobe"),
        ("There is a hypermetabolic nodule in the lingula with SUVmax 8.3 on PET image 23.",
         "hypermetabolic nodule in the lingula"),
        (FORMS[8][0], "Liver lesion"),
    ],
)  # fmt: skip
def test_phrases_name_the_lesion_only(sentence, phrase):
    (mention,) = mentions_in(sentence)
    assert mention.phrase == phrase


def test_pairs_of_values_and_slices_go_in_order_and_decimals_are_the_tolerance():
    first, second = mentions_in("Two nodes, SUVmax 5.1 (image 12) and SUVmax 3 (image 15).")
    assert (first.suv, first.place.first, first.tolerance) == (5.1, 12, 0.05)
    assert (second.suv, second.place.first, second.tolerance) == (3.0, 15, 0.5)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "New uptake in L3 (SUVmax: 11.2, se 4 im 77) and in the left iliac bone (SUVmax 7.9, se 4 im 120).",
            [("New uptake in L3", 11.2, None), ("left iliac bone", 7.9, "left")],
        ),
        (
            "SUVmax 3.1 (image 4) in the right upper lobe; SUVmax 4.0 (image 6) in the left lower lobe.",
            [("right upper lobe", 3.1, "right"), ("left lower lobe", 4.0, "left")],
        ),
        (
            "Nodules in the right lung with SUVmax 3.1 (image 4) and SUVmax 5.2 (image 9).",
            [("Nodules in the right lung", 3.1, "right"), ("Nodules in the right lung", 5.2, "right")],
        ),
        (
            "Uptake decreased from SUVmax 9.1 to 4.2 in the left femur (4/88).",
            [("Uptake decreased, left femur", 4.2, "left")],
        ),
        ("Uptake fell from an SUVmax of 7.0 to SUVmax 3.5 in the spleen (4/88).", [("Uptake fell, spleen", 3.5, None)]),
    ],
)
def test_each_lesion_of_a_sentence_has_its_own_name_side_and_value_of_today(sentence, expected):
    assert [(m.phrase, m.suv, m.side) for m in mentions_in(sentence)] == expected


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("No uptake above SUVmax 2.5 on image 3.", "denied"),
        ("FDG-avid nodule, SUVmax 8.3.", "no-slice"),
        ("Reconstructed at 5 mm slice thickness, SUVmax 4.", "no-slice"),
        ("Nodes with SUVmax 8.3 on image 3 and image 9.", "unclear-pairing"),
        ("Bladder, SUVmax 830 on image 3.", "implausible-suv"),
        ("SUVmax 4.2 on image 30.", "no-name"),
        ("Node, SUVmax 4, images 9-3.", "no-such-slice"),
    ],
)
def test_sentences_that_cannot_be_used_say_why(sentence, reason):
    (found,) = mentions_in(sentence)
    assert found.reason == reason


@pytest.mark.parametrize("text", ["The heart is normal.", "SUVmean 4.1, image 3.", "Prior SUVmax 9 on image 3.", ""])
def test_sentences_without_a_current_maximum_are_passed_over(text):
    assert list(mentions_in(text)) == []


def test_indication_and_comparison_are_not_read():
    sections = ("Indication: mass, SUVmax 9.0 image 3.", "Comparison: node SUVmax 8.0 image 4.")
    report = "\n".join((*sections, "Findings: node, SUVmax 7.0 image 5."))
    assert [m.suv for m in mentions_of(report)] == [7.0]


SPACING = (4.0, 4.0, 4.0)
SHAPE = (40, 50, 60)


def ball(volume, centre, radius, value):
    grid = np.indices(volume.shape)
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
    share = np.clip(radius - distance + 0.5, 0, 1)
    volume += share * (value - volume)
    return share > 0.5


def scene(*balls):
    """Background 0.8 with balls of (centre, radius, value), blurred a little."""
    volume = np.full(SHAPE, 0.8)
    masks = [ball(volume, *b) for b in balls]
    return ndimage.gaussian_filter(volume, 0.8).astype(np.float32), masks


def row(uid="pet", modality="PT", series=4, shape=SHAPE, spacing=SPACING, origin=(0, 0, 0), numbers=None):
    """A volume in RAS: x grows to the right; image k is slice k − 1 unless told otherwise."""
    affine = np.diag([*spacing[::-1], 1.0])
    affine[:3, 3] = origin
    numbers = list(range(1, shape[0] + 1)) if numbers is None else numbers
    attributes = {"series_number": series, "instances": {"axis": 0, "numbers": numbers}}
    return {
        "uid": uid, "modality": modality, "shape": list(shape), "spacing": list(spacing),
        "affine": affine.reshape(-1).tolist(), "attributes": json.dumps(attributes),
    }  # fmt: skip


def found_for(sentence, suv, samples=None):
    (mention,) = mentions_in(sentence)
    pet = row()
    return match(mention, suv, pet, samples or [pet])


LEFT, RIGHT = (20, 25, 12), (20, 25, 47)


def peak(suv, centre):
    return suv[centre]


def test_a_ball_is_found_whole_from_its_slice_and_value():
    suv, (mask,) = scene((LEFT, 4, 9.0))
    found = found_for(f"Left lung nodule, SUVmax {peak(suv, LEFT):.1f} (series 4, image 21).", suv)
    assert isinstance(found, Matched)
    assert found.grown.threshold == 0.41
    # At 41 % of a blurred ball's maximum the surface lies within a voxel of the ball's own.
    overlap = 2 * (found.grown.mask & mask).sum() / (found.grown.mask.sum() + mask.sum())
    assert overlap > 0.85
    assert found.confidence > 0.8


def test_the_slice_of_another_series_is_carried_over_in_millimetres():
    suv, (mask,) = scene((LEFT, 4, 9.0))
    ct = row("ct", "CT", 2, (100, 64, 64), (2.5, 2.0, 2.0), (5.0, 5.0, -40.0), list(range(100, 0, -1)))
    place = round((20 * 4.0 + 40) / 2.5)  # slice of the CT at the ball's height
    number = 100 - place
    for text in (f"series 2, image {number}", f"CT image {number}"):
        found = found_for(f"Left nodule, SUVmax {peak(suv, LEFT):.1f} ({text}).", suv, [row(), ct])
        assert isinstance(found, Matched)
        assert mask[found.grown.seed.index]


def test_of_two_equal_lesions_the_side_decides_and_without_one_neither_is_taken():
    suv, (left, right) = scene((LEFT, 4, 9.0), (RIGHT, 4, 9.0))
    value = f"SUVmax {peak(suv, LEFT):.1f} (series 4, image 21)"
    assert left[found_for(f"Left lung nodule, {value}.", suv).grown.seed.index]
    assert right[found_for(f"Right lung nodule, {value}.", suv).grown.seed.index]
    assert found_for(f"Lung nodule, {value}.", suv).reason == "ambiguous-seed"


def test_a_lesion_beside_something_hotter_is_cut_off_above_what_joins_them():
    suv, (mask, _) = scene(((20, 25, 20), 4, 8.0), ((20, 25, 30), 4, 30.0))
    found = found_for("Node, SUVmax 8.0 (series 4, image 21).", suv)
    assert found.grown.threshold == 0.6
    assert (found.grown.mask & mask).sum() == found.grown.mask.sum()
    suv, _ = scene(((20, 25, 20), 4, 8.0), ((20, 25, 28), 4, 30.0))  # they touch
    assert found_for("Node, SUVmax 8.0 (series 4, image 21).", suv).reason == "no-focus"


CONTRADICTIONS = [
    ("Left nodule, SUVmax 5.5 (series 4, image 21).", "no-agreement"),
    ("Left nodule, SUVmax {v} (series 4, image 31).", "no-agreement"),
    ("Right lung nodule, SUVmax {v} (series 4, image 21).", "side-contradicts"),
    ("Left nodule, SUVmax {v} (series 9, image 21).", "unknown-series"),
    ("Left nodule, SUVmax {v} (series 4, image 400).", "no-such-slice"),
    ("Left nodule of 1.5 mm, SUVmax {v} (series 4, image 21).", "size-contradicts"),
    ("Left nodule, SUVmax {v} (CT image 21).", "unknown-series"),
]


@pytest.mark.parametrize(("sentence", "reason"), CONTRADICTIONS)
def test_a_mention_that_contradicts_the_picture_is_refused_by_name(sentence, reason):
    suv, _ = scene((LEFT, 4, 9.0))
    assert found_for(sentence.format(v=f"{peak(suv, LEFT):.1f}"), suv).reason == reason


def test_a_speck_of_noise_on_the_slope_of_something_hotter_is_no_focus():
    suv, _ = scene((LEFT, 6, 20.0))
    suv[20, 25, 4] = 6.0
    assert found_for("Left nodule, SUVmax 6.0 (series 4, image 21).", suv).reason == "no-focus"


def test_the_next_slice_is_accepted_with_less_confidence():
    suv, _ = scene((LEFT, 4, 9.0))
    value = f"SUVmax {peak(suv, LEFT):.1f}"
    exact = found_for(f"Left nodule, {value} (series 4, image 21).", suv)
    beside = found_for(f"Left nodule, {value} (series 4, image 22).", suv)
    bare = found_for(f"Left nodule, {value} (image 21).", suv)
    assert beside.grown.seed == exact.grown.seed
    assert beside.confidence < exact.confidence
    assert bare.confidence < exact.confidence


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("petct")
    write_petct_phantom(folder / "p", n=6, seed=12, workers=1)
    convert_dicom(folder / "p", folder / "c", reports=folder / "p" / "reports.csv", deidentify=False, workers=1)
    return folder


@pytest.mark.sweep(ci=True)
def test_every_region_of_the_phantom_lies_in_the_lesion_that_its_sentence_means(phantom):
    corpus_path = phantom / "c"
    facts_from_mentions(corpus_path, workers=1)
    corpus = Corpus(corpus_path)
    truth = {s["study"]: s for s in json.loads((phantom / "p" / "truth.json").read_text())["studies"]}
    facts = {f["region_id"]: f for f in corpus.table("facts").to_pylist() if f["source"] == RULE}
    regions = [r for r in corpus.table("regions").to_pylist() if r["source"] == RULE]
    assert len(regions) >= 5
    for region in regions:
        sample = corpus.row(region["uid"])
        fact = facts[region["region_id"]]
        assert (fact["concept"], fact["unit"], sample["modality"]) == ("SUVmax", "SUVbw", "PT")
        mask = corpus.mask(region)
        assert list(mask.shape) == sample["shape"]
        low = [int(v) for v in region["box"][:3]]
        high = [int(v) for v in region["box"][3:]]
        assert mask[tuple(map(slice, low, high))].sum() == mask.sum() > 0
        z, y, x = json.loads(fact["attributes"])["seed"]
        ras = np.array(sample["affine"]).reshape(4, 4) @ [x, y, z, 1]
        lps = ras[:3] * [-1, -1, 1]
        lesions = truth[sample["study"]]["lesions"]
        inside = [
            lesion for lesion in lesions
            if (lps > np.array(lesion["box_mm"][:3]) - 4).all() and (lps < np.array(lesion["box_mm"][3:]) + 4).all()
        ]  # fmt: skip
        assert any(lesion["suvmax"] == pytest.approx(fact["value"], abs=0.06) for lesion in inside)
    scores = [s for s in corpus.table("scores").to_pylist() if s["name"].startswith(CONFIDENCE)]
    assert len(scores) == len(regions)
    assert all(0.3 <= s["value"] <= 1 for s in scores)
    verify_corpus(corpus_path)
    again = corpus.table("regions").num_rows
    facts_from_mentions(corpus_path, workers=1)
    assert Corpus(corpus_path).table("regions").num_rows == again


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("FDG-avid right adrenal metastasis, SUVmax 10.6, Se:4 Im:32.", "right adrenal metastasis"),
        ("Hypermetabolic lymph node at the hilum on the left, SUVmax 5 (image 40).", "left nodal metastasis"),
        ("There is a hypermetabolic nodule in the lingula with SUVmax 8.3 on PET image 23.", "left lung malignancy"),
        ("FDG-avid liver metastasis in the right hepatic lobe, SUVmax 8.3, image 2.", "liver metastasis"),
        ("Hypermetabolic nodule, SUVmax 8.3, image 2.", None),  # of which lung?
        ("Focal uptake in the left lung without CT correlate, SUVmax 7.9 (image 34).", None),
        ("Hepatic metastasis and osseous metastasis, SUVmax 8.3, image 2.", None),
    ],
)
def test_a_mention_is_called_by_the_finding_that_its_sentence_affirms(sentence, name):
    (mention,) = mentions_in(sentence)
    assert finding_of(mention, load_lexicon(lexicon_path("petct"))) == name


def test_regions_that_a_finding_names_lie_in_the_outlines_of_that_name(phantom):
    facts_from_mentions(phantom / "c", lexicon="petct", workers=1)
    corpus = Corpus(phantom / "c")
    samples = {row["uid"]: row for row in corpus.table("samples").to_pylist()}
    regions = corpus.table("regions").to_pylist()
    outlines = {(samples[r["uid"]]["study"], r["phrase"]): r for r in regions if r["source"].startswith("dicom-seg")}
    named = {phrase for _, phrase in outlines}
    inside = []
    for region in regions:
        if region["source"] == RULE and region["phrase"] in named:
            outline = outlines[samples[region["uid"]]["study"], region["phrase"]]
            to_mm, to_index = (np.array(samples[r["uid"]]["affine"]).reshape(4, 4) for r in (region, outline))
            zyx = np.argwhere(corpus.mask(region))
            places = np.c_[zyx[:, ::-1], np.ones(len(zyx))] @ (np.linalg.inv(to_index) @ to_mm).T
            x, y, z = places[:, :3].round().astype(int).T
            truth = corpus.mask(outline)
            within = ((places[:, :3] >= 0) & (places[:, :3] < np.array(truth.shape)[::-1] - 0.5)).all(1)
            inside.append(truth[z[within], y[within], x[within]].mean())
    assert len(inside) >= 5
    # A PET blurs: 41 % of the maximum reaches over the lesion's edge.
    assert np.median(inside) > 0.6
    assert min(inside) > 0.3


@pytest.mark.parametrize(
    ("side", "centre", "is_refused"),
    [
        ("right", RIGHT, False),
        ("right", LEFT, True),  # the right lobe of the liver lies to the right of the midline
        ("left", (20, 25, 34), False),  # the left one reaches over it
        ("left", (20, 25, 52), True),
    ],
)
def test_a_lobe_of_the_liver_is_refused_where_it_cannot_be(side, centre, is_refused):
    suv, _ = scene((centre, 4, 9.0))
    found = found_for(f"Metastasis in the {side} hepatic lobe, SUVmax {peak(suv, centre):.1f} (image 21).", suv)
    assert isinstance(found, Matched) != is_refused
