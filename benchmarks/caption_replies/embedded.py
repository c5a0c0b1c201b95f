"""The embedded models on findings of reports: how many findings, sides, sizes and places survive the checks, how fast.

`voxtile caption model --provider local --strategy rewrite` on the samples of `report_facts.yaml`, whose stored replies
are left aside. A model that follows instructions words a sample in one request, a base model a finding. Reported:

load: seconds until it can be asked, and bytes of memory that are its own then and at the end.
said: findings that a caption names, and of these the sides, sizes and places that stand in the same sentence; what the
    checker does not support is in no caption.
rate: requests, sentences of captions and tokens a second from the first request to the last, and seconds of processor
    time a caption, which other work on the machine changes less (set OMP_WAIT_POLICY=passive, so that waiting is none).

Run: python benchmarks/caption_replies/embedded.py [qwen-1.5b gemma-270m FILE.gguf …] [--samples 12] [--out FILE]
"""

import argparse
import asyncio
import re
import time
from collections import Counter
from pathlib import Path

import psutil
import yaml
from rich.console import Console

from voxtile_datasets.captions.context.contexts import Known
from voxtile_datasets.captions.context.identifiers import Identifiers
from voxtile_datasets.captions.context.prompts import installed_prompts
from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.providers.default_model import named_model
from voxtile_datasets.captions.providers.local import LocalProvider
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.strategies.judging import Judging
from voxtile_datasets.captions.strategies.rewrite import rewrite
from voxtile_datasets.captions.strategies.strategy import StrategyOptions

FILE = Path(__file__).with_name("report_facts.yaml")

# Other words for a concept than its last one.
NAMES = {
    "cardiomegaly": "cardiomegaly|enlarged heart|heart is enlarged|enlarged cardiac|enlargement of the heart",
    "splenomegaly": "splenomegaly|enlarged spleen|spleen is enlarged|enlargement of the spleen",
    "renal_stone": "stones?|calcul(?:us|i)",
    "emphysema": "emphysema|emphysematous",
    "atelectasis": "atelecta(?:sis|tic)",
    "lymphadenopathy": "lymphadenopathy|enlarged lymph nodes?",
}
SIDES = {
    "bilateral": "bilateral|bilaterally|both",
    "left": "left|left-sided|lll|lul",
    "right": "right|right-sided|rul|rll|rml",
}


def context_of(sample):
    """What is known of a sample, as the checker and the strategy want it."""
    facts = []
    for finding in sample["findings"]:
        attributes = {"laterality": finding.get("side"), "location": finding.get("location")}
        value = finding.get("value")
        facts.append({
            "concept": finding["concept"], "polarity": "present", "value": value and float(value),
            "unit": "mm" if value else None, "attributes": {k: v for k, v in attributes.items() if v}, "region": None,
        })  # fmt: skip
    context = SampleContext(
        str(sample["sample"]), sample["modality"], sample["body"], None, None, tuple(facts), (), (), (), bytes
    )
    table = tuple({**fact, "region_id": None, "code": None, "source": "reports@1"} for fact in facts)
    return context, Known(context, table, Identifiers(frozenset(), frozenset()), "", frozenset())


def count(text, finding, counts):
    """Count of a finding what was wanted and what a caption says."""
    names = NAMES.get(finding["concept"], finding["concept"].split("_")[-1] + "(?:e?s)?")
    sentences = [s for s in re.split(r"(?<=[.!?])\s+", text.casefold()) if re.search(rf"\b(?:{names})\b", s)]
    wanted = {"findings": ""}
    if finding.get("side"):
        wanted["sides"] = SIDES[finding["side"]]
    if finding.get("value"):
        wanted["sizes"] = rf"{finding['value']}(?:\.0)?[ -]?(?:mm|millimet(?:er|re)s?)"
    if finding.get("location"):
        wanted["places"] = re.escape(finding["location"].split()[-1].casefold())
    for kind, pattern in wanted.items():
        counts["wanted", kind] += 1
        counts["said", kind] += any(re.search(rf"\b(?:{pattern})\b", s) for s in sentences)


def measure(model, samples, complete, threads):
    """Counts, captions, and lines for people."""
    own = psutil.Process()
    before, begun = own.memory_full_info().uss, time.perf_counter()
    provider = LocalProvider(named_model(model), threads=threads)
    loaded, weights = time.perf_counter() - begun, own.memory_full_info().uss - before
    strategy = rewrite(StrategyOptions(installed_prompts(), chat=provider.chat, absent=0, complete=complete))
    judging, counts, replies, texts = Judging(), Counter(), [], {}
    places = asyncio.Semaphore(provider.concurrency)

    async def ask(request):
        async with places:
            replies.append(await provider.ask(request))
        return replies[-1]

    async def one(sample):
        context, known = context_of(sample)
        try:
            (draft,) = await strategy.captions(context, ask, judging.of(known))
            texts[sample["sample"]] = draft.text
        except ReplyError as error:
            texts[sample["sample"]] = ""
            counts["failed", error.reason] += 1
        Console(highlight=False).print(f"{sample['sample']}: {texts[sample['sample']]}", soft_wrap=True)

    async def all_of_them():
        await asyncio.gather(*map(one, samples))

    begun, used = time.perf_counter(), time.process_time()
    asyncio.run(all_of_them())
    seconds, used = time.perf_counter() - begun, time.process_time() - used
    after = own.memory_full_info().uss - before
    asyncio.run(provider.close())
    for sample in samples:
        for finding in sample["findings"]:
            count(texts[sample["sample"]], finding, counts)
    sentences = sum(len(re.findall(r"[.!?](?:\s|$)", text)) for text in texts.values())
    tokens = sum(reply.tokens_out for reply in replies), sum(reply.tokens_in for reply in replies)
    kinds = ("findings", "sides", "sizes", "places")
    return texts, [
        f"{provider.model}: {len(samples)} samples, {sum(map(bool, texts.values()))} captions, {len(replies)} requests",
        "said: " + ", ".join(f"{kind} {counts['said', kind]} of {counts['wanted', kind]}" for kind in kinds),
        f"load {loaded:.1f} s, memory {weights / 2**20:.0f} MiB after it and {after / 2**20:.0f} MiB at the end",
        f"{seconds:.0f} s: {len(replies) / seconds:.3f} requests/s, {sentences / seconds:.3f} sentences/s, "
        f"{tokens[0] / seconds:.2f} tokens/s out, {tokens[1] / len(replies):.0f} tokens a prompt",
        f"processor time: {used / len(samples):.1f} s a sample, {used / len(replies):.1f} s a request",
        *(f"{reason}: {number}" for (kind, reason), number in counts.items() if kind == "failed"),
    ]  # fmt: skip


def main() -> None:
    """Measure each model, and leave the captions in a file for reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["gemma-270m", "qwen-1.5b"])
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--complete", type=float, default=0.0, help="as of `voxtile caption model`, 0 to 1")
    parser.add_argument("--threads", type=int, help="of the model; by default one a processor")
    parser.add_argument("--out", type=Path, help="file for the captions, to read them")
    options = parser.parse_args()
    samples = yaml.safe_load(FILE.read_text(encoding="utf-8"))[: options.samples]
    written = []
    for model in options.models:
        texts, lines = measure(model, samples, options.complete, options.threads)
        Console(highlight=False).print("\n".join(lines), soft_wrap=True)
        written += [f"{model}\t{number}\t{text}" for number, text in texts.items()]
    if options.out:
        options.out.write_text("\n".join(written) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
