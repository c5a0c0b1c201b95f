"""False captions that a training would draw: denials of tumour and necrosis that are there, and other modalities.

    python benchmarks/outside training [--show]

Of the sets that may be looked at. A training leaves out captions whose verdict is `contradicted` by default, and with
`captions.exclude_verdicts: [contradicted, unsupported]` those that state what nobody looked for or measured, too.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from check_captions import known
from labelled import UNSEEN, Caption, captions, share

from voxtile_datasets.captions.checker.check import check
from voxtile_datasets.captions.checker.verdict import Verdict
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

_FRESH = ("fresh-1", "fresh-2", "fresh-3", "fresh-4")
SETS = tuple(n for n in ("develop", "develop-2", "check-1", "check-2", "check-3", *_FRESH) if n not in UNSEEN)
_NAMED = {
    "tumour": re.compile(r"tumou?r|carcinoma|cancer|malignan|neoplas|metasta", re.I),
    "necrosis": re.compile(r"necro|dead tissue|dead cells", re.I),
}
_DENIED = frozenset(["finding-denied", "denial-of-present", "negation-dropped", "normality", "denied-present"])


def subjects_of(caption: Caption) -> list[str]:
    """What a false caption is wrong about: tumour, necrosis, modality; nothing for other things."""
    fault = caption.fault or ""
    if caption.truth != "false":
        return []
    if "modality" in fault:
        return ["modality"]
    told = " ".join([caption.text, *(str(fact["concept"]) for fact in caption.facts)])
    return [name for name, words in _NAMED.items() if fault in _DENIED and words.search(told)]


def false_captions() -> Iterator[tuple[str, Caption, list[str], Verdict]]:
    """The false captions on these subjects of all sets: the set, the caption, its subjects and the verdict."""
    vocabularies = installed_vocabularies()
    for half in SETS:
        for caption in captions(half):
            if subjects := subjects_of(caption):
                yield half, caption, subjects, check(caption.text, known(caption), vocabularies[caption.domain])


def main() -> None:
    """Print how many would be drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print those that are not contradicted")
    args = parser.parse_args()
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    for half, caption, subjects, verdict in false_captions():
        for subject in subjects:
            verdicts[subject][verdict.verdict] += 1
        if args.show and verdict.verdict != "contradicted":
            why = "; ".join(fault.why for fault in verdict.faults)
            print(f"{half} {caption.id} {caption.fault}: {verdict.verdict}: {caption.text!r} {why}")
    for subject, found in sorted(verdicts.items()):
        total = found.total()
        drawn, strict = total - found["contradicted"], found["supported"] + found["unknown"]
        print(f"{subject}: {total} false captions, {dict(found)}")
        print(f"  drawn by default: {share(drawn, total)}; with `unsupported` left out as well: {share(strict, total)}")


if __name__ == "__main__":
    main()
