"""Reports: as they came with the images, and as texts of the facts."""

from __future__ import annotations

from collections.abc import Iterator

from voxtile_datasets.captions.sentences import fact_sentences, report
from voxtile_datasets.instruct.cases import Case
from voxtile_datasets.instruct.dialogue import Claim, Dialogue, Turn, fact_id
from voxtile_datasets.instruct.words import Words


def reports(case: Case, words: Words, absent: int) -> Iterator[Dialogue]:
    """The reports of an image, a list of its findings, and its findings as a text.

    Args:
        case: the image with what is known of it.
        words: of the case.
        absent: at most so many absences a list or text says.
    """
    fields = words.of_picture()
    for own in case.reports:
        question = words.ask("report", "whole", fields, own["caption_id"])
        if question:
            answer = Turn("assistant", own["text"], claims=(Claim(case.uid, own["text"]),))
            yield Dialogue("report", (case.uid,), (question, answer), (own["caption_id"],))
    pairs = fact_sentences(words.subject, case.bank, variant=words.seed, absent=absent)
    if not pairs:
        return
    parents = tuple(dict.fromkeys(fact_id(case.uid, fact.concept, fact.polarity) for fact, _ in pairs))
    lines = "\n".join(dict.fromkeys(sentence for _, sentence in pairs))
    if question := words.ask("report", "listed", fields):
        answer = Turn("assistant", lines, claims=(Claim(case.uid, lines.replace("\n", " ")),))
        yield Dialogue("report", (case.uid,), (question, answer), parents)
    yield from _composed(case, words, absent, parents, words.listed([fact for fact, _ in pairs]))


def _composed(case: Case, words: Words, absent: int, parents: tuple[str, ...], listed: str) -> Iterator[Dialogue]:
    """Structured facts → report: the report that came with the image, where there is one, else a text of the facts."""
    question = words.ask("report", "composed", words.of_picture() | {"facts": listed})
    text = report(words.subject, case.bank, variant=words.seed + 1, absent=absent)
    if case.reports:
        text, parents = case.reports[0]["text"], (case.reports[0]["caption_id"], *parents)
    if question and text:
        answer = Turn("assistant", text, claims=(Claim(case.uid, text),))
        yield Dialogue("report", (case.uid,), (question, answer), parents)
