"""Facts in plain words: the same facts always have the same, and no more is said than who learns from them can see."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from voxtile.errors import ConfigError
from voxtile_datasets.captions.known_facts import listed
from voxtile_datasets.captions.sentences import as_said, fields_for, own_names, patterns_filled
from voxtile_datasets.captions.sizes import LENGTHS_MM
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import DETAILS, Bank

_SIDES = frozenset(["left", "right"])
_LENGTH = re.compile(r"\d+(?:\.\d+)?")
_MARGIN = re.compile(r"(?P<length>\d+(?:\.\d+)?) ?(?P<unit>mm|cm|m)(?: ?, ?(?P<share>\d+(?:\.\d+)?) ?%)?")


@dataclass(frozen=True)
class SizeMargin:
    """How far a size that is said may be off: a length or a share of the size, whichever is more.

    Attributes:
        length_mm: above 0.
        share: 0 and up.
    """

    length_mm: float
    share: float = 0.0

    @classmethod
    def parse(cls, text: str) -> SizeMargin:
        """Read `5 mm` or `5 mm, 20 %`.

        Raises:
            ConfigError: it is neither.
        """
        found = _MARGIN.fullmatch(text.strip())
        if found is None or not float(found["length"]):
            raise ConfigError(f"--size-margin is a length and perhaps a share, such as '5 mm, 20 %', not '{text}'")
        return cls(float(found["length"]) * LENGTHS_MM[found["unit"]], float(found["share"] or 0) / 100)

    def __str__(self) -> str:
        share = f", {self.share * 100:g} %" if self.share else ""
        return f"{self.length_mm:g} mm{share}"

    def worded(self, size: str) -> str:
        """`23.4 mm` with its margin: `23 mm ± 5 mm`; of several directions the longest.

        Other units, and a size that has its margin, stay as they are.

        Args:
            size: as `Fact.size` has it.
        """
        *_, unit = size.split()
        lengths = [float(length) for length in _LENGTH.findall(size)]
        if unit not in ("mm", "cm") or not lengths or "±" in size:
            return size
        length = max(lengths) * LENGTHS_MM[unit]
        margin = math.ceil(max(self.length_mm, self.share * length))
        return f"{max(1, math.floor(length + 0.5))} mm ± {margin} mm"


@dataclass(frozen=True)
class PlainWords:
    """A fact by the concept's own name, then its details.

    Whether it is there is said first, so that a writer that sees an image decides that before side and size.

    Attributes:
        details: that are said, among side, location (place, levels of the spine), size and number.
        margin: of sizes; None says them as they are known.

    Raises:
        ConfigError: another detail.
    """

    details: frozenset[str] = DETAILS
    margin: SizeMargin | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(self.details - DETAILS):
            raise ConfigError(f"there is no detail '{unknown[0]}'; take some of {', '.join(sorted(DETAILS))}")

    @classmethod
    def chosen(cls, words: str, details: str | None, size_margin: str | None) -> PlainWords | None:
        """What options of a command choose: None for varied words.

        Args:
            words: varied or plain.
            details: that are said, separated by commas; all where it is None.
            size_margin: see `SizeMargin.parse`.

        Raises:
            ConfigError: an option of plain words with other words, or one that is malformed.
        """
        options = (("details", details), ("size-margin", size_margin))
        if words != "plain" and (given := next((name for name, value in options if value is not None), None)):
            raise ConfigError(f"--{given} is of plain words; add --words plain, or leave it out")
        if words != "plain":
            return None
        margin = None if size_margin is None else SizeMargin.parse(size_margin)
        return cls(DETAILS if details is None else frozenset(listed(details)), margin)

    def __call__(self, fact: Fact, subject: Subject, bank: Bank, variant: int) -> str:
        """The sentence.

        Args:
            fact: to word.
            subject: whose it is.
            bank: the wordings.
            variant: of no effect.
        """
        said = as_said(self._told(fact))
        own, wording = own_names(said, bank)[0], bank.wording_of(said.concept)
        fields = fields_for(said, wording, own, "image", subject.body, bank.places)
        if said.polarity != "present":
            return min(patterns_filled(said, bank, own, "image", subject.body), key=len)
        place = fields.get("place", "")
        side = "on both sides" if said.side == "bilateral" else f"on the {said.side}" if said.side in _SIDES else ""
        if said.side and (said.side in place.split() or "both" in place.split()):
            side = ""
        details = ", ".join(part for part in (place, side, self._size(said, is_several=fields["is"] == "are")) if part)
        text = f"{fields['name'].removeprefix(f'{said.side} ')}{' ' if place or side else ', '}{details}".rstrip(" ,")
        return f"{text[0].upper()}{text[1:]}."

    def noted(self) -> dict[str, object]:
        """Settings that are not the default."""
        found: dict[str, object] = {} if self.details == DETAILS else {"details": sorted(self.details)}
        return found if self.margin is None else {**found, "size_margin": str(self.margin)}

    def _told(self, fact: Fact) -> Fact:
        """The fact with what is said of it alone; a denial keeps what it is of, without which it would deny more."""
        if fact.polarity == "absent":
            return fact
        if "location" not in self.details:
            fact = replace(fact, location=None, levels=())
        return replace(
            fact,
            side=fact.side if "side" in self.details else None,
            size=fact.size if "size" in self.details else None,
            number=fact.number if "number" in self.details else None,
        )

    def _size(self, fact: Fact, *, is_several: bool) -> str:
        if not fact.size:
            return ""
        if self.margin is None:
            return f"up to {fact.size}" if is_several else fact.size
        return f"the largest {self.margin.worded(fact.size)}" if is_several else self.margin.worded(fact.size)
