"""One licence text, as a recipe or a user wrote it, taken apart into known licences and the terms that they set.

A text that is not understood is never taken as permission: it is kept as it is and counts as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_yaml
from voxtile.errors import VoxtileError

ATTRIBUTION = "attribution"
NONCOMMERCIAL = "noncommercial"
SHARE_ALIKE = "share-alike"
NO_DERIVATIVES = "no-derivatives"
CREDENTIALED = "credentialed"
NO_REDISTRIBUTION = "no-redistribution"
NO_TRAINING = "no-training"
ELSEWHERE = "elsewhere"
UNSTATED = "unstated"

# Attribution licences of Creative Commons, by identifier, by name, or by address: BY, BY-SA, BY-NC, BY-ND, BY-NC-SA,
# BY-NC-ND, with or without a version (https://creativecommons.org/share-your-work/cclicenses).
_CREATIVE_COMMONS = re.compile(
    r"\bCC[- ]BY((?:-NC)?(?:-SA|-ND)?)(?:[- ](\d\.\d))?(?:[- ](?:IGO|Intl|International))?(?![\w-])"
    r"|creativecommons\.org/licenses/by((?:-nc)?(?:-sa|-nd)?)(?:/(\d\.\d))?/?",
    re.IGNORECASE,
)
_CC_TERMS = {"NC": NONCOMMERCIAL, "SA": SHARE_ALIKE, "ND": NO_DERIVATIVES}
_CC_WORDS = {"NC": "NonCommercial", "SA": "ShareAlike", "ND": "NoDerivatives"}
_FILE = Path(__file__).with_name("known.yaml")


class LicenceError(VoxtileError):
    """A licence forbids what was asked for; the message names it."""


@dataclass(frozen=True)
class Part:
    """One licence or one phrase within a text.

    Attributes:
        words: what was found in the text.
        name: full name; None for a phrase.
        spdx: identifier of the SPDX list; None where it has none.
        url: where its text is.
        terms: conditions that it sets.
    """

    words: str
    name: str | None
    spdx: str | None
    url: str | None
    terms: frozenset[str]


@dataclass(frozen=True)
class Licence:
    """A licence text and what was understood of it.

    Attributes:
        text: as stated; None where nothing is.
        parts: what was recognised, in the order of the text.
        unclear: segments of the text (between semicolons) in which nothing was recognised.
    """

    text: str | None
    parts: tuple[Part, ...]
    unclear: tuple[str, ...]

    @property
    def terms(self) -> frozenset[str]:
        """All conditions; `unstated` where there is no text."""
        found = frozenset(term for part in self.parts for term in part.terms)
        return found if self.text else found | {UNSTATED}

    @property
    def is_known(self) -> bool:
        """Every segment was recognised, and none says that nothing is stated or that the terms stand elsewhere."""
        return not self.unclear and not self.terms & {UNSTATED, ELSEWHERE}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the licences in it, without phrases."""
        return tuple(dict.fromkeys(part.name for part in self.parts if part.name))

    @property
    def spdx(self) -> str | None:
        """SPDX expression, where it says all that the text says."""
        known = [part.spdx for part in self.parts if part.name]
        covered = {term for part in self.parts if part.name for term in part.terms}
        if not known or None in known or not self.is_known or self.terms - covered:
            return None
        return " AND ".join(dict.fromkeys(str(identifier) for identifier in known))

    def __str__(self) -> str:
        return self.text or "no licence stated"


def read_licence(text: str | None) -> Licence:
    """Take a licence text apart.

    Args:
        text: an SPDX identifier or expression, a name or address, or a sentence of a recipe such as `CC BY 4.0 (texts);
            pictures of DOTA and DIOR, academic use only`; None or blank where nothing is stated.
    """
    if not text or not text.strip():
        return Licence(None, (), ())
    parts: list[Part] = []
    unclear: list[str] = []
    for segment in (piece.strip() for piece in text.split(";")):
        found = sorted(_parts_of(segment), key=lambda pair: pair[0])
        parts += [part for _, part in found]
        if segment and not found:
            unclear.append(segment)
    return Licence(text.strip(), tuple(parts), tuple(unclear))


def _parts_of(segment: str) -> Iterator[tuple[int, Part]]:
    """Licences, then the phrases in what they leave of a segment, with their places."""
    rest = segment
    for found in _CREATIVE_COMMONS.finditer(segment):
        yield found.start(), _creative_commons(found)
    rest = _CREATIVE_COMMONS.sub(_blank, rest)
    for entry, pattern in _known("licences"):
        for found in pattern.finditer(rest):
            terms = frozenset(entry["terms"])
            yield found.start(), Part(found[0], entry["name"], entry["spdx"], entry["url"], terms)
        rest = pattern.sub(_blank, rest)
    for entry, pattern in _known("phrases"):
        for found in pattern.finditer(rest):
            yield found.start(), Part(found[0].strip(), None, None, None, frozenset(entry["terms"]))


def _creative_commons(found: re.Match[str]) -> Part:
    suffix = (found[1] or found[3] or "").upper()
    version = found[2] or found[4]
    marks = [mark for mark in suffix.split("-") if mark]
    name = "-".join(["Attribution", *(_CC_WORDS[mark] for mark in marks)])
    terms = frozenset([ATTRIBUTION, *(_CC_TERMS[mark] for mark in marks)])
    url = f"https://creativecommons.org/licenses/by{suffix.lower()}/{f'{version}/' if version else ''}"
    spdx = f"CC-BY{suffix}-{version}" if version else None
    return Part(found[0], f"Creative Commons {name}{f' {version}' if version else ''}", spdx, url, terms)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


@cache
def _known(section: str) -> tuple[tuple[dict[str, Any], re.Pattern[str]], ...]:
    content = load_yaml(_FILE.read_text("utf-8"))
    return tuple((entry, re.compile(entry["pattern"], re.IGNORECASE)) for entry in content[section])
