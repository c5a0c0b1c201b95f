"""`python benchmarks/deidentification [--half develop|test] [--show] [--texts FILE]`; see README.md."""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

from score import Counts, Spans, counted, entries, wilson

from voxtile_datasets.deidentification.find import identifiers
from voxtile_datasets.deidentification.vocabulary import report_words


def main() -> None:
    """Print what is found, what leaks, and what is masked though it identifies nobody."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("develop", "test"), default="develop")
    parser.add_argument("--show", action="store_true", help="print each leak and each word that is falsely masked")
    parser.add_argument("--texts", type=Path, help="CSV of texts without identifiers: how many are changed")
    options = parser.parse_args()
    if options.show and options.half == "test":
        parser.error("the sentences of the test half are not looked at; --show is for the develop half")
    if options.texts:
        _changed(options.texts, show=options.show)
        return
    start = time.perf_counter()
    rows = entries(options.half)
    counts = counted(rows, found, report_words())
    _print(counts, options.half, len(rows), time.perf_counter() - start)
    if options.show:
        print(*(f"leak {kind}: '{part}' in: {text}" for kind, part, text in counts.leaks), sep="\n")
        print(*(f"false: '{word}' in: {text}" for word, text in counts.false), sep="\n")


def found(text: str) -> Spans:
    """Where the rules find an identifier."""
    return [(item.start, item.end) for item in identifiers(text, report_words())]


def _print(counts: Counts, half: str, sentences: int, seconds: float) -> None:
    print(f"{half}: {sentences} sentences, {1000 * seconds / sentences:.1f} ms each")
    for kind in sorted(counts.planted):
        _share(f"{kind}s found", counts.found[kind], counts.planted[kind])
    strict = [kind for kind in ("number", "date", "contact", "age") if kind in counts.planted]
    _share(
        "numbers, dates, contacts, ages",
        *(sum(part[kind] for kind in strict) for part in (counts.found, counts.planted)),
    )
    _share("sentences that leak", counts.leaking, counts.sentences)
    _share("sentences without identifier that are changed", counts.clean_masked, counts.clean)
    _share("words outside identifiers that are masked", counts.words_masked, counts.words)
    _share("words of the reports' vocabulary among them", counts.findings_masked, counts.findings)


def _share(name: str, hits: int, of: int) -> None:
    low, high = wilson(hits, of)
    print(f"  {name:<46} {hits:>6} of {of:>6} = {hits / max(of, 1):.4f} ({low:.4f} to {high:.4f})")


def _changed(path: Path, *, show: bool) -> None:
    with path.open(encoding="utf-8", newline="") as stream:
        texts = [row[name] for row in csv.DictReader(stream) for name in ("findings", "impression") if row.get(name)]
    changed = [(text, spans) for text in texts if (spans := list(found(text)))]
    _share("texts that are changed", len(changed), len(texts))
    if show:
        print(*("; ".join(text[a:b] for a, b in spans) + f" in: {text}" for text, spans in changed), sep="\n")


if __name__ == "__main__":
    main()
