"""`translate`: a caption in other languages, accepted by what it says when it is translated back.

The checker reads English. A translation is therefore read back into English by another request, and the verdict is the
checker's on that reading: `supported` where it supports it and nothing of the original is lost, `unknown` where it
cannot tell. Numbers must be the same in all three texts.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from voxtile.errors import ConfigError
from voxtile_datasets.captions.context.model_input import longest, quoted
from voxtile_datasets.captions.context.sample import Row, SampleContext, UnsuitableError
from voxtile_datasets.captions.guards.claim_keys import claim_key
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.strategies.instructed import OPEN, InstructedStrategy, forgiving
from voxtile_datasets.captions.strategies.reply_form import MalformedReplyError
from voxtile_datasets.captions.strategies.strategy import Ask, Check, Draft, Missing, draft_or_missing, refuse_none
from voxtile_datasets.captions.strategies.structured import fields_form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict

WORDS = 200
SOURCE = "en"
# ISO 639-1 names of the languages that `voxtile_datasets.captions.language` tells apart.
NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "es": "Spanish",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


@dataclass(frozen=True)
class Translate(InstructedStrategy):
    """One caption a sample and language, of its longest English template caption, or else raw one."""

    name: ClassVar[str] = "translate"

    def __post_init__(self) -> None:
        """Refuse languages that are not known, or none."""
        super().__post_init__()
        unknown = [code for code in self.options.languages if code not in (*NAMES, SOURCE)]
        if unknown or not self._codes:
            raise ConfigError(
                f"the strategy 'translate' needs --languages, such as de,fr, out of {', '.join(NAMES)}"
                + (f"; '{unknown[0]}' is none of them" if unknown else "")
            )

    @property
    def _codes(self) -> tuple[str, ...]:
        return tuple(code for code in dict.fromkeys(self.options.languages) if code != SOURCE)

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft | Missing]:
        """See `Strategy.captions`; in the order of the languages."""
        english = {
            kind: longest([c for c in sample.texts(kind) if c["lang"] in {SOURCE, None}], WORDS)
            for kind in ("template", "raw")
        }
        source = english["template"] or english["raw"]
        if source is None:
            raise UnsuitableError("no-english-caption", f"the sample has no English caption of at most {WORDS} words")
        if check(source["text"]).verdict not in OPEN:
            raise UnsuitableError("refuted-caption", "the caption to translate does not agree with the facts")
        found = [
            await draft_or_missing(NAMES[code], self._into(code, source, sample, ask, check)) for code in self._codes
        ]
        refuse_none(found)
        return found

    async def _into(self, code: str, caption: Row, sample: SampleContext, ask: Ask, check: Check) -> Draft:
        form = fields_form("caption")
        readings: dict[str, str] = {}
        back: list[Reply] = []

        ask_any = forgiving(ask)

        async def ask_both(request: Request) -> Reply:
            """Ask for a translation and for its reading; what cannot be read is judged without."""
            reply = await ask_any(request)
            with suppress(MalformedReplyError):
                text = form.read(reply.text)[0].text
                back.append(await ask_any(again(quoted(text), request.attempt)))
                readings[text] = form.read(back[-1].text)[0].text
            return reply

        def again(text: str, number: int) -> Request:
            return self.request(
                "translate/back", sample, number, max_tokens=4 * WORDS, form=form, fault=None, text=text,
                language=NAMES[code], code=code,
            )  # fmt: skip

        tried = await self.one(
            "translate", sample, ask_both, lambda text: _judged(text, readings.get(text), caption["text"], check),
            words=WORDS, form=form, accepted=self.open, lang=code, text=quoted(caption["text"]),
            language=NAMES[code], code=code,
        )  # fmt: skip
        return self.draft(
            "translate", sample, tried.text, tried.verdict, (*tried.replies, *back), parents=(caption["caption_id"],),
            lang=code,
        )  # fmt: skip


def _judged(text: str, reading: str | None, original: str, check: Check) -> Verdict | str:
    """The verdict on what a translation says in English, or why it will not do.

    Args:
        text: the translation.
        reading: it in English; None where that failed.
        original: the English caption.
        check: the checker, bound to the sample.
    """
    if reading is None:
        return "The translation could not be translated back."
    numbers = _numbers(original)
    if _numbers(text) != numbers or _numbers(reading) != numbers:
        return f"The numbers must be those of the original: {', '.join(numbers) or 'none'}."
    verdict = check(reading)
    said = {claim_key(claim) for claim in verdict.claims}
    if lost := next((claim for claim in check(original).claims if claim_key(claim) not in said), None):
        return f"Translated back it reads '{reading}', which does not say '{lost.words}'."
    return verdict


def _numbers(text: str) -> list[str]:
    return sorted(number.replace(",", ".") for number in _NUMBER.findall(text))
