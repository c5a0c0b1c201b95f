"""A dialogue with a model about an image, in which later questions are answered in the light of earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from voxtile.assist.region_sequences import question_tokens
from voxtile.assist.sequences import check_question
from voxtile.assist.speaking.both_ways import both_ways
from voxtile.assist.speaking.replies import Reply
from voxtile.assist.speaking.speaker import Speaker
from voxtile.assist.writing import write
from voxtile.types import Encoded, Turn
from voxtile.words.question_language import require_language


@dataclass
class Talk:
    """A dialogue about one image, in which later questions are answered in the light of earlier ones.

    Of a model that learned no dialogues of several questions each is answered by itself.

    Attributes:
        speaker: who answers.
        image: [1, K, W], from the connector.
        vector: [D] embedding of the image.
        least: confidence below which an answer is withheld.
        longest: tokens of an answer at most.
        tower: what the image tower gives, for regions.
        is_of_one: all that is said is of one image; of several it may be of any.
    """

    speaker: Speaker
    image: Tensor
    vector: Tensor
    least: float
    longest: int
    tower: Encoded | None = None
    is_of_one: bool = True
    _said: list[int] = field(default_factory=list)
    _marked: dict[int, Tensor] = field(default_factory=dict)
    _told: list[Turn] = field(default_factory=list)

    def ask(self, question: str, regions: Sequence[Tensor] = ()) -> Reply:
        """Answer the next question; a note says where that contradicts an earlier answer.

        Args:
            question: what is asked.
            regions: [*G] in 0 to 1 each, that it marks, see `Assistant.ask`.

        Raises:
            ConfigError: nothing is asked, the dialogue is longer than the language model reads, or a region is marked
                that the model does not know what to do with.
            OtherLanguageError: the question is in a language that it was not trained on.
        """
        speaker, answering = self.speaker, self.speaker.answering
        require_language(question, answering.training_questions)  # it names the language, where it can
        check_question(answering.words, question)
        if not answering.holds_talks:
            self._said, self._marked = [], {}
        first, start = not self._said, len(self._said)
        if regions:
            assert self.tower is not None
            vectors = speaker.marked(self.tower, regions)
            tokens, slots = question_tokens(answering.words, question, len(regions), first=first)
            self._marked |= {start + slot: vector for slot, vector in zip(slots, vectors, strict=True)}
        else:
            tokens = answering.question_tokens(question, first=first)
        prompt = [*self._said, *tokens]
        read = speaker.read(self.image, prompt, self._marked)
        answer = write(answering, self.image, prompt, longest=self.longest, read=read)[0]
        self._said = [*prompt, *answering.answer_tokens(answer.written, answer.text), answering.words.end]
        reply = speaker.reply(answer, self.vector, self.least, self.image, prompt, read)
        if regions or reply.withheld or not self.is_of_one:  # what is said of a part is not said of the whole
            return reply
        turn = Turn(question, reply.text)
        notes = both_ways(self._told, turn)
        self._told.append(turn)
        return replace(reply, notes=notes)
