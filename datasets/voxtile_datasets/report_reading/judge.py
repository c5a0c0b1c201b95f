"""A language model that looks for errors in drafted reports, beside the case's own: six kinds, as CheXprompt has them.

The kinds are those of Zambrano Chaves et al. (Nature Communications 16, 2025); the questions are our own prompt file.
An error counts where the words that the model quotes for it stand in the report that it speaks of.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.evaluation.kinds.reports.judge import Judge, Judgement, Verdicts
from voxtile.evaluation.kinds.reports.reading import ERRORS
from voxtile_datasets.captions.by_language_model import ModelOptions, common_words, folder_of_replies
from voxtile_datasets.captions.context.prompts import Prompt, installed_prompts
from voxtile_datasets.captions.context.selection import check_leaving
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.http.address import is_remote
from voxtile_datasets.captions.providers.provider import OffSchemaError, ReplyError
from voxtile_datasets.captions.providers.request import Request
from voxtile_datasets.captions.providers.spend import spend_table
from voxtile_datasets.report_reading.reply import entries_of
from voxtile_datasets.report_reading.samples import Sample, samples_of

STRATEGY = "judge-report"
"""Step that the prompt files are for."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "errors": {
            "type": "array",
            "maxItems": 40,
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"enum": list(ERRORS)},
                    "words": {"type": "string"},
                    "significant": {"type": "boolean"},
                },
                "required": ["kind", "words", "significant"],
            },
        }
    },
    "required": ["errors"],
}
"""Of a reply."""

_TRIES = 2
_TOKENS, _CHARACTERS_A_TOKEN = 240, 1.5  # of a reply: it quotes the reports
_SECOND_TEMPERATURE = 0.5  # after a reply that could not be read: another draw must be another reply
_SAYS_YES, _SAYS_NO = frozenset(["true", "yes"]), frozenset(["false", "no"])
Triple = tuple[str, str, str]
"""(uid of the case, its own report, draft)."""


def judge_drafts(corpus: Corpus, judge: Judge, triples: Sequence[Triple]) -> Verdicts:
    """Have a model look for errors in drafts.

    Args:
        corpus: of one folder; replies are kept beside it.
        judge: who is asked.
        triples: (uid of the case, its own report, draft); the same reports are asked about once.

    Raises:
        ConfigError: the model only continues texts, an option cannot be used, or the corpus is a union of several.
        LicenceError: the reports may not leave this machine.
        ProviderError: the model or its endpoint cannot be used.
    """
    if len(corpus.roots) != 1:
        raise ConfigError("replies of a judge are kept beside one corpus; evaluate each of several by itself")
    root = corpus.roots[0]
    settings = ModelOptions(
        judge.provider, STRATEGY, judge.model, judge.base_url, max_usd=judge.max_usd, max_tokens=judge.max_tokens,
        prompts=judge.prompts, replies=judge.replies, key_variable=judge.key_variable,
    )  # fmt: skip
    prompts = installed_prompts(settings.prompts)
    uids = {uid for uid, _, _ in triples}
    rows = corpus.table("samples", columns=["uid", "licence"]).to_pylist()
    leaves = judge.provider == "openai" and is_remote(judge.base_url or "")
    licences = [row["licence"] for row in rows if row["uid"] in uids]
    check_leaving(licences, is_remote=leaves, allow_credentialed=judge.allow_remote_credentialed)
    samples = samples_of(root, uids, common_words(prompts), None)
    named = {sample.modality: prompts.find(STRATEGY, sample.modality) for sample in samples.values()}
    with folder_of_replies(root, settings, dry_run=False) as cache:
        provider = settings.open(cache, {})
        found = asyncio.run(_judged(provider, named, samples, triples))
    Console(stderr=True).print(spend_table([provider.spend]))
    unread = Counter(one.reason for one in found if isinstance(one, ReplyError))
    shas = "+".join(sorted({prompt.sha256 for prompt in named.values()}))
    judged = [None if isinstance(one, ReplyError) else one for one in found]
    return Verdicts(provider.model, shas, judged, dict(unread))


async def _judged(
    provider: CachedProvider,
    prompts: Mapping[str | None, Prompt],
    samples: Mapping[str, Sample],
    triples: Sequence[Triple],
) -> list[Judgement | ReplyError]:
    try:
        if not provider.chat:
            raise ConfigError(
                f"'{provider.model}' only continues texts; to judge reports name a model that follows instructions"
            )
        return await asyncio.gather(
            *(_judgement(provider, prompts[samples[uid].modality], samples[uid], *pair) for uid, *pair in triples)
        )
    finally:
        await provider.close()


async def _judgement(
    provider: CachedProvider, prompt: Prompt, sample: Sample, reference: str, draft: str
) -> Judgement | ReplyError:
    """What is found in one draft, or why nothing is known of it."""
    system, question = prompt.filled(reference=reference, draft=draft)
    if sample.identifiers.found_in(f"{reference}\n{draft}") is not None:
        return ReplyError("identifier", "a report names its sample, patient or file; take the name out of its text")
    tokens = _TOKENS + int((len(reference) + len(draft)) / _CHARACTERS_A_TOKEN)
    request = Request(question, system, max_tokens=tokens, schema=SCHEMA, temperature=0.0)
    for attempt in range(_TRIES):
        temperature = _SECOND_TEMPERATURE if attempt else 0.0
        try:
            text = (await provider.ask(replace(request, attempt=attempt, temperature=temperature))).text
        except OffSchemaError as error:
            text = error.reply.text
        except ReplyError as error:
            return error
        found = read_judgement(text, reference, draft)
        if found is not None:
            return found
    return ReplyError("reply-unreadable", f"the model answered {_TRIES} times without a list of errors")


def read_judgement(text: str, reference: str, draft: str) -> Judgement | None:
    """The errors that a reply lists; None where it lists none that can be read, and is no empty list.

    Args:
        text: as the model gave it.
        reference: the case's own report.
        draft: the one that is judged.

    Example:
        >>> reply = '{"errors": [{"kind": "false finding", "words": "A mass.", "significant": "yes"}]}'
        >>> read_judgement(reply, "Clear lungs.", "There is a mass.").errors
        {'false_finding': 1}
    """
    entries, is_whole = entries_of(text, ("errors",))
    named = list(dict.fromkeys(_error(entry) for entry in entries))
    if not is_whole or named == [None]:
        return None  # of a list that breaks off nobody knows what would have followed
    said = {True: _folded(reference), False: _folded(draft)}
    there = [one for one in named if one is not None and _folded(one[1]) in said[one[0].startswith("omitted")]]
    kinds = Counter(kind for kind, _, _ in there)
    return Judgement(dict(kinds), sum(matters for _, _, matters in there), len(named) - len(there))


def _error(entry: Any) -> tuple[str, str, bool] | None:  # noqa: ANN401 - whatever a model gives
    """Kind, words and whether it matters; None where one is missing or is none."""
    kind = str(entry.get("kind", "")).strip().casefold().replace(" ", "_").replace("-", "_")
    words, matters = entry.get("words"), str(entry.get("significant", "")).strip().casefold()
    if kind not in ERRORS or not isinstance(words, str) or not _folded(words):
        return None
    return (kind, words, matters in _SAYS_YES) if matters in _SAYS_YES | _SAYS_NO else None


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'“”")
