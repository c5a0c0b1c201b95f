"""Captions of an embedded model, the small one by default: how many samples get a supported one, and at what rate.

For CT, H&E and Sentinel-2 phantoms and PneumoniaMNIST (from VOXTILE_TEST_DATA), `voxtile caption --provider local`
words the facts (a base model one by one). Reported a corpus:

kept: share of samples with a model-written caption whose verdict is `supported` and whose word Jaccard with each
    template caption of the sample is at most 0.8; 0.75 is wanted.
facts: share of the chosen facts that were said within four tries, and tries a fact.
opening: share of the commonest first two (and three) words among the captions; under 0.3 is wanted.
rate: tokens a second of the run, from its first request to its last commit, beside the same requests put to the bare
    model with as many in flight; 0.9 is wanted. Prompt tokens that the model's cache holds count on both sides.

What the checks leave of stored replies, without a model: caption_replies/stored.py.

Run: python benchmarks/caption_yield.py [ct|he|s2|pneumonia …] [--model gemma-270m] [--samples 60] [--out captions.txt]
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from voxtile.corpus.reader import Corpus
from voxtile_datasets.captions.by_language_model import ModelOptions, caption_with_model
from voxtile_datasets.captions.context.contexts import Contexts
from voxtile_datasets.captions.context.model_input import chosen_facts
from voxtile_datasets.captions.providers.default_model import named_model
from voxtile_datasets.captions.providers.local import LocalProvider

CORPORA = ("ct", "he", "s2", "pneumonia")
MOST_ALIKE = 0.8


def words(text):
    return frozenset(re.findall(r"\w+", text.casefold()))


def voxtile(*command):
    subprocess.run(
        [sys.executable, "-P", "-m", "voxtile.cli.main", *map(str, command)], check=True, capture_output=True
    )


def build(name, folder, samples):
    """A corpus with facts and template captions."""
    corpus, source = folder / f"{name}-corpus", folder / name
    if name == "pneumonia":
        root = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data"))
        voxtile("build", "medmnist", root / "medical" / "medmnist2d_pneumonia" / "pneumoniamnist.npz", corpus)
    elif name == "ct":
        voxtile("phantom", "ct", source, "--n", samples)
        voxtile("convert", "dicom", source / "dicom", corpus, "--no-deidentify")
        voxtile("facts", corpus, "--from", "labels", "--labels", source / "labels.csv")
    elif name == "he":
        voxtile("phantom", "he", source, "--n", max(2, samples // 20))
        voxtile("convert", "wsi", source / "slides", corpus, "--mpp", "0.5", "--patch-px", "256")
        voxtile("facts", corpus, "--from", "annotations", "--annotations", source / "annotations")
    else:
        voxtile("phantom", "sentinel2", source, "--n", max(4, samples // 15))
        voxtile("convert", "geotiff", source / "scenes", corpus, "--size", "600m", "--resolution", "10")
        voxtile("facts", corpus, "--from", "places", "--places", source / "labels.geojson")
    voxtile("caption", corpus)
    return corpus


class Recording(LocalProvider):
    """The local model, noting what it was asked and when."""

    asked: list = []  # noqa: RUF012
    begun = 0.0

    async def ask(self, request):
        """See `LocalProvider.ask`."""
        cls = type(self)
        cls.begun = cls.begun or time.perf_counter()
        reply = await super().ask(request)
        cls.asked.append((request, reply))
        return reply


def caption(corpus, model, samples):
    """Caption a corpus; the requests with their replies, and the seconds from the first of them to the end."""
    from voxtile_datasets.captions.providers import local

    Recording.asked, Recording.begun = [], 0.0
    plain, local.LocalProvider = local.LocalProvider, Recording
    try:
        where = "uid IN (SELECT uid FROM facts)"
        caption_with_model(corpus, ModelOptions("local", model=model, where=where, limit=samples), {"on_error": "skip"})
    except Exception as error:  # samples without a caption are what is counted
        Console(stderr=True).print(str(error))
    finally:
        local.LocalProvider = plain
    return Recording.asked, time.perf_counter() - Recording.begun


def bare(model, requests):
    """Tokens a second of the bare model for the same requests."""

    async def run():
        provider = LocalProvider(named_model(model))
        places = asyncio.Semaphore(provider.concurrency)

        async def one(request):
            async with places:
                return await provider.ask(request)

        begun = time.perf_counter()
        replies = await asyncio.gather(*map(one, requests))
        seconds = time.perf_counter() - begun
        await provider.close()
        return sum(reply.tokens_out for reply in replies) / seconds

    return asyncio.run(run())


def judged(corpus, samples):
    """Kept captions, all captions, and the number of facts that were to be said and were said."""
    store = Corpus(corpus)
    templates = defaultdict(list)
    captions = store.table("captions").to_pylist()
    verdicts = {row["caption_id"]: row["verdict"] for row in store.table("verdicts").to_pylist()}
    for row in captions:
        if row["kind"] == "template":
            templates[row["uid"]].append(words(row["text"]))
    made = [row for row in captions if row["kind"] == "rewrite"]

    def alike(row):
        said = words(row["text"])
        return max((len(said & other) / len(said | other) for other in templates[row["uid"]]), default=0.0)

    kept = [row for row in made if verdicts[row["caption_id"]] == "supported" and alike(row) <= MOST_ALIKE]
    contexts = Contexts(corpus, None, frozenset())
    uids = frozenset(row["uid"] for row in made)
    known = [k for part in store.parts("samples") for k in contexts.of_part(part, uids)]
    wanted = sum(len(chosen_facts(k.context, 2)) for k in known)
    said = sum(len(re.findall(r"[.!?](?:\s|$)", row["text"])) for row in made)
    return kept, made, wanted, said


def opening(captions, count):
    """Share of the commonest first words."""
    counts = Counter(" ".join(row["text"].casefold().split()[:count]) for row in captions)
    return counts.most_common(1)[0][1] / len(captions) if captions else float("nan")


def main() -> None:
    """Measure, and leave the kept captions in a file for reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", default=CORPORA)
    parser.add_argument("--model", default="gemma-270m", help="as of `voxtile caption model --provider local`")
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--out", type=Path, help="file for the kept captions, to read and count by hand")
    options = parser.parse_args()
    table = Table(title=f"{options.samples} samples each")
    for name in ("corpus", "kept", "facts said", "requests a fact", "opening 2 / 3 words", "tokens/s", "bare", "ratio"):
        table.add_column(name, justify="left" if name == "corpus" else "right")
    texts = []
    for name in options.corpora:
        with tempfile.TemporaryDirectory() as folder:
            corpus = build(name, Path(folder), options.samples)
            asked, seconds = caption(corpus, options.model, options.samples)
            kept, made, wanted, said = judged(corpus, options.samples)
        rate = sum(reply.tokens_out for _, reply in asked) / seconds
        alone = bare(options.model, [request for request, _ in asked])
        shares = [len(kept) / options.samples, said / max(1, wanted), len(asked) / max(1, wanted)]
        table.add_row(
            name, *(f"{share:.2f}" for share in shares),
            f"{opening(made, 2):.2f} / {opening(made, 3):.2f}", f"{rate:.1f}", f"{alone:.1f}", f"{rate / alone:.2f}",
        )  # fmt: skip
        texts += [f"{name}\t{row['text']}" for row in sorted(kept, key=lambda row: row["uid"])]
        Console().print(table)
    if options.out:
        options.out.write_text("\n".join(texts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
