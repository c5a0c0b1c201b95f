"""Image-text pairs from outside: what the three importers share.

One item is one image with its texts. The same image a second time is `dropped: duplicate`, but its captions are kept
under the first one's uid; `duplicate-in-another-split` where the source wants it in training and in test.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.splits import SPLIT_NAMES, split_of
from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item, Outcome, Status
from voxtile.errors import InputError
from voxtile.stages.ingest.deidentifier import without_identifiers
from voxtile.stages.ingest.duplicates import Duplicates, First
from voxtile.stages.ingest.picture import Picture, PictureError, read_picture, turned_by_exif
from voxtile.stages.ingest.text import Texts, caption_rows, check_texts

SPLIT_SCHEME = "default"
NO_IMAGE, NO_CAPTION = "no-image", "no-caption"
_CLASSES, _CLASS_RULE = "classnames", "classnames@1"
_ACROSS = "duplicate-in-another-split"


@dataclass(frozen=True)
class Pair:
    """One image and its texts, found but not yet read.

    Attributes:
        source: the ledger's name for it, relative to the input.
        where: JSON-able values from which the task reads image and texts again.
        nbytes: size of the image.
        edges: `edge_digest` of the image; None when the image cannot be read.
        full_hash: computes the image's sha-256.
        broken: why the pair cannot be read, in one sentence.
        told: a hash of its texts, where `where` says only where they are; captions are rewritten beside old images.
    """

    source: str
    where: Mapping[str, Any]
    nbytes: int = 0
    edges: str | None = None
    full_hash: Callable[[], str] | None = None
    broken: str | None = None
    told: str | None = None


@dataclass(frozen=True)
class PairOptions:
    """Settings of an import that change its output.

    Attributes:
        licence: written to every sample.
        modality: written to every sample.
        fractions: split → share of the subjects; a subject is a different image here unless the source names subjects.
        deidentify_texts: texts lose what identifies somebody.
    """

    licence: str | None = None
    modality: str = "RGB"
    fractions: Mapping[str, float] = field(default_factory=dict)
    deidentify_texts: bool = False


@dataclass(frozen=True)
class PairTask(ABC):
    """An engine task over pairs.

    Attributes:
        root: folder that the paths in `where` are relative to; no part of the task's identity.
        corpus: where the samples go, to find those that it has already; no part of the identity either.
        options: settings.
        reader: reads outside files for the plan.
    """

    root: str
    corpus: str
    options: PairOptions
    reader: PlanReader = field(default_factory=PlanReader, compare=False, repr=False, kw_only=True)

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name of the format."""

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Everything of the options."""
        options = self.options
        said = {"licence": options.licence, "modality": options.modality, "fractions": dict(options.fractions)}
        return said | ({"deidentify_texts": True} if options.deidentify_texts else {})

    @abstractmethod
    def pairs(self) -> Iterator[Pair]:
        """List the pairs of the source in a deterministic order."""

    @abstractmethod
    def image(self, where: Mapping[str, Any]) -> bytes:
        """Read the image of a pair.

        Raises:
            PictureError: there is none; the reason is the ledger's.
        """

    @abstractmethod
    def texts(self, where: Mapping[str, Any]) -> Sequence[str | bytes | None]:
        """Read the texts of a pair."""

    def class_of(self, where: Mapping[str, Any]) -> tuple[str, Sequence[str]] | None:
        """The class of a pair's image and all classes that there are; None where the format states none.

        Raises:
            PictureError: what is stated is no class.
        """
        return None

    def items(self) -> Iterator[Item]:
        """One item a pair; a repeated image names the first one.

        Raises:
            InputError: there is no pair.
        """
        seen = Duplicates(Path(self.corpus), self.name)
        empty = True
        for pair in self.pairs():
            empty = False
            inputs: dict[str, Any] = {"where": dict(pair.where), "edges": pair.edges}
            if pair.told is not None:
                inputs["texts_sha256"] = pair.told
            if pair.broken is not None:
                inputs["broken"] = pair.broken
            elif pair.edges is not None and pair.full_hash is not None:
                first = seen.first_of(pair.edges, First(pair.source, pair.where), pair.full_hash)
                if first is not None:
                    inputs["first"] = {"source": first.source, "where": first.where and dict(first.where)}
            yield Item(pair.source, inputs, cost=max(1, pair.nbytes))
        if empty:
            raise InputError(f"'{self.root}' holds no image-text pair to import; check the path and the format")

    def process(self, item: Item) -> Outcome:
        """Read one pair and decide what is stored."""
        if "broken" in item.inputs:
            return Outcome("failed", "unreadable-file", item.inputs["broken"])
        where = item.inputs["where"]
        try:
            data = self.image(where)
            picture = read_picture(data)
            named = self.class_of(where)
        except PictureError as error:
            status: Status = "dropped" if error.reason == NO_IMAGE else "failed"
            return Outcome(status, error.reason, f"{item.source}: {error}")
        texts = self._told(where)
        uid = sample_uid(hashlib.sha256(data).hexdigest())
        captions = caption_rows(uid, texts.accepted, source=item.source)
        told = ({"captions": captions} if captions else {}) | _class_rows(uid, named)
        if "first" in item.inputs:
            return replace(self._duplicate(item, told), parts=texts.left_out(uid))
        if not told:
            return _refusal(item.source, texts)
        row, split = self._rows(uid, picture, item)
        return Outcome(
            "used",
            samples=(Sample(row, picture.payload, picture.preview),),
            tables={**told, "splits": [split]},
            parts=(*texts.left_out(uid), *turned_by_exif(uid, data)),
        )

    def _told(self, where: Mapping[str, Any]) -> Texts:
        texts = check_texts(self.texts(where))
        if not self.options.deidentify_texts:
            return texts
        return Texts(without_identifiers(texts.accepted, [where.get("subject") or ""]), texts.refused)

    def _duplicate(self, item: Item, told: Mapping[str, list[Row]]) -> Outcome:
        first, captions = item.inputs["first"], told.get("captions", [])
        where = first["where"]
        is_in_plan = where is not None
        if is_in_plan and not check_texts(self.texts(where)).accepted and not self._has_class(where):
            detail = f"the same image as {first['source']}, which was refused for its caption"
            return Outcome("dropped", "duplicate", detail)
        detail, reason = f"the same image as {first['source']}, which got its {len(captions)} captions", "duplicate"
        own, other = item.inputs["where"].get("split"), (first["where"] or {}).get("split")
        if own and other and own != other:
            reason, detail = _ACROSS, f"{detail} and stays in {other}; the source has it in {own}, too"
        return Outcome("dropped", reason, detail, tables=dict(told))

    def _has_class(self, where: Mapping[str, Any]) -> bool:
        try:
            return self.class_of(where) is not None
        except PictureError:
            return False

    def _rows(self, uid: str, picture: Picture, item: Item) -> tuple[Row, Row]:
        where = item.inputs["where"]
        subject = where.get("subject") or uid
        split = where.get("split") or split_of(subject, self.options.fractions)
        row: Row = {
            "uid": uid,
            "subject": subject,
            "kind": "image",
            "modality": self.options.modality,
            **picture.columns(),
            "source": item.source,
            "licence": self.options.licence,
        }
        return row, {"scheme": SPLIT_SCHEME, "subject": subject, "split": split}


def placed(pairs: Iterable[Pair], splits: Mapping[str, str]) -> Iterator[Pair]:
    """Pairs with the splits of their files, unless they say their own.

    Args:
        pairs: each with its `file` in `where`.
        splits: file, relative → split.
    """
    for pair in pairs:
        split = splits.get(pair.where["file"])
        is_settled = split is None or "split" in pair.where
        yield pair if is_settled else replace(pair, where={**pair.where, "split": split})


def of_one_split(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """The pairs, where their splits are known ones and no subject is in two.

    Raises:
        InputError: another split, or a subject in two.
    """
    splits: dict[str, str] = {}
    for pair in pairs:
        subject, split = pair.where.get("subject"), pair.where.get("split")
        if split is not None and split not in SPLIT_NAMES.values():
            raise InputError(f"'{pair.source}' is of another split ('{split}'); use train, val or test")
        if subject and split and splits.setdefault(subject, split) != split:
            raise InputError(
                f"'{pair.source}' puts a subject into the split '{split}', and an earlier row into "
                f"'{splits[subject]}'; put all its images into one"
            )
        yield pair


def files_under(source: Path, suffixes: frozenset[str]) -> list[Path]:
    """The files with one of the suffixes (lower case, with dot), sorted: `source` itself or all below it.

    Raises:
        InputError: there is none.
    """
    if source.is_file():
        return [source]
    wanted = " or ".join(sorted(suffixes))
    if not source.is_dir():
        listed = "{" in source.name or "*" in source.name  # as open_clip and webdataset take shards
        advice = f"the folder '{source.parent}', all of which is read" if listed else "a folder"
        raise InputError(f"'{source}' does not exist; give {advice}, or a file that ends in {wanted}")
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    if not found:
        raise InputError(f"'{source}' holds no file that ends in {wanted}; check the path and the format")
    return found


def _class_rows(uid: str, named: tuple[str, Sequence[str]] | None) -> dict[str, list[Row]]:
    """The fact and the closed scope of an image with a class."""
    if named is None:
        return {}
    name, names = named
    fact: Row = {"uid": uid, "concept": name, "polarity": "present", "source": _CLASS_RULE}
    scope: Row = {"uid": uid, "vocabulary": _CLASSES, "closed": True, "concepts": list(names)}
    return {"facts": [fact], "scopes": [scope]}


def _refusal(source: str, texts: Texts) -> Outcome:
    reason, sentence = texts.refused[0] if texts.refused else (NO_CAPTION, "the image has no caption")
    return Outcome("dropped", reason, f"{source}: {sentence}")
