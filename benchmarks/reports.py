"""Reading radiology reports: agreement with index terms that people gave, and speed.

    python benchmarks/reports.py DATA/medical/iu_cxr_reports --half development
    python benchmarks/reports.py DATA/medical/iu_cxr_reports --half held-out --markdown table.md
    python benchmarks/reports.py DATA/medical/iu_cxr_reports --speed 10000

The reports (Indiana University chest X-rays) are split in halves by the sha256 of their uid: even is the development
half, which rules and mapping were written on; odd is the held-out half.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import Lexicon, load_lexicon

MAPPING = Path(__file__).with_name("reports_mesh.yaml")
HALVES = ("development", "held-out")


@dataclass(frozen=True)
class Indexed:
    """A report and its index terms, each as [heading, qualifier, …]."""

    text: str
    terms: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Counts:
    """Reports in which reading and index agree or not about a label."""

    both: int
    only_read: int
    only_indexed: int

    @property
    def precision(self) -> float:
        """Of what was read, the share that is indexed."""
        return self.both / max(1, self.both + self.only_read)

    @property
    def recall(self) -> float:
        """Of what is indexed, the share that was read."""
        return self.both / max(1, self.both + self.only_indexed)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.both / max(1, 2 * self.both + self.only_read + self.only_indexed)


def half_of(uid: str) -> str:
    """The half of a report."""
    return HALVES[int(hashlib.sha256(uid.encode()).hexdigest(), 16) % 2]


def reports(folder: Path, half: str) -> Iterator[Indexed]:
    """Reports of a half that have been indexed."""
    with (folder / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            terms = tuple(tuple(term.strip().split("/")) for term in row["MeSH"].split(";"))
            if half_of(row["uid"]) == half and ("No Indexing",) not in terms:
                yield Indexed(f"FINDINGS: {row['findings']}\nIMPRESSION: {row['impression']}", terms)


def labels() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Labels with their index terms and concepts."""
    table: Mapping[str, Mapping[str, Sequence[str]]] = yaml.safe_load(MAPPING.read_text(encoding="utf-8"))["labels"]
    return table


def agreement(indexed: Sequence[Indexed], lexicon: Lexicon) -> dict[str, Counts]:
    """Counts by label."""
    table = labels()
    both: Counter[str] = Counter()
    only_read: Counter[str] = Counter()
    only_indexed: Counter[str] = Counter()
    for report in indexed:
        facts = read_report(report.text, lexicon).facts
        read = {f.concept for f in facts if f.polarity == "present" or f.attributes.severity == "borderline"}
        for label, entry in table.items():
            is_read = not read.isdisjoint(entry["concepts"])
            is_indexed = any(_is_term(term, report.terms) for term in entry["terms"])
            both[label] += is_read and is_indexed
            only_read[label] += is_read and not is_indexed
            only_indexed[label] += is_indexed and not is_read
    return {label: Counts(both[label], only_read[label], only_indexed[label]) for label in table}


def micro(counts: Mapping[str, Counts]) -> Counts:
    """All labels together."""
    return Counts(
        sum(c.both for c in counts.values()),
        sum(c.only_read for c in counts.values()),
        sum(c.only_indexed for c in counts.values()),
    )


def coverage(indexed: Sequence[Indexed]) -> float:
    """Share of the index terms, without "normal" and image quality, that belong to a label."""
    known = [term for entry in labels().values() for term in entry["terms"]]
    ignored = ("normal", "Technical Quality of Image Unsatisfactory")
    terms = [term for report in indexed for term in report.terms if term[0].strip() not in ignored]
    return sum(any(_is_term(label, (term,)) for label in known) for term in terms) / max(1, len(terms))


def seconds(indexed: Sequence[Indexed], lexicon: Lexicon, count: int) -> tuple[float, float]:
    """Wall and processor seconds to read `count` reports on one core."""
    texts = [report.text for report in itertools.islice(itertools.cycle(indexed), count)]
    wall, busy = time.perf_counter(), time.process_time()
    for text in texts:
        read_report(text, lexicon)
    return time.perf_counter() - wall, time.process_time() - busy


def _is_term(label: str, terms: Sequence[Sequence[str]]) -> bool:
    heading, _, qualifier = label.partition("/")
    return any(term[0] == heading and (not qualifier or qualifier in term[1:]) for term in terms)


def _rows(counts: Mapping[str, Counts]) -> Iterator[tuple[str, ...]]:
    ordered = sorted(counts.items(), key=lambda item: -(item[1].both + item[1].only_indexed))
    for label, found in [*ordered, ("all (micro)", micro(counts))]:
        shares = (f"{value:.2f}" for value in (found.precision, found.recall, found.f1))
        yield (label, str(found.both + found.only_indexed), str(found.both + found.only_read), *shares)


def _print(counts: Mapping[str, Counts], title: str, markdown: Path | None) -> None:
    columns = ("label", "indexed", "read", "precision", "recall", "F1")
    table = Table(*columns, title=title)
    for row in _rows(counts):
        table.add_row(*row)
    Console().print(table)
    if markdown is not None:
        lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in _rows(counts)]
        markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=HALVES, default="development")
    parser.add_argument("--markdown", type=Path, default=None)
    parser.add_argument("--speed", type=int, default=0)
    options = parser.parse_args()
    lexicon = load_lexicon()
    if options.speed:
        wall, busy = seconds(list(reports(options.folder, "development")), lexicon, options.speed)
        Console().print(f"{options.speed} reports on one core: {wall:.1f} s ({busy:.1f} s of processor time)")
        return
    indexed = list(reports(options.folder, options.half))
    counts = agreement(indexed, lexicon)
    title = f"{options.half}: {len(indexed)} reports, lexicon {lexicon.version}"
    _print(counts, title, options.markdown)
    Console().print(f"labels cover {coverage(indexed):.1%} of the index terms")


if __name__ == "__main__":
    main()
