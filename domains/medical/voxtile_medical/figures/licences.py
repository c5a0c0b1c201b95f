"""Which licences of articles a corpus is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voxtile.errors import ConfigError
from voxtile_datasets.licences.licence import NO_DERIVATIVES, NONCOMMERCIAL, SHARE_ALIKE, read_licence

REUSE = "cc0,public-domain,cc-by,cc-by-sa"
"""Licences that permit to share and change a work for any purpose: neither NC, which forbids trade, nor ND, which
forbids to share what is made of a work."""

ANY = "any"
_OTHER = "other"
_VERSION = re.compile(r"-\d\.\d$")
_KNOWN = (
    "cc0",
    "public-domain",
    "cc-by",
    "cc-by-sa",
    "cc-by-nd",
    "cc-by-nc",
    "cc-by-nc-sa",
    "cc-by-nc-nd",
    _OTHER,
    ANY,
)


@dataclass(frozen=True)
class Permission:
    """What was found of an article's licence.

    Attributes:
        text: for the samples: the licence in words, or its address.
        refusal: why the article is left out, as one sentence; empty where it is allowed.
    """

    text: str
    refusal: str = ""


def parse_allowed(names: str) -> tuple[str, ...]:
    """Names of licences from an option, in the order of this page; a version (`CC-BY-4.0`) makes no difference.

    Raises:
        ConfigError: a name is none.
    """
    wanted = {
        _VERSION.sub("", name.strip().lower().replace(" ", "-").replace("_", "-"))
        for name in names.split(",")
        if name.strip()
    }
    if unknown := sorted(wanted - set(_KNOWN)):
        raise ConfigError(f"--licence {unknown[0]}: there is no such licence here; name some of {', '.join(_KNOWN)}")
    if not wanted:
        raise ConfigError(f"--licence is empty; name some of {', '.join(_KNOWN)}")
    return tuple(name for name in _KNOWN if name in wanted)


def permission(document: str, listed: str, allowed: tuple[str, ...]) -> Permission:
    """Judge an article by its own licence and that of the list; where both say one, both have to be allowed.

    Args:
        document: as its document states it; empty where it states none.
        listed: as the list of files, or metadata beside the document, states it.
        allowed: names of licences.
    """
    codes = {text: licence_code(text) for text in (document, listed) if text.strip()}
    known = {text: code for text, code in codes.items() if code != _OTHER} or codes
    shown = next(iter(known), "")
    name = read_licence(shown).names[0] if read_licence(shown).names else shown
    if ANY in allowed:
        return Permission(name)
    if not known:
        return Permission("", "" if _OTHER in allowed else "the article states no licence")
    refused = next((text for text, code in known.items() if code not in allowed), None)
    if refused is None:
        return Permission(name)
    where = "the list of files says" if refused == listed and refused != document else "the article says"
    return Permission(name, f"{where} '{refused[:120]}', which is none of {', '.join(allowed)}")


def licence_code(text: str) -> str:
    """`cc-by-nc` and the like; `other` where a text is not understood, or names two licences."""
    found = read_licence(text)
    names = set(found.names)
    if not found.is_known or len(names) != 1:
        return _OTHER
    name = names.pop()
    if name.startswith("CC0"):
        return "cc0"
    if name == "public domain":
        return "public-domain"
    if not name.startswith("Creative Commons Attribution"):
        return _OTHER
    marks = [
        mark
        for term, mark in ((NONCOMMERCIAL, "nc"), (SHARE_ALIKE, "sa"), (NO_DERIVATIVES, "nd"))
        if term in found.terms
    ]
    return "-".join(["cc-by", *marks])
