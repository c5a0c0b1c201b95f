"""`voxtile caption bank`: a model proposes wordings and descriptions, one request a concept; the checker tries each."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from voxtile.bounded_text import load_json
from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import DESCRIPTIVE, MEASURED
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.checker.choose import choose
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies
from voxtile_datasets.captions.context.prompts import Prompt, PromptBook, installed_prompts
from voxtile_datasets.captions.english import with_article
from voxtile_datasets.captions.keyed_choice import shuffled
from voxtile_datasets.captions.known_facts import WORDED
from voxtile_datasets.captions.language import is_other_language
from voxtile_datasets.captions.phrase_bank.bank_file import (
    KINDS,
    ConceptEntries,
    Entry,
    Kind,
    PhraseBank,
    Rejected,
    load_phrase_bank,
    save_phrase_bank,
)
from voxtile_datasets.captions.phrase_bank.entry_checks import EntryCheck, with_fields, words_of
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.provider import OffSchemaError, Provider, ReplyError
from voxtile_datasets.captions.providers.request import Request
from voxtile_datasets.captions.sentences import picture_names, wordings_of
from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.captions.wordings import Bank, bank_for, installed_banks, normalise

STRATEGY = "phrase-bank"
_TOKENS = 40  # of a sentence
_MARKED = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")
_TEXTS = {"type": "array", "items": {"type": "string"}}
_ASKED: tuple[Kind, ...] = ("wordings", "descriptions")
_SCHEMA = {"type": "object", "properties": {kind: _TEXTS for kind in _ASKED}, "required": list(_ASKED)}
_BEGUN = 8  # plain wordings at the head of the list that a base model continues


@dataclass(frozen=True)
class Wanted:
    """A concept to ask for, with what words and checks it.

    Attributes:
        concept: by the name that its entries stand under.
        modality: of most samples that have it.
        bank: plain wordings.
        check: of its entries.
    """

    concept: str
    modality: str | None
    bank: Bank
    check: EntryCheck

    @property
    def names(self) -> tuple[str, ...]:
        """Its names, the own one first."""
        wording = self.bank.wording_of(self.concept)
        return (wording.name or self.concept.replace("_", " "), *wording.synonyms)


def wanted_concepts(corpus: Path, only: Sequence[str]) -> list[Wanted]:
    """The concepts that are present in a corpus, the most frequent first.

    Args:
        corpus: with facts.
        only: names to take of these; all for none.

    Raises:
        InputError: the corpus has no facts, or lacks one that was named.
    """
    store = Corpus(corpus)
    modality = {row["uid"]: row["modality"] for row in store.table("samples", ["uid", "modality"]).to_pylist()}
    counts: dict[str, Counter[str | None]] = defaultdict(Counter)
    for row in store.table("facts", ["uid", "concept", "polarity", "source"]).to_pylist():
        source = row["source"] or ""
        is_finding = row["concept"] not in DESCRIPTIVE and not source.startswith(MEASURED) and WORDED not in source
        if row["polarity"] == "present" and is_finding and row["uid"] in modality:
            counts[row["concept"]][modality[row["uid"]]] += 1
    if not counts:
        raise InputError(f"'{corpus}' has no facts to word; make some with: voxtile facts CORPUS --from labels")
    asked = {normalise(name) for name in only}
    if missing := sorted(asked - {normalise(name) for name in counts}):
        raise InputError(f"no sample of '{corpus}' has the concept '{missing[0]}'; look at: voxtile inspect CORPUS")
    banks, vocabularies = installed_banks(), installed_vocabularies()
    chosen = sorted(counts, key=lambda name: (-counts[name].total(), name))
    return [
        _wanted(name, counts[name].most_common(1)[0][0], list(counts), banks, vocabularies)
        for name in chosen
        if not asked or normalise(name) in asked
    ]


def _wanted(
    name: str,
    modality: str | None,
    together: Sequence[str],
    banks: Sequence[Bank],
    vocabularies: Mapping[str, Vocabulary],
) -> Wanted:
    bank = bank_for(banks, modality, together)
    vocabulary = vocabularies[choose(vocabularies, modality, [name])]
    return Wanted(name, modality, bank, EntryCheck(name, bank, vocabulary, modality))


async def propose(
    wanted: Wanted,
    provider: CachedProvider | Provider,
    prompts: PromptBook,
    *,
    wordings: int,
    descriptions: int,
    temperature: float,
    seed: int,
) -> dict[Kind, list[str]]:
    """One request: what a model proposes for a concept, without doubles, not yet checked.

    Args:
        wanted: the concept.
        provider: who is asked.
        prompts: the prompt files; a base model gets the beginning of a list instead.
        wordings: how many to ask for.
        descriptions: how many to ask for.
        temperature: of the sampling.
        seed: of the sampling.

    Raises:
        ReplyError: the request failed, or its reply holds no texts.
    """
    name, most = wanted.names[0], _TOKENS * (wordings + descriptions)
    if provider.chat:
        system, prompt = _asked(prompts.find(STRATEGY, wanted.modality), wanted, wordings, descriptions)
        request = Request(prompt, system, max_tokens=most, temperature=temperature, seed=seed, schema=_SCHEMA)
    else:
        request = Request(
            _begun(wanted), max_tokens=_TOKENS * wordings, temperature=temperature, seed=seed, stop=("\n\n",)
        )
    try:
        text = (await provider.ask(request)).text
    except OffSchemaError as error:
        text = error.reply.text
    found = _read(text)
    if not any(found.values()):
        raise ReplyError("malformed", f"the reply for '{name}' holds no sentences")
    return {kind: list(dict.fromkeys(texts)) for kind, texts in found.items()}


def _asked(prompt: Prompt, wanted: Wanted, wordings: int, descriptions: int) -> tuple[str | None, str]:
    return prompt.filled(
        name=wanted.names[0],
        synonyms=list(wanted.names[1:]),
        image=picture_names(wanted.bank, wanted.modality, None)[0],
        wordings=wordings,
        descriptions=descriptions,
    )


def _begun(wanted: Wanted) -> str:
    """The beginning of a list of sentences, for a model that continues texts."""
    name, image = wanted.names[0], picture_names(wanted.bank, wanted.modality, None)[0]
    known = wordings_of(Fact(wanted.concept, "present"), wanted.bank, wanted.modality)
    own = [text for text in known if name.casefold() in text.casefold()] or list(known)
    listed = "\n".join(f"- {text}" for text in shuffled(own, wanted.concept)[:_BEGUN])
    return f"Ways in which reports say that {with_article(image)} shows {name}:\n\n{listed}\n-"


def _read(reply: str) -> dict[Kind, list[str]]:
    """The texts of a reply: JSON, also within prose or half of it, or a list of lines, which are wordings."""
    content = _json_in(reply)
    if isinstance(content, dict):
        texts = {kind: content.get(kind) for kind in _ASKED}
        return {
            kind: [" ".join(text.split()) for text in found if isinstance(text, str) and text.strip()]
            if isinstance(found, list)
            else []
            for kind, found in texts.items()
        }
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"\s*[,\]]', reply)  # JSON that breaks off: its whole strings
    if reply.lstrip().startswith(("{", "```")) and strings:
        cut = reply.find('"descriptions"')
        where = [reply.find(f'"{text}"') for text in strings]
        return {
            "wordings": [text for text, at in zip(strings, where, strict=True) if cut < 0 or at < cut],
            "descriptions": [text for text, at in zip(strings, where, strict=True) if 0 <= cut < at],
        }
    lines = [_MARKED.sub("", line).strip().strip('"') for line in reply.splitlines()]
    return {"wordings": [" ".join(line.split()) for line in lines if line], "descriptions": []}


def _json_in(reply: str) -> Any:  # noqa: ANN401
    found = re.search(r"\{.*\}", reply, re.DOTALL)
    if found is None:
        return None
    try:
        return load_json(found[0])
    except (ValueError, ConfigError):
        return None


def checked(entries: ConceptEntries, check: EntryCheck) -> ConceptEntries:
    """The entries of a concept, those that changed since they were checked, or never were, checked again."""
    kept: dict[Kind, list[Entry]] = {kind: [] for kind in KINDS}
    rejected = list(entries.rejected)
    for kind in KINDS:
        for entry in getattr(entries, kind):
            passed = entry
            if not (entry.is_vouched_for or entry.is_checked):
                passed = check.passed(kind, entry.text, entry.by, entry.modalities)
            if passed is not None:
                kept[kind].append(replace(passed, signed=entry.signed))  # also one of another text: it is seen so
            else:
                why = check(kind, entry.text, entry.modalities) or ""
                rejected.append(Rejected(kind, entry.text, entry.by, why))
    return ConceptEntries(**{kind: tuple(kept[kind]) for kind in KINDS}, rejected=tuple(rejected))


def with_proposals(
    entries: ConceptEntries, proposed: Mapping[Kind, Sequence[str]], by: str, wanted: Wanted
) -> ConceptEntries:
    """The entries with what a model proposed: what the checker lets pass, and what not with the reason."""
    result = entries
    for kind in _ASKED:
        known = {words_of(entry.text) for entry in getattr(result, kind)}
        kept, rejected = list(getattr(result, kind)), list(result.rejected)
        for text in proposed.get(kind, ()):
            made = with_fields(text, wanted.names) if kind == "wordings" else text
            reason = "It is there already." if words_of(made) in known else wanted.check(kind, made)
            entry = wanted.check.passed(kind, made, by) if reason is None else None
            if entry is not None:
                known.add(words_of(made))
                kept.append(entry)
            elif reason:
                rejected.append(Rejected(kind, made, by, reason))
        result = replace(result, **{kind: tuple(kept), "rejected": tuple(rejected)})
    return result


def make_phrase_bank(
    corpus: Path,
    out: Path,
    provider: CachedProvider | None,
    *,
    concepts: Sequence[str] = (),
    wordings: int = 20,
    descriptions: int = 5,
    temperature: float = 0.7,
    seed: int = 0,
    prompts: Path | None = None,
) -> PhraseBank:
    """Make a phrase bank, or fill up the one that is there; see `voxtile caption bank`."""
    is_other_language("the language of proposals is told", "en")  # loads the model, or says what to install
    bank = load_phrase_bank(out, usable=False) if out.exists() else PhraseBank(out.stem, "1", {})
    wanted = wanted_concepts(corpus, concepts)
    entries = dict(bank.concepts)
    by_key = {normalise(name): name for name in entries}
    failed: dict[str, str] = {}
    book = installed_prompts(prompts)

    async def fill_up(one: Wanted) -> None:
        name = by_key.get(normalise(one.concept), one.concept)
        own = checked(entries.get(name, ConceptEntries()), one.check)
        if provider is not None and not (own.entries or own.rejected):
            try:
                proposed = await propose(
                    one, provider, book, wordings=wordings, descriptions=descriptions, temperature=temperature,
                    seed=seed,
                )  # fmt: skip
                own = with_proposals(own, proposed, provider.model, one)
            except ReplyError as error:
                failed[one.concept] = str(error)
        if own != ConceptEntries():
            entries[name] = own

    async def fill_all() -> None:
        try:
            await asyncio.gather(*map(fill_up, wanted))
        finally:
            if provider is not None:
                await provider.close()

    asyncio.run(fill_all())
    made = PhraseBank(bank.name, bank.version, entries, by=bank.by)
    save_phrase_bank(made, out)
    _say(made, wanted, failed)
    return made


def _say(bank: PhraseBank, wanted: Sequence[Wanted], failed: Mapping[str, str]) -> None:
    table = Table(title="entries that may be used, and what was refused")
    for heading in ("concept", "names", "wordings", "descriptions", "refused", "signed"):
        table.add_column(heading, justify="left" if heading == "concept" else "right")
    for one in wanted:
        entries = bank.of(one.concept) or bank.concepts.get(one.concept) or ConceptEntries()
        counts = [len(getattr(entries, kind)) for kind in KINDS]
        numbers = (*counts, len(entries.rejected), sum(entry.is_vouched_for for entry in entries.entries))
        table.add_row(one.concept, *map(str, numbers))
    output().print(table)
    for concept, why in failed.items():
        output().print(f"no reply for '{concept}': {why}", highlight=False, markup=False)
