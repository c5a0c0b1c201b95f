"""The caption policy: kinds, verdicts, weights, and choice by draw."""

import numpy as np
import pytest

from voxtile.corpus.view.text import hash63, text_hash
from voxtile.corpus.view.view import Caption
from voxtile.data.captions import CaptionPolicy
from voxtile.errors import ConfigError


def caption(text, kind="raw", verdict="unknown"):
    return Caption(text, kind, verdict, text_hash(text))


def rng(n=0):
    return np.random.default_rng(n)


def test_contradicted_captions_are_left_out_unless_asked_for():
    captions = [caption("wrong", verdict="contradicted"), caption("right", verdict="supported"), caption("open")]
    assert [t.text for t in CaptionPolicy(per_item=0).choose(captions, None)] == ["right", "open"]
    assert len(CaptionPolicy(per_item=0, exclude_verdicts=()).choose(captions, None)) == 3
    assert CaptionPolicy().choose(captions[:1], rng()) == []
    stricter = CaptionPolicy(per_item=0, exclude_verdicts=("unknown",))  # a lesser fault asks for no worse one
    assert [t.text for t in stricter.choose(captions, None)] == ["right"]


def test_sentences_are_distinct_and_hashed_alone():
    texts = CaptionPolicy(unit="sentence", per_item=0).choose(
        [caption("No mass. Clear.  no MASS"), caption("Clear")], None
    )
    assert [t.text for t in texts] == ["No mass.", "Clear."]
    assert texts[0].text_hash == text_hash("no mass")


def test_kinds_select_and_weigh():
    captions = [caption("a", "raw"), caption("b", "template"), caption("c", "vlm")]
    policy = CaptionPolicy(kinds={"raw": 3.0, "template": 1.0})
    drawn = [policy.choose(captions, rng(n))[0].text for n in range(2000)]
    assert set(drawn) == {"a", "b"}
    assert drawn.count("a") / 2000 == pytest.approx(0.75, abs=0.04)  # four standard errors


def test_questions_are_no_descriptions_and_are_drawn_only_by_name():
    captions = [caption("Two ships.", "vlm"), caption("How many ships? 2", "qa")]
    assert [t.text for t in CaptionPolicy(per_item=0).choose(captions, None)] == ["Two ships."]
    named = CaptionPolicy(kinds={"qa": 1.0}).choose(captions, rng())
    assert [t.text for t in named] == ["How many ships? 2"]


def test_several_an_item_are_drawn_without_replacement_and_uniformly():
    captions = [caption(x) for x in "abcde"]
    policy = CaptionPolicy(per_item=2)
    counts = dict.fromkeys("abcde", 0)
    for n in range(2000):
        chosen = [t.text for t in policy.choose(captions, rng(n))]
        assert len(set(chosen)) == 2
        for text in chosen:
            counts[text] += 1
    assert min(counts.values()) > 700  # 800 expected, standard deviation 22
    assert [t.text for t in policy.choose(captions, None)] == ["a", "b"]
    assert policy.choose(captions, rng(5)) == policy.choose(captions, rng(5))


def test_texts_that_state_a_finding_are_drawn_more_often():
    captions = [caption(x) for x in "abcd"]

    def states_finding(hashes):
        return np.array([h == text_hash("d") for h in hashes])

    drawn = [CaptionPolicy(findings=5).choose(captions, rng(n), states_finding)[0].text for n in range(2000)]
    assert drawn.count("d") / 2000 == pytest.approx(5 / 8, abs=0.045)  # four standard errors
    assert drawn.count("a") / 2000 == pytest.approx(1 / 8, abs=0.03)
    alike = CaptionPolicy().choose(captions, rng(3), states_finding)
    assert alike == CaptionPolicy().choose(captions, rng(3)) == CaptionPolicy(findings=5).choose(captions, rng(3))


def test_hashes_are_63_bits_and_ignore_case_spacing_and_the_stop():
    assert text_hash("No  Mass.") == text_hash("no mass") != text_hash("mass")
    assert text_hash("ﬁne") == text_hash("fine")  # compatibility form of a ligature
    assert all(0 <= hash63(str(n)) < 2**63 for n in range(100))
    assert hash63("voxtile") == 2810146628069344513


@pytest.mark.parametrize(
    "bad", [{"per_item": -1}, {"kinds": {"raw": -1.0}}, {"kinds": {"raw": 0.0}}, {"findings": 0.0}]
)
def test_bad_policies_are_refused(bad):
    with pytest.raises(ConfigError):
        CaptionPolicy(**bad)
