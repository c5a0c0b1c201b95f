"""What has become of a finding since the prior: the assistant with it, without it, and with another patient's.

Pairs of examinations of the CT phantom (`voxtile phantom ct --follow-up true`): in each pair every finding is new,
resolved, larger, smaller, unchanged, or was never there, drawn by itself. A tower (`medical/ct-regions`) is trained on
single examinations of the pairs' phantom, an assistant (`medical/ct-prior`) on its pairs. Asked of pairs of another
seed, once, what has become of each finding that has a course, its answer is held against what was painted:

- `with the prior`: both examinations are shown;
- `without the prior`: the same assistant is shown the later one alone;
- `trained without`: an assistant that was trained on the same questions, and never saw a prior;
- `prior of another`: the prior of another patient is shown, as a control;
- `commonest`: the commonest answer.

Asked of are the findings that the tower sees well (`SEEN`); figures over all twelve stand beside them.

Run: python benchmarks/assist_prior.py OUT [--pairs 1000] [--test-pairs 100] [--seed 300] [--test-seed 717]
     [--tower CKPT] [--quick]
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from assist_runs import fit, phantom_corpus

from voxtile.assist import Assistant
from voxtile.corpus.reader import Corpus
from voxtile.data.dialogues import image_names
from voxtile.evaluation.kinds.answers.scoring import choice_of

COURSES = ("new", "resolved", "larger", "smaller", "unchanged")
ASKED_FOR = ("new", "resolved", "larger", "unchanged")  # those that the aim names
PERSISTENT = "persistent"  # said of what is there in both, where no size is known
QUESTION = "What has become of the {name} since the prior examination?"
NAMES = {
    "pulmonary_nodule": "pulmonary nodule", "pleural_effusion": "pleural effusion", "pneumothorax": "pneumothorax",
    "consolidation": "consolidation", "cardiomegaly": "cardiomegaly", "pericardial_effusion": "pericardial effusion",
    "coronary_calcification": "coronary calcification", "liver_lesion": "liver lesion", "gallstones": "gallstones",
    "splenomegaly": "splenomegaly", "renal_stone": "renal stone", "vertebral_fracture": "vertebral fracture",
}  # fmt: skip
SEEN = ("pulmonary_nodule", "liver_lesion", "renal_stone", "gallstones", "coronary_calcification", "vertebral_fracture")


def make_corpus(folder, name, pairs, seed, fractions, *, outlined=False):
    """Pairs of examinations with facts of their reports, outlines for a tower, and their dialogues; made once."""
    steps = [
        ("facts", "--from", "reports"),
        ("caption", "--kind", "fact", "--facts-source", "reports", "--absent", "99"),
        ("instruct", "--facts-source", "reports", "--most", "12", "--variants", "2"),
    ]
    phantom = ["--follow-up", "true", *([] if outlined else ["--segmentations", "0"])]
    corpus, _ = phantom_corpus(
        folder, name, 2 * pairs, seed, fractions, steps, outlines=outlined, labels=False, phantom=phantom
    )
    return corpus, json.loads((folder / f"{name}-native" / "truth.json").read_text())["studies"]


def pairs_of(corpus, truth):
    """(row of the prior, row, courses) of each pair."""
    rows = {row["study"]: row for row in corpus.table("samples", with_root=True).to_pylist()}
    return [(rows[one["prior"]], rows[one["study"]], one["courses"]) for one in truth if one["courses"]]


def answers(assistant, images, names, asked):
    """What the assistant says of each concept."""
    talk = assistant.talk(images, names=names) if names else assistant.talk(images[-1])
    said = []
    for concept in asked:
        talk._said.clear()  # each question by itself
        said.append(talk.ask(QUESTION.format(name=NAMES[concept])).text)
    return said


def course_of(text):
    """The course that an answer names; what is there in both and of unknown size counts as unchanged."""
    found = choice_of(text, (*COURSES, PERSISTENT))
    return "unchanged" if found == PERSISTENT else found


def right(rows, kept):
    """Share of right answers, and its middle 95 % over pairs drawn with replacement."""
    by_pair = [[(true == said) for concept, true, said in pair if kept(concept, true)] for pair in rows]
    hit, count = np.array([[sum(pair), len(pair)] for pair in by_pair]).T
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(hit), (1000, len(hit)))
    low, high = np.percentile(hit[drawn].sum(1) / np.maximum(count[drawn].sum(1), 1), [2.5, 97.5])
    return hit.sum() / max(count.sum(), 1), low, high, int(count.sum())


def main():
    """Make, train, ask and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--test-pairs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=300)
    parser.add_argument("--test-seed", type=int, default=717)
    parser.add_argument("--tower", help="checkpoint of medical/ct-regions, where one is trained already")
    parser.add_argument("--quick", action="store_true", help="a few pairs and steps: that it runs, no figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.out.resolve()
    pairs, test_pairs, test_seed = options.pairs, options.test_pairs, options.test_seed
    if options.quick:
        pairs, test_pairs, test_seed = 12, 4, 7
    short = ["--trainer.max_epochs", "1"] if options.quick else []
    corpus, _ = make_corpus(folder, "pairs", pairs, options.seed, "0.9,0.1,0", outlined=options.tower is None)
    test, truth = make_corpus(folder, "test-pairs", test_pairs, test_seed, "0,0,1")
    tower, tower_s = options.tower, 0.0
    if tower is None:
        tower, tower_s = fit(folder, "tower", "medical/ct-regions", corpus, *short)
    begin = ["--model.pretrained", tower, *short]
    seeing, seeing_s = fit(folder, "prior", "medical/ct-prior", corpus, *begin)
    without = alone_corpus(folder, corpus)
    alone, _ = fit(folder, "alone", "medical/ct-prior", without, *begin)
    found = ask_all({"with": Assistant(seeing), "alone": Assistant(alone)}, Corpus(test), truth)
    print(f"{test_pairs} pairs of seed {test_seed}; tower {tower_s:.0f} s, assistant {seeing_s:.0f} s to train")
    report(folder, found)


def alone_corpus(folder, corpus):
    """The same corpus, in which comparisons show the later image alone."""
    made = folder / "pairs-alone"
    if not made.exists():
        shutil.copytree(corpus, folder / "pairs-alone.part", ignore=shutil.ignore_patterns("views"))
        for path in (folder / "pairs-alone.part" / "tables" / "dialogues").glob("*.parquet"):
            table = pq.read_table(path)
            last = pa.array([uids[-1:] for uids in table["uids"].to_pylist()], table.schema.field("uids").type)
            pq.write_table(table.set_column(table.schema.get_field_index("uids"), "uids", last), path)
        (folder / "pairs-alone.part").rename(made)
    return made


def ask_all(assistants, corpus, truth):
    """By way of asking, of each pair (concept, course, what was said)."""
    seeing, found, pairs = assistants["with"], {}, pairs_of(corpus, truth)
    preset = seeing.preset
    images = [torch.stack([preset(corpus.source(row), None) for row in pair[:2]]) for pair in pairs]
    for number, (before, now, courses) in enumerate(pairs):
        asked = [concept for concept in NAMES if courses[concept] != "never"]
        names = image_names([before["datetime"], now["datetime"]])
        other = torch.stack([images[number - 1][0], images[number][1]])
        said = {
            "with the prior": answers(seeing, images[number], names, asked),
            "without the prior": answers(seeing, images[number], (), asked),
            "trained without": answers(assistants["alone"], images[number], (), asked),
            "prior of another": answers(seeing, other, names, asked),
        }
        for way, texts in said.items():
            rows = [(c, courses[c], course_of(text)) for c, text in zip(asked, texts, strict=True)]
            found.setdefault(way, []).append(rows)
    return found


def report(folder, found):
    """A line a way and set of findings, and with the prior a line a course."""
    truths = [[(c, true, true) for c, true, _ in pair] for pair in found["with the prior"]]
    told = [true for pair in truths for c, true, _ in pair if c in SEEN]
    commonest = max(COURSES, key=told.count)
    found["commonest"] = [[(c, true, commonest) for c, true, _ in pair] for pair in truths]
    results = {}
    for way, rows in found.items():
        sets = {
            "four courses": lambda c, true: c in SEEN and true in ASKED_FOR,
            "five courses": lambda c, true: c in SEEN,
            "five courses, all findings": lambda c, true: True,
        }
        if way == "with the prior":
            sets |= {course: lambda c, true, course=course: c in SEEN and true == course for course in COURSES}
            sets |= {name: lambda c, true, name=name: c == name for name in NAMES}
        for what, kept in sets.items():
            share, low, high, count = right(rows, kept)
            results[f"{way}: {what}"] = {"accuracy": share, "low": low, "high": high, "questions": count}
            print(f"{way:18} {what:28} right {share:.3f} ({low:.3f} to {high:.3f}) of {count}", flush=True)
    (folder / "results.json").write_text(json.dumps(results, indent=2))
    (folder / "answers.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
