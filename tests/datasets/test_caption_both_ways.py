"""What a conversation about one image says both ways; each case was read by a person."""

import pytest

from voxtile_datasets.captions.checker.conversation import said_both_ways

REPORT = "List the findings."
EFFUSION = "Is there a pleural effusion?"


@pytest.mark.parametrize(
    ("before", "now", "finding"),
    [
        ((REPORT, "The heart is enlarged. No pleural effusion."), (EFFUSION, "Yes."), "pleural effusion"),
        ((REPORT, "No pleural effusion."), (EFFUSION, "Yes, there is a pleural effusion."), "pleural effusion"),
        ((EFFUSION, "Yes."), (REPORT, "No pleural effusion. No pneumothorax."), "pleural effusion"),
        ((EFFUSION, "No."), (REPORT, "There is a small pleural effusion on the left."), "pleural effusion"),
        ((REPORT, "No effusion on the left."), (REPORT, "Left pleural effusion of 12 mm."), "pleural effusion"),
        ((REPORT, "There is no pneumothorax."), (REPORT, "Pneumothorax on the right."), "pneumothorax"),
        ((REPORT, "A renal stone of 4 mm."), ("Is there a renal stone?", "No."), "renal stone"),
    ],
)
def test_what_is_affirmed_and_denied_of_one_image_is_found_with_what_was_said_before(before, now, finding):
    (found,) = said_both_ways([("Hello?", "Ask."), before], now)
    assert finding.split()[-1] in found[0]
    assert found[1]
    assert all(word in " ".join(before) for word in found[1].split())


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ((REPORT, "Pleural effusion on the left."), (EFFUSION, "Yes.")),
        ((REPORT, "No pleural effusion."), (EFFUSION, "No.")),
        ((REPORT, "No pleural effusion."), ("Is there a pneumothorax?", "Yes.")),  # another finding
        ((REPORT, "No pleural effusion on the left."), (REPORT, "Pleural effusion on the right.")),  # another side
        ((REPORT, "No effusion on the left."), (EFFUSION, "Yes.")),  # it may be on the right
        ((REPORT, "No large pleural effusion."), (REPORT, "Small pleural effusion.")),
        ((REPORT, "A nodule of 8 mm. No other nodule."), ("Is there a nodule?", "Yes.")),
        ((REPORT, "No significant pleural effusion."), (EFFUSION, "Yes.")),
        ((REPORT, "No acute fracture."), ("Is there a fracture?", "Yes.")),
        ((REPORT, "No lung mass."), (REPORT, "There is a mass.")),  # it may be another's
        ((REPORT, "Possible pleural effusion."), (EFFUSION, "No.")),  # said with doubt
        ((REPORT, "No pleural effusion."), (EFFUSION, "This cannot be told from this image.")),
        ((REPORT, "No pleural effusion."), (REPORT, "There is a pericardial effusion.")),
        ((REPORT, "The heart is enlarged."), ("How large is the nodule?", "8 mm.")),
    ],
)
def test_what_can_both_be_true_is_left_alone(before, now):
    assert said_both_ways([before], now) == []


def test_each_finding_is_told_once_in_the_field_that_the_words_are_of():
    denied = (REPORT, "No pleural effusion.")
    assert len(said_both_ways([denied, ("And?", "No pleural effusion."), denied], (EFFUSION, "Yes."))) == 1
    ((finding, words),) = said_both_ways([("Is there a harbor?", "No.")], ("What is there?", "A harbor with boats."))
    assert "harbo" in finding
    assert words == "Is there a harbor? No."
