"""A caption that leaves something out is asked for again, then a finding at a time; what will do is never lost."""

import asyncio
import json

import pytest

from voxtile_datasets.captions.context.contexts import Known
from voxtile_datasets.captions.context.identifiers import Identifiers
from voxtile_datasets.captions.context.prompts import installed_prompts
from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.guards.left_out import left_out
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply
from voxtile_datasets.captions.strategies.judging import Judging
from voxtile_datasets.captions.strategies.rewrite import RewriteWhole
from voxtile_datasets.captions.strategies.strategy import StrategyOptions

PROMPTS, JUDGING = installed_prompts(), Judging()
SMALL = ("pulmonary_nodule", 4, {"laterality": "left", "location": "lower lobe"})
LARGE = ("pulmonary_nodule", 11, {"laterality": "right", "location": "middle lobe"})
EFFUSION = ("pleural_effusion", None, {"laterality": "left"})
WHOLE = "An 11 mm nodule is seen in the right middle lobe and a left pleural effusion."
NODULE = "The right middle lobe holds a nodule of 11 mm."
ONE = "An 11 mm nodule of the right middle lobe is seen"
FLUID = "There is an effusion in the left pleural space."


def sample_of(*findings):
    """A sample with findings, and its check."""
    facts = tuple(
        {"concept": name, "polarity": "present", "value": size and float(size), "unit": size and "mm",
         "attributes": attributes, "region": None}
        for name, size, attributes in findings
    )  # fmt: skip
    sample = SampleContext("0", "CT", "chest", None, None, facts, (), (), (), bytes)
    table = tuple({**fact, "region_id": None, "code": None, "source": "reports@1"} for fact in facts)
    return sample, JUDGING.of(Known(sample, table, Identifiers(frozenset(), frozenset()), "", frozenset()))


def captioned(answer, *findings, **options):
    """The caption, or the error, and the prompts; `answer` is told the prompt and the try."""
    sample, check = sample_of(*findings)
    prompts, paid = [], []

    async def ask(request):
        prompts.append(request.prompt)
        said = answer(request.prompt, request.attempt)
        if isinstance(said, Exception):
            raise said
        paid.append(Reply(json.dumps({"caption": said}), 9, 9, 0.0, 0.0, False, f"{len(prompts):03}", "stop"))
        return paid[-1]

    strategy = RewriteWhole(StrategyOptions(PROMPTS, chat=True, absent=0, **options))
    try:
        (draft,) = asyncio.run(strategy.captions(sample, ask, check))
    except ReplyError as error:
        return error, prompts
    assert list(draft.replies) == paid
    return draft.text, prompts


def is_of_one(prompt):
    return prompt.count("- present:") == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("A 4 mm nodule in the left lower lobe and one of 11 mm in the right middle lobe.", []),
        ("A 4 mm nodule in the left lower lobe.",
         ["side of pulmonary nodule", "size of pulmonary nodule", "place of pulmonary nodule"]),
        ("A 4 mm nodule in the left lower lobe and one in the right middle lobe.", ["size of pulmonary nodule"]),
        ("A 4 mm nodule in the left lower lobe and an 11 mm nodule on the right.", ["place of pulmonary nodule"]),
        ("The heart is normal.", ["pulmonary nodule", "side of pulmonary nodule", "size of pulmonary nodule"]),
    ],
)  # fmt: skip
def test_each_of_two_findings_of_a_kind_is_looked_for_by_itself(text, what):
    sample, check = sample_of(SMALL, LARGE)
    found = left_out(text, sample.facts, check)
    assert [*found[-1].what] == what if what else not found
    assert all(part.is_named == (what[0] != "pulmonary nodule") for part in found)


def test_a_caption_that_leaves_a_size_out_is_told_so_once():
    text, prompts = captioned(
        lambda _, n: WHOLE if n else "A nodule in the right middle lobe and a left pleural effusion.", LARGE, EFFUSION
    )
    assert (text, len(prompts)) == (WHOLE, 2)
    assert "It leaves out: pulmonary nodule (11 mm; laterality: right; location: middle lobe)." in prompts[1]


@pytest.mark.parametrize(
    ("whole", "expected", "requests"),
    [
        # A finding is not named at all: its sentence follows.
        (ONE, f"{ONE}. {FLUID}", 3),
        # One is named without its side and size: all are worded anew.
        ("A nodule and a left pleural effusion.", f"{NODULE} {FLUID}", 4),
        # None of the captions is true.
        ("A left pneumothorax.", f"{NODULE} {FLUID}", 4 + 2),
    ],
)  # fmt: skip
def test_what_stays_left_out_is_asked_for_a_finding_at_a_time(whole, expected, requests):
    def answer(prompt, _):
        return (NODULE if "nodule" in prompt else FLUID) if is_of_one(prompt) else whole

    text, prompts = captioned(answer, LARGE, EFFUSION)
    assert (text, len(prompts)) == (expected, requests)


def test_sentences_that_are_not_true_complete_nothing():
    begun = "An 11 mm nodule of the right middle lobe is seen."
    text, prompts = captioned(lambda p, _: "A right pleural effusion." if is_of_one(p) else begun, LARGE, EFFUSION)
    assert (text, len(prompts)) == (begun, 4)


@pytest.mark.parametrize(
    "said", ["There is no abnormality.", "No pleural effusion.", "present: pleural effusion (laterality: left)"]
)
def test_a_model_that_says_nothing_true_leaves_no_caption(said):
    error, prompts = captioned(lambda *_: said, LARGE, EFFUSION)
    assert isinstance(error, ReplyError)
    assert len(prompts) == 4 + 2 * 2


def test_what_will_do_is_kept_where_no_more_can_be_asked():
    lost = ReplyError("budget", "the budget is spent")
    text, _ = captioned(lambda _, n: lost if n else "A left pleural effusion is seen.", LARGE, EFFUSION)
    assert text == "A left pleural effusion is seen."
    error, prompts = captioned(lambda *_: lost, LARGE, EFFUSION)
    assert (error.reason, len(prompts)) == ("budget", 1)


def test_an_unchecked_caption_is_asked_for_once():
    text, prompts = captioned(lambda *_: "There is no abnormality.", LARGE, EFFUSION, unchecked=True)
    assert (text, len(prompts)) == ("There is no abnormality.", 1)
