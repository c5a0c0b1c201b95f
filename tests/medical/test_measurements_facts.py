"""Facts of masks in a corpus: hand-worked anatomy, bad masks, real label maps, and what the phantom knows of itself."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.view.view import compile_view
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.measurements.command import facts_from_masks
from voxtile_medical.measurements.diameters import largest_extent
from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.normal_ranges import load_ranges
from voxtile_medical.measurements.rules import RULES
from voxtile_medical.measurements.shape import shape_of_mask
from voxtile_medical.phantom.ct.command import write_ct_phantom

UID = "1" * 32
SHAPE = (12, 40, 60)  # z, y, x
AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
INLINE = {"engine": "inline", "workers": 1}


def boxed(z: slice, y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[z, y, x] = True
    return mask


@dataclass(frozen=True)
class Masks:
    """A task that stores one volume and its masks."""

    masks: dict[str, np.ndarray]
    values: np.ndarray
    affine: list[float] | None = field(default_factory=lambda: AFFINE.reshape(-1).tolist())
    row: dict[str, Any] = field(default_factory=dict)
    name: str = "made"
    version: str = "1"

    def config(self) -> dict[str, Any]:
        return {}

    def items(self) -> list[Item]:
        return [Item("volume", {})]

    def process(self, item: Item) -> Outcome:
        row = {
            "uid": UID,
            "subject": "s1",
            "kind": "volume",
            "modality": "CT",
            "axes": "ZYX",
            "units": "HU",
            "channels": [{"name": "CT", "unit": "HU", "scale": 2.0, "offset": -1000.0}],
            "affine": self.affine,
            "spacing": [5.0, 2.0, 2.0],
            **self.row,
        }
        masks = tuple(
            Mask({"region_id": f"r{number}", "uid": UID, "phrase": phrase, "source": "made@1"}, mask)
            for number, (phrase, mask) in enumerate(self.masks.items())
        )
        return Outcome("used", samples=(Sample(row, self.values),), masks=masks)


def measured(tmp_path: Path, made: Masks, **options: Any) -> list[dict[str, Any]]:
    """The facts of the masks, their attributes read."""
    run_task(made, tmp_path / "corpus", RunOptions(**INLINE))
    facts_from_masks(tmp_path / "corpus", **INLINE, **options)
    return facts_of(tmp_path / "corpus")


def facts_of(root: Path) -> list[dict[str, Any]]:
    rows = Corpus(root).table("facts").to_pylist()
    made = {rule.source for rule in RULES.values()}
    return [row | {"attributes": json.loads(row["attributes"])} for row in rows if row["source"] in made]


def only(facts: list[dict[str, Any]], concept: str, region: str, **attributes: Any) -> dict[str, Any]:
    """The one fact of a concept about a region."""
    wanted = {"region": region, **attributes}
    found = [
        fact
        for fact in facts
        if fact["concept"] == concept and all(fact["attributes"].get(k) == v for k, v in wanted.items())
    ]
    assert len(found) == 1, (concept, wanted, found)
    return found[0]


PANCREAS = boxed(slice(4, 8), slice(10, 20), slice(20, 50))
TUMOUR = boxed(slice(5, 7), slice(12, 18), slice(24, 34))
SMA = boxed(slice(2, 10), slice(13, 16), slice(35, 38))
VALUES = np.full(SHAPE, 550, np.int16)  # 100 HU
VALUES[PANCREAS & ~TUMOUR] = 560
VALUES[4, 10, 20:50:2] = 590
VALUES[TUMOUR] = 520  # 40 HU


@pytest.fixture(scope="module")
def abdomen(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Facts of a pancreas with a tumour beside an artery."""
    masks = {
        "pancreas": PANCREAS,
        "pancreatic tumor": TUMOUR,
        "superior_mesenteric_artery": SMA,
        "vertebrae_L1": boxed(slice(2, 10), slice(25, 32), slice(26, 34)),
        "celiac_aa": boxed(slice(10, 12), slice(13, 16), slice(35, 38)),
    }
    return measured(tmp_path_factory.mktemp("abdomen"), Masks(masks, VALUES))


def test_sizes_and_attenuation_are_those_worked_by_hand(abdomen: list[dict[str, Any]]) -> None:
    region = "pancreatic tumor"
    volume = only(abdomen, "volume", region)
    assert (volume["value"], volume["unit"], volume["source"]) == (2.4, "ml", "measurements/volume@1")
    assert (volume["region_id"], volume["uid"], volume["polarity"]) == ("r1", UID, "present")
    # 6 x 10 voxels of 2 mm: 10 x 18 mm between centres, and a quarter of a step at either end along the longer side.
    longest = only(abdomen, "longest axial diameter", region)
    assert longest["value"] == pytest.approx(np.hypot(10, 19), abs=1e-6)
    assert longest["unit"] == "mm"
    assert longest["attributes"]["slice"] in (5, 6)
    (z1, y1, x1), (z2, y2, x2) = longest["attributes"]["ends"]
    assert z1 == z2 == longest["attributes"]["slice"]
    assert np.hypot((y2 - y1) * 2, (x2 - x1) * 2) == pytest.approx(longest["value"], abs=0.01)
    across = only(abdomen, "perpendicular axial diameter", region)
    assert only(abdomen, "product of diameters", region)["value"] == pytest.approx(
        longest["value"] * across["value"], abs=1e-4
    )
    assert only(abdomen, "largest extent", region)["value"] == pytest.approx(np.sqrt(10**2 + 19**2 + 5**2), abs=1e-6)
    assert only(abdomen, "craniocaudal extent", region)["value"] == 10.0
    assert only(abdomen, "count", region)["value"] == 1
    assert only(abdomen, "mean attenuation", region)["value"] == 40.0
    assert only(abdomen, "mean attenuation", region)["unit"] == "HU"
    assert only(abdomen, "standard deviation of attenuation", region)["value"] == 0.0


def test_a_finding_is_placed_and_compared(abdomen: list[dict[str, Any]]) -> None:
    region = "pancreatic tumor"
    finding = only(abdomen, "pancreatic_tumor", region)
    assert finding["source"] == "masks/finding@1"
    assert finding["value"] == only(abdomen, "longest axial diameter", region)["value"]
    place = only(abdomen, "location", region)
    assert (place["value"], place["attributes"]["location"], place["attributes"]["by"]) == (1.0, "pancreas", "overlap")
    relative = only(abdomen, "attenuation relative to organ", region)
    healthy = VALUES[PANCREAS & ~TUMOUR] * 2.0 - 1000
    assert relative["value"] == pytest.approx(40.0 - healthy.mean(), abs=1e-5)
    assert relative["attributes"]["relation"] == "hypoattenuating"
    # RAS+: x grows to the right; the spine's middle is at 59 mm, the tumour's at 57 mm.
    side = only(abdomen, "laterality", region)
    assert (side["attributes"]["laterality"], side["attributes"]["evidence"]) == ("midline", "the spine")
    assert side["value"] == pytest.approx(-2.0)
    assert only(abdomen, "distance", region, other="superior mesenteric artery")["value"] == pytest.approx(4.0)
    assert not [f for f in abdomen if f["concept"] == "contact"]


def test_staging_follows_size_and_arteries(abdomen: list[dict[str, Any]]) -> None:
    region = "pancreatic tumor"
    angle = only(abdomen, "vessel contact angle", region, vessel="superior mesenteric artery")
    # One free column of voxels lies between tumour and artery.
    assert (angle["polarity"], angle["value"]) == ("absent", 0.0)
    stage = only(abdomen, "T stage", region)
    assert (stage["attributes"]["stage"], stage["value"], stage["polarity"]) == ("T2", 2.0, "uncertain")
    assert stage["attributes"]["basis"].startswith("size 21.5 mm")


def test_a_tumour_round_an_artery_is_t4(tmp_path: Path) -> None:
    tumour = boxed(slice(4, 8), slice(10, 20), slice(30, 43)) & ~SMA
    facts = measured(tmp_path, Masks({"pdac": tumour, "pancreas": PANCREAS, "SMA": SMA}, VALUES))
    angle = only(facts, "vessel contact angle", "pdac")
    assert (angle["value"], angle["attributes"]["category"], angle["attributes"]["slices"]) == (360.0, "encasement", 4)
    assert only(facts, "T stage", "pdac")["attributes"]["stage"] == "T4"
    assert only(facts, "T stage", "pdac")["polarity"] == "present"
    assert only(facts, "contact", "pdac", other="superior mesenteric artery")["value"] == pytest.approx(4 * 12 * 10)


def test_parts_of_a_finding_are_measured_one_by_one(tmp_path: Path) -> None:
    liver = boxed(slice(1, 11), slice(5, 35), slice(2, 58))
    right = boxed(slice(2, 5), slice(8, 14), slice(45, 53))
    left = boxed(slice(6, 8), slice(8, 12), slice(4, 8))
    masks = {
        "liver": liver,
        "liver lesions": left | right,
        "liver_segment_2": boxed(slice(1, 11), slice(5, 35), slice(2, 10)),
        "liver_segment_7": boxed(slice(1, 11), slice(5, 35), slice(10, 58)),
        "vertebrae_L1": boxed(slice(1, 11), slice(36, 39), slice(28, 32)),  # without it the sides are not known
    }
    facts = measured(tmp_path, Masks(masks, VALUES))
    named = [f for f in facts if f["concept"] == "liver_lesions"]
    [whole] = [f for f in named if "lesion" not in f["attributes"]]
    assert "size_mm" not in whole["attributes"]  # the diameters of several lesions are not those of one
    for number in (1, 2):
        one = only(named, "liver_lesions", "liver lesions", lesion=number)
        across = [
            only(facts, concept, "liver lesions", lesion=number)["value"]
            for concept in ("longest axial diameter", "perpendicular axial diameter", "craniocaudal extent")
        ]
        assert one["attributes"]["size_mm"] == pytest.approx(across, abs=1e-3)
        assert one["attributes"]["location"] == f"liver segment {(7, 2)[number - 1]}"
    assert (whole["attributes"]["count"], whole["attributes"]["laterality"]) == (2, "bilateral")
    assert only(facts, "volume", "liver lesions", lesion=1)["value"] == pytest.approx(3 * 6 * 8 * 0.02)
    assert only(facts, "volume", "liver lesions", lesion=2)["value"] == pytest.approx(2 * 4 * 4 * 0.02)
    assert only(facts, "longest axial diameter", "liver lesions", lesion=1)["attributes"]["laterality"] == "right"
    assert only(facts, "longest axial diameter", "liver lesions", lesion=2)["attributes"]["laterality"] == "left"
    assert only(facts, "location", "liver lesions", lesion=1)["attributes"]["location"] == "liver segment 7"
    assert only(facts, "location", "liver lesions", lesion=2)["attributes"]["location"] == "liver segment 2"
    longest = [f for f in facts if f["concept"] == "longest axial diameter" and "lesion" not in f["attributes"]]
    by_region = {f["attributes"]["region"]: f["value"] for f in longest}
    parts = [only(facts, "longest axial diameter", "liver lesions", lesion=n)["value"] for n in (1, 2)]
    assert by_region["liver lesions"] == max(parts)  # never from one part to another


def test_a_side_that_is_not_known_stands_in_no_other_fact(tmp_path: Path) -> None:
    """A cropped picture: the body goes on beyond its edges, and no spine is drawn."""
    masks = {"lung nodule": boxed(slice(2, 5), slice(8, 14), slice(28, 32)), "cysts": np.zeros(SHAPE, bool)}
    masks["cysts"][2:4, 8:10, 4:6] = masks["cysts"][2:4, 8:10, 50:52] = True
    facts = measured(tmp_path, Masks(masks, VALUES))
    sides = [f for f in facts if f["concept"] == "laterality"]
    assert {f["polarity"] for f in sides} == {"uncertain"}
    others = [f for f in facts if f["concept"] != "laterality"]
    assert {f["concept"] for f in others} >= {"lung_nodule", "cysts"}
    assert not [f for f in others if "laterality" in f["attributes"]]


def test_a_lesion_of_a_bone_lies_in_its_vertebra_and_no_other_finding_does(tmp_path: Path) -> None:
    spine = boxed(slice(1, 5), slice(15, 25), slice(25, 35))
    lesion = boxed(slice(2, 4), slice(16, 20), slice(27, 31))
    beside = boxed(slice(2, 4), slice(16, 20), slice(36, 40))
    masks = {"vertebrae_L1": spine & ~lesion, "bone lesion": lesion, "pleural effusion": beside & ~spine}
    facts = measured(tmp_path, Masks(masks, VALUES))
    assert only(facts, "location", "bone lesion")["attributes"]["location"] == "vertebrae L1"
    assert not [f for f in facts if f["concept"] == "location" and f["attributes"]["region"] == "pleural effusion"]


def test_a_sentence_names_no_concept(tmp_path: Path) -> None:
    facts = measured(tmp_path, Masks({"nodule at the hilum of the right lung": TUMOUR}, VALUES))
    assert only(facts, "laterality", "nodule at the hilum of the right lung")["attributes"]["laterality"] == "right"
    assert not [f for f in facts if f["source"] == RULES["finding"].source]


def test_organs_are_judged_by_published_ranges(tmp_path: Path) -> None:
    masks = {
        "spleen": boxed(slice(2, 10), slice(5, 35), slice(5, 35)),  # 144 ml
        "kidney_left": boxed(slice(2, 10), slice(5, 35), slice(40, 50)),  # 48 ml each
        "kidney_right": boxed(slice(2, 10), slice(5, 35), slice(50, 59)),
        "liver": boxed(slice(0, 12), slice(5, 35), slice(5, 35)),  # at the border
    }
    facts = measured(tmp_path, Masks(masks, VALUES, row={"attributes": '{"sex": "F"}'}))
    spleen = only(facts, "splenomegaly", "spleen")
    assert (spleen["polarity"], spleen["value"], spleen["unit"]) == ("absent", 144.0, "ml")
    assert spleen["source"] == "masks/normal-range@1"
    assert only(facts, "volume", "spleen")["attributes"]["usual_range"] == [107.2, 314.5]
    assert only(facts, "small_kidneys", "kidneys")["polarity"] == "present"
    assert only(facts, "small_kidneys", "kidneys")["attributes"]["usual_range"] == [170, 386]
    assert only(facts, "volume", "liver")["attributes"]["cut_off"] is True
    assert not [f for f in facts if f["concept"] == "hepatomegaly"]  # what is outside may be more
    scopes = {s["vocabulary"]: s for s in Corpus(tmp_path / "corpus").table("scopes").to_pylist()}
    assert scopes["organ-sizes"]["closed"]
    assert scopes["organ-sizes"]["concepts"] == ["nephromegaly", "small_kidneys", "splenomegaly"]
    assert not scopes["measurements"]["closed"]
    assert "volume" in scopes["measurements"]["concepts"]
    # Measurements are neither labels nor captions; what follows from them is.
    assert compile_view(Corpus(tmp_path / "corpus")).concepts == ("nephromegaly", "small_kidneys", "splenomegaly")


def test_a_label_on_the_wrong_side_is_uncertain(tmp_path: Path) -> None:
    masks = {
        "vertebrae": boxed(slice(2, 10), slice(25, 32), slice(26, 34)),
        "left kidney": boxed(slice(2, 10), slice(5, 15), slice(45, 55)),
    }
    side = only(measured(tmp_path, Masks(masks, VALUES)), "laterality", "left kidney")
    assert (side["polarity"], side["attributes"]["laterality"]) == ("uncertain", "left")
    assert side["attributes"]["by_affine"] == "right"


def test_masks_that_cannot_be_measured_are_named_and_the_rest_is(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    voxel = boxed(slice(3, 4), slice(4, 5), slice(6, 7))
    shares = np.zeros(SHAPE, np.uint8)
    shares[2:4, 2:6, 2:6] = 255
    shares[2:4, 6, 2:6] = 100  # less than half
    masks = {
        "empty": np.zeros(SHAPE, bool),
        "larger": np.ones((13, 40, 60), bool),
        "one voxel": voxel,
        "shares": shares,
    }
    run_task(Masks(masks, VALUES), tmp_path / "corpus", RunOptions(**INLINE))
    with pytest.raises(RunFailedError):
        facts_from_masks(tmp_path / "corpus", **INLINE)
    said = " ".join(capfd.readouterr().out.split())
    assert "mask-off-grid" in said
    ledger = Corpus(tmp_path / "corpus").ledger().to_pylist()
    reasons = {(row["status"], row["reason"]) for row in ledger if row["source"] == f"measurements/{UID}"}
    assert {("dropped", "empty-mask"), ("failed", "mask-off-grid")} <= reasons
    facts = facts_of(tmp_path / "corpus")
    assert only(facts, "volume", "shares")["value"] == pytest.approx(2 * 4 * 4 * 0.02)
    diameter = only(facts, "longest axial diameter", "one voxel")
    assert (diameter["value"], diameter["polarity"]) == (1.0, "uncertain")
    assert diameter["attributes"]["edge_mm"] == pytest.approx(np.hypot(2, 2), abs=1e-3)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (Masks({"liver": PANCREAS}, VALUES, affine=None), "has no affine"),
        (Masks({"liver": PANCREAS}, VALUES, affine=[0.0] * 16), "is singular"),
        (Masks({"liver": PANCREAS}, VALUES, row={"axes": "CYX"}), "has the axes CYX"),
    ],
)
def test_a_sample_without_geometry_is_refused_in_a_sentence(
    tmp_path: Path, made: Masks, sentence: str, capfd: pytest.CaptureFixture
) -> None:
    run_task(made, tmp_path / "corpus", RunOptions(**INLINE))
    with pytest.raises(RunFailedError):
        facts_from_masks(tmp_path / "corpus", **INLINE)
    assert sentence in " ".join(capfd.readouterr().out.split())
    assert facts_of(tmp_path / "corpus") == []


def test_a_corpus_that_is_made_anew_at_its_place_is_read_anew(tmp_path: Path) -> None:
    """The parts of both have the same names, as those of a job that is done again have."""
    said = []
    for scale in (1.0, 2.0):
        affine = np.diag([2.0 * scale, 2.0 * scale, 5.0 * scale, 1.0]).reshape(-1).tolist()
        run_task(Masks({"liver": PANCREAS}, VALUES, affine=affine), tmp_path / "corpus", RunOptions(**INLINE))
        facts_from_masks(tmp_path / "corpus", **INLINE)
        said.append(only(facts_of(tmp_path / "corpus"), "volume", "liver")["value"])
        shutil.rmtree(tmp_path / "corpus")
    assert said[1] == pytest.approx(8 * said[0], rel=1e-3)


def test_no_masks_and_bad_options_are_refused(tmp_path: Path) -> None:
    run_task(Masks({}, VALUES), tmp_path / "corpus", RunOptions(**INLINE))
    with pytest.raises(InputError, match="--from masks --masks FOLDER"):
        facts_from_masks(tmp_path / "corpus", **INLINE)
    with pytest.raises(ConfigError, match="near_mm"):
        facts_from_masks(tmp_path / "corpus", near_mm=-1, **INLINE)
    with pytest.raises(ConfigError, match="max_parts"):
        facts_from_masks(tmp_path / "corpus", max_parts=0, **INLINE)


def test_a_mask_outside_the_volume_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="lies outside a volume"):
        shape_of_mask(np.ones((3, 3, 3)), Grid((4, 4, 4), np.eye(4)), (2, 0, 0))


def test_a_second_run_adds_nothing(tmp_path: Path) -> None:
    first = measured(tmp_path, Masks({"spleen": PANCREAS}, VALUES))
    facts_from_masks(tmp_path / "corpus", **INLINE)
    assert facts_of(tmp_path / "corpus") == first


@pytest.mark.parametrize("name", ["example_seg", "example_seg_dicom", "example_seg_mr"])
def test_organs_of_real_label_maps_measure_as_in_simpleitk(test_data: Path, name: str) -> None:
    path = test_data / "medical" / "totalseg_ct_mr_labels" / f"{name}.nii.gz"
    image = nib.load(path)
    labels = np.asarray(image.dataobj).transpose(2, 1, 0)
    statistics = sitk.LabelShapeStatisticsImageFilter()
    if name == "example_seg_mr":  # it compares every pair of voxels
        statistics.ComputeFeretDiameterOn()
    read = sitk.ReadImage(str(path))
    statistics.Execute(read)
    grid = Grid(labels.shape, image.affine)
    for label in statistics.GetLabels():
        shape = shape_of_mask(labels == label, grid)
        assert shape is not None
        assert shape.volume_ml == pytest.approx(statistics.GetPhysicalSize(label) / 1000, rel=1e-6)
        x, y, z = statistics.GetCentroid(label)  # LPS
        assert shape.centroid == pytest.approx([-x, -y, z], abs=1e-3)
        assert shape.voxels == statistics.GetNumberOfPixels(label)
        if name == "example_seg_mr":
            centres = statistics.GetFeretDiameter(label)  # theirs runs from voxel centre to voxel centre
            assert centres <= largest_extent(shape).mm + 1e-6
            assert largest_extent(shape).mm <= centres + grid.spacing.max() / 2 + 1e-6


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth of a few phantom studies by study, and the facts that their segmentations give."""
    root = tmp_path_factory.mktemp("phantom")
    write_ct_phantom(root / "ph", n=2, seed=842, workers=1)
    convert_dicom(root / "ph" / "dicom", root / "corpus", **INLINE)
    facts_from_masks(root / "corpus", masks=str(root / "ph" / "segmentations"), **INLINE)
    truth = json.loads((root / "ph" / "truth.json").read_text("utf-8"))["studies"]
    # Studies are told apart by their voxel size, which the phantom draws for each.
    samples = {tuple(np.round(row["spacing"], 2)): row for row in Corpus(root / "corpus").table("samples").to_pylist()}
    by_uid = {samples[tuple(np.round(study["spacing_mm"], 2))]["uid"]: study for study in truth}
    assert len(by_uid) == 2
    return by_uid, facts_of(root / "corpus")


def apart(known: list[dict[str, Any]], voxel: float) -> list[dict[str, Any]]:
    """The painted balls that no other one touches, or may touch by a voxel."""

    def gap(one: dict[str, Any], two: dict[str, Any]) -> float:
        way = np.linalg.norm(np.subtract(one["centre_mm"], two["centre_mm"]))
        return float(way) - (one["size_mm"] + two["size_mm"]) / 2

    return [one for one in known if all(one is two or gap(one, two) > voxel for two in known)]


def test_the_phantom_agrees_with_its_truth(phantom: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """Which findings there are, on which side, and how large nodules are, which are painted as balls."""
    by_uid, facts = phantom
    compared = 0
    for uid, study in by_uid.items():
        own = [fact for fact in facts if fact["uid"] == uid]
        painted = {f["concept"] for f in study["findings"] if f["segment"]}
        assert {f["concept"] for f in own if f["source"] == RULES["finding"].source} == painted
        for concept in sorted(painted & {"pulmonary_nodule", "renal_stone", "pleural_effusion"}):
            known = [f for f in study["findings"] if f["concept"] == concept]
            [finding] = [f for f in own if f["concept"] == concept and "lesion" not in f["attributes"]]
            sides = {f["side"] for f in known}
            assert finding["attributes"]["laterality"] == ("bilateral" if len(sides) == 2 else sides.pop())
            assert finding["attributes"]["count"] <= len(known)
            if concept == "renal_stone":
                assert finding["attributes"]["count"] == len(known)
        voxel = float(np.linalg.norm(study["spacing_mm"]))
        nodules = [f for f in study["findings"] if f["concept"] == "pulmonary_nodule"]
        mine = [f for f in own if f["concept"] == "longest axial diameter"]
        mine = [f for f in mine if f["attributes"]["region"] == "pulmonary nodule"]
        parts = [f for f in mine if "lesion" in f["attributes"]] or mine
        for nodule in apart(nodules, voxel):
            sized = [f for f in parts if f["attributes"]["laterality"] in (nodule["side"], None)]
            assert min(abs(f["value"] - nodule["size_mm"]) for f in sized) < voxel
            compared += 1
    assert compared >= 4


def test_every_rule_has_its_own_id_and_every_range_a_source() -> None:
    assert len({rule.source for rule in RULES.values()}) == len(RULES)
    assert all(rule.definition for rule in RULES.values())
    for normal in load_ranges().ranges:
        assert len(normal.source) > 60
        lower, upper = normal.bounds(None)
        assert lower is None or upper is None or lower < upper
        for sex in ("M", "F"):
            own_lower, own_upper = normal.bounds(sex)
            assert own_lower is None or own_lower >= (lower or 0)
            assert own_upper is None or own_upper <= (upper or 0)


def test_the_docs_define_every_rule_and_cite_every_range() -> None:
    page = (Path(__file__).parents[2] / "docs" / "medical-facts.md").read_text("utf-8")
    for rule in RULES.values():
        assert f"`{rule.source}`" in page, rule.source
    assert all(normal.cite in page for normal in load_ranges().ranges)
