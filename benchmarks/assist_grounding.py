"""Where the assistant points, held against the outlines of the CT phantom and against `voxtile ground`.

A tower that grounds (`medical/ct-grounding`) and an assistant on it (`medical/ct-grounded-report`) are trained on one
phantom, and read scans of another seed, once. Of every finding with an outline the assistant is asked where it is, in
words of its training and in other ones; what its answer points at, and what `voxtile ground` shows for the finding's
name, are compared with the outline on the voxels of the scan itself, both at the thresholds of the commands (0.5). A
finding that is not shown has a Dice of 0. Pointing is the game of grounding tasks: whether the peak of the map lies in
the outline; the printed point is the one that the commands say, which is wrong where nothing is shown. Beside them
stand:

- `other`: what the answer about another finding of the scan points at;
- `report`: findings that drafted reports affirm and that are there: whether their point lies in the outline;
- `absent`: findings that the labels deny: how often nothing is shown;
- `marked`: each outline as a box in the question "What is in the marked region?": how often its name is in the answer,
  and how often if the commonest name were always said.

Run: python benchmarks/assist_grounding.py OUT [--n 800] [--test-n 60] [--seed 0] [--test-seed 606] [--quick]
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from assist_runs import fit, phantom_corpus

from voxtile.assist import Assistant
from voxtile.assist.places import maps_of, point_of
from voxtile.assist.region_inputs import Marked, region_on_grid
from voxtile.corpus.reader import Corpus
from voxtile.data.presets.base import spacing_mm
from voxtile.data.regions.masks import joined_mask
from voxtile.errors import InputError
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.inference.load import load_model
from voxtile.words.names import name_key

ASKED, OTHERWISE = "Where is the {}?", "Can you show me where in the scan the {} lies?"
MARKED = "What is in the marked region?"


def make_corpus(folder, name, n, seed, fractions, *, taught):
    """A corpus of the CT phantom with outlines; of one to be taught, with what reports say; it is made once."""
    steps = [
        ("facts", "--from", "reports"),
        ("caption", "--kind", "fact", "--facts-source", "reports", "--absent", "2"),
        ("instruct", "--facts-source", "reports"),
    ]
    return phantom_corpus(folder, name, n, seed, fractions, steps if taught else (), outlines=True)[0]


def mask_of(shown):
    """A map and a presence by the thresholds of the commands; empty where nothing was pointed at."""
    return np.zeros(1, bool) if shown is None else (shown[0].numpy() >= 0.5) & (shown[1] >= 0.5)


def judged(shown, truth, spacing):
    """Dice, whether the peak of the map lies in the truth, and whether the point that is printed does."""
    if shown is None:
        return 0.0, False, False
    mask = mask_of(shown)
    peak = np.unravel_index(int(shown[0].argmax()), mask.shape)
    point = bool(mask.any()) and bool(truth[point_of(mask, spacing)])
    return 2 * float((mask & truth).sum()) / float(mask.sum() + truth.sum()), bool(truth[peak]), point


def outlines(corpus, names):
    """By uid and name of what was taught, outlines and boxes."""
    rows = defaultdict(lambda: defaultdict(list))
    wanted = {name_key(name): name for name in names}
    for row in corpus.table("regions", with_root=True).to_pylist():
        if row["phrase"] and (name := wanted.get(name_key(row["phrase"]))):
            rows[row["uid"]][name].append(row)
    return rows


def denied(corpus, names):
    """By uid, names that labels deny."""
    wanted, found = {name_key(name): name for name in names}, defaultdict(set)
    for row in corpus.table("facts").to_pylist():
        if (row["source"] or "").startswith("labels") and row["polarity"] == "absent" and row["concept"] in wanted:
            found[row["uid"]].add(wanted[row["concept"]])
    return found


def one_scan(assistant, model, corpus, row, there, absent, figures):
    """Ask about one scan, and note what came of it."""
    uid, sample = row["uid"], corpus.source(row)
    spacing, image = spacing_mm(row), assistant.preset(sample, None)
    truth = {name: joined_mask(corpus, regions, row).mask for name, regions in there.items()}
    asked = [(name, words) for name in truth for words in (ASKED, OTHERWISE)] + [(name, ASKED) for name in absent]
    replies = [assistant.ask(image, words.format(name)) for name, words in asked]
    report = assistant.report(image)
    claims = [*(claim for reply in replies for claim in reply.claims), *report.claims]
    maps = maps_of(assistant, corpus, uid, claims)
    places = iter(maps.of_claims if maps else [None] * len(claims))
    answers = {}
    for one, reply in zip(asked, replies, strict=True):
        points = [part for part in (next(places) for _ in reply.claims) if part is not None]
        answers[one] = (maps.probability[points[0]][0], float(maps.presence[points[0]][0])) if points else None
    phrases = [*truth, *absent]
    shown = ground_sample(lambda images: model.ground(images, phrases), assistant.preset, sample)
    own = dict(zip(phrases, zip(shown[0], shown[1].tolist(), strict=True), strict=True))
    for number, (name, right) in enumerate(truth.items()):
        figures["answer"].append((name, *judged(answers[name, ASKED], right, spacing)))
        figures["otherwise"].append((name, *judged(answers[name, OTHERWISE], right, spacing)))
        figures["ground"].append((name, *judged(own[name], right, spacing)))
        if len(truth) > 1:
            figures["other"].append((name, *judged(answers[[*truth][number - 1], ASKED], right, spacing)))
    for name in absent:
        figures["absent"].append((name, not mask_of(answers[name, ASKED]).any(), not mask_of(own[name]).any()))
    for claim in report.claims:
        part = next(places)
        if part is not None and (right := truth.get(claim.name)) is not None:
            one = (maps.probability[part][0], float(maps.presence[part][0]))
            figures["report"].append((claim.name, *judged(one, right, spacing)))
    for name, regions in there.items():
        for region in regions:
            try:
                marked = region_on_grid(corpus, uid, assistant.preset, Marked(tuple(region["box"])))
            except InputError as error:  # it lies beyond the model's grid
                figures["beyond"].append((name, str(error)))
                continue
            said = assistant.ask(image, MARKED, regions=[marked]).text
            figures["marked"].append((name, name.casefold() in said.casefold()))


def interval(rows, column, rounds=500):
    """The middle 95 % of a mean over rows drawn with replacement."""
    values, rng = np.array([row[column] for row in rows], float), np.random.default_rng(0)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(rounds)]
    return np.percentile(means, [2.5, 97.5])


def line(name, rows):
    """Mean Dice, and shares of peaks and of printed points that are right."""
    if not rows:
        return f"{name:12} –"
    (low, high), (below, above) = interval(rows, 1), interval(rows, 2)
    means = np.mean([row[1] for row in rows]), np.mean([row[2] for row in rows])
    return (
        f"{name:12} Dice {means[0]:.3f} ({low:.3f} to {high:.3f})  pointing {means[1]:.3f} ({below:.3f} to "
        f"{above:.3f})  printed point {np.mean([row[3] for row in rows]):.3f}  of {len(rows)}"
    )


def main():
    """Make, train, ask and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=800)
    parser.add_argument("--test-n", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-seed", type=int, default=606)
    parser.add_argument("--epochs", type=int, default=11, help="of the tower")
    parser.add_argument("--tower", help="checkpoint of medical/ct-grounding, where one is trained already")
    parser.add_argument("--assistant", help="checkpoint of medical/ct-grounded-report, likewise")
    parser.add_argument("--test", type=Path, help="corpus to ask about, where one is made already")
    parser.add_argument("--quick", action="store_true", help="a few scans and steps: that it runs, no figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    folder, start = options.out.resolve(), time.perf_counter()
    n, test_n = (16, 4) if options.quick else (options.n, options.test_n)
    test_seed = 7 if options.quick else options.test_seed
    if options.assistant is None:
        corpus = make_corpus(folder, "corpus", n, options.seed, "0.75,0.1,0.15", taught=True)
        epochs = ["--trainer.max_epochs", 1 if options.quick else options.epochs]
        tower = options.tower or fit(folder, "tower", "medical/ct-grounding", corpus, *epochs)[0]
        short = ["--trainer.max_epochs", 1] if options.quick else []
        begin = ["--model.pretrained", Path(tower).resolve(), *short]
        options.assistant, seconds = fit(folder, "assist", "medical/ct-grounded-report", corpus, *begin)
        print(f"assistant: {seconds:.0f} s to train; {time.perf_counter() - start:.0f} s so far", flush=True)
    test = options.test or make_corpus(folder, "test", test_n, test_seed, "0,0,1", taught=False)
    assistant, model = Assistant(options.assistant), load_model(options.assistant)
    names = assistant._answering.names
    corpus, figures = Corpus(test), defaultdict(list)
    regions, absent = outlines(corpus, names), denied(corpus, names)
    rows = corpus.table("samples", with_root=True).to_pylist()[: options.test_n]
    torch.set_num_threads(2)
    for row in rows:
        there = dict(sorted(regions[row["uid"]].items()))
        no = sorted(absent[row["uid"]] - set(there))
        one_scan(assistant, model, corpus, row, there, no[:: max(1, len(no) // 2)][:2], figures)
    print(f"{len(rows)} scans, {len(figures['answer'])} findings with an outline; {time.perf_counter() - start:.0f} s")
    for name in ("answer", "otherwise", "ground", "other", "report"):
        print(line(name, figures[name]))
    for name, count in sorted(Counter(row[0] for row in figures["answer"]).items()):
        own = [np.mean([row[1] for row in figures[kind] if row[0] == name]) for kind in ("answer", "ground")]
        point = np.mean([row[2] for row in figures["answer"] if row[0] == name])
        print(f"  {name:24} Dice {own[0]:.3f}, of ground {own[1]:.3f}; pointing {point:.3f}; {count}")
    if figures["absent"]:
        silent = [np.mean([row[column] for row in figures["absent"]]) for column in (1, 2)]
        print(f"absent       nothing shown {silent[0]:.3f}, by ground {silent[1]:.3f}, of {len(figures['absent'])}")
    if figures["marked"]:
        right, common = np.mean([row[1] for row in figures["marked"]]), Counter(r[0] for r in figures["marked"])
        share = max(common.values()) / len(figures["marked"])
        print(f"marked       named rightly {right:.3f}, the commonest name {share:.3f}, of {len(figures['marked'])}")
    if figures["beyond"]:
        print(f"{len(figures['beyond'])} regions lie beyond what the model sees, e.g. {figures['beyond'][0]}")
    (folder / "grounding.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
