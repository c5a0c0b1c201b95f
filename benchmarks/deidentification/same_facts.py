"""`python benchmarks/deidentification/same_facts.py [--reports CSV] [--half develop|test]`: facts of masked texts.

The report reader reads each text as it is, with blanks and with surrogates. Facts are the same where concept, polarity
and attributes (side, place, size, …) are; what the reader takes a planted name for is none. Reports come from a CSV
with the columns `findings` and `impression`; each is read as it is and in a letter with planted names, days and numbers
around it, which is compared with the report alone.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from score import entries, wilson

from voxtile.corpus.identity import KeyedHash
from voxtile_datasets.deidentification import Surrogates, deidentified
from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.facts import ReportFact
from voxtile_medical.reports.lexicon import Lexicon, load_lexicon

_NAMES = (
    ("Osei", "Kwabena"), ("Lindqvist", "Ingrid"), ("Nakamura", "Hiroshi"), ("O'Sullivan", "Aoife"),
    ("Okonkwo", "Chidi"), ("Fernández", "Lucía"), ("Schneider", "Klaus"), ("Petrova", "Anastasia"),
    ("Baker", "Susan"), ("Haddad", "Youssef"),
)  # fmt: skip
_KEY = KeyedHash(bytes(range(32)))


@dataclass(frozen=True)
class _Pair:
    """A text, what is masked (the text, or a letter that holds it), and where identifiers stand in the text."""

    text: str
    written: str
    spans: tuple[tuple[int, int, str], ...] = ()

    def facts(self, lexicon: Lexicon) -> set[tuple[object, ...]]:
        """What the reader says of the text, less what it takes names for."""
        return {_told(fact) for fact in facts_of_report(self.text, lexicon) if not self._is_of_name(fact)}

    def _is_of_name(self, fact: ReportFact) -> bool:
        named = [span for span in fact.spans if any(a < span[1] and span[0] < b for a, b, _ in self.spans)]
        return bool(named) and len(named) == len(fact.spans)


def _told(fact: ReportFact) -> tuple[object, ...]:
    return fact.concept, fact.polarity, fact.attributes


def main() -> None:
    """Print how many texts have other facts, and how many facts are lost and added."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("develop", "test"), default="develop")
    parser.add_argument("--reports", type=Path, help="CSV with the columns findings and impression")
    parser.add_argument("--every", type=int, default=1, help="of the reports, every so many")
    parser.add_argument("--show", action="store_true", help="print the texts of the reports whose facts differ")
    options = parser.parse_args()
    start = time.perf_counter()
    sentences = [
        _Pair(str(row["text"]), str(row["text"]), tuple(map(tuple, row["spans"]))) for row in entries(options.half)
    ]
    show = options.show and options.half == "develop"
    _compare(f"sentences, {options.half} half", sentences, show=show)
    if options.reports:
        reports = _reports(options.reports)[:: options.every]
        _compare("reports", [_Pair(text, text) for text in reports], show=options.show)
        letters = [_Pair(text, _letter(text, number)) for number, text in enumerate(reports)]
        _compare("reports in letters", letters, show=options.show)
    print(f"{time.perf_counter() - start:.0f} s")


def _reports(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [[row[part] for part in ("findings", "impression") if row[part]] for row in csv.DictReader(file)]
    return ["\n".join(parts) for parts in rows if parts]


def _letter(report: str, number: int) -> str:
    family, given = _NAMES[number % len(_NAMES)]
    doctor, first = _NAMES[(number * 7 + 3) % len(_NAMES)]
    day = f"{number % 28 + 1:02d}.{number % 12 + 1:02d}.20{number % 20 + 10}"
    return (
        f"Dear Dr {doctor}, thank you for referring {given} {family} (MRN 88{number:05d}), who was seen on "
        f"{day}.\n{report}\n"
        f"Discussed with Dr. {doctor} at 14:05. Dictated by: {first} {doctor}, MD, bleep {2000 + number % 999}."
    )


def _compare(name: str, pairs: Sequence[_Pair], *, show: bool = False) -> None:
    lexicon = load_lexicon()
    for form in ("blanks", "surrogates"):
        facts = lost = added = changed = other = 0
        for pair in pairs:
            surrogates = Surrogates(_KEY, pair.text) if form == "surrogates" else None
            masked = deidentified(pair.written, surrogates=surrogates)
            before, after = pair.facts(lexicon), set(map(_told, facts_of_report(masked, lexicon)))
            facts, lost, added = facts + len(before), lost + len(before - after), added + len(after - before)
            changed, other = changed + (masked != pair.text), other + (before != after)
            if show and before != after:
                print("  ", sorted(map(str, before ^ after)), repr(masked), sep="\n    ")
        low, high = wilson(facts - lost, facts)
        print(
            f"{name}, {form}: {changed} of {len(pairs)} texts masked; {facts - lost} of {facts} facts are the same "
            f"({(facts - lost) / max(facts, 1):.4f}; {low:.4f} to {high:.4f}), {added} added; {other} texts differ"
        )


if __name__ == "__main__":
    main()
