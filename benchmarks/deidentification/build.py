"""Writes the two halves of the de-identification benchmark: `python benchmarks/deidentification/build.py`.

A frame is a line of `frames/HALF.txt`; its slots are filled with names (Faker's locales and `frames/romanised.yaml`),
places, numbers and dates of the half, by a fixed seed. Needs the packages faker and pyyaml. Run once; the halves are
frozen from then on, and `frozen.json` holds their hashes.

Slots: `{p}` a person (`pm` with an initial, `fg` family first, `iif` initials), `{f}` family, `{g}` given; capitals for
capitals, `l` before for small letters; `{ini}` initials alone; `{d:FORMAT}` a date; `{tm}` a time, which is no
identifier; `{#:…}`, `{#p:…}`, `{tel:…}` a number, place or telephone number, where 9 is a digit and @ a letter;
`{age}` above 89; `{hosp}`, `{city}`, `{street}`, `{mail}`, `{url}`; `{place=…}` as it stands.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml

HERE = Path(__file__).parent
HALVES = ("develop", "test")
FILLS = 6  # sentences of a frame
SEED = 20261129
LOCALES = {
    "en_US": 8, "en_GB": 6, "de_DE": 4, "fr_FR": 3, "es_ES": 3, "en_IN": 2, "it_IT": 1, "nl_NL": 1, "fi_FI": 1,
    "tr_TR": 1, "pt_BR": 1, "sv_SE": 1, "cs_CZ": 1, "vi_VN": 1, "hu_HU": 1, "romanised": 5,
}  # fmt: skip
SLOT = re.compile(r"\{([^{}]+)\}")
DATES = ("%d/%m/%Y", "%d/%m/%y", "%-d/%-m/%y", "%d.%m.%y", "%d.%m.%Y", "%Y-%m-%d", "%-d %b", "%b %-d", "%B %-d, %Y")


def main() -> None:
    """Write both halves and their hashes."""
    places = yaml.safe_load((HERE / "frames" / "places.yaml").read_text(encoding="utf-8"))
    frozen = {}
    for half in HALVES:
        source = Source(random.Random(f"{SEED} {half}"), half, places[half], _names(half))
        lines = [json.dumps(entry, ensure_ascii=False) for entry in _entries(half, source)]
        path = HERE / f"{half}.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        frozen[half] = hashlib.sha256(path.read_bytes()).hexdigest()
    (HERE / "frozen.json").write_text(json.dumps(frozen, indent=2) + "\n", encoding="utf-8")


def _entries(half: str, source: Source) -> list[dict[str, object]]:
    house, entries, seen = "", [], set()
    for number, line in enumerate((HERE / "frames" / f"{half}.txt").read_text(encoding="utf-8").splitlines()):
        if line.startswith("# "):
            house = line[2:]
            continue
        for fill in range(FILLS):
            text, spans = source.filled(line.replace("\\n", "\n"))
            if text not in seen:
                seen.add(text)
                entries.append({"id": f"{half}-{number}-{fill}", "house": house, "text": text, "spans": spans})
    negative = (HERE / "frames" / f"{half}_negative.txt").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(negative):
        entries.append({"id": f"{half}-n{number}", "house": "no identifier", "text": line, "spans": []})
    return entries


@dataclass
class Source:
    """Names, places, dates and numbers of one half, drawn in order.

    Attributes:
        draw: by a fixed seed.
        half: develop or test.
        places: hospitals, towns and streets.
        names: given and family names by locale.
    """

    draw: random.Random
    half: str
    places: Mapping[str, list[str]]
    names: Mapping[str, tuple[list[str], list[str]]]

    def filled(self, frame: str) -> tuple[str, list[tuple[int, int, str]]]:
        """A frame's text, and its identifiers: (start, end, kind), of which `neutral` may be masked or not."""
        text, spans, end = "", [], 0
        for match in SLOT.finditer(frame):
            text += frame[end : match.start()]
            kind, value = self._value(match.group(1))
            spans.append((len(text), len(text) + len(value), kind))
            text += value
            end = match.end()
        return text + frame[end:], spans

    def _value(self, slot: str) -> tuple[str, str]:
        name, _, form = slot.partition(":")
        if "=" in slot:
            kind, _, value = slot.partition("=")
            return kind, value
        if name == "d":
            return "date", self._date(form)
        if name in ("#", "tel", "#p"):
            return {"#": "number", "tel": "contact", "#p": "place"}[name], self._number(form)
        makers: dict[str, Callable[[], tuple[str, str]]] = {
            "age": lambda: ("age", str(self.draw.randint(90, 104))),
            "tm": lambda: ("neutral", f"{self.draw.randint(0, 23):02d}:{self.draw.randint(0, 59):02d}"),
            "hosp": lambda: ("place", self.draw.choice(self.places["hospitals"])),
            "hospU": lambda: ("place", self.draw.choice(self.places["hospitals"]).upper()),
            "city": lambda: ("place", self.draw.choice(self.places["towns"])),
            "cityU": lambda: ("place", self.draw.choice(self.places["towns"]).upper()),
            "street": lambda: ("place", self.draw.choice(self.places["streets"])),
            "mail": lambda: (
                "contact",
                _plain(f"{self._name('g')}.{self._name('f')}@").replace(" ", "") + self._host(),
            ),
            "url": lambda: ("contact", f"https://pacs.{self._host()}/study/{self._number('999999')}"),
        }
        return makers[name]() if name in makers else ("name", self._name(name))

    def _host(self) -> str:
        return _plain(self.draw.choice(self.places["towns"]).lower()) + self.draw.choice(
            ["-clinic.org", ".nhs.uk", "rad.com"]
        )

    def _date(self, form: str) -> str:
        day = datetime(2008, 1, 1) + timedelta(days=self.draw.randint(0, 6000), seconds=self.draw.randint(0, 86399))
        ordinal = f"{day.day}" + ("th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th"))
        return day.strftime((form or self.draw.choice(DATES)).replace("%o", ordinal))

    def _number(self, form: str) -> str:
        digits = {"9": "0123456789", "@": "ABCDEFGHJKLMNPRSTUVWXYZ"}
        return "".join(self.draw.choice(digits[c]) if c in digits else c for c in form)

    def _name(self, slot: str) -> str:
        given, family = self.names[self.draw.choices(list(LOCALES), list(LOCALES.values()))[0]]
        first, last = self.draw.choice(given), self.draw.choice(family)
        initial = self.draw.choice("ABCDEFGHJKLMNPRSTW")
        form = {
            "p": f"{first} {last}", "pm": f"{first} {initial}. {last}", "f": last, "g": first, "fg": f"{last}, {first}",
            "if": f"{first[0]}. {last}", "iif": f"{first[0]}.{initial}. {last}", "fi": f"{last} {first[0]}",
            "ini": f"{first[0]}{initial}",
        }  # fmt: skip
        if slot in form:
            return form[slot]
        if slot in ("lf", "lp"):
            return form[slot[1:]].lower()
        return form[slot.lower()].upper()


def _names(half: str) -> dict[str, tuple[list[str], list[str]]]:
    names = {}
    for locale in LOCALES:
        if locale == "romanised":
            lists = yaml.safe_load((HERE / "frames" / "romanised.yaml").read_text(encoding="utf-8"))
            given, family = lists["given"], lists["family"]
        else:
            provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
            given, family = (_listed(provider, kind) for kind in ("first_names", "last_names"))
        names[locale] = tuple(sorted({n for n in group if _half_of(n) == half}) for group in (given, family))
    return names


def _listed(provider: type, kind: str) -> list[str]:
    """Names of a provider, whether it lists those of women and men together or apart."""
    lists = [getattr(provider, name) for name in (kind, f"{kind}_female", f"{kind}_male") if hasattr(provider, name)]
    return [name for group in lists for name in group]


def _half_of(name: str) -> str:
    """The half that a name belongs to, by its letters without accents."""
    return HALVES[hashlib.sha256(_plain(name).lower().encode()).digest()[0] % 2]


def _plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


if __name__ == "__main__":
    main()
