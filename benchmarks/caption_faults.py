"""The caption checker on planted faults: recall by type of fault, and false alarms on faithful captions.

The set is in benchmarks/caption_faults (see its README): facts and scopes, captions that follow from them, and captions
with one fault each. More than half of the captions are sentences of real reports and real image captions, read at run
time from the folder that VOXTILE_TEST_DATA names and edited as the set says; a sentence whose hash differs is refused.

A faulty caption is found where the verdict is `contradicted` or `unsupported`; a faithful one is a false alarm there.
`named` counts the found faults of which the checker's words hold a word that the fault brought in (a dropped negation
brings in none). The intervals are Wilson's, 95 %.

Run: python benchmarks/caption_faults.py [--half development|hidden|both] [--show]
"""

import argparse
import csv
import difflib
import hashlib
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from voxtile.errors import InputError
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

SET = Path(__file__).parent / "caption_faults"
HALVES = ("development", "hidden")
RAISED = ("contradicted", "unsupported")
RECALL, ALARMS = 0.98, 0.03  # what the checker must show
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z0-9])")


@dataclass(frozen=True)
class Item:
    """A caption with what is known of its sample.

    Attributes:
        entry: id of the facts it belongs to.
        domain, imaging, origin: groups; the origin is `outside` (a paraphrase of a real sentence) or `own`.
        fault: its type; None for a faithful caption.
        changed: words that the fault brought in, in lower case; none for a dropped negation.
    """

    entry: str
    domain: str
    imaging: str
    origin: str
    fault: str | None
    text: str
    changed: frozenset[str]
    facts: tuple[Mapping[str, Any], ...]
    scopes: tuple[Mapping[str, Any], ...]
    identifiers: tuple[str, ...]


def main() -> None:
    """Check every caption and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=[*HALVES, "both"], default="development")
    parser.add_argument("--show", action="store_true", help="print what went wrong; of the development half only")
    args = parser.parse_args()
    halves = HALVES if args.half == "both" else (args.half,)
    if args.show and args.half != "development":
        parser.error("--show is for the development half: nobody reads the hidden one, or it is no longer hidden")
    try:
        found = [item for half in halves for item in items(SET / f"{half}.jsonl", test_data())]
    except InputError as error:
        sys.exit(f"error: {error}")
    known = installed_vocabularies()
    verdicts = [(item, check(item.text, _known(item), known[item.domain])) for item in found]
    print(f"{args.half}: {len(found)} captions")
    report(verdicts)
    if args.show:
        _show(verdicts)


def test_data() -> Path:
    """The folder of real sentences."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    root = Path(os.environ.get("VOXTILE_TEST_DATA", default)).resolve()
    if not root.is_dir():
        raise InputError(f"no folder of real sentences at {root}; set VOXTILE_TEST_DATA")
    return root


def items(file: Path, root: Path) -> Iterator[Item]:
    """The captions of one half.

    Args:
        file: the half, JSON lines: first the vocabularies, then an entry a line.
        root: folder of real sentences.

    Raises:
        InputError: a sentence is not what it was when the set was made.
    """
    head, *lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for entry in lines:
        original = source_sentence(entry["source"], root) if entry["source"] else None
        whole = [_text(text, original) for text in entry["faithful"]]
        common = {
            "entry": entry["id"],
            **{name: entry[name] for name in ("domain", "imaging", "origin")},
            "facts": tuple(_fact(entry["id"], fact) for fact in entry["facts"]),
            "scopes": tuple(_scope(entry["id"], scope, head["vocabularies"]) for scope in entry["scopes"]),
            "identifiers": tuple(entry["identifiers"]),
        }
        for text in whole:
            yield Item(**common, fault=None, text=text, changed=frozenset())
        for faulty in entry["faulty"]:
            text, fault = _text(faulty, original), faulty["fault"]
            changed = frozenset() if fault == "dropped negation" else _new_words(whole[0], text)
            yield Item(**common, fault=fault, text=text, changed=changed)


def source_sentence(source: Mapping[str, Any], root: Path) -> str:
    """The sentence that an entry names by data set, record, field and number.

    Raises:
        InputError: the record is missing, or the sentence differs from the one that was edited.
    """
    fields: dict[str, Callable[[], list[str]]] = {
        "iu_cxr_reports": lambda: _split(_reports(root)[source["record"]][source["field"]]),
        "captions_rsicd_rsitmd": lambda: _captions(root)[source["record"]],
    }
    name = f"{source['dataset']}, record {source['record']}, sentence {source['sentence']}"
    try:
        text = fields[source["dataset"]]()[source["sentence"]]
    except (KeyError, IndexError):
        raise InputError(f"{name} is not in {root}; the set needs the release that its README names") from None
    if hashlib.sha256(text.encode()).hexdigest() != source["sha256"]:
        raise InputError(f"{name} is not the sentence that the set was made from; its hash differs")
    return text


def report(verdicts: Sequence[tuple[Item, Any]]) -> None:
    """Print recall by fault and origin, and false alarms by domain, imaging and origin."""
    faulty = [(item, verdict) for item, verdict in verdicts if item.fault]
    print(f"\nrecall by fault (wanted ≥ {RECALL})")
    for fault, group in _groups(faulty, lambda item: str(item.fault)):
        told = [_names(verdict, item.changed) for item, verdict in group if verdict.verdict in RAISED and item.changed]
        named = f"   named {sum(told)} of {len(told)}" if told else ""
        print(f"  {fault:18}{_share(group)}{named}")
        for origin, part in _groups(group, lambda item: item.origin):
            print(f"    {origin:16}{_share(part)}")
    print("\nrecall by domain")
    for domain, group in _groups(faulty, lambda item: item.domain):
        print(f"  {domain:18}{_share(group)}")
    faithful = [(item, verdict) for item, verdict in verdicts if not item.fault]
    print(f"\nfalse alarms on faithful captions (wanted ≤ {ALARMS}), and captions left `unknown`")
    for name, key in (("all", lambda _: "all"), ("domain", _domain), ("imaging", _imaging), ("origin", _origin)):
        for value, group in _groups(faithful, key):
            unknown = sum(verdict.verdict == "unknown" for _, verdict in group) / len(group)
            print(f"  {name:8}{value:18}{_share(group)}   unknown {unknown:.2f}")


def _domain(item: Item) -> str:
    return item.domain


def _imaging(item: Item) -> str:
    return item.imaging


def _origin(item: Item) -> str:
    return item.origin


def _share(group: Sequence[tuple[Item, Any]]) -> str:
    raised = sum(verdict.verdict in RAISED for _, verdict in group)
    interval = binomtest(raised, len(group)).proportion_ci(method="wilson")
    return f"{raised / len(group):.3f} ({interval.low:.3f} to {interval.high:.3f}), {raised} of {len(group)}"


def _groups(
    verdicts: Sequence[tuple[Item, Any]], key: Callable[[Item], str]
) -> Iterator[tuple[str, list[tuple[Item, Any]]]]:
    groups: dict[str, list[tuple[Item, Any]]] = defaultdict(list)
    for item, verdict in verdicts:
        groups[key(item)].append((item, verdict))
    yield from sorted(groups.items())


def _names(verdict: Any, changed: frozenset[str]) -> bool:
    return any(changed & _words(fault.words) for fault in verdict.faults)


def _show(verdicts: Sequence[tuple[Item, Any]]) -> None:
    for item, verdict in verdicts:
        if (verdict.verdict in RAISED) != bool(item.fault):
            why = "; ".join(fault.why for fault in verdict.faults)
            print(f"{item.entry} {item.fault or 'faithful'}: {verdict.verdict}: {item.text!r} {why}")


def _known(item: Item) -> Known:
    return Known(facts=item.facts, scopes=item.scopes, identifiers=item.identifiers)


def _fact(uid: str, fact: Mapping[str, Any]) -> dict[str, Any]:
    attributes = json.dumps(fact["attributes"], sort_keys=True) if fact["attributes"] else None
    whole = {"uid": uid, "region_id": None, "code": None, "source": "planted@1"}
    return {**fact, **whole, "attributes": attributes}


def _scope(uid: str, scope: Mapping[str, Any], vocabularies: Mapping[str, list[str]]) -> dict[str, Any]:
    concepts = [c for c in vocabularies[scope["vocabulary"]] if c not in scope["without"]]
    return {"uid": uid, "vocabulary": scope["vocabulary"], "closed": scope["closed"], "concepts": concepts}


def _text(text: Mapping[str, Any], original: str | None) -> str:
    """Own words, or the original with each [start, end, replacement] carried out (characters, in order)."""
    if original is None:
        return str(text["text"])
    for start, end, replacement in reversed(text["edits"]):
        original = original[:start] + replacement + original[end:]
    return original


def _new_words(faithful: str, faulty: str) -> frozenset[str]:
    old, new = _list(faithful), _list(faulty)
    steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return frozenset(word for kind, _, _, low, high in steps if kind != "equal" for word in new[low:high])


def _list(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _words(text: str) -> frozenset[str]:
    return frozenset(_list(text))


def _split(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()]


@cache
def _reports(root: Path) -> dict[str, dict[str, str]]:
    with (root / "medical" / "iu_cxr_reports" / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        return {row["uid"]: row for row in csv.DictReader(file)}


@cache
def _captions(root: Path) -> dict[str, list[str]]:
    found = {}
    for file in sorted((root / "remote_sensing" / "captions_rsicd_rsitmd").glob("*.json")):
        for picture in json.loads(file.read_text(encoding="utf-8")):
            found[f"{file.stem}/{Path(picture['image']).stem}"] = picture["caption"]
    return found


if __name__ == "__main__":
    main()
