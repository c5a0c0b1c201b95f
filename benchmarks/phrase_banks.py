"""The phrase banks that the domains bring: each line tried by the checker again, and captions composed to be read.

    python benchmarks/phrase_banks.py check [--write]    # lines that the checker of today refuses
    python benchmarks/phrase_banks.py compose medical    # captions of facts of outside/templates, as rows to be read

After an edit of a shipped bank, `check --write` gives each line the mark of the checker that let it pass, and takes out
what it refuses.
"""

import argparse
import csv
import re
import sys
from dataclasses import replace
from pathlib import Path

from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.phrase_bank.bank_file import (
    KINDS,
    ConceptEntries,
    PhraseBank,
    installed_phrase_banks,
    load_phrase_bank,
    save_phrase_bank,
)
from voxtile_datasets.captions.phrase_bank.compose import Composition
from voxtile_datasets.captions.phrase_bank.entry_checks import EntryCheck
from voxtile_datasets.captions.sentences import report
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import bank_for, installed_banks

FACTS = Path(__file__).parent / "outside" / "templates"
PICTURES = {"medical": "CT", "pathology": "SM", "remote_sensing": "MSI"}  # of concepts whose entries name none
DETAIL = re.compile(r"(number|size|side|location|levels): (.*?)(?=, (?:number|size|side|location|levels): |$)")


def check_of(domain: str, concept: str, entries: ConceptEntries) -> EntryCheck:
    """The check of a concept's lines, on the pictures that they are of."""
    modality = next((name for entry in entries.entries for name in entry.modalities), PICTURES[domain])
    bank = bank_for(installed_banks(), modality, [concept])
    return EntryCheck(concept, bank, installed_vocabularies()[domain], modality)


def check(domain: str, path: Path, *, write: bool) -> int:
    """Try every line of a bank; how many are refused."""
    bank = load_phrase_bank(path, usable=False)
    kept, refused = {}, 0
    for concept, entries in bank.concepts.items():
        tried = check_of(domain, concept, entries)
        passed = {kind: [] for kind in KINDS}
        for kind in KINDS:
            for entry in getattr(entries, kind):
                if why := tried(kind, entry.text, entry.modalities):
                    refused += 1
                    print(f"{domain}, {concept}, {kind}: {entry.text} - {why}")
                else:
                    new = tried.passed(kind, entry.text, entry.by, entry.modalities)
                    passed[kind].append(replace(new, signed=entry.signed))
        kept[concept] = ConceptEntries(**{kind: tuple(rows) for kind, rows in passed.items()})
    if write:
        save_phrase_bank(PhraseBank(bank.name, bank.version, kept, by=bank.by), path)
    print(f"{domain}: {len(bank.entries):,} lines of {len(bank.concepts):,} concepts, {refused:,} refused")
    return refused


def facts_of(text: str) -> tuple[Fact, ...]:
    """The facts of a row of outside/templates."""
    found = []
    for one in text.split("; "):
        polarity, concept, details = re.fullmatch(r"(\w+) (.*?)(?: \((\w+: .*)\))?", one).groups()
        known = dict(DETAIL.findall(details or ""))
        number = known.get("number")
        found.append(
            Fact(
                concept, polarity, known.get("size"), known.get("side"), known.get("location"),
                tuple(known.get("levels", "").split()), "" if number == "several" else number,
            )
        )  # fmt: skip
    return tuple(found)


def compose(domain: str, path: Path, count: int) -> None:
    """Captions of rows that are spread over the list, with half of the findings described."""
    rows = list(csv.DictReader((FACTS / f"{domain}.csv").open(encoding="utf-8", newline="")))
    rows = [row for row in rows if "present " in row["facts"]]
    composition = Composition(load_phrase_bank(path), seed=1, described=0.5)
    out = csv.writer(sys.stdout)
    out.writerow(["number", "domain", "modality", "caption", "facts"])
    for place in range(count):
        row = rows[place * len(rows) // count]
        facts = facts_of(row["facts"])
        bank = bank_for(installed_banks(), row["modality"], [fact.concept for fact in facts])
        subject = Subject(f"{domain}-{row['number']}", row["modality"], None, facts)
        caption = report(subject, bank, variant=0, absent=0, say=composition.say)
        out.writerow([place + 1, domain, row["modality"], caption, row["facts"]])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["check", "compose"])
    parser.add_argument("domain", nargs="?", choices=sorted(installed_phrase_banks()))
    parser.add_argument("--write", action="store_true", help="mark what passes, take out what is refused")
    parser.add_argument("--count", type=int, default=60, help="captions to compose")
    chosen = parser.parse_args()
    banks = {name: path for name, path in installed_phrase_banks().items() if chosen.domain in (None, name)}
    if chosen.what == "compose":
        for name, path in banks.items():
            compose(name, path, chosen.count)
    else:
        sys.exit(bool(sum([check(name, path, write=chosen.write) for name, path in banks.items()])))
