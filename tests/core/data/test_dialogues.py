"""Which dialogues go with an item: those of its images, never contradicted ones, the same for the same draw."""

from collections import Counter

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.dialogues import DialogueDraws, DialoguePolicy
from voxtile.errors import ConfigError
from voxtile.types import Turn

UID, OTHER = "a" * 32, "b" * 32


def rows(name, kind, *turns, uids=(UID,), verdict=None):
    """A dialogue of (role, text), its last turn with a verdict."""
    about = {"dialogue_id": name, "uids": list(uids), "kind": kind}
    return [
        about | {"turn": n, "role": role, "text": text, "verdict": verdict if n == len(turns) - 1 else None}
        for n, (role, text) in enumerate(turns)
    ]


def asked(question, answer):
    return ("user", question), ("assistant", answer)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("dialogues") / "corpus"
    new_corpus(root)
    made = [
        rows("d1", "presence", *asked("Is there a nodule?", "Yes."), verdict="supported"),
        rows("d2", "presence", *asked("Is there an effusion?", "Yes."), verdict="contradicted"),
        rows("d3", "side", *asked("Where?", "Left."), *asked("How large?", "8 mm.")),
        rows("d4", "comparison", *asked("What is new?", "A nodule."), uids=(UID, OTHER)),
        rows("d5", "report", *asked("Report.", "A nodule."), uids=(OTHER,)),
        rows("d6", "side", ("user", "And?")),  # nobody answered
        rows("d7", "side", ("assistant", "Hello."), ("user", "Hello.")),
    ]
    writer = JobWriter(root, "job")
    writer.add_rows("dialogues", [row for dialogue in made for row in reversed(dialogue)])  # in any order
    writer.publish()
    return Corpus(root)


def test_an_item_has_the_dialogues_of_its_images_without_what_is_contradicted_or_half_said(corpus):
    draws = DialogueDraws(corpus, DialoguePolicy(per_item=0))
    nodule = (Turn("Is there a nodule?", "Yes.", "presence"),)
    talk = (Turn("Where?", "Left.", "side"), Turn("How large?", "8 mm.", "side"))
    new, report = (Turn("What is new?", "A nodule.", "comparison"),), (Turn("Report.", "A nodule.", "report"),)
    assert draws.draw([UID], None) == (nodule, talk)
    assert draws.draw([OTHER], None) == (report,)
    assert draws.draw([UID, OTHER], None) == (nodule, talk, new, report)  # the study that has both images
    assert draws.draw(["c" * 32], None) == ()
    kept = DialogueDraws(corpus, DialoguePolicy(per_item=0, exclude_verdicts=()))
    assert len(kept.of([UID])) == 3


def test_draws_are_keyed_and_go_by_the_weights_of_kinds(corpus):
    draws = DialogueDraws(corpus, DialoguePolicy(per_item=1, kinds={"presence": 3, "side": 1}))
    drawn = [draws.draw([UID], np.random.default_rng(n))[0][0].kind for n in range(400)]
    assert drawn == [draws.draw([UID], np.random.default_rng(n))[0][0].kind for n in range(400)]
    assert 0.68 < Counter(drawn)["presence"] / 400 < 0.82  # 3 of 4: ± 3 standard errors
    assert draws.of([OTHER]) == []  # reports are not named


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"per_item": -1}, "is negative"),
        ({"kinds": {"side": 0}}, "one of them positive"),
        ({"kinds": {"side": -1, "report": 2}}, "zero or more"),
        ({"kinds": {"count": 1}}, "no dialogue that is asked for; it has those of the kinds comparison, presence"),
    ],
)
def test_policies_that_cannot_be_are_refused(corpus, given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        DialogueDraws(corpus, DialoguePolicy(**given))


def test_a_corpus_without_dialogues_is_named(tmp_path):
    new_corpus(tmp_path / "corpus")
    with pytest.raises(ConfigError, match="the corpus has no dialogue; make some first"):
        DialogueDraws(Corpus(tmp_path / "corpus"), DialoguePolicy())
