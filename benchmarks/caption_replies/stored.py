"""Stored replies instead of a model: how many findings, sides and sizes survive the checks, and at how many requests.

The replies of `report_facts.yaml` are given to `voxtile caption model --strategy rewrite` as a base model would give
them, the next one at each try and the last one again from there on. Counted is what the captions say in the end.

Run: python benchmarks/caption_replies/stored.py
"""

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rich.console import Console

from voxtile_datasets.captions.context.contexts import Known
from voxtile_datasets.captions.context.identifiers import Identifiers
from voxtile_datasets.captions.context.prompts import installed_prompts
from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply
from voxtile_datasets.captions.strategies.judging import Judging
from voxtile_datasets.captions.strategies.rewrite import RewriteFacts
from voxtile_datasets.captions.strategies.strategy import StrategyOptions

FILE = Path(__file__).with_name("report_facts.yaml")


@dataclass
class Counts:
    """What survived.

    Attributes:
        wanted, said: kind (finding, side, size, place) → how many were to be said, and were.
        requests: that it took.
        thrown: true replies that were asked for again although they say all.
        false: false replies that stand in a caption.
        texts: the captions.
    """

    wanted: dict = field(default_factory=dict)
    said: dict = field(default_factory=dict)
    requests: int = 0
    thrown: list = field(default_factory=list)
    false: list = field(default_factory=list)
    texts: list = field(default_factory=list)

    def add(self, kind, is_said):
        """Count one that was wanted."""
        self.wanted[kind] = self.wanted.get(kind, 0) + 1
        self.said[kind] = self.said.get(kind, 0) + bool(is_said)


def row(finding):
    """A finding as a row of the facts table."""
    attributes = {"laterality": finding.get("side"), "location": finding.get("location")}
    value = finding.get("value")
    return {
        "concept": finding["concept"], "polarity": "present", "value": value and float(value),
        "unit": "mm" if value else None, "attributes": {k: v for k, v in attributes.items() if v},
    }  # fmt: skip


def says(text, finding):
    """The replies of a finding that stand in a text."""
    return [reply for reply in finding["replies"] if reply in text]


def measure(file=FILE, tries=4):
    """The counts for a file of stored replies."""
    counts, judging = Counts(), Judging()
    strategy = RewriteFacts(StrategyOptions(installed_prompts(), chat=False, tries=tries, absent=0))
    for sample in yaml.safe_load(file.read_text(encoding="utf-8")):
        asyncio.run(_one(sample, strategy, judging, counts))
    return counts


async def _one(sample, strategy, judging, counts):
    findings = sample["findings"]
    facts = tuple({**row(finding), "region": None} for finding in findings)
    context = SampleContext(
        str(sample["sample"]), sample["modality"], sample["body"], None, None, facts, (), (), (), bytes
    )
    table = tuple({**fact, "region_id": None, "code": None, "source": "reports@1"} for fact in facts)
    check = judging.of(Known(context, table, Identifiers(frozenset(), frozenset()), "", frozenset()))

    async def ask(request):
        counts.requests += 1
        told = re.findall(r"Finding: (.+)", request.prompt)[-1]
        finding = next(f for f in findings if _is_told(told, f))
        asked[id(finding)] = request.attempt + 1
        text = finding["replies"][min(request.attempt, len(finding["replies"]) - 1)]
        return Reply(text, 200, len(text) // 4, 0.0, 0.0, False, told, "stop")

    asked = {}
    try:
        (draft,) = await strategy.captions(context, ask, check)
        text = draft.text
    except ReplyError:
        text = ""
    counts.texts.append(text)
    for finding in findings:
        found = says(text, finding)
        whole = " ".join(found).casefold()
        counts.add("finding", found)
        if finding.get("side"):
            side = {"bilateral": "bilateral|both"}.get(finding["side"], finding["side"])
            counts.add("side", re.search(rf"\b({side}|rul)\b", whole))
        if finding.get("value"):
            counts.add("size", re.search(rf"\b{finding['value']} mm\b", whole))
        if finding.get("location"):
            counts.add("place", finding["location"].split()[-1].casefold() in whole)
        false = [finding["replies"][n] for n in finding.get("untrue", ())]
        counts.false += [reply for reply in found if reply in false]
        tried = finding["replies"][: asked[id(finding)]]
        counts.thrown += [reply for reply in tried if reply not in false and reply not in found]


def _is_told(told, finding):
    """Whether a prompt asks for a finding: its size, side and place are told, and no other one fits."""
    size, side, place = finding.get("value"), finding.get("side"), finding.get("location")
    words = [f"{size} mm"] if size else []
    told = told.casefold()
    if not all(part.casefold() in told for part in (*words, side or "", place or "")):
        return False
    return finding["concept"].split("_")[-1] in told or any(w in told for w in NAMES.get(finding["concept"], ()))


# What the prompts call a concept whose own last word they may leave out.
NAMES = {"cardiomegaly": ("enlarged heart",), "splenomegaly": ("enlarged spleen",)}


def main() -> None:
    """Print the counts of the stored replies."""
    counts = measure()
    lines = [f"{kind}s said: {counts.said[kind]} of {wanted}" for kind, wanted in counts.wanted.items()]
    lines += [f"requests: {counts.requests}", f"true replies asked for again: {len(counts.thrown)}"]
    Console(highlight=False).print("\n".join([*lines, f"false replies kept: {len(counts.false)}"]))


if __name__ == "__main__":
    main()
