"""Questions in another language than those of the training are refused; all that may be in theirs pass."""

import pytest

from voxtile.errors import MissingExtraError
from voxtile.words import question_language
from voxtile.words.question_language import OtherLanguageError, require_language

ENGLISH = ("Is there a pleural effusion?", "On which side is the pneumothorax?", "How large is the renal stone?",
           "Which findings does the chest CT scan show, and where are they?")  # fmt: skip
GERMAN = ("Gibt es einen Pleuraerguss?", "Auf welcher Seite liegt der Pneumothorax?", "Wie groß ist der Nierenstein?",
          "Welche Befunde zeigt die Aufnahme, und wo liegen sie?")  # fmt: skip


@pytest.mark.parametrize(
    ("question", "trained", "language"),
    [
        ("Gibt es auf der linken Seite einen Pleuraerguss?", ENGLISH, "de"),
        ("¿Hay un derrame pleural en el lado izquierdo del paciente?", ENGLISH, "es"),
        ("¿Hay derrame pleural?", ENGLISH, "es"),
        ("Há pneumotórax?", ENGLISH, "letters such as á"),
        ("Pnömotoraks var mı?", ENGLISH, "letters such as ö"),
        ("Y a-t-il un épanchement pleural du côté gauche ?", ENGLISH, "fr"),
        ("Есть ли плевральный выпот?", ENGLISH, "CYRILLIC"),
        ("有胸腔积液吗？", ENGLISH, "CJK"),
        ("هل يوجد انصباب جنبي؟", ENGLISH, "ARABIC"),
        ("Could you please describe whatever abnormalities you notice?", GERMAN, "en"),
    ],
)
def test_another_language_is_named_and_refused(question, trained, language):
    with pytest.raises(OtherLanguageError, match=rf"in another language \({language}\) than .* e\.g\. '"):
        require_language(question, trained)


@pytest.mark.parametrize(
    ("question", "trained"),
    [
        ("Please estimate whether any abnormality deserves urgent attention.", ENGLISH),
        ("Cardiomegaly?", ENGLISH),
        ("Status post CABG", ENGLISH),
        ("Is there a Lungenentzündung?", ENGLISH),  # one foreign word
        ("8 mm?", ENGLISH),
        ("Sjögren?", ENGLISH),  # a name alone
        ("Is this a Köhler bone?", ENGLISH),
        ("Größere Läsion?", GERMAN),
        ("Wo sitzt die Raumforderung genau?", GERMAN),
        ("Есть ли выпот?", ()),  # nothing is known of the training
    ],
)
def test_what_may_be_in_the_language_of_the_training_passes(question, trained):
    require_language(question, trained)


def test_without_the_library_letters_that_were_never_read_are_told_all_the_same(monkeypatch):
    class Missing:
        def load(self):
            raise MissingExtraError("py3langid", "llm")

    monkeypatch.setattr(question_language, "LANGUAGE", Missing())
    require_language("Gibt es auf der linken Seite einen Pleuraerguss?", ENGLISH)
    with pytest.raises(OtherLanguageError, match="CYRILLIC"):
        require_language("Есть ли плевральный выпот?", ENGLISH)
