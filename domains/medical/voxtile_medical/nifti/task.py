"""The NIfTI conversion as a task: one item a file, one sample a volume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from voxtile.corpus.identity import printable, sample_uid
from voxtile.corpus.records import Row, Sample
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile.file_edges import probe_digests
from voxtile_datasets.intake.planner import SPLIT_SCHEME, PlannedTask, Planner
from voxtile_datasets.intake.reports_file import raw_captions
from voxtile_datasets.intake.splits_file import SPLITS
from voxtile_datasets.intake.subject_pattern import subject_finder
from voxtile_medical.archives.stored import stored_size, stream_of, telling
from voxtile_medical.dicom_header.attributes import attributes_of
from voxtile_medical.dicom_header.scan import ODD_NAME, root_of
from voxtile_medical.nifti.bids import Sidecars
from voxtile_medical.nifti.datalist import ABSENT, Datalist, layout_of
from voxtile_medical.nifti.files import is_label_name, is_nifti_name, modality_of, nifti_tree, stem_of
from voxtile_medical.nifti.header import NiftiHeader, NoAffine, read_nifti_header
from voxtile_medical.nifti.layouts import Layout, check_splits
from voxtile_medical.nifti.units import parts_of, units_of
from voxtile_medical.nifti.values import read_volumes
from voxtile_medical.orientation import spacing_zyx, to_nearest_ras
from voxtile_medical.plausible import check_position, check_scale, check_spacing
from voxtile_medical.preview import volume_preview
from voxtile_medical.series_roles.facts import role_facts
from voxtile_medical.verdicts import Verdict

LABELS = "looks-like-labels"
LABELS_ADVICE = (
    f"{LABELS}: a few whole numbers from 0 on are labels and no CT in HU; name label maps with --label-pattern, or say "
    "with --modality what they are"
)
UNKNOWN = "OT"  # DICOM's "other"
MOST_LABELS = 256  # values of an 8-bit label map; TotalSegmentator has 118


@dataclass(frozen=True)
class NiftiTask(PlannedTask):
    """Converts every NIfTI file of a folder tree.

    Attributes:
        source: the folder.
        label_patterns: file name patterns of label maps, which are not images.
        modality: for files whose name does not say.
        units: of the physical values; None takes HU for CT that shows them, and arbitrary units otherwise.
        no_affine: what to do with a header that gives no orientation.
        licence: what the corpus says of each sample's licence.
        deidentify: identifiers are replaced.
        leave_masks: label maps by name or by intent code are not listed; they are attached to the samples afterwards.
        subject_pattern: finds the subject in a file's path, in place of what folders and names say.
        planner: None in workers, which get the plan only.
        deface: the face is taken off heads in CT and MR.
        datalist: the files to convert and what they are; None for all of the folder, and in workers.
    """

    stays: ClassVar[tuple[str, ...]] = ("planner", "datalist")

    source: Path
    label_patterns: tuple[str, ...]
    modality: str
    units: str | None = None
    no_affine: NoAffine = "refuse"
    licence: str | None = None
    deidentify: bool = True
    leave_masks: bool = False
    subject_pattern: str | None = None
    planner: Planner | None = field(default=None, compare=False, repr=False)
    deface: bool = False
    datalist: Datalist | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Short name."""
        return "nifti"

    @property
    def version(self) -> str:
        """Version of the output."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {
            "label_patterns": list(self.label_patterns),
            "modality": self.modality,
            "units": self.units,
            "no_affine": self.no_affine,
            "licence": self.licence,
            "deidentify": self.deidentify,
            **({"deface": True} if self.deface else {}),
        }

    def items(self) -> Iterable[Item]:
        """One item a file.

        Raises:
            InputError: the source does not exist or holds no NIfTI file, or its folders put a subject into two splits.
        """
        planner = self.own_planner
        root, found, refused = nifti_tree(self.source, planner.reader)
        paths = [path for path in found if is_nifti_name(path)]
        if not paths and not refused:
            raise InputError(
                f"'{self.source}' holds no file that ends in .nii or .nii.gz; give a folder or archive of NIfTI files"
            )
        layout, paths, absent = layout_of(root, paths, self.datalist)
        sidecars = Sidecars.of_tree(root, found)
        left = set(find_label_maps(root, paths, self.label_patterns, layout)) if self.leave_masks else set()
        named = [path for path in paths if path == printable(path) and path not in left]
        owners = {path: self._owner(path, layout) for path in named}
        for path in named:
            planner.splits.add_files(owners[path], (path, path.rpartition("/")[2], stem_of(path)))
        probes = probe_digests(root / path for path in named)
        items = [
            self._item(planner, root, path, owners[path], layout, sidecars, probe)
            for path, probe in zip(named, probes, strict=True)
        ]
        check_splits(items)
        items += [
            planner.note(path, 0, "unreadable-sidecar", detail) for path, detail in sorted(sidecars.faults.items())
        ]
        items += [planner.note(one.path, max(one.size, 0), one.reason, one.detail) for one in refused]
        odd = [printable(path) for path in paths if path != printable(path)]
        items += [planner.note(path, 0, "unreadable-name", ODD_NAME) for path in odd]
        items += [planner.note(path, 0, "missing-file", ABSENT) for path in absent]
        items += planner.report_notes()
        planner.save(items)
        return items

    def _is_label_map(self, path: str, layout: Layout) -> bool:
        return path in layout.labels or is_label_name(path, self.label_patterns)

    def _owner(self, path: str, layout: Layout) -> str:
        if self.subject_pattern is not None and not self._is_label_map(path, layout):
            return subject_finder(self.subject_pattern)(path)
        return layout.subject_of(path)

    def _item(
        self,
        planner: Planner,
        root: Path,
        path: str,
        subject: str,
        layout: Layout,
        sidecars: Sidecars,
        probe: str | None,
    ) -> Item:
        study, is_label_map = layout.study_of(path), self._is_label_map(path, layout)
        size, probe = stored_size(root / path), probe or telling(root / path)
        inputs = {
            "kind": "file",
            "path": path,
            "size": size,
            "content": planner.names.name("content", path),
            "subject": planner.subject_name(subject),
            "study": planner.names.name("study", study),
            "split": planner.splits.of(subject, layout.splits.get(path, SPLITS)),
            "texts": self._texts(planner, path, subject, study),
        }
        if path in layout.labels:
            inputs["is_label_map"] = True
        if probe is not None:  # without it another delivery's file of this name and size were taken for this one
            inputs["probes"] = planner.names.name("content", probe)
        if path in layout.modalities:
            inputs["modality"] = layout.modalities[path]
        if not is_label_map and (facts := sidecars.facts_of(path)):
            inputs["sidecar"] = facts
        return Item(planner.source_name(path, subject), inputs, cost=size)

    @staticmethod
    def _texts(planner: Planner, path: str, subject: str, study: str) -> list[str]:
        """Reports of a file: its study's, or those under the file's own stem, or its subject's."""
        if planner.reports is None:
            return []
        reports = planner.reports.of((study, stem_of(path)), subject)
        return planner.texts(reports, subject, numbers=(subject, stem_of(path)))

    def process(self, item: Item) -> Outcome:
        """Turn one file into samples, in a worker."""
        inputs = item.inputs
        if inputs["kind"] == "note":
            return Verdict(inputs["reason"], inputs["detail"]).outcome()
        root = root_of(self.source)
        path = inputs["path"]
        try:
            if is_label_name(path, self.label_patterns):
                raise Verdict("label-map", "a label map by its name (--label-pattern)")
            if inputs.get("is_label_map"):
                raise Verdict("label-map", "a label map by its folder")
            header = self.read_header(root / path, inputs)
            if header.is_label_map:
                raise Verdict("label-map", "a label map by its intent code")
            self._check(header, self._modality(inputs))
            volumes = self.read_values(root / path, header, inputs)
            self.check_values(volumes, header, self._modality(inputs))
            content = f"{inputs['content']} {_sha256(root / path)}"
            samples = [self._sample(item, header, volume, number, content) for number, volume in enumerate(volumes)]
        except Verdict as verdict:
            return verdict.outcome()
        captions = [row for sample in samples for row in raw_captions(sample.row["uid"], inputs["texts"])]
        split = {"scheme": SPLIT_SCHEME, "subject": inputs["subject"], "split": inputs["split"]}
        tables = {"splits": [split]} | ({"captions": captions} if captions else {})
        roles = [fact for sample in samples for fact in role_facts(sample.row)]
        if roles:
            tables["facts"] = roles
        return Outcome("used", samples=tuple(samples), tables=tables, parts=tuple(parts_of(samples, header, inputs)))

    def read_header(self, path: Path, inputs: Mapping[str, Any]) -> NiftiHeader:
        """The header of a file; `inputs` are its item's.

        Raises:
            Verdict: it cannot be used.
        """
        return read_nifti_header(path, self.no_affine)

    def read_values(
        self,
        path: Path,
        header: NiftiHeader,
        inputs: Mapping[str, Any],
    ) -> list[npt.NDArray[Any]]:
        """Stored values of every volume, [Z, Y, X].

        Raises:
            Verdict: the file ends before its last value.
        """
        return read_volumes(path, header)

    def volume_attributes(self, number: int, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of one volume of a file of several."""
        return {}

    def check_values(self, volumes: Sequence[npt.NDArray[Any]], header: NiftiHeader, modality: str) -> None:
        """Refuse values that cannot be of the modality.

        Raises:
            Verdict: `looks-like-labels`.
        """
        for volume in volumes if modality == "CT" else ():
            refuse_labels(volume, header)

    def _modality(self, inputs: Mapping[str, Any]) -> str:
        """By the file's name, what the user says, its sidecar, or the collection's dataset.json."""
        stated = inputs.get("sidecar", {}).get("modality") or inputs.get("modality", UNKNOWN)
        told = self.modality if self.modality != UNKNOWN else stated
        return modality_of(inputs["path"]) or str(told)

    @staticmethod
    def _check(header: NiftiHeader, modality: str) -> None:
        """Refuse what cannot be of the modality; NIfTI also holds maps and simulations, whose modality is OT."""
        check_scale(header.slope, header.intercept, modality, slope_name="scl_slope")
        check_spacing(spacing_zyx(header.affine), modality, name="the voxel size")
        check_position(header.affine[:3, 3].tolist())

    def _sample(self, item: Item, header: NiftiHeader, volume: npt.NDArray[Any], number: int, content: str) -> Sample:
        inputs = item.inputs
        array, affine = to_nearest_ras(volume, header.affine)
        modality = self._modality(inputs)
        sidecar = inputs.get("sidecar", {})
        stated = sidecar.get("units") if modality == "PT" else None
        units, seen = units_of(self.units or stated, modality, volume, header)
        channel = {
            "name": modality,
            "wavelength_nm": None,
            "unit": units,
            "scale": header.slope,
            "offset": header.intercept,
        }
        attributes: dict[str, Any] = {**sidecar.get("attributes", {}), "affine_from": header.affine_from, **seen}
        if header.volumes > 1:
            attributes |= {"volume": number, "volumes": header.volumes, **self.volume_attributes(number, inputs)}
        b_values = sidecar.get("b_values", ())
        if len(b_values) == header.volumes:  # else they are of another image
            attributes |= attributes_of({"DiffusionBValue": (b_values[number],)})
        spacing = spacing_zyx(affine)
        if self.deface:
            array, faceless = self._without_face(array, spacing, modality, channel, attributes.get("body_part"))
            attributes |= faceless
        row: Row = {
            "uid": sample_uid(content, f"volume {number}" if header.volumes > 1 else ""),
            "subject": inputs["subject"],
            "study": inputs["study"],
            "kind": "volume",
            "modality": modality,
            "axes": "ZYX",
            "units": units,
            "channels": [channel],
            "affine": [float(v) for v in affine.reshape(-1)],
            "spacing": spacing,
            "valid_fraction": valid_fraction(array),
            "source": item.source,
            "licence": self.licence,
            "attributes": json.dumps(attributes, sort_keys=True, separators=(",", ":")),
        }
        return Sample(row=row, payload=array, preview=volume_preview(array, spacing))

    @staticmethod
    def _without_face(
        array: npt.NDArray[Any],
        spacing: Sequence[float],
        modality: str,
        channel: Mapping[str, Any],
        body_part: str | None,
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """What `without_face` gives; a file of unknown modality may be a head.

        Raises:
            Verdict: `head-unsure`.
        """
        from voxtile_medical.deface.peel import without_face

        if modality == UNKNOWN:
            raise Verdict("head-unsure", "neither its name nor --modality says what it is; give --modality")
        linear = (channel["scale"], channel["offset"])
        return without_face(array, spacing, modality, channel["unit"], linear, body_part)


def find_label_maps(root: Path, paths: Iterable[str], patterns: tuple[str, ...], layout: Layout) -> list[str]:
    """The label maps among NIfTI files, by name, by folder or by the header's intent code.

    Args:
        root: the folder.
        paths: relative to it.
        patterns: file name patterns.
        layout: what the folders say.
    """
    return [
        path
        for path in paths
        if path == printable(path)
        and (is_label_name(path, patterns) or path in layout.labels or _says_labels(root / path))
    ]


def refuse_labels(volume: npt.NDArray[Any], header: NiftiHeader) -> None:
    """A CT in HU has air below 0 and thousands of values; a few whole numbers from 0 on are labels.

    Args:
        volume: stored values.
        header: of the file, for its scale.

    Raises:
        Verdict: `looks-like-labels`.
    """
    volume = volume[np.isfinite(volume)] if volume.dtype.kind == "f" else volume
    if not volume.size:
        return
    ends = sorted(float(end) * header.slope + header.intercept for end in (volume.min(), volume.max()))
    if ends[0] < 0:
        return
    for values in (volume.reshape(-1)[:: max(1, volume.size >> 16)], volume):  # a glance settles nearly all
        found = np.unique(values)
        if len(found) > MOST_LABELS:
            return
    physical = found * header.slope + header.intercept
    if np.array_equal(physical, np.rint(physical)):
        raise Verdict(LABELS, f"its values are {len(found)} whole numbers from {ends[0]:g} to {ends[1]:g}")


def _says_labels(path: Path) -> bool:
    try:
        return read_nifti_header(path, "assume").is_label_map
    except (Verdict, OSError):  # what is wrong is said when the file is converted
        return False


def _sha256(path: Path) -> str:
    with stream_of(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def valid_fraction(array: npt.NDArray[Any]) -> float:
    """Share of values that are numbers."""
    return float(np.isfinite(array).mean()) if array.dtype.kind == "f" else 1.0
