"""Captions of class labels as sets have them: English, and of every MedMNIST set none that its own facts contradict."""

import re
from collections import Counter

import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.evaluation.tasks.file import load_task
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.choose import choose
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.sentences import wordings_of
from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.captions.wordings import bank_for, installed_banks
from voxtile_datasets.recipes.medmnist_sets import SETS

NO_ENGLISH = re.compile(
    r"\b(an? (malignant|benign|normal|normal or benign|displaced|buckle)[.,]"  # an adjective is no thing
    r"|an? (liver|heart|spleen|pancreas|bladder|(left|right) \w+) (is|are)"  # a body has the one
    r"|grade 0|drusen is|an? normal or|a [aeiou])\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """Set → class → verdict of each caption, of twelve pictures a class."""
    found = {}
    for flag, known in SETS.items():
        folder = tmp_path_factory.mktemp(flag)
        classes = len(known.classes)
        labels = np.repeat(np.arange(classes, dtype=np.uint8), 12)[:, None]
        if known.is_multi_label:
            labels = np.eye(classes, dtype=np.uint8)[labels[:, 0]]
        shape = (8,) * known.dimensions
        arrays = {}
        for split, rows in (("train", slice(None)), ("val", slice(1)), ("test", slice(1))):
            arrays[f"{split}_images"] = (
                np.arange(len(labels[rows]) * 8**known.dimensions).reshape(-1, *shape).astype("u1")
            )
            arrays[f"{split}_labels"] = labels[rows]
        np.savez(folder / f"{flag}.npz", **arrays)
        root = folder / "corpus"
        assert main(["build", "medmnist", str(folder / f"{flag}.npz"), str(root), "--engine", "inline"]) == 0
        assert main(["caption", "template", str(root), "--engine", "inline"]) == 0
        assert main(["check", str(root), "--engine", "inline"]) == 0
        corpus = Corpus(root)
        verdicts = {row["caption_id"]: row for row in corpus.table("verdicts").to_pylist()}
        found[flag] = [(row["text"], verdicts[row["caption_id"]]) for row in corpus.table("captions").to_pylist()]
    return found


@pytest.mark.sweep(ci=True)
@pytest.mark.parametrize("flag", sorted(SETS))
def test_captions_of_a_set_are_english_and_true(flag, captions):
    texts = captions[flag]
    assert len(texts) >= 12 * len(SETS[flag].classes)
    assert not [text for text, _ in texts if NO_ENGLISH.search(text)]
    wrong = [(text, row["detail"]) for text, row in texts if row["verdict"] == "contradicted"]
    assert not wrong, wrong[:3]
    counts = Counter(row["verdict"] for _, row in texts)
    assert counts["unsupported"] <= 0.1 * len(texts), counts
    assert flag == "pathmnist" or not [text for text, _ in texts if re.search(r"H&E|histo", text)]


def verdict(caption, *concepts):
    facts = [
        {"concept": name, "polarity": polarity, "value": None, "unit": None, "attributes": {}}
        for name, polarity in concepts
    ]
    vocabularies = installed_vocabularies()
    vocabulary = vocabularies[choose(vocabularies, "CT", [name for name, _ in concepts])]
    scope = {"vocabulary": "organs", "closed": True, "concepts": [name for name, _ in concepts]}
    return check(caption, Known(facts, [scope]), vocabulary).verdict


def test_a_concept_that_holds_its_side_states_it():
    facts = ("left kidney", "present"), ("right kidney", "absent"), ("liver", "absent")
    assert verdict("The left kidney.", *facts) == "supported"
    assert verdict("The right kidney.", *facts) == "contradicted"


def test_grades_of_retinopathy_are_said_in_the_words_of_their_scale_which_prompts_use():
    """Wilkinson et al. 2003: no, mild, moderate, severe nonproliferative, and proliferative retinopathy."""
    bank = bank_for(installed_banks(), "OP", ["diabetic retinopathy grade 1"])
    words = {1: "mild", 2: "moderate", 3: "severe", 4: "PDR|(?<!non-)(?<!non)proliferative"}
    prompts = {c.concept: [w.present for w in c.wordings] for c in load_task("medical/retinamnist").classes}
    for grade, word in words.items():
        concept = f"diabetic retinopathy grade {grade}"
        texts = wordings_of(Fact(concept, "present"), bank, "OP")
        others = [other for other in words if other != grade]
        assert len(texts) > 20
        assert all(re.search(word, text, re.IGNORECASE) for text in texts)
        assert not [t for t in texts for other in others if re.search(rf"\b({words[other]})\b", t, re.IGNORECASE)]
        assert not [text for text in texts if re.search(r"\ba PDR", text)]
        assert any(prompts[concept][0].lower() in text.lower() for text in texts)
