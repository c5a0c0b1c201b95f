"""The engine task of `voxtile facts --from concepts`: one item a part of the captions table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxtile.corpus.parts import part_bytes, part_paths, read_parts, table_schema
from voxtile.corpus.records import Row
from voxtile.data.sentences import split_sentences
from voxtile.engine.task import Item, Outcome
from voxtile.words.other_languages import is_of_another
from voxtile_medical.concept_tags.vocabulary import Term, Vocabulary
from voxtile_medical.reports.assertion.english import English

NAME = "concepts"
RULE = "concepts@1"
# What a caption says in one place of a concept counts before what it says in another.
_STRENGTH = {"present": 2, "uncertain": 1, "absent": 0}


@dataclass(frozen=True)
class ConceptTask:
    """The task.

    Attributes:
        corpus: its folder; no part of the identity.
        vocabulary: what is looked for.
        vocabulary_sha256: of its file.
        scope: name of the vocabulary.
        kinds: of the captions that are read.
    """

    corpus: str
    vocabulary: Vocabulary
    vocabulary_sha256: str
    scope: str
    kinds: tuple[str, ...]

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return NAME

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {"vocabulary_sha256": self.vocabulary_sha256, "scope": self.scope, "kinds": list(self.kinds)}

    def items(self) -> Iterator[Item]:
        """One item a part, so that captions which come later are read alone."""
        for path in part_paths(Path(self.corpus), "captions"):
            yield Item(f"{NAME}:{self.scope}/{path.stem}", {"part": path.stem}, cost=part_bytes(path))

    def process(self, item: Item) -> Outcome:
        """Facts of the captions of one part."""
        path = Path(self.corpus, "tables", "captions", f"{item.inputs['part']}.parquet")
        rows = read_parts([path], table_schema("captions"), ["uid", "caption_id", "text", "kind", "lang"])
        found: dict[tuple[str, str], Row] = {}
        for row in rows.to_pylist():
            if row["kind"] in self.kinds and (row["lang"] or "en").split("-")[0] == "en":
                self._read(row, found)
        if not found:
            return Outcome("dropped", "no-concept", "no caption of this part names a concept of the vocabulary")
        named: dict[str, list[str]] = {}
        for fact in found.values():
            named.setdefault(fact["uid"], []).append(fact["concept"])
        scopes = [
            {"uid": uid, "vocabulary": self.scope, "closed": False, "concepts": concepts}
            for uid, concepts in named.items()
        ]
        return Outcome("used", tables={"facts": list(found.values()), "scopes": scopes})

    def _read(self, row: Mapping[str, Any], found: dict[tuple[str, str], Row]) -> None:
        for sentence in split_sentences(row["text"]):
            if is_of_another(sentence):
                continue
            statement = self._english.statement(sentence)
            for match in self.vocabulary.find(statement.words):
                polarity = statement.polarity(match.start, match.end)
                if polarity is None:
                    continue  # of the history, of a condition, of somebody else
                key = row["uid"], match.payload.code
                if key not in found or _STRENGTH[polarity] > _STRENGTH[found[key]["polarity"]]:
                    found[key] = _fact(row, match.payload, polarity, sentence)

    @cached_property
    def _english(self) -> English:
        return English()


def _fact(row: Mapping[str, Any], term: Term, polarity: str, sentence: str) -> Row:
    about = {"term": term.text, "type": term.kind, "sentence": sentence, "caption_id": row["caption_id"]}
    return {
        "uid": row["uid"],
        "concept": term.name,
        "polarity": polarity,
        "code": term.code,
        "attributes": json.dumps({key: value for key, value in about.items() if value}, ensure_ascii=False),
        "source": RULE,
    }
