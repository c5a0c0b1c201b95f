"""The engine task of `voxtile check`: verdicts on the captions of a corpus that have none of this checker's version."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile_datasets.captions.checker.check import NAME, VERSION, Known, check
from voxtile_datasets.captions.checker.choose import choose
from voxtile_datasets.captions.checker.judging.metadata import metadata_of
from voxtile_datasets.captions.checker.rows import score_row, verdict_row
from voxtile_datasets.captions.checker.verdict import Verdict
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies, vocabulary_digests
from voxtile_datasets.captions.context.identifiers import identifiers_of
from voxtile_datasets.captions.known_facts import FACT_COLUMNS, facts_and_scopes, rows_of

RAW = "raw"
Judged: TypeAlias = tuple[Row, Known, Verdict]  # a caption, what is known of its sample, the verdict of the rules
_CAPTIONS = ("caption_id", "uid", "text", "lang", "kind")
_SAMPLES = (
    "uid", "subject", "study", "modality", "source", "sha256", "datetime", "gsd_m", "mpp", "spacing", "attributes",
    "geometry",
)  # fmt: skip
_SCOPES = ("uid", "vocabulary", "closed", "concepts")


def no_captions(corpus: Path, *, raw: bool) -> InputError:
    """What is said of a corpus without captions of the kinds that are judged."""
    hint = "" if raw else "; texts that came with the data are judged with --raw"
    return InputError(f"'{corpus}' has no captions to check; make some with: voxtile caption CORPUS{hint}")


@dataclass(frozen=True)
class CheckTask:
    """An item is a part of the captions table with captions that wait for a verdict.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        domain: whose vocabulary is used for all samples; None chooses by modality and facts.
        extra: vocabulary files that are joined to the domains'.
        raw: texts that came with the data are judged, too.
        version: of the verdicts that are written.
        key_file: the key map, where it is not beside the corpus.
        checker: name of the checker in the verdicts.
    """

    corpus: Path
    domain: str | None
    extra: tuple[Path, ...]
    raw: bool
    verdict_version: str
    key_file: Path | None = None
    checker: str = NAME

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "check"

    @property
    def version(self) -> str:
        """Of the checker."""
        return VERSION

    def config(self) -> Mapping[str, Any]:
        """Settings that change the verdicts, the vocabularies' content among them."""
        known = vocabulary_digests(self.extra)
        return {"domain": self.domain, "raw": self.raw, "vocabularies": known, "verdict_version": self.verdict_version}

    def items(self) -> Iterator[Item]:
        """One item a part of the captions table in which captions wait.

        Raises:
            InputError: the corpus has no captions of the kinds that are judged.
        """
        judged = judged_captions(self.corpus, self.verdict_version, self.checker)
        any_caption = False
        for part in part_paths(self.corpus, "captions"):
            captions = self._captions(part)
            any_caption = any_caption or bool(captions.num_rows)
            waiting = sorted(set(captions["caption_id"].to_pylist()) - judged)
            if waiting:
                digest = hashlib.sha256("".join(waiting).encode()).hexdigest()
                yield Item(f"check/{part.stem}", {"part": part.stem, "waiting": digest}, cost=len(waiting) * 1000)
        if not any_caption:
            raise no_captions(self.corpus, raw=self.raw)

    def process(self, item: Item) -> Outcome:
        """Verdicts on the waiting captions of one part."""
        judged, orphans = self.judged(item)
        if orphans:
            return Outcome("failed", "no-sample", f"the captions of {orphans} samples that the corpus does not hold")
        if not judged:
            return Outcome("dropped", "judged", "every caption of this part has a verdict")
        return Outcome("used", tables={"verdicts": self.rows(judged), "scores": self.scores(judged)})

    def rows(self, judged: list[Judged]) -> list[Row]:
        """Rows of the verdicts table."""
        return [verdict_row(row["caption_id"], verdict, version=self.verdict_version) for row, _, verdict in judged]

    def scores(self, judged: list[Judged]) -> list[Row]:
        """Rows of the scores table: how complete each caption is."""
        found = (score_row(row["caption_id"], verdict, version=self.verdict_version) for row, _, verdict in judged)
        return [row for row in found if row is not None]

    def judged(self, item: Item) -> tuple[list[Judged], int]:
        """The waiting captions of one part with what is known of their samples and the verdict of the rules.

        Returns:
            These, and the number of samples that captions name and the corpus does not hold.
        """
        captions = self._captions(self.corpus / "tables" / "captions" / f"{item.inputs['part']}.parquet")
        done = pa.array(sorted(judged_captions(self.corpus, self.verdict_version, self.checker)), pa.string())
        captions = captions.filter(pc.invert(pc.is_in(captions["caption_id"], done)))
        texts: dict[str, list[Row]] = defaultdict(list)
        for row in captions.to_pylist():
            texts[row["uid"]].append(row)
        found = []
        for uid, (known, vocabulary) in self.known(pa.array(sorted(texts), pa.string())).items():
            for row in texts.pop(uid):
                judged_as = known if row["lang"] in (None, "en") else _in_language(known, row["lang"])
                found.append((row, known, check(row["text"], judged_as, vocabulary)))
        return found, len(texts)

    def _captions(self, part: Path) -> pa.Table:
        captions = read_parts([part], table_schema("captions"), _CAPTIONS)
        return captions if self.raw else captions.filter(pc.not_equal(captions["kind"], RAW))

    def known(self, uids: pa.Array) -> dict[str, tuple[Known, Vocabulary]]:
        """What is known of each sample, and the vocabulary that it is judged by."""
        columns = (*FACT_COLUMNS, "region_id")
        facts, scopes = facts_and_scopes(
            self.corpus, uids, None, fact_columns=columns, scope_columns=_SCOPES, measured=True
        )
        facts_of, scopes_of = _by_uid(facts), _by_uid(scopes)
        vocabularies = _vocabularies(self.extra)
        common = _common_words(self.extra)
        key_path = key_map_path(self.corpus, self.key_file)
        key_map = KeyMap(key_path) if key_path.exists() else None
        found = {}
        for row in rows_of(self.corpus, "samples", uids, _SAMPLES).to_pylist():
            rows, looked_for = facts_of[row["uid"]], scopes_of[row["uid"]]
            path = key_map.path_of(row["source"] or "") if key_map else None
            named = identifiers_of([row], [path] if path else [], common)
            identifiers = tuple(sorted(named.whole | named.pieces))
            known = Known(rows, looked_for, identifiers, metadata=metadata_of(row))
            concepts = {r["concept"] for r in rows} | {c for s in looked_for for c in s["concepts"] or ()}
            domain = self.domain or choose(vocabularies, row["modality"], concepts)
            found[row["uid"]] = known, vocabularies[domain]
        return found


def judged_captions(corpus: Path, version: str, checker: str = NAME) -> frozenset[str]:
    """Ids of the captions that have a verdict of a checker and version."""
    parts = part_paths(corpus, "verdicts")
    if not parts:
        return frozenset()
    rows = read_parts(parts, table_schema("verdicts"), ("caption_id", "checker", "checker_version"))
    ours = pc.and_(pc.equal(rows["checker"], checker), pc.equal(rows["checker_version"], version))
    return frozenset(rows.filter(pc.fill_null(ours, False))["caption_id"].to_pylist())


def newest_version(corpus: Path, checker: str = NAME) -> str:
    """The newest version of a checker's verdicts in a corpus: `2`, or `2.2` after two repetitions."""
    parts = part_paths(corpus, "verdicts")
    if not parts:
        return VERSION
    rows = read_parts(parts, table_schema("verdicts"), ("checker", "checker_version"))
    versions = (
        rows.filter(pc.fill_null(pc.equal(rows["checker"], checker), False))["checker_version"].unique().to_pylist()
    )
    repeated = [
        int(rest) for v in versions if v and v.startswith(f"{VERSION}.") and (rest := v.split(".")[1]).isdecimal()
    ]
    return f"{VERSION}.{max(repeated)}" if repeated else VERSION


def repeated_version(newest: str) -> str:
    """The version of verdicts that replace those of another: `2.1` after `2`."""
    main, _, repeated = newest.partition(".")
    return f"{main}.{int(repeated or 0) + 1}"


def _in_language(known: Known, lang: str) -> Known:
    return replace(known, languages=(lang,))


@cache
def _vocabularies(extra: tuple[Path, ...]) -> Mapping[str, Vocabulary]:
    return installed_vocabularies(extra)


@cache
def _common_words(extra: tuple[Path, ...]) -> frozenset[str]:
    """Words of the vocabularies, which may be part of a file's name and name nobody."""
    return frozenset(word.casefold() for v in _vocabularies(extra).values() for word in v.known_words)


def _by_uid(table: pa.Table) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        found[row["uid"]].append(row)
    return found
