"""Licences as recipes and users write them: what they ask, what holds for the whole, what is refused."""

import ast
from pathlib import Path

import pytest

from voxtile.data.training_terms import NO_TRAINING
from voxtile_datasets.licences.combine import combine_licences, refuse_derivatives
from voxtile_datasets.licences.licence import LicenceError, read_licence

ROOT = Path(__file__).parents[2]


# Terms by hand, from the deeds of Creative Commons, the texts of ODbL and CDLA, and the sentences themselves.
@pytest.mark.parametrize(
    ("text", "spdx", "terms"),
    [
        ("CC0 1.0", "CC0-1.0", ""),
        ("CC0-1.0 (synthetic phantom)", "CC0-1.0", ""),
        ("CC BY 4.0", "CC-BY-4.0", "attribution"),
        ("CC-BY-NC-4.0", "CC-BY-NC-4.0", "attribution noncommercial"),
        ("CC BY-NC-ND 4.0", "CC-BY-NC-ND-4.0", "attribution noncommercial no-derivatives"),
        ("CC BY-NC-SA 4.0, research only", "CC-BY-NC-SA-4.0", "attribution noncommercial share-alike"),
        ("https://creativecommons.org/licenses/by-sa/3.0/", "CC-BY-SA-3.0", "attribution share-alike"),
        ("ODbL 1.0", "ODbL-1.0", "attribution share-alike"),
        ("CC-BY-4.0 AND ODbL-1.0", "CC-BY-4.0 AND ODbL-1.0", "attribution share-alike"),
        ("CDLA-Permissive-1.0; contains modified Copernicus Sentinel data", None, "attribution"),
        ("MIT", "MIT", "attribution"),
        ("CC BY 4.0 (texts); pictures of DOTA and DIOR, academic use only", None, "attribution noncommercial"),
        ("Quilt-1M terms of use: research only, no redistribution", None, "elsewhere noncommercial no-redistribution"),
        ("MHIST Dataset Research Use Agreement", None, "noncommercial credentialed"),
        (
            "PhysioNet Credentialed Health Data License 1.5.0",
            None,
            "attribution credentialed no-redistribution",
        ),
        ("not stated by its makers; research use", None, "unstated noncommercial"),
        (None, None, "unstated"),
        ("  ", None, "unstated"),
    ],
)
def test_what_a_licence_text_asks(text, spdx, terms):
    licence = read_licence(text)
    assert licence.terms == set(terms.split())
    assert licence.spdx == spdx


def test_every_licence_of_our_recipes_is_understood_in_part_at_least():
    stated = {
        keyword.value.value
        for path in ROOT.glob("d*/**/recipes/*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "licence" and isinstance(keyword.value, ast.Constant) and keyword.value.value
    }
    assert len(stated) > 20
    assert [text for text in stated if not read_licence(text).parts] == []


def test_words_that_are_no_licence_are_unknown_and_not_permission():
    licence = read_licence("Acme Imaging Terms 7")
    assert not licence.is_known
    assert licence.unclear == ("Acme Imaging Terms 7",)
    whole = combine_licences({"Acme Imaging Terms 7": 3})
    assert whole.headline == "licence unknown"
    assert "'Acme Imaging Terms 7' (3 samples) are not known to voxtile" in whole.consequences[0].sentence


def test_a_non_commercial_part_makes_the_whole_so():
    whole = combine_licences({"CC BY 4.0": 1000, "CC BY-NC 4.0": 1})
    assert whole.headline == "non-commercial, attribution"
    assert whole.spdx == "CC-BY-4.0 AND CC-BY-NC-4.0"
    assert "'CC BY-NC 4.0' (1 sample) is for non-commercial use only, and so is the corpus as a whole." in [
        consequence.sentence for consequence in whole.consequences
    ]
    assert combine_licences({"CC BY 4.0": 1000}).headline == "attribution"


def test_what_is_not_stated_is_said_plainly():
    whole = combine_licences({"CC0-1.0": 8, None: 2})
    assert whole.headline == "licence unknown"
    assert whole.spdx is None
    assert whole.consequences[0].weight == "warning"
    assert whole.consequences[0].sentence.startswith("No licence is stated for 2 samples: no right")


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ("CC BY-SA 4.0", "ODbL 1.0", True),
        ("CC BY-SA 4.0", "CC BY-NC 4.0", True),
        ("CC BY-NC-SA 4.0", "CC BY-NC 4.0", False),
        ("CC BY-SA 4.0", "CC BY 4.0", False),
        ("CC BY-SA 4.0", "CC0-1.0", False),
    ],
)
def test_licences_that_do_not_go_together(one, other, conflict):
    sentences = [consequence.sentence for consequence in combine_licences({one: 1, other: 1}).consequences]
    assert any("can be shared; keep them in separate views" in sentence for sentence in sentences) == conflict


def test_a_licence_that_forbids_derivatives_is_refused_by_name():
    with pytest.raises(LicenceError, match=r"'CC BY-NC-ND 4\.0' forbids derivatives, and a set .* is one; leave"):
        refuse_derivatives(["CC BY 4.0", "CC BY-NC-ND 4.0"], "a set of pictures", "leave them out")
    refuse_derivatives(["CC BY 4.0", "CC BY-NC 4.0", None], "a set of pictures", "leave them out")


@pytest.mark.parametrize(
    ("text", "forbids"),
    [
        ("evaluation only", True), ("Acme terms; no training", True), ("may not be used to train models", True),
        ("not to be used for training", True), ("only for benchmarking", True), ("no AI training; CC BY 4.0", True),
        ("CC BY 4.0", False), ("a credentialed account, its training and the signed agreement", False),
        ("research use only", False), ("not stated by its makers; research use", False),
    ],
)  # fmt: skip
def test_what_forbids_training_is_the_same_to_the_card_and_to_fit(text, forbids):
    assert ("no-training" in read_licence(text).terms) == forbids
    assert bool(NO_TRAINING.search(text)) == forbids
