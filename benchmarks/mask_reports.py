"""Reports of random masks, read back: facts → report → facts, and the checker of captions on every sentence.

    python benchmarks/mask_reports.py --cases 2000
    python benchmarks/mask_reports.py --cases 3 --show
    python benchmarks/mask_reports.py --cases 2000 --alike

A case is a small volume with organs, their parts, vessels and bones, and 0 to 12 lesions under the labels of public
sets. It is measured by the code of `voxtile facts --from masks`; what has to come back is worked out here from the
labels and the sizes, and by none of the code that writes or reads reports. With `--alike` a case is rows of facts
without a volume: lesions of few sizes and places, so that many are hard to tell from each other.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies
from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.intensity import Values
from voxtile_medical.measurements.sample_facts import MaskedRegion, facts_of_sample
from voxtile_medical.measurements.shape import shape_of_mask
from voxtile_medical.reports.compose.mask_facts import masked_case
from voxtile_medical.reports.compose.report import compose
from voxtile_medical.reports.compose.wording import Style, load_wording
from voxtile_medical.reports.extract import Reading, read_report
from voxtile_medical.reports.lexicon import load_lexicon

STYLES: tuple[Style, ...] = ("structured", "narrative")
MOST_LESIONS = 12
_TOLD = 100  # cases between two lines of progress
_SHAPE = (36, 64, 64)  # z, y, x
Box = tuple[int, int, int, int, int, int]  # first and last of z, y, x
# Label → box. Lungs above, pelvis below; x grows to the patient's right.
_ORGANS: Mapping[str, Box] = {
    "liver_segment_2": (16, 24, 10, 24, 30, 42),
    "liver_segment_4": (16, 24, 10, 24, 42, 50),
    "liver_segment_7": (18, 26, 24, 40, 44, 60),
    "liver_segment_8": (18, 26, 10, 24, 50, 62),
    "spleen": (16, 24, 34, 50, 2, 12),
    "pancreas_head": (14, 18, 26, 34, 36, 44),
    "pancreas_body": (14, 18, 24, 32, 26, 36),
    "pancreas_tail": (16, 20, 26, 34, 12, 26),
    "kidney_left_upper_pole": (12, 15, 44, 56, 10, 20),
    "kidney_left_lower_pole": (8, 12, 44, 56, 10, 20),
    "kidney_right_upper_pole": (12, 15, 44, 56, 44, 54),
    "kidney_right_lower_pole": (8, 12, 44, 56, 44, 54),
    "gallbladder": (12, 16, 10, 20, 40, 48),
    "adrenal_gland_left": (20, 23, 36, 42, 18, 26),
    "adrenal_gland_right": (20, 23, 40, 46, 38, 44),
    "stomach": (20, 28, 12, 24, 14, 28),
    "duodenum": (10, 14, 24, 32, 42, 50),
    "colon": (4, 8, 14, 24, 6, 58),
    "urinary_bladder": (0, 4, 12, 26, 24, 40),
    "prostate": (0, 3, 28, 36, 26, 38),
    "esophagus": (28, 35, 36, 42, 29, 35),
    "lung_upper_lobe_left": (31, 36, 8, 36, 4, 24),
    "lung_lower_lobe_left": (26, 31, 24, 54, 4, 24),
    "lung_upper_lobe_right": (32, 36, 8, 36, 40, 60),
    "lung_lower_lobe_right": (27, 32, 26, 54, 42, 60),
    "vertebrae_L1": (12, 17, 48, 60, 26, 38),
    "vertebrae_T12": (17, 22, 48, 60, 26, 38),
    "heart": (27, 34, 12, 30, 24, 40),
    "celiac_aa": (16, 24, 32, 36, 30, 33),
    "superior_mesenteric_artery": (8, 18, 32, 35, 33, 36),
    "common_hepatic_artery": (18, 21, 26, 30, 34, 44),
    "portal_vein": (14, 22, 30, 34, 40, 44),
}
_WHOLE = {
    "liver": "liver_segment",
    "pancreas": "pancreas_",
    "kidney_left": "kidney_left",
    "kidney_right": "kidney_right",
}
_ALIKE: Mapping[str, Sequence[str]] = {  # places of lesions that are alike; "" for none
    "liver_segment": ("liver segment 2", "liver segment 7", ""),
    "pancreas_": ("pancreas head", "pancreas tail", ""),
    "kidney_left": ("left kidney upper pole", "left kidney lower pole", ""),
    "kidney_right": ("right kidney upper pole", ""),
    "kidney_": ("left kidney upper pole", "right kidney upper pole", "right kidney", ""),
    "lung_": ("left upper lobe", "right upper lobe", "right lower lobe", ""),
    "vertebrae_": ("vertebrae L1", "vertebrae T12", ""),
}
_HU = {"lung": -800, "liver": 105, "spleen": 115, "pancreas": 90, "kidney": 150, "vertebrae": 200, "gallbladder": 5}


@dataclass(frozen=True)
class Label:
    """What a label means, said by hand.

    Attributes:
        organs: beginnings of the names of the boxes where such lesions are drawn.
        concept: as which a report is read.
        has_side: it is one of a pair.
        in_parts: its place is a part of the organ.
    """

    organs: str
    concept: str
    has_side: bool = False
    in_parts: bool = False


LABELS: Mapping[str, Label] = {
    "liver_lesion": Label("liver_segment", "liver_lesion", in_parts=True),
    "hepatic_cyst": Label("liver_segment", "liver_cyst", in_parts=True),
    "liver tumor": Label("liver_segment", "liver_lesion", in_parts=True),
    "splenic lesion": Label("spleen", "splenic_lesion"),
    "spleen_cyst": Label("spleen", "splenic_cyst"),
    "pancreatic_lesion": Label("pancreas_", "pancreatic_lesion", in_parts=True),
    "pancreatic tumor": Label("pancreas_", "pancreatic_lesion", in_parts=True),
    "pancreatic_pdac": Label("pancreas_", "pancreatic_lesion", in_parts=True),
    "kidney_cyst_left": Label("kidney_left", "renal_cyst", has_side=True, in_parts=True),
    "kidney_cyst_right": Label("kidney_right", "renal_cyst", has_side=True, in_parts=True),
    "kidney lesion": Label("kidney_", "renal_mass", has_side=True, in_parts=True),
    "renal tumor": Label("kidney_", "renal_mass", has_side=True, in_parts=True),
    "gallbladder_lesion": Label("gallbladder", "gallbladder_lesion"),
    "lesion of the gallbladder": Label("gallbladder", "gallbladder_lesion"),
    "adrenal mass": Label("adrenal", "adrenal_mass", has_side=True),
    "adrenal_gland_left_nodule": Label("adrenal_gland_left", "adrenal_mass", has_side=True),
    "stomach_tumor": Label("stomach", "gastric_lesion"),
    "duodenal polyp": Label("duodenum", "duodenal_lesion"),
    "colon_cancer": Label("colon", "bowel_lesion"),
    "bladder mass": Label("urinary_bladder", "bladder_lesion"),
    "prostate_lesion": Label("prostate", "prostatic_lesion", has_side=True),
    "esophageal tumour": Label("esophagus", "esophageal_lesion"),
    "pulmonary nodule": Label("lung_", "pulmonary_nodule", has_side=True, in_parts=True),
    "lung_tumor": Label("lung_", "lung_mass", has_side=True, in_parts=True),
    "bone lesion": Label("vertebrae_", "bone_lesion", has_side=True, in_parts=True),
    "vertebral metastasis": Label("vertebrae_", "bone_metastasis", has_side=True, in_parts=True),
}
_PLACES = {
    "pancreas head": "pancreatic head", "pancreas body": "pancreatic body", "pancreas tail": "pancreatic tail",
    "kidney upper pole": "upper pole", "kidney lower pole": "lower pole",
    "upper lobe": "upper lobe", "lower lobe": "lower lobe",
    "vertebrae L1": "L1", "vertebrae T12": "T12",
}  # fmt: skip
_SIZES = {
    "liver": ["hepatomegaly"], "spleen": ["splenomegaly"], "kidneys": ["nephromegaly", "small_kidneys"],
    "heart": ["cardiomegaly"],
}  # fmt: skip
Lesion = tuple[str, str | None, str | None, tuple[float, ...]]  # concept, side, place, sizes in mm


@dataclass(frozen=True)
class Case:
    """Rows of the tables `facts` and `scopes` of one sample, and as the checker knows them."""

    facts: list[dict[str, Any]]
    known: Known


def random_case(seed: int) -> Case:
    """A volume with organs and 0 to 12 lesions, measured."""
    rng = random.Random(seed)
    spacing = [rng.uniform(2.5, 8.0), *[rng.uniform(1.6, 7.0)] * 2]
    affine = np.diag([spacing[2], spacing[1], spacing[0], 1.0])
    grid = Grid.of({"axes": "ZYX", "shape": list(_SHAPE), "affine": affine.reshape(-1).tolist(), "uid": "u"})
    labels = rng.sample(sorted(LABELS), rng.randint(1, 6))
    near = tuple(LABELS[label].organs for label in labels)
    masks = {n: _boxed(box) for n, box in _ORGANS.items() if rng.random() < (0.9 if n.startswith(near) else 0.15)}
    for whole, start in _WHOLE.items():
        parts = [mask for name, mask in masks.items() if name.startswith(start)]
        if parts and rng.random() < 0.9:
            masks[whole] = np.logical_or.reduce(parts)
            if rng.random() < 0.2:
                masks = {name: mask for name, mask in masks.items() if name == whole or not name.startswith(start)}
    noise = np.random.default_rng(seed)
    values = noise.normal(40, 12, _SHAPE)
    for name, mask in masks.items():
        values[mask] += next((hu for start, hu in _HU.items() if name.startswith(start)), 40) - 40
    for label, mask in _lesions(rng, labels).items():
        values[mask] = rng.choice([10, 60, 104, 160]) + noise.normal(0, 8, int(mask.sum()))
        if rng.random() < 0.3:  # a label map, in which a lesion replaces its organ
            masks = {name: left for name, other in masks.items() if (left := other & ~mask).any()}
        masks[label] = mask
    regions = [
        MaskedRegion(f"r{number}", name, shape)
        for number, (name, mask) in enumerate(masks.items())
        if (shape := shape_of_mask(mask, grid)) is not None
    ]
    made = facts_of_sample(
        "u", grid, regions, Values(values.round().astype(np.int16)), sex=rng.choice(["M", "F", None])
    )
    return Case(made.facts, Known(made.facts, made.scopes))


def alike_case(seed: int) -> Case:
    """Rows of facts of lesions of few sizes and places; the checker knows nothing of them."""
    rng = random.Random(seed)
    sizes = [[12.0, 9.0, 8.0], [12.2, 8.7, 8.1], [31.4, 20.2, 22.0], [5.0, 5.0, 5.0]]
    facts: list[dict[str, Any]] = []
    for number, label in enumerate(rng.sample(sorted(LABELS), rng.randint(1, 3))):
        kind, count = LABELS[label], rng.randint(1, 5)
        organ = kind.organs.removesuffix("_").split("_")[0]
        for lesion in range(1, count + 1):
            part = {"lesion": lesion, "of": count} if count > 1 else {"count": 1}
            said: dict[str, Any] = {"size_mm": rng.choice(sizes), **part}
            place = rng.choice(_ALIKE.get(kind.organs, ("",)))
            side = next((s for s in ("left", "right") if s in f"{label} {place}"), rng.choice(["left", "right", None]))
            said |= ({"location": place} if place else {}) | ({"laterality": side} if side else {})
            facts.append(_row("masks/finding", label.replace(" ", "_"), "mm", label, number, said))
            if rng.random() < 0.6:
                there = {key: value for key, value in part.items() if key == "lesion"} | {"organ": organ}
                relation = rng.choice(["hypoattenuating", "isoattenuating", "hyperattenuating"])
                facts.append(_row("measurements/location", "location", None, label, number, there))
                facts.append(_row("measurements/mean", "mean attenuation", "HU", label, number, there))
                there |= {"relation": relation}
                facts.append(
                    _row("measurements/relative-attenuation", "relative attenuation", "HU", label, number, there)
                )
    return Case(facts, Known([], []))


def _row(source: str, concept: str, unit: str | None, label: str, number: int, said: dict[str, Any]) -> dict[str, Any]:
    value = max(said.get("size_mm", [55.5]))
    row = {
        "uid": "u",
        "concept": concept,
        "polarity": "present",
        "value": value,
        "unit": unit,
        "region_id": f"r{number}",
    }
    return row | {"attributes": json.dumps({"region": label, **said}), "source": f"{source}@1"}


def _boxed(box: Box) -> npt.NDArray[np.bool_]:
    mask = np.zeros(_SHAPE, bool)
    z0, z1, y0, y1, x0, x1 = box
    mask[z0:z1, y0:y1, x0:x1] = True
    return mask


def _lesions(rng: random.Random, labels: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
    """Label → mask; several lesions of a label are one mask, as sets have them."""
    index = np.indices(_SHAPE)
    found: dict[str, npt.NDArray[np.bool_]] = {}
    for _ in range(rng.randint(0, MOST_LESIONS)):
        label = rng.choice(labels)
        organ = rng.choice([box for name, box in _ORGANS.items() if name.startswith(LABELS[label].organs)])
        centre = [rng.uniform(first, last - 1) for first, last in zip(organ[::2], organ[1::2], strict=True)]
        radii = [rng.uniform(0.6, 1.8), *(rng.uniform(0.6, 3.5) for _ in range(2))]
        away = sum(((index[axis] - centre[axis]) / radii[axis]) ** 2 for axis in range(3))
        mask = np.asarray(away <= 1) | (index == np.rint(centre)[:, None, None, None]).all(axis=0)
        found[label] = found.get(label, False) | mask
    return found


def truth(case: Case) -> tuple[Counter[Lesion], dict[str, str]]:
    """What has to come back: lesions with how many there are of each, and organ sizes with their polarity."""
    rows = [row | {"said": json.loads(row["attributes"])} for row in case.facts]
    lesions: Counter[Lesion] = Counter()
    for row in rows:
        said = row["said"]
        if row["source"].startswith("masks/finding") and "size_mm" in said:
            label = LABELS[said["region"]]
            place, side = str(said.get("location") or ""), said.get("laterality")
            for one in ("left", "right"):
                side = one if one in place.split() else side
            bare = " ".join(word for word in place.split() if word not in ("left", "right"))
            is_own = label.organs.split("_")[0] in bare or (label.organs == "lung_" and "lobe" in bare)
            known = (bare if bare.startswith("liver segment") else _PLACES.get(bare)) if is_own else None
            at = "colon" if label.concept == "bowel_lesion" else known if label.in_parts else None
            sizes = tuple(float(max(1, round(length))) for length in said["size_mm"])
            is_sided = label.has_side and side in ("left", "right") and not bare.startswith("vertebrae")
            lesions[label.concept, side if is_sided else None, at, sizes] += 1
    named = {row["concept"]: row["polarity"] for row in rows if row["source"].startswith("masks/normal-range")}
    sizes = {concept: named[concept] for concepts in _SIZES.values() for concept in concepts if concept in named}
    if sizes.get("small_kidneys") == "present":
        del sizes["nephromegaly"]  # who says that the kidneys are small need not say that they are not large
    elif sizes.get("nephromegaly") == "present":
        del sizes["small_kidneys"]
    return lesions, sizes


def read_back(reading: Reading) -> tuple[Counter[Lesion], dict[str, str], list[str]]:
    """Lesions and organ sizes that a report states, and what is wrong with how many it says there are."""
    lesions: Counter[Lesion] = Counter()
    totals: dict[tuple[str, str | None], int] = {}
    sizes: dict[str, str] = {}
    wrong = []
    for fact in reading.facts:
        said = fact.attributes
        if any(fact.concept in concepts for concepts in _SIZES.values()):
            sizes[fact.concept] = fact.polarity
        elif fact.polarity != "present":
            wrong.append(f"{fact.concept} {fact.polarity}")
        elif len(said.size_mm) == 1 and said.count:
            totals[fact.concept, said.laterality] = said.count
        else:
            lesions[fact.concept, said.laterality, said.location, said.size_mm] += said.count or 1
    for kind, total in totals.items():
        listed = sum(n for (concept, side, *_), n in lesions.items() if (concept, kind[1] and side) == kind)
        if listed != total:
            wrong.append(f"{total} {kind} are said, and {listed} listed")
    return lesions, sizes, wrong


@cache
def _vocabulary() -> Vocabulary:
    return installed_vocabularies()["medical"]


def report_of(case: Case, style: Style, key: str) -> str:
    """The report of a case."""
    lexicon, wording = load_lexicon(), load_wording()
    made = masked_case(case.facts, lexicon, wording)
    return compose((), (), lexicon, wording, style=style, key=key, case=made).text


def differences(case: Case, report: str) -> list[str]:
    """What a report says that is not so, or leaves out; nothing where the facts come back."""
    expected, sizes = truth(case)
    reading = read_report(report, load_lexicon())
    lesions, found, wrong = read_back(reading)
    wrong += [f"missing {lesion}" for lesion in (expected - lesions).elements()]
    wrong += [f"invented {lesion}" for lesion in (lesions - expected).elements()]
    wrong += [f"{name} {polarity} missing" for name, polarity in sizes.items() if found.get(name) != polarity]
    wrong += [f"{name} invented" for name in found.keys() - sizes.keys()]
    return wrong + [problem.detail for problem in reading.problems]


def faults(case: Case, report: str) -> Iterator[tuple[str, str, str]]:
    """Sentences of a report that the checker of captions does not support: judgement, sentence, why."""
    for fault in check(report, case.known, _vocabulary()).faults:
        yield fault.judgement, fault.words, fault.why


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alike", action="store_true", help="rows of lesions that are hard to tell apart")
    parser.add_argument("--show", action="store_true", help="print the reports")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Count cases whose facts come back, and judgements of the checker."""
    args = _parsed(argv)
    same: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    lesions, seconds = 0, 0.0
    report_of(Case([], Known([], [])), STYLES[0], "0")  # reads the lexicon
    for seed in range(args.seed, args.seed + args.cases):
        case = alike_case(seed) if args.alike else random_case(seed)
        lesions += sum(truth(case)[0].values())
        if (seed - args.seed) % _TOLD == 0:
            print(f"{seed - args.seed} cases: {dict(same)}, checker {dict(judged)}", file=sys.stderr)
        for style in STYLES:
            start = time.perf_counter()
            report = report_of(case, style, str(seed))
            seconds += time.perf_counter() - start
            wrong = differences(case, report)
            same[style] += not wrong
            found = [] if args.alike else list(faults(case, report))
            judged.update(judgement for judgement, _, _ in found)
            judged[f"reports, {style}, contradicted"] += any(judgement == "contradicted" for judgement, _, _ in found)
            if args.show or wrong or any(judgement == "contradicted" for judgement, _, _ in found):
                print(f"--- {seed} {style}\n{report}\n", *wrong, *map(str, found), sep="\n")
    print(f"{args.cases} cases, {lesions} lesions")
    for style in STYLES:
        print(f"{style}: facts identical in {same[style]} of {args.cases}")
    print(f"checker: {dict(sorted(judged.items()))}; {1000 * seconds / max(1, 2 * args.cases):.2f} ms a report")


if __name__ == "__main__":
    main()
