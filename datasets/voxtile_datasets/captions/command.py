"""`voxtile caption`: captions from facts, worded from versioned banks or by a model whose texts are checked."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from voxtile.console import note, output
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_datasets.captions.absences import absences_for
from voxtile_datasets.captions.added import counted_captions, say_names_alone
from voxtile_datasets.captions.known_facts import disputed, findings_of, listed, unknown_concepts
from voxtile_datasets.captions.phrase_bank.bank_file import find_phrase_bank, is_phrase_bank, load_phrase_bank
from voxtile_datasets.captions.phrase_bank.compose import Composition
from voxtile_datasets.captions.plain_words import PlainWords
from voxtile_datasets.captions.reconcile import PRECEDENCE
from voxtile_datasets.captions.template import TemplateTask
from voxtile_datasets.captions.wordings import Bank, bank_for, installed_banks

_MOST_NAMED = 8  # concepts in a sentence


def caption_by_template(
    corpus: Path,
    *,
    kind: Literal["report", "fact"] = "report",
    variants: int = 1,
    absent: int | None = None,
    text_tower: str | None = None,
    precedence: str = ",".join(PRECEDENCE),
    facts_source: str | None = None,
    caption_kind: Literal["template", "roi", "structured"] = "template",
    words: Literal["varied", "plain"] = "varied",
    details: str | None = None,
    size_margin: str | None = None,
    concepts: str | None = None,
    closed: str | None = None,
    bank: Path | None = None,
    seed: int = 0,
    described: float = 0.5,
    signed_only: bool = False,
    **run: Any,  # noqa: ANN401
) -> None:
    """Word facts in sentences of versioned banks.

    The wording of each sample is a function of its uid, so that a second run writes the same captions. What a sentence
    states is known, and recorded: its fact is written once more with the sentence as evidence, so that training can
    tell of which other samples the sentence is true.

    Args:
        corpus: the corpus to add to.
        kind: one caption a sample that says all its facts, or one a fact.
        variants: number of different wordings.
        absent: how many absent findings a caption mentions at most: those that are easily taken for a present one
            first, then what a source denies or other samples have. None without it, unless --text-tower reads word
            order.
        text_tower: class of the text tower that will read the captions, as the config of the training names it, e.g.
            TextTransformer; where it reads the order of words, two likely confusions are denied.
        precedence: beginnings of the facts' sources, separated by commas: where several speak of the same thing, the
            first one is said. Sources that are not named come last.
        facts_source: only facts whose source begins so are worded, e.g. reports; captions for training must not word
            the labels that a model is evaluated on. Closed scopes do not say whose they are, and are then not used.
        caption_kind: kind that is noted in the captions table, so that a caption policy can weigh them apart: template,
            roi for texts about a part of what is trained as one item (a patch of a slide), or structured for sentences
            that together make a structured report.
        words: varied wordings, or plain: the concept's own name and then its details, so that the same facts always
            have the same words, as a structured report wants them.
        details: of plain words: which details of a finding are said, among side, location, size and number, separated
            by commas (all without it). A model that reads a coarse grid cannot see a lobe or a level of the spine; what
            it learns to say of them is guessed.
        size_margin: of plain words: how far a size may be off, a length and a share, e.g. "5 mm, 20 %": sizes are said
            with the larger of the two, as 23 mm ± 5 mm.
        concepts: only these are said, present or absent, separated by commas.
        closed: concepts that a text would have mentioned, separated by commas: denied where a sample has facts, but
            none of these (within --absent), as data.closed_facts has it in training. A structured report then speaks of
            each of them.
        bank: wording bank (YAML) that comes before the installed ones, or phrase bank of `voxtile caption bank`, from
            which each sample's sentences are then composed; concepts that it lacks are worded as without it, and named.
            The name of a domain (medical, pathology, remote_sensing) means the phrase bank that comes with it.
        seed: of the choice among the entries of a phrase bank.
        described: share of the present findings that get a description of a phrase bank, 0 to 1.
        signed_only: leave out entries of a phrase bank that nobody signed (voxtile caption sign); a bank without any,
            or with a line that was changed after it was signed, is refused.
        run: options of the run.

    Raises:
        ConfigError: an option that cannot be used, or a malformed bank.
        InputError: the corpus has no facts.
        RunFailedError: some samples got no caption; the rest is stored.
    """
    for name, number, least in (("variants", variants, 1), ("absent", absent, 0)):
        if number is not None and number < least:
            raise ConfigError(f"--{name} must be at least {least}, not {number}")
    if words == "plain" and variants > 1:
        raise ConfigError(f"--words plain has one wording of each fact; leave out --variants {variants}")
    plain = PlainWords.chosen(words, details, size_margin)
    sources = listed(precedence)
    said = absences_for(absent, text_tower)
    if not 0 <= described <= 1:
        raise ConfigError(f"--described is a share from 0 to 1, not {described}")
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    bank = find_phrase_bank(bank) if bank is not None else None
    phrases = bank is not None and is_phrase_bank(bank)
    if signed_only and not phrases:
        raise ConfigError("--signed-only is of entries of a phrase bank; name one with --bank FILE")
    composition = (
        Composition(load_phrase_bank(bank, signed=signed_only), seed, described, signed_only)
        if bank and phrases
        else None
    )
    if plain is not None and composition is not None:
        raise ConfigError("--words plain says facts by their names alone; leave out the phrase bank, or the option")
    banks = installed_banks([bank] if bank and not phrases else [])
    silent = listed(closed)
    if silent and not said:
        raise ConfigError("--closed says what is denied where facts are silent; say how much of it with --absent N")
    task = TemplateTask(
        str(corpus), banks, kind, variants, said, sources, facts_source, caption_kind, composition, plain, silent,
        _chosen_concepts(corpus, concepts),
    )  # fmt: skip
    with counted_captions(corpus):
        summary = run_task(task, corpus, RunOptions(**run))
    _say_disputed(corpus, sources, facts_source)
    if composition is None:
        say_names_alone(corpus, banks, facts_source)
    else:
        _say_changed(composition)
        _say_fallbacks(corpus, composition, banks, facts_source)
    summary.raise_if_failed()


def _chosen_concepts(corpus: Path, concepts: str | None) -> tuple[str, ...]:
    """What `--concepts` names; a corpus may lack some of it, but hardly all."""
    names = listed(concepts)
    unknown, why = unknown_concepts(corpus, names)
    if concepts is not None and len(unknown) == len(names):
        raise ConfigError(f"--concepts: {why if names else 'name at least one concept, or leave it out'}")
    if unknown:
        note(f"--concepts: {why}")
    return names


def _say_disputed(corpus: Path, sources: tuple[str, ...], facts_source: str | None) -> None:
    """Which findings the facts of a sample both state and deny, and whose word counts."""
    found = disputed(corpus, facts_source)
    if found:
        listed = ", ".join(f"{concept} ({count:,})" for concept, count in list(found.items())[:_MOST_NAMED])
        output().print(
            f"{sum(found.values()):,} findings are stated by some facts of a sample and denied by others: {listed}; "
            f"what comes first of {', '.join(sources) or 'no source'} is said (--precedence)",
            highlight=False, markup=False,
        )  # fmt: skip


def _say_changed(composition: Composition) -> None:
    """How many entries were changed after somebody signed them, and count by a checker alone."""
    changed = [entry for entry in composition.bank.entries if entry.signed and not entry.is_vouched_for]
    if changed:
        output().print(
            f"{len(changed):,} entries of '{composition.bank.identity}' were changed after they were signed, and count "
            f"by the checker alone; the first is '{changed[0].text[:60]}' (voxtile caption sign FILE)",
            highlight=False, markup=False,
        )  # fmt: skip


def _say_fallbacks(corpus: Path, composition: Composition, banks: tuple[Bank, ...], facts_source: str | None) -> None:
    """Which present concepts the phrase bank lacks for the samples that have them, by the number of their facts."""
    samples = Corpus(corpus).table("samples", ["uid", "modality"]).to_pylist()
    modality = {row["uid"]: row["modality"] for row in samples}
    counts: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    lacks: dict[tuple[str, str | None], bool] = {}
    for row in findings_of(corpus, facts_source):
        if row["polarity"] != "present" or row["uid"] not in modality:
            continue
        concept, own = row["concept"], modality[row["uid"]]
        if (concept, own) not in lacks:
            lacks[concept, own] = composition.lacks(concept, own, bank_for(banks, own, [concept]))
        counts[concept] += 1
        missed[concept] += lacks[concept, own]
    lacking = {concept: count for concept, count in missed.most_common() if count}
    if lacking:
        listed = ", ".join(f"{concept} ({count:,})" for concept, count in list(lacking.items())[:_MOST_NAMED])
        more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
        output().print(
            f"{sum(lacking.values()):,} of {sum(counts.values()):,} present facts are of {len(lacking)} concepts that "
            f"'{composition.bank.identity}' has no {'signed ' * composition.signed_only}entry for, and are worded as "
            f"without it: {listed}{more}",
            highlight=False, markup=False,
        )  # fmt: skip


def caption_by_model(
    corpus: Path,
    *,
    provider: str = "local",
    strategy: str = "rewrite",
    model: str | None = None,
    base_url: str | None = None,
    where: str | None = None,
    limit: int | None = None,
    facts_source: str | None = None,
    absent: int = 2,
    tries: int = 4,
    complete: float = 0.0,
    unchecked: bool = False,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    allow_remote_credentialed: bool = False,
    temperature: float = 0.7,
    seed: int = 0,
    max_reply_tokens: int | None = None,
    languages: str = "en",
    look: bool = False,
    knowledge: Path | None = None,
    experts: Path | None = None,
    context: Path | None = None,
    prompts: Path | None = None,
    prices: Path | None = None,
    replies: Path | None = None,
    concurrency: int | None = None,
    timeout: float = 120.0,
    key_variable: str = "OPENAI_API_KEY",
    completion: bool = False,
    key_file: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Have a language model word facts, here or at an endpoint.

    Each caption is checked against the facts; where it says what they do not, the model is told its fault and asked
    again, and its verdict is stored beside it. Replies are kept on disk: a rerun asks nothing twice. No identifier is
    sent.

    Args:
        corpus: the corpus to add to.
        provider: local (a model in this process), openai (an endpoint such as vLLM, llama.cpp or a hosted one), or
            replay (from the cache of replies alone).
        strategy: how it makes captions: rewrite (also for base models), fuse, describe, describe-revise-summarise,
            roi, five, short-dense, qa, translate, fuse-experts.
        model: openai: name of the model there; local: a GGUF file, qwen-1.5b or gemma-270m; by
            default the better of the two that is installed and that memory has room for.
        base_url: openai: address of the endpoint, e.g. http://127.0.0.1:8000/v1.
        where: only samples for which this SQL condition holds, e.g. "modality = 'CT'".
        limit: so many samples at most, the first ones by uid.
        facts_source: only facts whose source begins so are worded, e.g. reports; captions for training must not word
            the labels that a model is evaluated on. Closed scopes do not say whose they are, and are then not used.
        absent: how many absent findings a caption mentions at most, chosen by the uid.
        tries: requests at most for a caption (for a fact, with a base model) until the checker supports it.
        complete: from 0 to 1: ask again until a caption says so large a share of what the facts state is there, the
            findings with their sides, sizes and numbers. By default that is not asked.
        unchecked: keep the first text whatever its verdict, to learn what checking is worth.
        max_usd: stop asking when this much is spent.
        max_tokens: stop asking when so many tokens, in and out, are spent.
        allow_remote_credentialed: send texts of credentialed data to another machine, where your agreement covers it.
        temperature: of the sampling.
        seed: of the sampling; another one gives other captions.
        max_reply_tokens: longest reply; the strategy's own by default.
        languages: what captions are to be written in, e.g. en,de,fr (strategy translate).
        look: show the model the picture also where facts alone would do.
        knowledge: folder of texts to look facts up in (strategy roi).
        experts: JSONL or Parquet of what other models found (strategy fuse-experts).
        context: JSONL or Parquet of what stood beside the pictures: uid, and title, alt_text, caption or text. It is no
            fact: captions that take something from it alone are marked. Such texts of the samples' own attributes are
            told without it.
        prompts: folder of prompt files (YAML) that come before the installed ones.
        prices: price table (YAML) in place of ours.
        replies: folder of the replies that are kept; default beside the corpus, CORPUS.replies.
        concurrency: requests in flight at most.
        timeout: of one try at an endpoint, in seconds.
        key_variable: environment variable that holds the endpoint's key.
        completion: openai: the model there is a base model, which continues texts.
        key_file: key map of the corpus, whose paths are kept out of prompts; default beside the corpus.
        run: options of the run.

    Raises:
        ConfigError: an unknown provider or strategy, an option that cannot be used, or a malformed prompt.
        InputError: the corpus has no facts, or no sample is chosen.
        LicenceError: a licence forbids derivatives, or its data may not leave this machine.
        ProviderError: the model or its endpoint cannot be used.
        RunFailedError: some samples got no caption; the rest is stored.
    """
    from voxtile_datasets.captions.by_language_model import ModelOptions, caption_with_model

    options = ModelOptions(
        provider=provider, strategy=strategy, model=model, base_url=base_url, where=where, limit=limit, tries=tries,
        complete=complete, unchecked=unchecked,
        max_usd=max_usd, max_tokens=max_tokens, allow_credentialed=allow_remote_credentialed,
        temperature=temperature, seed=seed, max_reply_tokens=max_reply_tokens, languages=languages, look=look,
        knowledge=knowledge, experts=experts, context=context, prompts=prompts, prices=prices, replies=replies,
        concurrency=concurrency,
        timeout=timeout, key_variable=key_variable, completion=completion, key_file=key_file, absent=absent,
        facts_source=facts_source,
    )  # fmt: skip
    caption_with_model(corpus, options, run)


def caption_by_checkpoint(
    corpus: Path,
    *,
    model: str | None = None,
    where: str | None = None,
    limit: int | None = None,
    facts_source: str | None = None,
    unchecked: bool = False,
    languages: str = "en",
    decoding: Literal["greedy", "beam", "sample"] = "greedy",
    beams: int = 4,
    top_p: float = 0.9,
    temperature: float = 0.7,
    seed: int = 0,
    max_reply_tokens: int | None = None,
    batch_size: int = 16,
    trust_package: tuple[str, ...] = (),
    key_file: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Have a model that was trained with the Captioning objective look at the pictures.

    Its texts are checked, and those that the facts contradict, or that closed scopes leave out, are failures by name.

    Args:
        corpus: the corpus to add to.
        model: the checkpoint.
        where: only samples for which this SQL condition holds, e.g. "modality = 'CT'".
        limit: so many samples at most, the first ones by uid.
        facts_source: only facts whose source begins so are what texts are checked against, e.g. reports.
        unchecked: keep each text whatever its verdict, to learn what checking is worth.
        languages: what its texts are written in, e.g. de; they are checked in it.
        decoding: the likeliest word each time (greedy), the likeliest text of a beam, or words drawn from the likely
            ones (sample, by --seed, --temperature and --top-p).
        beams: beginnings that a beam keeps.
        top_p: words are drawn from the fewest whose probabilities add up to this.
        temperature: of the sampling.
        seed: of the sampling; another one gives other captions.
        max_reply_tokens: longest text; by default the text tower's context, which is never passed.
        batch_size: pictures at a time.
        trust_package: package of your own whose classes the checkpoint may name; repeat it for further ones.
        key_file: key map of the corpus, whose paths are kept out of texts; default beside the corpus.
        run: options of the run.

    Raises:
        ConfigError: no checkpoint, or an option that cannot be used.
        InputError: no sample is chosen.
        LicenceError: a licence forbids derivatives.
        RunFailedError: some samples got no caption; the rest is stored.
    """
    for name, value, fits, wanted in (
        ("beams", beams, beams >= 1, "at least 1"),
        ("max-reply-tokens", max_reply_tokens, max_reply_tokens is None or max_reply_tokens >= 2, "at least 2"),
        ("batch-size", batch_size, batch_size >= 1, "at least 1"),
        ("top-p", top_p, 0 < top_p <= 1, "above 0 and at most 1"),
        ("temperature", temperature, temperature > 0, "above 0"),
    ):
        if not fits:
            raise ConfigError(f"--{name} must be {wanted}, not {value}")
    if model is None or not Path(model).is_file():
        given = "captions by a checkpoint need --model" if model is None else f"--model '{model}' is no file"
        raise ConfigError(f"{given}; give a checkpoint, e.g. runs/run/version_0/checkpoints/last.ckpt")
    from voxtile.objectives.generative.decoding import Decoding
    from voxtile_datasets.captions.by_checkpoint import CheckpointOptions, caption_with_checkpoint

    how = Decoding(decoding, beams=beams, top_p=top_p, temperature=temperature, seed=seed, longest=max_reply_tokens)
    chosen = CheckpointOptions(
        model, how, batch_size, where, limit, unchecked, languages.partition(",")[0].strip() or "en", facts_source,
        key_file, trust_package,
    )  # fmt: skip
    caption_with_checkpoint(corpus, chosen, run)


WAYS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {"template": caption_by_template, "model": caption_by_model, "checkpoint": caption_by_checkpoint}
)


def caption_corpus(corpus: Path, *, provider: str = "template", **options: Any) -> None:  # noqa: ANN401
    """Caption a corpus by a provider: template, checkpoint, or a model's (local, openai, replay).

    Args:
        corpus: the corpus to add to.
        provider: who words the captions.
        options: of any way and of the run; those of another way than the provider's say nothing.
    """
    way = provider if provider in ("template", "checkpoint") else "model"  # which says of others that it has none
    others = {name for function in WAYS.values() for name in inspect.signature(function).parameters}
    own = others - set(inspect.signature(WAYS[way]).parameters)
    chosen = {name: value for name, value in options.items() if name not in own}
    if way == "model":
        chosen["provider"] = provider
    WAYS[way](corpus, **chosen)
