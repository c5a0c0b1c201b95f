"""The engine task of all recipes whose pictures are files: checked, stored, with facts, captions and splits."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image
from rich.console import Console

from voxtile.corpus.codecs import MAX_PICTURE_PIXELS
from voxtile.corpus.identity import file_edges, sample_uid
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.splits import parse_fractions, split_of
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import InputError
from voxtile.stages.ingest.picture import PictureError, read_picture
from voxtile.stages.ingest.text import caption_rows, check_texts
from voxtile_datasets.recipes.download import such_as, tell_classes, tell_incomplete
from voxtile_pathology.annotations.regions import mask_region
from voxtile_pathology.recipes.collection import Collection, Entry
from voxtile_pathology.recipes.masks import class_masks, read_indices

Listing: TypeAlias = Callable[[Path], Iterator[Entry]]
_RULE_VERSION = "1"


@dataclass(frozen=True)
class PatchTask:
    """The engine task: an item is a picture.

    Attributes:
        root: the data set's folder; no part of the task's identity.
        collection: what is known of the data set.
        listing: "module:function" that lists its pictures; called where the plan is made, not in workers.
        fractions: split → share, for subjects without an official split.
    """

    root: str
    collection: Collection
    listing: str
    fractions: Mapping[str, float]

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return self.collection.name

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        classes = {name: dict(known) for name, known in self.collection.classes.items()}
        held = {"licence": self.collection.licence, "classes": classes, "fractions": dict(self.fractions)}
        if not self.collection.mask_classes:
            return held
        return {**held, "masks": [dict(self.collection.mask_classes), self.collection.mask_threshold]}

    def items(self) -> Iterator[Item]:
        """One item a picture.

        Raises:
            InputError: the folder is not that of the data set.
        """
        module, _, function = self.listing.partition(":")
        entries: Listing = getattr(importlib.import_module(module), function)
        found, missing = 0, list[str]()
        seen: dict[str, set[str]] = {name: set() for name in self.collection.classes}
        for entry in entries(Path(self.root)):
            source = f"{self.name}/{entry.path}"
            if entry.is_missing:
                missing.append(entry.path)
                yield Item(source, {"path": entry.path, "missing": True})
                continue
            found += 1
            for name, classes in entry.labels.items():
                seen[name].update(classes)
            size, edges = file_edges(Path(self.root, entry.path))
            inputs = {"path": entry.path, "edges": edges, "about": _about(entry)}
            if entry.mask:
                inputs["mask_edges"] = file_edges(Path(self.root, entry.mask))[1]
            yield Item(source, inputs, cost=max(1, size))
        if not found:
            raise InputError(
                f"'{self.root}' holds no picture of {self.collection.title}{such_as(missing)}; give the folder as it "
                f"is downloaded from {self.collection.home}"
            )
        root, title = Path(self.root), self.collection.title
        tell_incomplete(root, title, found, missing)
        for name, held in seen.items():
            tell_classes(root, title, self.collection.vocabulary(name), held)

    def process(self, item: Item) -> Outcome:
        """Read one picture and what is known of it."""
        if "missing" in item.inputs:
            return Outcome("dropped", "missing-file", "a table names the picture, but the folder does not hold it")
        data = Path(self.root, item.inputs["path"]).read_bytes()
        try:
            picture = read_picture(as_stored(data))
        except PictureError as error:
            return Outcome("failed", error.reason, str(error))
        about = item.inputs["about"]
        uid = sample_uid(hashlib.sha256(data).hexdigest(), region=self.name)
        texts = check_texts(about["texts"])
        subject = f"{self.name}-{about['subject'] or about['path']}"
        split = about["split"] or split_of(subject, self.fractions)
        mpp = about["mpp"] or self.collection.mpp
        attributes = {**about["attributes"]}
        if self.collection.body_part:
            attributes["body_part"] = self.collection.body_part
        row: Row = {
            "uid": uid,
            "subject": subject,
            "study": f"{self.name}-{about['study']}" if about["study"] else None,
            "kind": "patch",
            "modality": "SM",
            **picture.columns(),
            "mpp": [mpp, mpp] if mpp else None,
            "source": item.source,
            "licence": self.collection.licence,
            "attributes": json.dumps(attributes, sort_keys=True) if attributes else None,
        }
        tables = label_rows(self.collection, uid, about["labels"])
        tables["captions"] = caption_rows(uid, texts.accepted, source=item.source)
        tables["splits"] = [{"scheme": "default", "subject": subject, "split": split}]
        detail = "; ".join(sentence for _, sentence in texts.refused) or None
        sample = Sample(row, picture.payload, picture.preview)
        outcome = Outcome("used", detail=detail, samples=(sample,), tables=tables)
        return self._with_regions(outcome, about["mask"]) if about["mask"] else outcome

    def _with_regions(self, outcome: Outcome, path: str) -> Outcome:
        """The outcome with the regions of a label mask; one that cannot be used is a failed part."""
        row = outcome.samples[0].row
        try:
            indices = read_indices(Path(self.root, path), self.collection)
            if list(indices.shape) != list(row["shape"][:2]):
                height, width = indices.shape
                raise InputError(
                    f"'{path}' has {width} x {height} pixels, and its picture has others; replace the file"
                )
        except InputError as error:
            return replace(outcome, parts=(Part(row["uid"], "failed", "unreadable-mask", str(error)),))
        source = f"{self.name}@{_RULE_VERSION}"
        found = (mask_region(row["uid"], name, mask, source) for name, mask in class_masks(indices, self.collection))
        return replace(outcome, masks=tuple(region for region in found if region is not None))


def build(
    collection: Collection,
    listing: str,
    source: Path,
    corpus: Path,
    *,
    run: RunOptions,
    split_fractions: str = "1,0,0",
) -> None:
    """Build a corpus from a data set.

    Args:
        collection: what is known of the data set.
        listing: "module:function" that lists its pictures.
        source: its folder.
        corpus: the corpus to add to; made if it does not exist.
        run: how to run.
        split_fractions: shares of train, val and test, for subjects without an official split.

    Raises:
        InputError: the folder is not that of the data set.
        RunFailedError: some pictures could not be read; the rest is stored.
    """
    if not source.is_dir():
        raise InputError(f"'{source}' is not a folder; give the folder of {collection.title} ({collection.home})")
    Console(stderr=True).print(f"{collection.title}: {collection.licence}", highlight=False, markup=False)
    task = PatchTask(str(source), collection, listing, parse_fractions(split_fractions))
    run_task(task, corpus, run, plan_apart=True).raise_if_failed()


def label_rows(collection: Collection, uid: str, labels: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Facts and closed scopes of one sample.

    Args:
        collection: the data set.
        uid: the sample.
        labels: vocabulary → classes that hold.
    """
    source = f"{collection.name}@{_RULE_VERSION}"
    facts: list[Row] = []
    scopes: list[Row] = []
    for vocabulary, classes in labels.items():
        facts += [{"uid": uid, "concept": name, "polarity": "present", "source": source} for name in classes]
        concepts = collection.vocabulary(vocabulary)
        scopes.append({"uid": uid, "vocabulary": vocabulary, "closed": True, "concepts": concepts})
    return {"facts": facts, "scopes": scopes}


def as_stored(data: bytes) -> bytes:
    """JPEG and PNG as they are; TIFF and BMP as PNG with the same pixels.

    Raises:
        PictureError: the file is not a picture, or not an 8-bit one.
    """
    if not data.startswith((b"II*\0", b"MM\0*", b"BM")):
        return data
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF", "BMP"]) as image:
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise PictureError("too-large", f"the picture has {image.width} × {image.height} pixels; tile it first")
            if image.mode not in ("L", "RGB", "RGBA", "P"):
                raise PictureError("bit-depth", f"the picture has the mode {image.mode}; convert it to 8-bit RGB")
            out = io.BytesIO()
            image.convert("L" if image.mode == "L" else "RGB").save(out, "PNG", compress_level=3)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PictureError("decode-error", f"the picture does not decode ({reason}); replace the file") from error
    return out.getvalue()


def _about(entry: Entry) -> dict[str, Any]:
    about = {key: value for key, value in asdict(entry).items() if key != "is_missing"}
    about["labels"] = {name: list(classes) for name, classes in entry.labels.items()}
    return about | {"texts": list(entry.texts), "attributes": dict(entry.attributes)}
