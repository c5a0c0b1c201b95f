"""The texts of each source for the same samples: raw, templates, composed of a phrase bank, written by two models.

A model is told facts and sees no picture, so that what it wrote of one sample is as true of each other sample with the
same facts. It is asked about a few samples of each set of facts, and the others share these texts. Of reports of many
findings, where no two samples have the same, each sentence is shared with those that have the same facts of what the
sentence names. A number counts where the text says one.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from corpora import TRIALS, Trial, voxtile

from voxtile.corpus.reader import Corpus
from voxtile.data.sentences import split_sentences
from voxtile.words.names import name_key
from voxtile_datasets.captions.checker.extraction.extract import claims_of
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies

Pool = Mapping[str, Sequence[str]]
"""Texts by uid."""
Exactly = tuple[str, str, str, str]
"""Concept, polarity, what is known of it in words, and in numbers."""

ASKED = {"small": 42, "better": 42}
"""Samples that each model writes captions of, a corpus: as many as two shared cores allow."""
ASKED_OF = {("he", "better"): 24, ("ct", "small"): 16, ("ct", "better"): 16}
"""Fewer, where one takes longer."""
_HOW_READ = frozenset(["evidence", "spans"])  # of a report
REFUSED = ("contradicted", "unsupported")
"""Verdicts that leave a caption out of training where captions are checked."""

MIXTURES = {
    "raw + bank": ("raw", "bank"),
    "template + bank": ("template", "bank"),
    "template + bank + better": ("template", "bank", "better, checked"),
}


@dataclass(frozen=True)
class Known:
    """What the facts say of the training samples.

    Attributes:
        uids: of the samples that have facts, in order.
        stated: (concept, polarity) of each sample's facts.
        exactly: the same with side and place, then with value and unit: samples with equal ones share what a model
            wrote.
    """

    uids: Sequence[str]
    stated: Mapping[str, frozenset[tuple[str, str]]]
    exactly: Mapping[str, frozenset[Exactly]]


def known(corpus: Corpus, trial: Trial) -> Known:
    """Facts of the training samples that have a vector."""
    splits = corpus.splits("default")
    subjects = {row["uid"]: row["subject"] for row in corpus.table("samples", columns=["uid", "subject"]).to_pylist()}
    with closing(corpus.connection()) as connection:
        chosen = {uid for (uid,) in connection.execute(f"SELECT uid FROM samples WHERE {trial.where}").fetchall()}
    vectors = set(corpus.table("embeddings", columns=["uid"])["uid"].to_pylist()) & chosen
    stated: dict[str, set[tuple[str, str]]] = defaultdict(set)
    exactly: dict[str, set[Exactly]] = defaultdict(set)
    for row in corpus.table("facts").to_pylist():
        uid = row["uid"]
        if uid not in vectors or splits.get(subjects[uid]) != "train":
            continue
        source = row["source"] or ""
        if not source.startswith(trial.facts or "") or "+" in source:  # with a plus: what a caption states once more
            continue
        fact = (name_key(row["concept"]), row["polarity"])
        stated[uid].add(fact)
        words = {k: v for k, v in json.loads(row["attributes"] or "{}").items() if k not in _HOW_READ}
        numbers = [row["value"], row["unit"], words.pop("size_mm", None)]
        exactly[uid].add((*fact, json.dumps(words, sort_keys=True), json.dumps(numbers)))
    uids = sorted(uid for uid in stated if trial.absent or not trial.facts or _anything(stated[uid]))
    return Known(uids, _frozen(stated), _frozen(exactly))


def _anything(stated: set[tuple[str, str]]) -> bool:
    return any(polarity == "present" for _, polarity in stated)


def _frozen(sets):
    return {uid: frozenset(values) for uid, values in sets.items()}


def asked(facts: Known, count: int) -> list[str]:
    """Samples that a model writes captions of: in turn one of each set of facts."""
    by: dict[frozenset[tuple[str, str]], list[str]] = defaultdict(list)
    for uid in facts.uids:
        by[facts.stated[uid]].append(uid)
    groups = sorted(by.values(), key=lambda uids: uids[0])
    turns = [uids[turn] for turn in range(max(map(len, groups))) for uids in groups if turn < len(uids)]
    return turns[:count]


def captioned(name: str, corpus: Path, models: Mapping[str, str]) -> None:
    """Write the captions of every source; what is finished is kept, and replies of models are."""
    trial, done = TRIALS[name], corpus.with_name("captioned")
    source = ("--facts-source", trial.facts) if trial.facts else ()
    if not done.exists():
        common = ("--variants", 3, "--absent", trial.absent, *source)
        voxtile("caption", "template", corpus, *common)
        # Noted as `roi`, so that one corpus holds them beside plain templates.
        voxtile("caption", "template", corpus, *common, "--bank", trial.domain, "--caption-kind", "roi")
        done.touch()
    facts = known(Corpus(corpus), trial)
    for model, named in models.items():
        for part, flags in ((model, ()), (f"{model}-unchecked", ("--unchecked",))):
            copy = corpus.with_name(part)
            if copy.with_name(f"{part}.done").exists():
                continue
            if not copy.exists():
                shutil.copytree(corpus, copy)
            count = ASKED_OF.get((name, model), ASKED[model])
            uids = ", ".join(repr(uid) for uid in asked(facts, count))
            chosen = ("--where", f"uid IN ({uids})", "--absent", trial.absent, *source)
            replies = ("--replies", corpus.with_name(f"{model}.replies"), *flags)
            voxtile("caption", "model", copy, "--provider", "local", "--model", named, *chosen, *replies)
            copy.with_name(f"{part}.done").touch()


def pools(name: str, corpus: Path) -> dict[str, Pool]:
    """Texts of each source that is there, for the training samples; mixtures are drawn in equal parts."""
    trial, store = TRIALS[name], Corpus(corpus)
    facts = known(store, trial)
    found: dict[str, Pool] = {
        "raw": _raw(store, trial, facts),
        "template": _of_kind(store, "template"),
        "bank": _of_kind(store, "roi"),
    }
    for model in ASKED:
        for part, said, refused in ((f"{model}-unchecked", "unchecked", ()), (model, "checked", REFUSED)):
            copy = corpus.with_name(part)
            if copy.with_name(f"{part}.done").exists():
                own = _of_kind(Corpus(copy), "rewrite", refused)
                found[f"{model}, {said}"] = shared(own, facts, trial.domain if trial.sentences else None)
    wanted = set(facts.uids)
    return {source: {uid: texts for uid, texts in pool.items() if uid in wanted} for source, pool in found.items()}


def _raw(store: Corpus, trial: Trial, facts: Known) -> Pool:
    if trial.raw is None and trial.of_slides:
        return _of_slides(store)
    if trial.raw is None:
        return _of_kind(store, "raw")
    return {uid: [trial.raw[fact] for fact in facts.stated[uid] if fact in trial.raw] for uid in facts.uids}


def _of_slides(store: Corpus) -> Pool:
    """Sentences of a slide's report for each of its patches, which is all that a report says of them."""
    own = _of_kind(store, "raw")
    study = {row["uid"]: row["study"] for row in store.table("samples", columns=["uid", "study"]).to_pylist()}
    said = {study[uid]: [part for text in texts for part in split_sentences(text)] for uid, texts in own.items()}
    return {uid: said[of] for uid, of in study.items() if said.get(of)}


def _of_kind(store: Corpus, kind: str, refused: Sequence[str] = ()) -> dict[str, list[str]]:
    bad = {row["caption_id"] for row in store.table("verdicts").to_pylist() if row["verdict"] in refused}
    found: dict[str, list[str]] = defaultdict(list)
    for row in store.table("captions", columns=["uid", "kind", "caption_id", "text"]).to_pylist():
        if row["kind"] == kind and row["caption_id"] not in bad:
            found[row["uid"]].append(row["text"])
    return dict(found)


def shared(own: Pool, facts: Known, by_sentences: str | None = None) -> dict[str, list[str]]:
    """What a model wrote of some samples, with all samples of which it is as true.

    Args:
        own: texts by uid.
        facts: of all samples.
        by_sentences: domain whose vocabulary says which findings a sentence names; None for whole texts.
    """
    vocabulary = installed_vocabularies()[by_sentences] if by_sentences else None
    found: dict[str, list[str]] = defaultdict(list)
    for uid, texts in own.items():
        for text in (part for said in texts for part in (split_sentences(said) if vocabulary else [said])):
            names = _named(text, vocabulary) if vocabulary else None
            wanted = _about(facts.exactly[uid], names, text)
            for other in facts.uids:
                is_alike = bool(wanted) and _about(facts.exactly[other], names, text) == wanted
                if (is_alike or other == uid) and text not in found[other]:
                    found[other].append(text)
    return {uid: texts for uid, texts in found.items() if texts}


def true_of(facts: Known, domain: str) -> Callable[[str], frozenset[str]]:
    """What finds the samples of which a sentence is true: their facts hold each finding that it states or denies.

    Sides and sizes are not compared, and of a sentence that names no finding nothing is known.
    """
    vocabulary = installed_vocabularies()[domain]

    def holders(text: str) -> frozenset[str]:
        claims = [claim for claim in claims_of(text, vocabulary) if claim.kind == "concept" and claim.concepts]
        said = [{(name_key(name), claim.polarity) for name in claim.concepts} for claim in claims]
        return frozenset(uid for uid in facts.uids if said and all(one & facts.stated[uid] for one in said))

    return holders


def _named(text: str, vocabulary: Vocabulary) -> frozenset[str]:
    return frozenset(name_key(concept) for claim in claims_of(text, vocabulary) for concept in claim.concepts)


def _about(rows: frozenset[Exactly], names: frozenset[str] | None, text: str) -> frozenset[tuple[str, ...]]:
    """The facts of some concepts; their numbers only where a text says one."""
    has_number = any(letter.isdecimal() for letter in text)
    return frozenset(row if has_number else row[:3] for row in rows if names is None or row[0] in names)
