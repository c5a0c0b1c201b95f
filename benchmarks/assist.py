"""Drafted reports of the CT phantom held against its facts: the assistant, and four things that it must beat or meet.

A tower (`medical/ct`) and an assistant on it (`medical/ct-report`) are trained on one phantom, and read scans of
another seed, once. The report reader of `voxtile facts --from reports`, which never saw these texts, reads every
drafted report; a finding that it finds affirmed counts as said. Beside the assistant stand:

- `contrastive`: the tower's own probabilities of the prompts of `medical/ct-findings`, thresholds by the best F1 on the
  validation split of the training phantom, put into sentences;
- `blind`: the same assistant, trained and asked without the image;
- `trivial`: the findings whose constant affirmation has the best F1 on the validation split, for every scan;
- `shuffled`: the assistant's report of another scan.

Run: python benchmarks/assist.py OUT [--n 600] [--test-n 150] [--seed 0] [--test-seed 202] [--tower CKPT] [--quick]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import yaml

from voxtile.assist import Assistant
from voxtile.corpus.reader import Corpus
from voxtile.inference.load import load_model
from voxtile_medical.phantom.ct.findings import CONCEPTS
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

TASK = Path(__file__).parents[1] / "domains" / "medical" / "tasks" / "ct-findings.yaml"
BATCH = 8
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


def command(folder, *words):
    """Run `voxtile …` in a folder; seconds that it took."""
    start = time.perf_counter()
    line = [sys.executable, "-P", "-m", "voxtile.cli.main", *map(str, words)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"voxtile {' '.join(map(str, words))} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start


def make_corpus(folder, name, n, seed, fractions):
    """A corpus of the CT phantom with facts of its reports and labels; it is made once."""
    corpus = folder / name
    if (folder / f"{name}.made").exists():
        return corpus
    native = folder / f"{name}-native"
    command(folder, "phantom", "ct", native, "--n", n, "--seed", seed)
    reports = ["--reports", native / "reports.csv", "--split-fractions", fractions, "--no-deidentify"]
    command(folder, "convert", "dicom", native / "dicom", corpus, *reports)
    command(folder, "facts", corpus, "--from", "reports")
    command(folder, "caption", corpus, "--kind", "fact", "--facts-source", "reports", "--absent", "99")
    command(folder, "instruct", corpus, "--facts-source", "reports")
    command(folder, "facts", corpus, "--from", "labels", "--labels", native / "labels.csv")
    (folder / f"{name}.made").touch()
    return corpus


def fit(folder, name, config, corpus, *options):
    """Train unless that was done; the checkpoint and the seconds."""
    record = folder / f"{name}.json"
    if not record.exists():
        seconds = command(
            folder, "fit", "-c", config, "--data.corpus", corpus, "--name", name, "--seed_everything", "0", *options
        )
        checkpoint = max((folder / "runs" / name).rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)
        record.write_text(json.dumps({"checkpoint": str(checkpoint), "seconds": seconds}))
    made = json.loads(record.read_text())
    return made["checkpoint"], made["seconds"]


def truth_of(corpus, split):
    """[S] uids of a split and [S, F] bool of what the labels say."""
    subjects = {subject for subject, part in corpus.splits().items() if split in (None, part)}
    rows = [row for row in corpus.table("samples", with_root=True).to_pylist() if row["subject"] in subjects]
    there = {
        (row["uid"], row["concept"])
        for row in corpus.table("facts").to_pylist()
        if (row["source"] or "").startswith("labels") and row["polarity"] == "present"
    }
    return rows, np.array([[(row["uid"], concept) in there for concept in CONCEPTS] for row in rows], bool)


def images_of(corpus, rows, preset):
    """Batches of prepared images."""
    for start in range(0, len(rows), BATCH):
        yield torch.stack([preset(corpus.source(row), None) for row in rows[start : start + BATCH]])


def read(texts, lexicon):
    """[S, F] bool of what reports affirm."""
    said = [{f.concept for f in read_report(text, lexicon).facts if f.polarity == "present"} for text in texts]
    return np.array([[concept in found for concept in CONCEPTS] for found in said], bool)


def drafted(spec, corpus, rows):
    """What an assistant says of each scan, and the seconds a scan."""
    assistant, start, texts = Assistant(spec), time.perf_counter(), []
    for images in images_of(corpus, rows, assistant.preset):
        texts += [reply.text for reply in assistant.reports(images)]
    return texts, (time.perf_counter() - start) / len(rows)


def probabilities(spec, corpus, rows):
    """[S, F] margins of the tower's prompts: the finding against its denial, the mean over wordings."""
    model, scores = load_model(spec), []
    prompts = yaml.safe_load(TASK.read_text(encoding="utf-8"))["classes"]
    texts = {c: [(p["present"], p["absent"]) for p in prompts[c]] for c in CONCEPTS}
    vectors = {c: model.encode_texts([t for pair in texts[c] for t in pair]).unflatten(0, (-1, 2)) for c in CONCEPTS}
    for images in images_of(corpus, rows, model.preset):
        seen = model.encode_images(images)
        margins = [(seen @ (vectors[c][:, 0] - vectors[c][:, 1]).T).mean(1) for c in CONCEPTS]
        scores.append(torch.stack(margins, 1))
    return torch.cat(scores).numpy()


def f1(truth, said):
    """Micro F1 over findings of all scans."""
    hit = (truth & said).sum()
    return 2 * hit / max(truth.sum() + said.sum(), 1)


def interval(truth, said, rounds=500):
    """The middle 95 % of F1 over scans drawn with replacement."""
    rng = np.random.default_rng(0)
    found = [f1(truth[at], said[at]) for at in (rng.integers(0, len(truth), len(truth)) for _ in range(rounds))]
    return np.percentile(found, [2.5, 97.5])


def thresholds(scores, truth):
    """By finding the margin from which saying it has the best F1 on the validation split."""
    chosen = []
    for column, right in zip(scores.T, truth.T, strict=True):
        grid = [np.inf, *np.sort(column)]
        chosen.append(max(grid, key=lambda at, column=column, right=right: f1(right, column >= at)))
    return np.array(chosen)


def constant(truth):
    """The findings whose constant affirmation has the best F1."""
    order = np.argsort(-truth.mean(0))
    choices = [np.isin(np.arange(len(order)), order[:count]) for count in range(1, len(order) + 1)]
    return max(choices, key=lambda said: f1(truth, np.broadcast_to(said, truth.shape)))


def in_sentences(said):
    """A report that affirms what is said."""
    named = [[SAID[c] for c, is_said in zip(CONCEPTS, row, strict=True) if is_said] for row in said]
    return [" ".join(sentences) or "No finding." for sentences in named]


def main():
    """Make, train, draft, read and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--test-n", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-seed", type=int, default=202)
    parser.add_argument("--tower", help="checkpoint of medical/ct, where one is trained already")
    parser.add_argument("--corpus", type=Path, help="corpus to train on, where one is made already")
    parser.add_argument("--quick", action="store_true", help="a few scans and steps: that it runs, no figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.out.resolve()
    short = ["--trainer.max_epochs", "1"] if options.quick else []
    n, test_n = (16, 6) if options.quick else (options.n, options.test_n)
    corpus = options.corpus or make_corpus(folder, "corpus", n, options.seed, "0.7,0.15,0.15")
    test_seed = 7 if options.quick else options.test_seed
    test = make_corpus(folder, "test", test_n, test_seed, "0,0,1")
    corpus = Path(corpus).resolve()
    tower, tower_s = (options.tower, 0.0) if options.tower else fit(folder, "tower", "medical/ct", corpus, *short)
    begin = ["--model.pretrained", tower, *short]
    seeing, seeing_s = fit(folder, "assist", "medical/ct-report", corpus, *begin)
    blind, _ = fit(
        folder, "blind", "medical/ct-report", corpus, *begin, "--model.objectives.answering.init_args.blind", "true"
    )
    lexicon, own, new = load_lexicon(), Corpus(corpus), Corpus(test)
    val_rows, val_truth = truth_of(own, "val")
    rows, truth = truth_of(new, None)
    at = thresholds(probabilities(tower, own, val_rows), val_truth)
    reports, seconds = drafted(seeing, new, rows)
    said = {
        "assistant": reports,
        "contrastive": in_sentences(probabilities(tower, new, rows) >= at),
        "blind": drafted(blind, new, rows)[0],
        "trivial": in_sentences(np.broadcast_to(constant(val_truth), truth.shape)),
        "shuffled": [reports[place - 1] for place in range(len(reports))],
    }
    times = f"tower {tower_s:.0f} s, assistant {seeing_s:.0f} s to train, {seconds:.2f} s a report"
    print(f"{len(rows)} scans of seed {test_seed}, {int(truth.sum())} findings; {times}")
    results = {}
    for name, texts in said.items():
        found = read(texts, lexicon)
        low, high = interval(truth, found)
        score, hit = f1(truth, found), (truth & found).sum()
        results[name] = {"f1": float(score), "low": float(low), "high": float(high)}
        shares = f"precision {hit / max(found.sum(), 1):.3f}  recall {hit / max(truth.sum(), 1):.3f}"
        print(f"{name:22} F1 {score:.3f} ({low:.3f} to {high:.3f})  {shares}")
    (folder / "results.json").write_text(json.dumps(results, indent=2))
    (folder / "reports.json").write_text(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
