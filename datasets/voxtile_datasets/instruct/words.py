"""The words of one case: fields of its facts for patterns, and whole sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from voxtile_datasets.captions.english import joined, plural
from voxtile_datasets.captions.keyed_choice import pick
from voxtile_datasets.captions.plain_words import SizeMargin
from voxtile_datasets.captions.sentences import chosen_names, fields_for, picture_names, sentence_of
from voxtile_datasets.captions.sizes import LENGTHS_MM
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.instruct.cases import Case
from voxtile_datasets.instruct.dialogue import Turn
from voxtile_datasets.instruct.questions import Questions

_SIZE = re.compile(r"^(?P<lengths>[\d.]+(?: x [\d.]+)*) (?P<unit>mm|cm)$")
_ON_SIDE = {"left": "on the left", "right": "on the right", "bilateral": "on both sides"}


@dataclass(frozen=True, eq=False)
class Words:
    """Words questions and answers about one case.

    Args:
        case: whose facts.
        questions: the wordings.
        seed: another one gives other words.
        margin: of sizes; None says them as they are known.
    """

    case: Case
    questions: Questions
    seed: int = 0
    margin: SizeMargin | None = None

    @property
    def image(self) -> str:
        """What the image is called: "chest CT scan"."""
        names = picture_names(self.case.bank, self.case.subject.modality, self.case.subject.body)
        return pick(names, f"{self.case.uid}|{self.seed}|image")

    @property
    def subject(self) -> Subject:
        """The subject of the case, with sizes as they are said."""
        own = self.case.subject
        return replace(own, facts=tuple(map(self._sized, own.facts)))

    def of_picture(self) -> dict[str, str]:
        """Fields of the picture alone."""
        return {"image": self.image}

    def asked(self, concept: str) -> dict[str, str]:
        """Fields that name a concept and nothing that is known of it."""
        return self._fields(Fact(concept, "absent"))

    def told(self, fact: Fact) -> dict[str, str]:
        """Fields with all that is known of a fact."""
        fields = self._fields(fact)
        alone = self._fields(replace(fact, location=None, levels=(), size=None))["finding"]
        fields |= {"sentence": self.sentence(fact), "finding_alone": alone}
        return fields | ({"on_side": _ON_SIDE[fact.side]} if fact.side in _ON_SIDE else {})

    def sentence(self, fact: Fact) -> str:
        """The sentence that the bank says for a fact."""
        return sentence_of(self._sized(fact), self.case.subject, self.case.bank, self.seed)

    def size(self, fact: Fact) -> str | None:
        """Its size in one form: `34 x 21 mm`, `23 mm ± 5 mm`; one in metres as it is."""
        size = self._sized(fact).size
        return in_millimetres(size) if size else None

    def say(self, section: str, name: str, fields: Mapping[str, str], about: str = "") -> str | None:
        """One wording; None where none can be filled.

        Args:
            section: of the wordings.
            name: of the list in it.
            fields: see `asked` and `told`.
            about: key of the choice beside the image.
        """
        return self.questions.worded(section, name, fields, f"{self.case.uid}|{self.seed}|{about}")

    def ask(self, section: str, name: str, fields: Mapping[str, str], about: str = "") -> Turn | None:
        """A turn of the user; None where no wording can be filled."""
        text = self.say(section, name, fields, about)
        return Turn("user", text) if text else None

    def listed(self, facts: list[Fact]) -> str:
        """Findings in a list: "a left pleural effusion, no pneumothorax"."""
        told = [(fact.polarity, self._fields(fact)) for fact in facts]
        return joined([_item(polarity, fields) for polarity, fields in told]) if told else ""

    def _sized(self, fact: Fact) -> Fact:
        if self.margin is None or not fact.size:
            return fact
        return replace(fact, size=self.margin.worded(fact.size))

    def _fields(self, fact: Fact) -> dict[str, str]:
        fact = self._sized(fact)
        subject, bank = self.case.subject, self.case.bank
        said, name, _, _ = chosen_names(fact, subject, bank, self.seed)
        wording = bank.wording_of(said.concept)
        fields = fields_for(said, wording, name, self.image, subject.body, bank.places)
        return fields | {"names": plural(name)}


def _item(polarity: str, fields: Mapping[str, str]) -> str:
    place = f" {fields['place']}" if "place" in fields else ""
    if polarity == "absent":
        return f"no {fields['name']}{place}"
    return f"{'possibly ' * (polarity == 'uncertain')}{fields['finding']}{place}"


def lengths_mm(size: str | None) -> tuple[float, ...]:
    """The lengths of a size in millimetres; none where it has none in millimetres or centimetres."""
    read = _SIZE.match(size or "")
    if read is None:
        return ()
    return tuple(round(float(one) * LENGTHS_MM[read["unit"]], 3) for one in read["lengths"].split(" x "))


def in_millimetres(size: str) -> str:
    """A size in one form, `34 x 21 mm`; one in metres as it is."""
    lengths = lengths_mm(size)
    return f"{' x '.join(f'{length:g}' for length in lengths)} mm" if lengths else size
