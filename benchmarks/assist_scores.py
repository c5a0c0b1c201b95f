"""What drafted reports of the CT phantom are worth: findings, sides, sizes and sentences that the facts contradict."""

from collections import defaultdict

import numpy as np
import pyarrow as pa

from voxtile.data.sentences import split_sentences
from voxtile_datasets.captions.checker.check import VERSION, Known, check
from voxtile_datasets.captions.checker.task import CheckTask
from voxtile_medical.phantom.ct.findings import CONCEPTS
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

THRESHOLDED = ("contrastive", "facts head")
ROUNDS = 500  # of the bootstrap
NEAR = 0.2  # a size is right within this share, and
NEAR_MM = 5.0  # within so many mm
SIDED = ("pulmonary_nodule", "pleural_effusion", "pneumothorax", "consolidation", "renal_stone")
SAID = {
    "pulmonary_nodule": "There is a pulmonary nodule.",
    "pleural_effusion": "There is a pleural effusion.",
    "pneumothorax": "There is a pneumothorax.",
    "consolidation": "There is a consolidation in the lung.",
    "cardiomegaly": "There is cardiomegaly.",
    "pericardial_effusion": "There is a pericardial effusion.",
    "coronary_calcification": "There is coronary artery calcification.",
    "liver_lesion": "There is a focal liver lesion.",
    "gallstones": "Gallstones are present.",
    "splenomegaly": "Splenomegaly is present.",
    "renal_stone": "There is a renal stone.",
    "vertebral_fracture": "There is a vertebral compression fracture.",
}


def truth_of(corpus, split):
    """Rows of the samples of a split (all where it is None), and [S, F] bool of what the labels say."""
    subjects = {subject for subject, part in corpus.splits().items() if split in (None, part)}
    rows = [row for row in corpus.table("samples", with_root=True).to_pylist() if row["subject"] in subjects]
    there = {
        (row["uid"], row["concept"])
        for row in corpus.table("facts").to_pylist()
        if (row["source"] or "").startswith("labels") and row["polarity"] == "present"
    }
    return rows, np.array([[(row["uid"], concept) in there for concept in CONCEPTS] for row in rows], bool)


def f1(truth, said):
    """Micro F1 over findings of all scans."""
    return 2 * (truth & said).sum() / max(truth.sum() + said.sum(), 1)


def over_scans(measure, scans):
    """The middle 95 % of a measure over scans drawn with replacement; [low, high]."""
    rng = np.random.default_rng(0)
    found = [measure(rng.integers(0, scans, scans)) for _ in range(ROUNDS)]
    return [float(edge) for edge in np.nanpercentile(found, [2.5, 97.5])]


def thresholds(scores, truth):
    """By finding the score from which saying it has the best F1 on the validation split."""
    chosen = []
    for column, right in zip(scores.T, truth.T, strict=True):
        grid = [np.inf, *np.sort(column)]
        chosen.append(max(grid, key=lambda at, column=column, right=right: f1(right, column >= at)))
    return np.array(chosen)


def constant(truth):
    """[F] bool, the findings whose constant affirmation has the best F1."""
    order = np.argsort(-truth.mean(0))
    choices = [np.isin(np.arange(len(order)), order[:count]) for count in range(1, len(order) + 1)]
    return max(choices, key=lambda said: f1(truth, np.broadcast_to(said, truth.shape)))


def in_sentences(said):
    """Reports that affirm what is said."""
    named = [[SAID[c] for c, is_said in zip(CONCEPTS, row, strict=True) if is_said] for row in said]
    return [" ".join(sentences) or "No finding." for sentences in named]


class Judged:
    """Judges reports of some scans.

    Args:
        corpus: where the scans are.
        rows: of them.
        truth: [S, F] bool of the labels.
        known: truth.json of the phantom, with sides and sizes; None where it is not there.
    """

    def __init__(self, corpus, rows, truth, known):
        self.rows, self.truth, self.lexicon = rows, truth, load_lexicon()
        self.painted = [defaultdict(list) for _ in rows]
        by_study = {study["study"]: study["findings"] for study in (known or {"studies": []})["studies"]}
        for painted, row in zip(self.painted, rows, strict=True):
            for finding in by_study.get(row["study"], ()):
                painted[finding["concept"]].append(finding)
        checked = CheckTask(corpus.roots[0], None, (), True, VERSION, None).known(pa.array([r["uid"] for r in rows]))
        self.all_known = [checked[row["uid"]] for row in rows]
        self.label_known = [(_labels_of(known), vocabulary) for known, vocabulary in self.all_known]

    def read(self, texts):
        """[S, F] bool of what reports affirm, and of each scan the facts that affirm it, by concept."""
        found = []
        for text in texts:
            facts = defaultdict(list)
            for fact in read_report(text, self.lexicon).facts:
                if fact.polarity == "present":
                    facts[fact.concept].append(fact.attributes)
            found.append(facts)
        return np.array([[concept in facts for concept in CONCEPTS] for facts in found], bool), found

    def of(self, texts):
        """All figures of one way to report."""
        said, facts = self.read(texts)
        hit, scans = self.truth & said, len(self.rows)
        sides = [self._sides(scan, facts[scan], hit[scan]) for scan in range(scans)]
        sizes = [self._sizes(scan, facts[scan], hit[scan]) for scan in range(scans)]
        made = {
            "f1": _with_interval(lambda at: f1(self.truth[at], said[at]), scans),
            "precision": float(hit.sum() / max(said.sum(), 1)),
            "recall": float(hit.sum() / max(self.truth.sum(), 1)),
            "side": _share(sides, scans),
            "size": _share(sizes, scans),
            "contradicted by labels": _share(self._contradicted(texts, self.label_known), scans),
            "contradicted": _share(self._contradicted(texts, self.all_known), scans),
        }
        for place, concept in enumerate(CONCEPTS):
            own = (slice(None), place)
            made[f"f1 {concept}"] = _with_interval(lambda at, own=own: f1(self.truth[own][at], said[own][at]), scans)
        return made

    def difference(self, texts, others):
        """F1 of one way to report above that of another, over the same scans."""
        (one, _), (other, _) = self.read(texts), self.read(others)
        gain = lambda at: f1(self.truth[at], one[at]) - f1(self.truth[at], other[at])  # noqa: E731
        return _with_interval(gain, len(self.rows))

    def _sides(self, scan, facts, hit):
        """[right, told, true] of sides: a side is right where the finding lies there, both where it lies on both."""
        counts = np.zeros(3)
        for concept in SIDED:
            there = {finding["side"] for finding in self.painted[scan][concept]} - {None}
            if not there or not hit[CONCEPTS.index(concept)]:
                continue
            said = {fact.laterality for fact in facts[concept]} - {None}
            said = {side for one in said for side in (("left", "right") if one == "bilateral" else (one,))}
            counts += [bool(said) and said <= there, bool(said), 1]
        return counts

    def _sizes(self, scan, facts, hit):
        """[right, told, true] of sizes: right within a fifth or 5 mm of one of the finding's."""
        counts = np.zeros(3)
        for place in np.flatnonzero(hit):
            there = [finding["size_mm"] for finding in self.painted[scan][CONCEPTS[place]] if finding["size_mm"]]
            if not there:
                continue
            said = [size for fact in facts[CONCEPTS[place]] for size in fact.size_mm]
            near = all(any(abs(a - b) <= max(NEAR * b, NEAR_MM) for b in there) for a in said)
            counts += [bool(said) and near, bool(said), 1]
        return counts

    def _contradicted(self, texts, known):
        """[contradicted, told, told] sentences of each scan."""
        counts = []
        for text, (facts, vocabulary) in zip(texts, known, strict=True):
            sentences = split_sentences(text)
            wrong = sum(check(sentence, facts, vocabulary).verdict == "contradicted" for sentence in sentences)
            counts.append(np.array([wrong, len(sentences), len(sentences)]))
        return counts


def _labels_of(known):
    """What the labels alone say of a scan: all of their findings were looked for."""
    facts = [row for row in known.facts if (row["source"] or "").startswith("labels")]
    scopes = [{"vocabulary": "labels", "closed": True, "concepts": list(CONCEPTS)}]
    return Known(facts, scopes, metadata=known.metadata)


def _with_interval(measure, scans):
    low, high = over_scans(measure, scans)
    return {"value": float(measure(np.arange(scans))), "low": low, "high": high}


def _share(counts, scans):
    """Share of what is told that is right (or wrong), with its interval by scan, and how much is told at all."""
    counts = np.array(counts, float)
    share = lambda at: counts[at, 0].sum() / counts[at, 1].sum() if counts[at, 1].sum() else np.nan  # noqa: E731
    told, true = int(counts[:, 1].sum()), int(counts[:, 2].sum())
    if not told:
        return {"value": None, "low": None, "high": None, "told": 0, "of": true}
    return {**_with_interval(share, scans), "told": told, "of": true}


def print_results(results):
    """A line a way to report, and F1 by finding."""
    for name, made in results.items():
        score = made["f1"]
        print(f"{name:12} F1 {_shown(score)}  precision {made['precision']:.3f}  recall {made['recall']:.3f}")
        for what in ("side", "size", "contradicted by labels", "contradicted"):
            print(f"    {what:24} {_shown(made[what])}  of {made[what]['told']} told, {made[what]['of']} there")
    print(f"assistant above contrastive: {_shown(results['assistant']['above contrastive'])}")
    print(f"{'':24}" + "".join(f"{name:>14}" for name in results))
    for concept in CONCEPTS:
        values = "".join(f"{made[f'f1 {concept}']['value']:14.3f}" for made in results.values())
        print(f"{concept:24}{values}")


def _shown(made):
    if made["value"] is None:
        return "–"
    return f"{made['value']:.3f} ({made['low']:.3f} to {made['high']:.3f})"
