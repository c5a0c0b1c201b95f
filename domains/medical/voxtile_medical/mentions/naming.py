"""What a region of a mention is called: the finding that its sentence affirms, with the side where there are two."""

from __future__ import annotations

from voxtile_medical.mentions.sentences import Mention
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import Lexicon

_ONLY_LEFT = "lingula"


def finding_of(mention: Mention, lexicon: Lexicon) -> str | None:
    """The one finding of a lexicon that a mention's sentence affirms, e.g. `left adrenal metastasis`.

    Lesions of several sentences that are alike then bear one name, which reads as facts of the report and structures of
    segmentations do. None where the sentence affirms none of them or several, or does not say which side.
    """
    facts = [fact for fact in read_report(mention.sentence, lexicon).facts if fact.polarity == "present"]
    if len({fact.concept for fact in facts}) != 1:
        return None
    concept, said = lexicon.concepts[facts[0].concept], facts[0].attributes
    name = concept.name.replace("_", " ")
    if not concept.has_side:
        return name
    side = mention.side or ("left" if said.location == _ONLY_LEFT else said.laterality)
    return f"{side} {name}" if side in ("left", "right") else None
