"""A model's second opinion: it may object by quoting, never approve, and is told nothing that names somebody."""

import asyncio
import json

import pytest

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.opinion.ask import SCHEMA, objections, question, second_opinion
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply

VOCABULARY = installed_vocabularies()["remote_sensing"]
FACTS = [
    {
        "concept": "lake",
        "polarity": "present",
        "value": 1.0,
        "unit": "count",
        "attributes": json.dumps({"colour": "blue"}),
    },
    {
        "concept": "river",
        "polarity": "absent",
        "attributes": json.dumps({"osm_id": "way/99812", "evidence": ["Ann Boyd"]}),
    },
]
KNOWN = Known(FACTS, [{"vocabulary": "v", "closed": True, "concepts": ["lake", "river", "bridge"]}])
DRAGON = "A dragon stands by the blue lake."


def asked(text, reply, known=KNOWN):
    requests = []

    async def ask(request):
        requests.append(request)
        if isinstance(reply, Exception):
            raise reply
        return Reply(reply, 1, 1, 0.0, 0.0, False, "sha", "stop", "2030-01-01T00:00:00")

    rules = check(text, known, VOCABULARY)
    return rules, asyncio.run(second_opinion(text, rules, known, ask)), requests


def objecting(words, judgement="unsupported"):
    return json.dumps({"objections": [{"words": words, "judgement": judgement, "why": "No fact speaks of one."}]})


def test_an_objection_to_a_word_that_rules_do_not_know_makes_the_verdict_worse():
    rules, final, requests = asked(DRAGON, objecting("dragon"))
    assert rules.verdict == "supported"
    assert final.verdict == "unsupported"
    [fault] = final.faults
    assert (fault.kind, fault.words, DRAGON[fault.start : fault.end]) == ("second-opinion", "dragon", "dragon")
    assert requests[0].schema == SCHEMA
    assert requests[0].temperature == 0


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "not-json"), ("no", "not-json"), ("[]", "off-schema"), ('{"objections": 3}', "off-schema"),
        ('{"objections": [3, {}]}', "off-schema"), (objecting("unicorn"), "unknown-words"),
        (objecting(""), "unknown-words"), (objecting("dragon", "supported"), "off-schema"),
        (ReplyError("timeout", "no reply"), "timeout"),
    ],
)  # fmt: skip
def test_a_reply_that_is_none_and_words_that_are_not_there_are_no_agreement(reply, reason):
    rules, final, _ = asked(DRAGON, reply)
    assert rules.verdict == "supported"
    assert final.verdict == "unknown"
    [fault] = final.faults
    assert (fault.kind, fault.judgement) == ("opinion-unread", "unknown")
    assert fault.why == f"The second opinion could not be read: {reason}."


def test_one_objection_that_can_be_read_counts_beside_one_that_cannot():
    reply = json.dumps({"objections": [3, *json.loads(objecting("“Dragon”"))["objections"]]})
    _, final, _ = asked(DRAGON, reply)
    assert [(fault.kind, fault.words) for fault in final.faults] == [("second-opinion", "dragon")]


def test_what_the_rules_refuse_is_not_asked_about_and_never_approved():
    rules, final, requests = asked("There is a river.", '{"objections": []}')
    assert rules.verdict == final.verdict == "contradicted"
    assert requests == []
    assert objections("A lake.", '{"objections": []}') == ()


def test_the_question_holds_facts_and_scope_and_no_identifier():
    request = question(DRAGON, KNOWN)
    for told in ("- lake: present 1 count, colour blue", "- river: absent", "bridge", DRAGON):
        assert told in request.prompt
    for kept in ("99812", "Boyd", "evidence"):
        assert kept not in request.prompt
