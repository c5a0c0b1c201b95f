"""What has become of a finding between two examinations of one subject.

A finding is `new`, `resolved`, `larger`, `smaller`, `unchanged` or `persistent` (both show it, and nothing is known of
its size). Larger is at least 20 % and 5 mm, smaller at least 30 %, as RECIST 1.1 has it for progression and response
(Eisenhauer et al., European Journal of Cancer 45, 2009); unchanged is within 10 %. What lies between is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.instruct.cases import Case, askable
from voxtile_datasets.instruct.dialogue import Claim, Dialogue, Turn, fact_id
from voxtile_datasets.instruct.words import Words, lengths_mm

_GROWN, _GROWN_MM, _SHRUNK, _SAME = 0.20, 5.0, 0.30, 0.10


def comparison(case: Case, words: Words, before: Words) -> Iterator[Dialogue]:
    """Questions about each finding of the two, and one about all that changed.

    Args:
        case: the later image, with the earlier one.
        words: of it.
        before: words of the earlier one.
    """
    earlier = case.earlier
    if earlier is None:
        return
    changes: list[tuple[str, str, str, tuple[Claim, ...]]] = []
    concepts = dict.fromkeys(fact.concept for one in (case, earlier) for fact in one.subject.facts)
    for concept in askable(case, list(concepts)):
        now, then = _fact(case, concept), _fact(earlier, concept)
        if now is None or then is None or (change := change_of(then, now)) is None:
            continue
        sizes = {"earlier_size": before.size(then), "size": words.size(now)}
        sized = {name: size for name, size in sizes.items() if size}
        fields = (before.told(then) if change == "resolved" else words.told(now)) | sized | {"image": words.image}
        text = words.say("comparison", change, fields, concept)
        question = words.ask("comparison", "ask", words.asked(concept), concept)
        if not text or not question:
            continue
        claims = (Claim(case.uid, words.sentence(now)), Claim(earlier.uid, before.sentence(then)))
        changes.append((concept, change, f"{words.asked(concept)['name']}: {text[0].lower()}{text[1:]}", claims))
        turns = (question, Turn("assistant", text, change, claims=claims))
        yield Dialogue("comparison", (earlier.uid, case.uid), turns, _parents(case, earlier, now, then), concept)
    if changes and (question := words.ask("comparison", "ask_all", words.of_picture())):
        lines = [line[0].upper() + line[1:] for _, _, line, _ in changes]
        answer = Turn("assistant", "\n".join(lines), claims=tuple(c for *_, claims in changes for c in claims))
        yield Dialogue("comparison", (earlier.uid, case.uid), (question, answer))


def change_of(then: Fact, now: Fact) -> str | None:
    """What has become of a finding; None where nothing was there or nothing certain can be said.

    Args:
        then: of one concept, present or absent.
        now: of the same concept.
    """
    if then.polarity != now.polarity:
        return "new" if now.polarity == "present" else "resolved"
    if now.polarity == "absent":
        return None
    if then.side != now.side or then.location != now.location:
        return None
    old, new = max(lengths_mm(then.size), default=None), max(lengths_mm(now.size), default=None)
    if old is None or new is None:
        return "persistent" if then.size == now.size else None
    if new >= old * (1 + _GROWN) and new - old >= _GROWN_MM:
        return "larger"
    if new <= old * (1 - _SHRUNK):
        return "smaller"
    return "unchanged" if abs(new - old) <= _SAME * old else None


def _fact(case: Case, concept: str) -> Fact | None:
    """The one statement about a concept; None where there is none or there are several."""
    told = case.facts_of(concept)
    if len(told) == 1 and told[0].polarity == "present":
        return told[0]
    return Fact(concept, "absent") if case.is_absent(concept) and all(f.polarity == "absent" for f in told) else None


def _parents(case: Case, earlier: Case, now: Fact, then: Fact) -> tuple[str, ...]:
    pairs = ((earlier, then), (case, now))
    return tuple(fact_id(one.uid, fact.concept, fact.polarity) for one, fact in pairs)
