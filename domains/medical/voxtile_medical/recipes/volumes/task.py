"""The conversion of a data set's volumes: that of NIfTI files, with what the set's tables say of each."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome
from voxtile.file_edges import probe_digests
from voxtile.formats.sampling import evenly_spread
from voxtile.stages.ingest.text import caption_rows
from voxtile_medical.dicom_header.attributes import attributes_of
from voxtile_medical.nifti.header import NiftiHeader, read_nifti_header
from voxtile_medical.nifti.task import NiftiTask
from voxtile_medical.orientation import LPS_TO_RAS, Affine
from voxtile_medical.recipes.volumes.arrays import array_header, read_array
from voxtile_medical.recipes.volumes.listing import LeftOut, Listing
from voxtile_medical.recipes.volumes.volume import Volume
from voxtile_medical.series_roles.words import description_words
from voxtile_medical.verdicts import Verdict

_LFS = b"version https://git-lfs"
_SHOWN_HU = {"air": (-1100.0, -700.0), "soft tissue": (-200.0, 300.0)}
_LEAST = 0.01  # of the voxels: lungs alone are a tenth of a chest CT, and muscle and fat more
_SAMPLED = 1 << 18  # voxels that are looked at


@dataclass(frozen=True)
class VolumeTask(NiftiTask):
    """Converts the volumes of a listing.

    Attributes:
        set_name: name of the set, which begins the rule of its labels.
        set_version: bumped whenever the samples of the same download change.
        vocabularies: vocabulary → all its concepts.
        blank_headers: headers that say nothing are filled from the geometry table.
        shows_air: images without air are refused.
        listing: None in workers, which get the plan only.
    """

    set_name: str = ""
    set_version: str = "1"
    vocabularies: Mapping[str, list[str]] = field(default_factory=dict)
    blank_headers: bool = False
    shows_air: bool = False
    listing: Listing | None = field(default=None, compare=False, repr=False)
    stays = ("planner", "listing")

    @property
    def name(self) -> str:
        """Short name."""
        return self.set_name

    @property
    def version(self) -> str:
        """Version of the output."""
        return self.set_version

    def items(self) -> Iterable[Item]:
        """One item a volume, and one for each thing that is left out."""
        planner = self.own_planner
        if self.listing is None:
            raise RuntimeError("the plan is made in the process that listed the download")
        root = self.listing.root
        volumes = self.listing.volumes
        probes = probe_digests(root / volume.path for volume in volumes)
        items = [self._volume_item(root, volume, probe) for volume, probe in zip(volumes, probes, strict=True)]
        items += [_left_item(planner.source_name(left.name), left) for left in self.listing.left_out]
        planner.save()
        return items

    def _volume_item(self, root: Path, volume: Volume, probe: str | None) -> Item:
        planner, size = self.own_planner, (root / volume.path).stat().st_size
        inputs = {
            "kind": "file",
            "path": volume.path,
            "size": size,
            "content": planner.names.name("content", volume.path),
            "subject": planner.subject_name(volume.subject),
            "study": planner.names.name("study", volume.study),
            "split": volume.split or planner.splits.of(volume.subject),
            "texts": [text for kind, text in volume.texts if kind == "raw"],
            "other_texts": [[kind, text] for kind, text in volume.texts if kind != "raw"],
            "modality": volume.rule.modality,
            "labels": {name: dict(told) for name, told in volume.labels.items()},
            "locations": {concept: list(found) for concept, found in volume.locations.items()},
            "geometry": dict(volume.geometry),
            "channels": list(volume.rule.channels),
        }
        if probe is not None:  # without it another release's file of this name and size were taken for this one
            inputs["probes"] = planner.names.name("content", probe)
        if volume.rule.array:
            inputs["array"] = {"name": volume.rule.array, "spacing": volume.rule.spacing}
        described = _described(volume.rule.series) if volume.rule.series else {}
        sidecar = {"units": volume.rule.units, "attributes": described}
        return Item(planner.source_name(volume.path), inputs | {"sidecar": sidecar}, cost=size)

    def process(self, item: Item) -> Outcome:
        """Turn one file into samples with their labels, in a worker."""
        if item.inputs["kind"] == "left":
            return Outcome("dropped", item.inputs["reason"], item.inputs["detail"])
        root = self.source if self.source.is_dir() else self.source.parent
        if _is_pointer(root / item.inputs["path"]):
            return Outcome(
                "dropped", "missing-file", "a pointer of Git LFS in place of the file; download the file itself"
            )
        outcome = super().process(item)
        if outcome.status != "used":
            return outcome
        tables = {name: list(rows) for name, rows in outcome.tables.items()}
        for sample in outcome.samples:
            for name, rows in self._rows_of_tables(str(sample.row["uid"]), item.inputs).items():
                tables.setdefault(name, []).extend(rows)
        return replace(outcome, tables={name: rows for name, rows in tables.items() if rows})

    def _rows_of_tables(self, uid: str, inputs: Mapping[str, Any]) -> dict[str, list[Row]]:
        """Facts of a sample's labels, and texts that nobody wrote; labels of which nothing is said are in no scope."""
        rule, labels, places = f"{self.set_name}@{self.set_version}", inputs["labels"], inputs["locations"]
        facts: list[Row] = [
            {
                "uid": uid,
                "concept": concept,
                "polarity": polarity,
                "attributes": json.dumps({"stated_locations": places[concept]}) if concept in places else None,
                "source": rule,
            }
            for told in labels.values()
            for concept, polarity in told.items()
            if polarity != "absent"
        ]
        scopes: list[Row] = [
            {
                "uid": uid,
                "vocabulary": name,
                "closed": True,
                "concepts": [
                    concept for concept in self.vocabularies[name] if told.get(concept) in ("present", "absent")
                ],
            }
            for name, told in labels.items()
        ]
        captions = [
            row
            for kind, text in inputs["other_texts"]
            for row in caption_rows(uid, (text,), source=self.set_name, kind=kind, provider=self.set_name)
        ]
        return {"facts": facts, "scopes": scopes, "captions": captions}

    def read_header(self, path: Path, inputs: Mapping[str, Any]) -> NiftiHeader:
        """The file's header; where it is blank, with the geometry and scale of the set's table."""
        if "array" in inputs:
            return array_header(path, **inputs["array"])
        if not self.blank_headers:
            return super().read_header(path, inputs)
        header = read_nifti_header(path, "assume")
        if np.array_equal(np.abs(header.affine), np.eye(4)):
            return _filled(header, inputs["geometry"])
        return super().read_header(path, inputs)

    def read_values(self, path: Path, header: NiftiHeader, inputs: Mapping[str, Any]) -> list[npt.NDArray[Any]]:
        """The volumes of a file."""
        if "array" in inputs:
            return [read_array(path, inputs["array"]["name"])]
        return super().read_values(path, header, inputs)

    def volume_attributes(self, number: int, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What a volume of a 4D file shows."""
        channels = inputs["channels"]
        return _described(channels[number]) if number < len(channels) else {}

    def check_values(self, volumes: Sequence[npt.NDArray[Any]], header: NiftiHeader, modality: str) -> None:
        """A CT that shows air and tissue has both in HU; one that was scaled twice, or not at all, has not."""
        super().check_values(volumes, header, modality)
        if not self.shows_air or modality != "CT":
            return
        for volume in volumes:
            values = evenly_spread(volume, _SAMPLED) * header.slope + header.intercept
            for what, (low, high) in _SHOWN_HU.items():
                if ((values > low) & (values < high)).mean() < _LEAST:
                    raise Verdict(
                        "not-in-hu",
                        f"values run from {values.min():g} to {values.max():g}, and hardly any is that of {what} "
                        f"({low:g} to {high:g} HU): scaled twice, or not at all; download volume and tables of one "
                        "release",
                    )


def _described(series: str) -> dict[str, Any]:
    """The attributes that a description of a series gives, from which its role is read."""
    return attributes_of({"SeriesDescription": description_words(series)})


def _left_item(source: str, left: LeftOut) -> Item:
    return Item(source, {"kind": "left", "size": 0, "reason": left.reason, "detail": left.detail})


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_LFS)) == _LFS


def _filled(header: NiftiHeader, cells: Mapping[str, str]) -> NiftiHeader:
    """A blank header with the slope, intercept and DICOM geometry of a table.

    Raises:
        Verdict: `no-geometry-row` or `unreadable-value`.
    """
    if not cells:
        raise Verdict(
            "no-geometry-row",
            "the header says neither spacing nor scale, and no row of the metadata does; download the metadata table",
        )
    x_mm, y_mm = _numbers(cells, "spacing_xy", 2)
    (z_mm,) = _numbers(cells, "spacing_z", 1)
    along = np.array(_numbers(cells, "orientation", 6)).reshape(2, 3)
    lps: Affine = np.eye(4)
    lps[:3, :3] = np.stack([along[0] * x_mm, along[1] * y_mm, np.cross(along[0], along[1]) * z_mm], axis=1)
    lps[:3, 3] = _numbers(cells, "position", 3)
    (slope,), (intercept,) = _numbers(cells, "slope", 1), _numbers(cells, "intercept", 1)
    return replace(
        header,
        affine=LPS_TO_RAS @ lps,
        affine_from="table",
        slope=header.slope * slope,
        intercept=header.intercept * slope + intercept,
    )


def _numbers(cells: Mapping[str, str], name: str, count: int) -> list[float]:
    """Numbers of a cell such as `[0.74, 0.74]`."""
    try:
        value = ast.literal_eval(cells[name])
        found = [float(number) for number in (value if isinstance(value, list | tuple) else [value])]
    except (KeyError, ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = []
    if len(found) != count or not all(map(math.isfinite, found)):
        raise Verdict("unreadable-value", f"the metadata give no {count} numbers of {name}; it cannot be placed")
    return found
