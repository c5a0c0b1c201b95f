"""Template captions as an engine task: the facts of each sample, worded from versioned banks without a network."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_dataset, part_paths, read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile_datasets.captions.absences import likely_confusions
from voxtile_datasets.captions.checker.choose import choose
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies, vocabulary_digests
from voxtile_datasets.captions.context.sample import NO_FACTS
from voxtile_datasets.captions.known_facts import WORDED, facts_and_scopes
from voxtile_datasets.captions.phrase_bank.compose import Composition
from voxtile_datasets.captions.plain_words import PlainWords
from voxtile_datasets.captions.reconcile import PRECEDENCE, reconcile
from voxtile_datasets.captions.sentences import fact_sentences, report
from voxtile_datasets.captions.stated_facts import Fact, Subject, body_part
from voxtile_datasets.captions.wordings import Bank, bank_for

_COLUMNS = ("uid", "modality", "attributes", "spacing")


@dataclass(frozen=True)
class TemplateTask:
    """The engine task: an item is a part of the samples table with what is known of its samples.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        banks: wordings, in the order of precedence.
        kind: one caption a sample (`report`) or a fact (`fact`).
        variants: how many wordings of each.
        absent: at most so many absences a caption set.
        precedence: beginnings of the facts' sources; where several speak of the same, the first one is said.
        facts_source: only facts whose source begins so are worded; None for all.
        caption_kind: noted in the captions table.
        composition: a phrase bank, and how it is used.
        plain: says the same facts in the same words everywhere; None for varied words.
        closed: concepts of which silence is a denial, where a sample has facts of the source.
        concepts: what is said at all; everything where empty.
    """

    corpus: str
    banks: tuple[Bank, ...]
    kind: Literal["report", "fact"]
    variants: int
    absent: int
    precedence: tuple[str, ...] = PRECEDENCE
    facts_source: str | None = None
    caption_kind: Literal["template", "roi", "structured"] = "template"
    composition: Composition | None = None
    plain: PlainWords | None = None
    closed: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "template"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "3"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output, the banks' content among them."""
        banks = [[bank.identity, bank.sha256] for bank in self.banks]
        choice: dict[str, Any] = {"kind": self.kind, "variants": self.variants, "absent": self.absent}
        choice["precedence"] = list(self.precedence)
        choice["vocabularies"] = sorted(vocabulary_digests().values())
        noted: dict[str, Any] = {} if self.caption_kind == "template" else {"caption_kind": self.caption_kind}
        if self.plain is not None:
            noted |= {"words": "plain", **self.plain.noted()}
        if self.concepts:
            noted["concepts"] = sorted(self.concepts)
        if self.closed:
            noted["closed"] = sorted(self.closed)
        if self.composition is not None:
            used = self.composition
            noted["phrases"] = [used.bank.identity, used.bank.sha256, used.seed, used.described, used.signed_only]
        return {**choice, **noted, "facts_source": self.facts_source, "banks": banks}

    def items(self) -> Iterator[Item]:
        """One item a part; facts that arrive later make it a new one."""
        parts = part_paths(Path(self.corpus), "samples")
        empty = True
        for path in parts:
            known = _known(Path(self.corpus), path, self.facts_source)
            digest = hashlib.sha256()
            for table in known[1:]:
                for row in sorted(map(repr, table.to_pylist())):
                    digest.update(row.encode())
            empty = empty and not known[1].num_rows and not known[2].num_rows
            yield Item(
                f"template:{self.kind}/{path.stem}",
                {"part": path.stem, "facts": digest.hexdigest()},
                cost=known[0].num_rows,
            )
        if empty:
            raise InputError(why_nothing_is_worded(Path(self.corpus), self.facts_source))

    def process(self, item: Item) -> Outcome:
        """Captions of the samples of one part, and what each of their sentences states."""
        root = Path(self.corpus)
        part = root / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        samples, facts, scopes = _known(root, part, self.facts_source)
        sources = {
            (row["uid"], row["concept"], row["polarity"]): row["source"] or ""
            for row in reversed(facts.select(["uid", "concept", "polarity", "source"]).to_pylist())
        }
        captions: list[Row] = []
        stated: list[Row] = []
        for subject, bank in subjects_of(samples, facts, scopes, self.banks, self.precedence, self.closed):
            texts, evidence = self._texts(self._chosen(subject), bank)
            for number, text in enumerate(texts):
                model = self._model(bank)
                identity = "\0".join((subject.uid, self.caption_kind, model, self.kind, str(number), text))
                caption_id = hashlib.sha256(identity.encode()).hexdigest()[:32]
                row: Row = {"caption_id": caption_id, "uid": subject.uid, "text": text, "lang": "en"}
                captions.append({**row, "kind": self.caption_kind, "provider": "template", "model": model})
            for fact, sentences in evidence.items():
                silent = (self.facts_source or "scope") if fact.concept in self.closed else "scope"
                source = sources.get((subject.uid, fact.concept, fact.polarity), silent)
                row = {"uid": subject.uid, "concept": fact.concept, "polarity": fact.polarity}
                attributes = json.dumps({"evidence": list(sentences)})
                stated.append({**row, "attributes": attributes, "source": f"{source}{WORDED}{self.version}"})
        if not captions:
            return Outcome("dropped", NO_FACTS, "no sample of this part has a fact")
        uids = samples["uid"].combine_chunks()
        captions = _new(root, "captions", uids, captions, ("caption_id",))
        stated = _new(root, "facts", uids, stated, ("uid", "concept", "polarity", "source", "attributes"))
        return Outcome("used", tables={"captions": captions, "facts": stated})

    def _chosen(self, subject: Subject) -> Subject:
        """What is said of a subject at all."""
        if not self.concepts:
            return subject
        facts = tuple(fact for fact in subject.facts if fact.concept in self.concepts)
        return replace(subject, facts=facts, implied=tuple(c for c in subject.implied if c in self.concepts))

    def _model(self, bank: Bank) -> str:
        """What the captions table calls the banks."""
        return f"{bank.identity}+{self.composition.bank.identity}" if self.composition else bank.identity

    def _texts(self, subject: Subject, bank: Bank) -> tuple[list[str], dict[Fact, dict[str, None]]]:
        """The captions of a sample, and for each fact the sentences that say it."""
        texts: dict[str, None] = {}
        evidence: dict[Fact, dict[str, None]] = defaultdict(dict)
        for variant in range(self.variants):
            say = self.plain or (self.composition.say if self.composition else None)
            pairs = fact_sentences(subject, bank, variant=variant, absent=self.absent, say=say)
            for fact, sentence in pairs:
                evidence[fact][sentence] = None
            if self.kind == "fact":
                texts |= dict.fromkeys(sentence for _, sentence in pairs)
            elif text := report(subject, bank, variant=variant, absent=self.absent, say=say):
                texts[text] = None
        return list(texts), evidence


def why_nothing_is_worded(root: Path, source: str | None) -> str:
    """Why a corpus has nothing to word, and what to do next.

    Args:
        root: the corpus.
        source: whose facts are asked for; all where it is None.
    """
    rows = Corpus(root).table("facts", ["source"]).to_pylist() if source else []
    named = {str(row["source"] or "unnamed") for row in rows}
    known = sorted({name.split("@")[0] for name in named if WORDED not in name})
    if known:
        return f"no fact of '{root}' comes from '{source}' (--facts-source); its sources are {', '.join(known)}"
    return (
        f"'{root}' has no facts to caption; make some with: voxtile facts {root} --from NAME "
        "(labels, reports, osm, …; 'voxtile domains' lists the names)"
    )


def _known(root: Path, part: Path, source: str | None) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Samples of one part, and the findings and scopes about them."""
    samples = read_parts([part], table_schema("samples"), _COLUMNS)
    return samples, *facts_and_scopes(root, samples["uid"].combine_chunks(), source)


def _new(root: Path, table: str, uids: pa.Array, rows: list[Row], key: Sequence[str]) -> list[Row]:
    """Rows that the corpus lacks: a run with other options, or after further facts, words much as an earlier one did.

    Args:
        root: the corpus.
        table: that they are for.
        uids: of the samples that they are about.
        rows: what would be stored.
        key: columns by which rows are the same.
    """
    parts = part_paths(root, table)
    if not parts:
        return rows
    about = pc.field("uid").isin(uids)
    found = part_dataset(parts, table_schema(table)).to_table(columns=list(key), filter=about)
    known = {tuple(row.values()) for row in found.to_pylist()}
    return [row for row in rows if tuple(row[name] for name in key) not in known]


# Attributes of facts that no picture shows (a stage, a receptor), and of those that another fact says more closely.
_UNWORDED = ('"of_case"', '"implied_by"')


def subjects_of(
    samples: pa.Table,
    facts: pa.Table,
    scopes: pa.Table,
    banks: Sequence[Bank],
    precedence: Sequence[str] = PRECEDENCE,
    closed: Sequence[str] = (),
) -> Iterator[tuple[Subject, Bank]]:
    """What is said of each sample of which anything is known, and the bank that words it.

    Args:
        samples: of one part.
        facts: about them.
        scopes: what was looked for.
        banks: wordings, in the order of precedence.
        precedence: of the facts' sources.
        closed: concepts that are absent where a sample has facts, but none of these.
    """
    vocabularies = installed_vocabularies()
    stated: dict[str, list[Row]] = defaultdict(list)
    for row in facts.to_pylist():
        if any(mark in (row["attributes"] or "") for mark in _UNWORDED):
            continue
        stated[row["uid"]].append(row)
    looked_for: dict[str, dict[str, None]] = defaultdict(dict)
    for row in scopes.to_pylist():
        if row["closed"]:
            looked_for[row["uid"]] |= dict.fromkeys(row["concepts"] or ())
    seen = frozenset(row["concept"] for rows in stated.values() for row in rows if row["polarity"] == "present")
    for row in samples.to_pylist():
        uid, modality = row["uid"], row["modality"]
        rows, asked = stated[uid], looked_for[uid]
        if not rows and not asked:
            continue
        if rows:
            asked = asked | dict.fromkeys(closed)
        names = [*(fact["concept"] for fact in rows), *asked]
        bank = bank_for(banks, modality, names)
        vocabulary = vocabularies[choose(vocabularies, modality, names)]
        said = reconcile(
            rows, bank, vocabulary, uid=uid, precedence=precedence, spacing_mm=_in_plane(row["spacing"])
        ).facts  # fmt: skip
        implied = _implied(asked, rows, vocabulary)
        found = [fact.concept for fact in said if fact.polarity != "absent"]
        likely = likely_confusions(found, [*implied, *(fact.concept for fact in said)], vocabulary)
        yield Subject(uid, modality, body_part(row["attributes"]), said, implied, likely, seen), bank


def _implied(asked: Iterable[str], rows: Sequence[Row], vocabulary: Vocabulary) -> tuple[str, ...]:
    """What closed scopes say is absent: nothing that a source speaks of, nor what is more general or a kind of it."""
    known = {row["concept"] for row in rows}
    found = {row["concept"] for row in rows if row["polarity"] != "absent"}
    own = {name for concept in found for name in vocabulary.resolve(concept)}
    related = {name for one in own for name in vocabulary.above(one) | vocabulary.below(one)}
    return tuple(
        concept for concept in asked if concept not in known and not related & set(vocabulary.resolve(concept))
    )


def _in_plane(spacing: Sequence[float] | None) -> float | None:
    """The larger spacing in the plane, in millimetres."""
    return max(spacing[-2:]) if spacing and len(spacing) > 1 else None
