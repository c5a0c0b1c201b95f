"""What the words of a report say of a finding, sentence by sentence; the words that are judged stand in braces."""

import pytest

from voxtile_medical.reports.extract import polarity_at


def judged(marked: str) -> list[str | None]:
    """What the report says of each pair of braces."""
    plain, spans, start = "", [], 0
    for character in marked:
        if character == "{":
            start = len(plain)
        elif character == "}":
            spans.append((start, len(plain)))
        else:
            plain += character
    return [polarity_at(plain, *span) for span in spans]


@pytest.mark.parametrize(
    "text",
    [
        "Nowhere along the ureters, whether above or below the pelvic brim, is a {stone} to be seen.",
        "At no level does the canal show {narrowing}.",
        "In neither hip is there an {effusion}.",
        "We cannot see, on either the early or the late images, any {leak}.",
        "I do not identify, even with thin sections, any {nodule}.",
        "The spleen is enlarged but not, on any phase, {infarcted}.",
        "No {hernia}, as far as one can tell without straining, is present.",
        "None of the lymph nodes shows {necrosis}.",
        "Gallstones; none {obstruct}.",
        "No {mass}, {cyst} or {stone}.",
        "Neither a {bleed} nor an {infarct} is seen.",
        "The {drain} has been withdrawn and is no longer in place.",
        "The {collection}, drained last week, has disappeared.",
        "{Effusion} (small last time) no longer present.",
        "#3 {hematoma}, left - now resolved.",
        "Hydrocele = no. {Varicocele} = no",
        "Thrombus: none. {Ascites}: nil.",
        "Aneurysm | {Dissection}: not seen | Plaque: yes",
        "{Pneumothorax} neg.",
        "The {collapse} has re-expanded completely.",
        "{Leak} could not be demonstrated.",
        "The canal is free of {stenosis}.",
        "A {fracture} can be excluded.",
        "Not a {tear}.",
        "The {clot} of last month has dissolved.",
        "Gone are the {nodules} in the left apex.",
    ],
)
def test_denied(text: str):
    assert set(judged(text)) == {"absent"}


@pytest.mark.parametrize(
    "text",
    [
        "The wall is not without {edema}.",
        "There is no lack of {osteophytes}.",
        "A {leak} cannot be denied.",
        "It is wrong to say that there is no {hernia}.",
        "That there was no {leak} can no longer be maintained.",
        "{Ascites} is not absent, only less.",
        "No {stenosis} other than that at L5.",
        "No {calculus} besides the one at the lower pole.",
        "The feeding {tube} is coiled, its tip not seen.",
        "Left {hydronephrosis}, cause not shown.",
        "The {fracture} has not healed.",
        "{Mass} in the left lobe, 4 cm; no calcification.",
        "{Nodule} in the apex, unlikely to be malignant.",
        "Known {emphysema}.",
        "{Opacity} in the lingula, not well seen on the prior.",
        "Impression: {effusion}. No pneumothorax.",
    ],
)
def test_affirmed(text: str):
    assert judged(text) == ["present"]


@pytest.mark.parametrize(
    "text",
    [
        "Opacity at the base: {atelectasis} or {pneumonia}.",
        "An {abscess} cannot with confidence be excluded.",
        "It is impossible to exclude a small {tear}.",
        "A {tear} is difficult to exclude entirely.",
        "{Lymphoma} would be a consideration.",
        "{Sarcoid} is an alternative.",
        "Lesion in the liver, conceivably a {hemangioma}.",
        "Query {fracture} of the scaphoid.",
        "?{Osteomyelitis}.",
        "DDx {scar}, {recurrence}.",
        "r/o {abscess}",
        "Lipid-poor {adenoma} likely, {metastasis} less likely.",
        "{Metastasis} is considered less likely than infection.",
        "{Adenoma} likely, {carcinoma} unlikely.",
        "Lesion most likely a {cyst}, {abscess} unlikely.",
        "The lesion is unlikely to be a {metastasis}.",
        "{Rupture}: equivocal",
        "Fracture = cannot exclude. {Stone} = probable",
        "Absence of a {clot} cannot be established with certainty.",
        "Is there a {clot}?",
        "The density is most XXXX a {granuloma}.",
        "{Cyst} versus {abscess}.",
        "We cannot be sure that there is no {fracture}.",
        "It is hard to say whether a {tear} is there.",
        "Too small to characterize, statistically a {cyst}.",
        "Strandiness is probably due to {edema}.",
    ],
)
def test_doubted(text: str):
    assert set(judged(text)) == {"uncertain"}


@pytest.mark.parametrize(
    "text",
    [
        "{Diverticulitis} three years ago.",
        "{Pneumonia} as a child.",
        "Past {tuberculosis}.",
        "Born with {spina bifida}.",
        "Previously treated for {lymphoma}.",
        "Nephrectomy for {carcinoma} in 2011.",
        "Status post wide excision of the nevus for {melanoma}.",
        "Her father died of {aneurysm}.",
        "{Glaucoma} in his mother.",
        "{Thrombophilia} runs in the family.",
        "Referred with {hematuria} and suspicion of {stone}.",
        "Examination requested to rule out {dissection}.",
        "This lady was sent to us with the question of {appendicitis}.",
        "Recommend CT to exclude {malignancy}.",
        "MRI is more sensitive for {marrow edema}.",
        "If {pneumonia} is suspected, repeat the film.",
        "{Fever} and cough.",
        "INDICATION: {effusion}?\nFINDINGS: Clear lungs.",
        "Hx: {stroke} 2009.\nLungs: clear.\nImp: normal.",
        "[REASON] exclude {bleed} [FINDINGS] Normal.",
        "HX/ known {cirrhosis} // FINDINGS/ small liver.",
        "Comparison: CT with {abscess}.\nFindings: Normal.",
    ],
)
def test_no_finding_of_this_examination(text: str):
    assert set(judged(text)) == {None}


def test_an_indication_ends_with_its_sentence_where_no_heading_follows():
    assert judged("Indication: cough, {pneumonia}? There is a small {effusion} on the left.") == [None, "present"]


def test_a_relative_s_illness_ends_where_the_patient_begins():
    assert judged("Mother with {goiter}, the patient has a {nodule}.") == [None, "present"]


def test_words_at_no_sentence_say_nothing():
    assert polarity_at("FINDINGS: Effusion.", 0, 8) is None
    assert polarity_at("", 0, 0) is None


def test_the_polarity_of_a_span_knows_the_denial_in_it():
    assert judged("Left kidney: 2 cm cyst. Right kidney: {no cyst}.") == ["absent"]
    assert judged("Liver: lesion in segment 4, {metastasis cannot be excluded}.") == ["uncertain"]
