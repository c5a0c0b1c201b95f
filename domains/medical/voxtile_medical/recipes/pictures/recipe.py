"""The recipe of all sets of pictures: what a YAML file says of one becomes samples with facts, regions and reports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Mask, Row
from voxtile.engine.task import Item, Part
from voxtile.errors import InputError
from voxtile.stages.ingest.picture import PictureError
from voxtile_datasets.recipes.entries import Entry, FileRecipe
from voxtile_datasets.recipes.recipe import DroppedError, Record
from voxtile_medical.dicom.series_kinds import PICTURE_MODALITIES
from voxtile_medical.recipes.pictures.entries import PictureEntry, list_entries
from voxtile_medical.recipes.pictures.picture_set import PictureSet
from voxtile_medical.recipes.pictures.pixels import Pixels, read_pixels
from voxtile_medical.recipes.pictures.regions import box_region, mask_regions
from voxtile_medical.series_roles.facts import role_facts

_LARGEST_REPORT = 1 << 20  # bytes; the longest reports have 20 kB


@dataclass(frozen=True)
class Pictures(FileRecipe):
    """A set of pictures.

    Attributes:
        data: what its YAML file says.
    """

    version: ClassVar[str] = "1"

    data: PictureSet

    def config(self) -> dict[str, Any]:
        """Which set it is, where it is from, and what its makers ask for."""
        return {"set": self.data.name, "source": self.data.source, "access": self.data.access}

    def entries(self, root: Path) -> Iterator[PictureEntry]:
        """The pictures that its tables name."""
        return list_entries(root, self.data)

    def entry_of(self, item: Item) -> PictureEntry:
        """Back from `item`; missing where a file is."""
        entry = PictureEntry.from_inputs(item.inputs["entry"])
        if entry.refusal:
            raise DroppedError(*entry.refusal)
        missing = [file for file, edge in zip(entry.files, item.inputs["edges"], strict=True) if edge is None]
        return PictureEntry(entry.key, tuple(missing), is_missing=True) if missing else entry

    def record(self, root: Path, entry: Entry, item: Item) -> Iterator[Record | Part]:
        """The picture with its facts, regions and report."""
        entry = cast(PictureEntry, entry)
        name, data = self.data.name, (root / entry.files[0]).read_bytes()
        try:
            pixels = read_pixels(root, entry.files[0], data, is_grey=self.data.modality in PICTURE_MODALITIES)
        except PictureError as error:
            raise PictureError(error.reason, f"{entry.key}: {error}") from error
        uid = sample_uid(hashlib.sha256(data).hexdigest(), region=f"{name}/{entry.key}")
        parts = [Part(uid, "dropped", reason, why) for reason, why in pixels.doubts]
        if entry.attributes.get("polarity") == "uncertain":
            why = "its DICOM object was in MONOCHROME1, and nothing says whether the picture was turned"
            parts.append(Part(uid, "dropped", "uncertain-polarity", why))
        masks, regions = self._regions(root, entry, uid, pixels, parts)
        row: Row = {**pixels.row, **self._columns(entry, pixels)}
        attributes = {**pixels.attributes, **entry.attributes}
        facts, scopes = self._facts(uid, entry)
        roles = role_facts({"uid": uid, "modality": row["modality"], "attributes": _json(attributes)})
        yield Record(
            uid,
            f"{name}-{entry.subject}",
            item.source,
            pixels.payload,
            row,
            pixels.preview,
            split=entry.split,
            texts=(*entry.texts, *self._report(root, entry)),
            text_source=item.source,
            text_provider=name,
            text_language=entry.language,
            attributes=attributes,
            tables={"facts": [*facts, *roles], "scopes": scopes, "regions": regions},
            masks=masks,
        )
        yield from parts

    def _columns(self, entry: PictureEntry, pixels: Pixels) -> Row:
        columns: Row = {"kind": "image", **entry.row}
        if pixels.row.get("modality") in PICTURE_MODALITIES:
            columns["modality"] = pixels.row["modality"]
        columns["study"] = f"{self.data.name}-{entry.study}" if entry.study else None
        if entry.scaled_from:
            by_row, by_column, height, width = entry.scaled_from
            columns["spacing"] = [by_row * height / pixels.shape[0], by_column * width / pixels.shape[1]]
        return columns

    def _facts(self, uid: str, entry: PictureEntry) -> tuple[list[Row], list[Row]]:
        rule = f"{self.data.name}@{self.version}"
        facts: list[Row] = []
        scopes: list[Row] = []
        concepts: Mapping[str, list[str]] = {rule.vocabulary: rule.concepts for rule in self.data.findings}
        for labelled in entry.labelled:
            for fact in labelled.facts:
                source = f"{rule}/{fact.method}" if fact.method else rule
                facts.append({"uid": uid, "concept": fact.concept, "polarity": fact.polarity, "source": source})
                if fact.code:
                    facts[-1]["code"] = fact.code
            known = concepts[labelled.vocabulary] or [fact.concept for fact in labelled.facts]
            scopes.append(
                {"uid": uid, "vocabulary": labelled.vocabulary, "closed": labelled.is_closed, "concepts": known}
            )
        return facts, scopes

    def _regions(
        self, root: Path, entry: PictureEntry, uid: str, pixels: Pixels, parts: list[Part]
    ) -> tuple[tuple[Mask, ...], list[Row]]:
        rule, regions = f"{self.data.name}@{self.version}", list[Row]()
        for number, box in enumerate(entry.boxes):
            region = box_region(uid, number, box, pixels.shape, rule)
            if region is None:
                why = f"a box of '{box.phrase}' lies outside the picture or has no area"
                parts.append(Part(uid, "dropped", "box-outside", why))
            else:
                regions.append(region)
        try:
            return tuple(mask_regions(root, entry, uid, pixels.shape, rule)), regions
        except InputError as error:
            parts.append(Part(uid, "failed", "unreadable-mask", str(error)))
            return (), regions

    def _report(self, root: Path, entry: PictureEntry) -> list[str]:
        """The text of the report's file; one that is not UTF-8 is that of Windows, in which every byte is something."""
        if entry.report is None:
            return []
        path = root / entry.report
        if path.stat().st_size > _LARGEST_REPORT:
            raise PictureError("unreadable-report", f"the report '{entry.report}' is larger than 1 MiB; replace it")
        data = path.read_bytes()
        try:
            return [data.decode("utf-8-sig")]
        except UnicodeDecodeError:
            return [data.decode("cp1252", errors="replace")]


def _json(attributes: Mapping[str, Any]) -> str:
    return json.dumps(dict(attributes), default=str)
