"""Asking a model for the findings of a report: pieces that it can answer at once, and tries until a reply is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from voxtile_datasets.captions.context.prompts import PromptBook
from voxtile_datasets.captions.providers.provider import OffSchemaError, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.report_reading.reply import SCHEMA, Claim, read_reply

STRATEGY = "read-report"
"""Step that the prompt files are for."""

Ask: TypeAlias = Callable[[Request], Awaitable[Reply]]
_LONGEST_PIECE = 1500  # characters: some twenty findings, whose reply stays short enough to be whole
_STOP = re.compile(r"(?<=[.;?!])\s+|\n")
_TOKENS, _CHARACTERS_A_TOKEN = 160, 1.5  # of a reply: it quotes the report, and says as much again
_LATER_TEMPERATURE = 0.5  # at least, after a reply that could not be read: another draw must be another reply


@dataclass(frozen=True)
class Statements:
    """What a model says of a report.

    Attributes:
        claims: not yet checked.
        faults: reason → how many entries of its replies are not taken.
    """

    claims: tuple[Claim, ...]
    faults: Mapping[str, int]


@dataclass(frozen=True)
class ReportQuestions:
    """Asks a model for the findings of reports.

    Attributes:
        prompts: the prompt files.
        tries: requests at most for a piece of a report until a reply is read.
        temperature: of the sampling, the first time.
        seed: of the sampling.
        max_reply_tokens: longest reply; by the length of the piece where None.
    """

    prompts: PromptBook
    tries: int = 2
    temperature: float = 0.0
    seed: int = 0
    max_reply_tokens: int | None = None

    def requests(self, report: str, modality: str | None, attempt: int = 0) -> list[Request]:
        """What is asked about a report.

        Raises:
            ConfigError: no prompt file is for reading reports of this modality.
        """
        prompt = self.prompts.find(STRATEGY, modality)
        found = []
        for piece in pieces(report):
            system, question = prompt.filled(report=piece)
            tokens = self.max_reply_tokens or _TOKENS + int(len(piece) / _CHARACTERS_A_TOKEN)
            found.append(Request(question, system, max_tokens=tokens, schema=SCHEMA))
        temperature = max(self.temperature, _LATER_TEMPERATURE) if attempt else self.temperature
        return [replace(one, temperature=temperature, seed=self.seed, attempt=attempt) for one in found]

    async def statements(self, report: str, modality: str | None, ask: Ask) -> Statements:
        """What the model says of a report.

        Args:
            report: free text.
            modality: of its sample; which prompt file asks.
            ask: answers a request.

        Raises:
            ReplyError: a request failed, or no reply to one can be read (`reply-unreadable`).
        """
        claims: dict[Claim, None] = {}
        faults: Counter[str] = Counter()
        for place in range(len(self.requests(report, modality))):
            for attempt in range(self.tries):
                request = self.requests(report, modality, attempt)[place]
                parsed = read_reply(await _text(ask, request))
                faults.update(parsed.faults)
                if parsed.is_readable:
                    claims |= dict.fromkeys(parsed.claims)
                    break
            else:
                raise ReplyError(
                    "reply-unreadable",
                    f"the model answered {self.tries} times without a list of findings; raise --tries, or take a model "
                    "that follows instructions",
                )
        return Statements(tuple(claims), dict(faults))


def pieces(report: str) -> Iterator[str]:
    """A report in pieces that end with a sentence or a line, none longer than a model answers well."""
    start = end = 0
    for stop in (*(match.end() for match in _STOP.finditer(report)), len(report)):
        if stop - start > _LONGEST_PIECE and end > start:
            yield report[start:end].strip()
            start = end
        while stop - start > _LONGEST_PIECE:  # one sentence
            yield report[start : start + _LONGEST_PIECE].strip()
            start += _LONGEST_PIECE
        end = stop
    if report[start:].strip():
        yield report[start:].strip()


async def _text(ask: Ask, request: Request) -> str:
    """A reply, also one that breaks the schema."""
    try:
        return (await ask(request)).text
    except OffSchemaError as error:
        return error.reply.text
