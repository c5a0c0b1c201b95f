"""What tuning by preferences does to an assistant: contradicted sentences, and F1 of findings, before and after.

An assistant (`medical/ct-regions-report`, trained by `benchmarks/assist.py`) drafts reports of training scans; the
checker judges their sentences by the facts of the reports alone (`voxtile prefer`), and the assistant is tuned by the
pairs (`medical/ct-regions-report-dpo`), three times: another seed draws other drafts and trains in another order. Then
the assistant before and after drafts reports of scans that it never saw: the validation part of its own phantom, or,
with --test-n, of a phantom of another seed, which is read once. There the checker judges by all facts, those of the
phantom's labels among them, and the report reader of `voxtile facts` says which findings are affirmed. Intervals are
the middle 95 % over scans drawn with replacement.

Run: python benchmarks/assist_preference.py OUT --assistant CKPT --corpus CORPUS [--test-n 150] [--test-seed 808]
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
from assist_runs import command
from assist_scores import Judged, f1, truth_of

from voxtile.corpus.reader import Corpus
from voxtile.data.sentences import split_sentences
from voxtile_datasets.captions.checker.check import check

WHERE = "uid < '{}'"  # uids are hashes: so the first share of the scans


def tuned(folder, corpus, assistant, seed, share, config):
    """Draw, judge and tune with one seed; the checkpoint and seconds of both."""
    record = folder / f"seed-{seed}.json"
    if not record.exists():
        own = folder / f"corpus-{seed}"
        if not own.exists():  # a corpus by itself: rows of other seeds would be drawn too
            shutil.copytree(corpus, own, copy_function=link)
        where = WHERE.format(f"{int(share * 256):02x}")
        words = "plain" if "regions" in config else "varied"  # that the assistant learned
        facts = ["--facts-source", "reports", "--words", words]
        drawn = command(folder, "prefer", own, assistant, *facts, "--seed", seed, "--where", where)
        name = f"tuned-{seed}"
        trained = command(
            folder, "fit", "-c", config, "--data.corpus", own, "--data.where", where, "--name", name,
            "--model.pretrained", assistant, "--seed_everything", seed, "--data.seed", seed,
        )  # fmt: skip
        checkpoint = max((folder / "runs" / name).rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)
        record.write_text(json.dumps({"checkpoint": str(checkpoint), "drawn": drawn, "trained": trained}))
    return json.loads(record.read_text())


def link(source, target):
    """A file of a corpus never changes: another name of it will do."""
    Path(target).hardlink_to(source)


def judged(texts, known):
    """[S, 3] contradicted sentences, sentences, and denials of each report; and what was contradicted, by kind."""
    rows, kinds = [], Counter()
    for text, (facts, vocabulary) in zip(texts, known, strict=True):
        verdicts = [check(sentence, facts, vocabulary) for sentence in split_sentences(text)]
        wrong = [verdict for verdict in verdicts if verdict.verdict == "contradicted"]
        kinds.update("denied" if re.search("denied", one.faults[0].why) else one.faults[0].kind for one in wrong)
        denials = sum(any(c.polarity == "absent" for c in verdict.claims) for verdict in verdicts)
        rows.append((len(wrong), len(verdicts), denials))
    return np.array(rows, float), kinds


def shown(name, truth, found, counts, kinds, draws):
    """One line of the table, and its figures."""
    value = {"f1": f1(truth, found), "share": counts[:, 0].sum() / counts[:, 1].sum(), "each": counts[:, 0].mean()}
    spread = {
        "f1": [f1(truth[at], found[at]) for at in draws],
        "share": [counts[at, 0].sum() / counts[at, 1].sum() for at in draws],
        "each": [counts[at, 0].mean() for at in draws],
    }
    ranges = {key: np.percentile(values, [2.5, 97.5]) for key, values in spread.items()}
    told = "  ".join(f"{key} {value[key]:.3f} ({ranges[key][0]:.3f} to {ranges[key][1]:.3f})" for key in value)
    print(f"{name:10} {told}  sentences {counts[:, 1].mean():.1f}, denials {counts[:, 2].mean():.1f}  {dict(kinds)}")
    return value, spread


def compared(name, before, after):
    """Differences on the same draws of scans."""
    share = np.array(after[1]["share"]) / np.array(before[1]["share"])
    each = np.array(after[1]["each"]) / np.array(before[1]["each"])
    gain = np.array(after[1]["f1"]) - np.array(before[1]["f1"])
    lines = [
        f"contradicted share × {after[0]['share'] / before[0]['share']:.2f} ({spread(share)})",
        f"a report × {after[0]['each'] / before[0]['each']:.2f} ({spread(each)})",
        f"F1 {after[0]['f1'] - before[0]['f1']:+.3f} ({spread(gain)})",
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
    parser.add_argument("--corpus", type=Path, required=True, help="that it was trained on; it is not changed")
    parser.add_argument("--config", default="medical/ct-regions-report-dpo")
    parser.add_argument("--share", type=float, default=0.15, help="of the scans that are drafted and tuned on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test-n", type=int, default=0, help="scans of another phantom; without, the validation part")
    parser.add_argument("--test-seed", type=int, default=808)
    parser.add_argument("--quick", action="store_true", help="a few scans and one seed: that it runs, no figure")
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    corpus, assistant = options.corpus.resolve(), options.assistant.resolve()
    share, seeds = (0.004, 1) if options.quick else (options.share, options.seeds)
    runs = [tuned(folder, corpus, assistant, seed, share, options.config) for seed in range(seeds)]
    for seed, run in enumerate(runs):
        print(f"seed {seed}: {run['drawn']:.0f} s to draw and judge, {run['trained']:.0f} s to tune")
    if options.test_n and not options.quick:
        name = f"test-{options.test_seed}"
        made, _ = make_corpus(folder, name, options.test_n, options.test_seed, "0,0,1", outlines=False)
        judging = Corpus(made)
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
    reader, results = Judged(judging, rows, truth, None), {}
    for name, spec in {"before": assistant, **{f"seed {n}": run["checkpoint"] for n, run in enumerate(runs)}}.items():
        start = time.perf_counter()
        texts, _ = drafted(str(spec), judging, rows)
        results[name] = shown(name, truth, reader.read(texts)[0], *judged(texts, reader.all_known), draws)
        (folder / f"reports-{name.replace(' ', '-')}.json").write_text(json.dumps(texts, indent=1))
        print(f"{'':10} {time.perf_counter() - start:.0f} s")
    for name in list(results)[1:]:
        compared(name, results["before"], results[name])


if __name__ == "__main__":
    main()
