"""What tuning by preferences does to an assistant: contradicted sentences, and F1 of findings, before and after.

An assistant (`medical/ct-regions-report`, trained by `benchmarks/assist.py`) drafts reports of scans that it was not
trained on, since of those that it was it knows much by heart; the checker judges their sentences by the facts of the
reports alone (`voxtile prefer`), of which silence about the findings of `data.closed_facts` is a denial, and the
assistant is tuned by the pairs (`medical/ct-regions-report-dpo`), three times: another seed draws other drafts and
trains in another order. Then
the assistant before and after drafts reports of scans that it never saw: the validation part of its own phantom, or,
with --test-n, of a phantom of another seed, which is read once. There the checker judges by all facts, those of the
phantom's labels among them (`share`), and by the labels alone (`labels`), and the report reader of `voxtile facts` says
which findings are affirmed; sides and sizes are those of findings that are there. Intervals are the middle 95 % over
scans drawn with replacement.

Run: python benchmarks/assist_preference.py OUT --assistant CKPT --corpus CORPUS [--test-n 150] [--test-seed 811]
"""

import argparse
import json
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
from assist import drafted, make_corpus
from assist_runs import PLAIN, command
from assist_scores import Judged, f1, truth_of

from voxtile.corpus.reader import Corpus
from voxtile.data.sentences import split_sentences
from voxtile_datasets.captions.checker.check import check

CLOSED = (
    "cardiomegaly,consolidation,coronary_calcification,gallstones,liver_lesion,pericardial_effusion,pleural_effusion,"
    "pneumothorax,pulmonary_nodule,renal_stone,splenomegaly,vertebral_fracture"
)  # as data.closed_facts


def tuned(folder, corpus, assistant, seed, config):
    """Draw, judge and tune with one seed; the checkpoint and seconds of both."""
    record = folder / f"seed-{seed}.json"
    if not record.exists():
        own = folder / f"corpus-{seed}"
        if not own.exists():  # a corpus by itself: rows of other seeds would be drawn too
            shutil.copytree(corpus, own, copy_function=link)
        facts = ["--facts-source", "reports", "--closed", CLOSED, *PLAIN]
        drawn = command(folder, "prefer", own, assistant, *facts, "--seed", seed)
        name = f"tuned-{seed}"
        trained = command(
            folder, "fit", "-c", config, "--data.corpus", own, "--name", name,
            "--model.pretrained", assistant, "--seed_everything", seed, "--data.seed", seed,
        )  # fmt: skip
        checkpoint = max((folder / "runs" / name).rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)
        record.write_text(json.dumps({"checkpoint": str(checkpoint), "drawn": drawn, "trained": trained}))
    return json.loads(record.read_text())


def link(source, target):
    """A file of a corpus never changes: another name of it will do."""
    Path(target).hardlink_to(source)


def judged(texts, reader):
    """[S, 4] of each report: contradicted sentences, those by the labels alone, sentences, denials; and by kind."""
    rows, kinds = [], Counter()
    for text, (facts, vocabulary), by_labels in zip(texts, reader.all_known, reader.label_known, strict=True):
        sentences = split_sentences(text)
        verdicts = [check(sentence, facts, vocabulary) for sentence in sentences]
        wrong = [verdict for verdict in verdicts if verdict.verdict == "contradicted"]
        kinds.update("denied" if re.search("denied", one.faults[0].why) else one.faults[0].kind for one in wrong)
        labels = sum(check(sentence, *by_labels).verdict == "contradicted" for sentence in sentences)
        denials = sum(any(c.polarity == "absent" for c in verdict.claims) for verdict in verdicts)
        rows.append((len(wrong), labels, len(verdicts), denials))
    return np.array(rows, float), kinds


def figures(truth, found, counts):
    """Of some scans: F1 of findings, shares of sentences that are contradicted, and how many of a report are."""
    wrong, labels, told, _ = counts.sum(0)
    return {"f1": f1(truth, found), "share": wrong / told, "labels": labels / told, "each": wrong / len(counts)}


def shown(name, truth, found, counts, kinds, draws):
    """One line of the table, its figures, and the same of each draw of scans."""
    value = figures(truth, found, counts)
    each = [figures(truth[at], found[at], counts[at]) for at in draws]
    spread = {key: np.array([one[key] for one in each]) for key in value}
    ranges = {key: np.percentile(values, [2.5, 97.5]) for key, values in spread.items()}
    told = "  ".join(f"{key} {value[key]:.3f} ({ranges[key][0]:.3f} to {ranges[key][1]:.3f})" for key in value)
    print(f"{name:10} {told}  sentences {counts[:, 2].mean():.1f}, denials {counts[:, 3].mean():.1f}  {dict(kinds)}")
    return value, spread


def details(reader, texts):
    """Of findings that are there and affirmed: how many are told a side and a size, and how often that is right."""
    made = reader.of(texts)
    said = (f"{what} {made[what]['value'] or 0:.3f} of {made[what]['told']} told" for what in ("side", "size"))
    return f"precision {made['precision']:.3f}, recall {made['recall']:.3f}, {', '.join(said)}"


def compared(name, before, after):
    """Differences on the same draws of scans."""
    ratio = lambda key: f"× {after[0][key] / before[0][key]:.2f} ({spread(after[1][key] / before[1][key])})"  # noqa: E731
    lines = [
        f"contradicted share {ratio('share')}, by labels {ratio('labels')}, a report {ratio('each')}",
        f"F1 {after[0]['f1'] - before[0]['f1']:+.3f} ({spread(after[1]['f1'] - before[1]['f1'])})",
    ]
    print(f"{name:10} {', '.join(lines)}")


def spread(values):
    """The middle 95 %."""
    return "{:.3f} to {:.3f}".format(*np.percentile(values, [2.5, 97.5]))


def main():
    """Tune three times, draft, judge and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--assistant", type=Path, required=True, help="checkpoint of medical/ct-regions-report")
    parser.add_argument(
        "--corpus", type=Path, required=True, help="that it was trained on, whose validation part judges"
    )
    parser.add_argument("--config", default="medical/ct-regions-report-dpo")
    parser.add_argument("--fresh-n", type=int, default=600, help="scans that are drafted and tuned on")
    parser.add_argument("--fresh-seed", type=int, default=4040, help="of their phantom")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test-n", type=int, default=0, help="scans of another phantom; without, the validation part")
    parser.add_argument("--test-seed", type=int, default=811)
    parser.add_argument("--quick", action="store_true", help="a few scans and one seed: that it runs, no figure")
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    corpus, assistant = options.corpus.resolve(), options.assistant.resolve()
    n, seeds = (8, 1) if options.quick else (options.fresh_n, options.seeds)
    fresh, _ = make_corpus(folder, "fresh", n, options.fresh_seed, "1,0,0", outlines=False)
    runs = [tuned(folder, fresh, assistant, seed, options.config) for seed in range(seeds)]
    for seed, run in enumerate(runs):
        print(f"seed {seed}: {run['drawn']:.0f} s to draw and judge, {run['trained']:.0f} s to tune")
    known, judged_on = None, "val"
    if options.test_n and not options.quick:
        judged_on = f"test-{options.test_seed}"
        made, _ = make_corpus(folder, judged_on, options.test_n, options.test_seed, "0,0,1", outlines=False)
        judging, known = Corpus(made), json.loads((folder / f"{judged_on}-native/truth.json").read_text())
        rows, truth = truth_of(judging, None)
        print(f"{len(rows)} scans of seed {options.test_seed}, {int(truth.sum())} findings")
    else:
        judging = Corpus(corpus)
        rows, truth = truth_of(judging, "val")
        print(f"{len(rows)} validation scans, {int(truth.sum())} findings")
    if options.quick:
        rows, truth = rows[:12], truth[:12]
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(rows), len(rows)) for _ in range(500)]
    reader, results = Judged(judging, rows, truth, known), {}
    for name, spec in {"before": assistant, **{f"seed {n}": run["checkpoint"] for n, run in enumerate(runs)}}.items():
        start = time.perf_counter()
        texts, _ = drafted(str(spec), judging, rows)
        results[name] = shown(name, truth, reader.read(texts)[0], *judged(texts, reader), draws)
        (folder / f"reports-{judged_on}-{name.replace(' ', '-')}.json").write_text(json.dumps(texts, indent=1))
        print(f"{'':10} {details(reader, texts)}; {time.perf_counter() - start:.0f} s")
    for name in list(results)[1:]:
        compared(name, results["before"], results[name])


if __name__ == "__main__":
    main()
