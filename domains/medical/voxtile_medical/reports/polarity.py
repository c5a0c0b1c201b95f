"""Is a concept affirmed, negated or hedged at a place in a sentence?

Rules in the manner of NegEx (Chapman et al., J Biomed Inform 34:301-310, 2001): a trigger before or after the concept,
within a scope that ends at a conjunction or punctuation which opens a new statement.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]

_PSEUDO = re.compile(
    r"\b(no (?:significant |interval |appreciable )?(?:change|increase|decrease|progression)|not only"
    r"|no longer than"
    r"|without (?:change|difficulty)|not (?:significantly )?changed)\b",
    re.IGNORECASE,
)
_NEGATION_BEFORE = re.compile(
    r"\b(no(?!t\b)|without|absent|absence of|free of|clear of|free from|negative for|neither|nor|never|denies"
    r"|not (?:have|show|demonstrate|see|identify"
    r"|seen|identified|a|an|the|in keeping)|rather than|instead of|resolved|resolution of|lack of"
    r"|(?:is|are|was|were) not|does not|do not|cannot (?:see|identify)|excludes?|rules? out"
    r"|not suggestive of|not consistent with|nothing to suggest"
    r"|fails? to (?:show|reveal|demonstrate)|unremarkable for|not)\b",
    re.IGNORECASE,
)
_NEGATION_AFTER = re.compile(
    r"\b((?:is|are|was|were|has been|have been)\s+(?:not\b|absent|excluded|ruled out|resolved|negative|no longer)"
    r"|not (?:seen|identified|present|demonstrated|visualis?ed|visualiz?ed|evident|detected|appreciated)"
    r"|absent|excluded|ruled out|unlikely|resolved|none)\b",
    re.IGNORECASE,
)
_HEDGE_BEFORE = re.compile(
    r"\b(possib(?:le|ly)|probab(?:le|ly)|may (?:represent|reflect|be)|might|could|suspicious for|suspected"
    r"|suspicion of|concern(?:ing)? for|question(?:able)?|equivocal|cannot (?:be )?exclude(?:d)?"
    r"|can ?not (?:rule out|exclude)|not excluded|suggest(?:s|ive of|ing)?"
    r"|versus|\bvs\b|differential|borderline|indeterminate|perhaps|presum(?:ed|ably))\b",
    re.IGNORECASE,
)
_HEDGE_AFTER = re.compile(
    r"\b((?:is|are) (?:possible|suspected|questioned|considered|not (?:entirely |fully )?excluded|difficult to exclude)"
    r"|cannot be (?:entirely |completely )?(?:excluded|ruled out)|is favou?red|may be present|\?)",
    re.IGNORECASE,
)
_SCOPE_END = re.compile(
    r"(;|:|\.(?!\d)|\b(?:but|however|although|though|except|apart from|aside from|other than|whereas|while|yet|which"
    r"|with (?:a|an|the|small|large|mild|moderate)"
    r"|despite|secondary to|due to|and (?:there (?:is|are)|a|an)|there (?:is|are))\b)",
    re.IGNORECASE,
)


def _before(sentence: str, start: int) -> str:
    """Text from the last scope end to the concept."""
    text = sentence[:start]
    ends = [m.end() for m in _SCOPE_END.finditer(text) if m.group().lower() not in {"there is", "there are"}]
    return text[ends[-1] :] if ends else text


def _after(sentence: str, end: int) -> str:
    """Text from the concept to the next scope end."""
    text = sentence[end:]
    match = _SCOPE_END.search(text)
    return text[: match.start()] if match else text


def polarity(sentence: str, start: int, end: int) -> Polarity:
    """Judge the mention `sentence[start:end]`.

    A hedged negation ("cannot be excluded") is uncertain, not absent.
    """
    before = _PSEUDO.sub(" ", _before(sentence, start))
    after = _PSEUDO.sub(" ", _after(sentence, end))
    if _HEDGE_AFTER.search(after) or re.search(r"cannot|can not|not excluded", before, re.IGNORECASE):
        return "uncertain"
    if _NEGATION_BEFORE.search(before) or _NEGATION_AFTER.search(after):
        return "absent"
    if _HEDGE_BEFORE.search(before):
        return "uncertain"
    return "present"
