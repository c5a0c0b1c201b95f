"""How many captions a processor checks in a second: new sentences, and sentences that were seen before.

The captions are those of the development half of benchmarks/caption_faults, each copy with other numbers, so that no
sentence is read from the cache in the first pass; the second pass is the same again.

Run: python benchmarks/checking.py [--n 20000]
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence

from caption_faults import SET, Item, items, test_data

from voxtile.errors import InputError
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies

_NUMBER = re.compile(r"\b\d+\b")


def main() -> None:
    """Print seconds of processor time for 100,000 captions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000)
    number = parser.parse_args().n
    try:
        found = list(items(SET / "development.jsonl", test_data()))
    except InputError as error:
        sys.exit(f"error: {error}")
    known = installed_vocabularies()
    texts = [_copy(found[i % len(found)], i) for i in range(number)]
    for name in ("new sentences", "the same again"):
        seconds = _time(texts, known)
        print(f"{name:16} {1e3 * seconds / number:.2f} ms a caption, {1e5 * seconds / number:.0f} s for 100,000")


def _copy(item: Item, number: int) -> tuple[Item, str]:
    """A caption that no other copy equals."""
    text = item.text.rstrip(" .")
    changed = _NUMBER.sub(lambda match: str(int(match.group()) + number), text)
    return item, f"{changed if changed != text else f'{text} within {number} m'}."


def _time(texts: Sequence[tuple[Item, str]], known: dict[str, Vocabulary]) -> float:
    started = time.process_time()
    for item, text in texts:
        check(text, Known(item.facts, item.scopes, item.identifiers), known[item.domain])
    return time.process_time() - started


if __name__ == "__main__":
    main()
