"""What a change and a place make together, where no phrase of the lexicon says it."""

from __future__ import annotations

import pytest

from voxtile_medical.reports.composition import TABLE, load_composition
from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import load_lexicon


def _read(text: str) -> set[tuple[str, str]]:
    return {(fact.concept, fact.polarity) for fact in facts_of_report(text, load_lexicon())}


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        ("A short loop of jejunum looks thick walled.", "bowel_wall_thickening", "present"),
        ("Spurs narrow the left C5/6 and C6/7 foramina.", "foraminal_stenosis", "present"),
        ("The lateral rectus is plump.", "extraocular_muscle_enlargement", "present"),
        ("No clot in the peroneal veins.", "deep_vein_thrombosis", "absent"),
        (
            "The ureter may be torn at its origin, and the kidney is possibly lacerated.",
            "renal_laceration",
            "uncertain",
        ),
        ("The mediastinum is dragged over to that side.", "mediastinal_shift", "present"),
        ("The superior ophthalmic vein is too big.", "enlargement", "present"),
    ],
)
def test_a_change_of_a_place_is_the_finding_that_the_table_names(text: str, concept: str, polarity: str) -> None:
    assert (concept, polarity) in _read(text)


@pytest.mark.parametrize(
    ("text", "narrow", "general"),
    [
        ("Narrowing of the anastomosis persists.", "bowel_stricture", "stricture"),
        ("The gallbladder is distended. Wall thickening is absent.", "gallbladder_wall_thickening", "wall_thickening"),
        ("Carotid plaque: a 40 % stenosis is measured.", "carotid_stenosis", "stricture"),
    ],
)
def test_a_finding_of_no_place_becomes_that_of_the_place_beside_it(text: str, narrow: str, general: str) -> None:
    read = {concept for concept, _ in _read(text)}
    assert narrow in read
    assert general not in read


@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ("A flap tear of the triangular fibrocartilage complex.", "ligament_tear"),
        ("Radial tear of the left acetabular labrum.", "labral_tear"),
        ("Root tear in the superior labrum.", "labral_tear"),
        ("There is a horizontal tear of the infraspinatus.", "tendon_tear"),
        ("Radial tear of the annulus fibrosus at L4/5.", "annular_fissure"),
        ("Interstitial tear of the medial collateral ligament.", "ligament_tear"),
        ("Radial tear of the posterior horn.", "meniscal_tear"),
        ("A small root tear of the lateral meniscus.", "meniscal_tear"),
        ("There is a horizontal tear.", "meniscal_tear"),
        ("Flap tear, and the TFCC was not assessed.", "meniscal_tear"),
    ],
)
def test_a_tear_that_is_named_by_its_form_is_of_the_place_that_it_is_said_to_be_of(text: str, torn: str) -> None:
    assert {concept for concept, _ in _read(text) if concept.endswith(("_tear", "_fissure"))} == {torn}


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("Flap tear of the retina.", None),
        ("A retinal flap tear is seen in the left eye.", None),
        ("Posterior horn lesion in the spinal cord.", "cord_signal_abnormality"),
        ("Enhancing posterior horn lesion of the cervical cord.", "cord_signal_abnormality"),
        ("Posterior horn lesion of the lateral ventricle.", None),
        ("Nerve root avulsion of the brachial plexus.", None),
        ("C7 root avulsion.", None),
        ("Aortic root rupture.", None),
        ("Horizontal tear of the iris.", None),
        ("Root lesion of the first molar.", None),
    ],
)
def test_horns_flaps_and_roots_of_other_organs_are_no_menisci(text: str, instead: str | None) -> None:
    read = {concept for concept, _ in _read(text)}
    assert "meniscal_tear" not in read
    assert instead is None or instead in read


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("Displaced fracture of the left fifth rib.", "displacement"),  # said of the fracture
        ("Calcified granuloma in the left lung.", "lung_calcification"),
        ("Contrast opacification of the lungs is good.", "lung_opacity"),  # no change
        ("A nodule of the thyroid, on the other hand, is thickened.", "soft_tissue_swelling"),  # no hand
        ("Liver normal; the wall of a cyst is thick.", "liver_lesion"),  # in another clause
    ],
)
def test_what_only_looks_like_a_change_of_a_place_is_not_read(text: str, concept: str) -> None:
    assert (concept, "present") not in _read(text)


def test_the_place_of_the_sentence_before_is_not_that_of_a_fracture() -> None:
    assert ("skull_fracture", "present") not in _read("The skull is intact. Undisplaced fracture of the lamina.")


def test_every_concept_kind_and_organ_of_the_table_exists() -> None:
    table, lexicon = load_composition(), load_lexicon()
    named = {*table.pairs.values(), *table.anywhere.values(), *table.narrows}
    assert not named - lexicon.concepts.keys()
    organs = {organ for _, organ in lexicon.organs} | {place for _, place in table.places}
    assert not {place for place, _ in table.pairs} - organs, TABLE
    assert not set(table.wider.values()) - organs, TABLE
    assert not {kind for _, kind in table.pairs} - {kind for _, kind in table.kinds}, TABLE


def test_a_severity_that_a_phrase_begins_with_is_an_attribute() -> None:
    fact = facts_of_report("There is moderate hepatomegaly.", load_lexicon())[0]
    assert (fact.concept, fact.attributes.severity) == ("hepatomegaly", "moderate")
    small = facts_of_report("Small bowel obstruction.", load_lexicon())[0]
    assert (small.concept, small.attributes.severity) == ("bowel_obstruction", None)


def test_an_organ_that_is_large_gives_way_to_what_is_large_in_it() -> None:
    assert _read("No large thyroid cancer.") == {("thyroid_cancer", "absent")}
    assert ("goiter", "present") in _read("Large thyroid with a retrosternal part.")
