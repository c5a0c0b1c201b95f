"""Questions that an image does not answer, and the answer that says so.

Three kinds: what no image tells (a cause, a treatment, a name), what facts state of the case and no picture shows (a
receptor, a stage), and what has changed where there is no earlier image. Silence of an open scope is none of them: the
image may well show what nobody wrote about, so that it is never asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxtile_datasets.captions.keyed_choice import pick
from voxtile_datasets.instruct.cases import Case
from voxtile_datasets.instruct.dialogue import CANNOT_BE_TOLD, Dialogue, Turn, fact_id
from voxtile_datasets.instruct.words import Words


def unanswerable(case: Case, words: Words) -> Iterator[Dialogue]:
    """One question of each kind that there is for an image; see the module."""
    fields = words.of_picture()
    yield from _refused(case, words.ask("unanswerable", "beyond", fields), words.say("unanswerable", "tell", fields))
    if case.earlier is None:
        said = words.say("unanswerable", "no_prior_tell", fields)
        yield from _refused(case, words.ask("unanswerable", "no_prior", fields), said)
    hidden = [concept for concept in case.of_case if not case.facts_of(concept)]
    if hidden:
        concept = pick(hidden, f"{case.uid}|{words.seed}|of_case")
        question = words.ask("unanswerable", "of_case", words.asked(concept))
        said = words.say("unanswerable", "tell", fields, concept)
        yield from _refused(case, question, said, (fact_id(case.uid, concept, "present"),))


def _refused(case: Case, question: Turn | None, text: str | None, parents: tuple[str, ...] = ()) -> Iterator[Dialogue]:
    if question and text:
        answer = Turn("assistant", text, CANNOT_BE_TOLD)
        yield Dialogue("unanswerable", (case.uid,), (question, answer), parents)
