"""Reports split where a reader would split them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtile.data.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("a photo of a dog", ["a photo of a dog"]),
        ("No effusion. No pneumothorax.", ["No effusion.", "No pneumothorax."]),
        ("A 3.5 cm nodule, 2.0 x 1.5 cm. Stable.", ["A 3.5 cm nodule, 2.0 x 1.5 cm.", "Stable."]),
        (
            "Seen by Dr. Smith vs. prior, e.g. last year. Clear.",
            ["Seen by Dr. Smith vs. prior, e.g. last year.", "Clear."],
        ),
        ("the ant. mediastinum is clear. no mass", ["the ant. mediastinum is clear.", "no mass"]),
        ("Dr. J. R. Smith read it. Done.", ["Dr. J. R. Smith read it.", "Done."]),
        (
            "Kein Erguss. V. a. Pneumonie. Z. n. OP am 3. März 2020.",
            ["Kein Erguss.", "V. a. Pneumonie.", "Z. n. OP am 3. März 2020."],
        ),
        ("双肺清晰。未见气胸！有积液？（无）", ["双肺清晰。", "未见气胸！", "有积液？", "（无）"]),
        ("気胸なし｡胸水なし。", ["気胸なし｡", "胸水なし。"]),
        ("هل يوجد انصباب؟ لا.", ["هل يوجد انصباب؟", "لا."]),
        ("A cyst in segment 3. May be a. benign cyst.", ["A cyst in segment 3.", "May be a.", "benign cyst."]),
        (
            "Image No. 5 shows it. Is there a mass? No. Clear.",
            ["Image No. 5 shows it.", "Is there a mass?", "No.", "Clear."],
        ),
        ("Held for 5 min. No effusion.", ["Held for 5 min.", "No effusion."]),
        (
            "FINDINGS:\nLungs are\nclear.\n\nIMPRESSION:\n1. Normal.\n2) Follow up.",
            ["Lungs are clear.", "Normal.", "Follow up."],
        ),
        ("Comparison: None. Findings: Heart normal.", ["None.", "Heart normal."]),
        ("CLINICAL HISTORY: cough.\nAbdomen and pelvis:\nLiver normal", ["cough.", "Liver normal"]),
        ("- no mass\n- no stone", ["no mass", "no stone"]),
        ("No comparison.\r\nNormal", ["No comparison.", "Normal"]),
        ("...  \n\n 1.2 \n --", []),
        ("", []),
        ("Attenuation: 40 HU in the liver.", ["Attenuation: 40 HU in the liver."]),
    ],
)
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(max_size=300))
def test_any_text_loses_no_word_but_titles_and_bullets(text):
    joined = "".join(split_sentences(text))
    assert all(sentence.strip() for sentence in split_sentences(text))
    assert len(joined) <= len(text)
    assert set(joined) <= set(text) | {" "}


def test_a_megabyte_of_text_takes_no_time():
    assert len(split_sentences("The liver is normal. " * 50_000)) == 50_000
    assert "".join(split_sentences("A" * 1_000_000)) == "A" * 1_000_000
    assert len(split_sentences(". " * 500_000)) == 0
