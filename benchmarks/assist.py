"""Drafted reports of the CT phantom held against its facts: the assistant, and what it must beat or meet.

A tower and an assistant on it are trained on one phantom, and read scans of another seed, once. The report reader of
`voxtile facts --from reports`, which never saw these texts, reads every drafted report; a finding that it finds
affirmed counts as said. Beside the assistant stand:

- `contrastive`, `facts head`: the tower's own probabilities, by the prompts of `medical/ct-findings` and by its head
  for facts, thresholds by the best F1 on the validation split of the training phantom, put into sentences;
- `blind`: the same assistant, trained and asked without the image;
- `trivial`: the findings whose constant affirmation has the best F1 on the validation split, for every scan;
- `shuffled`: the assistant's report of another scan;
- `own report`: the phantom's, which is true: what reader and checker leave of it.

Each is judged by F1 of findings with an interval by scan, by the sides and sizes of what is truly there, and by the
sentences that the checker calls contradicted, by the labels alone and by all that is known of the scan
(`benchmarks/assist_scores.py`). The stages are made once and found again: a second run goes on where the first ended.

Run: python benchmarks/assist.py OUT [--stages corpus,tower,assistant,blind,test] [--n 2700] [--test-n 150] [--seed 0]
     [--test-seed 202] [--tower CKPT] [--corpus CORPUS] [--config medical/ct-regions-report] [--tower-config
     medical/ct-regions] [--split test|val] [--quick]

`--split val` reads the validation split of the training phantom in place of the test phantom, for choices. What is
trained reads scans of any other seed with

     python benchmarks/assist.py OUT --stages test --test-seed SEED --corpus CORPUS --tower CKPT --assistant CKPT
     [--blind CKPT]

and the results are in OUT/results-SEED.json.
"""

import argparse
import json
import time
from pathlib import Path

import torch
import yaml
from assist_runs import PLAIN, fit, phantom_corpus
from assist_scores import THRESHOLDED, Judged, constant, in_sentences, print_results, thresholds, truth_of

from voxtile.assist import Assistant
from voxtile.corpus.reader import Corpus
from voxtile.inference.load import load_model
from voxtile.objectives import FactHead
from voxtile_medical.phantom.ct.findings import CONCEPTS

TASK = Path(__file__).parents[1] / "domains" / "medical" / "tasks" / "ct-findings.yaml"
BATCH = 8
BLIND = "--model.objectives.answering.init_args.blind"
STAGES = ("corpus", "tower", "assistant", "blind", "test")


def make_corpus(folder, name, n, seed, fractions, *, outlines):
    """A corpus of the CT phantom with facts of its reports and labels; it is made once. Corpus and seconds."""
    captions = ("caption template", "--kind", "fact", "--facts-source", "reports", "--absent", "99")
    said = ("--concepts", ",".join(CONCEPTS))
    steps = [
        ("facts", "--from", "reports"), captions, (*captions, "--caption-kind", "structured", *PLAIN, *said),
        ("instruct", "--facts-source", "reports"),
    ]  # fmt: skip
    return phantom_corpus(folder, name, n, seed, fractions, steps, outlines=outlines)


def images_of(corpus, rows, preset):
    """Batches of prepared images."""
    for start in range(0, len(rows), BATCH):
        yield torch.stack([preset(corpus.source(row), None) for row in rows[start : start + BATCH]])


def drafted(spec, corpus, rows):
    """What an assistant says of each scan, and the seconds a scan."""
    assistant, start, texts = Assistant(spec), time.perf_counter(), []
    for images in images_of(corpus, rows, assistant.preset):
        texts += [reply.text for reply in assistant.reports(images)]
    return texts, (time.perf_counter() - start) / len(rows)


@torch.no_grad()
def probabilities(spec, corpus, rows):
    """[S, F] scores of the tower by `THRESHOLDED`.

    They are margins of its prompts (the finding against its denial, the mean over wordings), and the log-odds of its
    head for facts.
    """
    model = load_model(spec)
    prompts = yaml.safe_load(TASK.read_text(encoding="utf-8"))["classes"]
    texts = {c: [(p["present"], p["absent"]) for p in prompts[c]] for c in CONCEPTS}
    vectors = {c: model.encode_texts([t for pair in texts[c] for t in pair]).unflatten(0, (-1, 2)) for c in CONCEPTS}
    head = next(part for part in model.objectives if isinstance(part, FactHead)).eval()
    columns = [head.fact_names.index(c) for c in CONCEPTS]
    scores = {name: [] for name in THRESHOLDED}
    for images in images_of(corpus, rows, model.preset):
        seen, encoded = model.encoder.encode_samples(images)
        margins = [(seen @ (vectors[c][:, 0] - vectors[c][:, 1]).T).mean(1) for c in CONCEPTS]
        scores["contrastive"].append(torch.stack(margins, 1))
        scores["facts head"].append(head.logits(encoded.pooled)[:, columns])
    return {name: torch.cat(parts).numpy() for name, parts in scores.items()}


def said_of(own, new, rows, models):
    """Texts by who says them, and the seconds a report."""
    val_rows, val_truth = truth_of(own, "val")
    at = {name: thresholds(found, val_truth) for name, found in probabilities(models["tower"], own, val_rows).items()}
    reports, seconds = drafted(models["assistant"], new, rows)
    found = probabilities(models["tower"], new, rows)
    said = {"assistant": reports} | {name: in_sentences(found[name] >= at[name]) for name in THRESHOLDED}
    said["trivial"] = in_sentences([constant(val_truth)] * len(rows))
    said["shuffled"] = [reports[place - 1] for place in range(len(reports))]
    own_reports = {row["uid"]: row["text"] for row in new.table("captions").to_pylist() if row["kind"] == "raw"}
    said["own report"] = [own_reports[row["uid"]] for row in rows]
    if "blind" in models:
        said["blind"] = drafted(models["blind"], new, rows)[0]
    return said, seconds


def arguments():
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stages", default=",".join(STAGES), help="of " + ", ".join(STAGES))
    parser.add_argument("--n", type=int, default=2700)
    parser.add_argument("--test-n", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-seed", type=int, default=202)
    parser.add_argument("--tower", help="checkpoint of --tower-config, where one is trained already")
    parser.add_argument("--assistant", help="checkpoint of --config on that tower, likewise")
    parser.add_argument("--blind", help="the same of the one that was trained without images")
    parser.add_argument("--corpus", type=Path, help="corpus to train on, where one is made already")
    parser.add_argument("--config", default="medical/ct-regions-report")
    parser.add_argument("--tower-config", default="medical/ct-regions")
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--quick", action="store_true", help="a few scans and steps: that it runs, no figure")
    options = parser.parse_args()
    options.stages = options.stages.split(",")
    if unknown := set(options.stages) - set(STAGES):
        parser.error(f"there is no stage {', '.join(sorted(unknown))}")
    return options


def main():
    """Make, train, draft, read and compare."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.out.resolve()
    further = ["--trainer.max_epochs", "2"] if options.quick else []
    n, test_n = (24, 6) if options.quick else (options.n, options.test_n)
    took, models = {}, {}
    corpus = options.corpus
    if corpus is None:
        corpus, took["corpus"] = make_corpus(
            folder, "corpus", n, options.seed, "0.72,0.14,0.14", outlines=not options.tower
        )
    corpus = Path(corpus).resolve()
    if options.stages == ["corpus"]:
        return
    models["tower"], took["tower"] = (options.tower and str(Path(options.tower).resolve()), 0.0)
    if not options.tower:
        models["tower"], took["tower"] = fit(folder, "tower", options.tower_config, corpus, *further)
    begin = ["--model.pretrained", models["tower"], *further]
    for stage, given, more in (("assistant", options.assistant, ()), ("blind", options.blind, (BLIND, "true"))):
        if given:
            models[stage] = str(Path(given).resolve())
        elif stage in options.stages or (folder / f"{stage}.json").exists():
            models[stage], took[stage] = fit(folder, stage, options.config, corpus, *begin, *more)
    if "test" not in options.stages:
        return
    if "assistant" not in models:
        raise SystemExit("there is no assistant; add assistant to --stages, or give one with --assistant")
    own = Corpus(corpus)
    if options.split == "val":
        name, new, native = "val", own, corpus.parent / f"{corpus.name}-native"
        rows, truth = truth_of(own, "val")
    else:
        name = seed = 7 if options.quick else options.test_seed
        test, _ = make_corpus(folder, f"test-{seed}", test_n, seed, "0,0,1", outlines=False)
        new, native, (rows, truth) = Corpus(test), folder / f"test-{seed}-native", truth_of(Corpus(test), None)
    said, seconds = said_of(own, new, rows, models)
    print(f"{len(rows)} scans, {int(truth.sum())} findings; {seconds:.2f} s a report; seconds:", end=" ")
    print(", ".join(f"{stage} {value:.0f}" for stage, value in took.items()))
    known = json.loads((native / "truth.json").read_text()) if (native / "truth.json").exists() else None
    judged = Judged(new, rows, truth, known)
    results = {name: judged.of(texts) for name, texts in said.items()}
    results["assistant"]["above contrastive"] = judged.difference(said["assistant"], said["contrastive"])
    print_results(results)
    (folder / f"results-{name}.json").write_text(json.dumps(results | {"seconds": took}, indent=2))
    (folder / f"reports-{name}.json").write_text(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
