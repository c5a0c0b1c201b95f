"""Does it pay? The same model trained on raw, template, bank-composed and model-written captions of the same images.

Only the texts differ. Each image is a vector of a tower that stands still (corpora.py), so that a training takes
seconds: a text tower and a projection are learned, once with a tower that does not read the order of words (TextBag)
and once with one that does (TextTransformer). Settings were chosen on validation splits, once, for all sources of
texts (`--part choose`). Reported on the test split: the shipped task by its prompts; the same with texts of the
training as prompts; and, where there are any, sentences that other people wrote of such images (RSICD, RSITMD, IU
reports): how well each ranks the images of its class. A row a training goes to --results as soon as it is there, and
a run that was stopped goes on. Intervals: figures.py.

Run: python benchmarks/caption_training [pneumonia rsscn7 s2 he ct] --work FOLDER [--seeds 3]
     [--models gemma-270m,qwen-1.5b] [--part captions|trainings|reasons|choose|figures]
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import figures
import judging
import numpy as np
import numpy.typing as npt
import reasons
import texts
import torch
from corpora import TRIALS, prepared
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from training import TOWERS, Settings, train

from voxtile.corpus.reader import Corpus
from voxtile.words.names import name_key

FIGURES = ("task", "own", "sentences")
COMPONENTS = 128  # of the vectors, by the training split
HERE = Path(__file__).parent


class Bench:
    """A corpus with its texts and vectors, opened once."""

    def __init__(self, name: str, work: Path, split: str = "test") -> None:
        self.name, self.trial, self.path = name, TRIALS[name], work / name / "corpus"
        corpus = Corpus(self.path)
        self.facts = texts.known(corpus, self.trial)
        self.pools = texts.pools(name, self.path)
        self.vectors = _components(corpus, self.facts.uids)
        self.judge = judging.judge(name, self.trial.task, corpus, split)
        self._true_of = texts.true_of(self.facts, self.trial.domain) if self.trial.sentences else None

    def sources(self) -> Mapping[str, list[texts.Pool]]:
        """Texts by name of the source, mixtures among them."""
        found = {name: [pool] for name, pool in self.pools.items() if pool}
        for name, parts in texts.MIXTURES.items():
            if all(part in found for part in parts):
                found[name] = [self.pools[part] for part in parts]
        return found

    def run(
        self, source: str, pools: list[texts.Pool], tower: str, seed: int, settings: Settings | None = None
    ) -> dict[str, Any]:
        """Train and score; the row without its scores, which are kept beside."""
        settings = settings or Settings(steps=self.trial.steps)
        model = train(
            self.vectors, pools, self.facts.stated, tower=tower, seed=seed, settings=settings,
            sentences=self.trial.sentences, true_of=self._true_of,
        )  # fmt: skip
        scored = judging.scores(model, self.judge, self.vectors, self._own(pools))
        row = {
            "corpus": self.name, "source": source, "tower": tower, "seed": seed,
            "images": len(set.intersection(*map(set, pools))),
            "texts": len({text for pool in pools for said in pool.values() for text in said}),
        }  # fmt: skip
        row |= {name: None if value is None else float(value[0]) for name, value in scored.figures(self.judge).items()}
        parts = {name: getattr(scored, name) for name in FIGURES}
        kept = {name: value.astype(np.float32) for name, value in parts.items() if value is not None}
        np.savez_compressed(self.path.parent / f"{key_of(row)}.npz", **kept)
        return row

    def _own(self, pools: list[texts.Pool]) -> dict[str, list[str]]:
        """Training texts by class of the task, in an order of chance."""
        found = {}
        for item in self.judge.task.classes:
            of = [uid for uid in self.facts.uids if (name_key(item.concept), item.when) in self.facts.stated[uid]]
            different = sorted({text for pool in pools for uid in of for text in pool.get(uid, ())})
            found[item.name] = [different[i] for i in np.random.default_rng(0).permutation(len(different))]
        return found

    def by_labels(self) -> dict[str, Any]:
        """What the vectors give without any text: logistic regression on the labels of the same training images."""
        taught = judging.judge(self.name, self.trial.task, Corpus(self.path), "train")
        mine = np.isin(taught.units.names, list(self.facts.uids)) & (taught.labels >= 0).all(1)
        labels = taught.labels.argmax(1) if taught.exclusive else taught.labels[:, 0]
        shown = [np.stack([self.vectors[uid] for uid in judge.units.names]) for judge in (taught, self.judge)]
        fitted = GridSearchCV(LogisticRegression(max_iter=500), {"C": np.logspace(-4, 0, 5)}).fit(
            shown[0][mine], labels[mine]
        )
        scores = fitted.predict_proba(shown[1])
        value = judging.figure(self.judge, scores if taught.exclusive else scores[:, 1:])[0]
        return {"corpus": self.name, "source": "labels, no text", "tower": "none", "seed": 0, "images": int(mine.sum()),
                "texts": 0, "task": float(value), "own": None, "sentences": None}  # fmt: skip

    def kept(self, row: Mapping[str, Any]) -> judging.Scored:
        """The scores of a training."""
        with np.load(self.path.parent / f"{key_of(row)}.npz") as file:
            return judging.Scored(*(file[name].astype(np.float64) if name in file else None for name in FIGURES))


def key_of(row: Mapping[str, Any]) -> str:
    """File name of the scores of a training."""
    name = "-".join(str(row[part]) for part in ("corpus", "source", "tower", "seed"))
    return f"{row['corpus']}-{zlib.crc32(name.encode()):08x}"


def _components(corpus: Corpus, training: list[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Principal components of the vectors, each of spread 1 on average, fitted on the training images."""
    rows = corpus.table("embeddings").to_pylist()
    uids = [row["uid"] for row in rows]
    every = np.asarray([row["vector"] for row in rows], np.float32)
    wanted = set(training)
    own = every[[uid in wanted for uid in uids]]
    middle, spread = own.mean(0), own.std(0) + 1e-6
    _, _, axes = np.linalg.svd((own - middle) / spread, full_matrices=False)
    shown = (every - middle) / spread @ axes[:COMPONENTS].T
    shown /= shown[[uid in wanted for uid in uids]].std()
    return dict(zip(uids, shown.astype(np.float32), strict=True))


def done_before(results: Path) -> list[dict[str, Any]]:
    """Rows of the file."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def added(results: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write each row as it comes."""
    for row in rows:
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def trainings(bench: Bench, seeds: int, results: Path) -> Iterator[dict[str, Any]]:
    """One row for each source, tower and seed that has none yet."""
    before = {(r["corpus"], r["source"], r["tower"], r["seed"]) for r in done_before(results)}
    for seed in range(seeds):  # the sources in turn, so that a run that is cut short has compared all of them
        for tower in TOWERS:
            for source, pools in bench.sources().items():
                if (bench.name, source, tower, seed) not in before:
                    yield bench.run(source, pools, tower, seed)


def choose(names: list[str], work: Path) -> None:
    """Figures of validation splits by settings, over the sources that every corpus has."""
    benches = [Bench(name, work, "val") for name in names]
    for rate in (1e-3, 2e-3, 4e-3):
        for steps in (60, 120):
            settings = Settings(rate=rate, steps=steps)
            found = [
                bench.run(source, bench.sources()[source], "bag", 100, settings)["task"]
                for bench in benches
                for source in ("raw", "template", "bank")
            ]
            print(settings, [round(value, 3) for value in found], round(float(np.mean(found)), 4), flush=True)


def main() -> None:
    """Do a part of it, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", help=", ".join(TRIALS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--models", default="gemma-270m,qwen-1.5b", help="small and better; GGUF files too; '' for none"
    )
    parser.add_argument("--work", type=Path, required=True, help="corpora, replies and scores are kept here")
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    parser.add_argument("--part", choices=["captions", "trainings", "reasons", "choose", "figures"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    names, work = options.corpora or list(TRIALS), options.work.resolve()
    if options.part == "choose":
        choose(names, work)
        return
    for name in names:
        if options.part in (None, "captions"):
            models = zip(texts.ASKED, options.models.split(","), strict=False)
            texts.captioned(name, prepared(name, work), {part: named for part, named in models if named})
        if options.part in (None, "trainings"):
            added(options.results, trainings(Bench(name, work), options.seeds, options.results))
        if options.part in (None, "reasons"):
            bench = Bench(name, work)
            added(options.results, reasons.trainings(bench, options.seeds, done_before(options.results)))
    if options.part in (None, "figures"):
        figures.show(names, work, done_before(options.results), Bench)


if __name__ == "__main__":
    main()
