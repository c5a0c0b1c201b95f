"""Weak labels of the PET/CT phantom: how many sentences give a region, how many regions hit the lesion that they mean.

A region hits where its box's centre lies in the box of the lesion that the report's writer had in mind (the one whose
SUVmax is named). Then accepted mentions are falsified (another SUVmax, another slice, the other side, another
series), and the share that is refused is printed.

Run: python benchmarks/mentions.py [--n 100] [--seed 0]
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.mentions.command import RULE, facts_from_mentions
from voxtile_medical.mentions.match import Matched, match
from voxtile_medical.mentions.sentences import Mention, mentions_in, mentions_of
from voxtile_medical.phantom.petct.command import write_petct_phantom

HITS, REFUSED = 0.98, 0.95
MOST_FALSIFIED = 400


def box_mm(region: dict, sample: dict) -> np.ndarray:
    """[2, 3] corners of a region's box in patient mm (LPS: x, y, z), smallest first."""
    low, high = np.array(region["box"][:3]) - 0.5, np.array(region["box"][3:]) - 0.5
    corners = np.array([[*low[::-1], 1], [*high[::-1], 1]]) @ np.array(sample["affine"]).reshape(4, 4).T
    lps = corners[:, :3] * [-1, -1, 1]
    return np.stack([lps.min(axis=0), lps.max(axis=0)])


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    sides = np.clip(np.minimum(one[1], other[1]) - np.maximum(one[0], other[0]), 0, None)
    common = sides.prod()
    return float(common / ((one[1] - one[0]).prod() + (other[1] - other[0]).prod() - common))


def hits(corpus: Corpus, truth: dict[str, dict]) -> tuple[list[bool], list[float]]:
    """Whether each region hits its lesion, and the overlap of the boxes."""
    facts = {fact["region_id"]: fact for fact in corpus.table("facts").to_pylist() if fact["source"] == RULE}
    samples = {row["uid"]: row for row in corpus.table("samples").to_pylist()}
    hit, iou = [], []
    for region in corpus.table("regions").to_pylist():
        if region["source"] == RULE:
            sample, value = samples[region["uid"]], facts[region["region_id"]]["value"]
            box = box_mm(region, sample)
            meant = [x for x in truth[sample["study"]]["lesions"] if x["suvmax"] and abs(x["suvmax"] - value) < 0.06]
            boxes = [np.array(lesion["box_mm"]).reshape(2, 3) for lesion in meant]
            centre = box.mean(axis=0)
            hit.append(any((centre > b[0]).all() and (centre < b[1]).all() for b in boxes))
            iou.append(max((overlap(box, b) for b in boxes), default=0.0))
    return hit, iou


def falsified(mention: Mention) -> dict[str, Mention]:
    """The mention with one thing changed, by what."""
    other = {"left": "right", "right": "left"}
    place = mention.place
    changed = {
        "SUVmax + 1.7": replace(mention, suv=mention.suv + 1.7),
        "slice + 9": replace(mention, place=replace(place, first=place.first + 9, last=place.last + 9)),
        "another series": replace(mention, place=replace(place, series=77)),
    }
    if mention.side:
        changed["other side"] = replace(mention, side=other[mention.side])
    return changed


def contradict(corpus: Corpus) -> tuple[Counter[str], Counter[str]]:
    """How often a falsified mention was tried, and how often it was refused, by what was changed."""
    tried, refused = Counter[str](), Counter[str]()
    samples = {row["uid"]: row for row in corpus.table("samples").to_pylist()}
    facts = [fact for fact in corpus.table("facts").to_pylist() if fact["source"] == RULE]
    for fact in facts[:MOST_FALSIFIED]:
        pet = samples[fact["uid"]]
        study = [row for row in samples.values() if row["study"] == pet["study"]]
        channel = pet["channels"][0]
        suv = (corpus.source(pet).array() * channel["scale"] + channel["offset"]).astype(np.float32)
        sentence = json.loads(fact["attributes"])["evidence"][0]
        mention = next(m for m in mentions_in(sentence) if isinstance(m, Mention) and m.suv == fact["value"])
        for what, false in falsified(mention).items():
            tried[what] += 1
            refused[what] += not isinstance(match(false, suv, pet, study), Matched)
    return tried, refused


def main() -> None:
    """Make a phantom, read its mentions, compare with its truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        phantom, path = Path(temporary) / "phantom", Path(temporary) / "corpus"
        write_petct_phantom(phantom, n=args.n, seed=args.seed)
        convert_dicom(phantom / "dicom", path, reports=phantom / "reports.csv", deidentify=False)
        truth = {s["study"]: s for s in json.loads((phantom / "truth.json").read_text())["studies"]}
        start = time.perf_counter()
        facts_from_mentions(path)
        seconds = time.perf_counter() - start
        corpus = Corpus(path)
        reports = {row["text"] for row in corpus.table("captions").to_pylist() if row["kind"] == "raw"}
        found = [m for text in reports for m in mentions_of(text)]
        usable = sum(isinstance(m, Mention) for m in found)
        hit, iou = hits(corpus, truth)
        tried, refused = contradict(corpus)
    print(f"{args.n} studies, {len(found)} sentences with an SUV, {usable} of them with a slice; {seconds:.1f} s")
    print(f"yield: {len(hit)} regions, {len(hit) / max(usable, 1):.3f} of those with a slice")
    print(f"hit: {np.mean(hit):.4f} of {len(hit)} (bound {HITS}); box overlap median {np.median(iou):.2f}")
    for what in tried:
        share = refused[what] / tried[what]
        print(f"falsified, {what}: {share:.4f} of {tried[what]} refused (bound {REFUSED} over all)")
    print(f"falsified, all: {refused.total() / tried.total():.4f} of {tried.total()} refused (bound {REFUSED})")


if __name__ == "__main__":
    main()
