"""The caption checker on captions that no grammar of this project produced: faults found and false alarms.

    python benchmarks/outside captions [--half develop|test] [--show] [--domain D]

A false caption is found where the verdict is `contradicted` or `unsupported`; a true one raises a false alarm there. Of
a caption that an open scope leaves open the verdict should be `unknown`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from labelled import UNSEEN, Caption, captions, set_of, share

from voxtile.errors import InputError
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

RAISED = ("contradicted", "unsupported")
Checked = tuple[Caption, Any]


def main() -> None:
    """Check every caption and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=set_of("captions"), default="develop")
    parser.add_argument("--show", action="store_true", help="print what went wrong; of the develop halves only")
    parser.add_argument("--domain", help="one domain alone")
    args = parser.parse_args()
    if args.show and args.half in UNSEEN:
        parser.error("--show is for what rules are developed on: nobody reads the others, or they are no test any more")
    try:
        found = [caption for caption in captions(args.half) if args.domain in (None, caption.domain)]
    except InputError as error:
        sys.exit(f"error: {error}")
    vocabularies = installed_vocabularies()
    checked = [(caption, check(caption.text, known(caption), vocabularies[caption.domain])) for caption in found]
    print(f"{args.half}: {len(found)} captions\n")
    _print(checked)
    if args.show:
        _show(checked)


def known(caption: Caption) -> Known:
    """What the checker is told of the image."""
    return Known(facts=caption.facts, scopes=caption.scopes, metadata=caption.metadata)


def _print(checked: Sequence[Checked]) -> None:
    false = [pair for pair in checked if pair[0].truth == "false"]
    true = [pair for pair in checked if pair[0].truth == "true"]
    left_open = [pair for pair in checked if pair[0].truth == "not-known"]
    by_domain: Callable[[Caption], str] = lambda c: c.domain  # noqa: E731
    by_scope: Callable[[Caption], str] = lambda c: f"{c.domain}, {'open' if c.is_open else 'closed'}"  # noqa: E731
    print("faults found")
    for key in (lambda _: "all", by_domain, by_scope, lambda c: f"{c.domain}: {c.fault}"):
        for name, group in _groups(false, key):
            print(f"  {name:44}{_raised(group)}")
    print("\nfalse alarms on true captions, and how many of them are left `unknown`")
    for key in (lambda _: "all", by_domain, by_scope, lambda c: f"{c.domain}, {c.origin}"):
        for name, group in _groups(true, key):
            unknown = sum(verdict.verdict == "unknown" for _, verdict in group)
            print(f"  {name:44}{_raised(group)}   unknown {unknown}")
    print("\nverdicts on captions that an open scope leaves open")
    for name, group in _groups(left_open, by_domain):
        print(f"  {name:44}{dict(Counter(verdict.verdict for _, verdict in group))}")


def _groups(checked: Sequence[Checked], key: Callable[[Caption], str]) -> Iterator[tuple[str, list[Checked]]]:
    groups: dict[str, list[Checked]] = defaultdict(list)
    for pair in checked:
        groups[key(pair[0])].append(pair)
    yield from sorted(groups.items())


def _raised(group: Sequence[Checked]) -> str:
    return share(sum(verdict.verdict in RAISED for _, verdict in group), len(group))


def _show(checked: Sequence[Checked]) -> None:
    for caption, verdict in checked:
        wanted = {"true": ("supported",), "false": RAISED, "not-known": ("unknown",)}[caption.truth]
        if verdict.verdict not in wanted:
            why = "; ".join(fault.why for fault in verdict.faults)
            scope = "open" if caption.is_open else "closed"
            print(
                f"{caption.id} {scope} {caption.truth} {caption.fault or ''}: {verdict.verdict}: {caption.text!r} {why}"
            )


if __name__ == "__main__":
    main()
